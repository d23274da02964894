/* SPDX-License-Identifier: MIT */
/* Trying a plugin; see trial.h. */
#include "ctl/trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"

enum outcome { TRIAL_PASSED = 'p', TRIAL_FAILED = 'f', TRIAL_SKIPPED = 's' };

/* What the child tells: an outcome, then the reason. */
struct report {
	char octets[1 + sizeof(((struct trial *)0)->why)];
	size_t n;
};

static void
note(struct trial *t, bool is_skipped, const char *fmt, va_list ap)
{
	if (t->why[0] != '\0')
		return;
	t->is_skipped = is_skipped;
	(void)vsnprintf(t->why, sizeof(t->why), fmt, ap);
}

void
trial_fail(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(t, false, fmt, ap);
	va_end(ap);
}

void
trial_skip(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(t, true, fmt, ap);
	va_end(ap);
}

struct pst_str
trial_guarded(struct pst_str s)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t octets = (s.n + page - 1) / page * page;
	char *p = mmap(NULL, octets + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);

	pst_assert(p != MAP_FAILED);
	if (s.n > 0)
		memcpy(p + octets - s.n, s.p, s.n);
	if (octets > 0)
		(void)mprotect(p, octets, PROT_READ);
	(void)mprotect(p + octets, page, PROT_NONE);
	return (struct pst_str){ p + octets - s.n, s.n };
}

/* ---- In the process of one case ---- */

size_t
trial_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

struct plugin *
trial_load(struct trial *t)
{
	const struct trial_subject *s = t->subject;
	struct conf_problems problems;
	struct pst_err err;
	struct plugin *p = plugin_load_file(s->path, NULL, &err);

	if (p == NULL) {
		trial_fail(t, "%s", err.text);
		return NULL;
	}
	conf_problems_init(&problems, t->arena);
	plugin_configure(p, s->prefix, s->texts, &problems);
	if (problems.n == 0)
		return p;
	trial_fail(t, "%s", problems.v[0]);
	plugin_unload(p);
	return NULL;
}

const char *
trial_worker(const struct trial *t)
{
	return plugin_descriptor(t->plugin)->kind == PST_STORAGE ? "mail" : "auth";
}

static void
run_case(struct trial *t, const struct trial_case *one)
{
	struct pst_err err;

	t->arena = pst_arena_create();
	t->plugin = trial_load(t);
	if (t->plugin != NULL) {
		if (!one->starts)
			one->run(t);
		else if (plugin_start(t->plugin, trial_worker(t), &err) != 0)
			trial_fail(t, "start: %s", err.text);
		else
			one->run(t);
	}
	plugin_unload(t->plugin);
	pst_arena_destroy(t->arena);
}

static void
tell(int fd, const struct trial *t)
{
	struct report r;
	size_t n = strlen(t->why);

	r.octets[0] = n == 0 ? TRIAL_PASSED : t->is_skipped ? TRIAL_SKIPPED : TRIAL_FAILED;
	memcpy(r.octets + 1, t->why, n);
	for (r.n = n + 1, n = 0; n < r.n;) {
		ssize_t put = write(fd, r.octets + n, r.n - n);

		if (put <= 0)
			return;
		n += (size_t)put;
	}
}

/* ---- In ours ---- */

static void
describe_end(int status, char *out, size_t cap)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, cap, "it crashed: signal %d (%s)", WTERMSIG(status),
		               strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, cap, "it ended the process, with status %d",
		               WEXITSTATUS(status));
}

/* Until the child has told, closed its end, or used up its time; false in the last case. */
static bool
hear(int fd, int64_t limit_ms, struct report *r)
{
	const int64_t deadline = pst_now_ms() + limit_ms;

	for (r->n = 0; r->n < sizeof(r->octets);) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - pst_now_ms();
		ssize_t got;
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		got = read(fd, r->octets + r->n, sizeof(r->octets) - r->n);
		if (got <= 0)
			break;
		r->n += (size_t)got;
	}
	return true;
}

static void PST_NORETURN
run_child(const struct trial_subject *s, const struct trial_case *one, int fd)
{
	struct trial t = { .subject = s };

	run_case(&t, one);
	tell(fd, &t);
	_exit(0);
}

static enum outcome
try_apart(const struct trial_subject *s, const struct trial_case *one, char *why, size_t cap)
{
	struct report r;
	int ends[2], status = 0;
	bool in_time;
	pid_t pid;

	(void)fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		(void)snprintf(why, cap, "no process for it: %s", strerror(errno));
		return TRIAL_FAILED;
	}
	if (pid == 0) {
		close(ends[0]);
		run_child(s, one, ends[1]);
	}
	close(ends[1]);
	in_time = hear(ends[0], s->limit_ms, &r);
	close(ends[0]);
	if (!in_time)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!in_time)
		(void)snprintf(why, cap, "it took longer than %lld ms: the worker would be killed",
		               (long long)s->limit_ms);
	else if (r.n == 0)
		describe_end(status, why, cap);
	else
		(void)snprintf(why, cap, "%.*s", (int)r.n - 1, r.octets + 1);
	return in_time && r.n > 0 ? (enum outcome)r.octets[0] : TRIAL_FAILED;
}

static enum outcome
try_here(const struct trial_subject *s, const struct trial_case *one, char *why, size_t cap)
{
	struct trial t = { .subject = s };

	run_case(&t, one);
	(void)snprintf(why, cap, "%s", t.why);
	return t.why[0] == '\0' ? TRIAL_PASSED : t.is_skipped ? TRIAL_SKIPPED : TRIAL_FAILED;
}

void
trial_run_all(const struct trial_subject *s, const struct trial_case *cases, bool forks,
              struct trial_counts *counts)
{
	char why[sizeof(((struct trial *)0)->why)];

	for (; cases->name != NULL; cases++) {
		switch (forks ? try_apart(s, cases, why, sizeof(why))
		              : try_here(s, cases, why, sizeof(why))) {
		case TRIAL_PASSED:
			counts->passed++;
			if (forks)
				printf("  ok    %s\n", cases->name);
			break;
		case TRIAL_SKIPPED:
			counts->skipped++;
			if (forks)
				printf("  skip  %s: %s\n", cases->name, why);
			break;
		case TRIAL_FAILED:
			counts->failed++;
			printf("  FAIL  %s: %s\n", cases->name, why);
			break;
		}
	}
}
