/* SPDX-License-Identifier: MIT */
/* storage/index/body.h - messages that come from elsewhere, and how their octets are copied. */
#ifndef STORAGE_INDEX_BODY_H
#define STORAGE_INDEX_BODY_H

#include <postern/storage.h>

/* Opens msg's octets; body_close follows. */
int body_open(const struct pst_new_message *msg, struct pst_body *out, struct pst_err *err);
void body_close(struct pst_body *body); /* accepts one that is not open: fd is -1 */

/* Reads up to n octets of the message from its octet at on: fewer only at its end. */
int body_read(const struct pst_body *body, uint64_t at, void *out, size_t n, size_t *n_out,
              struct pst_err *err);

/* Writes the whole message to fd from its octet at on. */
int body_copy(const struct pst_body *body, int fd, uint64_t at, struct pst_err *err);

/* All n octets, or false with errno. */
bool body_write(int fd, const void *octets, size_t n, uint64_t at);

#endif
