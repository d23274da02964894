/* SPDX-License-Identifier: MIT */
/* ctl/wirebody.h - in a worker: a message's octets as RETR sends them. */
#ifndef CTL_WIREBODY_H
#define CTL_WIREBODY_H

#include <postern/storage.h>

#include "ctl/octets.h"

/* Reads up to n stored octets of the message from its octet at on; fewer only at its end. */
int wirebody_read(const struct pst_body *body, uint64_t at, char *out, size_t n, size_t *n_out,
                  struct pst_err *err);

/* The digest of message idx, as it is sent. */
int wirebody_digest(const struct pst_storage *storage, struct pst_maildrop *drop, uint32_t idx,
                    struct octets_digest *out, struct pst_err *err);

#endif
