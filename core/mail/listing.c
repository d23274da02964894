/* SPDX-License-Identifier: MIT */
/* The multi-line replies to LIST and UIDL, a piece at a time: a listing of 100,000 messages never
 * lies in memory. Lines are put together by hand; snprintf would take most of the time. */
#include "base/mem.h"
#include "mail/session.h"

#define LONGEST_LINE (10 + 1 + PST_UIDL_MAX + 2) /* a UIDL is longer than any size */

static char *
put_number(char *to, uint64_t num)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + num % 10);
		num /= 10;
	} while (num > 0);
	while (n > 0)
		*to++ = digits[--n];
	return to;
}

static char *
put_line(char *to, uint32_t msg, const struct pst_message *m, bool is_uidl)
{
	to = put_number(to, msg);
	*to++ = ' ';
	if (is_uidl) {
		pst_assert(m->uidl.n <= PST_UIDL_MAX);
		memcpy(to, m->uidl.p, m->uidl.n);
		to += m->uidl.n;
	} else {
		to = put_number(to, m->size_octets);
	}
	memcpy(to, "\r\n", 2);
	return to + 2;
}

void
mail_listing_start(struct mail_session *s, bool is_uidl)
{
	s->listing = (struct mail_listing){ .is_active = true, .is_uidl = is_uidl, .next = 1 };
}

void
mail_listing_step(struct mail_session *s)
{
	struct mail_listing *l = &s->listing;
	struct pst_buf *out = &s->mail->out;
	struct pst_err err;
	char *start, *to, *stop;

	start = pst_buf_reserve(out, MAIL_HIGH_WATER + LONGEST_LINE, &err);
	pst_assert(start != NULL);
	stop = start + MAIL_HIGH_WATER;
	for (to = start; to < stop && l->next <= s->drop.count; l->next++) {
		struct pst_message m;

		if (maildrop_is_marked(&s->drop, l->next))
			continue;
		maildrop_message(&s->drop, l->next, &m);
		to = put_line(to, l->next, &m, l->is_uidl);
	}
	if (l->next > s->drop.count) {
		memcpy(to, ".\r\n", 3);
		to += 3;
		l->is_active = false;
	}
	pst_buf_added(out, (size_t)(to - start));
}
