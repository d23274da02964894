/* SPDX-License-Identifier: MIT */
/* posternctl password …: makes and checks stored forms of passwords, and says what each scheme costs. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "base/arena.h"
#include "credentials/chain.h"
#include "ctl/ctl.h"
#include "ctl/password.h"

#define LINE_MAX_OCTETS 4096 /* of a stored form */
#define TIMED_MS 100         /* a scheme is tried until it has taken so long */

struct request {
	const char *scheme, *user;
	struct ctl_password_source source;
	const char *word; /* the argument, or NULL */
	struct scheme_cost cost;
	struct pst_secret password;
	struct pst_err err;
};

enum option_id { O_FILE = 1, O_STDIN, O_SCHEME, O_USER };

static const struct option make_options[] = {
	{ "password-file", required_argument, NULL, O_FILE },
	{ "password-stdin", no_argument, NULL, O_STDIN },
	{ "scheme", required_argument, NULL, O_SCHEME },
	{ NULL, 0, NULL, 0 },
};
static const struct option check_options[] = {
	{ "password-file", required_argument, NULL, O_FILE },
	{ "password-stdin", no_argument, NULL, O_STDIN },
	{ "user", required_argument, NULL, O_USER },
	{ NULL, 0, NULL, 0 },
};

static bool
take_option(struct request *r, int id)
{
	switch (id) {
	case O_FILE:
		r->source = (struct ctl_password_source){ .file = optarg };
		return true;
	case O_STDIN:
		r->source = (struct ctl_password_source){ .use_stdin = true };
		return true;
	case O_SCHEME:
		r->scheme = optarg;
		return true;
	case O_USER:
		r->user = optarg;
		return true;
	default:
		return false;
	}
}

/* The arguments and the settings; words is how many there must be besides options. */
static int
begin(struct request *r, struct ctl *c, int argc, char **argv, const struct option *options,
      int words)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(r, id))
			return CTL_USAGE;
	if (argc + 1 - optind != words)
		return CTL_USAGE;
	r->word = argv[optind - 1];
	if (!c->config_given && access(c->config_path, F_OK) != 0)
		c->config_path = NULL; /* where there is no server the defaults do */
	if (ctl_need_config(c) != 0)
		return CTL_FAILED;
	r->cost = chain_cost(&c->settings);
	return CTL_OK;
}

/* ---- password make ---- */

int
ctl_password_make(struct ctl *c, int argc, char **argv)
{
	struct request r = { .scheme = NULL };
	int status = begin(&r, c, argc, argv, make_options, 0);
	struct pst_str stored;
	int rc;

	if (status != CTL_OK)
		return status;
	if (r.scheme == NULL)
		r.scheme = c->settings.auth.default_scheme;
	if (!scheme_is_usable(r.scheme, &r.cost))
		return ctl_fail("--scheme: %s is not known, too weak or not to be made", r.scheme);
	if (ctl_password_read(&r.source, "Password: ", true, &r.password, &r.err) != 0)
		return ctl_fail("%s", r.err.text);
	rc = scheme_make(r.scheme, pst_secret_view(&r.password), &r.cost, c->arena, &stored,
	                 &r.err);
	pst_secret_clear(&r.password);
	if (rc != 0)
		return ctl_fail("%s", r.err.text);
	printf("%.*s\n", PST_ARG(stored));
	return CTL_OK;
}

/* ---- password check ---- */

static bool
check_line(struct request *r, struct pst_str stored, const char *default_scheme)
{
	const struct pst_str user = pst_str_c(r->user != NULL ? r->user : "");

	switch (scheme_verify_user(stored, user, pst_secret_view(&r->password), default_scheme,
	                           &r->cost, &r->err)) {
	case SCHEME_MATCH:
		printf("right\n");
		return true;
	case SCHEME_DIFFERS:
		printf("wrong\n");
		return false;
	case SCHEME_ERROR:
		break;
	}
	printf("error: %s\n", r->err.text);
	return false;
}

static int
check_lines(struct request *r, FILE *f, const char *default_scheme)
{
	char line[LINE_MAX_OCTETS + 2];
	int status = CTL_OK;

	while (fgets(line, sizeof(line), f) != NULL) {
		struct pst_str stored = pst_str_c(line);

		if (stored.n > 0 && line[stored.n - 1] == '\n')
			stored.n--;
		else if (stored.n > LINE_MAX_OCTETS)
			return ctl_fail("%s: a line of more than %d octets", r->word,
			                LINE_MAX_OCTETS);
		if (!check_line(r, stored, default_scheme))
			status = CTL_FAILED;
	}
	if (ferror(f))
		return ctl_fail("%s: %s", r->word, strerror(errno));
	return status;
}

int
ctl_password_check(struct ctl *c, int argc, char **argv)
{
	struct request r = { .scheme = NULL };
	int status = begin(&r, c, argc, argv, check_options, 1);
	FILE *f;

	if (status != CTL_OK)
		return status;
	if (ctl_password_read(&r.source, "Password: ", false, &r.password, &r.err) != 0)
		return ctl_fail("%s", r.err.text);
	f = fopen(r.word, "re");
	if (f == NULL)
		status = ctl_fail("%s: %s", r.word, strerror(errno));
	else
		status = check_lines(&r, f, c->settings.auth.default_scheme);
	if (f != NULL)
		(void)fclose(f);
	pst_secret_clear(&r.password);
	return status;
}

/* ---- password schemes ---- */

static int64_t
cpu_us(void)
{
	struct timespec ts = { 0, 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Processor time of making one, in microseconds, which is that of a check; -1: it cannot be made. */
static int64_t
time_scheme(const char *name, const struct scheme_cost *cost)
{
	const int64_t start = cpu_us();
	int64_t took = 0;
	int64_t count = 0;

	while (took < TIMED_MS * 1000) {
		struct pst_arena *arena = pst_arena_create();
		struct pst_str stored;
		struct pst_err err;
		int rc = scheme_make(name, PST_LIT("secret"), cost, arena, &stored, &err);

		pst_arena_destroy(arena);
		if (rc != 0)
			return -1;
		count++;
		took = cpu_us() - start;
	}
	return took / count;
}

int
ctl_password_schemes(struct ctl *c, int argc, char **argv)
{
	struct request r = { .scheme = NULL };
	int status = begin(&r, c, argc, argv, check_options, 0);
	struct scheme_info info;
	struct scheme_cost cost;
	size_t i;

	if (status != CTL_OK)
		return status;
	cost = r.cost;
	cost.allow_weak = true;
	for (i = 0; scheme_at(i, &info); i++) {
		const int64_t us = time_scheme(info.name, &cost);

		if (us >= 0)
			printf("%-14s %8.3f ms", info.name, (double)us / 1000);
		else
			printf("%-14s %11s", info.name, "not made");
		printf("%s\n", info.is_weak ? "  weak" : "");
	}
	return CTL_OK;
}
