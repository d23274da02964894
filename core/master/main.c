/* SPDX-License-Identifier: MIT */
/* postern: the program. Arguments, configuration, start; the only file that knows all workers. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/worker.h"
#include "base/log.h"
#include "base/mem.h"
#include "keys/worker.h"
#include "login/worker.h"
#include "mail/worker.h"
#include "master/master.h"

#define DEFAULT_FILE PST_SYSCONF_DIR "/postern.conf"

static const struct worker_code *const codes[WORKER_KINDS] = {
	[WORKER_LOGIN] = &login_worker,
	[WORKER_KEYS] = &keys_worker,
	[WORKER_AUTH] = &auth_worker,
	[WORKER_MAIL] = &mail_worker,
};

static const char usage_text[] =
	"usage: postern [-c FILE] [-s PATH=VALUE]... [-f] [--check]\n"
	"\n"
	"The Postern POP3 server. It stays in the foreground; the service manager is told when\n"
	"it is ready.\n"
	"\n"
	"  -c, --config FILE      the configuration (" DEFAULT_FILE ")\n"
	"  -s, --set PATH=VALUE   a setting in place of the file's: -s login.workers=2\n"
	"  -f, --foreground       accepted, and always so\n"
	"      --check            read and check the configuration and the plugins, and end\n"
	"      --version          the version, and end\n"
	"      --help             this, and end\n"
	"\n"
	"Signals: HUP reload, TERM and INT stop (let sessions finish; again: at once), USR1 open\n"
	"the log again. posternctl(1) does the same and more.\n";

enum { OPT_CHECK = 256, OPT_VERSION, OPT_HELP };

struct arguments {
	struct conf_source source;
	const char **sets; /* source.sets */
	bool check_only;
	int exit_status; /* -1: go on */
};

static void
take_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	a->exit_status = -1;
	a->source.path = DEFAULT_FILE;
	a->sets = pst_new_array(const char *, (size_t)argc);
	a->source.sets = a->sets;
	while ((c = getopt_long(argc, argv, "c:s:f", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			a->source.path = optarg;
			break;
		case 's':
			a->sets[a->source.set_count++] = optarg;
			break;
		case 'f':
			break;
		case OPT_CHECK:
			a->check_only = true;
			break;
		case OPT_VERSION:
			(void)puts("postern " PACKAGE_VERSION);
			a->exit_status = 0;
			return;
		case OPT_HELP:
			(void)fputs(usage_text, stdout);
			a->exit_status = 0;
			return;
		default:
			(void)fputs("try postern --help\n", stderr);
			a->exit_status = 2;
			return;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "postern: what is \"%s\"? try postern --help\n",
		              argv[optind]);
		a->exit_status = 2;
	}
}

/* Descriptors 0 to 2 are always something, so that no socket gets their numbers. */
static int
fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	(void)dup2(fd, STDIN_FILENO); /* nothing reads the terminal */
	close(fd);
	return 0;
}

static int
run(const struct arguments *a)
{
	static struct master m; /* process lifetime */
	struct conf *conf;
	char *problems = NULL;
	struct pst_err err;
	int status;

	m.codes = codes;
	m.source = a->source;
	if (master_init(&m, &err) != 0) {
		(void)fprintf(stderr, "postern: %s\n", err.text);
		return 1;
	}
	conf = conf_read(&m.regions, &m.source, &problems);
	if (conf == NULL)
		(void)fputs(problems, stderr);
	if (conf == NULL || a->check_only) {
		status = conf == NULL;
		if (status == 0)
			(void)printf("%s: no problems\n", a->source.path);
		conf_destroy(&m.regions, conf);
	} else {
		status = master_run(&m, conf);
	}
	free(problems);
	master_clear(&m);
	return status;
}

int
main(int argc, char **argv)
{
	struct arguments a = { 0 };
	int status;

	take_arguments(argc, argv, &a);
	status = a.exit_status;
	if (status < 0 && fill_standard_descriptors() != 0) {
		(void)fputs("postern: /dev/null cannot be opened\n", stderr);
		status = 1;
	}
	if (status < 0)
		status = run(&a);
	free(a.sets);
	return status;
}
