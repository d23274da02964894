/* SPDX-License-Identifier: MIT */
/* storage/index/hash.h - one 64-bit hash: the checksum of index files, and the key of names.
 *
 * Every step is a bijection of the state for given input and of the input for a given state, so
 * damage that stays within one aligned run of eight octets always changes the result; other damage
 * goes unnoticed once in 2^64. Not against an adversary: whoever can write the index can write the
 * mail. Four lanes keep a processor's multipliers busy (about 10 octets a nanosecond). */
#ifndef STORAGE_INDEX_HASH_H
#define STORAGE_INDEX_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "storage/index/le.h"

#define HASH_A UINT64_C(0x9e3779b97f4a7c15)
#define HASH_B UINT64_C(0xc2f1a6d35b7e0949)
#define HASH_C UINT64_C(0x8d51e3b79a46cf27)

static inline uint64_t
hash_rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static inline uint64_t
hash_step(uint64_t state, uint64_t word)
{
	return hash_rotate(state ^ word * HASH_A, 29) * HASH_B;
}

/* What is left when no whole word is: its octets, with their number above them. */
static inline uint64_t
hash_rest(const uint8_t *p, size_t n)
{
	uint64_t word = (uint64_t)n << 56;
	size_t i;

	for (i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

static inline uint64_t
index_hash(const void *data, size_t n, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t h = (seed ^ n * HASH_C) + HASH_B;
	size_t left = n;

	if (left >= 64) {
		uint64_t a = HASH_A, b = HASH_B, c = HASH_C, d = ~HASH_A;

		for (; left >= 32; p += 32, left -= 32) {
			a = hash_step(a, index_get64(p));
			b = hash_step(b, index_get64(p + 8));
			c = hash_step(c, index_get64(p + 16));
			d = hash_step(d, index_get64(p + 24));
		}
		h = hash_step(hash_step(hash_step(hash_step(h, a), b), c), d);
	}
	for (; left >= 8; p += 8, left -= 8)
		h = hash_step(h, index_get64(p));
	h = hash_step(h, hash_rest(p, left));
	h ^= h >> 32;
	h *= HASH_C;
	h ^= h >> 29;
	h *= HASH_A;
	return h ^ h >> 32;
}

#endif
