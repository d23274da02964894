/* SPDX-License-Identifier: MIT */
/* config/value.h - one value as text: read by conf_value_parse (table.h), written here. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/conf.h>
#include <postern/str.h>

#define CONF_NUMBER_TEXT 24

/* As it would be written in the file: 600000 of a time is "10m". */
void conf_number_text(enum pst_conf_type type, int64_t v, char out[CONF_NUMBER_TEXT]);

/* "1s to 1d", "at least 1", or "" where the row has no bound. */
void conf_bounds_text(const struct pst_conf_key *key, char out[64]);

/* Whether the type's values are strings in the struct, else numbers. */
bool conf_is_string(enum pst_conf_type type);

/* The 0-based place of word in "off|report|on", or -1. */
int64_t conf_choice_place(const char *choices, struct pst_str word);

#endif
