/* SPDX-License-Identifier: MIT */
/* login/dialog.h - the AUTHORIZATION state of one connection, without its socket: octets in, replies
 * and wishes out.
 *
 * Whoever owns it reads, writes, does TLS and asks the auth workers. Nothing that a client sends
 * behind STLS or while its login is looked at is acted on before that is done. */
#ifndef LOGIN_DIALOG_H
#define LOGIN_DIALOG_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#include "base/buf.h"
#include "login/sasl.h"

/* The most that may wait for its line's end, or for an answer to a login, between two calls. */
#define DIALOG_INPUT_MAX 16384

/* Of a listener; shared by its connections. */
struct dialog_rules {
	uint32_t mechanisms;  /* MECH_BIT of those that the settings name */
	bool plaintext_login; /* before TLS */
	bool has_guest;       /* an anonymous client without TLS would be somebody */
	bool can_stls;
	int64_t max_bad_commands;
	int64_t max_auth_failures;
	uint8_t language;     /* enum pop3_language that LANG * asks for */
	uint32_t expire_days; /* for CAPA, as in struct pop3_facts */
	bool expire_is_least;
};

struct dialog {
	const struct dialog_rules *rules; /* borrowed */
	char *user;                       /* of USER, or who tried to log in last; or NULL */
	struct sasl *sasl;                /* an exchange under way, or NULL */
	struct attempt *attempt;          /* with DIALOG_ATTEMPT, or NULL */
	char *challenge;                  /* of the greeting, for APOP; or NULL */
	struct pst_str response; /* with DIALOG_RESPONSE; p is NULL: cancelled, or no base64 */
	struct pst_buf *out;     /* private: while dialog_feed runs */
	uint16_t bad_commands;
	uint16_t auth_failures;
	struct mechanism_facts facts;
	uint8_t step;     /* private */
	uint8_t language; /* enum pop3_language */
	bool has_utf8;    /* UTF8 was said */
	bool may_pass;    /* USER was taken, PASS may come */
	bool is_asked;    /* the next line answers the challenge of an auth worker */
	bool is_skipping; /* the rest of a line that was too long */
	bool had_line;    /* the last feed saw a whole line: the client is not idle */
};

enum dialog_step {
	DIALOG_MORE = 1, /* all of the input was used but for a line that has no end yet */
	DIALOG_FULL,     /* out is long enough for now: send it, then feed again */
	DIALOG_ATTEMPT, /* d->attempt is to be tried; then dialog_failed, or there is no dialog any more */
	DIALOG_RESPONSE, /* d->response answers the challenge; then as with DIALOG_ATTEMPT */
	DIALOG_STLS,     /* send out, do the handshake, then dialog_tls */
	DIALOG_INJECTED, /* octets came in behind STLS: send out, close, tell the log */
	DIALOG_CLOSE,    /* send out, close */
};

void dialog_init(struct dialog *d, const struct dialog_rules *rules, bool tls);
void dialog_clear(struct dialog *d); /* wipes and frees what it holds */

/* Uses lines from the front of *in, as far as it can, and adds replies to out, which has room for
 * 32 KiB. The caller keeps what is left in *in, and gives it again with more behind it. */
enum dialog_step dialog_feed(struct dialog *d, struct pst_str *in, struct pst_buf *out);

/* TLS is on now: what was said before is forgotten (RFC 2595 section 4). */
void dialog_tls(struct dialog *d, const struct mechanism_facts *facts);

/* MECH_BIT of what the client may log in with now. */
uint32_t dialog_offer(const struct dialog *d);

/* What stands at the end of the greeting: " <...>" where APOP is offered, else "". */
void dialog_greeting(struct dialog *d, char out[ATTEMPT_CHALLENGE + 1]);

/* The attempt, or the response, was sent on: wipes it. */
void dialog_forget_attempt(struct dialog *d);

/* Who it is that logs in, where the auth worker found that out. */
void dialog_set_user(struct dialog *d, struct pst_str user);

/* An auth worker's challenge for the client, whose next line is DIALOG_RESPONSE. */
enum dialog_step dialog_challenge(struct dialog *d, struct pst_str challenge, struct pst_buf *out);

/* The attempt failed: tells the client, counts. text: for the client, or NULL. DIALOG_MORE: it may try
 * again; DIALOG_CLOSE: that was its last. */
enum dialog_step dialog_failed(struct dialog *d, const struct pst_err *why, const char *text,
                               struct pst_buf *out);

#endif
