/* SPDX-License-Identifier: MIT */
/* authn/answer.h - inside this folder: what the requests of a worker share, one request, and its way
 * out of the worker: an answer to login, or on to the hash queue. */
#ifndef AUTHN_ANSWER_H
#define AUTHN_ANSWER_H

#include "base/log.h"
#include "config/settings.h"
#include "credentials/chain.h"
#include "credentials/mechanism.h"
#include "ipc/env.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"
#include "plugin/hooks.h"

struct exchanges;

struct authn {
	const struct worker_env *env;
	uint32_t mechanisms;         /* MECH_BIT of those that the settings name */
	struct exchanges *exchanges; /* NULL: no mechanism needs them here */
	struct chain *chain;
	struct chain *masters; /* NULL: nobody logs in for another */
	struct hooks *hooks;
	struct ticket_desk *tickets;
	struct pst_arena *arena; /* of the request in hand */
	bool in_haste;           /* what takes long is for the hash queue */
	int64_t overloaded_ms;   /* when a request last found no room or waited too long; 0: none */
	uint8_t ticket[WIRE_TICKET];
	uint8_t out[MSG_MAX_OCTETS];
};

struct request {
	struct authn *a;
	struct msg_head head;
	struct wire_auth_request wire;
	struct pst_str message; /* that wire is decoded from */
	enum mechanism_id mechanism;
	bool is_user; /* user, and master where there is one, can be somebody; else both are "" */
	struct username user;   /* whose mail it is */
	struct username master; /* who logs in for the user; whole is empty where nobody does */
	struct pst_auth_query query; /* of the one who shows the password */
	struct pst_log log;
	int64_t taken_ms;   /* by this worker */
	int64_t started_ms; /* taken by the first one */
	int64_t policy_delay_ms;
	uint64_t changes_at; /* before the user was looked up */
	bool is_read_only;   /* as a master's session */
	struct chain *chain; /* that is asked, or was */
	struct chain_answer answer;
	bool is_forwarded; /* on, to the hash queue: no reply leaves from here */
	bool is_away;      /* a backend cannot tell, and the log has it */
	struct wire_auth_reply reply;
};

/* ---- request.c ---- */

/* Reads data, which is borrowed until request_close, as a request that waits for the answer of number
 * request (0: its own), and makes the query; shows that the worker is busy. False: it is none, which is
 * logged. */
bool request_open(struct request *r, struct authn *a, struct pst_str data, uint64_t request);

/* Asks the chain, into r->answer. */
void request_ask(struct request *r, enum proof_kind kind, struct pst_str secret);

/* Sends r->reply, unless it was forwarded, and tells the clerk. */
void request_close(struct request *r);

/* ---- answer.c: the reply ---- */

/* The check that a mechanism made itself of the user that was found. */
void answer_proven(struct request *r, bool is_right);

/* A refusal leaves after failure_delay, counted from the request's start. text: for the client, or
 * "" for the kind's own; it lives until the reply is sent. */
void answer_refuse(struct request *r, enum pst_err_kind kind, const char *text);

/* From r->answer, whose verdict is not CHAIN_SLOW: judges the record's terms, asks the policies, then
 * welcomes or refuses. */
void answer_settle(struct request *r);

/* The master kills a worker that does not come back in time, so this may block for a moment. */
void answer_send(struct request *r);

/* ---- forward.c: to whoever may take the time ---- */

/* The same request into the hash queue; false: there is no room. */
bool forward_try(struct request *r);

/* Likewise, and where there is no room it is refused, which is counted and logged. */
void forward_send(struct request *r);

/* In a hash worker: whether it waited so long that login would not wait for the answer. Then it is
 * refused, counted and logged. */
bool forward_is_late(struct request *r);

/* ---- master.c: who logs in for another ---- */

enum master_way {
	MASTER_NONE,      /* the user is *owner_out */
	MASTER_FOR_OWNER, /* *master_out logs in for *owner_out */
	MASTER_FORBIDDEN, /* somebody wants to, and nobody may */
};

/* The names are as the client sent them. */
enum master_way master_names(const struct request *r, struct pst_str *owner_out,
                             struct pst_str *master_out);

/* The answer is the master's: whether the session may read only. */
bool master_reads_only(const struct request *r);

/* The master is let in: r->answer is about the owner from here on. */
void master_find_owner(struct request *r);

/* ---- note.c: what the clerk is told, after the reply of a good login ---- */

/* That the user logged in. */
void note_login(struct request *r);

/* Whether the password would be stored anew, which takes a hash, were it right. */
bool note_wants_rehash(const struct request *r);

/* The password, just found right, in the form that new ones have; or a line in the log. */
void note_rehash(struct request *r);

#endif
