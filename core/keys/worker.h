/* SPDX-License-Identifier: MIT */
/* keys/worker.h - the process that has the private keys: it gives chains and signatures to one
 * login worker, and nothing else to nobody. The master ends it by SIGTERM. */
#ifndef KEYS_WORKER_H
#define KEYS_WORKER_H

#include "ipc/env.h"

struct store;

extern const struct worker_code keys_worker;

/* One question into its answer, with the head it came with; 0 where it is none and stays without.
 * out has MSG_MAX_OCTETS. For the worker and its tests. */
size_t keys_answer(struct store *s, struct pst_str question, int64_t now_ms, uint8_t *out);

#endif
