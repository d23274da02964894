/* SPDX-License-Identifier: MIT */
/* config/table.h - texts into a struct by its table of rows, and what is derived from rows. */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include <stdio.h>

#include <postern/conf.h>

#include "config/texts.h"

/* Fills the struct at base from the texts named PREFIX.KEY, and from the defaults where there is
 * none. Each bad or missing value is a problem. Strings live in t's arena. keys may be NULL. */
void conf_table_fill(const struct pst_conf_key *keys, const char *prefix,
                     const struct conf_texts *t, void *base, struct conf_problems *p);

/* One value by one row: 0, or -1 with err (PST_E_CLIENT) saying what would be right. */
int conf_value_parse(const struct pst_conf_key *key, struct pst_str text, struct pst_arena *arena,
                     void *base, struct pst_err *err);

/* The row, or NULL. */
const struct pst_conf_key *conf_table_find(const struct pst_conf_key *keys, struct pst_str key);

/* A problem for each text PREFIX.KEY whose key is no row of keys, nor of more, a second table (either
 * may be NULL); also is one more name that is known, or NULL. */
void conf_table_check_names(const struct pst_conf_key *keys, const struct pst_conf_key *more,
                            const char *prefix, const char *also, const struct conf_texts *t,
                            struct conf_problems *p);

/* The problem "unknown setting", with the nearest of n names (which follow "PREFIX."; prefix may be
 * empty) to what was typed. */
void conf_unknown_add(const struct conf_text *text, const char *typed, const char *const *names,
                      size_t n, const char *prefix, struct conf_problems *p);

/* The known name nearest to a mistyped one, or NULL where none is near. */
const char *conf_nearest(const char *const *names, size_t n, const char *typed);

/* Documentation of one table, in the order of its rows. */
void conf_table_man(const struct pst_conf_key *keys, const char *prefix, FILE *to); /* mdoc */
void conf_table_sample(const struct pst_conf_key *keys, unsigned indent, FILE *to); /* file */
/* "login.workers = 2  (default 0; number, 0 to 256 processes)", its doc below as comment lines. The
 * value of a secret is not shown. */
void conf_table_show(const struct pst_conf_key *keys, const char *prefix,
                     const struct conf_texts *t, FILE *to);
void conf_key_show(const struct pst_conf_key *key, const char *prefix, const struct conf_texts *t,
                   FILE *to);

#endif
