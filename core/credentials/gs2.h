/* SPDX-License-Identifier: MIT */
/* credentials/gs2.h - what clients say first in SCRAM, OAUTHBEARER and XOAUTH2.
 *
 * All strings are octets from outside; the results borrow from them. Nothing here judges: what is read is
 * compared with what the connection is and what is stored elsewhere. */
#ifndef CREDENTIALS_GS2_H
#define CREDENTIALS_GS2_H

#include <stdbool.h>
#include <stddef.h>

#include <postern/str.h>

#define GS2_NAME_MAX 255 /* octets of a name */

struct gs2_name {
	size_t n;
	char text[GS2_NAME_MAX + 1];
};

/* The header "p=tls-exporter,a=for,": RFC 5801 section 4. */
struct gs2 {
	char flag;               /* 'p': binding is what the client binds to; 'y': it would; 'n' */
	struct pst_str binding;  /* with 'p' */
	struct gs2_name authzid; /* decoded; empty: none */
};

/* Takes the header off the front of *s. False: it is none. */
bool gs2_take(struct pst_str *s, struct gs2 *out);

/* A SCRAM client's first message (RFC 5802 section 7), as far as the server must know it before it can
 * look for the user. */
struct scram_first {
	struct gs2 gs2;
	struct gs2_name user;
};
bool scram_first_read(struct pst_str message, struct scram_first *out);

/* OAUTHBEARER (RFC 7628 section 3.1) and XOAUTH2. */
struct bearer {
	struct gs2_name user; /* empty: the token says who it is */
	struct pst_str token;
};
bool bearer_read_rfc7628(struct pst_str message, struct bearer *out);
bool bearer_read_xoauth2(struct pst_str message, struct bearer *out);

#endif
