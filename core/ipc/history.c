/* SPDX-License-Identifier: MIT */
/* Lines of a maildrop's history; see history.h. */
#include "ipc/history.h"

#include <inttypes.h>
#include <stddef.h>

static bool
is_plain(char c)
{
	return c > 0x20 && c < 0x7f && c != '%' && c != '=';
}

static int
add_text(struct pst_buf *line, const char *key, struct pst_str value, struct pst_err *err)
{
	size_t i, from = 0;

	if (value.n == 0)
		return 0;
	if (pst_buf_addf(line, err, "%s%s=", line->len > 0 ? " " : "", key) != 0)
		return -1;
	for (i = 0; i < value.n; i++) {
		if (is_plain(value.p[i]))
			continue;
		if (pst_buf_add(line, (struct pst_str){ value.p + from, i - from }, err) != 0 ||
		    pst_buf_addf(line, err, "%%%02X", (unsigned)(unsigned char)value.p[i]) != 0)
			return -1;
		from = i + 1;
	}
	return pst_buf_add(line, (struct pst_str){ value.p + from, value.n - from }, err);
}

int
history_begin(struct pst_buf *line, const struct history *h, struct pst_err *err)
{
	if (pst_buf_addf(line, err, "v=1 at=%" PRId64 " ms=%" PRId64, h->at_s, h->took_ms) != 0)
		return -1;
	if (add_text(line, "sid", h->sid, err) != 0 || add_text(line, "ip", h->ip, err) != 0 ||
	    add_text(line, "mech", h->mechanism, err) != 0 ||
	    add_text(line, "app", h->app, err) != 0 ||
	    add_text(line, "master", h->master, err) != 0 ||
	    add_text(line, "end", h->reason, err) != 0)
		return -1;
	return pst_buf_addf(line, err, " tls=%d retr=%" PRIu32 " top=%" PRIu32 " octets=%" PRIu64,
	                    h->is_tls, h->retrieved, h->tops, h->octets);
}

int
history_deleted(struct pst_buf *line, const struct history *h, struct pst_err *err)
{
	return pst_buf_addf(line, err, " dele=%" PRIu32 " of=%" PRIu32 " held=%d", h->deleted,
	                    h->asked, h->is_held);
}

int
history_uidl(struct pst_buf *line, struct pst_str uidl, struct pst_err *err)
{
	return add_text(line, "uidl", uidl, err);
}

int
history_untold(struct pst_buf *line, uint32_t n, struct pst_err *err)
{
	return pst_buf_addf(line, err, " untold=%" PRIu32, n);
}

/* ---- Reading ---- */

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies s to *out, with %XX undone, and moves *out behind it. */
static bool
undo(struct pst_str *s, char **out)
{
	char *p = *out;
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->p[i] != '%') {
			p[n++] = s->p[i];
			continue;
		}
		if (i + 2 >= s->n || digit(s->p[i + 1]) < 0 || digit(s->p[i + 2]) < 0)
			return false;
		p[n++] = (char)(digit(s->p[i + 1]) << 4 | digit(s->p[i + 2]));
		i += 2;
	}
	*out = p + n;
	*s = (struct pst_str){ p, n };
	return true;
}

enum kind { KIND_TEXT, KIND_BOOL, KIND_U32, KIND_U64 };

#define FIELD(key, kind, member)                                                                   \
	{                                                                                          \
		key, kind, offsetof(struct history, member)                                        \
	}

static const struct {
	const char *key;
	enum kind kind;
	size_t at;
} fields[] = {
	FIELD("at", KIND_U64, at_s),         FIELD("ms", KIND_U64, took_ms),
	FIELD("sid", KIND_TEXT, sid),        FIELD("ip", KIND_TEXT, ip),
	FIELD("mech", KIND_TEXT, mechanism), FIELD("app", KIND_TEXT, app),
	FIELD("master", KIND_TEXT, master),  FIELD("end", KIND_TEXT, reason),
	FIELD("tls", KIND_BOOL, is_tls),     FIELD("held", KIND_BOOL, is_held),
	FIELD("retr", KIND_U32, retrieved),  FIELD("top", KIND_U32, tops),
	FIELD("octets", KIND_U64, octets),   FIELD("dele", KIND_U32, deleted),
	FIELD("of", KIND_U32, asked),        FIELD("untold", KIND_U32, untold),
};

static bool
take_number(enum kind kind, struct pst_str value, void *member)
{
	uint64_t num;

	if (!pst_str_u64(value, &num))
		return false;
	if (kind == KIND_BOOL)
		*(bool *)member = num != 0;
	else if (kind == KIND_U64 && num <= INT64_MAX)
		*(uint64_t *)member = num;
	else if (kind == KIND_U32 && num <= UINT32_MAX)
		*(uint32_t *)member = (uint32_t)num;
	else
		return false;
	return true;
}

static bool
take_field(struct history *h, struct pst_str key, struct pst_str value)
{
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		void *member = (char *)h + fields[i].at;

		if (!pst_str_eq(key, pst_str_c(fields[i].key)))
			continue;
		if (fields[i].kind != KIND_TEXT)
			return take_number(fields[i].kind, value, member);
		*(struct pst_str *)member = value;
	}
	return true;
}

static struct pst_str
next_word(struct pst_str *line)
{
	const char *space = line->n == 0 ? NULL : memchr(line->p, ' ', line->n);
	struct pst_str word = { line->p, space == NULL ? line->n : (size_t)(space - line->p) };

	line->p += word.n + (space != NULL);
	line->n -= word.n + (space != NULL);
	return word;
}

bool
history_parse(struct pst_str line, char *scratch, struct history *out,
              void (*on_uidl)(void *arg, struct pst_str uidl), void *arg)
{
	*out = (struct history){ .at_s = 0 };
	if (!pst_str_eq(next_word(&line), PST_LIT("v=1")))
		return false;
	while (line.n > 0) {
		struct pst_str word = next_word(&line), value;
		const char *equals = word.n == 0 ? NULL : memchr(word.p, '=', word.n);

		if (equals == NULL)
			return false;
		value = (struct pst_str){ equals + 1, word.n - (size_t)(equals + 1 - word.p) };
		word.n = (size_t)(equals - word.p);
		if (!undo(&value, &scratch))
			return false;
		if (pst_str_eq(word, PST_LIT("uidl")))
			on_uidl(arg, value);
		else if (!take_field(out, word, value))
			return false;
	}
	return out->at_s > 0;
}
