/* SPDX-License-Identifier: MIT */
/* base/when.h - a time as a person writes it:
 *
 *	2026-11-22T08:30:00Z          RFC 3339; an offset like +01:00 in place of Z, a space in place
 *	                              of T, and without Z or offset the local time
 *	2026-11-22                    its beginning, local time
 *	now, today, yesterday         the beginning of the day, local time
 *	90 minutes, 2 hours, 3 days, 1 week   so long ago; "ago" may follow */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#define PST_WHEN_FORMS                                                                             \
	"2026-11-22T08:30:00Z, 2026-11-22, \"2 hours\", \"3 days\", today, yesterday or now"

/* false: it is none of those, or not a time that there is. */
bool pst_when(struct pst_str s, int64_t now_s, int64_t *at_s_out);

#endif
