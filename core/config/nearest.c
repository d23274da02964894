/* SPDX-License-Identifier: MIT */
/* The known name nearest to a mistyped one: edit distance, with two swapped letters as one step. */
#include <string.h>

#include "config/table.h"

#define NAME_MAX_OCTETS 64 /* longer names are near to nothing */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	/* Three rows of the table: d[i % 3][j] is the distance of a's first i and b's first j. */
	size_t d[3][NAME_MAX_OCTETS + 1];
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (i = 1; i <= a_len; i++) {
		size_t *row = d[i % 3];
		const size_t *above = d[(i - 1) % 3];

		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			size_t differs = pst_lower(a[i - 1]) != pst_lower(b[j - 1]) ? 1 : 0;

			row[j] = least(above[j - 1] + differs, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], d[(i - 2) % 3][j - 2] + 1);
		}
	}
	return d[a_len % 3][b_len];
}

const char *
conf_nearest(const char *const *names, size_t n, const char *typed)
{
	const size_t typed_len = strlen(typed);
	const char *best = NULL;
	size_t best_distance = typed_len / 3 + 1; /* a third of the letters may be wrong */
	size_t i;

	if (typed_len > NAME_MAX_OCTETS)
		return NULL;
	for (i = 0; i < n; i++) {
		const size_t len = strlen(names[i]);
		size_t away;

		if (len > NAME_MAX_OCTETS)
			continue;
		away = distance(names[i], len, typed, typed_len);
		if (away < best_distance || (away == best_distance && best == NULL && away < len)) {
			best = names[i];
			best_distance = away;
		}
	}
	return best;
}
