/* SPDX-License-Identifier: MIT */
/* posternctl maildrop watch: looks at a maildrop soon after mail came, so that its index is up to date
 * when its user comes. As with the other commands on maildrops a finder knows the users, and workers do
 * the work; this process knows paths. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/crew.h"
#include "ctl/finder.h"
#include "ctl/maildrop.h"
#include "ctl/watch.h"

#define AGAIN_MS 30000 /* after that one that was in use is looked at again */

enum { OPT_DELAY = 1, OPT_REFRESH };

struct said {
	uint64_t delay_s, refresh_s;
};

struct watcher {
	struct ctl *c;
	struct ctl now;          /* the configuration as it was last read */
	struct pst_arena *arena; /* of it */
	struct conf_texts storage_texts;
	const struct drops_names *names;
	const struct drops_how *how;
	const struct drops_plan *plan;
	const struct said *said;
	struct crew_order order;
	struct crew *crew;
	struct finder *finder;
	struct watch_list list;
	int64_t refresh_ms; /* when the users are asked for again */
	uint32_t told_unwatched;
	size_t told_n;
	bool was_told;
	struct crew_listener listener;
};

static volatile sig_atomic_t is_over;

static void
on_signal(int number)
{
	(void)number;
	is_over = 1;
}

static bool
take(void *arg, int id)
{
	struct said *s = arg;
	uint64_t *to = id == OPT_DELAY ? &s->delay_s : &s->refresh_s;

	if (pst_str_u64(pst_str_c(optarg), to) && *to > 0 && *to <= 86400)
		return true;
	(void)ctl_fail("\"%s\" is not a number of seconds from 1 to 86400", optarg);
	return false;
}

static int
look(struct drop *d, void *arg, struct pst_err *err)
{
	(void)d, (void)arg, (void)err; /* it was opened: that is all */
	return 0;
}

/* ---- Workers ---- */

static void
on_line(void *arg, bool to_stderr, struct pst_str text)
{
	(void)arg;
	fprintf(to_stderr ? stderr : stdout, "%.*s\n", PST_ARG(text));
}

static void
on_ended(void *arg, const struct crew_result *result)
{
	struct watcher *x = arg;
	struct watched *w = watch_list_find(&x->list, result->user);

	if (w == NULL)
		return;
	w->in_hand = false;
	if (result->rc == 0) {
		w->was_told = false;
		return;
	}
	if (result->err.kind == PST_E_IN_USE) {
		w->due_ms = pst_now_ms() + AGAIN_MS;
		return;
	}
	if (!w->was_told)
		(void)ctl_fail("%s: %s", result->user, result->err.text);
	w->was_told = true;
}

static int64_t
give_work(struct watcher *x)
{
	int64_t next_ms = -1;

	while (crew_has_room(x->crew)) {
		struct watched *w = watch_list_due(&x->list, pst_now_ms(), &next_ms);

		if (w == NULL)
			return next_ms;
		w->due_ms = 0;
		w->in_hand = true;
		crew_give(x->crew, &w->row);
	}
	return -1; /* the next to end tells */
}

/* ---- Users ---- */

/* The configuration is read again, too; where it is bad now, the users stay as they are. */
static void
begin_refresh(struct watcher *x)
{
	struct pst_arena *arena = pst_arena_create();
	struct ctl *now = pst_new(struct ctl);
	struct conf_texts texts;
	struct crew_order order;

	*now = *x->c;
	now->arena = arena;
	x->refresh_ms = pst_now_ms() + (int64_t)x->said->refresh_s * 1000;
	x->finder = finder_start(now, x->names, &texts);
	if (x->finder != NULL &&
	    crew_order_fill(&order, now, &x->storage_texts, x->plan, x->how) == CTL_OK) {
		x->now = *now;
		x->storage_texts = texts;
		x->order = order;
		x->order.settings = &x->now.settings;
		pst_arena_destroy(x->arena);
		x->arena = arena;
		watch_list_begin(&x->list);
	} else {
		finder_destroy(x->finder);
		x->finder = NULL;
		pst_arena_destroy(arena);
	}
	free(now);
}

static void
tell_state(struct watcher *x)
{
	if (x->list.unwatched > 0 && x->list.unwatched != x->told_unwatched)
		(void)ctl_fail(
			"the kernel gives no more watches (fs.inotify.max_user_watches): %u of "
			"%zu maildrops are looked at only every %llu seconds (--refresh). To "
			"watch all: sysctl fs.inotify.max_user_watches=%zu",
			x->list.unwatched, x->list.n, (unsigned long long)x->said->refresh_s,
			x->list.n * 4 + 8192);
	x->told_unwatched = x->list.unwatched;
	if (!x->was_told || x->told_n != x->list.n)
		printf("watching %zu maildrops with %u watches\n", x->list.n, x->list.watches);
	(void)fflush(stdout);
	x->was_told = true;
	x->told_n = x->list.n;
}

static void
hear_finder(struct watcher *x)
{
	struct finder_answer a;

	finder_take(x->finder, &a);
	switch (a.said) {
	case FINDER_ROW:
		watch_list_take(&x->list, &a.row, pst_now_ms());
		break;
	case FINDER_FAILED:
		(void)ctl_fail("%s: %s", a.row.user, a.err.text);
		break;
	case FINDER_COUNT:
	case FINDER_PASSED:
		break;
	case FINDER_END:
	default:
		watch_list_end(&x->list, a.complete);
		finder_destroy(x->finder);
		x->finder = NULL;
		tell_state(x);
		break;
	}
}

/* ---- The loop ---- */

static int
patience(const struct watcher *x, int64_t next_ms)
{
	const int crew_ms = crew_patience_ms(x->crew);
	int64_t wait = x->finder == NULL ? x->refresh_ms - pst_now_ms() : 60000;

	if (next_ms >= 0 && next_ms - pst_now_ms() < wait)
		wait = next_ms - pst_now_ms();
	if (crew_ms >= 0 && crew_ms < wait)
		wait = crew_ms;
	return wait < 0 ? 0 : wait > 60000 ? 60000 : (int)wait;
}

static void
turn(struct watcher *x)
{
	struct pollfd fds[CREW_MAX + 2];
	int wait_ms = patience(x, give_work(x));
	struct timespec limit = { .tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L };
	size_t n = crew_poll(x->crew, fds), inotify_at = n, finder_at;
	sigset_t none;
	int ready;

	fds[n++] = (struct pollfd){ .fd = x->list.fd, .events = POLLIN };
	finder_at = n;
	if (x->finder != NULL)
		fds[n++] = (struct pollfd){ .fd = finder_fd(x->finder), .events = POLLIN };
	(void)sigemptyset(&none);
	ready = ppoll(fds, n, &limit, &none);
	if (ready > 0 && fds[inotify_at].revents != 0)
		watch_list_hear(&x->list, pst_now_ms());
	crew_hear(x->crew);
	if (ready > 0 && x->finder != NULL && fds[finder_at].revents != 0)
		hear_finder(x);
	if (x->finder == NULL && pst_now_ms() >= x->refresh_ms)
		begin_refresh(x);
}

static void
take_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t block;

	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGINT);
	(void)sigaddset(&block, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &block, NULL);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
}

static int
run(struct watcher *x)
{
	struct pst_err err;
	int status = CTL_FAILED;

	if (watch_list_init(&x->list, (int64_t)x->said->delay_s * 1000, &err) != 0)
		return ctl_fail("%s", err.text);
	take_signals();
	begin_refresh(x);
	if (x->finder != NULL) {
		x->listener = (struct crew_listener){ on_line, on_ended, x };
		x->crew = crew_create(&x->order, &x->listener);
		while (!is_over)
			turn(x);
		crew_destroy(x->crew);
		status = CTL_OK;
	}
	finder_destroy(x->finder);
	watch_list_clear(&x->list);
	pst_arena_destroy(x->arena);
	return status;
}

int
ctl_maildrop_watch(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, OPT_DELAY },
		{ "refresh", required_argument, NULL, OPT_REFRESH },
		{ NULL, 0, NULL, 0 },
	};
	struct said said = { .delay_s = 2, .refresh_s = 300 };
	const struct drops_plan plan = {
		.work = look,
		.arg = &said,
		.options = options,
		.take = take,
	};
	struct drops_names names;
	struct drops_how how;
	struct watcher *x;
	int status = drops_parse(argc, argv, &plan, &names, &how);

	if (status != CTL_OK)
		return status;
	x = pst_new(struct watcher);
	x->c = c;
	x->names = &names;
	x->how = &how;
	x->plan = &plan;
	x->said = &said;
	status = run(x);
	free(x);
	return status;
}
