/* SPDX-License-Identifier: MIT */
/* File names of a Maildir: the input is names with '/' between them, for that no name can hold.
 *
 * Each has a UIDL that POP3 allows, the same for all flags, its own where base names differ; and the
 * order of the listing is an order. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "storage/maildir/name.h"

#define NAMES 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pst_host host = { .size = sizeof(host), .sha256 = pst_sha256 };

struct entry {
	struct pst_str base, uidl;
	struct maildir_key key;
	char buf[MAILDIR_UIDL_ROOM];
};

static void
check_uidl(struct pst_str uidl)
{
	size_t i;

	pst_assert(uidl.n >= 1 && uidl.n <= 70);
	for (i = 0; i < uidl.n; i++)
		pst_assert(uidl.p[i] >= 0x21 && uidl.p[i] <= 0x7e);
}

/* With flags, other flags, none: the same message. */
static void
check_flags(const struct entry *e)
{
	char *name = pst_alloc(e->base.n + 5), buf[MAILDIR_UIDL_ROOM];
	struct pst_str base;

	if (e->base.n > 0)
		memcpy(name, e->base.p, e->base.n);
	memcpy(name + e->base.n, ":2,FS", 5);
	base = maildir_base((struct pst_str){ name, e->base.n + 5 });
	pst_assert(pst_str_eq(base, e->base));
	pst_assert(pst_str_eq(maildir_uidl(&host, base, buf), e->uidl));
	free(name);
}

static void
check_pair(const struct entry *a, const struct entry *b)
{
	int order = maildir_key_compare(&a->key, &b->key);
	int back = maildir_key_compare(&b->key, &a->key);
	bool same = pst_str_eq(a->base, b->base);

	pst_assert((order < 0) == (back > 0) && (order == 0) == same);
	pst_assert(pst_str_eq(a->uidl, b->uidl) == same);
}

static void
check_name(struct pst_str name, struct entry *e)
{
	uint64_t num;

	e->base = maildir_base(name);
	pst_assert(e->base.n <= name.n);
	pst_assert(e->base.n == 0 || memchr(e->base.p, ':', e->base.n) == NULL);
	e->uidl = maildir_uidl(&host, e->base, e->buf);
	check_uidl(e->uidl);
	maildir_key(e->base, &e->key);
	(void)maildir_field(e->base, 'S', &num);
	(void)maildir_field(e->base, 'W', &num);
	check_flags(e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct entry *e = pst_alloc_array(NAMES, sizeof(*e));
	char *copy = pst_alloc(size + 1);
	size_t at = 0, n = 0, i, j, k;

	if (size > 0)
		memcpy(copy, data, size);
	while (at < size && n < NAMES) {
		const char *slash = memchr(copy + at, '/', size - at);
		size_t end = slash == NULL ? size : (size_t)(slash - copy);
		struct pst_str name = { copy + at, end - at };

		if (maildir_is_message(name))
			check_name(name, &e[n++]);
		at = end + 1;
	}
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			check_pair(&e[i], &e[j]);
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			for (k = 0; k < n; k++)
				if (maildir_key_compare(&e[i].key, &e[j].key) < 0 &&
				    maildir_key_compare(&e[j].key, &e[k].key) < 0)
					pst_assert(maildir_key_compare(&e[i].key, &e[k].key) < 0);
	free(copy);
	free(e);
	return 0;
}
