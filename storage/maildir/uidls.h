/* SPDX-License-Identifier: MIT */
/* storage/maildir/uidls.h - a UIDL for each message that has none yet.
 *
 * What was once shown stays: the index knows it by the base name, the ledger too, and under a new name
 * the message is known by its print. Then counts what an old server's list says, then what is
 * configured. No UIDL is given that another message has or had, as far as the index, the ledger and
 * the list know. */
#ifndef STORAGE_MAILDIR_UIDLS_H
#define STORAGE_MAILDIR_UIDLS_H

#include "storage/index/ledger.h"
#include "storage/maildir/foreign.h"
#include "storage/maildir/scan.h"

/* Where the UIDL of a fresh message comes from. */
enum uidl_origin {
	UIDL_FROM_MAIL = 1, /* it can be made again from the mail */
	UIDL_FROM_LIST,     /* from the old server's list, as long as that is there */
	UIDL_FROM_LEDGER,   /* it was shown, and is on record */
	UIDL_RENAMED,       /* it was shown for the same message under another name */
	UIDL_GIVEN,         /* it must be on record before it is shown */
};

struct uidl_choice {
	struct pst_str uidl; /* n 0: none yet */
	uint32_t uid, validity;
	uint32_t renamed; /* which known one it was; SCAN_NONE: none */
	uint8_t origin;   /* enum uidl_origin */
	bool is_recorded;
};

struct uidls {
	uint32_t taken_over; /* from the list */
	uint32_t refused;    /* of the list's: another message has it */
	uint32_t renamed;

	/* private */
	const struct maildir *self;
	struct scan *s;
	const struct foreign *f;
	struct ledger *ledger;
	struct uidl_choice *chosen; /* by fresh message; NULL: base names can do no harm */
	struct taken *taken;
	bool has_numbers;
	size_t mask;
	char *text;
	struct mem mem_chosen, mem_taken, mem_text;
};

/* All are borrowed until uidls_clear. -1 (PST_E_TEMP): no memory. Gives what is told from elsewhere;
 * others have no UIDL yet (with an old server's list: if they are to have a number). */
int uidls_choose(struct uidls *u, struct scan *s, const struct foreign *f, struct ledger *ledger,
                 struct pst_err *err);
void uidls_clear(struct uidls *u); /* accepts a zeroed one */

/* Gives a fresh message that has no UIDL yet one by the configured policy; called in the order of the
 * listing. */
void uidls_name(struct uidls *u, uint32_t fresh, int64_t now_s);

/* NULL: all have theirs from their names. */
struct uidl_choice *uidls_choice(const struct uidls *u, uint32_t fresh);

/* That of a fresh message that is not a known one measured again. Borrowed from u, the name or buf. */
struct pst_str uidls_of(const struct uidls *u, uint32_t fresh, char buf[MAILDIR_UIDL_ROOM]);

/* Whether the configured policy gives a known message the UIDL that it has, from its name alone. */
bool uidls_is_told(const struct maildir *self, const struct index_message *m);

#endif
