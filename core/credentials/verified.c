/* SPDX-License-Identifier: MIT */
/* Marks of passwords that were right; see verified.h. No locks: whoever dies while it writes leaves a
 * mark that nobody's password fits, and so do two that write into the same place at once. */
#include "credentials/verified.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"

#define ROW_MARKS 8
#define MARK_WORDS 4 /* an HMAC-SHA256 */

struct mark {
	_Atomic int64_t at_ms; /* CLOCK_MONOTONIC; 0: nothing here, or being written */
	_Atomic uint64_t word[MARK_WORDS];
};

struct row {
	struct mark mark[ROW_MARKS];
};

struct verified {
	uint8_t key[32];
	uint64_t rows;
	struct row row[];
};

size_t
verified_octets(int64_t octets)
{
	int64_t rows = (octets - (int64_t)sizeof(struct verified)) / (int64_t)sizeof(struct row);

	return sizeof(struct verified) + (size_t)(rows > 0 ? rows : 1) * sizeof(struct row);
}

void
verified_init(struct verified *v, size_t octets)
{
	memset(v, 0, octets);
	pst_random(v->key, sizeof(v->key));
	v->rows = (octets - sizeof(*v)) / sizeof(struct row);
}

void
verified_wipe(struct verified *v)
{
	if (v != NULL)
		pst_wipe(v->key, sizeof(v->key));
}

/* One after the other, each with its length, so that no two triples read alike. */
static void
add_part(struct pst_str part, uint8_t **at)
{
	const uint64_t n = part.n;

	memcpy(*at, &n, sizeof(n));
	if (n > 0)
		memcpy(*at + sizeof(n), part.p, n);
	*at += sizeof(n) + n;
}

static void
make_words(const struct verified *v, struct pst_str user, struct pst_str credential,
           struct pst_str password, uint64_t out[MARK_WORDS])
{
	const size_t n = 3 * sizeof(uint64_t) + user.n + credential.n + password.n;
	uint8_t *text = pst_alloc(n);
	uint8_t *at = text;
	uint8_t mac[MARK_WORDS * sizeof(uint64_t)];

	add_part(user, &at);
	add_part(credential, &at);
	add_part(password, &at);
	pst_hmac_sha256((struct pst_str){ (const char *)v->key, sizeof(v->key) },
	                (struct pst_str){ (const char *)text, n }, mac);
	memcpy(out, mac, sizeof(mac));
	pst_wipe(text, n);
	free(text);
}

static struct row *
find_row(struct verified *v, const uint64_t words[MARK_WORDS])
{
	return &v->row[words[0] % v->rows];
}

static bool
is_mark(struct mark *m, const uint64_t words[MARK_WORDS], int64_t since_ms)
{
	const int64_t at = atomic_load(&m->at_ms);
	uint64_t differ = 0;
	size_t i;

	for (i = 0; i < MARK_WORDS; i++)
		differ |= atomic_load_explicit(&m->word[i], memory_order_relaxed) ^ words[i];
	return differ == 0 && at > 0 && at >= since_ms;
}

static struct mark *
find_mark(struct verified *v, const uint64_t words[MARK_WORDS], int64_t since_ms)
{
	struct row *row = find_row(v, words);
	struct mark *found = NULL;
	size_t i;

	for (i = 0; i < ROW_MARKS; i++)
		if (is_mark(&row->mark[i], words, since_ms))
			found = &row->mark[i];
	return found;
}

bool
verified_is(struct verified *v, struct pst_str user, struct pst_str credential,
            struct pst_str password, int64_t age_ms)
{
	uint64_t words[MARK_WORDS];

	if (v == NULL)
		return false;
	make_words(v, user, credential, password, words);
	return find_mark(v, words, pst_now_ms() - age_ms) != NULL;
}

static struct mark *
oldest(struct row *row)
{
	struct mark *m = &row->mark[0];
	size_t i;

	for (i = 1; i < ROW_MARKS; i++)
		if (atomic_load(&row->mark[i].at_ms) < atomic_load(&m->at_ms))
			m = &row->mark[i];
	return m;
}

void
verified_add(struct verified *v, struct pst_str user, struct pst_str credential,
             struct pst_str password)
{
	uint64_t words[MARK_WORDS];
	struct mark *m;
	size_t i;

	if (v == NULL)
		return;
	make_words(v, user, credential, password, words);
	m = find_mark(v, words, 0); /* it was too old */
	if (m == NULL)
		m = oldest(find_row(v, words));
	atomic_store(&m->at_ms, 0);
	for (i = 0; i < MARK_WORDS; i++)
		atomic_store(&m->word[i], words[i]);
	atomic_store(&m->at_ms, pst_now_ms());
}
