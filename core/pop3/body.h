/* SPDX-License-Identifier: MIT */
/* pop3/body.h - stored octets into a multi-line reply: CRLF line ends, dot-stuffing, TOP's limit.
 *
 * The rules of the wire, in one place (RFC 1939 sections 3 and 7):
 *   - LF not after CR gets a CR; CRLF stays; a CR not before LF stays as it is;
 *   - a line that starts with '.' gets one more, also the first line and lines after a bare LF;
 *   - a last line without a line end gets CRLF; then ".CRLF";
 *   - every other octet, NUL and 8-bit too, passes as it is.
 * Feed it the stored octets in pieces of any size: the output does not depend on the cuts. It is
 * memchr and memcpy, so it runs at memory speed. */
#ifndef POP3_BODY_H
#define POP3_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

struct pop3_body {
	/* Sent so far, without stuffed dots and the ending dot: what LIST counts. */
	uint64_t octets;
	uint64_t lines_left; /* of the body, TOP; UINT64_MAX for RETR */
	uint8_t state;       /* private */
	bool in_header;      /* private: before the blank line */
	bool line_has_text;  /* private */
	bool done;           /* TOP has all it wants: feed no more, call pop3_body_end */
	bool adds_line; /* set it after retr or top: an empty line is sent behind the message */
};

void pop3_body_retr(struct pop3_body *b);
void pop3_body_top(struct pop3_body *b, uint64_t lines);

/* Transforms from the front of *in into out, moves *in past what was used, returns octets written.
 * Never writes more than cap; stops with *in not empty where out is full (at most one octet is left
 * unused then: a pair is never cut) or b->done. With a cap of 2 or more it always gets on; with twice
 * in->n it takes all. */
size_t pop3_body_feed(struct pop3_body *b, struct pst_str *in, char *out, size_t cap);

#define POP3_BODY_END 7u

/* The missing line end, the line that is added, and ".CRLF". Returns octets written. */
size_t pop3_body_end(struct pop3_body *b, char out[POP3_BODY_END]);

/* Octets on the wire of stored text fed in pieces, by the same rules: what LIST says. */
struct pop3_size {
	uint64_t octets;
	char last; /* private */
};

void pop3_size_init(struct pop3_size *s);
void pop3_size_feed(struct pop3_size *s, struct pst_str in);
uint64_t pop3_size_end(struct pop3_size *s);

#endif
