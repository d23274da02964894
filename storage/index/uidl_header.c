/* SPDX-License-Identifier: MIT */
/* What a message's header says of its UIDL; see uidl.h. popa3d and Dovecot sum up the same fields,
 * those that stay as they are while mail readers write into the mbox: the first Received, or Date and
 * Message-ID as long as there was none, each Delivered-To and X-Delivery-ID. One sums up whole lines,
 * the other values. */
#include <stdlib.h>
#include <string.h>

#include "storage/index/mem.h"
#include "storage/index/uidl.h"

/* Takes the next line off the front, with its line end. false: the header ends here. */
static bool
next_line(struct pst_str *rest, struct pst_str *line_out)
{
	const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
	struct pst_str line = { rest->p, end == NULL ? rest->n : (size_t)(end + 1 - rest->p) };

	if (line.n == 0 || line.p[0] == '\n' || (line.n >= 2 && memcmp(line.p, "\r\n", 2) == 0))
		return false;
	rest->p += line.n;
	rest->n -= line.n;
	*line_out = line;
	return true;
}

static bool
has_name(struct pst_str line, const char *name)
{
	size_t n = strlen(name);

	return line.n >= n &&
	       pst_str_ieq((struct pst_str){ line.p, n }, (struct pst_str){ name, n });
}

static bool
is_continued(struct pst_str line)
{
	return line.p[0] == ' ' || line.p[0] == '\t';
}

/* Whether the field that begins here counts. */
static bool
counts(struct pst_str line, bool values, bool *received)
{
	if (has_name(line, "Received:")) {
		bool is_first = !*received;

		*received = true;
		return is_first;
	}
	if (has_name(line, "X-Delivery-ID:"))
		return values || line.p[0] == 'X'; /* popa3d knows no x */
	if (has_name(line, "Delivered-To:"))
		return true;
	return !*received && (has_name(line, "Date:") || has_name(line, "Message-ID:"));
}

/* The line's part of the field's value, without the line end. */
static struct pst_str
value_of(struct pst_str line)
{
	size_t skip = 0;

	while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	if (!is_continued(line)) {
		skip = (size_t)((const char *)memchr(line.p, ':', line.n) - line.p) + 1;
		while (skip < line.n && (line.p[skip] == ' ' || line.p[skip] == '\t'))
			skip++;
	}
	return (struct pst_str){ line.p + skip, line.n - skip };
}

static void
sum_up(uidl_md5 *md5, struct pst_str header, bool values, uint8_t out[16])
{
	char *text = mem_new(header.n + 1);
	struct pst_str line;
	bool received = false, is_in = false;
	size_t n = 0;

	while (next_line(&header, &line)) {
		if (!is_continued(line))
			is_in = counts(line, values, &received);
		if (!is_in)
			continue;
		if (values)
			line = value_of(line);
		memcpy(text + n, line.p, line.n);
		n += line.n;
	}
	md5(text, n, out);
	free(text);
}

struct pst_str
uidl_popa3d(uidl_md5 *md5, struct pst_str header, char out[16])
{
	uint8_t sum[16], turned[8];
	unsigned i;

	sum_up(md5, header, false, sum);
	for (i = 0; i < 8; i++) /* two words, little-endian, printed as numbers */
		turned[i] = sum[i / 4 * 4 + 3 - i % 4];
	return uidl_hex(turned, 8, out);
}

struct pst_str
uidl_header_md5(uidl_md5 *md5, struct pst_str header, char out[32])
{
	uint8_t sum[16];

	sum_up(md5, header, true, sum);
	return uidl_hex(sum, 16, out);
}

struct pst_str
uidl_x_uidl(struct pst_str header)
{
	struct pst_str line, value = { NULL, 0 };

	while (next_line(&header, &line)) {
		if (!has_name(line, "X-UIDL:"))
			continue;
		value = value_of(line);
		while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
			value.n--;
		/* A folded one can be anybody's trick: see that no line follows it. */
		if (next_line(&header, &line) && is_continued(line))
			value.n = 0;
		break;
	}
	return uidl_is_valid(value) ? value : (struct pst_str){ NULL, 0 };
}
