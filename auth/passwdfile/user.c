/* SPDX-License-Identifier: MIT */
/* Fields of a line; see user.h. The names are those that Dovecot's manual knows, of 2.3 and 2.4. */
#include "auth/passwdfile/user.h"

enum how {
	TEXT = 1, /* into the member at offset */
	ID,       /* likewise, a number */
	FLAG,     /* likewise: it is true where it stands, whatever its value */
	MAIL,     /* DRIVER:PATH:OPTION=… */
	IGNORED,  /* has no meaning for POP3, or none here */
	REFUSED,  /* ignored, it would let somebody in who should not be, or to the wrong mail */
};

struct field {
	const char *name;
	enum how how;
	size_t offset;   /* in struct passwd_user */
	const char *why; /* of REFUSED */
};

#define AT(member) offsetof(struct passwd_user, member)
/* For "%.*s": enough of it to be found again. */
#define SOME(s) ((int)((s).n > 60 ? 60 : (s).n)), (s).p

static const struct field fields[] = {
	{ "user", TEXT, AT(name), NULL },
	{ "userdb_user", TEXT, AT(name), NULL },
	{ "userdb_home", TEXT, AT(home), NULL },
	{ "userdb_uid", ID, AT(uid), NULL },
	{ "userdb_gid", ID, AT(gid), NULL },
	{ "userdb_mail", MAIL, 0, NULL },
	{ "userdb_mail_driver", TEXT, AT(driver), NULL },
	{ "userdb_mail_path", TEXT, AT(path), NULL },
	{ "userdb_mail_inbox_path", TEXT, AT(inbox), NULL },
	{ "allow_nets", TEXT, AT(allow_nets), NULL },
	{ "nologin", FLAG, AT(is_locked), NULL },
	{ "reason", TEXT, AT(reason), NULL },
	{ "proxy", FLAG, AT(is_proxied), NULL },
	{ "proxy_maybe", FLAG, AT(is_proxied), NULL },
	{ "host", TEXT, AT(host), NULL },
	{ "port", TEXT, AT(port), NULL },

	/* Of proxying, which is refused as a whole. */
	{ "destuser", IGNORED, 0, NULL },
	{ "hostip", IGNORED, 0, NULL },
	{ "master", IGNORED, 0, NULL },
	{ "pass", IGNORED, 0, NULL },
	{ "protocol", IGNORED, 0, NULL },
	{ "source_ip", IGNORED, 0, NULL },
	{ "ssl", IGNORED, 0, NULL },
	{ "starttls", IGNORED, 0, NULL },
	{ "proxy_mech", IGNORED, 0, NULL },
	{ "proxy_timeout", IGNORED, 0, NULL },
	{ "proxy_nopipelining", IGNORED, 0, NULL },
	{ "proxy_not_trusted", IGNORED, 0, NULL },
	{ "proxy_no_multiplex", IGNORED, 0, NULL },
	{ "proxy_noauth", IGNORED, 0, NULL },

	{ "nodelay", IGNORED, 0, NULL }, /* auth.failure_delay is everybody's */
	{ "k5principals", IGNORED, 0, NULL },

	{ "nopassword", REFUSED, 0, "any password would do" },
	{ "password", REFUSED, 0, "the password is the line's second field" },
	{ "password_noscheme", REFUSED, 0, "the password is the line's second field" },
	{ "noauthenticate", REFUSED, 0, "another file would have to know the password" },
	{ "fail", REFUSED, 0, "it says that the login fails" },
	{ "delay_until", REFUSED, 0, "it is not done here" },
	{ "allow_real_nets", REFUSED, 0, "it is not done here: write allow_nets" },
	{ "check_client_fp", REFUSED, 0, "it is not done here" },
	{ "check_client_cert_fp", REFUSED, 0, "it is not done here" },
	{ "check_client_pubkey_fp", REFUSED, 0, "it is not done here" },
	{ "username", REFUSED, 0, "it is not done here: write user" },
	{ "domain", REFUSED, 0, "it is not done here: write user" },
	{ "login_user", REFUSED, 0, "it is not done here" },
	{ "userdb_chroot", REFUSED, 0, "the mail would be looked for elsewhere" },
	{ "userdb_import", REFUSED, 0, "it is not done here: write its fields one by one" },
	{ "userdb_uidgid_file", REFUSED, 0, "it is not done here: write userdb_uid" },
	{ "userdb_mail_control_path", REFUSED, 0, "the list of UIDLs would not be found" },
};

/* Any other setting for that user: quotas, namespaces, plugins, what another program is told. */
static const char *const ignored_prefixes[] = { "userdb_", "event_", "forward_" };

static const struct field *
find_field(struct pst_str name)
{
	static const struct field ignored = { "", IGNORED, 0, NULL };
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (pst_str_eq(name, pst_str_c(fields[i].name)))
			return &fields[i];
	for (i = 0; i < sizeof(ignored_prefixes) / sizeof(ignored_prefixes[0]); i++) {
		const size_t n = strlen(ignored_prefixes[i]);

		if (name.n > n && memcmp(name.p, ignored_prefixes[i], n) == 0)
			return &ignored;
	}
	return NULL;
}

static int
read_id(struct pst_str value, uint32_t *out, struct pst_err *err)
{
	uint64_t num;

	if (value.n == 0)
		return 0;
	/* The highest one means "no id" to the kernel. */
	if (!pst_str_u64(value, &num) || num >= UINT32_MAX)
		return pst_err_set(err, PST_E_PERM, "\"%.*s\" is no id: write the number",
		                   SOME(value));
	*out = (uint32_t)num;
	return 0;
}

/* Takes the text up to the next separator off *rest, and the separator. */
static struct pst_str
next_part(struct pst_str *rest, char separator)
{
	const char *at = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
	struct pst_str part = { rest->p, at != NULL ? (size_t)(at - rest->p) : rest->n };
	const size_t taken = part.n + (at != NULL);

	*rest = (struct pst_str){ rest->p + taken, rest->n - taken };
	return part;
}

/* "maildir:~/Maildir:INBOX=~/inbox:LAYOUT=fs" */
static int
read_mail(struct pst_str value, struct passwd_user *out, struct pst_err *err)
{
	struct pst_str rest = value;

	if (memchr(value.p, ':', value.n) == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "\"%.*s\" does not say its kind: write maildir:PATH",
		                   SOME(value));
	out->driver = next_part(&rest, ':');
	out->path = next_part(&rest, ':');
	while (rest.n > 0) {
		struct pst_str option = next_part(&rest, ':');
		struct pst_str name = next_part(&option, '=');

		if (pst_str_eq(name, PST_LIT("INBOX")))
			out->inbox = option;
		if (pst_str_eq(name, PST_LIT("CONTROL")))
			return pst_err_set(err, PST_E_PERM,
			                   "CONTROL: the list of UIDLs would not be found");
	}
	return 0;
}

static int
read_field(const struct field *f, struct pst_str value, struct passwd_user *out,
           struct pst_err *err)
{
	static const bool yes = true;
	char *to = (char *)out + f->offset;
	uint32_t id = 0;

	switch (f->how) {
	case TEXT:
		memcpy(to, &value, sizeof(value));
		break;
	case ID:
		if (read_id(value, &id, err) != 0)
			return -1;
		memcpy(to, &id, sizeof(id));
		break;
	case FLAG:
		memcpy(to, &yes, sizeof(yes));
		break;
	case MAIL:
		return read_mail(value, out, err);
	case IGNORED:
		break;
	case REFUSED:
		return pst_err_set(err, PST_E_PERM, "%s", f->why);
	}
	return 0;
}

static int
read_extra(struct pst_str name, struct pst_str value, struct passwd_user *out, struct pst_err *err)
{
	const struct field *f = find_field(name);
	struct pst_err why;

	if (f == NULL)
		return pst_err_set(err, PST_E_PERM, "field %.*s is not known", SOME(name));
	if (read_field(f, value, out, &why) != 0)
		return pst_err_set(err, PST_E_PERM, "field %.*s: %.150s", SOME(name), why.text);
	return 0;
}

/* "local" is for look-ups that no client makes. What is left must say something: an empty list would
 * let everybody in. */
static int
check_nets(struct pst_str given, struct pst_err *err)
{
	struct pst_str rest = given;

	while (rest.n > 0) {
		struct pst_str net = next_part(&rest, ',');

		if (net.n > 0 && !pst_str_eq(net, PST_LIT("local")))
			return 0;
	}
	return pst_err_set(err, PST_E_PERM, "field allow_nets: it names no network");
}

int
passwd_user_read(const struct passwd_line *line, struct passwd_user *out, struct pst_err *err)
{
	struct pst_str rest = line->extra;
	struct pst_err why;

	*out = (struct passwd_user){ .password = line->password, .home = line->home };
	if (read_id(line->uid, &out->uid, &why) != 0)
		return pst_err_set(err, PST_E_PERM, "uid: %.150s", why.text);
	if (read_id(line->gid, &out->gid, &why) != 0)
		return pst_err_set(err, PST_E_PERM, "gid: %.150s", why.text);
	while (rest.n > 0) {
		struct pst_str value = next_part(&rest, ' ');
		struct pst_str name = next_part(&value, '=');

		if (name.n == 0)
			continue; /* two spaces */
		if (read_extra(name, value, out, err) != 0)
			return -1;
		if (pst_str_eq(name, PST_LIT("allow_nets")) && check_nets(value, err) != 0)
			return -1;
	}
	if (out->home.n > 0 && out->home.p[0] != '/')
		return pst_err_set(err, PST_E_PERM, "home \"%.*s\" is no absolute path",
		                   SOME(out->home));
	return 0;
}

/* ---- Where the mail is ---- */

struct text {
	char *p;
	size_t n, cap;
};

static int
add(struct text *t, struct pst_str s, struct pst_err *err)
{
	if (s.n >= t->cap - t->n)
		return pst_err_set(err, PST_E_PERM, "mail: its path is too long");
	memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
	t->p[t->n] = '\0';
	return 0;
}

/* Takes a variable off *rest, which begins with '%'; gives its name here. */
static int
next_variable(struct pst_str *rest, struct pst_str *out, struct pst_err *err)
{
	static const struct {
		const char *theirs, *ours;
	} names[] = {
		{ "%%", "%%" },
		{ "%u", "%{user}" },
		{ "%n", "%{local}" },
		{ "%d", "%{domain}" },
		{ "%h", "%{home}" },
		{ "%{user}", "%{user}" },
		{ "%{user|username}", "%{local}" },
		{ "%{user | username}", "%{local}" },
		{ "%{user|domain}", "%{domain}" },
		{ "%{user | domain}", "%{domain}" },
		{ "%{home}", "%{home}" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct pst_str theirs = pst_str_c(names[i].theirs);

		if (rest->n < theirs.n || memcmp(rest->p, theirs.p, theirs.n) != 0)
			continue;
		*out = pst_str_c(names[i].ours);
		*rest = (struct pst_str){ rest->p + theirs.n, rest->n - theirs.n };
		return 0;
	}
	return pst_err_set(err, PST_E_PERM,
	                   "mail: \"%.*s\": of the variables, %%u %%n %%d %%h are known",
	                   SOME(*rest));
}

static int
add_path(struct text *t, struct pst_str path, struct pst_err *err)
{
	struct pst_str piece;

	if (path.n > 0 && path.p[0] == '~' && (path.n == 1 || path.p[1] == '/')) {
		if (add(t, PST_LIT("%{home}"), err) != 0)
			return -1;
		path = (struct pst_str){ path.p + 1, path.n - 1 };
	}
	while (path.n > 0) {
		const char *percent = memchr(path.p, '%', path.n);

		if (percent == path.p) {
			if (next_variable(&path, &piece, err) != 0)
				return -1;
		} else {
			piece = path;
			if (percent != NULL)
				piece.n = (size_t)(percent - path.p);
			path = (struct pst_str){ path.p + piece.n, path.n - piece.n };
		}
		if (add(t, piece, err) != 0)
			return -1;
	}
	return 0;
}

int
passwd_user_location(const struct passwd_user *u, char *out, size_t cap, struct pst_err *err)
{
	struct text t = { out, 0, cap };
	struct pst_str path = u->inbox.n > 0 ? u->inbox : u->path;
	struct pst_str driver = u->driver;
	const char *begin;

	out[0] = '\0';
	if (path.n == 0)
		return 0;
	if (driver.n == 0)
		driver = PST_LIT("maildir");
	if (!pst_str_eq(driver, PST_LIT("maildir")) && !pst_str_eq(driver, PST_LIT("mbox")))
		return pst_err_set(err, PST_E_PERM,
		                   "mail: \"%.*s\" is a kind that is not read here", SOME(driver));
	if (add(&t, driver, err) != 0 || add(&t, PST_LIT(":"), err) != 0)
		return -1;
	begin = out + t.n;
	if (add_path(&t, path, err) != 0)
		return -1;
	if (begin[0] != '/' && strncmp(begin, "%{home}/", strlen("%{home}/")) != 0)
		return pst_err_set(err, PST_E_PERM, "mail: \"%.*s\" is no absolute path",
		                   SOME(path));
	return 0;
}
