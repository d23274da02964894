/* SPDX-License-Identifier: MIT */
/* courierpop3dsizelist, written as version 2 or 3: the present Courier reads no others. Each name has
 * its ":2,": without it Courier would not know the message again. */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "storage/maildir/writeback.h"

#define READ_OCTETS 16384

/* ---- Numbers ---- */

bool
writeback_courier_numbers(struct pst_str base, struct pst_str uidl, uint64_t *uid_out,
                          uint64_t *validity_out)
{
	char buf[COURIER_ROOM];
	struct pst_str rest = uidl;
	const char *dash;
	size_t n;

	*uid_out = *validity_out = 0;
	n = foreign_courier_uidl(base, 0, 0, buf);
	if (pst_str_eq((struct pst_str){ buf, n }, uidl))
		return true;
	if (rest.n < 4 || memcmp(rest.p, "UID", 3) != 0)
		return false;
	rest = (struct pst_str){ rest.p + 3, rest.n - 3 };
	dash = memchr(rest.p, '-', rest.n);
	if (dash != NULL &&
	    (!pst_str_u64((struct pst_str){ dash + 1, rest.n - (size_t)(dash + 1 - rest.p) },
	                  validity_out) ||
	     *validity_out == 0))
		return false;
	if (dash != NULL)
		rest.n = (size_t)(dash - rest.p);
	if (!pst_str_u64(rest, uid_out) || *uid_out == 0)
		return false;
	n = foreign_courier_uidl(base, *uid_out, *validity_out, buf); /* "UID007" is none */
	return pst_str_eq((struct pst_str){ buf, n }, uidl);
}

static int
add_numbered(struct writeback *w, struct pst_str base, uint32_t id, struct pst_err *err)
{
	struct foreign_record r = {
		.base = base.p,
		.base_octets = (uint16_t)base.n, /* <= INDEX_NAME_MAX */
		.is_ours = true,
	};
	char buf[COURIER_ROOM], own[MAILDIR_UIDL_ROOM];
	struct pst_str uidl;
	uint64_t uid, validity;

	if (id < w->s->known_count) {
		uidl = writeback_uidl(w, id, own);
		if (writeback_courier_numbers(base, uidl, &uid, &validity)) {
			if (validity == w->f->validity)
				foreign_number(w->f, uid);
			return foreign_add(w->f, &r, uidl, err);
		}
	}
	uidl = (struct pst_str){ buf, foreign_courier_uidl(base, w->f->next, w->f->validity, buf) };
	w->f->next++;
	return foreign_add(w->f, &r, uidl, err);
}

int
writeback_number_courier(struct writeback *w, struct pst_err *err)
{
	uint32_t i, place;

	if (w->f->validity == 0)
		w->f->validity = (uint64_t)time(NULL);
	for (i = 0; i < w->id_count; i++)
		if (add_numbered(w, maildir_base(scan_name(w->s, w->ids[i], &place)), w->ids[i],
		                 err) != 0)
			return -1;
	return 0;
}

/* ---- Lines ---- */

/* What Courier would count: each LF as two octets, whatever stands before it; and whether the header
 * has 8-bit octets. */
struct counted {
	uint64_t octets;
	bool is_utf8;
};

static void
count(struct counted *c, const char *p, size_t n, bool *in_header, char *last)
{
	size_t i;

	c->octets += n;
	for (i = 0; i < n; i++) {
		if (p[i] == '\n') {
			c->octets++;
			if (*last == '\n')
				*in_header = false;
		}
		if (*in_header && (p[i] & 0x80) != 0)
			c->is_utf8 = true;
		if (p[i] != '\r')
			*last = p[i];
	}
}

static int
read_message(const struct writeback *w, uint32_t place, struct pst_str name, struct counted *c,
             struct pst_err *err)
{
	char path[INDEX_NAME_MAX + 1], buf[READ_OCTETS], last = '\n';
	bool in_header = true;
	ssize_t n;
	int fd;

	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	fd = openat(w->s->dirfd[place], path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "open %.100s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		count(c, buf, (size_t)n, &in_header, &last);
	close(fd);
	return n < 0 ? pst_err_sys(err, PST_E_TEMP, "read %.100s", path) : 0;
}

/* "<uid>:<uidv>", and in version 3 ":<utf8>". */
static int
put_numbers(struct writeback *w, struct pst_str base, struct pst_str uidl, bool is_utf8,
            struct pst_err *err)
{
	uint64_t uid, validity;

	if (!writeback_courier_numbers(base, uidl, &uid, &validity))
		return pst_err_set(err, PST_E_TEMP, "a UIDL that Courier cannot show");
	return writeback_text(w, err, w->f->version == 3 ? "%llu:%llu:%d\n" : "%llu:%llu\n",
	                      (unsigned long long)uid, (unsigned long long)validity, is_utf8);
}

static int
put_name(struct writeback *w, struct pst_str name, struct pst_err *err)
{
	bool has_flags = memchr(name.p, ':', name.n) != NULL;

	return writeback_octets(w, name, err) != 0 ||
	                       (!has_flags && writeback_octets(w, PST_LIT(":2,"), err) != 0)
	               ? -1
	               : 0;
}

static int
put_new(struct writeback *w, uint32_t i, struct pst_err *err)
{
	const struct foreign_record *r = &w->f->records[w->file_count + i];
	struct pst_str base = { r->base, r->base_octets }, uidl;
	struct counted c = { .octets = 0 };
	char buf[MAILDIR_UIDL_ROOM];
	uint32_t place;
	uint64_t uid, validity;
	struct pst_str name = scan_name(w->s, w->ids[i], &place);

	uidl = writeback_uidl(w, w->ids[i], buf);
	if (!writeback_courier_numbers(base, uidl, &uid, &validity))
		uidl = foreign_uidl(w->f, r); /* it would be this one there */
	if (read_message(w, place, name, &c, err) != 0 || put_name(w, name, err) != 0 ||
	    writeback_text(w, err, " %llu ", (unsigned long long)c.octets) != 0)
		return -1;
	return put_numbers(w, base, uidl, c.is_utf8, err);
}

/* Where the last blank is, and what stands behind it. */
static struct pst_str
take_last(struct pst_str *line)
{
	const char *at = line->n == 0 ? NULL : memrchr(line->p, ' ', line->n);
	struct pst_str word = *line;

	if (at == NULL) {
		line->n = 0;
		return word;
	}
	word = (struct pst_str){ at + 1, line->n - (size_t)(at + 1 - line->p) };
	line->n = (size_t)(at - line->p);
	return word;
}

static int
put_line(struct writeback *w, struct pst_str line, uint32_t record, struct pst_err *err)
{
	static const char *const behind[] = { "0:0", ":0", "", "" };
	const struct foreign_record *r = &w->f->records[record];
	struct pst_str base = { r->base, r->base_octets };
	struct pst_str numbers = { line.p, 0 }, size;
	char buf[MAILDIR_UIDL_ROOM];
	bool is_utf8;

	if (w->f->version > 0)
		numbers = take_last(&line);
	size = take_last(&line);
	if (put_name(w, line, err) != 0 || writeback_text(w, err, " %.*s ", PST_ARG(size)) != 0)
		return -1;
	is_utf8 = w->f->version == 3 && numbers.p[numbers.n - 1] != '0';
	if (w->fates[record] == WRITEBACK_SET)
		return put_numbers(w, base, writeback_uidl(w, scan_find(w->s, base), buf), is_utf8,
		                   err);
	return writeback_text(w, err, "%.*s%s\n", PST_ARG(numbers), behind[w->f->version]);
}

int
writeback_courier(struct writeback *w, struct pst_err *err)
{
	uint32_t i;

	if (writeback_text(w, err, "/%d %llu %llu\n", w->f->version == 3 ? 3 : 2,
	                   (unsigned long long)w->f->next,
	                   (unsigned long long)w->f->validity) != 0 ||
	    writeback_lines(w, w->f->version > 0, put_line, err) != 0)
		return -1;
	for (i = 0; i < w->id_count; i++)
		if (put_new(w, i, err) != 0)
			return -1;
	return 0;
}
