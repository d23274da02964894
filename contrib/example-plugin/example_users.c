/* SPDX-License-Identifier: MIT */
/* example_users - users from text files, one a domain: an auth plugin with lookup.
 *
 * DIRECTORY/DOMAIN holds one line a user: NAME:CREDENTIAL[:LOCATION]. A '!' before the credential
 * bars the user. The files are read at each lookup, so that a change counts at once. Copy this
 * file to begin a plugin of your own; the manual is <postern/auth.h>. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/auth.h>

/* The settings, and the rows that describe them: the file's parser, `posternctl config show` and
 * the bounds all come from these rows. READ_PATH also tells the sandbox what to leave open. */
struct users_conf {
	const char *directory;
	int64_t max_size;
};

static const struct pst_conf_key users_keys[] = {
	{ "directory", PST_CONF_READ_PATH(struct users_conf, directory), NULL, 1, 4000, "path",
	  "The folder with a file for each domain." },
	{ "max_size", PST_CONF_SIZE(struct users_conf, max_size), "1M", 1, 1 << 30, "octets",
	  "The largest file that is read; a larger one is a temporary failure." },
	{ .key = NULL },
};

/* One of these a worker process: start makes it, stop frees it, every call gets it as self. */
struct users {
	const struct pst_host *host;
	const struct users_conf *conf;
};

static int
users_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct users *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return pst_err_sys(err, PST_E_TEMP, "calloc");
	u->host = host;
	u->conf = host->conf;
	*self_out = u;
	return 0;
}

static void
users_stop(void *self)
{
	free(self);
}

/* The domain is whatever the client typed: it names a file only if it cannot lead elsewhere. */
static bool
is_file_name(struct pst_str domain)
{
	return domain.n > 0 && domain.n <= 255 && domain.p[0] != '.' &&
	       memchr(domain.p, '/', domain.n) == NULL;
}

/* Takes off *rest all up to the next end octet. */
static struct pst_str
next_part(struct pst_str *rest, char end)
{
	const char *stop = rest->n > 0 ? memchr(rest->p, end, rest->n) : NULL;
	size_t n = stop != NULL ? (size_t)(stop - rest->p) : rest->n;
	struct pst_str part = { rest->p, n };

	rest->p += stop != NULL ? n + 1 : n;
	rest->n -= stop != NULL ? n + 1 : n;
	return part;
}

/* The whole file, *text_out is the caller's to free; *n_out octets. 0, or -1 with err. */
static int
read_whole(int fd, int64_t max, char **text_out, size_t *n_out, struct pst_err *err)
{
	struct stat st;
	char *text = NULL;
	ssize_t got = 0;
	size_t n = 0;

	if (fstat(fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "fstat");
	if (!S_ISREG(st.st_mode) || st.st_size > max)
		return pst_err_set(err, PST_E_TEMP, "not a file of at most %lld octets",
		                   (long long)max);
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return pst_err_sys(err, PST_E_TEMP, "malloc");
	while (n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	if (got < 0) {
		pst_err_sys(err, PST_E_TEMP, "read");
		free(text);
		return -1;
	}
	*text_out = text;
	*n_out = n;
	return 0;
}

/* The user's line into the record. Strings of the record are copies in its arena: the server owns
 * them, and wipes them. */
static enum pst_auth_result
find_user(const struct users *u, struct pst_str text, struct pst_str name,
          struct pst_auth_record *record)
{
	while (text.n > 0) {
		struct pst_str line = next_part(&text, '\n');
		struct pst_str credential;

		if (!pst_str_eq(next_part(&line, ':'), name))
			continue;
		credential = next_part(&line, ':');
		if (credential.n > 0 && credential.p[0] == '!') {
			record->reason = PST_LIT("barred by a '!' in its file");
			return PST_AUTH_DISABLED;
		}
		record->credential.p = u->host->copy(record->arena, credential);
		record->credential.n = credential.n;
		record->location.p = u->host->copy(record->arena, line);
		record->location.n = line.n;
		return PST_AUTH_OK;
	}
	return PST_AUTH_UNKNOWN;
}

/* In an auth worker; may block. "No such user" and "cannot tell now" are two answers: the second
 * makes the client try again later instead of asking its user for the password. */
static enum pst_auth_result
users_lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
             struct pst_err *err)
{
	struct users *u = self;
	enum pst_auth_result result = PST_AUTH_TEMP;
	char path[256];
	char *text = NULL;
	size_t n = 0;
	int dir = -1;
	int fd = -1;

	if (!is_file_name(query->domain))
		return PST_AUTH_UNKNOWN;
	memcpy(path, query->domain.p, query->domain.n);
	path[query->domain.n] = '\0';

	dir = open(u->conf->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		pst_err_sys(err, PST_E_TEMP, "open %s", u->conf->directory);
		goto out;
	}
	fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		result = PST_AUTH_UNKNOWN; /* not our domain: the next backend is asked */
		goto out;
	}
	if (fd < 0) {
		pst_err_sys(err, PST_E_TEMP, "open %s/%s", u->conf->directory, path);
		goto out;
	}
	if (read_whole(fd, u->conf->max_size, &text, &n, err) != 0)
		goto out;

	result = find_user(u, (struct pst_str){ text, n }, query->local_part, record);
	u->host->log(u->host, PST_LOG_DEBUG, "example_users.lookup", "user=%.*s result=%d",
	             PST_ARG(query->user), (int)result);
out:
	if (text != NULL)
		explicit_bzero(text, n); /* it held everybody's credentials */
	free(text);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return result;
}

static const struct pst_auth users_auth = {
	.size = sizeof(struct pst_auth),
	.lookup = users_lookup,
};

/* The one symbol that is seen from outside. */
PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "example_users",
	.keys = users_keys,
	.conf_size = sizeof(struct users_conf),
	.start = users_start,
	.stop = users_stop,
	.auth = &users_auth,
};
