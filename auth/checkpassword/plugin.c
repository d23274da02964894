/* SPDX-License-Identifier: MIT */
/* The auth plugin checkpassword: any program that reads "user\0password\0timestamp\0" from descriptor 3,
 * and runs the rest of its command line where the password is right. That rest is ours: it writes the
 * environment, in which the program has put USER and HOME, to descriptor 4. A program that ends with
 * status 0 and has not run it has proved nothing. */
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <postern/auth.h>

#include "auth/checkpassword/program.h"

/* Statuses of the protocol. 3 is a later custom. */
enum { IS_RIGHT = 0, IS_WRONG = 1, IS_MISUSED = 2, IS_UNKNOWN = 3, IS_TEMPORARY = 111 };

struct check_conf {
	const char *program, *arguments, *state;
	int64_t timeout, max_memory, max_input;
	bool rename;
};

struct check_self {
	const struct pst_host *host;
	const struct check_conf *conf;
	char *words; /* of arguments, each ended by NUL */
	char *argv[PROGRAM_ARGS + 6];
	struct program_run run;
};

static const struct pst_conf_key keys[] = {
	{ "program", PST_CONF_READ_PATH(struct check_conf, program), NULL, 2, 4000, "octets",
	  "The program, by its whole path. It reads the user's name, the password and a time, each "
	  "followed by a NUL octet, from descriptor 3; where they are right it sets USER and HOME "
	  "(and userdb_uid and userdb_gid, if it likes) and runs the rest of its command line, as "
	  "exec \"$@\" does. Else it ends with 1 (wrong), 3 (no such user: the next backend is "
	  "asked), 2 or 111 (it cannot tell). It runs as server.auth_user without any way to become "
	  "somebody else, so a program that needs root or set-user-ID does not work here." },
	{ "arguments", PST_CONF_TEXT(struct check_conf, arguments), "", 0, 4000, "octets",
	  "What stands after it in the command line, separated by spaces." },
	{ "state", PST_CONF_WRITE_PATH(struct check_conf, state), "", 0, 4000, "octets",
	  "A folder that it may write to. It can read what is in its own folder and in /bin, /etc, "
	  "/lib, /run and /usr, as far as server.auth_user may, and may open sockets." },
	{ "timeout", PST_CONF_TIME(struct check_conf, timeout), "5s", 100, 600000, NULL,
	  "A program that takes longer is killed with all that it has started, and the login is "
	  "refused as a temporary failure. It should be below auth.timeout." },
	{ "max_memory", PST_CONF_SIZE(struct check_conf, max_memory), "512M", 1048576,
	  1099511627776, "octets", "Address space that it may have." },
	{ "max_input", PST_CONF_INT(struct check_conf, max_input), "512", 32, PROGRAM_INPUT_MAX,
	  "octets",
	  "What descriptor 3 gives at most. The protocol's limit is 512; a longer name and password "
	  "are refused as wrong." },
	{ "rename", PST_CONF_BOOL(struct check_conf, rename), "false", 0, 0, NULL,
	  "Takes the name that the program gives in USER for the session. Many programs give the "
	  "part before the \"@\" there, which would be another user." },
	{ .key = NULL },
};

/* ---- The command line ---- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Cuts the text into words; how many there are, of which at most cap are written. */
static size_t
split(char *text, char **words, size_t cap)
{
	size_t n = 0;

	for (;;) {
		while (is_space(*text))
			*text++ = '\0';
		if (*text == '\0')
			return n;
		if (n < cap)
			words[n] = text;
		n++;
		while (*text != '\0' && !is_space(*text))
			text++;
	}
}

static int
check(const void *conf, struct pst_err *err)
{
	const struct check_conf *c = conf;
	char *copy = strdup(c->arguments);
	size_t n = copy != NULL ? split(copy, NULL, 0) : 0;

	free(copy);
	if (c->program[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "program: must begin with /");
	if (c->state[0] != '\0' && c->state[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "state: must begin with /");
	if (n > PROGRAM_ARGS)
		return pst_err_set(err, PST_E_CLIENT, "arguments: more than %d", PROGRAM_ARGS);
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	static char shell[] = "/bin/sh", option[] = "-c", report[] = "exec /usr/bin/env -0 >&4";
	const struct check_conf *c = host->conf;
	struct check_self *s = calloc(1, sizeof(*s));
	size_t n;

	if (s == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	s->host = host;
	s->conf = c;
	s->words = malloc(strlen(c->program) + strlen(c->arguments) + 2);
	if (s->words == NULL) {
		free(s);
		return pst_err_set(err, PST_E_TEMP, "no memory");
	}
	memcpy(s->words, c->program, strlen(c->program) + 1);
	memcpy(s->words + strlen(c->program) + 1, c->arguments, strlen(c->arguments) + 1);
	s->argv[0] = s->words;
	n = 1 + split(s->words + strlen(c->program) + 1, s->argv + 1, PROGRAM_ARGS);
	s->argv[n++] = shell;
	s->argv[n++] = option;
	s->argv[n] = report;
	*self_out = s;
	return 0;
}

static void
stop(void *self)
{
	struct check_self *s = self;

	if (s != NULL)
		free(s->words);
	free(s);
}

/* ---- What it says ---- */

/* The value of a variable in what "env -0" wrote, or an empty string. */
static struct pst_str
find_variable(const struct program_run *run, const char *name)
{
	struct pst_str rest = { run->report, run->report_n };
	const size_t n = strlen(name);

	while (rest.n > 0) {
		const char *end = memchr(rest.p, '\0', rest.n);
		const size_t octets = end != NULL ? (size_t)(end - rest.p) : 0;

		if (end == NULL)
			break; /* cut: not to be believed */
		if (octets > n && memcmp(rest.p, name, n) == 0 && rest.p[n] == '=')
			return (struct pst_str){ rest.p + n + 1, octets - n - 1 };
		rest = (struct pst_str){ end + 1, rest.n - octets - 1 };
	}
	return PST_LIT("");
}

static int
read_id(const struct program_run *run, const char *name, uint32_t *out, struct pst_err *err)
{
	const struct pst_str text = find_variable(run, name);
	uint64_t num;

	if (text.n == 0)
		return 0;
	if (!pst_str_u64(text, &num) || num >= UINT32_MAX)
		return pst_err_set(err, PST_E_TEMP, "the program's %s is no id", name);
	*out = (uint32_t)num;
	return 0;
}

static struct pst_str
copy(const struct check_self *s, const struct pst_auth_record *record, struct pst_str text)
{
	return (struct pst_str){ text.n > 0 ? s->host->copy(record->arena, text) : "", text.n };
}

static enum pst_auth_result
take_right(const struct check_self *s, struct pst_auth_record *record, struct pst_err *err)
{
	if (s->run.report_n == 0) {
		pst_err_set(
			err, PST_E_TEMP,
			"the program ended with status 0 and did not run the rest of its command "
			"line (exec \"$@\"): that is no proof");
		return PST_AUTH_TEMP;
	}
	if (read_id(&s->run, "userdb_uid", &record->uid, err) != 0 ||
	    read_id(&s->run, "userdb_gid", &record->gid, err) != 0)
		return PST_AUTH_TEMP;
	if (s->conf->rename)
		record->user = copy(s, record, find_variable(&s->run, "USER"));
	record->home = copy(s, record, find_variable(&s->run, "HOME"));
	return PST_AUTH_OK;
}

static enum pst_auth_result
judge(const struct check_self *s, struct pst_auth_record *record, struct pst_err *err)
{
	const int status = s->run.status;

	if (s->run.timed_out) {
		pst_err_set(err, PST_E_TEMP, "the program took more than %lld ms",
		            (long long)s->conf->timeout);
		return PST_AUTH_TEMP;
	}
	if (!WIFEXITED(status)) {
		pst_err_set(err, PST_E_TEMP, "the program ended with signal %d",
		            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		return PST_AUTH_TEMP;
	}
	switch (WEXITSTATUS(status)) {
	case IS_RIGHT:
		return take_right(s, record, err);
	case IS_WRONG:
		return PST_AUTH_WRONG;
	case IS_UNKNOWN:
		return PST_AUTH_UNKNOWN;
	case IS_MISUSED:
		pst_err_set(err, PST_E_TEMP, "the program says that it is misused (status 2)");
		return PST_AUTH_TEMP;
	case IS_TEMPORARY:
		pst_err_set(err, PST_E_TEMP, "the program cannot tell now (status 111)");
		return PST_AUTH_TEMP;
	default:
		pst_err_set(err, PST_E_TEMP, "the program ended with status %d",
		            WEXITSTATUS(status));
		return PST_AUTH_TEMP;
	}
}

/* ---- A question ---- */

static size_t
add(char *to, size_t n, struct pst_str text)
{
	memcpy(to + n, text.p, text.n);
	to[n + text.n] = '\0';
	return n + text.n + 1;
}

/* What ucspi-tcp's programs expect. Nothing of this process's own environment. */
static void
make_environment(const struct pst_auth_query *query, char *room, size_t cap, char **envp)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", proto[] = "PROTO=TCP";
	int n = snprintf(room, cap, "TCPREMOTEIP=%.*s", PST_ARG(query->remote_ip));
	const size_t used = n < 0 || (size_t)n >= cap ? 0 : (size_t)n + 1;

	(void)snprintf(room + used, cap - used, "TCPLOCALIP=%.*s", PST_ARG(query->local_ip));
	envp[0] = path;
	envp[1] = proto;
	envp[2] = room;
	envp[3] = room + used;
	envp[4] = NULL;
}

static enum pst_auth_result
verify(void *self, const struct pst_auth_query *query, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	struct check_self *s = self;
	char input[PROGRAM_INPUT_MAX], at[32], room[256];
	char *envp[5];
	enum pst_auth_result result = PST_AUTH_TEMP;
	size_t n;
	int digits = snprintf(at, sizeof(at), "%lld", (long long)time(NULL));

	n = query->user.n + password.n + (size_t)digits + 3;
	if (n > (size_t)s->conf->max_input)
		return PST_AUTH_WRONG;
	n = add(input, 0, query->user);
	n = add(input, n, password);
	n = add(input, n, (struct pst_str){ at, (size_t)digits });
	make_environment(query, room, sizeof(room), envp);
	s->run.argv = s->argv;
	s->run.envp = envp;
	s->run.input = (struct pst_str){ input, n };
	s->run.timeout_ms = s->conf->timeout;
	s->run.max_memory = s->conf->max_memory;
	if (program_run(&s->run, err) == 0)
		result = judge(s, record, err);
	explicit_bzero(input, sizeof(input));
	explicit_bzero(s->run.report, s->run.report_n);
	return result;
}

static int
probe(void *self, struct pst_err *err)
{
	const struct check_self *s = self;

	if (access(s->conf->program, X_OK) != 0)
		return pst_err_sys(err, PST_E_PERM, "program: %.150s", s->conf->program);
	return 0;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.verify = verify,
	.probe = probe,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "checkpassword",
	.keys = keys,
	.conf_size = sizeof(struct check_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.auth = &auth,
	.needs = PST_NEEDS_NET | PST_NEEDS_SYSTEM,
};
