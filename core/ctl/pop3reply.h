/* SPDX-License-Identifier: MIT */
/* ctl/pop3reply.h - what another POP3 server's octets say: status lines, listings, capabilities, bodies.
 *
 * That server may be old, wrong or hostile: nothing here believes a number before it is checked, and
 * nothing allocates. It leaves sockets and waiting to pop3link.h. */
#ifndef CTL_POP3REPLY_H
#define CTL_POP3REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

/* The first line of a reply, without its line end. All strings point into it. */
struct pop3reply {
	bool is_ok;
	bool is_more;        /* "+ …": the server waits for a SASL answer */
	struct pst_str code; /* "IN-USE" of "-ERR [IN-USE] …" (RFC 2449 section 8); may be empty */
	struct pst_str text; /* what stands behind +OK or -ERR, the code included */
};

/* false: it is none. Case does not matter, as servers differ. */
bool pop3reply_parse(struct pst_str line, struct pop3reply *out);

/* The text of a reply to STAT: count and octets, and whatever stands behind. */
bool pop3reply_stat(struct pst_str text, uint64_t *count_out, uint64_t *octets_out);

/* A line of LIST: number and octets, and whatever stands behind after a blank. */
bool pop3reply_list(struct pst_str line, uint64_t *number_out, uint64_t *octets_out);

/* A line of UIDL: a number, a blank, and all that stands behind, be it a UIDL or not. */
bool pop3reply_uidl(struct pst_str line, uint64_t *number_out, struct pst_str *uidl_out);

/* 1 to 70 octets of 0x21 to 0x7E (RFC 1939 section 7). */
bool pop3reply_is_uidl(struct pst_str uidl);

/* What CAPA lists, as far as a client that only reads needs it. */
struct pop3capa {
	bool is_known; /* there was an answer to CAPA */
	bool user, stls, top, uidl, pipelining, sasl_plain, utf8;
};

void pop3capa_line(struct pop3capa *c, struct pst_str line);

/* A multi-line reply after its first line: takes the added dots out and finds the end, whatever the
 * pieces are in which it comes. */
struct pop3undot {
	uint8_t state; /* private */
	bool is_done;
};

/* Moves *in past what belongs to the reply and writes what it says to out, which has room for in->n + 2
 * octets; returns how many those are. After is_done *in begins with what follows the reply. */
size_t pop3undot_feed(struct pop3undot *u, struct pst_str *in, char *out);

#endif
