/* SPDX-License-Identifier: MIT */
/* posternctl migrate verify: every user's maildrop on the old server and on this one, side by side. It
 * reads and compares; nothing is deleted or changed on either. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "ctl/compare.h"
#include "ctl/vstate.h"

#define MAX_JOBS 64
#define DEFAULT_JOBS 4

struct verify {
	struct ctl *c;
	struct migrate_side old, new;
	struct compare compare;
	const char *from, *to, *users_path, *state_path;
	uint64_t jobs, sample;
	bool strict;

	struct migrate_users users;
	struct vstate state;

	/* Of all threads; under lock. */
	pthread_mutex_t lock;
	size_t next, done, failed;
	uint64_t messages, differences, explained;
	int64_t told_ms;
	bool is_stopped; /* the state file or standard output cannot be written */
};

enum option_id {
	O_FROM = 1,
	O_TO,
	O_USERS,
	O_FROM_TLS,
	O_TO_TLS,
	O_TLS_CA,
	O_INSECURE,
	O_MASTER,
	O_SEPARATOR,
	O_FILE,
	O_TO_MASTER,
	O_TO_FILE,
	O_TOP,
	O_FULL,
	O_STATE,
	O_JOBS,
	O_SAMPLE,
	O_STRICT,
	O_TIMEOUT,
	O_RETRIES,
};

static const struct option options[] = {
	{ "from", required_argument, NULL, O_FROM },
	{ "to", required_argument, NULL, O_TO },
	{ "users", required_argument, NULL, O_USERS },
	{ "from-tls", required_argument, NULL, O_FROM_TLS },
	{ "to-tls", required_argument, NULL, O_TO_TLS },
	{ "tls-ca", required_argument, NULL, O_TLS_CA },
	{ "insecure", no_argument, NULL, O_INSECURE },
	{ "master", required_argument, NULL, O_MASTER },
	{ "master-separator", required_argument, NULL, O_SEPARATOR },
	{ "password-file", required_argument, NULL, O_FILE },
	{ "to-master", required_argument, NULL, O_TO_MASTER },
	{ "to-password-file", required_argument, NULL, O_TO_FILE },
	{ "top", required_argument, NULL, O_TOP },
	{ "full", no_argument, NULL, O_FULL },
	{ "state", required_argument, NULL, O_STATE },
	{ "jobs", required_argument, NULL, O_JOBS },
	{ "sample", required_argument, NULL, O_SAMPLE },
	{ "strict", no_argument, NULL, O_STRICT },
	{ "timeout", required_argument, NULL, O_TIMEOUT },
	{ "retries", required_argument, NULL, O_RETRIES },
	{ NULL, 0, NULL, 0 },
};

static bool
take_top(struct verify *v, const char *word)
{
	v->compare.sample = 0;
	v->compare.depth = strcmp(word, "none") == 0 ? COMPARE_LISTS : COMPARE_HEADERS;
	return v->compare.depth == COMPARE_LISTS || strcmp(word, "all") == 0 ||
	       migrate_number(word, 1, UINT32_MAX, &v->compare.sample);
}

static bool
take_seconds(struct verify *v, const char *text)
{
	uint64_t seconds;

	if (!migrate_number(text, 1, 3600, &seconds))
		return false;
	v->old.server.timeout_ms = v->new.server.timeout_ms = (int64_t)seconds * 1000;
	return true;
}

static bool
take_retries(struct verify *v, const char *text)
{
	uint64_t n;

	if (!migrate_number(text, 0, 1000, &n))
		return false;
	v->old.retries = v->new.retries = (unsigned)n;
	return true;
}

static bool
take_option(struct verify *v, int id)
{
	switch (id) {
	case O_FROM:
		v->from = optarg;
		return true;
	case O_TO:
		v->to = optarg;
		return true;
	case O_USERS:
		v->users_path = optarg;
		return true;
	case O_FROM_TLS:
		return migrate_side_security(&v->old, optarg);
	case O_TO_TLS:
		return migrate_side_security(&v->new, optarg);
	case O_TLS_CA:
		v->old.server.ca_file = v->new.server.ca_file = optarg;
		return true;
	case O_INSECURE:
		v->old.server.insecure = true;
		return true;
	case O_MASTER:
		v->old.master = optarg;
		return true;
	case O_SEPARATOR:
		v->old.separator = optarg;
		return true;
	case O_FILE:
		v->old.source.file = optarg;
		return true;
	case O_TO_MASTER:
		v->new.master = optarg;
		return true;
	case O_TO_FILE:
		v->new.source.file = optarg;
		return true;
	case O_TOP:
		return take_top(v, optarg);
	case O_FULL:
		v->compare.depth = COMPARE_WHOLE;
		return true;
	case O_STATE:
		v->state_path = optarg;
		return true;
	case O_JOBS:
		return migrate_number(optarg, 1, MAX_JOBS, &v->jobs);
	case O_SAMPLE:
		return migrate_number(optarg, 1, UINT32_MAX, &v->sample);
	case O_STRICT:
		v->strict = true;
		return true;
	case O_TIMEOUT:
		return take_seconds(v, optarg);
	case O_RETRIES:
		return take_retries(v, optarg);
	default:
		return false;
	}
}

static int
read_arguments(struct verify *v, int argc, char **argv)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(v, id)) {
			if (id != '?')
				ctl_fail("--%s does not take \"%s\"", options[id - 1].name, optarg);
			return CTL_USAGE;
		}
	return optind - 1 == argc && v->from != NULL && v->users_path != NULL ? CTL_OK : CTL_USAGE;
}

/* ---- This server ---- */

/* The listener that a client on this machine best takes: one with STLS on loopback or everywhere, then
 * one with TLS. What is sent stays on the machine, so its certificate, which is for the world's name of
 * the server, is not looked at. */
static int
find_listener(struct verify *v, struct pst_err *err)
{
	const struct settings *s = &v->c->settings;
	const struct listener_settings *best = NULL;
	const char *host;
	size_t i;

	for (i = 0; i < s->listener_count; i++)
		if (best == NULL ||
		    (best->tls == TLS_IMPLICIT && s->listeners[i].tls != TLS_IMPLICIT))
			best = &s->listeners[i];
	if (best == NULL)
		return pst_err_set(err, PST_E_CLIENT,
		                   "the configuration has no listener: say --to");
	host = best->address;
	if (strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "::") == 0)
		host = "::1";
	v->new.host = pst_strdup(host);
	v->new.server.host = v->new.host;
	v->new.server.port = (uint16_t)best->port;
	v->new.server.insecure = true;
	if (v->new.server.security == POP3_BY_PORT)
		v->new.server.security = best->tls == TLS_IMPLICIT ? POP3_TLS : POP3_STLS;
	return 0;
}

static int
find_new_server(struct verify *v, struct pst_err *err)
{
	if (v->to != NULL)
		return migrate_side_set(&v->new, v->to, err);
	if (ctl_need_config(v->c) != 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "without --to the configuration must be good");
	return find_listener(v, err);
}

/* Where the file has no passwords and this server no master of its own, the old one's is meant. */
static void
share_master(struct verify *v)
{
	size_t i;

	for (i = 0; i < v->users.n; i++)
		if (v->users.all[i].password.p != NULL)
			return;
	if (v->new.master == NULL) {
		v->new.master = v->old.master;
		v->new.source = v->old.source;
	}
}

static int
prepare_state(struct verify *v, struct pst_err *err)
{
	const char *run;

	v->state.fd = -1;
	if (v->state_path == NULL)
		return 0;
	run = pst_arena_printf(v->c->arena, "from=%s:%u to=%s:%u depth=%d:%" PRIu64, v->old.host,
	                       v->old.server.port, v->new.host, v->new.server.port,
	                       (int)v->compare.depth, v->compare.sample);
	return vstate_open(&v->state, v->state_path, run, err);
}

static int
prepare(struct verify *v, struct pst_err *err)
{
	if (migrate_side_set(&v->old, v->from, err) != 0 || find_new_server(v, err) != 0 ||
	    migrate_users_read(&v->users, v->users_path, err) != 0)
		return -1;
	share_master(v);
	if (migrate_side_prepare(&v->old, err) != 0 || migrate_side_prepare(&v->new, err) != 0)
		return -1;
	migrate_users_sample(&v->users, v->sample);
	return prepare_state(v, err);
}

/* ---- The run ---- */

/* Under the lock. */
static void
tell_progress(struct verify *v, bool is_last)
{
	const bool is_terminal = isatty(STDERR_FILENO) == 1;
	const int64_t now_ms = pst_now_ms();

	if (!is_last && now_ms - v->told_ms < (is_terminal ? 500 : 30000))
		return;
	v->told_ms = now_ms;
	fprintf(stderr,
	        "%s%zu of %zu users, %" PRIu64 " messages: %" PRIu64 " differences, %" PRIu64
	        " explained, %zu users not compared%s",
	        is_terminal ? "\r" : "", v->done, v->users.n, v->messages, v->differences,
	        v->explained, v->failed, is_terminal && !is_last ? "" : "\n");
}

static void
tell_failure(struct verify *v, const struct migrate_user *user, struct compare_result *r,
             const struct pst_err *err)
{
	v->failed++;
	pst_buf_reset(&r->text); /* half of a comparison proves nothing */
	migrate_text(&r->text, user->name);
	migrate_printf(&r->text, "\t-\terror\t-\t-\t");
	migrate_text(&r->text, pst_str_c(err->text));
	migrate_printf(&r->text, "\n");
}

/* Under the lock. */
static void
finish_user(struct verify *v, const struct migrate_user *user, struct compare_result *r, int rc,
            struct pst_err *err)
{
	if (rc != 0) {
		tell_failure(v, user, r, err);
	} else {
		v->messages += r->messages;
		v->differences += r->differences;
		v->explained += r->explained;
	}
	v->done++;
	/* The lines first: a user that the state file has is not looked at again. */
	if ((r->text.len > 0 && fwrite(r->text.data, 1, r->text.len, stdout) != r->text.len) ||
	    fflush(stdout) != 0) {
		v->is_stopped = true;
	} else if (rc == 0 && vstate_add(&v->state, user->name, r->messages, r->differences,
	                                 r->explained, err) != 0) {
		(void)ctl_fail("%s", err->text);
		v->is_stopped = true;
	}
	tell_progress(v, false);
}

static const struct migrate_user *
next_user(struct verify *v)
{
	while (!v->is_stopped && v->next < v->users.n) {
		const struct migrate_user *user = &v->users.all[v->next++];

		if (!vstate_has(&v->state, user->name))
			return user;
		v->done++;
	}
	return NULL;
}

static void *
run_job(void *arg)
{
	struct verify *v = arg;
	const struct migrate_user *user;
	struct pst_err err;

	(void)pthread_mutex_lock(&v->lock);
	while ((user = next_user(v)) != NULL) {
		struct compare_result r = { .messages = 0 };
		int rc;

		(void)pthread_mutex_unlock(&v->lock);
		rc = compare_user(&v->compare, user, &r, &err);
		(void)pthread_mutex_lock(&v->lock);
		finish_user(v, user, &r, rc, &err);
		pst_buf_clear(&r.text);
	}
	(void)pthread_mutex_unlock(&v->lock);
	return NULL;
}

static void
run(struct verify *v)
{
	pthread_t threads[MAX_JOBS];
	size_t i, n = 0;

	v->messages = v->state.messages;
	v->differences = v->state.differences;
	v->explained = v->state.explained;
	v->told_ms = pst_now_ms();
	for (i = 1; i < v->jobs && i < v->users.n; i++)
		if (pthread_create(&threads[n], NULL, run_job, v) == 0)
			n++;
	(void)run_job(v);
	for (i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	tell_progress(v, true);
}

static int
verdict(const struct verify *v)
{
	if (v->is_stopped || v->differences > 0 || (v->strict && v->explained > 0))
		return CTL_FAILED;
	return v->failed > 0 ? CTL_TEMP : CTL_OK;
}

int
ctl_migrate_verify(struct ctl *c, int argc, char **argv)
{
	struct verify v = {
		.c = c,
		.jobs = DEFAULT_JOBS,
		.compare = { .depth = COMPARE_HEADERS },
		.state = { .fd = -1 },
	};
	struct pst_err err;
	int status;

	migrate_begin();
	migrate_side_init(&v.old);
	migrate_side_init(&v.new);
	v.compare.old = &v.old;
	v.compare.new = &v.new;
	(void)pthread_mutex_init(&v.lock, NULL);
	status = read_arguments(&v, argc, argv);
	if (status == CTL_OK && prepare(&v, &err) != 0)
		status = ctl_fail("%s", err.text);
	if (status == CTL_OK) {
		run(&v);
		status = verdict(&v);
	}
	vstate_close(&v.state);
	migrate_users_clear(&v.users);
	migrate_side_clear(&v.old);
	migrate_side_clear(&v.new);
	(void)pthread_mutex_destroy(&v.lock);
	return status;
}
