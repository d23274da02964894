/* SPDX-License-Identifier: MIT */
/* Dovecot's mail locations; see user.h. */
#include "auth/sql/user.h"

struct variable {
	const char *theirs;
	const char *ours;
};

/* Names are folded by the server, so that "lower" has nothing left to do. */
static const struct variable letters[] = {
	{ "u", "%{user}" },    { "n", "%{local}" }, { "d", "%{domain}" },
	{ "h", "%{home}" },    { "Lu", "%{user}" }, { "Ln", "%{local}" },
	{ "Ld", "%{domain}" }, { "%", "%%" },       { NULL, NULL },
};
static const struct variable words[] = {
	{ "user", "%{user}" },           { "user|lower", "%{user}" },
	{ "user|username", "%{local}" }, { "user|username|lower", "%{local}" },
	{ "user|domain", "%{domain}" },  { "user|domain|lower", "%{domain}" },
	{ "local", "%{local}" },         { "domain", "%{domain}" },
	{ "home", "%{home}" },           { NULL, NULL },
};

/* Where Dovecot keeps files of its own, and folders that POP3 does not show. */
static const char *const ignored[] = {
	"INDEX",     "INDEXPVT",    "INDEXCACHE",  "CONTROL",
	"LAYOUT",    "VOLATILEDIR", "ALT",         "SUBSCRIPTIONS",
	"DIRNAME",   "UTF-8",       "FULLDIRNAME", "MAILBOXDIR",
	"ITERINDEX", "NO-NOSELECT", "BROKENCHAR",  "NO-FULLFS-RENAMES",
};

struct writer {
	char *p;
	size_t n, max;
};

static int
put(struct writer *w, struct pst_str s, struct pst_err *err)
{
	if (s.n >= w->max - w->n)
		return pst_err_set(err, PST_E_TEMP, "column mail: too long");
	memcpy(w->p + w->n, s.p, s.n);
	w->n += s.n;
	w->p[w->n] = '\0';
	return 0;
}

static int
put_variable(struct writer *w, const struct variable *table, struct pst_str name,
             struct pst_err *err)
{
	for (; table->theirs != NULL; table++)
		if (pst_str_eq(name, pst_str_c(table->theirs)))
			return put(w, pst_str_c(table->ours), err);
	return pst_err_set(err, PST_E_TEMP, "column mail: the variable %%%.*s is not known here",
	                   PST_ARG(name));
}

/* "{user | domain}" without its spaces, which mean nothing. */
static int
put_word(struct writer *w, struct pst_str inside, struct pst_err *err)
{
	char name[64];
	size_t n = 0;
	size_t i;

	for (i = 0; i < inside.n; i++) {
		if (inside.p[i] == ' ')
			continue;
		if (n + 1 == sizeof(name))
			return pst_err_set(err, PST_E_TEMP, "column mail: %%{%.*s} is not known",
			                   PST_ARG(inside));
		name[n++] = inside.p[i];
	}
	return put_variable(w, words, (struct pst_str){ name, n }, err);
}

/* What stands after a '%' at the front of *s; leaves *s after it. */
static int
convert_variable(struct writer *w, struct pst_str *s, struct pst_err *err)
{
	const char *end;
	size_t n;

	if (s->n == 0 || s->p[0] != '{') {
		n = s->n > 1 && s->p[0] == 'L' ? 2 : (s->n > 0 ? 1 : 0);
		if (put_variable(w, letters, (struct pst_str){ s->p, n }, err) != 0)
			return -1;
		*s = (struct pst_str){ s->p + n, s->n - n };
		return 0;
	}
	end = memchr(s->p, '}', s->n);
	if (end == NULL)
		return pst_err_set(err, PST_E_TEMP, "column mail: a %%{ is not closed");
	n = (size_t)(end - s->p);
	if (put_word(w, (struct pst_str){ s->p + 1, n - 1 }, err) != 0)
		return -1;
	*s = (struct pst_str){ end + 1, s->n - n - 1 };
	return 0;
}

static int
convert_path(struct writer *w, struct pst_str path, struct pst_err *err)
{
	if (path.n > 0 && path.p[0] == '~' && (path.n == 1 || path.p[1] == '/')) {
		if (put(w, PST_LIT("%{home}"), err) != 0)
			return -1;
		path = (struct pst_str){ path.p + 1, path.n - 1 };
	}
	while (path.n > 0) {
		const char *percent = memchr(path.p, '%', path.n);
		const size_t n = percent == NULL ? path.n : (size_t)(percent - path.p);

		if (put(w, (struct pst_str){ path.p, n }, err) != 0)
			return -1;
		path = (struct pst_str){ path.p + n, path.n - n };
		if (path.n == 0)
			break;
		path = (struct pst_str){ path.p + 1, path.n - 1 };
		if (convert_variable(w, &path, err) != 0)
			return -1;
	}
	return 0;
}

/* Takes what stands before the next ':' off *s. */
static struct pst_str
next_part(struct pst_str *s)
{
	const char *colon = s->n == 0 ? NULL : memchr(s->p, ':', s->n);
	const struct pst_str part = { s->p, colon == NULL ? s->n : (size_t)(colon - s->p) };
	const size_t taken = part.n + (colon == NULL ? 0 : 1);

	*s = (struct pst_str){ s->p + taken, s->n - taken };
	return part;
}

/* "NAME=value" or "NAME": the INBOX is where POP3's mail is, if it is named. */
static int
take_option(struct pst_str option, struct pst_str *path, struct pst_err *err)
{
	const char *equals = option.n == 0 ? NULL : memchr(option.p, '=', option.n);
	const size_t n = equals == NULL ? option.n : (size_t)(equals - option.p);
	const struct pst_str name = { option.p, n };
	size_t i;

	if (pst_str_ieq(name, PST_LIT("INBOX")) && equals != NULL) {
		*path = (struct pst_str){ equals + 1, option.n - n - 1 };
		return 0;
	}
	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (pst_str_ieq(name, pst_str_c(ignored[i])))
			return 0;
	return pst_err_set(err, PST_E_TEMP, "column mail: the option \"%.*s\" is not known here",
	                   PST_ARG(option));
}

int
sql_mail_location(struct pst_str mail, char out[SQL_PATH_MAX], struct pst_err *err)
{
	struct writer w = { out, 0, SQL_PATH_MAX };
	struct pst_str rest = mail;
	struct pst_str driver = next_part(&rest);
	struct pst_str path = next_part(&rest);

	if (path.n == 0 || driver.n == 0)
		return pst_err_set(err, PST_E_TEMP,
		                   "column mail: \"%.*s\" is not of the form maildir:~/Maildir",
		                   PST_ARG(mail));
	while (rest.n > 0)
		if (take_option(next_part(&rest), &path, err) != 0)
			return -1;
	if (put(&w, driver, err) != 0 || put(&w, PST_LIT(":"), err) != 0)
		return -1;
	return convert_path(&w, path, err);
}
