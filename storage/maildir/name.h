/* SPDX-License-Identifier: MIT */
/* storage/maildir/name.h - what the name of a file in new/ or cur/ says.
 *
 *	1700000000.M20046P2137.mx1,S=1234,W=1260:2,FS
 *	`------------- base name --------------' `--- flags, which change at any time
 *
 * The base name, all before the first ':', is the message's identity: it stays when the file goes
 * from new/ to cur/ and when flags are set. Any octet but '/' and NUL may be in it. */
#ifndef STORAGE_MAILDIR_NAME_H
#define STORAGE_MAILDIR_NAME_H

#include <postern/plugin.h>
#include <postern/str.h>

/* The base name of a file name; may be empty. */
struct pst_str maildir_base(struct pst_str name);

/* Whether a name can be a message's: not empty, no '.' at its front, no '/' or NUL in it, and not
 * longer than we keep. */
bool maildir_is_message(struct pst_str name);

/* ",S=123" with the letter 'S', ",W=123" with 'W'. The first match counts; digits that are not
 * ended by ',' or the base name's end are no match, nor is a number above UINT64_MAX. */
bool maildir_field(struct pst_str base, char letter, uint64_t *num_out);

/* The place in the listing: by the leading number (seconds since 1970; 0 where there is none), then
 * by the number after the first 'M' in the second part between dots (microseconds; 0 where there is
 * none), then by the base name's octets. */
struct maildir_key {
	uint64_t seconds;
	uint64_t micros;
	struct pst_str base;
};

void maildir_key(struct pst_str base, struct maildir_key *out);
int maildir_key_compare(const struct maildir_key *a, const struct maildir_key *b);

/* The UIDL of a base name: itself where POP3 allows it (1 to 70 octets of 0x21 to 0x7E), else
 * "sha256:" and 40 hex digits of its SHA-256. No base name holds a ':', so that one of these never
 * equals another message's base name. Borrowed from base or from buf. */
#define MAILDIR_UIDL_ROOM 48
struct pst_str maildir_uidl(const struct pst_host *host, struct pst_str base,
                            char buf[MAILDIR_UIDL_ROOM]);

#endif
