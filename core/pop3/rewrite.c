/* SPDX-License-Identifier: MIT */
/* Words, folding, encoded-words; see rewrite.h. */
#include "pop3/rewrite.h"

#define CHARSET_Q "=?UTF-8?Q?"
#define CHARSET_B "=?UTF-8?B?"
#define FRAME (sizeof(CHARSET_Q) - 1 + 2) /* octets of an encoded-word around its text */
#define ENCODED_MAX 72 /* of the 75 that it may have; room for what is glued to it */
#define ENCODED_MIN 36 /* less room than that on a line is not used */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct pst_str
rewrite_trim(struct pst_str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = (struct pst_str){ s.p + 1, s.n - 1 };
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

void
rewrite_glue(struct rewriter *w, struct pst_str s)
{
	struct pst_err err;

	if (pst_buf_add(w->out, s, &err) != 0)
		w->is_full = true;
	w->col += s.n;
}

static void
new_line(struct rewriter *w)
{
	rewrite_glue(w, w->eol);
	w->col = 0;
}

void
rewrite_name(struct rewriter *w, const char *prefix, struct pst_str name)
{
	w->col = 0;
	rewrite_glue(w, pst_str_c(prefix));
	rewrite_glue(w, name);
	rewrite_glue(w, PST_LIT(":"));
}

void
rewrite_word(struct rewriter *w, struct pst_str s)
{
	if (w->col > 1 && w->col + 1 + s.n > REWRITE_LINE)
		new_line(w);
	rewrite_glue(w, PST_LIT(" "));
	rewrite_glue(w, s);
}

bool
rewrite_is_encoded_word(struct pst_str s)
{
	return s.n >= 8 && memcmp(s.p, "=?", 2) == 0 && memcmp(s.p + s.n - 2, "?=", 2) == 0;
}

bool
rewrite_is_needed(struct pst_str s)
{
	size_t i, word = 0;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x7f || (c < 0x20 && c != '\t'))
			return true;
		word = is_blank(s.p[i]) ? 0 : word + 1;
		if (word > REWRITE_WORD)
			return true;
	}
	return false;
}

/* The blanks and the word behind them at the front of *s, which moves past them. */
static bool
next_word(struct pst_str *s, struct pst_str *word)
{
	size_t i = 0, from;

	while (i < s->n && is_blank(s->p[i]))
		i++;
	from = i;
	while (i < s->n && !is_blank(s->p[i]))
		i++;
	*word = (struct pst_str){ s->p + from, i - from };
	*s = (struct pst_str){ s->p + i, s->n - i };
	return word->n > 0;
}

void
rewrite_words(struct rewriter *w, struct pst_str s)
{
	struct pst_str word;

	while (next_word(&s, &word))
		rewrite_word(w, word);
}

/* ---- Encoded-words ---- */

/* What stays as it is in the Q encoding, in whatever field (RFC 2047 section 5, rule 3). */
static bool
is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t
q_cost(unsigned char c)
{
	return is_plain(c) || c == ' ' ? 1 : 3;
}

/* Octets of the character at the front of s. */
static size_t
character(struct pst_str s)
{
	size_t n = 1;

	while (n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* So many octets of s, whole characters and at least one, as fit into room octets of encoded text. */
static size_t
fit(struct pst_str s, bool is_q, size_t room)
{
	size_t n = 0, used = 0;

	while (n < s.n) {
		size_t len = character((struct pst_str){ s.p + n, s.n - n }), i, cost = 0;

		for (i = 0; i < len; i++)
			cost += q_cost((unsigned char)s.p[n + i]);
		if (n > 0 && (is_q ? used + cost > room : (n + len + 2) / 3 * 4 > room))
			break;
		used += cost;
		n += len;
	}
	return n;
}

static size_t
encode_q(struct pst_str s, char *to)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, n = 0;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_plain(c) || c == ' ') {
			to[n++] = c == ' ' ? '_' : (char)c;
			continue;
		}
		to[n++] = '=';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	return n;
}

static size_t
encode_b(struct pst_str s, char *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i, n = 0;

	for (i = 0; i < s.n; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16;
		size_t left = s.n - i, k;

		v |= left > 1 ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0;
		v |= left > 2 ? (uint32_t)(unsigned char)s.p[i + 2] : 0;
		for (k = 0; k < 4; k++)
			to[n++] = k > left ? '=' : digits[v >> (18 - 6 * k) & 63];
	}
	return n;
}

void
rewrite_encoded(struct rewriter *w, const char *before, struct pst_str s, const char *after)
{
	size_t q = 0, i;
	bool is_q;

	for (i = 0; i < s.n; i++)
		q += q_cost((unsigned char)s.p[i]);
	is_q = q <=
	       (s.n + 2) / 3 * 5 + 2; /* somewhat longer, but whoever sees it raw can read it */
	for (; s.n > 0; before = "") {
		/* A character has at most four octets; a longer run of continuations is no UTF-8. */
		char word[ENCODED_MAX + 64];
		size_t lead = strlen(before), room = ENCODED_MAX - lead, n, len;

		if (w->col + 1 + ENCODED_MIN + lead > REWRITE_LINE)
			new_line(w);
		if (w->col + 1 + lead + room > REWRITE_LINE)
			room = REWRITE_LINE - w->col - 1 - lead;
		n = fit(s, is_q, room - FRAME);
		memcpy(word, before, lead);
		memcpy(word + lead, is_q ? CHARSET_Q : CHARSET_B, FRAME - 2);
		len = lead + FRAME - 2;
		len += is_q ? encode_q((struct pst_str){ s.p, n }, word + len)
		            : encode_b((struct pst_str){ s.p, n }, word + len);
		memcpy(word + len, "?=", 2);
		rewrite_glue(w, PST_LIT(" "));
		rewrite_glue(w, (struct pst_str){ word, len + 2 });
		s = (struct pst_str){ s.p + n, s.n - n };
	}
	rewrite_glue(w, pst_str_c(after));
}

void
rewrite_comment(struct rewriter *w, struct pst_str s)
{
	if (!rewrite_is_needed(s)) {
		rewrite_words(w, s);
		return;
	}
	s = (struct pst_str){ s.p + 1, s.n - 1 };
	if (s.p[s.n - 1] == ')')
		s.n--;
	rewrite_encoded(w, "(", s, ")");
}

/* ---- Text ---- */

/* The words from the front of *s on that must be encoded, with the blanks between them; the first is
 * word. What would stand next to an encoded-word takes the blanks in between with it, because those
 * between two encoded-words are not shown. */
static void
encode_run(struct rewriter *w, struct pst_str *s, struct pst_str word, const char *from)
{
	struct pst_str run = { from != NULL ? from : word.p, 0 }, rest = *s, next;

	run.n = (size_t)(word.p + word.n - run.p);
	while (next_word(&rest, &next)) {
		if (rewrite_is_encoded_word(next) && !rewrite_is_needed(next))
			run.n = (size_t)(next.p - run.p);
		if (!rewrite_is_needed(next))
			break;
		run.n = (size_t)(next.p + next.n - run.p);
		*s = rest;
	}
	rewrite_encoded(w, "", run, "");
}

void
rewrite_text(struct rewriter *w, struct pst_str s)
{
	const char *after_encoded = NULL; /* where the blanks behind an encoded-word begin */
	struct pst_str word;

	while (next_word(&s, &word)) {
		if (rewrite_is_needed(word)) {
			encode_run(w, &s, word, after_encoded);
			after_encoded = NULL;
		} else {
			rewrite_word(w, word);
			after_encoded = rewrite_is_encoded_word(word) ? word.p + word.n : NULL;
		}
	}
}
