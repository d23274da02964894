/* SPDX-License-Identifier: MIT */
/* Running a program; see program.h. */
#include "auth/checkpassword/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOT_STARTED 127 /* the child's status where exec failed; no protocol has it */
#define LOOK_MS 50
#define AFTER_END_MS 1
#define FILES 256 /* descriptors that it may have */

/* ---- In the child ---- */

static bool
limit(int resource, rlim_t value)
{
	const struct rlimit at = { value, value };

	return setrlimit((__rlimit_resource_t)resource, &at) == 0;
}

static bool
set_limits(const struct program_run *run)
{
	const rlim_t seconds = (rlim_t)(run->timeout_ms / 1000) + 1;

	return limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, seconds) && limit(RLIMIT_NOFILE, FILES) &&
	       limit(RLIMIT_AS, (rlim_t)run->max_memory);
}

/* Above all that is to be replaced, so that no dup2 hits the other's source. */
static int
lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

static bool
set_descriptors(int input, int report)
{
	int null = lift(open("/dev/null", O_RDWR | O_CLOEXEC));

	input = lift(input);
	report = lift(report);
	return null >= 0 && input >= 0 && report >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
	       dup2(null, 2) == 2 && dup2(input, 3) == 3 && dup2(report, 4) == 4 &&
	       close_range(5, ~0u, 0) == 0;
}

static void
reset_signals(void)
{
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void PST_NORETURN
become_program(const struct program_run *run, pid_t parent, int input, int report)
{
	(void)setpgid(0, 0);
	/* A worker that is killed for its slowness takes the program with it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(NOT_STARTED);
	reset_signals();
	if (set_descriptors(input, report) && set_limits(run) && chdir("/") == 0)
		(void)execve(run->argv[0], run->argv, run->envp);
	_exit(NOT_STARTED);
}

/* ---- In the worker ---- */

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what is there; false at the end, or where there is no more room. */
static bool
take_report(struct program_run *run, int fd)
{
	char rest[512];

	for (;;) {
		const size_t room = sizeof(run->report) - run->report_n;
		ssize_t n = room > 0 ? read(fd, run->report + run->report_n, room)
		                     : read(fd, rest, sizeof(rest));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		if (room > 0)
			run->report_n += (size_t)n;
	}
}

static bool
has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	       info.si_pid != 0;
}

/* Until the program has ended, or its time. Its end shows itself by that of the report, but not where
 * something that it has started holds the descriptor: then a look now and then finds it. */
static void
watch(struct program_run *run, pid_t pid, int report)
{
	const int64_t end = now_ms() + run->timeout_ms;
	struct pollfd at = { .fd = report, .events = POLLIN };

	while (!has_ended(pid)) {
		if (now_ms() >= end) {
			run->timed_out = true;
			return;
		}
		(void)poll(&at, 1, at.fd < 0 ? AFTER_END_MS : LOOK_MS);
		if (at.revents != 0 && !take_report(run, report))
			at.fd = -1;
	}
	(void)take_report(run, report);
}

/* The group goes while its leader is still there, ended or not: its number is nobody else's yet. */
static void
finish(struct program_run *run, pid_t pid)
{
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL); /* where it did not come to setpgid */
	while (waitpid(pid, &run->status, 0) < 0 && errno == EINTR)
		continue;
	/* Its children are this process's now, which is their reaper; so are those who left the group. */
	while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR)
		continue;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

static int
write_input(int fd, struct pst_str input, struct pst_err *err)
{
	ssize_t n = write(fd, input.p, input.n);

	if (n < 0)
		return pst_err_sys(err, PST_E_TEMP, "pipe");
	if ((size_t)n != input.n)
		return pst_err_set(err, PST_E_TEMP, "pipe: no room");
	return 0;
}

static void
close_pair(const int fds[2])
{
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

static int
start(struct program_run *run, int input[2], int report[2], struct pst_err *err)
{
	const pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return pst_err_sys(err, PST_E_TEMP, "fork");
	if (pid == 0)
		become_program(run, parent, input[0], report[1]);
	(void)setpgid(pid, pid); /* whoever of the two is first */
	close(input[0]);
	close(report[1]); /* else its end would not show */
	input[0] = report[1] = -1;
	watch(run, pid, report[0]);
	finish(run, pid);
	return 0;
}

int
program_run(struct program_run *run, struct pst_err *err)
{
	int input[2] = { -1, -1 }, report[2] = { -1, -1 };
	int rc = -1;

	run->report_n = 0;
	run->timed_out = false;
	run->status = 0;
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (pipe2(input, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0 ||
	    fcntl(report[0], F_SETFL, O_NONBLOCK) != 0) {
		pst_err_sys(err, PST_E_TEMP, "pipe");
		goto out;
	}
	/* It fits into the pipe, so it is there, and its end, before the program is. */
	if (write_input(input[1], run->input, err) != 0)
		goto out;
	close(input[1]);
	input[1] = -1;
	if (start(run, input, report, err) != 0)
		goto out;
	if (!run->timed_out && WIFEXITED(run->status) && WEXITSTATUS(run->status) == NOT_STARTED) {
		pst_err_set(err, PST_E_TEMP, "%.150s: it cannot be run (or ended with status %d)",
		            run->argv[0], NOT_STARTED);
		goto out;
	}
	rc = 0;
out:
	close_pair(input);
	close_pair(report);
	return rc;
}
