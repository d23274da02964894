/* SPDX-License-Identifier: MIT */
/* credentials/domain.h - the domain of a user who gave none. */
#ifndef CREDENTIALS_DOMAIN_H
#define CREDENTIALS_DOMAIN_H

#include <postern/str.h>

#include "config/settings.h"

#define DOMAIN_MAX 253 /* octets */

struct domain_choice {
	char name[DOMAIN_MAX + 1]; /* "": none is added */
	/* Whose setting it is: a listener's default_domain; NULL: auth.default_domain. */
	const struct listener_settings *listener;
};

/* What is added to a name without a domain on this listener, by a client that asked for this server
 * name. A name that is none of a host's gives no domain: it is the client's to choose. */
void domain_choose(const struct settings *s, struct pst_str listener, struct pst_str sni,
                   struct domain_choice *out);

#endif
