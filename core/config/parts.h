/* SPDX-License-Identifier: MIT */
/* config/parts.h - a configuration, parted by who may see it: the text of a database's password is for
 * those who talk to the database. */
#ifndef CONFIG_PARTS_H
#define CONFIG_PARTS_H

#include "config/texts.h"

enum conf_part { CONF_CORE, CONF_AUTH, CONF_STORAGE, CONF_POLICY, CONF_PARTS };

/* The core's part has the names of the plugins' texts too, with the values of those that are the
 * server's own: settings_load finds the plugin instances by them. */
void conf_texts_part(const struct conf_texts *all, struct conf_texts parts[CONF_PARTS]);

#endif
