/* SPDX-License-Identifier: MIT */
/* The auth plugin passwdfile: users in a text file of Dovecot's format. What a line is, is in line.h;
 * what its fields mean, in user.h; when the file is read again, in file.h. */
#include <stdlib.h>

#include <postern/auth.h>

#include "auth/passwdfile/file.h"
#include "auth/passwdfile/user.h"

enum match { MATCH_USER, MATCH_LOCAL };

struct passwdfile_conf {
	const char *file, *default_scheme;
	int64_t match, max_size;
};

struct passwdfile {
	const struct pst_host *host;
	const struct passwdfile_conf *conf;
	struct passwd_file *file;
};

static const struct pst_conf_key keys[] = {
	{ "file", PST_CONF_READ_PATH(struct passwdfile_conf, file), NULL, 2, 4000, "octets",
	  "The file: a line for each user, user:password:uid:gid:gecos:home:shell:extra fields, as "
	  "Dovecot's passwd-file has them; what is not needed at the end may be left out. It is "
	  "looked at for each login and read again when it has changed, so a new one is best put in "
	  "its place by a rename; one that is written in place counts when it was left alone for "
	  "0.7 seconds. While it is missing or a line cannot be understood, the users read "
	  "before stay in force." },
	{ "match", PST_CONF_CHOICE(struct passwdfile_conf, match), "user", 0, 0, "user|local",
	  "What the names in the file are: whole user names, or only what is before the last "
	  "\"@\", whatever the domain. Case does not matter." },
	{ "default_scheme", PST_CONF_TEXT(struct passwdfile_conf, default_scheme), "CRYPT", 1, 32,
	  "octets", "The scheme of passwords that do not begin with {SCHEME}." },
	{ "max_size", PST_CONF_SIZE(struct passwdfile_conf, max_size), "64M", 1, 1073741824,
	  "octets",
	  "A larger file is not read. Each auth worker holds the file in memory: 100,000 users "
	  "take about 12 MiB for their lines and 3 MiB to find them by." },
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct passwdfile_conf *c = conf;

	if (c->file[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "file: must begin with /");
	if (strpbrk(c->default_scheme, "{}") != NULL)
		return pst_err_set(err, PST_E_CLIENT,
		                   "default_scheme: write the name alone, without { and }");
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct passwdfile *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	p->host = host;
	p->conf = host->conf;
	p->file = passwd_file_create(host, p->conf->file, p->conf->max_size);
	if (p->file == NULL) {
		free(p);
		return pst_err_set(err, PST_E_TEMP, "no memory");
	}
	*self_out = p;
	return 0;
}

static void
stop(void *self)
{
	struct passwdfile *p = self;

	if (p != NULL)
		passwd_file_destroy(p->file);
	free(p);
}

/* ---- A user's record ---- */

static struct pst_str
copy(const struct passwdfile *p, const struct pst_auth_record *record, struct pst_str s)
{
	return (struct pst_str){ s.n > 0 ? p->host->copy(record->arena, s) : "", s.n };
}

static char *
append(char *to, struct pst_str s)
{
	if (s.n > 0) /* else s.p may be NULL */
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* In the arena: a, b and c in a row. */
static struct pst_str
join(const struct passwdfile *p, const struct pst_auth_record *record, struct pst_str a,
     struct pst_str b, struct pst_str c)
{
	char *out = p->host->alloc(record->arena, a.n + b.n + c.n + 1);

	append(append(append(out, a), b), c);
	return (struct pst_str){ out, a.n + b.n + c.n };
}

static struct pst_str
credential_of(const struct passwdfile *p, const struct pst_auth_record *record,
              const struct passwd_user *user)
{
	struct pst_str prefix;

	if (user->password.n == 0 || user->password.p[0] == '{')
		return copy(p, record, user->password);
	prefix = join(p, record, PST_LIT("{"), pst_str_c(p->conf->default_scheme), PST_LIT("}"));
	return join(p, record, prefix, user->password, PST_LIT(""));
}

/* Dovecot's word "local" is for look-ups that no client makes; the server would not know it. */
static struct pst_str
nets_of(const struct passwdfile *p, const struct pst_auth_record *record,
        const struct passwd_user *user)
{
	static const char local[] = "local";
	const size_t n = sizeof(local) - 1;
	struct pst_str nets = copy(p, record, user->allow_nets);
	char *to = p->host->alloc(record->arena, nets.n + 1);
	size_t used = 0, at = 0;

	while (at < nets.n) {
		size_t word = 0;

		while (at + word < nets.n && nets.p[at + word] != ',')
			word++;
		if (word > 0 && (word != n || memcmp(nets.p + at, local, n) != 0)) {
			if (used > 0)
				to[used++] = ',';
			memcpy(to + used, nets.p + at, word);
			used += word;
		}
		at += word + 1;
	}
	return (struct pst_str){ to, used };
}

/* FILE:LINE: TEXT */
static struct pst_str
reason_of(const struct passwdfile *p, const struct pst_auth_record *record, uint32_t line,
          const char *text)
{
	char number[16];
	struct pst_str head;

	(void)snprintf(number, sizeof(number), ":%u: ", line);
	head = join(p, record, pst_str_c(p->conf->file), pst_str_c(number), PST_LIT(""));
	return join(p, record, head, pst_str_c(text), PST_LIT(""));
}

static enum pst_auth_result
disabled(struct pst_auth_record *record, struct pst_str reason)
{
	record->reason = reason;
	return PST_AUTH_DISABLED;
}

static enum pst_auth_result
fill_record(const struct passwdfile *p, const struct passwd_line *line, uint32_t num,
            struct pst_auth_record *record)
{
	PST_UNINITIALIZED char location[PASSWD_LOCATION_MAX];
	struct passwd_user user;
	struct pst_err why;
	int rc = passwd_user_read(line, &user, &why);

	record->source = PST_LIT("file");
	record->credential = credential_of(p, record, &user);
	if (rc == 0)
		rc = passwd_user_location(&user, location, sizeof(location), &why);
	if (rc != 0)
		return disabled(record, reason_of(p, record, num, why.text));
	if (line->password.n == 0)
		return disabled(record, reason_of(p, record, num, "no password"));
	if (user.is_locked)
		return disabled(record, user.reason.n > 0 ? copy(p, record, user.reason)
		                                          : PST_LIT("nologin"));
	record->user = copy(p, record, user.name);
	record->home = copy(p, record, user.home);
	record->allow_nets = nets_of(p, record, &user);
	record->location = copy(p, record, pst_str_c(location));
	record->uid = user.uid;
	record->gid = user.gid;
	if (user.is_proxied)
		record->proxy = join(p, record, user.host.n > 0 ? user.host : PST_LIT("?"),
		                     user.port.n > 0 ? PST_LIT(":") : PST_LIT(""), user.port);
	return PST_AUTH_OK;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	const struct passwdfile *p = self;
	const struct passwd_table *table = passwd_file_table(p->file, err);
	struct passwd_line line;
	uint32_t num;

	if (table == NULL)
		return PST_AUTH_TEMP;
	if (!passwd_table_find(table,
	                       p->conf->match == MATCH_LOCAL ? query->local_part : query->user,
	                       &line, &num))
		return PST_AUTH_UNKNOWN;
	return fill_record(p, &line, num, record);
}

/* ---- For the administration ---- */

struct listing {
	struct pst_str domain;
	void (*each)(void *arg, const struct pst_auth_user *user);
	void *arg;
};

static void
list_one(void *arg, const struct passwd_line *line)
{
	const struct listing *l = arg;
	const char *at = memrchr(line->name.p, '@', line->name.n);
	const size_t skipped = at == NULL ? line->name.n : (size_t)(at - line->name.p) + 1;
	const struct pst_str domain = { line->name.p + skipped, line->name.n - skipped };
	struct pst_auth_user out = { .name = line->name, .enabled = true };
	PST_UNINITIALIZED char location[PASSWD_LOCATION_MAX];
	struct passwd_user user;
	struct pst_err why;

	if (l->domain.n > 0 && !pst_str_ieq(domain, l->domain))
		return;
	if (passwd_user_read(line, &user, &why) != 0 ||
	    passwd_user_location(&user, location, sizeof(location), &why) != 0) {
		out.enabled = false;
		out.reason = pst_str_c(why.text);
	} else {
		out.enabled = !user.is_locked && user.password.n > 0;
		out.reason = user.reason;
		out.location = pst_str_c(location);
		out.uid = user.uid;
		out.gid = user.gid;
	}
	l->each(l->arg, &out);
}

static int
user_list(void *self, struct pst_str domain,
          void (*each)(void *arg, const struct pst_auth_user *user), void *arg, struct pst_err *err)
{
	const struct passwdfile *p = self;
	struct listing listing = { domain, each, arg };

	if (passwd_file_read(p->file, err) != 0)
		return -1;
	passwd_table_each(passwd_file_table(p->file, err), list_one, &listing);
	return 0;
}

static int
probe(void *self, struct pst_err *err)
{
	const struct passwdfile *p = self;
	const char *first;
	size_t n;

	if (passwd_file_read(p->file, err) != 0)
		return -1;
	n = passwd_table_problems(passwd_file_table(p->file, err), &first);
	if (n == 1)
		return pst_err_set(err, PST_E_CLIENT, "%s", first);
	if (n > 1)
		return pst_err_set(err, PST_E_CLIENT, "%.200s (and %zu more)", first, n - 1);
	return 0;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.lookup = lookup,
	.user_list = user_list,
	.probe = probe,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "passwdfile",
	.keys = keys,
	.conf_size = sizeof(struct passwdfile_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.auth = &auth,
	.needs = PST_NEEDS_FILES,
};
