/* SPDX-License-Identifier: MIT */
/* storage/mbox/sweep.h - over the octets of messages, many at a time. Works on memory alone. */
#ifndef STORAGE_MBOX_SWEEP_H
#define STORAGE_MBOX_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

/* Octets before those that are swept, which must be readable: an empty line, with the end of the line
 * before it. */
#define SWEEP_BEFORE 3

/* The LFs in the n octets at p that do not follow a CR. p[-1] is read. */
uint64_t sweep_bare(const char *p, size_t n);

/* The first of the n octets at p that is an 'F' and begins a line after one that may be empty; n where
 * there is none. Adds to *bare the LFs before it that do not follow a CR. p[-2] is read. */
size_t sweep_to_from(const char *p, size_t n, uint64_t *bare);

bool sweep_is_ascii(struct pst_str s);

#endif
