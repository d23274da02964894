/* SPDX-License-Identifier: MIT */
/* Columns into a user; see user.h. */
#include "auth/sql/user.h"

#include <stdlib.h>

struct column {
	const char *name; /* with a '*' at its end: whatever follows */

	/* NULL: its values are not looked at. */
	int (*read)(const struct column *c, struct pst_str text, void *to, struct pst_err *err);
	size_t offset;
	uint64_t min, max;
	bool in_userdb;      /* also as userdb_… */
	const char *refusal; /* why a value in it makes the login fail */
};

/* ---- Values ---- */

static int
read_text(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	(void)c;
	if (pst_str_has_nul(text))
		return pst_err_set(err, PST_E_TEMP, "a NUL octet in it");
	memcpy(to, &text, sizeof(text));
	return 0;
}

static int
read_path(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	if (text.n > 0 && text.p[0] != '/')
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no absolute path", PST_ARG(text));
	return read_text(c, text, to, err);
}

static int
read_id(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	uint64_t num;
	uint32_t id;

	(void)c;
	if (text.n == 0)
		return 0;
	/* The highest one means "no id" to the kernel. */
	if (!pst_str_u64(text, &num) || num >= UINT32_MAX)
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no id", PST_ARG(text));
	id = (uint32_t)num;
	memcpy(to, &id, sizeof(id));
	return 0;
}

/* 0 is no limit that anybody could mean for sure: none at all, or nothing at all? */
static int
read_count(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	uint64_t num;
	uint32_t count;

	if (!pst_str_u64(text, &num) || num < c->min || num > c->max)
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no number from %u to %u",
		                   PST_ARG(text), (unsigned)c->min, (unsigned)c->max);
	count = (uint32_t)num;
	memcpy(to, &count, sizeof(count));
	return 0;
}

/* Days that are said: none are another matter than nothing said. */
static int
read_days(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	uint64_t num;
	uint32_t days;

	(void)c;
	if (!pst_str_u64(text, &num) || num > 36500)
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no number of days up to 36500",
		                   PST_ARG(text));
	days = num == 0 ? PST_AUTH_NO_DAYS : (uint32_t)num;
	memcpy(to, &days, sizeof(days));
	return 0;
}

static int
read_time(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	uint64_t num;
	int64_t at;

	(void)c;
	if (!pst_str_u64(text, &num) || num == 0 || num > INT64_MAX)
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no time in seconds since 1970",
		                   PST_ARG(text));
	at = (int64_t)num;
	memcpy(to, &at, sizeof(at));
	return 0;
}

/* What databases and home-grown schemas write for yes and no. Anything else is no guess to make: a
 * user who should be shut out might come in. */
static int
read_bool(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	static const char *const words[] = { "0", "1",     "f",    "t",  "n",
		                             "y", "false", "true", "no", "yes" };
	size_t i;

	(void)c;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (pst_str_ieq(text, pst_str_c(words[i]))) {
			const bool yes = i % 2 == 1;

			memcpy(to, &yes, sizeof(yes));
			return 0;
		}
	return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is neither 1 nor 0", PST_ARG(text));
}

/* Dovecot's rule: what is there is true, be it "no" or "0". */
static int
read_presence(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	const bool yes = true;

	(void)c, (void)text, (void)err;
	memcpy(to, &yes, sizeof(yes));
	return 0;
}

static int
read_tls(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	static const struct {
		const char *word;
		uint32_t version;
	} words[] = { { "any", 10 }, { "1.2", 12 }, { "1.3", 13 } };
	size_t i;

	(void)c;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (pst_str_eq(text, pst_str_c(words[i].word))) {
			memcpy(to, &words[i].version, sizeof(words[i].version));
			return 0;
		}
	return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is none of any, 1.2, 1.3", PST_ARG(text));
}

static int
read_rehash(const struct column *c, struct pst_str text, void *to, struct pst_err *err)
{
	if (!pst_str_eq(text, PST_LIT("off")) && !pst_str_eq(text, PST_LIT("report")) &&
	    !pst_str_eq(text, PST_LIT("on")))
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is none of off, report, on",
		                   PST_ARG(text));
	return read_text(c, text, to, err);
}

/* ---- The names ---- */

#define U(member) .offset = offsetof(struct sql_user, member)
#define A(member) .offset = offsetof(struct sql_app, member)

static const struct column user_columns[] = {
	/* Our own, of which some mean the same to Dovecot. */
	{ "password", read_text, U(password) },
	{ "user", read_text, U(name), .in_userdb = true },
	{ "maildrop", read_text, U(maildrop) },
	{ "uid", read_id, U(uid), .in_userdb = true },
	{ "gid", read_id, U(gid), .in_userdb = true },
	{ "enabled", read_bool, U(enabled) },
	{ "reason", read_text, U(reason) },
	{ "pop3_enabled", read_bool, U(pop3_enabled) },
	{ "allow_nets", read_text, U(allow_nets) },
	{ "max_sessions", read_count, U(max_sessions), .min = 1, .max = 1000000 },
	{ "min_poll", read_count, U(min_poll), .min = 1, .max = 604800 },
	{ "max_listed", read_count, U(max_listed), .min = 1, .max = INT32_MAX },
	{ "min_tls", read_tls, U(min_tls) },
	{ "home", read_path, U(home), .in_userdb = true },
	{ "rehash", read_rehash, U(rehash) },
	{ "read_only", read_bool, U(read_only) },
	{ "expire_days", read_days, U(expire_days) },
	{ "hold_days", read_days, U(hold_days) },
	{ "app_password", read_text, U(app_password) },
	{ "app_label", read_text, U(app_label) },
	{ "alias", read_text, U(alias) },

	/* Dovecot's that are used. */
	{ "username", read_text, U(username) },
	{ "domain", read_text, U(domain) },
	{ "mail", read_text, U(mail), .in_userdb = true },
	{ "mail_driver", read_text, U(mail_driver), .in_userdb = true },
	{ "mail_path", read_text, U(mail_path), .in_userdb = true },
	{ "mail_inbox_path", read_text, U(mail_inbox_path), .in_userdb = true },
	{ "nologin", read_presence, U(fails) },
	{ "fail", read_presence, U(fails) },
	{ "proxy", read_presence, U(has_proxy) },
	{ "proxy_maybe", read_presence, U(has_proxy) },
	{ "host", read_text, U(host) },
	{ "port", read_text, U(port) },

	/* A value in these is something that this server does not do, and the login without it would
	 * not be what was meant. */
	{ "nopassword", .refusal = "this server checks the password itself" },
	{ "noauthenticate", .refusal = "this server checks the password itself" },
	{ "password_noscheme", .refusal = "put its {SCHEME} before it, as password" },
	{ "k5principals", .refusal = "there is no Kerberos here" },
	{ "allow_real_nets", .refusal = "allow_nets is about the client's own address" },
	{ "check_client_fp", .refusal = "fingerprints of certificates are not compared" },
	{ "check_client_cert_fp", .refusal = "fingerprints of certificates are not compared" },
	{ "check_client_pubkey_fp", .refusal = "fingerprints of keys are not compared" },
	{ "login_user", .refusal = "master users are a setting here" },
	{ "chroot", .refusal = "write whole paths", .in_userdb = true },
	{ "uidgid_file", .refusal = "give uid and gid", .in_userdb = true },
	{ "userdb_import", .refusal = "give a column to each field" },

	/* These say how Dovecot goes about something that has no part in a login here. */
	{ .name = "nodelay" },
	{ .name = "delay_until" },
	{ .name = "source_ip" },
	{ .name = "destuser" },
	{ .name = "protocol" },
	{ .name = "ssl" },
	{ .name = "starttls" },
	{ .name = "master" },
	{ .name = "pass" },
	{ .name = "proxy_mech" },
	{ .name = "proxy_timeout" },
	{ .name = "proxy_nopipelining" },
	{ .name = "proxy_not_trusted" },
	{ .name = "proxy_no_multiplex" },
	{ .name = "forward_*" },
	{ .name = "event_*" },
	{ "nice", .in_userdb = true },
	{ "system_groups_user", .in_userdb = true },
	{ "quota*", .in_userdb = true },
	{ .name = NULL },
};

static const struct column app_columns[] = {
	{ "password", read_text, A(password) },     { "label", read_text, A(label) },
	{ "allow_nets", read_text, A(allow_nets) }, { "expires", read_time, A(expires) },
	{ "enabled", read_bool, A(enabled) },       { .name = NULL },
};

static const struct column *const tables[] = {
	[SQL_COLUMNS_USER] = user_columns,
	[SQL_COLUMNS_APP] = app_columns,
};

static bool
is_name_of(const struct column *c, struct pst_str name)
{
	struct pst_str known = pst_str_c(c->name);

	if (known.p[known.n - 1] != '*')
		return pst_str_ieq(name, known);
	known.n--;
	return name.n >= known.n && pst_str_ieq((struct pst_str){ name.p, known.n }, known);
}

static const struct column *
find_column(enum sql_columns which, const char *text)
{
	static const struct pst_str userdb = { "userdb_", 7 };
	const struct pst_str name = pst_str_c(text);
	const bool has_prefix =
		name.n > userdb.n && pst_str_ieq((struct pst_str){ name.p, userdb.n }, userdb);
	const struct pst_str bare =
		has_prefix ? (struct pst_str){ name.p + userdb.n, name.n - userdb.n } : name;
	const struct column *c;

	for (c = tables[which]; c->name != NULL; c++)
		if (is_name_of(c, name) || (has_prefix && c->in_userdb && is_name_of(c, bare)))
			return c;
	return NULL;
}

const char *
sql_column_use(enum sql_columns which, const char *name)
{
	const struct column *c = find_column(which, name);

	if (c == NULL)
		return NULL;
	if (c->refusal != NULL)
		return "refused";
	return c->read != NULL ? "used" : "ignored";
}

/* ---- Rows ---- */

static int
refuse_unknown(const char *name, struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP,
	                   "column %.64s is not known: the query's setting in postern.conf(5) has "
	                   "those that are",
	                   name);
}

static int
read_value(const struct column *c, struct pst_str text, void *out, struct pst_err *err)
{
	struct pst_err why;

	if (c->refusal != NULL)
		return pst_err_set(err, PST_E_TEMP, "column %s holds a value: %s", c->name,
		                   c->refusal);
	if (c->read == NULL || c->read(c, text, (char *)out + c->offset, &why) == 0)
		return 0;
	return pst_err_set(err, PST_E_TEMP, "column %s: %.100s", c->name, why.text);
}

static int
read_row(enum sql_columns which, const struct sql_row *row, void *out, struct pst_err *err)
{
	size_t i;

	for (i = 0; i < row->n; i++) {
		const struct column *c = find_column(which, row->names[i]);

		if (c == NULL)
			return refuse_unknown(row->names[i], err);
		if (!row->values[i].is_null && read_value(c, row->values[i].text, out, err) != 0)
			return -1;
	}
	return 0;
}

/* Dovecot's name for a part of "user" will do. */
static bool
stands_for(const struct column *c, const char *needed)
{
	return strcmp(c->name, needed) == 0 ||
	       (strcmp(needed, "user") == 0 && strcmp(c->name, "username") == 0);
}

int
sql_columns_check(enum sql_columns which, const struct sql_row *row, const char *needed,
                  struct pst_err *err)
{
	const struct column *seen[SQL_COLUMNS];
	bool has_needed = false;
	size_t i, j;

	for (i = 0; i < row->n && i < SQL_COLUMNS; i++) {
		seen[i] = find_column(which, row->names[i]);
		if (seen[i] == NULL) {
			(void)refuse_unknown(row->names[i], err);
			err->kind = PST_E_CLIENT;
			return -1;
		}
		/* Of two values one would be a guess. */
		for (j = 0; j < i; j++)
			if (seen[j] == seen[i] && seen[i]->read != NULL)
				return pst_err_set(err, PST_E_CLIENT,
				                   "columns %.64s and %.64s say the same thing",
				                   row->names[j], row->names[i]);
		has_needed = has_needed || stands_for(seen[i], needed);
	}
	return has_needed ? 0 : pst_err_set(err, PST_E_CLIENT, "there is no column %s", needed);
}

int
sql_app_read(const struct sql_row *row, struct sql_app *out, struct pst_err *err)
{
	*out = (struct sql_app){ .enabled = true };
	return read_row(SQL_COLUMNS_APP, row, out, err);
}

/* ---- What comes in parts ---- */

static struct pst_str
local_of(struct pst_str name)
{
	const char *at = name.n == 0 ? NULL : memrchr(name.p, '@', name.n);

	return at == NULL ? name : (struct pst_str){ name.p, (size_t)(at - name.p) };
}

static struct pst_str
domain_of(struct pst_str name)
{
	const size_t local = local_of(name).n;

	return local == name.n ? (struct pst_str){ "", 0 }
	                       : (struct pst_str){ name.p + local + 1, name.n - local - 1 };
}

/* user is the whole name, username keeps the domain that was asked for, domain replaces it. */
static int
join_name(struct sql_user *u, struct pst_str asked, struct pst_err *err)
{
	struct pst_str name = u->name;
	struct pst_str domain = u->domain;

	if (u->username.n == 0 && domain.n == 0)
		return 0;
	if (name.n == 0 && u->username.n > 0) {
		name = u->username;
		if (domain.n == 0 && domain_of(name).n == 0)
			domain = domain_of(asked);
	}
	if (name.n == 0)
		name = asked;
	if (domain.n > 0) {
		name = local_of(name);
		if (name.n + domain.n + 2 > sizeof(u->name_text))
			return pst_err_set(err, PST_E_TEMP, "the user's name is too long");
		(void)snprintf(u->name_text, sizeof(u->name_text), "%.*s@%.*s", PST_ARG(name),
		               PST_ARG(domain));
		name = (struct pst_str){ u->name_text, name.n + domain.n + 1 };
	}
	u->name = name;
	return 0;
}

/* maildrop is ours and comes first; then "mail", then what Dovecot 2.4 has in its place. */
static int
join_maildrop(struct sql_user *u, struct pst_err *err)
{
	struct pst_str path = u->mail_inbox_path.n > 0 ? u->mail_inbox_path : u->mail_path;
	char whole[SQL_PATH_MAX];
	struct pst_str mail = u->mail;

	if (u->maildrop.n > 0)
		return 0;
	if (mail.n == 0 && path.n > 0) {
		if (u->mail_driver.n == 0)
			return pst_err_set(err, PST_E_TEMP,
			                   "column mail_path: there is no mail_driver with it");
		if (u->mail_driver.n + path.n + 2 > sizeof(whole))
			return pst_err_set(err, PST_E_TEMP, "column mail_path: too long");
		(void)snprintf(whole, sizeof(whole), "%.*s:%.*s", PST_ARG(u->mail_driver),
		               PST_ARG(path));
		mail = pst_str_c(whole);
	}
	if (mail.n == 0)
		return 0;
	if (sql_mail_location(mail, u->maildrop_text, err) != 0)
		return -1;
	u->maildrop = pst_str_c(u->maildrop_text);
	return 0;
}

static int
join_proxy(struct sql_user *u, struct pst_err *err)
{
	struct pst_str host = u->host;

	if (!u->has_proxy)
		return 0;
	if (host.n == 0)
		host = PST_LIT("another server");
	if (host.n + u->port.n + 2 > sizeof(u->proxy_text))
		return pst_err_set(err, PST_E_TEMP, "column host: too long");
	(void)snprintf(u->proxy_text, sizeof(u->proxy_text), "%.*s%s%.*s", PST_ARG(host),
	               u->port.n > 0 ? ":" : "", PST_ARG(u->port));
	u->proxy = pst_str_c(u->proxy_text);
	return 0;
}

int
sql_user_read(const struct sql_row *row, struct pst_str asked, struct sql_user *out,
              struct pst_err *err)
{
	memset(out, 0, offsetof(struct sql_user, name_text));
	out->enabled = out->pop3_enabled = true;
	if (read_row(SQL_COLUMNS_USER, row, out, err) != 0 || join_name(out, asked, err) != 0 ||
	    join_maildrop(out, err) != 0)
		return -1;
	return join_proxy(out, err);
}
