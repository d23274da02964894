/* SPDX-License-Identifier: MIT */
/* storage/index/places.h - what every driver asks of a new order before it believes it. */
#ifndef STORAGE_INDEX_PLACES_H
#define STORAGE_INDEX_PLACES_H

#include <postern/storage.h>

/* Whether the n places name each of the listed messages once, and each has a UIDL of its own that POP3
 * allows. -1 (PST_E_CLIENT; PST_E_TEMP: no memory). */
int places_check(const struct pst_place *places, uint32_t n, uint32_t listed, struct pst_err *err);

#endif
