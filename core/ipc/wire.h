/* SPDX-License-Identifier: MIT */
/* ipc/wire.h - every message between the processes, as a struct with its encoder and decoder.
 *
 * Encoders return the octets written to out (at least MSG_MAX_OCTETS long), 0 where it did not
 * fit. Decoders borrow from data. Strings are bounded by the WIRE_… limits. */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include <postern/err.h>
#include <postern/str.h>

#include "ipc/message.h"

#define WIRE_USER 255 /* octets of a user name */
#define WIRE_PASSWORD 1024
#define WIRE_SID 24
#define WIRE_ADDR 64
#define WIRE_NAME 255 /* a host name, a mechanism, a listener */
#define WIRE_TEXT 255
#define WIRE_RESPONSE 12288 /* of a SASL exchange, decoded; an access token */
#define WIRE_CHALLENGE 4096
#define WIRE_BINDING 64 /* channel binding (RFC 9266) */
#define WIRE_CREDENTIAL 4096
#define WIRE_LOCATION 4096
#define WIRE_TICKET 6144
#define WIRE_INPUT 16384 /* what the client had sent behind its PASS */
#define WIRE_CHAIN 49152 /* a certificate chain, DER */
#define WIRE_SIGNATURE 1024

/* login → auth queue; and, forwarded, on → hash queue, from a worker that found that it takes a hash. */
struct wire_auth_request {
	uint32_t login_slot;
	uint32_t row; /* of the scoreboard */
	struct pst_str sid;
	struct pst_str mechanism;
	struct pst_str user; /* empty where it stands in the response */
	struct pst_str password;
	struct pst_str remote_ip, local_ip;
	struct pst_str sni;
	struct pst_str listener;
	bool tls;
	uint8_t tls_version; /* 12, 13 */

	/* Mechanisms other than those with a password. */
	bool has_response;
	struct pst_str response;  /* the client's first; APOP, CRAM-MD5: the digest */
	struct pst_str challenge; /* APOP: the greeting's timestamp; CRAM-MD5: what was sent */
	struct pst_str binding;   /* tls-exporter; empty: none to be had */
	bool binding_offered;     /* the -PLUS mechanisms were in CAPA */
	struct pst_str cert_name; /* EXTERNAL: whom the client's certificate names */
	/* PLAIN: whom user wants to act for (RFC 4616 section 2), where that is another; else empty. */
	struct pst_str authzid;

	/* Set by the worker that forwards it. */
	bool is_forwarded;
	uint64_t started_ms; /* CLOCK_MONOTONIC: when the first worker took it */
	uint32_t policy_delay_ms;
};

/* login → the inbox of the auth worker that leads the exchange. Its answer is a wire_auth_reply. */
struct wire_auth_step {
	uint32_t login_slot;
	uint64_t exchange; /* as in the reply */
	bool cancelled;    /* the client has gone or said "*": no answer is wanted */
	struct pst_str response;
};

/* auth → login inbox; the master sends one too, for a worker that died of a request. */
struct wire_auth_reply {
	bool ok;
	uint8_t kind;          /* enum pst_err_kind where not ok */
	uint32_t delay_ms;     /* to wait before the client is told */
	struct pst_str user;   /* the session's name, where ok; else who it is about, or empty */
	struct pst_str text;   /* for the client; empty: the kind's own text */
	struct pst_str ticket; /* sealed, where ok */
	struct pst_str master; /* where ok: who logged in for the user, or empty; for the log */

	/* Neither ok nor failed yet: send the challenge, give the response to auth_slot's inbox. */
	bool more;
	uint32_t auth_slot;
	uint64_t exchange; /* names the exchange to that worker */

	/* Not in base64. Where ok or failed: it is sent first, and what the client says to it is
	 * waited for and not looked at (RFC 5034 section 4, RFC 7628 section 3.2.3). */
	bool has_challenge;
	struct pst_str challenge;
};

/* auth, mail → the clerk: what happened. Lost where the clerk cannot keep up. */
enum wire_note_kind {
	NOTE_LOGIN = 1,
	NOTE_SESSION,
	NOTE_REHASH,
	NOTE_CHECK,
	NOTE_LEASE,     /* the session goes on: its lease is to hold longer (ipc/leases.h) */
	NOTE_LEASE_END, /* it has ended */
};

struct wire_note {
	uint8_t kind;     /* enum wire_note_kind; LOGIN and REHASH are auth's, the others mail's */
	uint32_t backend; /* its place in auth.backends */
	uint64_t at;      /* seconds since 1970 */
	struct pst_str user;
	struct pst_str remote_ip;
	struct pst_str mechanism;
	struct pst_str app_prefix;
	uint32_t retrieved, deleted;
	uint64_t octets;
	uint32_t seconds;
	struct pst_str old_credential, new_credential; /* NOTE_REHASH */

	/* NOTE_LEASE…: at is CLOCK_MONOTONIC, milliseconds. */
	struct pst_str maildrop; /* the ticket's location */
	struct pst_str taker;    /* the session's id */
	uint32_t place;          /* see ipc/leases.h */
};

/* login → mail inbox, with one descriptor: the client's socket, or the relay's. */
struct wire_handoff {
	uint32_t login_slot;
	uint32_t row;
	struct pst_str sid;
	struct pst_str remote_ip; /* for the log */
	struct pst_str user;      /* for the log until the ticket is open */
	struct pst_str ticket;
	struct pst_str input;
	uint32_t offered; /* the mechanisms that were (credentials/mechanism.h): for CAPA */
	bool tls;         /* the descriptor is a relay: octets sent on it are encrypted by login */
	bool utf8;        /* the client said UTF8 */
	uint8_t language; /* enum pop3_language */
};

enum wire_order {
	ORDER_DRAIN = 1,
	ORDER_STOP,
	ORDER_END_SESSION, /* login, mail: row */
	ORDER_CHANGED,     /* the clerk: an admin has changed this user */
	ORDER_CLAIMED,     /* mail: another would like to have this maildrop (ipc/holders.h) */
};

/* master → inbox. */
struct wire_order_msg {
	enum wire_order order;
	uint32_t row;        /* ORDER_END_SESSION; ORDER_CLAIMED: of the holders */
	struct pst_str user; /* ORDER_CHANGED; else empty */
};

/* login → keys: which chain for this name? type: 1 ECDSA or EdDSA, 2 RSA, 0 either (ECDSA first). */
struct wire_chain_request {
	struct pst_str name; /* lower case; empty: the default certificate */
	uint8_t type;
	uint64_t version; /* of the chain that login has already; 0: none */
};

struct wire_chain_reply {
	uint8_t status; /* 0 none at all, 1 here it is, 2 the version you have is current */
	uint8_t type;   /* 1 ECDSA or EdDSA, 2 RSA */
	uint32_t bits;
	uint32_t pk_algorithm; /* gnutls_pk_algorithm_t */
	uint64_t version;      /* names the key in a sign request */
	bool is_default;       /* the name had none of its own */
	struct pst_str chain;  /* certificates, DER, each with u32 length before it */
};

struct wire_sign_request {
	uint64_t version;
	uint32_t algorithm; /* gnutls_sign_algorithm_t */
	bool is_hash;       /* data is the hash already */
	struct pst_str data;
};

struct wire_sign_reply {
	bool ok;
	struct pst_str signature;
};

size_t wire_auth_request_encode(const struct wire_auth_request *m, uint32_t incarnation,
                                uint64_t request, uint8_t *out);
int wire_auth_request_decode(struct pst_str data, struct msg_head *head_out,
                             struct wire_auth_request *m_out, struct pst_err *err);
size_t wire_auth_reply_encode(const struct wire_auth_reply *m, uint32_t incarnation,
                              uint64_t request, uint8_t *out);
int wire_auth_reply_decode(struct pst_str data, struct msg_head *head_out,
                           struct wire_auth_reply *m_out, struct pst_err *err);
size_t wire_auth_step_encode(const struct wire_auth_step *m, uint32_t incarnation, uint64_t request,
                             uint8_t *out);
int wire_auth_step_decode(struct pst_str data, struct msg_head *head_out,
                          struct wire_auth_step *m_out, struct pst_err *err);
size_t wire_note_encode(const struct wire_note *m, uint32_t incarnation, uint64_t request,
                        uint8_t *out);
int wire_note_decode(struct pst_str data, struct msg_head *head_out, struct wire_note *m_out,
                     struct pst_err *err);
size_t wire_handoff_encode(const struct wire_handoff *m, uint32_t incarnation, uint64_t request,
                           uint8_t *out);
int wire_handoff_decode(struct pst_str data, struct msg_head *head_out, struct wire_handoff *m_out,
                        struct pst_err *err);
size_t wire_order_encode(const struct wire_order_msg *m, uint8_t *out);
int wire_order_decode(struct pst_str data, struct msg_head *head_out, struct wire_order_msg *m_out,
                      struct pst_err *err);
size_t wire_chain_request_encode(const struct wire_chain_request *m, uint32_t incarnation,
                                 uint64_t request, uint8_t *out);
int wire_chain_request_decode(struct pst_str data, struct msg_head *head_out,
                              struct wire_chain_request *m_out, struct pst_err *err);
size_t wire_chain_reply_encode(const struct wire_chain_reply *m, uint32_t incarnation,
                               uint64_t request, uint8_t *out);
int wire_chain_reply_decode(struct pst_str data, struct msg_head *head_out,
                            struct wire_chain_reply *m_out, struct pst_err *err);
size_t wire_sign_request_encode(const struct wire_sign_request *m, uint32_t incarnation,
                                uint64_t request, uint8_t *out);
int wire_sign_request_decode(struct pst_str data, struct msg_head *head_out,
                             struct wire_sign_request *m_out, struct pst_err *err);
size_t wire_sign_reply_encode(const struct wire_sign_reply *m, uint32_t incarnation,
                              uint64_t request, uint8_t *out);
int wire_sign_reply_decode(struct pst_str data, struct msg_head *head_out,
                           struct wire_sign_reply *m_out, struct pst_err *err);

/* The type of an encoded message, for an inbox that gets several; 0 where it is none of ours. */
enum msg_type wire_type(struct pst_str data);

#endif
