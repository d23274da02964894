/* SPDX-License-Identifier: MIT */
/* posternctl maildrop convert: the messages of a maildrop are copied into a new one of another kind, or
 * in another place, with their octets, order and UIDLs; then both are compared. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ctl/drops.h"
#include "ctl/maildrop.h"
#include "ctl/wirebody.h"
#include "plugin/check.h"
#include "pop3/stored.h"

#define FRONT 2048 /* octets in which a Return-Path is looked for */

enum { SUM_MESSAGES, SUM_OCTETS };
enum { OPT_TO = 1, OPT_SWITCH, OPT_BACKEND };

struct said {
	const char *to;      /* "mbox:/var/mail/x" */
	const char *storage; /* of it */
	const char *path;
	const char *backend;
	bool is_switch;
	struct pst_arena *arena;
	bool is_done;
};

/* One message on its way. */
struct passenger {
	struct drop *d;
	uint32_t idx;
};

/* ---- Arguments ---- */

static bool
take(void *arg, int id)
{
	struct said *s = arg;

	if (id == OPT_TO)
		s->to = optarg;
	else if (id == OPT_BACKEND)
		s->backend = optarg;
	else
		s->is_switch = true;
	return true;
}

/* A '%' would be a variable where the location is stored. */
static int
ready(void *arg)
{
	struct said *s = arg;
	const char *colon;

	if (s->to == NULL)
		return CTL_USAGE;
	colon = strchr(s->to, ':');
	if (colon == NULL || colon[1] != '/' || strchr(s->to, '%') != NULL ||
	    !settings_is_name((struct pst_str){ s->to, (size_t)(colon - s->to) }))
		return ctl_fail("--to: \"%s\" is not of the form maildir:/absolute/path", s->to);
	s->storage = pst_arena_copy(s->arena, (struct pst_str){ s->to, (size_t)(colon - s->to) });
	s->path = colon + 1;
	return CTL_OK;
}

/* ---- The messages ---- */

static int
open_passenger(void *arg, struct pst_body *body_out, struct pst_err *err)
{
	const struct passenger *p = arg;

	*body_out = (struct pst_body){ .fd = -1 };
	return p->d->storage->fetch(p->d->drop, p->idx, 0, body_out, err) == PST_FETCH_OK ? 0 : -1;
}

/* <ann@example.org> of a Return-Path before any other header; empty: there is none. */
static struct pst_str
find_return_path(struct pst_str front, struct pst_arena *arena)
{
	static const struct pst_str name = { "Return-Path:", 12 };
	const char *open, *close, *end = memchr(front.p, '\n', front.n);
	size_t line = end == NULL ? front.n : (size_t)(end - front.p);

	if (line < name.n || !pst_str_ieq((struct pst_str){ front.p, name.n }, name))
		return PST_LIT("");
	open = memchr(front.p, '<', line);
	close = open == NULL ? NULL : memchr(open, '>', line - (size_t)(open - front.p));
	if (close == NULL || close == open + 1)
		return PST_LIT("");
	return (struct pst_str){
		pst_arena_copy(arena, (struct pst_str){ open + 1, (size_t)(close - open - 1) }),
		(size_t)(close - open - 1),
	};
}

static int
read_sender(struct passenger *p, struct pst_new_message *msg, struct pst_arena *arena,
            struct pst_err *err)
{
	struct pst_body body;
	char front[FRONT];
	size_t n;
	int rc;

	if (open_passenger(p, &body, err) != 0)
		return -1;
	rc = wirebody_read(&body, 0, front, sizeof(front), &n, err);
	if (rc == 0 && n > 0)
		msg->sender = find_return_path((struct pst_str){ front, n }, arena);
	pop3_stored_release(&body);
	return rc;
}

/* All that the source knows of the message. What it cannot tell stays unsaid. */
static int
describe(struct passenger *p, struct pst_new_message *msg, struct pst_arena *arena,
         struct pst_err *err)
{
	const struct drop *d = p->d;
	struct pst_envelope envelope = { .is_seen = false };
	struct pst_message m;

	drop_message(d, p->idx, &m);
	*msg = (struct pst_new_message){ .open = open_passenger, .arg = p, .uidl = m.uidl };
	if (d->storage->received != NULL &&
	    d->storage->received(d->drop, p->idx, &msg->received_s, err) != 0)
		return -1;
	if (d->storage->envelope != NULL) {
		if (d->storage->envelope(d->drop, p->idx, &envelope, err) != 0)
			return -1;
		msg->is_seen = envelope.is_seen;
		msg->sender = (struct pst_str){ pst_arena_copy(arena, envelope.sender),
			                        envelope.sender.n };
	}
	return msg->sender.n > 0 ? 0 : read_sender(p, msg, arena, err);
}

/* ---- The other maildrop ---- */

struct other {
	const struct pst_storage *storage;
	void *self;
	struct pst_maildrop *drop;
};

static int
open_other(struct drop *d, const struct said *s, struct other *o, struct pst_err *err)
{
	const struct pst_maildrop_spec spec = { .path = s->path, .user = pst_str_c(d->row.user) };

	if (o->storage->open(o->self, &spec, &o->drop, err) == 0)
		return 0;
	o->drop = NULL;
	return -1;
}

static void
close_other(struct other *o)
{
	if (o->drop != NULL)
		o->storage->close(o->drop);
	o->drop = NULL;
}

static bool
is_same_place(const struct drop *d, const struct said *s)
{
	struct stat a, b;

	return stat(d->row.path, &a) == 0 && stat(s->path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int
prepare_other(struct drop *d, const struct said *s, struct other *o, struct pst_err *err)
{
	if (is_same_place(d, s))
		return pst_err_set(err, PST_E_CLIENT, "%s is where the mail is already", s->path);
	if (drop_storage(d, s->storage, &o->storage, &o->self, err) != 0)
		return -1;
	if (o->storage->add == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "the storage plugin %s cannot take messages from elsewhere",
		                   s->storage);
	if (open_other(d, s, o, err) != 0)
		return -1;
	if (o->storage->count(o->drop) > 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "there is mail in %s already: %u messages; nothing was done",
		                   s->path, o->storage->count(o->drop));
	return 0;
}

/* ---- Comparing ---- */

static int
compare_message(struct drop *d, const struct other *o, uint32_t idx, struct pst_err *err)
{
	struct pst_message here, there = { .size_octets = 0 };
	struct octets_digest a, b;

	drop_message(d, idx, &here);
	o->storage->message(o->drop, idx, &there);
	if (!pst_str_eq(here.uidl, there.uidl))
		return pst_err_set(err, PST_E_PERM, "message %u: the UIDL is %.*s, not %.*s",
		                   idx + 1, PST_ARG(there.uidl), PST_ARG(here.uidl));
	if (here.size_octets != there.size_octets)
		return pst_err_set(err, PST_E_PERM,
		                   "message %u: %" PRIu64 " octets are listed, not %" PRIu64,
		                   idx + 1, there.size_octets, here.size_octets);
	if (wirebody_digest(d->storage, d->drop, idx, &a, err) != 0 ||
	    wirebody_digest(o->storage, o->drop, idx, &b, err) != 0)
		return -1;
	if (a.count != b.count || memcmp(a.exact, b.exact, sizeof(a.exact)) != 0)
		return pst_err_set(err, PST_E_PERM, "message %u: other octets come out", idx + 1);
	drop_count(d, SUM_OCTETS, here.size_octets);
	return 0;
}

static int
compare_all(struct drop *d, const struct said *s, struct other *o, struct pst_err *err)
{
	struct pst_err why;
	uint32_t i, n;

	if (open_other(d, s, o, err) != 0)
		return -1;
	n = o->storage->count(o->drop);
	if (n != d->count) {
		pst_err_set(&why, PST_E_PERM, "%u messages, not %u", n, d->count);
		goto differs;
	}
	for (i = 0; i < n; i++)
		if (compare_message(d, o, i, &why) != 0)
			goto differs;
	drop_count(d, SUM_MESSAGES, n);
	return 0;
differs:
	return pst_err_set(err, PST_E_PERM,
	                   "the copy is not what it should be: %.120s. It was left for you to look "
	                   "at; do not use it",
	                   why.text);
}

/* ---- The work ---- */

static int
copy(struct drop *d, struct other *o, struct pst_err *err)
{
	struct pst_new_message *msgs = pst_new_array(struct pst_new_message, d->count + 1u);
	struct passenger *all = pst_new_array(struct passenger, d->count + 1u);
	struct pst_arena *arena = pst_arena_create();
	uint32_t i;
	int rc = 0;

	for (i = 0; i < d->count && rc == 0; i++) {
		all[i] = (struct passenger){ d, i };
		rc = describe(&all[i], &msgs[i], arena, err);
	}
	if (rc == 0)
		rc = o->storage->add(o->drop, msgs, d->count, err);
	pst_arena_destroy(arena);
	free(all);
	free(msgs);
	return rc;
}

static int
convert(struct drop *d, void *arg, struct pst_err *err)
{
	const struct said *s = arg;
	struct other o = { .drop = NULL };
	int rc = prepare_other(d, s, &o, err);

	if (rc == 0 && d->count == 0)
		rc = pst_err_set(err, PST_E_CLIENT,
		                 "%s:%s has no messages: there is nothing to convert",
		                 d->row.storage, d->row.path);
	if (rc == 0)
		rc = copy(d, &o, err);
	close_other(&o);
	if (rc == 0)
		rc = compare_all(d, s, &o, err);
	close_other(&o);
	return rc;
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	struct said *s = arg;

	if (sum->failed > 0 || sum->done == 0)
		return;
	s->is_done = true;
	printf("%" PRIu64 " messages, %" PRIu64
	       " octets are in %s, each compared: order, UIDL, size "
	       "and content are the same\n",
	       sum->counts[SUM_MESSAGES], sum->counts[SUM_OCTETS], s->to);
}

/* The workers are gone: here the backend may be spoken to. */
static int
switch_over(struct ctl *c, const struct said *s, const char *user)
{
	char *args[7];
	int n = 0;

	args[0] = pst_arena_printf(c->arena, "%s",
	                           "set"); /* stands before the arguments, as on a command line */
	args[++n] = pst_arena_printf(c->arena, "%s", user);
	args[++n] = pst_arena_printf(c->arena, "%s", "--maildrop");
	args[++n] = pst_arena_printf(c->arena, "%s", s->to);
	if (s->backend != NULL) {
		args[++n] = pst_arena_printf(c->arena, "%s", "--backend");
		args[++n] = pst_arena_printf(c->arena, "%s", s->backend);
	}
	args[n + 1] = NULL;
	return ctl_user_set(c, n, args + 1);
}

/* Mail workers load the storage plugins that have a section, and the one of mail.location. */
static bool
is_served(const struct settings *settings, const char *storage)
{
	const struct pst_str name = pst_str_c(storage);

	return settings_section(settings, PST_STORAGE, name) != NULL ||
	       pst_str_eq(plugin_location_storage(settings->mail.location), name);
}

static int
finish(struct ctl *c, const struct said *s, const char *user)
{
	if (ctl_need_config(c) != 0)
		return CTL_FAILED;
	if (!is_served(&c->settings, s->storage)) {
		printf("The server does not load the storage plugin %s yet. Add it to the "
		       "configuration and reload before the user's mail is read from there:\n"
		       "  storage: { %s: { }; };\n",
		       s->storage, s->storage);
		if (s->is_switch)
			return ctl_fail("%s is served from where it was", user);
	}
	if (s->is_switch)
		return switch_over(c, s, user);
	printf("The mail is still read from where it was. To change that:\n"
	       "  posternctl user set %s --maildrop %s\n",
	       user, s->to);
	return CTL_OK;
}

int
ctl_maildrop_convert(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "to", required_argument, NULL, OPT_TO },
		{ "switch", no_argument, NULL, OPT_SWITCH },
		{ "backend", required_argument, NULL, OPT_BACKEND },
		{ NULL, 0, NULL, 0 },
	};
	struct said s = { .arena = c->arena };
	const struct drops_plan plan = {
		.work = convert,
		.arg = &s,
		.is_one = true,
		.options = options,
		.take = take,
		.ready = ready,
		.sum_up = sum_up,
	};
	int status = drops_command(c, argc, argv, &plan);

	/* What is no option stands last by now. */
	return status == CTL_OK && s.is_done ? finish(c, &s, argv[argc - 1]) : status;
}
