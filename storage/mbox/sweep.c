/* SPDX-License-Identifier: MIT */
/* Over many octets at a time; see sweep.h. Lines are short, so looking for the next LF costs more than to
 * compare every octet: the inner loops have a fixed length and no branch, and compilers make vectors of
 * them. */
#include "storage/mbox/sweep.h"

#include <string.h>

#include <postern/attr.h>

#define STRIDE 128u /* a whole number of vectors; no count of it overflows an octet */

uint64_t
sweep_bare(const char *p, size_t n)
{
	uint64_t bare = 0;
	size_t i;

	for (; n >= STRIDE; p += STRIDE, n -= STRIDE) {
		const char *before = p - 1;
		uint8_t found = 0;

		for (i = 0; i < STRIDE; i++)
			found = (uint8_t)(found + ((p[i] == '\n') & (before[i] != '\r')));
		bare += found;
	}
	for (i = 0; i < n; i++)
		bare += p[i] == '\n' && p[(ptrdiff_t)i - 1] != '\r';
	return bare;
}

/* Goes on over the STRIDEs in which no line begins with an 'F'. Returns their octets. */
static PST_INLINE size_t
skip_strides(const char *p, size_t n, uint64_t *bare)
{
	uint64_t sum = 0;
	size_t at, i;

	for (at = 0; n - at >= STRIDE; at += STRIDE) {
		const char *here = p + at, *before = here - 1;
		uint8_t found = 0, hits = 0;

		for (i = 0; i < STRIDE; i++) {
			found = (uint8_t)(found + ((here[i] == '\n') & (before[i] != '\r')));
			hits |= (uint8_t)((here[i] == 'F') & (before[i] == '\n'));
		}
		if (hits != 0)
			break;
		sum += found;
	}
	*bare += sum;
	return at;
}

#ifdef __x86_64__
static PST_TARGET("avx2") size_t skip_strides_avx2(const char *p, size_t n, uint64_t *bare)
{
	return skip_strides(p, n, bare);
}
#endif

static size_t
skip(const char *p, size_t n, uint64_t *bare)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return skip_strides_avx2(p, n, bare);
#endif
	return skip_strides(p, n, bare);
}

/* p points to the 'F'. */
static bool
is_after_empty(const char *p)
{
	return p[-1] == '\n' && (p[-2] == '\n' || p[-2] == '\r');
}

size_t
sweep_to_from(const char *p, size_t n, uint64_t *bare)
{
	size_t at = 0;

	while (at < n) {
		size_t begin, end;

		at += skip(p + at, n - at, bare);
		begin = at;
		end = n - at < STRIDE ? n : at + STRIDE;
		while (at < end && (p[at] != 'F' || !is_after_empty(p + at)))
			at++;
		*bare += sweep_bare(p + begin, at - begin);
		if (at < end)
			break;
	}
	return at;
}

bool
sweep_is_ascii(struct pst_str s)
{
	uint64_t all = 0, word;
	size_t i;

	for (i = 0; s.n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s.p + i, sizeof(word));
		all |= word;
	}
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & UINT64_C(0x8080808080808080)) == 0;
}
