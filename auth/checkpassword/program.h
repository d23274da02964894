/* SPDX-License-Identifier: MIT */
/* auth/checkpassword/program.h - runs a program once, bounded in all that it could use up. */
#ifndef AUTH_CHECKPASSWORD_PROGRAM_H
#define AUTH_CHECKPASSWORD_PROGRAM_H

#include <postern/err.h>
#include <postern/str.h>

#define PROGRAM_ARGS 64
#define PROGRAM_INPUT_MAX 4096   /* octets: what a pipe takes in one piece */
#define PROGRAM_REPORT_MAX 16384 /* octets */

struct program_run {
	char *const *argv;    /* argv[0] is the path; ended by NULL */
	char *const *envp;    /* all of its environment */
	struct pst_str input; /* on its descriptor 3; at most PROGRAM_INPUT_MAX octets */
	int64_t timeout_ms;
	int64_t max_memory; /* octets of address space */

	/* out: what came from its descriptor 4, cut at the limit; and how it ended */
	char report[PROGRAM_REPORT_MAX];
	size_t report_n;
	int status; /* as of waitpid(2) */
	bool timed_out;
};

/* Runs it in a process group of its own, of which nothing is left when this returns. It has
 * descriptors 0 to 2 on /dev/null, 3 and 4 as above, and no others. -1: it could not be started. */
int program_run(struct program_run *run, struct pst_err *err);

#endif
