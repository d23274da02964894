/* SPDX-License-Identifier: MIT */
/* User names and templates of locations: what is filled in stays below the template's own folder.
 *
 * The input is a template, a NUL, a default domain, a NUL, and the name as a client sent it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "credentials/location.h"
#include "credentials/username.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool holds)
{
	if (!holds)
		abort();
}

static struct pst_str
take(struct pst_str *in)
{
	const char *nul = in->n == 0 ? NULL : memchr(in->p, '\0', in->n);
	struct pst_str part = { in->p, nul == NULL ? in->n : (size_t)(nul - in->p) };
	size_t skip = nul == NULL ? part.n : part.n + 1;

	*in = (struct pst_str){ in->p + skip, in->n - skip };
	return part;
}

static void
check_part(struct pst_str part)
{
	size_t i;

	expect(part.n > 0 && part.n <= USERNAME_MAX && part.p[0] != '.');
	for (i = 0; i < part.n; i++)
		expect((unsigned char)part.p[i] >= 0x20 && part.p[i] != '/' && part.p[i] != 0x7f &&
		       !(part.p[i] >= 'A' && part.p[i] <= 'Z'));
}

/* Folding what is folded changes nothing: a session's name is folded again on its way. */
static void
check_again(const struct username *u)
{
	struct username again;
	struct pst_err err;

	expect(username_fold(u->whole, "", &again, &err) == 0);
	expect(pst_str_eq(u->whole, again.whole) && pst_str_eq(u->local, again.local) &&
	       pst_str_eq(u->domain, again.domain));
}

static size_t
count_slashes(struct pst_str s)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < s.n; i++)
		n += s.p[i] == '/';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_str in = { (const char *)data, size };
	struct pst_str template = take(&in);
	struct pst_arena *arena = pst_arena_create();
	const char *domain = pst_arena_copy(arena, take(&in));
	struct username u;
	struct pst_str out;
	struct pst_err err;

	if (username_fold(in, domain, &u, &err) == 0) {
		check_part(u.local);
		if (u.domain.n > 0)
			check_part(u.domain);
		check_again(&u);
		if (location_fill(template, &u, arena, &out, &err) == 0) {
			expect(location_check(template, &err) == 0);
			expect(out.n <= LOCATION_MAX && strlen(out.p) == out.n);
			expect(count_slashes(out) == count_slashes(template));
			expect(strstr(out.p, "/../") == NULL);
		}
	}
	pst_arena_destroy(arena);
	return 0;
}
