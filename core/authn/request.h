/* SPDX-License-Identifier: MIT */
/* authn/request.h - one attempt to log in: from the message on the auth queue to the reply in a login
 * slot's inbox. */
#ifndef AUTHN_REQUEST_H
#define AUTHN_REQUEST_H

#include <postern/str.h>

#include "ipc/env.h"

struct authn; /* what all requests of this worker share */

/* From what is loaded in env->plugins, which is started before the first request. env is borrowed. */
struct authn *authn_create(const struct worker_env *env, struct pst_err *err);
void authn_destroy(struct authn *a); /* accepts NULL */

/* Blocks until it is answered; a message that cannot be read is logged and has no answer. The caller
 * wipes data, which holds a password. */
void authn_serve(struct authn *a, struct pst_str data);

#endif
