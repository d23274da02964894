/* SPDX-License-Identifier: MIT */
/* posternctl undelete: what POP3 removed and mail.hold_days keeps comes back. */
#include "ctl/undo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/when.h"
#include "ctl/drops.h"

enum { SUM_BACK, SUM_THERE };
enum { OPT_SINCE = 1, OPT_UNTIL, OPT_SESSION, OPT_DRY_RUN, OPT_LIST };

struct undelete_said {
	struct pst_held which;
	bool is_dry, is_list;
};

static bool
take(void *arg, int id)
{
	struct undelete_said *said = arg;
	int64_t *at = id == OPT_SINCE ? &said->which.since_s : &said->which.until_s;

	switch (id) {
	case OPT_SINCE:
	case OPT_UNTIL:
		if (pst_when(pst_str_c(optarg), time(NULL), at) && *at > 0)
			return true;
		(void)ctl_fail("\"%s\" is no time: say " PST_WHEN_FORMS, optarg);
		return false;
	case OPT_SESSION:
		said->which.session = pst_str_c(optarg);
		return *optarg != '\0';
	case OPT_DRY_RUN:
		said->is_dry = true;
		return true;
	default:
		said->is_list = true;
		return true;
	}
}

/* ---- What is kept ---- */

struct listing {
	struct drop *d;
	struct pst_str *there; /* UIDLs of the maildrop, sorted */
};

static int
compare(const void *a, const void *b)
{
	const struct pst_str *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return order != 0 ? order : x->n < y->n ? -1 : x->n > y->n;
}

static void
tell_held(void *arg, const struct pst_held_message *msg)
{
	const struct listing *l = arg;
	const time_t at = (time_t)msg->removed_s;
	bool is_there = l->d->count > 0 && bsearch(&msg->uidl, l->there, l->d->count,
	                                           sizeof(msg->uidl), compare) != NULL;
	struct tm tm;
	char when[32];

	drop_count(l->d, is_there ? SUM_THERE : SUM_BACK, 1);
	if (localtime_r(&at, &tm) == NULL || strftime(when, sizeof(when), "%F %T", &tm) == 0)
		when[0] = '\0';
	drop_say(l->d, "%s  %-16.*s  %10" PRIu64 "  %.*s%s", when, PST_ARG(msg->session),
	         msg->size_octets, PST_ARG(msg->uidl), is_there ? "  (is there already)" : "");
}

static int
list_held(struct drop *d, const struct undelete_said *said, struct pst_err *err)
{
	struct listing l = { .d = d };
	uint32_t i;
	int rc;

	if (d->storage->held == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "the storage plugin cannot say what it keeps of removed mail");
	l.there = pst_new_array(struct pst_str, d->count + 1);
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		l.there[i] = m.uidl;
	}
	if (d->count > 0)
		qsort(l.there, d->count, sizeof(*l.there), compare);
	rc = d->storage->held(d->drop, &said->which, tell_held, &l, err);
	free(l.there);
	return rc;
}

static int
undelete(struct drop *d, void *arg, struct pst_err *err)
{
	const struct undelete_said *said = arg;
	uint32_t n = 0;
	int rc;

	if (said->is_dry || said->is_list)
		return list_held(d, said, err);
	if (d->storage->bring_back == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "the storage plugin keeps nothing of removed mail");
	rc = d->storage->bring_back(d->drop, &said->which, &n, err);
	drop_count(d, SUM_BACK, n);
	return rc;
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	const struct undelete_said *said = arg;
	const uint64_t back = sum->counts[SUM_BACK], there = sum->counts[SUM_THERE];

	if (said->is_list)
		printf("%" PRIu64 " messages are kept\n", back + there);
	else if (said->is_dry)
		printf("%" PRIu64 " messages would come back, %" PRIu64 " are there already\n",
		       back, there);
	else
		printf("%" PRIu64 " messages came back\n", back);
}

int
ctl_undelete(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "until", required_argument, NULL, OPT_UNTIL },
		{ "session", required_argument, NULL, OPT_SESSION },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "list", no_argument, NULL, OPT_LIST },
		{ NULL, 0, NULL, 0 },
	};
	struct undelete_said said = { .is_dry = false };
	const struct drops_plan plan = {
		.work = undelete,
		.arg = &said,
		.is_one = true,
		.options = options,
		.take = take,
		.sum_up = sum_up,
	};

	return drops_command(c, argc, argv, &plan);
}
