/* SPDX-License-Identifier: MIT */
/* Named parameters; see query.h. */
#include "auth/sql/query.h"

#include <stdlib.h>

/* By enum sql_param. */
static const char *const param_names[SQL_PARAMS] = {
	"user",     "local_part", "domain", "remote_ip", "local_ip", "sni",
	"password", "maildrop",   "uid",    "gid",       "enabled",  "reason",
};

struct scan {
	const char *p; /* the source, ended by NUL */
	char *out;     /* where the next octet of text goes: never more than was read */
	unsigned allowed;
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

/* 'text', "name" or `name`: up to the same quote. A doubled one reads as two that touch. */
static int
copy_quoted(struct scan *s, struct pst_err *err)
{
	const char *end = strchr(s->p + 1, s->p[0]);

	if (end == NULL)
		return pst_err_set(err, PST_E_CLIENT, "a %c is not closed", s->p[0]);
	copy_octets(s, (size_t)(end - s->p) + 1);
	return 0;
}

static int
copy_comment(struct scan *s, struct pst_err *err)
{
	const char *end;

	if (s->p[0] == '-') {
		end = strchr(s->p, '\n');
		copy_octets(s, end == NULL ? strlen(s->p) : (size_t)(end - s->p));
		return 0;
	}
	end = strstr(s->p + 2, "*/");
	if (end == NULL)
		return pst_err_set(err, PST_E_CLIENT, "a comment is not closed");
	copy_octets(s, (size_t)(end - s->p) + 2);
	return 0;
}

static int
find_param(struct pst_str name, unsigned allowed, enum sql_param *param_out, struct pst_err *err)
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
	/* At most "?12" for the shortest name, ":uid". */
	s->out += snprintf(s->out, 4, "%c%zu", s->mark, k + 1);
	return 0;
}

static int
scan_one(struct scan *s, struct sql_query *q, struct pst_err *err)
{
	const char c = s->p[0];

	if (c == '\'' || c == '"' || c == '`')
		return copy_quoted(s, err);
	if ((c == '-' && s->p[1] == '-') || (c == '/' && s->p[1] == '*'))
		return copy_comment(s, err);
	if (c == ':' && s->p[1] == ':') {
		copy_octets(s, 2); /* a type in PostgreSQL */
		return 0;
	}
	if (c == ':' && is_name_octet(s->p[1]) && !pst_is_digit(s->p[1]))
		return replace_param(s, q, err);
	copy_octets(s, 1);
	return 0;
}

bool
sql_param_is_number(enum sql_param param)
{
	return param == SQL_UID || param == SQL_GID || param == SQL_ENABLED;
}

int
sql_query_parse(struct sql_query *q, const char *source, unsigned allowed, char mark,
                struct pst_err *err)
{
	struct scan s = { .p = source, .allowed = allowed, .mark = mark };

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
