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
#define WIRE_TICKET 6144
#define WIRE_INPUT 16384 /* what the client had sent behind its PASS */
#define WIRE_CHAIN 49152 /* a certificate chain, DER */
#define WIRE_SIGNATURE 1024

/* login → auth queue. */
struct wire_auth_request {
	uint32_t login_slot;
	uint32_t row; /* of the scoreboard */
	struct pst_str sid;
	struct pst_str mechanism;
	struct pst_str user;
	struct pst_str password;
	struct pst_str remote_ip, local_ip;
	struct pst_str sni;
	struct pst_str listener;
	bool tls;
};

/* auth → login inbox; the master sends one too, for a worker that died of a request. */
struct wire_auth_reply {
	bool ok;
	uint8_t kind;          /* enum pst_err_kind where not ok */
	uint32_t delay_ms;     /* to wait before the client is told */
	struct pst_str user;   /* the session's name, where ok */
	struct pst_str text;   /* for the client; empty: the kind's own text */
	struct pst_str ticket; /* sealed, where ok */
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
	bool tls; /* the descriptor is a relay: octets sent on it are encrypted by login */
};

enum wire_order { ORDER_DRAIN = 1, ORDER_STOP, ORDER_END_SESSION };

/* master → inbox. */
struct wire_order_msg {
	enum wire_order order;
	uint32_t row; /* ORDER_END_SESSION */
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
