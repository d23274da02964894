/* SPDX-License-Identifier: MIT */
/* Named parameters; see query.h. */
#include "auth/sql/query.h"

#include <stdlib.h>

/* By enum sql_param. */
static const char *const param_names[SQL_PARAMS] = {
	"user",       "local_part", "domain",       "remote_ip",  "local_ip",     "sni",
	"app_prefix", "password",   "old_password", "maildrop",   "uid",          "gid",
	"enabled",    "reason",     "pop3_enabled", "allow_nets", "max_sessions", "min_poll",
	"max_listed", "min_tls",    "home",         "rehash",     "read_only",    "expire_days",
	"hold_days",  "unset",      "at",           "mechanism",  "retrieved",    "deleted",
	"octets",     "seconds",    "holder",       "taker",
};

struct scan {
	const char *source; /* ended by NUL */
	const char *p;      /* in it */
	char *out;          /* where the next octet of text goes: never more than was read */
	uint64_t allowed;
	char mark;
};

static bool
is_name_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || pst_is_digit(c) || c == '_';
}

static void
copy_octets(struct scan *s, size_t n)
{
	memcpy(s->out, s->p, n);
	s->out += n;
	s->p += n;
}

static bool
is_postgres(const struct scan *s)
{
	return s->mark == '$';
}

/* Whether a word is going on here: its letters mean nothing then. */
static bool
is_in_word(const struct scan *s)
{
	const char before = s->p == s->source ? ' ' : s->p[-1];

	return is_name_octet(before) || before == '$' || ((unsigned char)before & 0x80) != 0;
}

static int
not_closed(const char *what, struct pst_err *err)
{
	return pst_err_set(err, PST_E_CLIENT, "a %s is not closed", what);
}

/* 'text', "name" or `name`: up to the same quote. A doubled one reads as two that touch. */
static int
copy_quoted(struct scan *s, struct pst_err *err)
{
	const char *end = strchr(s->p + 1, s->p[0]);

	if (end == NULL)
		return not_closed((char[]){ s->p[0], '\0' }, err);
	copy_octets(s, (size_t)(end - s->p) + 1);
	return 0;
}

/* PostgreSQL's E'text', in which \' does not end it. A line end and another quote go on with it. */
static int
copy_escaped(struct scan *s, struct pst_err *err)
{
	const char *p = s->p + 1;
	size_t space;

	do {
		for (p++; *p != '\'' && *p != '\0'; p++)
			if (p[0] == '\\' && p[1] != '\0')
				p++;
		if (*p == '\0')
			return not_closed("'", err);
		p++;
		space = strspn(p, " \t\r\n\f\v");
		if (*p == '\'' || (p[space] == '\'' && memchr(p, '\n', space) != NULL))
			p += *p == '\'' ? 0 : space;
		else
			space = SIZE_MAX;
	} while (space != SIZE_MAX);
	copy_octets(s, (size_t)(p - s->p));
	return 0;
}

/* The octets of "$tag$" at p, 0 where there is none. */
static size_t
dollar_tag(const char *p)
{
	size_t n = 1;

	while (is_name_octet(p[n]) || ((unsigned char)p[n] & 0x80) != 0)
		n++;
	return p[n] == '$' && !pst_is_digit(p[1]) ? n + 1 : 0;
}

/* $$text$$ or $tag$text$tag$. A number behind $ would be one of our own placeholders. */
static int
copy_dollar(struct scan *s, struct pst_err *err)
{
	const size_t n = dollar_tag(s->p);
	const char *end;

	if (n == 0 && pst_is_digit(s->p[1]))
		return pst_err_set(err, PST_E_CLIENT,
		                   "$%c: a parameter is written as :name, no other way", s->p[1]);
	if (n == 0) {
		copy_octets(s, 1);
		return 0;
	}
	end = memmem(s->p + n, strlen(s->p + n), s->p, n);
	if (end == NULL)
		return pst_err_set(err, PST_E_CLIENT, "a %.*s is not closed",
		                   (int)(n < 64 ? n : 64), s->p);
	copy_octets(s, (size_t)(end - s->p) + n);
	return 0;
}

static void
copy_line(struct scan *s)
{
	copy_octets(s, strcspn(s->p, "\n"));
}

/* In PostgreSQL one may stand in another. */
static int
copy_comment(struct scan *s, struct pst_err *err)
{
	const char *p = s->p;
	size_t depth = 0;

	do {
		if (p[0] == '\0')
			return not_closed("comment", err);
		if (p[0] == '/' && p[1] == '*' && (depth == 0 || is_postgres(s))) {
			depth++;
			p += 2;
		} else if (p[0] == '*' && p[1] == '/') {
			depth--;
			p += 2;
		} else {
			p++;
		}
	} while (depth > 0);
	copy_octets(s, (size_t)(p - s->p));
	return 0;
}

static int
find_param(struct pst_str name, uint64_t allowed, enum sql_param *param_out, struct pst_err *err)
{
	char known[160] = "";
	size_t n = 0;
	size_t i;

	for (i = 0; i < SQL_PARAMS; i++) {
		if ((allowed & SQL_BIT(i)) == 0)
			continue;
		if (pst_str_eq(name, pst_str_c(param_names[i]))) {
			*param_out = (enum sql_param)i;
			return 0;
		}
		if (n < sizeof(known)) /* a long list is cut */
			n += (size_t)snprintf(known + n, sizeof(known) - n, " :%s", param_names[i]);
	}
	return pst_err_set(err, PST_E_CLIENT, "there is no parameter :%.*s here, only%s",
	                   PST_ARG(name), known);
}

/* ":name" becomes the placeholder of its number; a name that comes again has the same one. */
static int
replace_param(struct scan *s, struct sql_query *q, struct pst_err *err)
{
	struct pst_str name = { s->p + 1, 0 };
	enum sql_param param;
	size_t k = 0;

	while (is_name_octet(name.p[name.n]))
		name.n++;
	if (find_param(name, s->allowed, &param, err) != 0)
		return -1;
	while (k < q->param_count && q->params[k] != param)
		k++;
	if (k == q->param_count)
		q->params[q->param_count++] = param;
	s->p += 1 + name.n;
	/* At most "?29" for the shortest name, ":at". */
	s->out += snprintf(s->out, 4, "%c%zu", s->mark, k + 1);
	return 0;
}

/* What only PostgreSQL has: *done_out says whether it was such a thing. */
static int
scan_postgres(struct scan *s, bool *done_out, struct pst_err *err)
{
	const char c = s->p[0];

	*done_out = true;
	if ((c == 'E' || c == 'e') && s->p[1] == '\'' && !is_in_word(s))
		return copy_escaped(s, err);
	if (c == '$' && !is_in_word(s))
		return copy_dollar(s, err);
	if (c == '`')
		copy_octets(s, 1); /* no quote there */
	else
		*done_out = false;
	return 0;
}

static int
scan_one(struct scan *s, struct sql_query *q, struct pst_err *err)
{
	const char c = s->p[0];
	bool done = false;

	if (is_postgres(s) && scan_postgres(s, &done, err) != 0)
		return -1;
	if (done)
		return 0;
	if (c == '\'' || c == '"' || c == '`')
		return copy_quoted(s, err);
	if (c == '/' && s->p[1] == '*')
		return copy_comment(s, err);
	if (c == ':' && is_name_octet(s->p[1]) && !pst_is_digit(s->p[1]))
		return replace_param(s, q, err);
	if (c == '-' && s->p[1] == '-')
		copy_line(s);
	else if (c == ':' && s->p[1] == ':')
		copy_octets(s, 2); /* a type in PostgreSQL */
	else
		copy_octets(s, 1);
	return 0;
}

bool
sql_param_is_number(enum sql_param param)
{
	static const uint64_t numbers = SQL_BIT(SQL_UID) | SQL_BIT(SQL_GID) | SQL_BIT(SQL_ENABLED) |
	                                SQL_BIT(SQL_POP3_ENABLED) | SQL_BIT(SQL_MAX_SESSIONS) |
	                                SQL_BIT(SQL_MIN_POLL) | SQL_BIT(SQL_MAX_LISTED) |
	                                SQL_BIT(SQL_READ_ONLY) | SQL_BIT(SQL_AT) |
	                                SQL_BIT(SQL_RETRIEVED) | SQL_BIT(SQL_DELETED) |
	                                SQL_BIT(SQL_OCTETS) | SQL_BIT(SQL_SECONDS) | SQL_SINCE_3;

	return (numbers & SQL_BIT(param)) != 0;
}

int
sql_query_parse(struct sql_query *q, const char *source, uint64_t allowed, char mark,
                struct pst_err *err)
{
	struct scan s = { .source = source, .p = source, .allowed = allowed, .mark = mark };

	q->param_count = 0;
	q->text = NULL;
	if (source[0] == '\0')
		return 0;
	/* A placeholder's digits make snprintf end it with a NUL, so one octet more. */
	q->text = malloc(strlen(source) + 2);
	if (q->text == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	s.out = q->text;
	while (s.p[0] != '\0')
		if (scan_one(&s, q, err) != 0) {
			sql_query_clear(q);
			return -1;
		}
	s.out[0] = '\0';
	return 0;
}

void
sql_query_clear(struct sql_query *q)
{
	free(q->text);
	q->text = NULL;
	q->param_count = 0;
}
