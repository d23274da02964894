/* SPDX-License-Identifier: MIT */
/* A new order, checked; see places.h. */
#include "storage/index/places.h"

#include <stdlib.h>

#include "storage/index/names.h"
#include "storage/index/uidl.h"

static int
check_uidls(const struct pst_place *places, uint32_t n, struct pst_err *err)
{
	struct names names = { .slots = NULL };
	uint32_t i;
	int rc = names_init(&names, n, err);

	for (i = 0; i < n && rc == 0; i++) {
		if (!uidl_is_valid(places[i].uidl))
			rc = pst_err_set(err, PST_E_CLIENT, "place %u: no UIDL that POP3 allows",
			                 i + 1);
		else if (!names_add(&names, places[i].uidl, i))
			rc = pst_err_set(err, PST_E_CLIENT,
			                 "place %u: another message is to have the UIDL %.*s",
			                 i + 1, PST_ARG(places[i].uidl));
	}
	names_clear(&names);
	return rc;
}

int
places_check(const struct pst_place *places, uint32_t n, uint32_t listed, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	uint8_t *seen;
	uint32_t i;
	int rc = 0;

	if (n != listed)
		return pst_err_set(err, PST_E_CLIENT, "places for %u of %u messages", n, listed);
	if (mem_get(&mem, (size_t)n + 1) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for a new order");
	seen = mem.p;
	for (i = 0; i < n && rc == 0; i++) {
		if (places[i].idx >= n || seen[places[i].idx] != 0)
			rc = pst_err_set(err, PST_E_CLIENT, "place %u: no message, or one twice",
			                 i + 1);
		else
			seen[places[i].idx] = 1;
	}
	mem_drop(&mem);
	return rc == 0 ? check_uidls(places, n, err) : -1;
}
