/* SPDX-License-Identifier: MIT */
/* What the mbox tests share: a worker with the plugin in it, and one mbox. */
#ifndef TESTS_UNIT_STORAGE_MBOXKIT_H
#define TESTS_UNIT_STORAGE_MBOXKIT_H

#include "storage/mbox/mbox.h"

/* Less than no margin: what was just written is trusted at once, so that tests need not wait. */
#define TRUST_NS INT64_C(10000000000)

struct mboxkit {
	struct pst_host host;
	char root[256]; /* a new folder */
	char last_event[64];
	struct mbox_conf conf;
	struct mbox self;
	unsigned open_flags;
	char path[512]; /* of the mbox; it is not there yet */
};

int mboxkit_set_up(void **state);
int mboxkit_tear_down(void **state);
void mboxkit_clear(const struct mboxkit *k);              /* removes all files */
void mboxkit_policy(struct mboxkit *k, const char *uidl); /* the setting of that name */
void mboxkit_plan(struct mboxkit *k, const char *locks);

void mboxkit_spew(const char *path, const void *text, size_t n);
void mboxkit_write(const struct mboxkit *k, const void *text, size_t n);
void mboxkit_append(const struct mboxkit *k, const void *text, size_t n);
void mboxkit_puts(const struct mboxkit *k, const char *text);
void mboxkit_adds(const struct mboxkit *k, const char *text);
char *mboxkit_text(const struct mboxkit *k); /* malloc'ed */

int mboxkit_try_open(struct mboxkit *k, struct pst_maildrop **d, struct pst_err *err);
struct pst_maildrop *mboxkit_open(struct mboxkit *k); /* must succeed */

/* The octets that RETR would send, without dots; malloc'ed. NULL with err. Checks them against the
 * listing, in both ways of fetching. */
char *mboxkit_fetch(struct pst_maildrop *d, uint32_t idx, size_t *n_out, struct pst_err *err);

/* "uidl size\n" of each message, malloc'ed. */
char *mboxkit_listing(struct mboxkit *k);
char *mboxkit_listing_of(const struct pst_maildrop *d);

/* Runs test in a child that may not write to the mbox's folder, as root by being somebody else. Returns
 * whether it came to its end. */
bool mboxkit_run_read_only(struct mboxkit *k, void (*test)(struct mboxkit *k));

/* Opens, removes these, closes. */
int mboxkit_remove(struct mboxkit *k, const uint32_t *idx, uint32_t n, struct pst_err *err);

#endif
