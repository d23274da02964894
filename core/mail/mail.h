/* SPDX-License-Identifier: MIT */
/* mail/mail.h - the sessions of one process, and what they share.
 *
 * One thread runs the event loop and every session; only the calls of storage that may block run in
 * libuv's pool (mail/maildrop.h). An idle session holds its struct and its maildrop: what is read
 * and what is sent passes through buffers that all sessions of the process share. */
#ifndef MAIL_MAIL_H
#define MAIL_MAIL_H

#include <uv.h>

#include <postern/err.h>
#include <postern/storage.h>
#include <postern/str.h>

#include "base/buf.h"

struct board;
struct change_ring;
struct holders;
struct slot_row;
struct mail_session;
struct ticket;
struct usage;

#define MAIL_NO_ROW UINT32_MAX
#define MAIL_USER_BUCKETS 1024

struct mail_limits {
	int64_t idle_ms;           /* RFC 1939 section 3: at least 10 minutes */
	int64_t linger_ms;         /* how long to wait, after the end, for the client to close */
	uint32_t max_bad_commands; /* one after the other */
	uint32_t max_listed; /* messages of a session, where its account says no fewer; 0: all */
	bool hides_nuls;     /* NUL octets of messages are sent as 0x80 */
	bool ends_headers;   /* as in struct maildrop */
	bool has_last;       /* the command LAST is there */
	bool prefetch;       /* the next message is read while the client has the one before */
	int64_t takeover_ms; /* silence after which a session gives way to another; 0: never */
};

/* Sessions that wait for the same span of time, the one whose time is up first in front. */
struct mail_list {
	struct mail_session *first, *last;
	int64_t span_ms;
};

/* What the end of a session does to its maildrop, as the settings say. Zero: nothing but what the
 * client asked for. */
struct mail_keeping {
	uint32_t expire_days;    /* how long mail may stay; 0: for ever */
	uint32_t expire_least;   /* no account counts for less */
	uint32_t hold_days;      /* what is removed is kept so long; 0: it is not */
	bool mark_seen;          /* what was retrieved */
	int history;             /* enum mail_history */
	uint64_t history_octets; /* of a maildrop, at most */
};

struct mail {
	uv_loop_t *loop; /* borrowed */
	struct mail_limits limits;
	struct mail_keeping keeping;
	struct board *board;   /* borrowed; may be NULL */
	struct slot_row *self; /* borrowed; may be NULL */
	uint32_t slot;
	struct change_ring *changes; /* borrowed; may be NULL */
	int notes;                   /* where NOTE_SESSION and NOTE_CHECK go, or -1 */
	uint8_t language;            /* enum pop3_language that LANG * asks for */
	bool has_no_surrogates;      /* messages with UTF-8 in the header are sent as stored */
	struct usage *usage;         /* borrowed; may be NULL: then accounts have no such limits */
	uint64_t usage_owner;        /* this process, there */
	struct holders *holders;     /* borrowed; may be NULL: then nobody gives way */
	int wake_fd;                 /* the master's, to be written to after a question; or -1 */
	uint32_t ahead_count;        /* messages that were fetched before they were asked for */
	int64_t lease_ms;            /* mail.lease_time; 0: there are no leases */

	/* Called when the last session is gone; may be NULL. */
	void (*emptied)(void *arg);
	void *arg;

	struct mail_session *sessions; /* all of them */
	uint32_t session_count;
	uint32_t drop_count; /* maildrops that are open or being opened */
	struct mail_list idle, linger;
	bool is_stopping;

	/* news.c */
	uint64_t changes_at;
	uint32_t doomed, asked; /* sessions: that may not go on, that the clerk is to hear of */
	uint64_t notes_lost;    /* in a row */
	struct mail_session *by_user[MAIL_USER_BUCKETS];

	/* takeover.c: sessions that wait for another to give way. */
	uv_timer_t door;
	struct mail_wait *waits;

	/* For the session whose turn it is; out is empty between turns. */
	char *in;           /* MAIL_READ_MAX octets from the client */
	char *file;         /* MAIL_CHUNK_MAX octets of a stored message */
	struct pst_buf out; /* replies */
	size_t spent;       /* octets made in this turn */
};

void mail_init(struct mail *m, uv_loop_t *loop, const struct mail_limits *limits);
/* There are no sessions any more. The loop is to be run once more before it is closed, and m to be
 * freed after that. */
void mail_clear(struct mail *m);

/* Ends what has waited too long. now_ms is of uv_now's clock. About once a second. */
void mail_tick(struct mail *m, int64_t now_ms);

/* Ends all sessions now; none removes a message, but for those whose client said QUIT. They are
 * gone, and emptied is called, as soon as the pool has finished with them. */
void mail_stop(struct mail *m);

/* Ends the session of a scoreboard row; false: none here has it. */
bool mail_end_row(struct mail *m, uint32_t row);

struct mail_start {
	int fd;       /* the client's, or one end of login's relay; the session's from now on */
	uint32_t row; /* of the scoreboard, or MAIL_NO_ROW */
	struct pst_str sid, user, peer;
	const struct ticket *ticket; /* or NULL: without a contract */
	struct pst_str input;        /* what the client had sent behind its PASS */
	bool read_only;              /* DELE is refused */
	bool is_tls;                 /* for the history */
	bool utf8;                   /* the client said UTF8 */
	uint8_t language;            /* enum pop3_language */
	uint32_t offered;            /* the mechanisms that were, for CAPA */

	const struct pst_storage *storage;
	void *storage_self;
	struct pst_str location; /* with the plugin's name: the maildrop's */
	const char *path;

	/* Instead of the storage: why there will be no session. The client is told, by its kind. */
	const struct pst_err *refusal;
};

/* Everything of how but fd, storage and storage_self is copied. Never fails: what goes wrong ends
 * the session, and is logged. */
void mail_session_start(struct mail *m, const struct mail_start *how);

#endif
