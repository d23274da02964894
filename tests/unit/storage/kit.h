/* SPDX-License-Identifier: MIT */
/* What the storage tests share: a host like the server's, and real folders with mail in them. */
#ifndef TESTS_UNIT_STORAGE_KIT_H
#define TESTS_UNIT_STORAGE_KIT_H

#include <stdatomic.h>

#include <postern/storage.h>

#include "storage/maildir/drop.h"

/* Less than no margin: what was just written is trusted at once, so that tests need not wait. */
#define KIT_TRUST_NS INT64_C(10000000000)

/* A worker with the Maildir plugin in it. Its margin is -KIT_TRUST_NS and keep_ns 0 unless a test
 * sets them. */
struct kit {
	struct pst_host host;
	struct maildir_conf conf;
	struct maildir self;
	char root[64];     /* a new folder */
	char maildir[128]; /* root/Maildir, with new/ and cur/ in it */
	atomic_int logged, warned, measured;
	unsigned open_flags;
	int measure_errno;                 /* not 0: reading a message fails so */
	void (*on_measure)(struct kit *k); /* not NULL: called once, then it is NULL */
	char last_event[64];
	char last_text[512];
};

void kit_init(struct kit *k);
void kit_policy(struct kit *k, const char *uidl); /* the setting of that name */
void kit_clear(struct kit *k);                    /* removes the folder */

/* Makes maildir/sub/name, as a delivery agent does: written elsewhere, then renamed. */
void kit_put(const struct kit *k, const char *sub, const char *name, const void *text, size_t n);
void kit_puts(const struct kit *k, const char *sub, const char *name, const char *text);
void kit_rename(const struct kit *k, const char *from, const char *to); /* in maildir/ */
void kit_unlink(const struct kit *k, const char *path);                 /* in maildir/ */
bool kit_exists(const struct kit *k, const char *path);                 /* in maildir/ */
void kit_path(const struct kit *k, const char *path, char out[512]);
size_t kit_slurp(const char *path, char **out); /* malloc'ed, with a NUL after it */
void kit_spew(const char *path, const void *p, size_t n);
void kit_remove_tree(const char *path);

struct pst_maildrop *kit_open(struct kit *k); /* must succeed */
int kit_try_open(struct kit *k, struct pst_maildrop **drop_out, struct pst_err *err);
struct pst_message kit_message(const struct pst_maildrop *d, uint32_t idx);

/* The index file as it is on the disk; false where there is none or a bad one. And back. */
bool kit_load_index(const struct kit *k, struct index *ix);
void kit_save_index(const struct kit *k, struct index *ix);

/* Runs test in a child that may not write to the Maildir, as root by being somebody else. Returns
 * whether it came to its end: a failed assertion of the child ends it early. */
bool kit_run_read_only(struct kit *k, void (*test)(struct kit *k));

/* cmocka's set-up and tear-down with a kit as state. */
int kit_set_up(void **state);
int kit_tear_down(void **state);

/* "uidl size\n" of each message. malloc'ed. */
char *kit_listing(const struct pst_maildrop *d);

/* The message's octets as they would be sent, by core/pop3. malloc'ed. NULL: err is filled. */
char *kit_fetch(struct pst_maildrop *d, uint32_t idx, size_t *n_out, struct pst_err *err);

#endif
