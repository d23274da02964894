/* SPDX-License-Identifier: MIT */
/* Commands on maildrops: the process in the middle; see drops.h. It may run as root, and reads what its
 * two kinds of children tell, nothing else. */
#include "ctl/drops.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/system.h"
#include "ctl/crew.h"
#include "ctl/finder.h"
#include "ctl/progress.h"

#define JOBS_DEFAULT_MAX 16
#define LIMIT_DEFAULT_MS INT64_C(3600000)

struct round {
	struct ctl *c;
	const struct drops_names *names;
	const struct drops_plan *plan;
	struct crew_order order;
	struct crew *crew;
	struct finder *finder; /* NULL: it has told all */
	struct conf_texts storage_texts;
	struct progress progress;
	struct drops_sum sum;
};

/* ---- What is heard ---- */

static void
complain(struct round *r, const char *user, const struct pst_err *err)
{
	char text[1024];
	char *at;

	(void)snprintf(text, sizeof(text), "%.300s: %s%.250s", user,
	               err->kind == PST_E_IN_USE ? "in use: try again, or wait for it (--wait): "
	                                         : "",
	               err->text);
	for (at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	progress_hide(&r->progress);
	fprintf(stderr, "posternctl: %s\n", text);
}

static void
count_failure(struct round *r, const char *user, const struct pst_err *err)
{
	complain(r, user, err);
	r->sum.failed++;
	if (err->kind == PST_E_IN_USE)
		r->sum.in_use++;
	if (err->kind == PST_E_IN_USE || err->kind == PST_E_TEMP)
		r->sum.temporary++;
}

static void
on_line(void *arg, bool to_stderr, struct pst_str text)
{
	struct round *r = arg;

	progress_hide(&r->progress);
	if (to_stderr)
		fprintf(stderr, "posternctl: %.*s\n", PST_ARG(text));
	else
		printf("%.*s\n", PST_ARG(text));
}

static void
on_ended(void *arg, const struct crew_result *result)
{
	struct round *r = arg;
	size_t i;

	if (result->rc != 0)
		count_failure(r, result->user, &result->err);
	r->sum.done++;
	for (i = 0; i < DROPS_COUNTS; i++)
		r->sum.counts[i] += result->counts[i];
}

static void
hear_finder(struct round *r)
{
	struct finder_answer a;

	finder_take(r->finder, &a);
	switch (a.said) {
	case FINDER_COUNT:
		r->progress.total = a.count;
		break;
	case FINDER_ROW:
		crew_give(r->crew, &a.row);
		break;
	case FINDER_FAILED:
		r->sum.done++;
		count_failure(r, a.row.user, &a.err);
		break;
	case FINDER_PASSED:
		r->sum.done++;
		r->sum.passed++;
		break;
	case FINDER_END:
	default:
		r->sum.is_cut_short = r->sum.is_cut_short || !a.complete;
		finder_destroy(r->finder);
		r->finder = NULL;
		break;
	}
}

/* ---- Signals: the first one ends the giving out of work, the second one the work ---- */

static volatile sig_atomic_t signals_seen;

static void
on_signal(int number)
{
	(void)number;
	if (signals_seen < 2)
		signals_seen++;
}

struct old_signals {
	struct sigaction interrupt, terminate;
	sigset_t mask;
};

static void
take_signals(struct old_signals *old)
{
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t block;

	signals_seen = 0;
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGINT);
	(void)sigaddset(&block, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &block, &old->mask);
	(void)sigaction(SIGINT, &act, &old->interrupt);
	(void)sigaction(SIGTERM, &act, &old->terminate);
}

static void
give_signals_back(const struct old_signals *old)
{
	(void)sigaction(SIGINT, &old->interrupt, NULL);
	(void)sigaction(SIGTERM, &old->terminate, NULL);
	(void)sigprocmask(SIG_SETMASK, &old->mask, NULL);
}

/* False: stop at once. */
static bool
heed_signals(struct round *r)
{
	if (signals_seen > 0 && !r->sum.is_cut_short) {
		r->sum.is_cut_short = true;
		finder_destroy(r->finder);
		r->finder = NULL;
		progress_hide(&r->progress);
		if (crew_busy(r->crew) > 0)
			fprintf(stderr,
			        "posternctl: ends after what is in hand (%zu); once more: at "
			        "once\n",
			        crew_busy(r->crew));
	}
	return signals_seen < 2;
}

/* ---- The loop ---- */

static void
wait_for_news(const struct round *r, bool *from_finder)
{
	struct pollfd fds[CREW_MAX + 1];
	size_t n = crew_poll(r->crew, fds);
	int patience = crew_patience_ms(r->crew);
	struct timespec limit = { .tv_sec = patience / 1000,
		                  .tv_nsec = patience % 1000 * 1000000L };
	sigset_t none;

	*from_finder = false;
	if (r->finder != NULL && crew_has_room(r->crew))
		fds[n++] = (struct pollfd){ .fd = finder_fd(r->finder), .events = POLLIN };
	(void)sigemptyset(&none);
	if (ppoll(fds, n, patience < 0 ? NULL : &limit, &none) > 0 && r->finder != NULL &&
	    fds[n - 1].fd == finder_fd(r->finder))
		*from_finder = fds[n - 1].revents != 0;
}

static void
work_through(struct round *r)
{
	while (heed_signals(r) && (r->finder != NULL || crew_busy(r->crew) > 0)) {
		bool from_finder;

		wait_for_news(r, &from_finder);
		crew_hear(r->crew);
		if (from_finder && signals_seen == 0)
			hear_finder(r);
		progress_show(&r->progress, r->sum.done, r->sum.failed);
	}
	progress_hide(&r->progress);
}

/* ---- Beginning and end ---- */

static uint32_t
default_jobs(void)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1                      ? 2
	       : cores > JOBS_DEFAULT_MAX / 2 ? JOBS_DEFAULT_MAX
	                                      : 2 * (uint32_t)cores;
}

static int
find_mail_user(struct crew_order *o, struct ctl *c)
{
	struct conf_problems problems;
	struct settings_users users = { .mail = { 0, 0 } };

	if (geteuid() != 0 || c->settings.mail.run_as == RUN_AS_USER)
		return CTL_OK;
	conf_problems_init(&problems, c->arena);
	settings_find_users(&c->settings, &c->texts, &users, &problems);
	if (users.mail.uid == 0 || users.mail.gid == 0)
		return ctl_fail("server.mail_user: \"%s\" is no system user, or root",
		                c->settings.server.mail_user);
	o->mail_uid = users.mail.uid;
	o->mail_gid = users.mail.gid;
	return CTL_OK;
}

int
crew_order_fill(struct crew_order *o, struct ctl *c, const struct conf_texts *sections,
                const struct drops_plan *plan, const struct drops_how *how)
{
	*o = (struct crew_order){
		.settings = &c->settings,
		.sections = sections,
		.plan = plan,
		.how = *how,
	};
	if (o->how.jobs == 0)
		o->how.jobs = default_jobs();
	if (o->how.limit_ms == 0)
		o->how.limit_ms = LIMIT_DEFAULT_MS;
	return find_mail_user(o, c);
}

static int
begin(struct round *r, const struct drops_how *how)
{
	r->finder = finder_start(r->c, r->names, &r->storage_texts);
	if (r->finder == NULL)
		return CTL_FAILED;
	progress_begin(&r->progress, how->with_progress);
	return crew_order_fill(&r->order, r->c, &r->storage_texts, r->plan, how);
}

static int
judge(const struct round *r)
{
	if (r->sum.failed > r->sum.temporary)
		return CTL_FAILED;
	if (r->sum.failed > 0)
		return CTL_TEMP;
	return r->sum.is_cut_short ? CTL_FAILED : CTL_OK;
}

int
drops_each(struct ctl *c, const struct drops_names *names, const struct drops_how *how,
           const struct drops_plan *plan, struct drops_sum *sum_out)
{
	struct round r = { .c = c, .names = names, .plan = plan };
	const struct crew_listener listener = { on_line, on_ended, &r };
	struct old_signals old;
	int status = begin(&r, how);

	if (status == CTL_OK) {
		r.crew = crew_create(&r.order, &listener);
		take_signals(&old);
		work_through(&r);
		crew_destroy(r.crew);
		give_signals_back(&old);
		status = judge(&r);
		if (plan->sum_up != NULL)
			plan->sum_up(plan->arg, &r.sum);
	}
	finder_destroy(r.finder);
	if (sum_out != NULL)
		*sum_out = r.sum;
	return status;
}
