/* SPDX-License-Identifier: MIT */
/* dovecot-uidlist, versions 1 and 3.
 *
 *	1 <uidvalidity> <next uid>                3 V<uidvalidity> N<next uid> G<guid>
 *	<uid> <file name>                         <uid> [<letter><value> ]...:<file name>
 *
 * Of the letters P (a UIDL that was kept), O (the place in POP3 listings) and G (the message's GUID)
 * matter here; S and W are sizes; any other is left alone. */
#include <string.h>

#include "storage/maildir/foreign.h"

#define UID_MAX UINT64_C(0xfffffffe)

struct parse {
	struct foreign *f;
	const char *format;
	uint32_t validity, last_uid, line;
	bool with_tokens; /* version 3 */
};

/* Takes what stands before the next blank (or all) off the front. */
static struct pst_str
take_word(struct pst_str *rest)
{
	const char *blank = rest->n == 0 ? NULL : memchr(rest->p, ' ', rest->n);
	struct pst_str word = { rest->p, blank == NULL ? rest->n : (size_t)(blank - rest->p) };

	rest->p += word.n + (blank != NULL);
	rest->n -= word.n + (blank != NULL);
	return word;
}

static bool
to_number(struct pst_str s, uint32_t *out)
{
	uint64_t num;

	if (!pst_str_u64(s, &num) || num == 0 || num > UID_MAX)
		return false;
	*out = (uint32_t)num;
	return true;
}

static struct pst_str
after_letter(struct pst_str token)
{
	return (struct pst_str){ token.p + 1, token.n - 1 };
}

/* Version 1: UIDVALIDITY and next UID, in this order. */
static void
parse_old_head(struct parse *p, struct pst_str head)
{
	uint32_t next;

	(void)to_number(take_word(&head), &p->validity);
	if (to_number(take_word(&head), &next))
		p->f->next = next;
}

/* Its UIDVALIDITY, if there is one; -1: a version that is not known. */
static int
parse_head(struct parse *p, struct pst_str head, struct pst_err *err)
{
	struct pst_str version = take_word(&head), word;
	uint64_t next;

	p->with_tokens = pst_str_eq(version, PST_LIT("3"));
	if (!p->with_tokens && !pst_str_eq(version, PST_LIT("1")))
		return pst_err_set(err, PST_E_TEMP,
		                   FOREIGN_DOVECOT_LIST ":1: neither version 1 nor 3");
	p->f->version = p->with_tokens ? 3 : 1;
	p->f->next = 1;
	if (!p->with_tokens)
		parse_old_head(p, head);
	while (p->with_tokens && head.n > 0) {
		word = take_word(&head);
		if (word.n > 0 && word.p[0] == 'V' && p->validity == 0)
			(void)to_number(after_letter(word), &p->validity);
		else if (word.n > 0 && word.p[0] == 'N' && pst_str_u64(after_letter(word), &next) &&
		         next > 0)
			foreign_number(p->f, next > UID_MAX ? UID_MAX : next - 1);
	}
	return 0;
}

/* What a record's tokens say; -1: no ':' ends them. rest is the file name then. */
struct tokens {
	struct pst_str kept, guid;
	bool has_kept;
	uint32_t order;
};

static int
take_tokens(struct pst_str *rest, struct tokens *t)
{
	while (rest->n > 0 && rest->p[0] != ':') {
		struct pst_str token = take_word(rest);

		if (token.n == 0)
			continue;
		if (token.p[0] == 'P') {
			t->kept = after_letter(token);
			t->has_kept = true;
		} else if (token.p[0] == 'G') {
			t->guid = after_letter(token);
		} else if (token.p[0] == 'O' && !to_number(after_letter(token), &t->order)) {
			t->order = 0;
		}
	}
	if (rest->n == 0)
		return -1;
	rest->p++;
	rest->n--;
	return 0;
}

/* A kept one; where that is empty the base name; else by the format. */
static int
add_record(struct parse *p, struct pst_str base, const struct tokens *t, uint32_t uid,
           struct pst_err *err)
{
	struct foreign_values v = {
		.uid = uid,
		.validity = p->validity,
		.base = base,
		.guid = t->guid.n > 0 ? t->guid : base,
		.md5 = p->f->md5,
	};
	struct foreign_record r = {
		.base = base.p,
		.base_octets = (uint16_t)base.n, /* <= INDEX_NAME_MAX */
		.uid = uid,
		.order = t->order,
		.flags = t->order > 0 ? FOREIGN_HAS_ORDER : 0,
	};
	char buf[INDEX_UIDL_MAX];
	struct pst_str uidl = t->kept;
	int n;

	if (t->has_kept && t->kept.n == 0) {
		uidl = base;
	} else if (!t->has_kept) {
		n = foreign_render(p->format, &v, buf, sizeof(buf), err);
		if (n < 0)
			return -1;
		uidl = (struct pst_str){ buf, (size_t)n };
	}
	if (foreign_add(p->f, &r, uidl, err) != 0)
		return -1;
	if (p->f->records[p->f->count - 1].uidl_octets == 0)
		foreign_note_bad(p->f, p->line, "a UIDL that POP3 does not allow");
	return 0;
}

/* *needs_out: it has its UIDL from the UIDVALIDITY. */
static int
parse_record(struct parse *p, struct pst_str line, bool *needs_out, struct pst_err *err)
{
	struct tokens t = { .order = 0 };
	struct pst_str word = take_word(&line), base;
	uint32_t uid;

	if (!to_number(word, &uid)) {
		foreign_note_bad(p->f, p->line, "no number at its front");
		return 0;
	}
	foreign_number(p->f, uid);
	if (p->with_tokens && take_tokens(&line, &t) != 0) {
		foreign_note_bad(p->f, p->line, "no file name");
		return 0;
	}
	base = maildir_base(line);
	if (!maildir_is_message(line) || base.n == 0) {
		foreign_note_bad(p->f, p->line, "no file name");
		return 0;
	}
	if (uid <= p->last_uid) /* each is right for itself, if no other has that number */
		foreign_note_bad(p->f, p->line, "its number is not above the one before");
	p->last_uid = uid;
	*needs_out |= !t.has_kept;
	return add_record(p, base, &t, uid, err);
}

/* Whether the format's result depends on the UIDVALIDITY. */
static bool
format_has_validity(const char *format, uidl_md5 *md5)
{
	struct foreign_values v = {
		.uid = 1, .base = PST_LIT("b"), .guid = PST_LIT("b"), .md5 = md5
	};
	char one[INDEX_UIDL_MAX], two[INDEX_UIDL_MAX];
	struct pst_err err;
	int n, m;

	v.validity = 1;
	n = foreign_render(format, &v, one, sizeof(one), &err);
	v.validity = 2;
	m = foreign_render(format, &v, two, sizeof(two), &err);
	return n != m || (n > 0 && memcmp(one, two, (size_t)n) != 0);
}

int
foreign_parse_dovecot(struct foreign *f, struct pst_str octets, const char *format,
                      uint32_t validity, struct pst_err *err)
{
	struct parse p = { .f = f, .format = format, .line = 1 };
	bool needs_validity = false;
	struct pst_str line, all = octets;

	if (!foreign_next_line(&octets, &line))
		return pst_err_set(err, PST_E_TEMP, FOREIGN_DOVECOT_LIST ": empty");
	f->octets = all;
	if (parse_head(&p, line, err) != 0)
		return -1;
	f->validity = p.validity;
	if (p.validity == 0)
		foreign_note_bad(f, 1, "no UIDVALIDITY");
	if (p.validity == 0)
		p.validity = validity;
	while (foreign_next_line(&octets, &line)) {
		p.line++;
		if (parse_record(&p, line, &needs_validity, err) != 0)
			return -1;
	}
	if (p.validity == 0 && needs_validity && format_has_validity(format, f->md5))
		return pst_err_set(err, PST_E_TEMP, FOREIGN_DOVECOT_LIST ":1: no UIDVALIDITY");
	f->kind = FOREIGN_DOVECOT;
	return 0;
}
