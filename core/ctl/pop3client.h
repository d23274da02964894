/* SPDX-License-Identifier: MIT */
/* ctl/pop3client.h - a POP3 client that reads a maildrop and changes nothing: there is no DELE in it.
 *
 * Blocking, one thread a client, many clients at once. Every wait has a limit, and so has all that the
 * server can make grow. An error's text begins with host and port, and names the command and what the
 * server said; it never holds a password. After -1 there is nothing to do but to close. */
#ifndef CTL_POP3CLIENT_H
#define CTL_POP3CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#include "base/buf.h"
#include "ctl/pop3reply.h"

enum pop3security {
	POP3_BY_PORT,   /* TLS for 995, else STLS */
	POP3_TLS,       /* from the first octet */
	POP3_STLS,      /* from the command on; on loopback not needed */
	POP3_PLAINTEXT, /* never */
};

struct pop3server {
	const char *host;
	uint16_t port;
	enum pop3security security;
	const char *ca_file; /* NULL: the system's authorities */
	bool insecure;       /* any certificate */
	int64_t timeout_ms;  /* for any one answer, or its next piece */
	uint32_t max_messages;
	uint64_t max_octets; /* of one message */
};

struct pop3account {
	struct pst_str user, password;
	struct pst_str master; /* whose password it is, if it is not the user's; else empty */
	const char *separator; /* the login is USER, this and the master; NULL: by SASL PLAIN */
};

struct pop3client;

/* Connects, greets, asks for capabilities, begins TLS. PST_E_TEMP, PST_E_PERM. */
struct pop3client *pop3client_open(const struct pop3server *server, struct pst_err *err);

/* PST_E_AUTH: refused. PST_E_IN_USE: another session has the maildrop, or it is too soon. PST_E_TEMP,
 * PST_E_PERM: as the server says. */
int pop3client_login(struct pop3client *c, const struct pop3account *account, struct pst_err *err);

/* Says QUIT where that can be said, and closes. Accepts NULL. */
void pop3client_close(struct pop3client *c);

bool pop3client_may_top(const struct pop3client *c); /* unless the server says that it has none */

/* ---- The listing ---- */

struct pop3entry {
	uint64_t octets;
	uint32_t uidl; /* its place in text */
	uint16_t uidl_octets;
	bool is_listed; /* LIST had a line for it */
	bool has_uidl;  /* UIDL had a line for it */
	bool is_valid;  /* and that is a UIDL as POP3 allows them */
};

struct pop3listing {
	uint32_t count;        /* as STAT says */
	uint64_t octets;       /* likewise */
	bool has_uidls;        /* the server knows UIDL */
	struct pop3entry *all; /* count of them, by message number less one */
	struct pst_buf text;
};

/* STAT, LIST and UIDL. A LIST that does not go with STAT is an error (PST_E_PERM); a UIDL that does not
 * is told by the entries. *out is zeroed or cleared. */
int pop3client_list(struct pop3client *c, struct pop3listing *out, struct pst_err *err);
void pop3listing_clear(struct pop3listing *l);

/* What the server showed, be it valid or not; at most 200 octets of it. */
struct pst_str pop3listing_uidl(const struct pop3listing *l, uint32_t i);

/* ---- Messages ---- */

enum pop3part { POP3_HEADER, POP3_WHOLE }; /* TOP n 0, RETR n */

/* For each message begin, octets (any number of times, dots undone) and end; only end where the server
 * refused that message, which is no error. */
struct pop3sink {
	void *arg;
	void (*begin)(void *arg, uint32_t i);
	void (*octets)(void *arg, struct pst_str octets);
	void (*end)(void *arg, uint32_t i, bool refused);
};

/* Of the messages with these numbers less one, in this order; pipelined where the server can do that. */
int pop3client_fetch(struct pop3client *c, enum pop3part part, const uint32_t *which, uint32_t n,
                     const struct pop3sink *sink, struct pst_err *err);

#endif
