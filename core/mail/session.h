/* SPDX-License-Identifier: MIT */
/* mail/session.h - one session from the inside, for the files that make it up: session.c (its life
 * and its socket), commands.c, listing.c (LIST, UIDL) and send.c (RETR, TOP).
 *
 * A turn is what one event lets a session do: read, answer, write. Replies of a turn are gathered in
 * mail->out and leave together. What the socket does not take waits in pending, and until it has
 * gone no further command is looked at: so a client that does not read holds up itself alone. */
#ifndef MAIL_SESSION_H
#define MAIL_SESSION_H

#include <uv.h>

#include "base/log.h"
#include "ipc/wire.h"
#include "mail/mail.h"
#include "mail/maildrop.h"
#include "pop3/body.h"
#include "pop3/command.h"

#define MAIL_READ_MAX 16384u
#define MAIL_HIGH_WATER 65536u /* octets in mail->out at which they are sent */
#define MAIL_TURN_MAX 524288u  /* octets made in one turn: then other sessions have theirs */
#define MAIL_CHUNK_MIN 65536u  /* of a stored message at a time; grows while the client keeps up */
#define MAIL_CHUNK_MAX 262144u
#define MAIL_OUT_MAX (2 * MAIL_HIGH_WATER + 2 * MAIL_CHUNK_MAX)

enum mail_phase {
	MAIL_OPENING, /* the pool opens the maildrop; the client waits for the answer to its PASS */
	MAIL_SERVING,
	MAIL_QUITTING,  /* QUIT was said: UPDATE */
	MAIL_CLOSING,   /* no more commands; what is left is sent */
	MAIL_LINGERING, /* all is sent; what still comes in is thrown away until the client closes */
	MAIL_GONE,      /* the socket is closed; the pool may still be busy */
};

/* The reply to RETR or TOP that is under way. */
struct mail_send {
	bool is_active;
	bool is_top;
	bool is_announced; /* "+OK" is in the reply already */
	bool has_begun;    /* some of the reply has left mail->out: it cannot be taken back */
	uint32_t msg;
	size_t reply_at; /* where the reply starts in mail->out */
	size_t chunk;
	/* What is sent are the octets of head's text, if it has one, then those of the stored message
	 * that it does not stand for: length in all, at of them done. */
	uint64_t at, length;
	uint64_t size_octets;
	struct pop3_head head;
	struct pst_body body; /* fd is -1 while it is not open */
	struct pop3_body tx;
};

/* The reply to LIST or UIDL that is under way. */
struct mail_listing {
	bool is_active;
	bool is_uidl;
	uint32_t next; /* message */
};

struct mail_session {
	struct mail *mail;
	struct mail_session *next, *prev;  /* of mail->sessions */
	struct mail_session *next_of_user; /* of a bucket of mail->by_user */
	struct mail_session *later, *earlier;
	struct mail_list *waits_in; /* or NULL */
	int64_t deadline_ms;

	uv_poll_t poll;
	int fd;   /* -1 when GONE */
	int mask; /* events that poll waits for */
	enum mail_phase phase;
	bool has_poll;
	bool is_poll_closed;
	bool is_blocked;      /* the socket takes no more now */
	bool is_lost;         /* nobody is there to write to */
	bool is_eof;          /* the client will send no more */
	bool is_skipping;     /* the rest of a line that was too long */
	bool has_backlog;     /* input that waits for its turn */
	bool has_yielded;     /* to other sessions */
	bool has_body_unsent; /* some of a message has not left the process */
	bool was_open;
	bool has_ticket;
	bool is_doomed; /* its user may not be here any more: no further command is served */
	bool is_asked;  /* the clerk is to be told of it */
	bool wants_notes;
	bool is_read_only; /* nothing may be deleted */
	bool is_tls;
	uint8_t language; /* enum pop3_language */
	uint32_t offered; /* mechanisms (credentials/mechanism.h) */

	struct pst_str view; /* in a turn: the input not yet looked at */
	struct pst_buf in, pending;
	struct maildrop drop;
	struct maildrop_job *job; /* or NULL */
	struct mail_send send;
	struct mail_listing listing;

	/* ahead.c */
	struct maildrop_job
		*ahead;      /* a message that was fetched before it was asked for; or NULL */
	uint32_t ahead_want; /* that is to be fetched so; 0: none */
	bool is_job_ahead;   /* job does that */

	uint32_t bad_commands; /* one after the other */
	uint32_t retrieved, tops, deleted;
	uint32_t last;        /* the highest message retrieved or deleted since RSET; 0: none */
	uint32_t expire_days; /* how long mail may stay; 0: for ever */
	uint64_t octets_out;
	int64_t started_ms;
	const char *reason; /* why it ended, or NULL */
	int64_t doomed_ms;

	/* takeover.c */
	uint32_t holder; /* its row in ipc/holders.h, or HOLDERS_NOWHERE */
	uint64_t holder_drop;
	int64_t heard_ms;       /* when the client last said or took something */
	struct mail_wait *wait; /* for another session to give way; or NULL */
	char *lease;            /* the location that it holds one of, or NULL (mail/lease.h) */
	int64_t leased_ms, lease_asked_ms;

	/* The ticket's, see ipc/ticket.h. */
	uint32_t backend;
	uint32_t max_sessions;
	int64_t min_poll_ms;
	char *mechanism;      /* NULL: nobody asks for it */
	char *app, *master;   /* for the history; or NULL */
	int64_t began_s;      /* likewise; seconds since 1970 */
	uint64_t usage_user;  /* see ipc/usage.h; 0: has no limits there */
	uint32_t usage_place; /* or USAGE_NOWHERE */

	uint32_t row;
	struct pst_log log;
	char *user;
	char doing[8 + WIRE_SID + 1]; /* "session SID" */
	char peer[WIRE_ADDR + 1];
};

/* No more commands; what is there is sent, then the connection ends. reason: for the log. */
void mail_session_finish(struct mail_session *s, const char *reason);

/* It has waited too long: the connection ends, without a word (RFC 1939 section 3). */
void mail_session_time_out(struct mail_session *s);

/* Ends it by order; the client is told, where that does not fall into the middle of a reply. One
 * whose client has said QUIT goes on to its end. why, text: as in pop3_reply_err. */
void mail_session_end(struct mail_session *s, const char *reason, const struct pst_err *why,
                      const char *text);

/* Ends it for another one: nothing is deleted, and nothing more is sent but a word where that does
 * not fall into a reply. */
void mail_session_give_way(struct mail_session *s);

/* Tries to open the maildrop once more. path is copied. */
void mail_session_try_opening(struct mail_session *s, const char *path);

/* What it has waited for does not come. why: as the attempt said. */
void mail_session_give_up(struct mail_session *s, const struct pst_err *why);

/* The client waits for us or for nothing: a line would not land inside a reply. */
bool mail_session_is_idle(const struct mail_session *s);

/* turn.c. begin comes before anything is added to mail->out; run looks at fresh input (it may be
 * empty) and sends what was made. */
void mail_turn_begin(struct mail_session *s);
void mail_turn_run(struct mail_session *s, struct pst_str fresh);

/* socket.c. Gives a session the whole span of a list to wait. */
void mail_session_wait_in(struct mail_session *s, struct mail_list *l);
void mail_session_stop_waiting(struct mail_session *s);

/* What the client has sent, in mail->in: at most MAIL_READ_MAX octets. */
struct pst_str mail_session_read(struct mail_session *s);

/* Sends what the turn has made: the socket takes it or it waits. */
void mail_session_flush(struct mail_session *s);

/* The socket has room again. */
void mail_session_write_pending(struct mail_session *s);

/* Sends octets at once. Returns how many the socket took, 0 where the client is gone. */
size_t mail_session_write(struct mail_session *s, const char *p, size_t n);

/* Brings the session's row of the scoreboard up to date. */
void mail_session_show(const struct mail_session *s);

/* The message was retrieved or deleted: for LAST. */
void mail_session_accessed(struct mail_session *s, uint32_t msg);

/* Adds to what waits for the socket. */
void mail_session_keep(struct mail_session *s, const char *p, size_t n);

/* Adds the -ERR for why; text as in pop3_reply_err. */
void mail_session_refuse(struct mail_session *s, const struct pst_err *why, const char *text);

/* The done of every job. */
maildrop_done mail_session_on_job;

/* commands.c: one line without its end, or one that was no command at all. */
void mail_command(struct mail_session *s, struct pst_str line);
void mail_command_bad(struct mail_session *s, const struct pst_err *why);

/* listing.c: some more lines. */
void mail_listing_start(struct mail_session *s, bool is_uidl);
void mail_listing_step(struct mail_session *s);

/* send.c. lines: of the body, UINT64_MAX for RETR. -1 with err: the message cannot be had. */
int mail_send_start(struct mail_session *s, uint32_t msg, bool is_top, uint64_t lines,
                    struct pst_err *err);
void mail_send_step(struct mail_session *s);
void mail_send_fetched(struct mail_session *s, struct maildrop_job *job); /* FETCH or READ */
void mail_send_drop(struct mail_session *s); /* closes what is open; the reply stays cut off */

#endif
