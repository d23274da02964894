/* SPDX-License-Identifier: MIT */
/* courierpop3dsizelist, versions 0 to 3.
 *
 *	(no head)         <name> <size>
 *	/1 <next>         <name> <size> <uid>
 *	/2 <next> <uidv>  <name> <size> <uid>:<uidv>
 *	/3 <next> <uidv>  <name> <size> <uid>:<uidv>:<utf8>
 *
 * Names may hold blanks: lines are read from their end. */
#include <stdio.h>
#include <string.h>

#include "storage/maildir/foreign.h"

#define NUMBER_MAX UINT64_C(0xffffffffffff) /* so that "UID<n>-<n>" is a UIDL */

/* Takes what stands behind the last octet of the kind off the end; false: there is none. */
static bool
take_last(struct pst_str *rest, char before, struct pst_str *out)
{
	const char *at = rest->n == 0 ? NULL : memrchr(rest->p, before, rest->n);

	if (at == NULL)
		return false;
	*out = (struct pst_str){ at + 1, rest->n - (size_t)(at + 1 - rest->p) };
	rest->n = (size_t)(at - rest->p);
	return true;
}

static bool
to_number(struct pst_str s, uint64_t *out)
{
	return pst_str_u64(s, out) && *out <= NUMBER_MAX;
}

/* "<uid>", "<uid>:<uidv>" or "<uid>:<uidv>:<utf8>": so many numbers as the version. */
static bool
parse_numbers(struct pst_str s, unsigned version, uint64_t *uid_out, uint64_t *validity_out)
{
	struct pst_str part;
	uint64_t utf8;

	*validity_out = 0;
	if (version >= 3 && (!take_last(&s, ':', &part) || !to_number(part, &utf8)))
		return false;
	if (version >= 2 && (!take_last(&s, ':', &part) || !to_number(part, validity_out)))
		return false;
	return to_number(s, uid_out);
}

/* The base name, with what a UIDL could not hold, and quotes, as '+' and two digits. */
static size_t
escape(struct pst_str base, char *out, size_t room)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, n = 0;

	for (i = 0; i < base.n; i++) {
		unsigned char c = (unsigned char)base.p[i];
		bool is_plain = c >= 0x21 && c <= 0x7e && c != '\'' && c != '"' && c != '+';

		if (n + 3 > room)
			return 0; /* longer than a UIDL may be */
		if (is_plain) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '+';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

size_t
foreign_courier_uidl(struct pst_str base, uint64_t uid, uint64_t validity, char out[COURIER_ROOM])
{
	if (uid == 0)
		return escape(base, out, COURIER_ROOM);
	if (validity == 0)
		return (size_t)snprintf(out, COURIER_ROOM, "UID%llu", (unsigned long long)uid);
	return (size_t)snprintf(out, COURIER_ROOM, "UID%llu-%llu", (unsigned long long)uid,
	                        (unsigned long long)validity);
}

static int
add_record(struct foreign *f, struct pst_str base, uint64_t uid, uint64_t validity, uint32_t line,
           struct pst_err *err)
{
	char buf[COURIER_ROOM];
	size_t n = foreign_courier_uidl(base, uid, validity, buf);
	struct foreign_record r = {
		.base = base.p, .base_octets = (uint16_t)base.n, /* <= INDEX_NAME_MAX */
	};

	if (validity == f->validity) /* others are told apart by it */
		foreign_number(f, uid);
	if (foreign_add(f, &r, (struct pst_str){ buf, n }, err) != 0)
		return -1;
	if (f->records[f->count - 1].uidl_octets == 0)
		foreign_note_bad(f, line, "a UIDL that POP3 does not allow");
	return 0;
}

static int
parse_record(struct foreign *f, struct pst_str line, unsigned version, uint32_t number,
             struct pst_err *err)
{
	struct pst_str numbers, size;
	uint64_t uid = 0, validity = 0, octets;

	if (version > 0 && (!take_last(&line, ' ', &numbers) ||
	                    !parse_numbers(numbers, version, &uid, &validity))) {
		foreign_note_bad(f, number, "no number at its end");
		return 0;
	}
	if (!take_last(&line, ' ', &size) || !pst_str_u64(size, &octets)) {
		foreign_note_bad(f, number, "no size");
		return 0;
	}
	if (!maildir_is_message(line) || maildir_base(line).n == 0) {
		foreign_note_bad(f, number, "no file name");
		return 0;
	}
	return add_record(f, maildir_base(line), uid, validity, number, err);
}

/* "/<version> ..."; 0: no head, which is version 0. -1: another. */
static int
version_of(struct pst_str line)
{
	if (line.n == 0 || line.p[0] != '/')
		return 0;
	if (line.n < 3 || line.p[1] < '1' || line.p[1] > '3' || line.p[2] != ' ')
		return -1;
	return line.p[1] - '0';
}

/* The numbers behind it: the next UID and, from version 2 on, the UIDVALIDITY of new messages. */
static void
parse_head(struct foreign *f, struct pst_str head)
{
	struct pst_str word;
	uint64_t num;

	if (f->version >= 2 && take_last(&head, ' ', &word) && to_number(word, &num))
		f->validity = num;
	if (f->version >= 1 && take_last(&head, ' ', &word) && to_number(word, &num) && num > 0)
		f->next = num;
}

int
foreign_parse_courier(struct foreign *f, struct pst_str octets, struct pst_err *err)
{
	struct pst_str line = { octets.p, 0 }, rest = octets;
	uint32_t number = 0;
	int version = 0;

	f->octets = octets;
	f->next = 1;
	if (foreign_next_line(&rest, &line))
		version = version_of(line);
	if (version < 0)
		return pst_err_set(err, PST_E_TEMP,
		                   FOREIGN_COURIER_LIST ":1: not one of the versions 1 to 3");
	f->version = (unsigned)version;
	parse_head(f, line);
	if (version == 0)
		rest = octets;
	else
		number = 1;
	while (foreign_next_line(&rest, &line)) {
		number++;
		if (parse_record(f, line, (unsigned)version, number, err) != 0)
			return -1;
	}
	f->kind = FOREIGN_COURIER;
	return 0;
}
