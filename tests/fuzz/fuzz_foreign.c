/* SPDX-License-Identifier: MIT */
/* Lists of old servers, read and written again: the first octet says which parser, then come a
 * format's line and the list.
 *
 * Whatever they hold, each record has a name that can be a file's and no UIDL or one that POP3
 * allows; each name is found, with its last line; and the order of the listing is antisymmetric. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storage/maildir/foreign.h"
#include "storage/maildir/writeback.h"

#define COMPARED 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_record(const struct foreign *f, uint32_t i)
{
	const struct foreign_record *r = &f->records[i];
	struct pst_str base = { r->base, r->base_octets }, uidl = foreign_uidl(f, r);
	const struct foreign_record *found = foreign_find(f, base);
	size_t k;

	pst_assert(maildir_is_message(base) && memchr(base.p, ':', base.n) == NULL);
	pst_assert(uidl.n <= INDEX_UIDL_MAX);
	for (k = 0; k < uidl.n; k++)
		pst_assert(uidl.p[k] >= 0x21 && uidl.p[k] <= 0x7e);
	pst_assert(found != NULL && found >= r);
	pst_assert((found != r) == ((r->flags & FOREIGN_REPLACED) != 0));
}

static void
check_order(const struct foreign *f)
{
	struct foreign_key a, b;
	uint32_t i, k;

	for (i = 0; i < f->count && i < COMPARED; i++) {
		struct pst_str x = { f->records[i].base, f->records[i].base_octets };

		foreign_key(f, x, &a);
		pst_assert(foreign_key_compare(&a, &a) == 0);
		for (k = 0; k < i; k++) {
			struct pst_str y = { f->records[k].base, f->records[k].base_octets };

			foreign_key(f, y, &b);
			pst_assert(foreign_key_compare(&a, &b) == -foreign_key_compare(&b, &a));
			pst_assert((foreign_key_compare(&a, &b) == 0) == pst_str_eq(x, y));
		}
	}
}

/* The list as it would be written whole, read again: whom it knew it knows, by the same UIDL, and its
 * numbers go on. */
static void
check_written(struct foreign *f, const char *format, struct mem *fates)
{
	struct writeback w = {
		.f = f, .file_count = f->count, .fates = fates->p, .must_rewrite = true
	};
	struct foreign again = { .kind = FOREIGN_NONE };
	struct pst_str text;
	struct pst_err err;
	uint32_t i;
	int rc;

	for (i = 0; i < f->count; i++)
		if ((f->records[i].flags & FOREIGN_REPLACED) != 0)
			w.fates[i] = WRITEBACK_DROP;
	rc = f->kind == FOREIGN_DOVECOT ? writeback_dovecot(&w, &err) : writeback_courier(&w, &err);
	pst_assert(rc == 0);
	text = (struct pst_str){ w.mem_text.p, w.text_used };
	rc = f->kind == FOREIGN_DOVECOT ? foreign_parse_dovecot(&again, text, format, 0, &err)
	                                : foreign_parse_courier(&again, text, &err);
	pst_assert(rc == 0 && foreign_make_findable(&again, 42, &err) == 0);
	pst_assert(again.next == f->next && again.validity == f->validity);
	for (i = 0; i < f->count; i++) {
		struct pst_str base = { f->records[i].base, f->records[i].base_octets };
		const struct foreign_record *r = foreign_find(&again, base);

		pst_assert(r != NULL && (r->flags & FOREIGN_REPLACED) == 0);
		pst_assert(pst_str_eq(foreign_uidl(&again, r),
		                      foreign_uidl(f, foreign_find(f, base))));
	}
	foreign_clear(&again);
	mem_drop(&w.mem_text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem fates = { NULL, 0 };
	char *copy = pst_alloc(size + 1);
	struct foreign f = { .kind = FOREIGN_NONE };
	struct pst_str rest = { copy, size }, line;
	char format[128] = "";
	struct pst_err err;
	uint32_t i;
	int rc;

	if (size > 0)
		memcpy(copy, data, size);
	if (foreign_next_line(&rest, &line) && line.n > 0) {
		size_t n = line.n - 1 < sizeof(format) - 1 ? line.n - 1 : sizeof(format) - 1;

		memcpy(format, line.p + 1, n);
		rc = line.p[0] == 'c' ? foreign_parse_courier(&f, rest, &err)
		                      : foreign_parse_dovecot(&f, rest, format, 0, &err);
		if (rc == 0 && foreign_make_findable(&f, 42, &err) == 0) {
			for (i = 0; i < f.count; i++)
				check_record(&f, i);
			check_order(&f);
			/* others are not written: there Dovecot makes a new one */
			pst_assert(mem_get(&fates, f.count) == 0);
			if (f.kind == FOREIGN_COURIER && f.validity == 0)
				f.validity = 77;
			if (f.validity != 0 && f.next <= UINT32_MAX)
				check_written(&f, format, &fates);
		}
	}
	foreign_clear(&f);
	mem_drop(&fates);
	free(copy);
	return 0;
}
