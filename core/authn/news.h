/* SPDX-License-Identifier: MIT */
/* authn/news.h - whose sessions must end: hears from the backends what changed, looks the users up
 * and tells the mail workers (ipc/changes.h).
 *
 * A user that changed is looked up at once. For a domain, and for all that may have changed while
 * nobody listened, mail workers are asked whom they have; each of those is looked up once, however
 * many sessions there are. A user that cannot be looked up now stays. */
#ifndef AUTHN_NEWS_H
#define AUTHN_NEWS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>

#include "credentials/chain.h"
#include "ipc/env.h"

struct news;

/* env and chain are borrowed; the backends are started. */
struct news *news_create(const struct worker_env *env, struct chain *chain);
void news_destroy(struct news *n); /* accepts NULL */

/* What to wait for, CHAIN_MAX at most; what came of it goes to news_read. Returns how many. */
size_t news_poll(const struct news *n, struct pollfd *to);
void news_read(struct news *n, const struct pollfd *from, size_t count);

/* This user may have changed. */
void news_changed(struct news *n, struct pst_str user);

/* Whatever may have changed. */
void news_ask_all(struct news *n);

/* A mail worker has a session of the user. */
void news_check(struct news *n, struct pst_str user, struct pst_str remote_ip);

/* When news_work has something to do; INT64_MAX: never. */
int64_t news_due(const struct news *n);

/* One step: begins to listen somewhere, or looks one user up. false: there was nothing to do. */
bool news_work(struct news *n, int64_t now_ms);

#endif
