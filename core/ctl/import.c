/* SPDX-License-Identifier: MIT */
/* posternctl migrate import: order and UIDLs of a maildrop from the server that served it until now, when
 * only its POP3 port is at hand. A process of its own asks there (remote.h); the worker that has become
 * the maildrop's owner compares and writes. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/drops.h"
#include "ctl/remote.h"
#include "pop3/stored.h"

#define DEFAULT_SHARE 95 /* per cent */
#define DEFAULT_JOBS 4
#define MAX_JOBS 64
#define PIECE 16384

enum { SUM_FOUND, SUM_MISSING, SUM_EXTRA, SUM_MOVED, SUM_RENAMED, SUM_DROPS };

struct import {
	struct migrate_side old;
	const char *from, *users_path;
	uint64_t share, jobs, sample, wait_s, limit_s;
	bool is_dry;
	struct remote remote;
};

enum option_id {
	O_FROM = 1,
	O_USERS,
	O_TLS,
	O_TLS_CA,
	O_INSECURE,
	O_MASTER,
	O_SEPARATOR,
	O_FILE,
	O_SHARE,
	O_DRY_RUN,
	O_JOBS,
	O_SAMPLE,
	O_TIMEOUT,
	O_RETRIES,
	O_WAIT,
	O_LIMIT,
};

static const struct option options[] = {
	{ "from", required_argument, NULL, O_FROM },
	{ "users", required_argument, NULL, O_USERS },
	{ "from-tls", required_argument, NULL, O_TLS },
	{ "tls-ca", required_argument, NULL, O_TLS_CA },
	{ "insecure", no_argument, NULL, O_INSECURE },
	{ "master", required_argument, NULL, O_MASTER },
	{ "master-separator", required_argument, NULL, O_SEPARATOR },
	{ "password-file", required_argument, NULL, O_FILE },
	{ "min-share", required_argument, NULL, O_SHARE },
	{ "dry-run", no_argument, NULL, O_DRY_RUN },
	{ "jobs", required_argument, NULL, O_JOBS },
	{ "sample", required_argument, NULL, O_SAMPLE },
	{ "timeout", required_argument, NULL, O_TIMEOUT },
	{ "retries", required_argument, NULL, O_RETRIES },
	{ "wait", required_argument, NULL, O_WAIT },
	{ "limit", required_argument, NULL, O_LIMIT },
	{ NULL, 0, NULL, 0 },
};

static bool
take_seconds(struct import *im)
{
	uint64_t seconds;

	if (!migrate_number(optarg, 1, 3600, &seconds))
		return false;
	im->old.server.timeout_ms = (int64_t)seconds * 1000;
	return true;
}

static bool
take_retries(struct import *im)
{
	uint64_t n;

	if (!migrate_number(optarg, 0, 1000, &n))
		return false;
	im->old.retries = (unsigned)n;
	return true;
}

static bool
take_option(struct import *im, int id)
{
	switch (id) {
	case O_FROM:
		im->from = optarg;
		return true;
	case O_USERS:
		im->users_path = optarg;
		return true;
	case O_TLS:
		return migrate_side_security(&im->old, optarg);
	case O_TLS_CA:
		im->old.server.ca_file = optarg;
		return true;
	case O_INSECURE:
		im->old.server.insecure = true;
		return true;
	case O_MASTER:
		im->old.master = optarg;
		return true;
	case O_SEPARATOR:
		im->old.separator = optarg;
		return true;
	case O_FILE:
		im->old.source.file = optarg;
		return true;
	case O_SHARE:
		return migrate_number(optarg, 0, 100, &im->share);
	case O_DRY_RUN:
		im->is_dry = true;
		return true;
	case O_JOBS:
		return migrate_number(optarg, 1, MAX_JOBS, &im->jobs);
	case O_SAMPLE:
		return migrate_number(optarg, 1, UINT32_MAX, &im->sample);
	case O_TIMEOUT:
		return take_seconds(im);
	case O_RETRIES:
		return take_retries(im);
	case O_WAIT:
		return migrate_number(optarg, 1, 1000000, &im->wait_s);
	case O_LIMIT:
		return migrate_number(optarg, 1, 1000000, &im->limit_s);
	default:
		return false;
	}
}

static int
read_arguments(struct import *im, int argc, char **argv)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(im, id)) {
			if (id != '?')
				ctl_fail("--%s does not take \"%s\"", options[id - 1].name, optarg);
			return CTL_USAGE;
		}
	return optind - 1 == argc && im->from != NULL && im->users_path != NULL ? CTL_OK
	                                                                        : CTL_USAGE;
}

/* ---- In a worker: one maildrop ---- */

static bool
read_header(const struct pst_body *b, struct likeness_maker *m)
{
	char piece[PIECE];
	struct pst_err err;
	uint64_t at;
	size_t n;

	for (at = 0; !m->is_done && at < b->length; at += n) {
		n = b->length - at < PIECE ? (size_t)(b->length - at) : PIECE;
		if (pop3_stored_read(b, at, piece, n, &n, &err) != 0)
			return false;
		if (n == 0)
			break;
		likeness_feed(m, (struct pst_str){ piece, n });
	}
	return true;
}

/* A message that cannot be read now is nobody's twin. */
static void
look_at(struct drop *d, uint32_t idx, struct match_message *out)
{
	struct likeness_maker maker;
	struct pst_message m;
	struct pst_body body = { .fd = -1 };
	struct pst_err err;

	drop_message(d, idx, &m);
	*out = (struct match_message){
		.octets = m.size_octets,
		.uidl = m.uidl,
		.is_valid = true,
	};
	if (d->storage->fetch(d->drop, idx, 0, &body, &err) != PST_FETCH_OK) {
		drop_warn(d, "message %" PRIu32 ": %s", idx + 1, err.text);
		return;
	}
	likeness_begin(&maker);
	out->is_known = read_header(&body, &maker);
	likeness_end(&maker, &out->like);
	pop3_stored_release(&body);
}

static void
say_changes(struct drop *d, const struct match *m, const struct match_plan *p,
            const struct match_message *here)
{
	uint32_t i;

	for (i = 0; i < d->count; i++) {
		const struct match_place *to = &p->places[i];
		const struct pst_str was = here[to->here].uidl;

		if (to->here != i || !pst_str_eq(to->uidl, was))
			drop_say(d,
			         "%s: message %" PRIu32 " becomes %" PRIu32
			         ", UIDL %.*s becomes %.*s%s",
			         d->row.user, to->here + 1, i + 1, PST_ARG(was), PST_ARG(to->uidl),
			         m->back[to->here] == MATCH_NONE ? " (not on the old server)" : "");
	}
}

static void
say_missing(struct drop *d, const struct match *m, const struct remote_listing *old)
{
	uint32_t i;

	for (i = 0; i < old->n; i++)
		if (m->with[i] == MATCH_NONE)
			drop_say(d,
			         "%s: the old server's message %" PRIu32 " (%" PRIu64
			         " octets, UIDL %.*s) is not here",
			         d->row.user, i + 1, old->all[i].octets, PST_ARG(old->all[i].uidl));
}

static void
say_sums(struct drop *d, const struct import *im, const struct match *m, const struct match_plan *p,
         const struct remote_listing *old)
{
	drop_say(d,
	         "%s: %" PRIu32 " of %" PRIu32 " messages found (%" PRIu32
	         " by header and size, %" PRIu32 " but for a line end, %" PRIu32
	         " by UIDL, %" PRIu32 " by header alone, %" PRIu32 " by Message-ID), %" PRIu32
	         " only here; %" PRIu32 " %s their place, %" PRIu32 " their UIDL%s",
	         d->row.user, m->found, old->n, m->by[MATCH_BY_HEADER], m->by[MATCH_BY_LINE_END],
	         m->by[MATCH_BY_UIDL], m->by[MATCH_BY_ALONE], m->by[MATCH_BY_LETTER],
	         d->count - m->found, p->moved, im->is_dry ? "would change" : "changed", p->renamed,
	         p->not_taken > 0 ? "; some UIDLs of the old server are none that POP3 allows, or "
	                            "another message's: those keep ours"
	                          : "");
	drop_count(d, SUM_FOUND, m->found);
	drop_count(d, SUM_MISSING, old->n - m->found);
	drop_count(d, SUM_EXTRA, d->count - m->found);
	drop_count(d, SUM_MOVED, p->moved);
	drop_count(d, SUM_RENAMED, p->renamed);
	drop_count(d, SUM_DROPS, p->moved > 0 || p->renamed > 0);
}

/* An mbox lists its messages as they lie in it: then at least the UIDLs are taken over. */
static int
rearrange(struct drop *d, struct match_plan *p, struct pst_err *err)
{
	struct pst_place *places = pst_new_array(struct pst_place, d->count + (size_t)1);
	uint32_t i;
	int rc;

	for (i = 0; i < d->count; i++)
		places[i] = (struct pst_place){ p->places[i].here, p->places[i].uidl };
	rc = d->storage->rearrange(d->drop, places, d->count, err);
	if (rc != 0 && err->kind == PST_E_CLIENT && p->moved > 0) {
		drop_warn(d, "%s: the order stays as it is", err->text);
		for (i = 0; i < d->count; i++)
			places[p->places[i].here] =
				(struct pst_place){ p->places[i].here, p->places[i].uidl };
		p->moved = 0;
		rc = d->storage->rearrange(d->drop, places, d->count, err);
	}
	free(places);
	return rc;
}

static int
take_over(struct drop *d, const struct import *im, const struct remote_listing *old,
          const struct match_message *here, struct pst_err *err)
{
	struct match m;
	struct match_plan p = { .moved = 0 };
	int rc = 0;

	match_make(&m, old->all, old->n, here, d->count);
	match_plan(&p, &m, old->all, old->n, here, d->count);
	say_missing(d, &m, old);
	if ((uint64_t)m.found * 100 < im->share * old->n)
		rc = pst_err_set(err, PST_E_CLIENT,
		                 "only %" PRIu32 " of the old server's %" PRIu32
		                 " messages are here, less than %" PRIu64
		                 " %%: nothing was changed (--min-share)",
		                 m.found, old->n, im->share);
	if (rc == 0 && im->is_dry)
		say_changes(d, &m, &p, here);
	else if (rc == 0 && (p.moved > 0 || p.renamed > 0))
		rc = rearrange(d, &p, err);
	if (rc == 0)
		say_sums(d, im, &m, &p, old);
	match_plan_clear(&p);
	match_clear(&m);
	return rc;
}

static int
work(struct drop *d, void *arg, struct pst_err *err)
{
	const struct import *im = arg;
	struct match_message *here = NULL;
	struct remote_listing old = { .n = 0 };
	uint32_t i;
	int rc = -1;

	if (d->storage->size <= offsetof(struct pst_storage, rearrange) ||
	    d->storage->rearrange == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "the storage plugin of this maildrop takes no UIDLs over");
	/* Before the maildrop is locked: its user may go on meanwhile. */
	if (remote_ask(d->plan_fd, pst_str_c(d->row.user), &old, err) != 0)
		goto out;
	if (!old.has_uidls && old.n > 0) {
		pst_err_set(err, PST_E_PERM, "the old server has no UIDL command");
		goto out;
	}
	if (drop_open(d, 0, err) != 0)
		goto out;
	here = pst_new_array(struct match_message, d->count + (size_t)1);
	for (i = 0; i < d->count; i++)
		look_at(d, i, &here[i]);
	rc = take_over(d, im, &old, here, err);
out:
	free(here);
	remote_listing_clear(&old);
	return rc;
}

/* ---- The command ---- */

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	const struct import *im = arg;

	printf("%u users: %" PRIu64 " messages found, %" PRIu64 " only on the old server, %" PRIu64
	       " only here; %" PRIu64 " maildrops %s\n",
	       sum->done, sum->counts[SUM_FOUND], sum->counts[SUM_MISSING], sum->counts[SUM_EXTRA],
	       sum->counts[SUM_DROPS], im->is_dry ? "would be changed" : "changed");
}

static int
run(struct ctl *c, struct import *im)
{
	const struct remote_order order = {
		.side = &im->old,
		.users_path = im->users_path,
		.sample = im->sample,
		.jobs = (uint32_t)im->jobs,
	};
	const struct drops_how how = {
		.jobs = (uint32_t)im->jobs,
		.wait_ms = (int64_t)im->wait_s * 1000,
		.limit_ms = (int64_t)im->limit_s * 1000,
	};
	struct drops_plan plan = {
		.work = work,
		.arg = im,
		.does_not_open = true,
		.sum_up = sum_up,
	};
	struct drops_names names = { .users = NULL };
	char **users = NULL;
	struct pst_err err;
	size_t i, n = 0;
	int status;

	if (migrate_side_set(&im->old, im->from, &err) != 0 ||
	    remote_start(&im->remote, &order, &users, &n, &err) != 0) {
		status = ctl_fail("%s", err.text);
	} else {
		plan.fd = im->remote.fd;
		names.users = (const char *const *)users;
		names.user_count = n;
		status = drops_each(c, &names, &how, &plan, NULL);
	}
	for (i = 0; i < n; i++)
		free(users[i]);
	free(users);
	return status;
}

int
ctl_migrate_import(struct ctl *c, int argc, char **argv)
{
	struct import im = {
		.share = DEFAULT_SHARE,
		.jobs = DEFAULT_JOBS,
		.remote = { .fd = -1 },
	};
	int status;

	migrate_side_init(&im.old);
	status = read_arguments(&im, argc, argv);
	if (status == CTL_OK)
		status = run(c, &im);
	remote_stop(&im.remote);
	migrate_side_clear(&im.old);
	return status;
}
