/* SPDX-License-Identifier: MIT */
/* plugin/check.h - are the configured plugins there, and their settings right? */
#ifndef PLUGIN_CHECK_H
#define PLUGIN_CHECK_H

#include "config/settings.h"

/* Loads every plugin that the settings name, fills its table and calls its check, then unloads it:
 * in a process that may die of it. Everything wrong is a problem. */
void plugin_check_all(const struct settings *s, const struct conf_texts *t,
                      struct conf_problems *problems);

/* The storage instance that mail.location names ("maildir:/x" is maildir), or empty. */
struct pst_str plugin_location_storage(const char *location);

#endif
