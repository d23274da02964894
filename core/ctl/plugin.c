/* SPDX-License-Identifier: MIT */
/* posternctl plugin check: what a plugin author wants to know before an admin does. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <postern/auth.h>
#include <postern/policy.h>
#include <postern/storage.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/table.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "ctl/trial.h"
#include "plugin/loader.h"

#define VALGRIND_FOUND "99"

/* Which of its functions the server will call. */
static void
print_functions(const struct pst_plugin *d)
{
	const struct pst_auth *a = d->kind == PST_AUTH ? d->auth : NULL;
	const struct pst_policy *p = d->kind == PST_POLICY ? d->policy : NULL;
	const struct pst_storage *s = d->kind == PST_STORAGE ? d->storage : NULL;
	const struct {
		const char *name;
		bool is_there;
	} functions[] = {
		{ "lookup", a != NULL && a->lookup != NULL },
		{ "verify", a != NULL && a->verify != NULL },
		{ "token", a != NULL && a->token != NULL },
		{ "user administration", a != NULL && a->user_add != NULL },
		{ "probe", a != NULL && a->probe != NULL },
		{ "notes", a != NULL && a->notes != NULL },
		{ "rehash", a != NULL && a->rehash != NULL },
		{ "watch", a != NULL && a->watch_fd != NULL },
		{ "on_connect", p != NULL && p->on_connect != NULL },
		{ "before_auth", p != NULL && p->before_auth != NULL },
		{ "after_auth", p != NULL && p->after_auth != NULL },
		{ "open, count, message, fetch, commit, close", s != NULL },
		{ "open_now", s != NULL && s->open_now != NULL },
		{ "closes_now", s != NULL && s->closes_now != NULL },
		{ "add", s != NULL && s->add != NULL },
		{ "rearrange", s != NULL && s->rearrange != NULL },
		{ "received", s != NULL && s->received != NULL },
		{ "mark_seen", s != NULL && s->mark_seen != NULL },
		{ "hold", s != NULL && s->hold != NULL },
		{ "bring_back", s != NULL && s->bring_back != NULL },
		{ "let_go", s != NULL && s->let_go != NULL },
		{ "envelope", s != NULL && s->envelope != NULL },
		{ "check of its settings", d->check != NULL },
	};
	const char *comma = "";
	size_t i;

	printf("functions ");
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (functions[i].is_there) {
			printf("%s%s", comma, functions[i].name);
			comma = ", ";
		}
	printf("\n");
}

/* ---- Trying it ---- */

struct check {
	struct ctl *c;
	const char *path;
	struct trial_subject subject;
	struct ctl_password_source source;
	struct pst_secret password;
	bool only_show;
	bool no_valgrind;
	bool is_inside; /* this is the process that valgrind watches */
};

enum option_id {
	O_USER = 1,
	O_FILE,
	O_STDIN,
	O_MAILDROP,
	O_LIMIT,
	O_SHOW,
	O_NO_VALGRIND,
	O_INSIDE
};

static const struct option options[] = {
	{ "user", required_argument, NULL, O_USER },
	{ "password-file", required_argument, NULL, O_FILE },
	{ "password-stdin", no_argument, NULL, O_STDIN },
	{ "maildrop", required_argument, NULL, O_MAILDROP },
	{ "limit", required_argument, NULL, O_LIMIT },
	{ "only-show", no_argument, NULL, O_SHOW },
	{ "no-valgrind", no_argument, NULL, O_NO_VALGRIND },
	{ "inside", no_argument, NULL, O_INSIDE }, /* ours alone */
	{ NULL, 0, NULL, 0 },
};

static bool
take_option(struct check *k, int id)
{
	uint64_t seconds;

	switch (id) {
	case O_USER:
		k->subject.user = optarg;
		return true;
	case O_FILE:
		k->source.file = optarg;
		k->subject.has_password = true;
		return true;
	case O_STDIN:
		k->source.use_stdin = true;
		k->subject.has_password = true;
		return true;
	case O_MAILDROP:
		k->subject.maildrop = optarg;
		return true;
	case O_LIMIT:
		if (!pst_str_u64(pst_str_c(optarg), &seconds) || seconds < 1 || seconds > 3600)
			return false;
		k->subject.limit_ms = (int64_t)seconds * 1000;
		return true;
	case O_SHOW:
		k->only_show = true;
		return true;
	case O_NO_VALGRIND:
		k->no_valgrind = true;
		return true;
	case O_INSIDE:
		k->is_inside = true;
		return true;
	default:
		return false;
	}
}

static int
read_arguments(struct check *k, int argc, char **argv)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(k, id))
			return CTL_USAGE;
	if (optind - 1 != argc - 1)
		return CTL_USAGE;
	k->path = argv[optind - 1];
	return CTL_OK;
}

/* The plugin's settings: of the file only where one was named, for it may be another server's. */
static int
read_settings(struct check *k)
{
	struct ctl *c = k->c;

	conf_texts_init(&c->texts, c->arena);
	conf_problems_init(&c->problems, c->arena);
	conf_file_read(c->config_given ? c->config_path : "/dev/null", c->sets, c->set_count,
	               &c->texts, &c->problems);
	if (c->problems.n == 0)
		return 0;
	ctl_print_problems(&c->problems);
	return -1;
}

/* What valgrind had to say, but for system calls that it does not know. */
static void
print_findings(int fd)
{
	FILE *f = fdopen(fd, "r");
	char *line = NULL;
	size_t room = 0;
	bool is_known = true;

	if (f == NULL) {
		close(fd);
		return;
	}
	rewind(f);
	while (getline(&line, &room, f) > 0) {
		if (strstr(line, "WARNING: unhandled") != NULL)
			is_known = false;
		if (is_known)
			printf("  %s", line);
		if (strstr(line, "bug_reports.html") != NULL)
			is_known = true;
	}
	free(line);
	(void)fclose(f);
}

/* Runs this program again with the same arguments and --inside, under valgrind; its exit status, or -1
 * where there is no valgrind. What it finds is printed. */
static int
run_valgrind(const struct check *k)
{
	const struct ctl *c = k->c;
	const char **argv = pst_new_array(const char *, 2 * c->set_count + 24);
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const int log = memfd_create("valgrind", 0); /* which it inherits */
	int status = -1;
	size_t n = 0, i;
	union {
		const char **in;
		char *const *out;
	} args = { argv };
	pid_t pid;

	if (len <= 0 || log < 0)
		goto out;
	self[len] = '\0';
	argv[n++] = "valgrind";
	argv[n++] = "-q";
	argv[n++] = "--error-exitcode=" VALGRIND_FOUND;
	argv[n++] = "--leak-check=full";
	argv[n++] = "--show-leak-kinds=definite";
	argv[n++] = "--errors-for-leak-kinds=definite";
	argv[n++] = "--keep-debuginfo=yes";
	argv[n++] = pst_arena_printf(c->arena, "--log-fd=%d", log);
	argv[n++] = self;
	if (c->config_given) {
		argv[n++] = "-c";
		argv[n++] = c->config_path;
	}
	for (i = 0; i < c->set_count; i++) {
		argv[n++] = "-s";
		argv[n++] = c->sets[i];
	}
	argv[n++] = "plugin";
	argv[n++] = "check";
	argv[n++] = "--inside";
	if (k->subject.user != NULL) {
		argv[n++] = "--user";
		argv[n++] = k->subject.user;
	}
	if (k->subject.maildrop != NULL) {
		argv[n++] = "--maildrop";
		argv[n++] = k->subject.maildrop;
	}
	argv[n++] = k->path;
	(void)fflush(stdout);
	if (posix_spawnp(&pid, "valgrind", NULL, NULL, args.out, environ) != 0)
		goto out;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (status == 127) /* no such program */
		status = -1;
	else if (status != 0) {
		print_findings(log);
		free(argv);
		return status;
	}
out:
	if (log >= 0)
		close(log);
	free(argv);
	return status;
}

static void
try_under_valgrind(const struct check *k, struct trial_counts *counts)
{
	int status = -1;

#ifdef PST_SANITIZE
	printf("  skip  memory errors and leaks: this program looks for them itself\n");
	counts->skipped++;
	return;
#endif
	if (!k->no_valgrind && counts->failed == 0)
		status = run_valgrind(k);
	if (status < 0) {
		printf("  skip  memory errors and leaks: %s\n",
		       k->no_valgrind        ? "--no-valgrind"
		       : counts->failed != 0 ? "mend the above first"
		                             : "valgrind is not installed");
		counts->skipped++;
	} else if (status == 0) {
		printf("  ok    memory errors and leaks, by valgrind\n");
		counts->passed++;
	} else {
		printf("  FAIL  memory errors and leaks: valgrind found what stands above\n");
		counts->failed++;
	}
}

static int
try_it(struct check *k, enum pst_kind kind)
{
	struct trial_counts counts = { 0 };
	const bool forks = !k->is_inside;

	if (forks)
		printf("trials:\n");
	else /* what hangs here hung above, but valgrind is slow */
		(void)alarm((unsigned)(k->subject.limit_ms / 1000) * 30);
	trial_run_all(&k->subject, trial_common_cases, forks, &counts);
	if (kind == PST_AUTH)
		trial_run_all(&k->subject, trial_auth_cases, forks, &counts);
	if (kind == PST_STORAGE) {
		trial_run_all(&k->subject, trial_storage_cases, forks, &counts);
		trial_run_all(&k->subject, trial_change_cases, forks, &counts);
	}
	if (!forks)
		return counts.failed == 0 ? CTL_OK : CTL_FAILED;
	try_under_valgrind(k, &counts);
	printf("%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
	return counts.failed == 0 ? CTL_OK : CTL_FAILED;
}

static void
show(const struct pst_plugin *d, const char *prefix, const struct conf_texts *texts)
{
	printf("name %s\nkind %s\nabi %u\nsize %u\n", d->name, settings_kind_group(d->kind), d->abi,
	       d->size);
	print_functions(d);
	if (d->keys != NULL && d->keys->key != NULL) {
		printf("settings:\n");
		conf_table_show(d->keys, prefix, texts, stdout);
	}
}

/* Without its settings a plugin cannot be started: they are named, and that is all. */
static bool
has_settings(struct check *k, struct plugin *p)
{
	struct ctl *c = k->c;
	size_t i;

	conf_problems_init(&c->problems, c->arena);
	plugin_configure(p, k->subject.prefix, &c->texts, &c->problems);
	if (c->problems.n == 0)
		return true;
	printf("not tried: give it its settings with -c FILE or -s %s.KEY=VALUE:\n",
	       k->subject.prefix);
	for (i = 0; i < c->problems.n; i++)
		printf("  %s\n", c->problems.v[i]);
	return false;
}

static int
check_file(struct check *k)
{
	const struct pst_plugin *d;
	struct plugin *p;
	struct pst_err err;
	enum pst_kind kind;
	bool can_start;
	int status = CTL_OK;

	p = plugin_load_file(k->path, NULL, &err);
	if (p == NULL)
		return ctl_fail("%s", err.text);
	d = plugin_descriptor(p);
	kind = d->kind;
	k->subject.prefix =
		pst_arena_printf(k->c->arena, "%s.%s", settings_kind_group(kind), d->name);
	if (!k->is_inside)
		show(d, k->subject.prefix, &k->c->texts);
	can_start = !k->only_show && has_settings(k, p);
	plugin_unload(p);
	if (can_start)
		status = try_it(k, kind);
	if (status == CTL_OK && !k->is_inside)
		printf("plugin is good\n");
	return status;
}

int
ctl_plugin_check(struct ctl *c, int argc, char **argv)
{
	struct check k = { .c = c, .subject = { .limit_ms = 10000, .texts = &c->texts } };
	int status = read_arguments(&k, argc, argv);
	struct pst_err err;

	if (status != CTL_OK)
		return status;
	pst_log_set_level(PST_LOG_ERROR); /* what it says of its start is no news here */
	if (read_settings(&k) != 0)
		return CTL_FAILED;
	if (k.subject.has_password &&
	    ctl_password_read(&k.source, "password", false, &k.password, &err) != 0)
		return ctl_fail("%s", err.text);
	k.subject.path = k.path;
	k.subject.password = pst_secret_view(&k.password);
	status = check_file(&k);
	pst_secret_clear(&k.password);
	return status;
}
