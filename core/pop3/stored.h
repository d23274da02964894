/* SPDX-License-Identifier: MIT */
/* pop3/stored.h - reading the octets of a stored message from its file, past what does not belong to
 * it (struct pst_body). */
#ifndef POP3_STORED_H
#define POP3_STORED_H

#include <sys/types.h>

#include <postern/err.h>
#include <postern/storage.h>

/* Where octet at of the message lies in the file; *want becomes how many from there on lie together,
 * where that is less. */
off_t pop3_stored_find(const struct pst_body *body, uint64_t at, size_t *want);

/* Reads n octets of the message from at on; may block. Fewer only where the file ends. -1: it cannot be
 * read (PST_E_TEMP). */
int pop3_stored_read(const struct pst_body *body, uint64_t at, char *out, size_t n, size_t *n_out,
                     struct pst_err *err);

/* Closes what a storage's fetch opened; nothing where fd is -1. */
void pop3_stored_release(struct pst_body *body);

#endif
