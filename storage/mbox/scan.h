/* SPDX-License-Identifier: MIT */
/* storage/mbox/scan.h - from an mbox file to its messages. */
#ifndef STORAGE_MBOX_SCAN_H
#define STORAGE_MBOX_SCAN_H

#include <postern/plugin.h>

#include "storage/index/mem.h"
#include "storage/index/uidl.h"
#include "storage/mbox/parse.h"

#define MBOX_IDENTITY 32 /* octets: half of a SHA-256 in hexadecimal */
#define MBOX_UIDL_ROOM UIDL_ROOM

/* Where a new message's UIDL comes from. */
enum mbox_uidl_origin {
	MBOX_UIDL_TOLD = 1, /* the mail tells it, again at any time */
	MBOX_UIDL_RECORDED, /* it is in the ledger */
	MBOX_UIDL_GIVEN,    /* it must be in the ledger before it is shown */
};

/* One message. In the file lie, one after the other: its From_ line, its content, and what parts it
 * from the next From_ line or the end of the file. */
struct mbox_message {
	uint64_t offset;    /* of the From_ line */
	uint64_t content;   /* octets as stored, hidden headers too */
	uint64_t wire;      /* octets that RETR sends */
	uint64_t surrogate; /* the same as a surrogate; 0: it has none */
	uint32_t between;   /* octets after the content */
	uint16_t from;      /* octets of the From_ line */
	bool has_gaps;      /* hidden headers */
	bool is_crlf;       /* only CRLF line ends, and ends with one */
	bool has_no_header_end;
	uint8_t surrogate_rules; /* that the two were found by */
	char identity[MBOX_IDENTITY];
	uint8_t own_uidl_octets; /* what its headers name as its UIDL */
	char own_uidl[MBOX_UIDL_ROOM];

	/* Of new ones: */
	uint8_t origin;         /* enum mbox_uidl_origin */
	uint32_t uid, validity; /* numbers that it was given; 0: none */
	char header_md5[32];    /* where the policy asks for it */
	uint64_t print;         /* of the From_ line */
};

static inline uint64_t
mbox_content_at(const struct mbox_message *m)
{
	return m->offset + m->from;
}

static inline uint64_t
mbox_end(const struct mbox_message *m)
{
	return m->offset + m->from + m->content + m->between;
}

struct mbox_scan {
	const struct pst_host *host;
	const struct uidl_policy *policy;
	const char *path; /* for messages to the operator */
	uint64_t max_messages;

	struct mbox_message *messages;
	uint32_t count;
	struct mem mem;
	uint64_t uid_validity, last_uid; /* X-IMAPbase; 0: not said */
	uint64_t highest_uid;
};

/* Reads fd from octet at (the begin of the file, or where a message ends) up to octet size, and
 * appends what it finds. PST_E_PERM: it is not an mbox; PST_E_TEMP: it cannot be read. */
int mbox_scan(struct mbox_scan *s, int fd, uint64_t at, uint64_t size, struct pst_err *err);
void mbox_scan_clear(struct mbox_scan *s);

/* pread of n octets, all of them; false: fewer are there, or (errno is set) it failed. nowait: only
 * from the kernel's cache. */
bool mbox_read(int fd, void *out, size_t n, uint64_t at, bool nowait);

/* The identity of a message with this essence (see mbox_essence) and these octets on the wire. */
void mbox_identify(const struct pst_host *host, char *essence, size_t n, uint64_t wire,
                   char identity_out[MBOX_IDENTITY]);

#endif
