/* SPDX-License-Identifier: MIT */
/* Reads the configuration in a child; see conf.h. The child runs with the master's rights, before
 * any client is near: it reads the file and loads the plugins to check their settings. */
#include "master/conf.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/chain.h"
#include "credentials/mechanism.h"
#include "plugin/check.h"

#define IMAGE_OCTETS (4u << 20) /* as config/texts.h says */
#define REPORT_TEXT 65536
#define READ_LIMIT_S 30 /* a file on a dead network disk must not hold a reload for ever */

/* What the child leaves beside the images. */
struct report {
	struct settings_user users[WORKER_KINDS];
	size_t text_n;
	char text[REPORT_TEXT];
};

struct conf_reading {
	pid_t pid;
	struct report *report;
	struct conf_image *images[CONF_PARTS];
};

static void
encode_parts(struct conf_reading *r, const struct conf_texts *all, struct conf_problems *problems)
{
	struct conf_texts parts[CONF_PARTS];
	size_t i;

	conf_texts_part(all, parts);
	for (i = 0; i < CONF_PARTS; i++) {
		r->images[i]->n = conf_texts_encode(&parts[i], r->images[i]->data,
		                                    IMAGE_OCTETS - sizeof(struct conf_image));
		if (r->images[i]->n == 0)
			conf_problems_add(problems, NULL, 0, "the configuration is over 4 MiB");
	}
}

static void
find_users(const struct settings *s, const struct conf_texts *t, struct report *report,
           struct conf_problems *problems)
{
	struct settings_users users;

	settings_find_users(s, t, &users, problems);
	report->users[WORKER_LOGIN] = users.login;
	report->users[WORKER_KEYS] = users.keys;
	report->users[WORKER_AUTH] = users.auth;
	report->users[WORKER_MAIL] = users.mail;
}

static void
write_report(struct report *report, const struct conf_problems *problems)
{
	size_t i;

	for (i = 0; i < problems->n; i++) {
		size_t room = REPORT_TEXT - report->text_n;
		int n = snprintf(report->text + report->text_n, room, "%s\n", problems->v[i]);

		if (n < 0 || (size_t)n >= room)
			break; /* hundreds of problems: the first ones will do */
		report->text_n += (size_t)n;
	}
}

/* The child: 0 where all is well, 1 with the report's text. */
static int
read_and_check(struct conf_reading *r, const struct conf_source *src)
{
	struct pst_arena *arena = pst_arena_create();
	struct settings *s = pst_arena_alloc(arena, sizeof(*s));
	struct conf_texts texts;
	struct conf_problems problems;
	bool has_file;

	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	conf_file_read(src->path, src->sets, src->set_count, &texts, &problems);
	has_file = problems.n == 0;
	settings_load(&texts, s, &problems);
	if (has_file) { /* else what follows would be noise */
		settings_check_folders(s, &texts, &problems);
		if (geteuid() == 0)
			find_users(s, &texts, r->report, &problems);
		chain_check_settings(s, &texts, &problems);
		mechanism_check_settings(s, &texts, &problems);
		plugin_check_all(s, &texts, &problems);
	}
	encode_parts(r, &texts, &problems);
	write_report(r->report, &problems);
	pst_arena_destroy(arena);
	return problems.n > 0 ? 1 : 0;
}

static void
reading_destroy(struct region_list *regions, struct conf_reading *r)
{
	size_t i;

	for (i = 0; i < CONF_PARTS; i++)
		region_destroy(regions, r->images[i]);
	region_destroy(regions, r->report);
	free(r);
}

static void
reset_signals(void)
{
	static const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGPIPE };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

struct conf_reading *
conf_read_begin(struct region_list *regions, const struct conf_source *src, struct pst_err *err)
{
	struct conf_reading *r = pst_new(struct conf_reading);
	size_t i;

	r->report = region_create(regions, sizeof(struct report));
	for (i = 0; i < CONF_PARTS; i++)
		r->images[i] = region_create(regions, IMAGE_OCTETS);
	r->pid = fork();
	if (r->pid < 0) {
		pst_err_sys(err, PST_E_TEMP, "fork");
		reading_destroy(regions, r);
		return NULL;
	}
	if (r->pid == 0) {
		reset_signals();
		(void)alarm(READ_LIMIT_S);
		_exit(read_and_check(r, src));
	}
	return r;
}

pid_t
conf_reading_pid(const struct conf_reading *r)
{
	return r->pid;
}

static char *
problems_text(const struct conf_reading *r, int status)
{
	char text[128];

	if (WIFEXITED(status) && r->report->text_n > 0)
		return pst_str_dup((struct pst_str){ r->report->text, r->report->text_n });
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		(void)snprintf(text, sizeof(text),
		               "reading the configuration took more than %d seconds\n",
		               READ_LIMIT_S);
	else if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text),
		               "reading the configuration ended with signal %d (%s): a plugin may "
		               "be broken\n",
		               WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, sizeof(text), "reading the configuration failed\n");
	return pst_strdup(text);
}

/* The core's settings out of the image; whatever is wrong here was right in the child. */
static int
decode_core(struct conf *c, const struct conf_image *image, char **problems_out)
{
	struct conf_texts texts;
	struct conf_problems problems;
	struct pst_err err;

	conf_texts_init(&texts, c->arena);
	conf_problems_init(&problems, c->arena);
	if (conf_texts_decode(&texts, (struct pst_str){ (const char *)image->data, image->n },
	                      &err) != 0) {
		*problems_out = pst_strdup(err.text);
		return -1;
	}
	settings_load(&texts, &c->settings, &problems);
	if (problems.n > 0) {
		*problems_out = pst_strdup(problems.v[0]);
		return -1;
	}
	return 0;
}

struct conf *
conf_read_end(struct region_list *regions, struct conf_reading *r, int status, char **problems_out)
{
	struct conf *c = NULL;
	size_t i;

	*problems_out = NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		*problems_out = problems_text(r, status);
		goto out;
	}
	c = pst_new(struct conf);
	c->arena = pst_arena_create();
	if (decode_core(c, r->images[CONF_CORE], problems_out) != 0) {
		conf_destroy(regions, c);
		c = NULL;
		goto out;
	}
	memcpy(c->users, r->report->users, sizeof(c->users));
	for (i = CONF_CORE + 1; i < CONF_PARTS; i++) {
		c->images[i] = r->images[i];
		r->images[i] = NULL;
	}
out:
	reading_destroy(regions, r);
	return c;
}

struct conf *
conf_read(struct region_list *regions, const struct conf_source *src, char **problems_out)
{
	struct pst_err err;
	struct conf_reading *r = conf_read_begin(regions, src, &err);
	int status = 0;

	if (r == NULL) {
		*problems_out = pst_strdup(err.text);
		return NULL;
	}
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return conf_read_end(regions, r, status, problems_out);
}

void
conf_destroy(struct region_list *regions, struct conf *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < CONF_PARTS; i++)
		region_destroy(regions, c->images[i]);
	pst_arena_destroy(c->arena);
	free(c);
}
