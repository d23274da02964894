/* SPDX-License-Identifier: MIT */
/* storage/index/names.h - a table of strings, each with a number. */
#ifndef STORAGE_INDEX_NAMES_H
#define STORAGE_INDEX_NAMES_H

#include <postern/err.h>
#include <postern/str.h>

#include "storage/index/mem.h"

#define NAMES_NONE UINT32_MAX

struct names {
	struct mem mem;
	struct names_slot *slots;
	size_t mask;
};

/* For at most room strings. -1 (PST_E_TEMP): no memory. */
int names_init(struct names *t, uint64_t room, struct pst_err *err);
void names_clear(struct names *t); /* accepts a zeroed one */

/* The number of s, or NAMES_NONE. */
uint32_t names_find(const struct names *t, struct pst_str s);

/* Borrows s. false: it is there already, with the number that it had. */
bool names_add(struct names *t, struct pst_str s, uint32_t number);

#endif
