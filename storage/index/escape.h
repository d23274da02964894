/* SPDX-License-Identifier: MIT */
/* storage/index/escape.h - words of a line that hold any octets: what is not 0x21 to 0x7E, and '%', is
 * written %XX; nothing at all is a single '%'. */
#ifndef STORAGE_INDEX_ESCAPE_H
#define STORAGE_INDEX_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include <postern/str.h>

#define ESCAPED_MAX(n) (3 * (n) + 1)

/* Writes s into out, which has room for ESCAPED_MAX(s.n) octets; returns how many. */
size_t escape_word(struct pst_str s, char *out);

/* Undoes it in place; *s becomes shorter. false: it is not such a word. */
bool escape_undo(char *p, struct pst_str *s);

/* Takes the first word off the front of *line, which words part with one space. Empty: no more. */
struct pst_str escape_next(struct pst_str *line);

#endif
