/* SPDX-License-Identifier: MIT */
/* config/scan.h - a look at a file's text before libconfig reads it, for what libconfig does badly.
 *
 * It cuts integers in silence, says of an @include that it cannot be opened but not which and why,
 * ends the process where a file is a folder, and takes a string's \x00 for its end. Those are found
 * here, with file and line. What is wrong in other ways is left to libconfig. */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include <stdbool.h>

#include "config/texts.h"

/* Looks at path and at the files that it includes, whose names are relative to folder. false: a
 * file cannot be read, so that libconfig must not be called. Other problems do not stop it. */
bool conf_scan(const char *path, const char *folder, struct conf_problems *p);

#endif
