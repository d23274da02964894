/* SPDX-License-Identifier: MIT */
/* Reading replies; see pop3reply.h. */
#include "ctl/pop3reply.h"

#include <string.h>

static struct pst_str
rest(struct pst_str s, size_t n)
{
	return (struct pst_str){ s.p + n, s.n - n };
}

/* Takes a word that ends at a blank or at the end; *s begins behind the one blank then. */
static struct pst_str
next_word(struct pst_str *s)
{
	const char *blank = s->n == 0 ? NULL : memchr(s->p, ' ', s->n);
	struct pst_str word = { s->p, blank == NULL ? s->n : (size_t)(blank - s->p) };

	*s = rest(*s, word.n + (blank != NULL));
	return word;
}

static bool
begins_with(struct pst_str s, struct pst_str word)
{
	return s.n >= word.n && pst_str_ieq((struct pst_str){ s.p, word.n }, word);
}

static bool
is_code(struct pst_str code)
{
	size_t i;

	for (i = 0; i < code.n; i++)
		if (code.p[i] <= 0x20 || code.p[i] >= 0x7f)
			return false;
	return code.n > 0;
}

bool
pop3reply_parse(struct pst_str line, struct pop3reply *out)
{
	const char *end;

	*out = (struct pop3reply){ .is_ok = false };
	if (line.n == 1 || (line.n > 1 && line.p[1] == ' ')) {
		out->is_more = line.p[0] == '+';
		out->text = rest(line, line.n > 1 ? 2 : 1);
		return out->is_more;
	}
	if (begins_with(line, PST_LIT("+OK"))) {
		out->is_ok = true;
		line = rest(line, 3);
	} else if (begins_with(line, PST_LIT("-ERR"))) {
		line = rest(line, 4);
	} else {
		return false;
	}
	if (line.n > 0 && line.p[0] != ' ')
		return false;
	while (line.n > 0 && line.p[0] == ' ')
		line = rest(line, 1);
	out->text = line;
	end = line.n > 0 && line.p[0] == '[' ? memchr(line.p, ']', line.n) : NULL;
	if (end != NULL)
		out->code = (struct pst_str){ line.p + 1, (size_t)(end - line.p) - 1 };
	if (!is_code(out->code))
		out->code = (struct pst_str){ "", 0 };
	return true;
}

bool
pop3reply_stat(struct pst_str text, uint64_t *count_out, uint64_t *octets_out)
{
	struct pst_str count = next_word(&text);

	return pst_str_u64(count, count_out) && pst_str_u64(next_word(&text), octets_out);
}

bool
pop3reply_list(struct pst_str line, uint64_t *number_out, uint64_t *octets_out)
{
	return pop3reply_stat(line, number_out, octets_out);
}

bool
pop3reply_uidl(struct pst_str line, uint64_t *number_out, struct pst_str *uidl_out)
{
	if (!pst_str_u64(next_word(&line), number_out))
		return false;
	*uidl_out = line;
	return true;
}

bool
pop3reply_is_uidl(struct pst_str uidl)
{
	size_t i;

	for (i = 0; i < uidl.n; i++)
		if (uidl.p[i] < 0x21 || uidl.p[i] > 0x7e)
			return false;
	return uidl.n >= 1 && uidl.n <= 70;
}

void
pop3capa_line(struct pop3capa *c, struct pst_str line)
{
	struct pst_str word = next_word(&line);

	if (pst_str_ieq(word, PST_LIT("USER")))
		c->user = true;
	else if (pst_str_ieq(word, PST_LIT("STLS")))
		c->stls = true;
	else if (pst_str_ieq(word, PST_LIT("TOP")))
		c->top = true;
	else if (pst_str_ieq(word, PST_LIT("UIDL")))
		c->uidl = true;
	else if (pst_str_ieq(word, PST_LIT("PIPELINING")))
		c->pipelining = true;
	else if (pst_str_ieq(word, PST_LIT("UTF8")))
		c->utf8 = true;
	else if (pst_str_ieq(word, PST_LIT("SASL")))
		while (line.n > 0)
			if (pst_str_ieq(next_word(&line), PST_LIT("PLAIN")))
				c->sasl_plain = true;
}

/* ---- Bodies ---- */

/* Where in a line the next octet stands. Of ".CRLF" the octets are kept back until it is told. */
enum { AT_BEGIN, AFTER_DOT, AFTER_DOT_CR, INSIDE };

/* The rest of a line, or of the piece. */
static size_t
copy_line(struct pop3undot *u, struct pst_str *in, char *out)
{
	const char *end = memchr(in->p, '\n', in->n);
	size_t n = end == NULL ? in->n : (size_t)(end - in->p) + 1;

	memcpy(out, in->p, n);
	*in = rest(*in, n);
	u->state = end == NULL ? INSIDE : AT_BEGIN;
	return n;
}

/* Behind a dot that began a line: it was added, unless it is the end. */
static size_t
after_dot(struct pop3undot *u, struct pst_str *in, char *out)
{
	if (u->state == AFTER_DOT && in->p[0] == '\r') {
		u->state = AFTER_DOT_CR;
		*in = rest(*in, 1);
		return 0;
	}
	if (u->state == AFTER_DOT_CR && in->p[0] == '\n') {
		u->is_done = true;
		*in = rest(*in, 1);
		return 0;
	}
	if (u->state == AFTER_DOT_CR) { /* ".CR" and something else: it was text */
		out[0] = '\r';
		return 1 + copy_line(u, in, out + 1);
	}
	return copy_line(u, in, out);
}

size_t
pop3undot_feed(struct pop3undot *u, struct pst_str *in, char *out)
{
	size_t n = 0;

	while (in->n > 0 && !u->is_done) {
		if (u->state == AT_BEGIN && in->p[0] == '.') {
			u->state = AFTER_DOT;
			*in = rest(*in, 1);
		} else if (u->state == AFTER_DOT || u->state == AFTER_DOT_CR) {
			n += after_dot(u, in, out + n);
		} else {
			n += copy_line(u, in, out + n);
		}
	}
	return n;
}
