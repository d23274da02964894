/* SPDX-License-Identifier: MIT */
/* ctl/trial_drop.h - maildrops that storage plugins are tried with: a copy for each case, what a listing
 * says, and whether it holds. */
#ifndef CTL_TRIAL_DROP_H
#define CTL_TRIAL_DROP_H

#include <postern/storage.h>

#include "ctl/trial.h"

/* A storage plugin and a maildrop of its own to work on. */
struct trial_drop {
	struct trial *t;
	const struct pst_storage *storage;
	void *self;
	const char *path; /* what the plugin is given; lies at the end of readable memory */
	bool is_copy;     /* nothing of value lies there */
	struct pst_maildrop *open;
	struct pst_err err;
};

/* What was found of one message. */
struct trial_message {
	struct pst_str uidl; /* a copy */
	uint64_t size_octets;
	uint8_t sum[32]; /* of its octets on the wire */
};

struct trial_listing {
	struct trial_message *v;
	uint32_t n;
};

/* A copy of the subject's maildrop, or one that is not there. All false: the case has failed, or is
 * skipped (there is no maildrop to copy). What was made lies in a folder of its own that the caller
 * of the case removes: see trial_drop_clean. */
bool trial_drop_begin(struct trial *t, struct trial_drop *d);
bool trial_drop_begin_absent(struct trial *t, struct trial_drop *d);
void trial_drop_end(struct trial_drop *d); /* closes, and removes the copy */

/* Opens it; a failure is the case's. */
bool trial_drop_open(struct trial_drop *d);
void trial_drop_close(struct trial_drop *d);

/* The spec for it, as the server makes it. */
struct pst_maildrop_spec trial_drop_spec(const struct trial_drop *d);

/* Tries to open what is in use. what: who has it. false: the case has failed. */
bool trial_drop_is_in_use(struct trial_drop *d, const char *what);

/* Reads all of an open maildrop and checks each message against the rules. with_sums: their octets too. */
bool trial_drop_read(struct trial_drop *d, bool with_sums, struct trial_listing *out);

/* Opens it, reads it and closes it. */
bool trial_drop_list(struct trial_drop *d, struct trial_listing *out);

/* Whether now is before without the messages that gone marks (NULL: without none). when: for the text. */
bool trial_listing_is(struct trial *t, const struct trial_listing *now,
                      const struct trial_listing *before, const bool *gone, const char *when);

/* Whether the message, which was read with sums, is this one as it would be stored. */
bool trial_is_message(const struct trial_message *m, struct pst_str stored);

/* An error must say why. */
bool trial_drop_has_reason(struct trial_drop *d, const char *call);
void trial_drop_forget_reason(struct trial_drop *d);

#endif
