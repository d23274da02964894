/* SPDX-License-Identifier: MIT */
/* pop3/command.h - every POP3 command is one row, for both states, though two processes serve them.
 *
 * The dispatcher finds the row, checks the state and parses the arguments by their spec; a handler
 * sees only valid input. Each process gives its handlers in an array by command; a command without
 * one in that process cannot be valid in the states that it serves. CAPA walks the same table. */
#ifndef POP3_COMMAND_H
#define POP3_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

/* Octets of a command line with its line end (RFC 2449 section 4: at least 255), and of a line in a
 * SASL exchange (RFC 5034 section 4). */
#define POP3_LINE_MAX 1024
#define POP3_SASL_LINE_MAX 16384

enum pop3_state { POP3_AUTH = 1 << 0, POP3_TRANS = 1 << 1 };

enum pop3_verb {
	POP3_CAPA,
	POP3_STLS,
	POP3_USER,
	POP3_PASS,
	POP3_APOP,
	POP3_SASL_AUTH,
	POP3_QUIT,
	POP3_STAT,
	POP3_LIST,
	POP3_RETR,
	POP3_DELE,
	POP3_NOOP,
	POP3_RSET,
	POP3_TOP,
	POP3_UIDL,
	POP3_UTF8,
	POP3_LANG,
	POP3_LAST,
	POP3_VERBS
};

/* MSG: 1 … count, not deleted. REST: the rest of the line after one space, spaces and all. */
enum pop3_arg { ARG_END, ARG_MSG, ARG_OPT_MSG, ARG_LINES, ARG_WORD, ARG_OPT_WORD, ARG_REST };

/* Filled from the spec; members that it does not name are zero. */
struct pop3_args {
	uint32_t msg;         /* 1-based and not deleted; 0 when optional and absent */
	uint64_t lines;       /* TOP's second argument */
	struct pst_str text;  /* a word, or the rest of the line; borrowed until return */
	struct pst_str text2; /* a second word */
};

/* Replies and returns 0, or fills err and returns -1: the caller turns that into -ERR. */
typedef int pop3_handler(void *session, const struct pop3_args *args, struct pst_err *err);

struct pop3_command {
	const char *name;
	unsigned states;       /* mask of enum pop3_state */
	enum pop3_arg args[3]; /* ends with ARG_END */
	const char *capa;      /* its line in CAPA, or NULL */
	const char *rfc;
};

extern const struct pop3_command pop3_commands[POP3_VERBS];

/* What the dispatcher must know of a session. */
struct pop3_context {
	enum pop3_state state;
	pop3_handler *const *handlers; /* POP3_VERBS of them; NULL: not served in this process */
	void *session;
	uint32_t count; /* messages, in POP3_TRANS */
	/* NULL in POP3_AUTH. */
	bool (*is_deleted)(void *session, uint32_t msg);
};

/* One command line without its line end. *verb_out: which it was, or POP3_VERBS where none. -1:
 * PST_E_CLIENT (unknown command, wrong state, bad argument), or what the handler says. Keywords in
 * any case. A NUL octet anywhere is refused. */
int pop3_dispatch(const struct pop3_context *ctx, struct pst_str line, enum pop3_verb *verb_out,
                  struct pst_err *err);

/* A message number at the front of *s (RFC 1939 section 5); leaves *s after it. */
int pop3_msg_number(struct pst_str *s, uint32_t count, uint32_t *num_out, struct pst_err *err);

enum pop3_line { POP3_LINE_READY = 1, POP3_LINE_MORE, POP3_LINE_TOO_LONG };

/* The next line of *in, without its CRLF or LF, and moves *in past it. LINE_MORE: *in holds no whole
 * line yet and is below max. LINE_TOO_LONG: no line end within max octets; the caller answers once
 * and throws octets away up to the next line end. */
enum pop3_line pop3_line_next(struct pst_str *in, size_t max, struct pst_str *line_out);

#endif
