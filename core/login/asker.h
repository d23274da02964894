/* SPDX-License-Identifier: MIT */
/* login/asker.h - questions to the keys process, each waited for.
 *
 * GnuTLS cannot put off a handshake, so these are the only calls of a login worker that block: for as
 * long as keys takes to answer, and at most ASKER_DEADLINE_MS. A question that may have died with a
 * keys process is asked again. After one that nobody answered the patience is short until somebody
 * does, so that a keys process that is away does not make all clients wait in line. */
#ifndef LOGIN_ASKER_H
#define LOGIN_ASKER_H

#include "tls/oracle.h"

#define ASKER_RESEND_MS 250
#define ASKER_DEADLINE_MS 1500
#define ASKER_SHORT_MS 100

struct asker;

/* keys: the channel, borrowed. */
struct asker *asker_create(int keys, uint32_t incarnation);
void asker_destroy(struct asker *a); /* accepts NULL */

/* Its functions; they live as long as the asker. */
struct tls_oracle asker_oracle(struct asker *a);

#endif
