/* SPDX-License-Identifier: MIT */
/* posternctl uidl: the UIDLs of a maildrop, and an admin's word that they are right. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/drops.h"
#include "ctl/maildrop.h"

enum { SUM_MESSAGES, SUM_NEW };

static int
list(struct drop *d, void *arg, struct pst_err *err)
{
	uint32_t i;

	(void)arg, (void)err;
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		drop_say(d, "%" PRIu32 "\t%.*s\t%" PRIu64, i + 1, PST_ARG(m.uidl), m.size_octets);
	}
	return 0;
}

int
ctl_uidl_list(struct ctl *c, int argc, char **argv)
{
	const struct drops_plan plan = { .work = list, .is_one = true };

	return drops_command(c, argc, argv, &plan);
}

/* ---- accept ---- */

static int
compare(const void *a, const void *b)
{
	const struct pst_str *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

/* What the last login would have shown, if it still can be told. malloc'ed copies, sorted. */
static struct pst_str *
take_uidls(const struct drop *d)
{
	struct pst_str *v = pst_new_array(struct pst_str, d->count + 1u);
	uint32_t i;

	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		v[i] = (struct pst_str){ pst_str_dup(m.uidl), m.uidl.n };
	}
	qsort(v, d->count, sizeof(*v), compare);
	return v;
}

static uint32_t
count_new(const struct pst_str *before, uint32_t before_n, const struct drop *d)
{
	uint32_t n = 0, i;

	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		n += before_n == 0 ||
		     bsearch(&m.uidl, before, before_n, sizeof(*before), compare) == NULL;
	}
	return n;
}

/* Opened as a session opens it: where the guard does not refuse that, there is nothing to accept. */
static int
accept(struct drop *d, void *arg, struct pst_err *err)
{
	struct pst_str *before = NULL;
	uint32_t before_n = 0, fresh, i;
	bool is_guarded;

	(void)arg;
	is_guarded = drop_open(d, 0, err) != 0;
	if (is_guarded && err->kind == PST_E_IN_USE)
		return -1;
	if (is_guarded)
		drop_warn(d, "a session is told: %s", err->text);
	if (!is_guarded) {
		before = take_uidls(d);
		before_n = d->count;
		d->storage->close(d->drop);
		d->drop = NULL;
	}
	if (drop_open(d, PST_OPEN_ACCEPT_UIDLS, err) != 0)
		goto fail;
	fresh = count_new(before, before_n, d);
	drop_count(d, SUM_MESSAGES, d->count);
	drop_count(d, SUM_NEW, is_guarded ? 0 : fresh);
	if (is_guarded)
		drop_say(d, "%s: the UIDLs of %" PRIu32 " messages are accepted as they are now",
		         d->row.user, d->count);
	else
		drop_say(d,
		         "%s: %" PRIu32 " messages, of which %" PRIu32
		         " have another UIDL than before",
		         d->row.user, d->count, fresh);
	is_guarded = false;
	goto out;
fail:
	is_guarded = true;
out:
	for (i = 0; i < before_n; i++)
		free((char *)(uintptr_t)before[i].p);
	free(before);
	return is_guarded ? -1 : 0;
}

int
ctl_uidl_accept(struct ctl *c, int argc, char **argv)
{
	const struct drops_plan plan = { .work = accept, .is_one = true, .does_not_open = true };

	return drops_command(c, argc, argv, &plan);
}
