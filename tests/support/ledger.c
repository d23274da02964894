/* SPDX-License-Identifier: MIT */
/* An auth backend for tests: its users, what it is told and what it tells are files of one folder.
 *
 *	users    a line for each: NAME CREDENTIAL [KEY=VALUE …]
 *	notes    it writes a line for each note, after "batch N"; rehashes likewise
 *	lookups  it writes a line for each user looked up
 *	news     a FIFO: "user NAME", "domain NAME" or "all" on a line are changes
 *	away, lookup_away, watch_away, hang, poison
 *	         while such a file is there, what is called so fails (hang: never comes back;
 *	         poison: the user named in it is a note that is refused for good) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/auth.h>

struct ledger_conf {
	const char *dir;
};

static const struct pst_conf_key keys[] = {
	{ "dir", PST_CONF_WRITE_PATH(struct ledger_conf, dir), NULL, 1, 4000, NULL, "For tests." },
	{ .key = NULL },
};

struct ledger {
	const struct pst_host *host;
	const char *dir;
	int news;
};

static const char *
path_of(const struct ledger *l, const char *name)
{
	static char path[5000];

	(void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	return path;
}

static bool
has(const struct ledger *l, const char *name)
{
	struct stat st;

	return stat(path_of(l, name), &st) == 0;
}

static void
write_down(const struct ledger *l, const char *name, const char *text)
{
	int fd = open(path_of(l, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		l->host->log(l->host, PST_LOG_ERROR, "ledger.broken", "file=%s", name);
	if (fd >= 0)
		close(fd);
}

static int
away(struct pst_err *err, const char *what)
{
	err->kind = PST_E_TEMP;
	(void)snprintf(err->text, sizeof(err->text), "the test made %s go away", what);
	return -1;
}

static struct pst_str
copy(const struct ledger *l, struct pst_auth_record *r, const char *text)
{
	const struct pst_str s = { text, strlen(text) };

	return (struct pst_str){ l->host->copy(r->arena, s), s.n };
}

static long
number(const char *text)
{
	return strtol(text, NULL, 10);
}

/* The next word of *text, which ends with one of these; *text moves on. NULL: there is none. */
static char *
next_word(char **text, const char *ends)
{
	char *word = *text + strspn(*text, ends);
	size_t n = strcspn(word, ends);

	if (n == 0)
		return NULL;
	*text = word + n + (word[n] != '\0');
	word[n] = '\0';
	return word;
}

static void
take_key(const struct ledger *l, struct pst_auth_record *r, char *word, bool *enabled)
{
	char *value = strchr(word, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	if (strcmp(word, "enabled") == 0)
		*enabled = number(value) != 0;
	else if (strcmp(word, "max_sessions") == 0)
		r->max_sessions = (uint32_t)number(value);
	else if (strcmp(word, "max_listed") == 0)
		r->max_listed = (uint32_t)number(value);
	else if (strcmp(word, "min_poll_ms") == 0)
		r->min_poll_ms = number(value);
	else if (strcmp(word, "read_only") == 0)
		r->read_only = number(value) != 0;
	else if (strcmp(word, "uid") == 0)
		r->uid = (uint32_t)number(value);
	else if (strcmp(word, "gid") == 0)
		r->gid = (uint32_t)number(value);
	else if (strcmp(word, "location") == 0)
		r->location = copy(l, r, value);
	else if (strcmp(word, "rehash") == 0)
		r->rehash = copy(l, r, value);
}

static enum pst_auth_result
take_line(const struct ledger *l, char *line, struct pst_auth_record *r)
{
	bool enabled = true;
	char *word;

	(void)next_word(&line, " \n");
	word = next_word(&line, " \n");
	r->credential = copy(l, r, word != NULL ? word : "");
	while ((word = next_word(&line, " \n")) != NULL)
		take_key(l, r, word, &enabled);
	return enabled ? PST_AUTH_OK : PST_AUTH_DISABLED;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *q, struct pst_auth_record *r, struct pst_err *err)
{
	const struct ledger *l = self;
	enum pst_auth_result result = PST_AUTH_UNKNOWN;
	char line[5000];
	FILE *f;

	(void)snprintf(line, sizeof(line), "%.*s\n", (int)q->user.n, q->user.p);
	write_down(l, "lookups", line);
	if (has(l, "lookup_away")) {
		(void)away(err, "look-ups");
		return PST_AUTH_TEMP;
	}
	f = fopen(path_of(l, "users"), "re");
	while (f != NULL && result == PST_AUTH_UNKNOWN && fgets(line, sizeof(line), f) != NULL)
		if (strlen(line) > q->user.n && memcmp(line, q->user.p, q->user.n) == 0 &&
		    line[q->user.n] == ' ')
			result = take_line(l, line, r);
	if (f != NULL)
		fclose(f);
	return result;
}

static void
write_note(const struct ledger *l, const struct pst_auth_note *n)
{
	char line[2000];

	if (n->event == PST_AUTH_LOGIN)
		(void)snprintf(line, sizeof(line), "login %.*s %.*s %.*s %.*s %lld\n",
		               (int)n->user.n, n->user.p, (int)n->domain.n, n->domain.p,
		               (int)n->remote_ip.n, n->remote_ip.p, (int)n->mechanism.n,
		               n->mechanism.p, (long long)n->at);
	else
		(void)snprintf(line, sizeof(line), "session %.*s %u %u %llu\n", (int)n->user.n,
		               n->user.p, n->retrieved, n->deleted, (unsigned long long)n->octets);
	write_down(l, "notes", line);
}

static bool
is_poison(const struct ledger *l, const struct pst_auth_note *n)
{
	char name[300] = "";
	FILE *f = fopen(path_of(l, "poison"), "re");

	if (f == NULL)
		return false;
	if (fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	fclose(f);
	return strlen(name) == n->user.n && memcmp(name, n->user.p, n->user.n) == 0;
}

static int
notes(void *self, const struct pst_auth_note *v, size_t n, struct pst_err *err)
{
	const struct ledger *l = self;
	char line[40];
	size_t i;

	while (has(l, "hang"))
		(void)usleep(10000);
	if (has(l, "away"))
		return away(err, "notes");
	for (i = 0; i < n; i++)
		if (is_poison(l, &v[i])) {
			err->kind = PST_E_PERM;
			(void)snprintf(err->text, sizeof(err->text), "this one is poison");
			return -1;
		}
	(void)snprintf(line, sizeof(line), "batch %zu\n", n);
	write_down(l, "notes", line);
	for (i = 0; i < n; i++)
		write_note(l, &v[i]);
	return 0;
}

static enum pst_auth_result
rehash(void *self, struct pst_str name, struct pst_str was, struct pst_str is, struct pst_err *err)
{
	const struct ledger *l = self;
	char line[9000];

	if (has(l, "away")) {
		(void)away(err, "rehashes");
		return PST_AUTH_TEMP;
	}
	(void)snprintf(line, sizeof(line), "%.*s %.*s %.*s\n", (int)name.n, name.p, (int)was.n,
	               was.p, (int)is.n, is.p);
	write_down(l, "rehashes", line);
	return PST_AUTH_OK;
}

static int
watch_fd(void *self, struct pst_err *err)
{
	struct ledger *l = self;

	if (has(l, "watch_away"))
		return away(err, "the news");
	l->news = open(path_of(l, "news"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return l->news >= 0 ? l->news : away(err, "the FIFO");
}

static void
tell(char *line, void (*changed)(void *arg, const struct pst_auth_change *change), void *arg)
{
	struct pst_auth_change c = { .user = { "", 0 } };

	if (strncmp(line, "user ", 5) == 0)
		c.user = (struct pst_str){ line + 5, strlen(line + 5) };
	else if (strncmp(line, "domain ", 7) == 0)
		c.domain = (struct pst_str){ line + 7, strlen(line + 7) };
	changed(arg, &c);
}

static int
watch_read(void *self, void (*changed)(void *arg, const struct pst_auth_change *change), void *arg,
           struct pst_err *err)
{
	struct ledger *l = self;
	char text[4096 + 1];
	ssize_t n = read(l->news, text, sizeof(text) - 1);
	char *rest = text, *line;

	if (n > 0 && has(l, "watch_away")) {
		close(l->news);
		return away(err, "the news");
	}
	if (n <= 0)
		return 0;
	text[n] = '\0';
	while ((line = next_word(&rest, "\n")) != NULL)
		tell(line, changed, arg);
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	static struct ledger l;
	const struct ledger_conf *conf = host->conf;

	(void)err;
	l = (struct ledger){ host, conf->dir, -1 };
	*self_out = &l;
	return 0;
}

static const struct pst_auth ledger_auth = {
	.size = sizeof(struct pst_auth),
	.lookup = lookup,
	.rehash = rehash,
	.notes = notes,
	.watch_fd = watch_fd,
	.watch_read = watch_read,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "ledger",
	.keys = keys,
	.conf_size = sizeof(struct ledger_conf),
	.start = start,
	.auth = &ledger_auth,
};
