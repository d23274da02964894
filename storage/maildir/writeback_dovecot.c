/* SPDX-License-Identifier: MIT */
/* Lines for dovecot-uidlist. The UIDL that is shown stands in each of ours as P, which counts for
 * Dovecot whatever its settings say; an empty P is the base name. */
#include "storage/maildir/writeback.h"

#define UID_LAST UINT64_C(0xfffffffe)

int
writeback_number_dovecot(struct writeback *w, struct pst_err *err)
{
	struct foreign *f = w->f;
	uint32_t i, place;

	if (f->validity == 0)
		return pst_err_set(err, PST_E_PERM, FOREIGN_DOVECOT_LIST ":1: no UIDVALIDITY");
	if (f->next + w->id_count > UID_LAST)
		return pst_err_set(err, PST_E_PERM, FOREIGN_DOVECOT_LIST ": no more UIDs");
	for (i = 0; i < w->id_count; i++) {
		struct pst_str base = maildir_base(scan_name(w->s, w->ids[i], &place));
		struct foreign_values v = {
			.uid = (uint32_t)f->next, /* <= UID_LAST */
			.validity = (uint32_t)f->validity,
			.base = base,
			.guid = base,
			.md5 = w->d->self->host->md5,
		};
		struct foreign_record r = {
			.base = base.p,
			.base_octets = (uint16_t)base.n, /* <= INDEX_NAME_MAX */
			.uid = (uint32_t)f->next,
			.is_ours = true,
		};
		char buf[INDEX_UIDL_MAX], own[MAILDIR_UIDL_ROOM];
		struct pst_str uidl;
		int n;

		n = foreign_render(w->d->self->conf->dovecot_uidl_format, &v, buf, sizeof(buf),
		                   err);
		if (n < 0)
			return -1;
		uidl = w->ids[i] < w->s->known_count ? writeback_uidl(w, w->ids[i], own)
		                                     : (struct pst_str){ buf, (size_t)n };
		if (foreign_add(f, &r, uidl, err) != 0)
			return -1;
		f->next++;
	}
	return 0;
}

/* "P<uidl> ", or "P " for the base name. */
static int
put_kept(struct writeback *w, struct pst_str base, uint32_t id, struct pst_err *err)
{
	char buf[MAILDIR_UIDL_ROOM];
	struct pst_str uidl = writeback_uidl(w, id, buf);

	if (pst_str_eq(uidl, base))
		uidl.n = 0;
	return writeback_text(w, err, "P%.*s ", PST_ARG(uidl));
}

static int
put_new(struct writeback *w, struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < w->id_count; i++) {
		const struct foreign_record *r = &w->f->records[w->file_count + i];
		struct pst_str base = { r->base, r->base_octets };

		if (writeback_text(w, err, "%u ", r->uid) != 0 ||
		    put_kept(w, base, w->ids[i], err) != 0 ||
		    writeback_text(w, err, ":%.*s\n", PST_ARG(base)) != 0)
			return -1;
	}
	return 0;
}

static struct pst_str
take_word(struct pst_str *rest)
{
	const char *blank = rest->n == 0 ? NULL : memchr(rest->p, ' ', rest->n);
	struct pst_str word = { rest->p, blank == NULL ? rest->n : (size_t)(blank - rest->p) };

	rest->p += word.n + (blank != NULL);
	rest->n -= word.n + (blank != NULL);
	return word;
}

/* The next UID is told anew; what else stands there stays. */
static int
put_head(struct writeback *w, struct pst_err *err)
{
	struct pst_str rest = w->f->octets, head, word;

	if (w->f->version == 1 || !foreign_next_line(&rest, &head))
		return writeback_text(w, err, "3 V%llu N%llu\n", (unsigned long long)w->f->validity,
		                      (unsigned long long)w->f->next);
	(void)take_word(&head);
	if (writeback_text(w, err, "3 V%llu N%llu", (unsigned long long)w->f->validity,
	                   (unsigned long long)w->f->next) != 0)
		return -1;
	while (head.n > 0) {
		word = take_word(&head);
		if (word.n == 0 || word.p[0] == 'V' || word.p[0] == 'N')
			continue;
		if (writeback_octets(w, PST_LIT(" "), err) != 0 ||
		    writeback_octets(w, word, err) != 0)
			return -1;
	}
	return writeback_octets(w, PST_LIT("\n"), err);
}

/* The line with another P. All but the P stays, and what stands before it keeps its place. */
static int
put_set(struct writeback *w, struct pst_str line, uint32_t record, struct pst_err *err)
{
	const struct foreign_record *r = &w->f->records[record];
	struct pst_str base = { r->base, r->base_octets };
	uint32_t id = scan_find(w->s, base);
	struct pst_str word = take_word(&line);

	if (writeback_octets(w, word, err) != 0 || writeback_octets(w, PST_LIT(" "), err) != 0 ||
	    put_kept(w, base, id, err) != 0)
		return -1;
	while (w->f->version == 3 && line.n > 0 && line.p[0] != ':') {
		word = take_word(&line);
		if (word.n == 0 || word.p[0] == 'P')
			continue;
		if (writeback_octets(w, word, err) != 0 ||
		    writeback_octets(w, PST_LIT(" "), err) != 0)
			return -1;
	}
	if (w->f->version != 3 && writeback_octets(w, PST_LIT(":"), err) != 0)
		return -1;
	return writeback_octets(w, line, err) != 0 || writeback_octets(w, PST_LIT("\n"), err) != 0
	               ? -1
	               : 0;
}

static int
put_line(struct writeback *w, struct pst_str line, uint32_t record, struct pst_err *err)
{
	if (w->fates[record] == WRITEBACK_SET)
		return put_set(w, line, record, err);
	if (w->f->version != 3) { /* "<uid> <name>" */
		if (writeback_octets(w, take_word(&line), err) != 0 ||
		    writeback_octets(w, PST_LIT(" :"), err) != 0)
			return -1;
	}
	if (writeback_octets(w, line, err) != 0)
		return -1;
	return writeback_octets(w, PST_LIT("\n"), err);
}

int
writeback_dovecot(struct writeback *w, struct pst_err *err)
{
	struct pst_str octets = w->f->octets;

	/* Behind a damaged line Dovecot would give all messages new numbers; version 1 has no P. */
	if (w->f->version != 3 || w->f->bad_lines > 0 || octets.p[octets.n - 1] != '\n')
		w->must_rewrite = true;
	if (w->must_rewrite && (put_head(w, err) != 0 || writeback_lines(w, 1, put_line, err) != 0))
		return -1;
	return put_new(w, err);
}
