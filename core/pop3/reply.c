/* SPDX-License-Identifier: MIT */
/* Reply lines and CAPA; see reply.h. */
#include "pop3/reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define REPLY_MAX 512 /* octets with CRLF, RFC 1939 section 3 */

/* Puts the text, from octet text_at on, into the buffer's language. Returns the line's octets. */
static size_t
translate(const struct pst_buf *out, char *line, size_t n, size_t text_at)
{
	char text[REPLY_MAX];
	const size_t room = REPLY_MAX - 2 - text_at;
	size_t octets;

	if (n <= text_at)
		return n;
	octets = pop3_translate((enum pop3_language)out->language,
	                        (struct pst_str){ line + text_at, n - text_at }, text, room);
	if (octets == 0)
		return n;
	memcpy(line + text_at, text, octets);
	return text_at + octets;
}

/* Cuts a line that is too long, makes its text harmless from octet text_at on, adds CRLF. */
static int
finish_line(struct pst_buf *out, char *line, size_t n, size_t text_at, struct pst_err *err)
{
	const bool is_ascii = out->language == POP3_DEFAULT;
	size_t i;

	if (n > REPLY_MAX - 2)
		n = pop3_whole_characters(line, REPLY_MAX - 2);
	n = translate(out, line, n, text_at);
	for (i = text_at; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f ||
		    (i == text_at && line[i] == '[') || (is_ascii && (line[i] & 0x80) != 0))
			line[i] = '?';
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n++] = '\r';
	line[n++] = '\n';
	return pst_buf_add(out, (struct pst_str){ line, n }, err);
}

int
pop3_reply_ok(struct pst_buf *out, struct pst_err *err, const char *fmt, ...)
{
	char line[REPLY_MAX + 1] = "+OK ";
	const size_t text_at = 4;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + text_at, sizeof(line) - text_at, fmt, ap);
	va_end(ap);
	pst_assert(n >= 0);
	return finish_line(out, line, text_at + (size_t)n, text_at, err);
}

/* Response code and words by kind. Kinds without words show the error's own text. */
static const struct {
	const char *code;
	const char *words;
} kinds[] = {
	[PST_E_TEMP] = { "[SYS/TEMP] ", "temporary failure, try again later" },
	[PST_E_PERM] = { "[SYS/PERM] ", "not possible, ask the administrator" },
	[PST_E_AUTH] = { "[AUTH] ", "authentication failed" },
	[PST_E_IN_USE] = { "[IN-USE] ", "maildrop is in use by another session" },
	[PST_E_CLIENT] = { "", NULL },
	[PST_E_LIMIT] = { "", NULL },
};

int
pop3_reply_err(struct pst_buf *out, const struct pst_err *why, const char *text,
               struct pst_err *err)
{
	char line[REPLY_MAX + 1];
	const char *words;
	int text_at, n;

	if (why->kind == PST_E_CLOSED)
		return 0;
	pst_assert(why->kind >= PST_E_TEMP && why->kind < PST_E_CLOSED);
	words = kinds[why->kind].words;
	if (words == NULL)
		words = why->text;
	else if (text != NULL)
		words = text;
	text_at = snprintf(line, sizeof(line), "-ERR %s", kinds[why->kind].code);
	n = snprintf(line + text_at, sizeof(line) - (size_t)text_at, "%s", words);
	return finish_line(out, line, (size_t)text_at + (size_t)n, (size_t)text_at, err);
}

int
pop3_reply_code(struct pst_buf *out, const char *code, const char *text, struct pst_err *err)
{
	char line[REPLY_MAX + 1];
	int text_at = snprintf(line, sizeof(line), "-ERR [%s] ", code);
	int n;

	pst_assert(text_at > 0 && text_at < REPLY_MAX / 2);
	n = snprintf(line + text_at, sizeof(line) - (size_t)text_at, "%s", text);
	return finish_line(out, line, (size_t)text_at + (size_t)n, (size_t)text_at, err);
}

static int
list_languages(struct pst_buf *out, struct pst_err *err)
{
	size_t i, before = out->len;

	if (pop3_reply_ok(out, err, "language listing follows") != 0)
		return -1;
	for (i = 0; i < POP3_LANGUAGES; i++)
		if (pst_buf_addf(out, err, "%s %s\r\n", pop3_languages[i].tag,
		                 pop3_languages[i].name) != 0)
			break;
	if (i == POP3_LANGUAGES && pst_buf_add(out, PST_LIT(".\r\n"), err) == 0)
		return 0;
	out->len = before; /* all of it or nothing */
	return -1;
}

int
pop3_reply_lang(struct pst_buf *out, struct pst_str range, enum pop3_language preferred,
                uint8_t *language, struct pst_err *err)
{
	char line[REPLY_MAX + 1];
	enum pop3_language found;
	int text_at, n;

	if (range.p == NULL)
		return list_languages(out, err);
	if (!pop3_language_find(range, preferred, &found))
		return pst_err_set(err, PST_E_CLIENT, "no such language");
	*language = (uint8_t)found;
	out->language = *language;
	text_at = snprintf(line, sizeof(line), "+OK %s ", pop3_languages[found].tag);
	n = snprintf(line + text_at, sizeof(line) - (size_t)text_at, "language changed");
	return finish_line(out, line, (size_t)text_at + (size_t)n, (size_t)text_at, err);
}

/* Capabilities that no command brings. */
static const char *const capa_constants[] = { "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING" };

static int
add_command_capa(struct pst_buf *out, enum pop3_verb verb, const struct pop3_facts *facts,
                 struct pst_err *err)
{
	const char *capa = pop3_commands[verb].capa;

	if (capa == NULL)
		return 0;
	if (verb == POP3_STLS && !facts->stls)
		return 0;
	if (verb == POP3_USER && !facts->user)
		return 0;
	if (verb != POP3_SASL_AUTH)
		return pst_buf_addf(out, err, "%s\r\n", capa);
	if (facts->sasl == NULL || facts->sasl[0] == '\0')
		return 0;
	return pst_buf_addf(out, err, "%s %s\r\n", capa, facts->sasl);
}

/* NEVER: no mail goes but by DELE and QUIT. */
static int
add_expire(struct pst_buf *out, const struct pop3_facts *facts, struct pst_err *err)
{
	if (facts->expire_days == 0)
		return pst_buf_add(out, PST_LIT("EXPIRE NEVER\r\n"), err);
	return pst_buf_addf(out, err, "EXPIRE %" PRIu32 "%s\r\n", facts->expire_days,
	                    facts->expire_is_least ? " USER" : "");
}

static int
add_capas(struct pst_buf *out, const struct pop3_facts *facts, struct pst_err *err)
{
	unsigned i;

	if (pop3_reply_ok(out, err, "capability list follows") != 0)
		return -1;
	for (i = 0; i < POP3_VERBS; i++)
		if (add_command_capa(out, (enum pop3_verb)i, facts, err) != 0)
			return -1;
	for (i = 0; i < sizeof(capa_constants) / sizeof(capa_constants[0]); i++)
		if (pst_buf_addf(out, err, "%s\r\n", capa_constants[i]) != 0)
			return -1;
	if (add_expire(out, facts, err) != 0)
		return -1;
	if (facts->login_delay_s > 0 &&
	    pst_buf_addf(out, err, "LOGIN-DELAY %" PRIu32 "\r\n", facts->login_delay_s) != 0)
		return -1;
	if (facts->implementation != NULL &&
	    pst_buf_addf(out, err, "IMPLEMENTATION %s\r\n", facts->implementation) != 0)
		return -1;
	return pst_buf_add(out, PST_LIT(".\r\n"), err);
}

int
pop3_reply_capa(struct pst_buf *out, const struct pop3_facts *facts, struct pst_err *err)
{
	size_t before = out->len;

	if (add_capas(out, facts, err) == 0)
		return 0;
	out->len = before; /* all of it or nothing */
	return -1;
}
