/* SPDX-License-Identifier: MIT */
/* credentials/mechanism.h - the ways to log in: one row each, for all who have to know them.
 *
 * auth.mechanisms chooses rows; a connection offers those of them that would work on it now. login
 * leads a mechanism as far as it can without knowing a secret, and an auth worker judges. */
#ifndef CREDENTIALS_MECHANISM_H
#define CREDENTIALS_MECHANISM_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#include "config/settings.h"

/* In the order in which CAPA shows them: what protects most stands first. */
enum mechanism_id {
	MECH_USER,
	MECH_APOP,
	MECH_SCRAM_SHA_256_PLUS,
	MECH_SCRAM_SHA_1_PLUS,
	MECH_SCRAM_SHA_256,
	MECH_SCRAM_SHA_1,
	MECH_EXTERNAL,
	MECH_OAUTHBEARER,
	MECH_XOAUTH2,
	MECH_CRAM_MD5,
	MECH_PLAIN,
	MECH_LOGIN,
	MECH_ANONYMOUS,
	MECH_COUNT /* none of them */
};

#define MECH_BIT(id) (1u << (id))

/* How login leads it. */
enum mechanism_start {
	MECH_COMMAND,   /* by commands of its own, not by AUTH */
	MECH_MESSAGE,   /* one response with user and password in it (RFC 4616) */
	MECH_QUESTIONS, /* the user's name, then the password */
	MECH_CHALLENGE, /* a challenge first, to which there is one response */
	MECH_RESPONSE,  /* the client's first response goes to auth as it is */
};

/* What convinces the auth worker. */
enum mechanism_proof {
	MECH_BY_PASSWORD,
	MECH_BY_DIGEST,      /* of a challenge, keyed with what is stored */
	MECH_BY_SCRAM,       /* in several steps */
	MECH_BY_CERTIFICATE, /* which login has verified */
	MECH_BY_TOKEN,
	MECH_BY_NOTHING,
};

/* What a connection must have. */
#define MECH_NEEDS_TLS 1u
#define MECH_NEEDS_BINDING 2u
#define MECH_NEEDS_CERTIFICATE 4u
#define MECH_NEEDS_GUEST 8u

struct mechanism {
	const char *name;
	enum mechanism_start start;
	enum mechanism_proof proof;
	unsigned needs; /* MECH_NEEDS_… */
};

extern const struct mechanism mechanisms[MECH_COUNT];

/* In any case; MECH_COUNT where there is none of that name. */
enum mechanism_id mechanism_find(struct pst_str name);

/* A connection, now. */
struct mechanism_facts {
	bool tls;
	bool plaintext_login; /* the listener's: without TLS */
	bool has_binding;     /* tls-exporter (RFC 9266) */
	bool has_certificate; /* the client's, verified, with a name in it */
	bool has_guest;       /* mechanism_guest */
};

/* Sets of MECH_BIT: what a list setting names (unknown names are passed over); what of it would work. */
uint32_t mechanism_set(const char *list);
uint32_t mechanism_offer(uint32_t enabled, const struct mechanism_facts *facts);

/* The names of those that AUTH begins, as in CAPA: "PLAIN LOGIN". */
#define MECH_LIST_MAX 192
void mechanism_list(uint32_t offered, char out[MECH_LIST_MAX]);

/* Who an anonymous client is: the user in auth.anonymous whose domain is the server name that the client
 * asked for, or stands at its end behind a dot, or is auth.default_domain; "" where nobody is. */
struct pst_str mechanism_guest(const struct auth_settings *auth, struct pst_str sni);

/* For config check: unknown names, and what the named ones lack. */
void mechanism_check_settings(const struct settings *settings, const struct conf_texts *t,
                              struct conf_problems *problems);

#endif
