/* SPDX-License-Identifier: MIT */
/* The command line of commands on maildrops; see drops.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/drops.h"

enum option_id { O_DOMAIN = 100, O_ALL, O_FROM, O_JOBS, O_WAIT, O_LIMIT, O_PROGRESS };

#define OPTIONS_MAX 40
#define JOBS_MAX 64
#define SECONDS_MAX 1000000

static const struct option about_many[] = {
	{ "domain", required_argument, NULL, O_DOMAIN },
	{ "all", no_argument, NULL, O_ALL },
	{ "from", required_argument, NULL, O_FROM },
	{ "jobs", required_argument, NULL, O_JOBS },
	{ "progress", no_argument, NULL, O_PROGRESS },
};

static const struct option about_any[] = {
	{ "wait", required_argument, NULL, O_WAIT },
	{ "limit", required_argument, NULL, O_LIMIT },
};

struct said {
	const struct drops_plan *plan;
	struct drops_names names;
	struct drops_how how;
};

static size_t
add(struct option *out, size_t n, const struct option *more, size_t count)
{
	size_t i;

	for (i = 0; i < count && n + 1 < OPTIONS_MAX; i++)
		out[n++] = more[i];
	return n;
}

static void
join_options(const struct drops_plan *plan, struct option out[OPTIONS_MAX])
{
	size_t own = 0, n = 0;

	memset(out, 0, OPTIONS_MAX * sizeof(*out));
	while (plan->options != NULL && plan->options[own].name != NULL)
		own++;
	n = add(out, n, plan->options, own);
	n = add(out, n, about_any, sizeof(about_any) / sizeof(about_any[0]));
	if (!plan->is_one)
		(void)add(out, n, about_many, sizeof(about_many) / sizeof(about_many[0]));
}

static int
take_number(const char *option, uint64_t max, uint64_t *out)
{
	if (pst_str_u64(pst_str_c(optarg), out) && *out > 0 && *out <= max)
		return CTL_OK;
	return ctl_fail("--%s: \"%s\" is not a number from 1 to %llu", option, optarg,
	                (unsigned long long)max);
}

static int
take_option(struct said *s, int id)
{
	uint64_t number = 0;
	int status = CTL_OK;

	switch (id) {
	case O_DOMAIN:
		s->names.domain = optarg;
		break;
	case O_ALL:
		s->names.all = true;
		break;
	case O_FROM:
		s->names.file = optarg;
		break;
	case O_PROGRESS:
		s->how.with_progress = true;
		break;
	case O_JOBS:
		status = take_number("jobs", JOBS_MAX, &number);
		s->how.jobs = (uint32_t)number;
		break;
	case O_WAIT:
		status = take_number("wait", SECONDS_MAX, &number);
		s->how.wait_ms = (int64_t)number * 1000;
		break;
	case O_LIMIT:
		status = take_number("limit", SECONDS_MAX, &number);
		s->how.limit_ms = (int64_t)number * 1000;
		break;
	default:
		if (id < 1 || id >= O_DOMAIN || s->plan->take == NULL ||
		    !s->plan->take(s->plan->arg, id))
			status = CTL_USAGE;
	}
	return status;
}

/* One user, or several, or a domain's, or a file's, or all. */
static bool
is_sensible(const struct said *s)
{
	const struct drops_names *n = &s->names;

	if (s->plan->is_one)
		return n->user_count == 1;
	return (n->user_count > 0) + (n->domain != NULL) + n->all + (n->file != NULL) == 1;
}

int
drops_parse(int argc, char **argv, const struct drops_plan *plan, struct drops_names *names_out,
            struct drops_how *how_out)
{
	struct said s = { .plan = plan };
	struct option options[OPTIONS_MAX];
	int id, status;

	join_options(plan, options);
	optind = 0; /* main has used it before */
	/* What stands before argv[0] is the command's last word. */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1) {
		status = take_option(&s, id);
		if (status != CTL_OK)
			return status;
	}
	s.names.users = (const char *const *)(argv + optind - 1);
	s.names.user_count = (size_t)(argc - (optind - 1));
	if (!is_sensible(&s))
		return CTL_USAGE;
	*names_out = s.names;
	*how_out = s.how;
	return plan->ready != NULL ? plan->ready(plan->arg) : CTL_OK;
}

int
drops_command(struct ctl *c, int argc, char **argv, const struct drops_plan *plan)
{
	struct drops_names names;
	struct drops_how how;
	int status = drops_parse(argc, argv, plan, &names, &how);

	return status == CTL_OK ? drops_each(c, &names, &how, plan, NULL) : status;
}
