/* SPDX-License-Identifier: MIT */
/* pop3/reply.h - reply lines and CAPA. A reply line is at most 512 octets (RFC 1939 section 3). */
#ifndef POP3_REPLY_H
#define POP3_REPLY_H

#include <stdbool.h>

#include <postern/err.h>
#include <postern/str.h>

#include "base/buf.h"
#include "pop3/command.h"
#include "pop3/language.h"

/* Texts are given in English; the client sees them in the language of out (pop3/language.h), and
 * octets beyond ASCII only where it asked for a language or for UTF-8. */

/* "+OK text" with CRLF. Control characters of the text become '?', a '[' at its front is not let
 * through (RFC 2449 section 8). -1: out is full (PST_E_LIMIT). */
int pop3_reply_ok(struct pst_buf *out, struct pst_err *err, const char *fmt, ...) PST_PRINTF(3, 4);

/* "-ERR [CODE] text" for an error: the code by its kind (RFC 2449, 3206). The client sees err's text
 * only for PST_E_CLIENT and PST_E_LIMIT; for other kinds text, or where that is NULL the kind's own
 * sober words. Nothing for PST_E_CLOSED. */
int pop3_reply_err(struct pst_buf *out, const struct pst_err *why, const char *text,
                   struct pst_err *err);

/* "-ERR [CODE] text" for a code that no kind of error has. */
int pop3_reply_code(struct pst_buf *out, const char *code, const char *text, struct pst_err *err);

/* LANG with its argument, or without (p is NULL): the list, or the change. *language is the session's,
 * and becomes out's too. -1: PST_E_CLIENT, there is no such language; nothing has changed. */
int pop3_reply_lang(struct pst_buf *out, struct pst_str range, enum pop3_language preferred,
                    uint8_t *language, struct pst_err *err);

/* What is true right now, so that CAPA shows only that. After login USER and SASL are announced as they
 * were before it (RFC 2449 section 6.3, RFC 5034 section 3). */
struct pop3_facts {
	enum pop3_state state;
	bool stls;                  /* STLS would work now */
	bool user;                  /* USER/PASS would be taken now */
	const char *sasl;           /* "PLAIN LOGIN", or "" */
	const char *implementation; /* after login; NULL before */
	uint32_t login_delay_s;     /* RFC 2449 section 6.5; 0: none */
	uint32_t expire_days;       /* RFC 2449 section 6.7; 0: mail stays for ever */
	bool expire_is_least;       /* the user's own may be more */
};

/* The whole multi-line reply (RFC 2449 section 5). */
int pop3_reply_capa(struct pst_buf *out, const struct pop3_facts *facts, struct pst_err *err);

#endif
