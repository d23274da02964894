/* SPDX-License-Identifier: MIT */
/* storage/mbox/parse.h - what the octets of an mbox mean: From_ lines, headers that are not the
 * message's, Content-Length. Works on memory alone. */
#ifndef STORAGE_MBOX_PARSE_H
#define STORAGE_MBOX_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/storage.h>
#include <postern/str.h>

#define MBOX_FROM_MAX 1024                 /* octets of a From_ line; a longer one is none */
#define MBOX_HEADER_MAX ((size_t)64 << 10) /* so much of a message is searched for headers */
#define MBOX_GAPS 64                       /* runs of hidden headers; what comes after is shown */
#define MBOX_SAMPLE 512                    /* octets after the header that count for the identity */

/* Whether s begins with a separator line (RFC 4155 and the dialects): "From ", a sender, which may be
 * anything, a date; seconds, zone, what follows may be there or not. Its octets with the line end, or
 * 0. A line without its line end is none. */
size_t mbox_from_line(struct pst_str s);

/* What that line says: the sender, which may be empty, and the time, seconds since 1970; without a zone it
 * is UTC (RFC 4155). s is the line. */
void mbox_from_parts(struct pst_str s, struct pst_str *sender_out, int64_t *when_s_out);

/* 0, 1 or 2: octets of the empty line that s begins with. */
size_t mbox_empty_line(struct pst_str s);

/* What the first lines of a message tell. */
struct mbox_header {
	size_t from_octets;   /* of the From_ line */
	size_t header_octets; /* after it, with the empty line, if that is there */
	bool is_complete;     /* the empty line is there */
	bool has_length;      /* a Content-Length */
	bool is_internal;     /* other programs' notes about the folder, not a message */
	uint64_t content_length;
	uint64_t hidden_octets;
	struct pst_str x_uid, x_uidl, x_imapbase; /* values; empty where they are not there */
	struct pst_str status;

	/* A mark of our own, see mbox_header_settle. */
	bool has_mark;
	uint64_t mark_end; /* of the mark's line, from the end of the From_ line on */
	uint64_t marked_octets;
	struct pst_str marked_uidl;   /* may be empty */
	struct pst_str marked_status; /* of a Status before it */
	uint32_t gap_count;
	struct pst_gap gaps[MBOX_GAPS]; /* hidden headers, counted from the end of the From_ line */
};

/* s begins with a From_ line and is the message's first MBOX_FROM_MAX + MBOX_HEADER_MAX octets, or all
 * that there is. is_first: only the first message of a file can be an internal one. */
void mbox_header(struct pst_str s, bool is_first, struct mbox_header *out);

/* The same, where the octets of the From_ line are known, 0 for none. */
void mbox_header_after(struct pst_str s, size_t from_octets, bool is_first,
                       struct mbox_header *out);

/* Messages that come from elsewhere (see add.c) are to come out as they went in, whatever they hold: headers
 * that we hide, no empty line, no line end. So the last of the lines that we put before one, among which
 * there is no line that is shown, is
 *
 *	X-Postern-Octets: 1234 UIDL
 *
 * After it so many octets are the message, and all of them are shown. That counts only where it proves
 * right: content, the octets from the From_ line's end up to the message's, is what it says. Nobody can
 * send such a mark: what delivers a message puts lines of its own before it. Then h is made to say so;
 * else the mark is a header that is hidden. */
bool mbox_header_settle(struct mbox_header *h, uint64_t content);
#define MBOX_MARK "X-Postern-Octets"

/* The octets that tell a message from others, whatever its line ends and hidden headers: writes at
 * most MBOX_HEADER_MAX + MBOX_SAMPLE into out. content: the message from the end of its From_ line
 * on, as far as is there (and no more than is its own). */
size_t mbox_essence(const struct mbox_header *h, struct pst_str content, char *out);

#endif
