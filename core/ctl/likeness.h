/* SPDX-License-Identifier: MIT */
/* ctl/likeness.h - by what a message is known again that lies here and on another server.
 *
 * Of the header as it is sent, from its first octet to the empty line: line ends count as one whatever
 * they are, and so do fields that mail stores write for themselves (Status, X-UID and their kin), which
 * one server hides and the other shows. Those fields' octets are counted, so that sizes can be compared
 * without them. */
#ifndef CTL_LIKENESS_H
#define CTL_LIKENESS_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#include "base/buf.h"

struct likeness {
	uint8_t header[32];  /* digest of the header without private fields */
	uint8_t letter[32];  /* of Message-ID and Date */
	uint64_t own_octets; /* that private fields take on the wire */
	bool has_header;     /* there is a field */
	bool has_letter;     /* it has both a Message-ID and a Date */
};

/* Filled with octets of the message, in pieces of any size; what follows the header is not looked at. */
struct likeness_maker {
	struct pst_buf text; /* lines with LF alone; bounded */
	struct pst_buf line; /* the one that has no end yet */
	bool is_done;        /* the header is over, or longer than is looked at */
};

void likeness_begin(struct likeness_maker *m);
void likeness_feed(struct likeness_maker *m, struct pst_str piece);
void likeness_end(struct likeness_maker *m, struct likeness *out); /* and frees what m holds */

#endif
