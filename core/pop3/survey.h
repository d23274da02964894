/* SPDX-License-Identifier: MIT */
/* pop3/survey.h - how many octets a stored message has on the wire, and its header in the form for
 * clients that did not say UTF8. What LIST says and what RETR sends both come from here. */
#ifndef POP3_SURVEY_H
#define POP3_SURVEY_H

#include <postern/storage.h>

#include "base/buf.h"

/* A longer header has no surrogate: the message is sent as it is stored. */
#define POP3_HEAD_MAX ((size_t)1 << 20)

/* Reads the message once; may block. body: fd, offset, length and gaps count. -1: it cannot be read, or
 * ends before it should (PST_E_TEMP, PST_E_PERM). */
int pop3_survey(const struct pst_body *body, struct pst_measured *out, struct pst_err *err);

/* The same through a room of so many octets, not 0: a message that is not longer lies there then. */
int pop3_survey_in(const struct pst_body *body, char *room, size_t octets, struct pst_measured *out,
                   struct pst_err *err);

/* What a client is sent instead of a message's first octets. */
struct pop3_head {
	struct pst_buf text; /* empty: it has no surrogate */
	size_t stored;       /* so many octets as stored */
	uint64_t growth;     /* octets that the message is longer on the wire, modulo 2^64 */
};

/* Reads the header alone; may block. *out is cleared by the caller, also after -1. */
int pop3_head_read(const struct pst_body *body, struct pop3_head *out, struct pst_err *err);
void pop3_head_clear(struct pop3_head *h); /* accepts a zeroed one */

#endif
