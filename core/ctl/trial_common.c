/* SPDX-License-Identifier: MIT */
/* What every plugin is tried with; see trial.h. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "ctl/trial.h"

extern char **environ;

/* ---- Start and stop ---- */

/* A worker starts it once; posternctl may several times. */
static void
starts_twice(struct trial *t)
{
	struct pst_err err;
	int round;

	for (round = 0; round < 2; round++) {
		struct plugin *p = trial_load(t);

		if (p == NULL)
			return;
		if (plugin_start(p, trial_worker(t), &err) != 0)
			trial_fail(t, "start, time %d: %s", round + 1, err.text);
		plugin_unload(p);
	}
}

/* ---- What belongs to the worker and not to the plugin ---- */

struct surroundings {
	struct sigaction signals[NSIG];
	mode_t mask;
	char folder[PATH_MAX];
	size_t variables;
	size_t descriptors;
};

static void
look_around(struct surroundings *s)
{
	int sig;

	memset(s, 0, sizeof(*s));
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, NULL, &s->signals[sig]);
	s->mask = umask(0);
	(void)umask(s->mask);
	if (getcwd(s->folder, sizeof(s->folder)) == NULL)
		s->folder[0] = '\0';
	while (environ != NULL && environ[s->variables] != NULL)
		s->variables++;
	s->descriptors = trial_descriptors();
}

static void
leaves_the_process_alone(struct trial *t)
{
	static struct surroundings before, after;
	struct pst_err err;
	int sig;

	look_around(&before);
	if (plugin_start(t->plugin, trial_worker(t), &err) != 0) {
		trial_fail(t, "start: %s", err.text);
		return;
	}
	look_around(&after);
	for (sig = 1; sig < NSIG; sig++)
		if (before.signals[sig].sa_handler != after.signals[sig].sa_handler)
			trial_fail(t, "start changed what signal %d (%s) does", sig,
			           strsignal(sig));
	if (before.mask != after.mask)
		trial_fail(t, "start changed the umask");
	if (strcmp(before.folder, after.folder) != 0)
		trial_fail(t, "start changed the working directory");
	if (before.variables != after.variables)
		trial_fail(t, "start changed the environment");
}

/* Standard output and error may be anything in a worker, the log among it. */
static void
prints_nothing(struct trial *t)
{
	const int saved = dup(STDOUT_FILENO);
	int fd = memfd_create("output", MFD_CLOEXEC);
	struct pst_err err;
	struct stat st;
	int rc;

	(void)fflush(NULL);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
		trial_skip(t, "no file for what it may print");
		return;
	}
	rc = plugin_start(t->plugin, trial_worker(t), &err);
	(void)fflush(NULL);
	(void)dup2(saved, STDOUT_FILENO);
	if (rc != 0)
		trial_fail(t, "start: %s", err.text);
	else if (fstat(fd, &st) == 0 && st.st_size > 0)
		trial_fail(t, "it prints to standard output: host->log is for that");
	close(saved);
	close(fd);
}

static void
closes_what_it_opens(struct trial *t)
{
	size_t before, after;
	int round;

	starts_twice(t); /* what a library opens once and for all is open now */
	before = trial_descriptors();
	for (round = 0; round < 8 && t->why[0] == '\0'; round++)
		starts_twice(t);
	after = trial_descriptors();
	if (after > before)
		trial_fail(t, "%zu descriptors more after 16 starts and stops", after - before);
}

const struct trial_case trial_common_cases[] = {
	{ "starts, stops, and starts again", false, starts_twice },
	{ "leaves signals, umask, folder and environment as they were", false,
	  leaves_the_process_alone },
	{ "prints nothing", false, prints_nothing },
	{ "closes what it opens", false, closes_what_it_opens },
	{ .name = NULL },
};
