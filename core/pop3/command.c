/* SPDX-License-Identifier: MIT */
/* The command table and its dispatcher; see command.h. */
#include "pop3/command.h"

#include <string.h>

const struct pop3_command pop3_commands[POP3_VERBS] = {
	[POP3_CAPA] = { "CAPA", POP3_AUTH | POP3_TRANS, { ARG_END }, NULL, "2449 section 5" },
	[POP3_STLS] = { "STLS", POP3_AUTH, { ARG_END }, "STLS", "2595 section 4" },
	[POP3_USER] = { "USER", POP3_AUTH, { ARG_WORD }, "USER", "1939 section 7" },
	[POP3_PASS] = { "PASS", POP3_AUTH, { ARG_REST }, NULL, "1939 section 7" },
	[POP3_APOP] = { "APOP", POP3_AUTH, { ARG_WORD, ARG_WORD }, NULL, "1939 section 7" },
	[POP3_SASL_AUTH] = { "AUTH",
	                     POP3_AUTH,
	                     { ARG_OPT_WORD, ARG_OPT_WORD },
	                     "SASL",
	                     "5034 section 4" },
	[POP3_QUIT] = { "QUIT", POP3_AUTH | POP3_TRANS, { ARG_END }, NULL, "1939 sections 4, 6" },
	[POP3_STAT] = { "STAT", POP3_TRANS, { ARG_END }, NULL, "1939 section 5" },
	[POP3_LIST] = { "LIST", POP3_TRANS, { ARG_OPT_MSG }, NULL, "1939 section 5" },
	[POP3_RETR] = { "RETR", POP3_TRANS, { ARG_MSG }, NULL, "1939 section 5" },
	[POP3_DELE] = { "DELE", POP3_TRANS, { ARG_MSG }, NULL, "1939 section 5" },
	[POP3_NOOP] = { "NOOP", POP3_TRANS, { ARG_END }, NULL, "1939 section 5" },
	[POP3_RSET] = { "RSET", POP3_TRANS, { ARG_END }, NULL, "1939 section 5" },
	[POP3_TOP] = { "TOP", POP3_TRANS, { ARG_MSG, ARG_LINES }, "TOP", "1939 section 7" },
	[POP3_UIDL] = { "UIDL", POP3_TRANS, { ARG_OPT_MSG }, "UIDL", "1939 section 7" },
	/* Outlook says it after login, too; there it does nothing. USER: names and passwords may be
	 * UTF-8, whether or not it was said. */
	[POP3_UTF8] = { "UTF8",
	                POP3_AUTH | POP3_TRANS,
	                { ARG_END },
	                "UTF8 USER",
	                "6856 section 2" },
	[POP3_LANG] = { "LANG",
	                POP3_AUTH | POP3_TRANS,
	                { ARG_OPT_WORD },
	                "LANG",
	                "6856 section 3" },
	[POP3_LAST] = { "LAST", POP3_TRANS, { ARG_END }, NULL, "1460 section 5" },
};

static struct pst_str
skip(struct pst_str s, size_t n)
{
	return (struct pst_str){ s.p + n, s.n - n };
}

/* The octets up to the next space. */
static struct pst_str
word_at(struct pst_str s)
{
	const char *space = s.n == 0 ? NULL : memchr(s.p, ' ', s.n);

	return (struct pst_str){ s.p, space == NULL ? s.n : (size_t)(space - s.p) };
}

static enum pop3_verb
find_verb(struct pst_str word)
{
	unsigned v;

	for (v = 0; v < POP3_VERBS; v++)
		if (pst_str_ieq(word, pst_str_c(pop3_commands[v].name)))
			break;
	return (enum pop3_verb)v;
}

int
pop3_msg_number(struct pst_str *s, uint32_t count, uint32_t *num_out, struct pst_err *err)
{
	uint32_t num = 0;
	size_t i;

	for (i = 0; i < s->n && pst_is_digit(s->p[i]); i++) {
		uint32_t digit = (uint32_t)(s->p[i] - '0');

		if (num > (UINT32_MAX - digit) / 10)
			return pst_err_set(err, PST_E_CLIENT, "message number too large");
		num = num * 10 + digit;
	}
	if (i == 0 || (i < s->n && s->p[i] != ' '))
		return pst_err_set(err, PST_E_CLIENT, "not a message number");
	if (num == 0 || num > count)
		return pst_err_set(err, PST_E_CLIENT, "no such message");
	*s = skip(*s, i);
	*num_out = num;
	return 0;
}

/* As many lines as a message may have: a number past 2^64 asks for all of them too. */
static int
line_count(struct pst_str *s, uint64_t *lines_out, struct pst_err *err)
{
	struct pst_str word = word_at(*s);
	uint64_t lines = 0;
	size_t i;

	for (i = 0; i < word.n && pst_is_digit(word.p[i]); i++) {
		uint64_t digit = (uint64_t)(word.p[i] - '0');

		lines = lines > (UINT64_MAX - digit) / 10 ? UINT64_MAX : lines * 10 + digit;
	}
	if (i == 0 || i < word.n)
		return pst_err_set(err, PST_E_CLIENT, "not a number of lines");
	*s = skip(*s, i);
	*lines_out = lines;
	return 0;
}

static int
message_argument(const struct pop3_context *ctx, struct pst_str *s, struct pop3_args *args,
                 struct pst_err *err)
{
	if (pop3_msg_number(s, ctx->count, &args->msg, err) != 0)
		return -1;
	if (ctx->is_deleted != NULL && ctx->is_deleted(ctx->session, args->msg))
		return pst_err_set(err, PST_E_CLIENT, "message is deleted");
	return 0;
}

static void
word_argument(struct pst_str *s, struct pop3_args *args)
{
	struct pst_str word = word_at(*s);

	*(args->text.p == NULL ? &args->text : &args->text2) = word;
	*s = skip(*s, word.n);
}

/* One argument at the front of *s, right behind its space. */
static int
parse_argument(const struct pop3_context *ctx, enum pop3_arg spec, struct pst_str *s,
               struct pop3_args *args, struct pst_err *err)
{
	switch (spec) {
	case ARG_MSG:
	case ARG_OPT_MSG:
		return message_argument(ctx, s, args, err);
	case ARG_LINES:
		return line_count(s, &args->lines, err);
	case ARG_WORD:
	case ARG_OPT_WORD:
		word_argument(s, args);
		return 0;
	case ARG_REST:
		args->text = *s;
		*s = skip(*s, s->n);
		return 0;
	case ARG_END:
		break;
	}
	return pst_err_set(err, PST_E_CLIENT, "too many arguments");
}

static bool
is_blank(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] != ' ')
			return false;
	return true;
}

/* s is what follows the keyword: nothing, or a space and more. An argument has exactly one space
 * before it; spaces after the last one are forgiven, but belong to it where it is ARG_REST. */
static int
parse_arguments(const struct pop3_context *ctx, const struct pop3_command *row, struct pst_str s,
                struct pop3_args *args, struct pst_err *err)
{
	const enum pop3_arg *spec;

	for (spec = row->args; *spec != ARG_END; spec++) {
		if (*spec == ARG_REST ? s.n == 0 : is_blank(s)) {
			if (*spec == ARG_OPT_MSG || *spec == ARG_OPT_WORD)
				return 0;
			return pst_err_set(err, PST_E_CLIENT, "argument missing");
		}
		s = skip(s, 1);
		if (*spec != ARG_REST && s.p[0] == ' ')
			return pst_err_set(err, PST_E_CLIENT, "one space before an argument");
		if (parse_argument(ctx, *spec, &s, args, err) != 0)
			return -1;
	}
	return is_blank(s) ? 0 : pst_err_set(err, PST_E_CLIENT, "too many arguments");
}

int
pop3_dispatch(const struct pop3_context *ctx, struct pst_str line, enum pop3_verb *verb_out,
              struct pst_err *err)
{
	struct pst_str word = word_at(line);
	struct pop3_args args = { 0 };
	enum pop3_verb verb = find_verb(word);

	*verb_out = verb;
	if (verb == POP3_VERBS)
		return pst_err_set(err, PST_E_CLIENT, "unknown command");
	if (pst_str_has_nul(line))
		return pst_err_set(err, PST_E_CLIENT, "NUL octet in command");
	if ((pop3_commands[verb].states & ctx->state) == 0 || ctx->handlers[verb] == NULL)
		return pst_err_set(err, PST_E_CLIENT, "command not valid in this state");
	if (parse_arguments(ctx, &pop3_commands[verb], skip(line, word.n), &args, err) != 0)
		return -1;
	return ctx->handlers[verb](ctx->session, &args, err);
}
