/* SPDX-License-Identifier: MIT */
/* postern/storage.h - what a storage plugin does: open a maildrop, give its
 * messages, remove some.
 *
 * It runs in a mail worker, which serves many sessions from one event loop.
 * Calls marked "pool" may block: they come from a thread of the worker's pool,
 * one at a time for each maildrop, many maildrops at once. So a plugin keeps no
 * mutable state outside struct pst_maildrop. Calls marked "loop" come from the
 * event loop and must not block: they answer from memory, or say PST_FETCH_WAIT.
 *
 * The rules of the wire (CRLF, dots, TOP) are not the plugin's: it gives the
 * octets as they are stored and says how many there will be on the wire. */
#ifndef POSTERN_STORAGE_H
#define POSTERN_STORAGE_H

#include <sys/types.h>

#include <postern/plugin.h>

#define PST_UIDL_MAX 70 /* octets of 0x21 to 0x7E (RFC 1939 section 7) */

struct pst_maildrop; /* the plugin's own */

/* Where the maildrop is. Borrowed until open returns. */
struct pst_maildrop_spec {
	const char *path;    /* "maildir:/srv/x" is given to maildir as "/srv/x" */
	struct pst_str user; /* for the log */
	unsigned flags;      /* of PST_OPEN_… */
};

/* An admin says that the UIDLs as they come out now are right: no guard holds them back. */
#define PST_OPEN_ACCEPT_UIDLS 1u
/* Believe nothing that was remembered of a message but its UIDL: read all of them again. */
#define PST_OPEN_MEASURE 2u

/* One message, by its 0-based place in the listing. */
struct pst_message {
	/* Octets that RETR sends after its first line, CRLF line ends, without dot-stuffing and
	 * without the ending dot (RFC 1939 section 11). A message whose last line has no line end
	 * counts the CRLF that is sent for it. */
	uint64_t size_octets;
	/* 1 to PST_UIDL_MAX octets of 0x21 to 0x7E, unique in the maildrop, never another
	 * message's (RFC 1939 section 7). Borrowed until the maildrop is closed. */
	struct pst_str uidl;
	/* For a message with UTF-8 in its header: size_octets for a client that did not say UTF8, which
	 * is sent a surrogate (RFC 6856 section 5). 0: every client is sent the same. */
	uint64_t surrogate_octets;
	/* No empty line ends its header: it has a header alone, or nothing. As survey tells it. */
	bool has_no_header_end;
};

/* What reading a message tells of it: see pst_host.survey. */
struct pst_measured {
	uint64_t size_octets, surrogate_octets; /* as in struct pst_message */
	bool crlf;                              /* as in struct pst_body */
	bool has_no_header_end;                 /* as in struct pst_message */
};

/* Octets of the file that are not the message's: from at (counted from the body's offset) on. */
struct pst_gap {
	uint64_t at;
	uint64_t length;
};

/* The stored octets of one message. The server closes fd; it calls done once, from a pool thread
 * or the loop, if it is not NULL. */
struct pst_body {
	int fd; /* holds the message from offset on */
	uint64_t offset;
	uint64_t length; /* of the message: without what the gaps leave out */
	bool crlf;       /* known to have only CRLF line ends and to end with one */
	void (*done)(void *arg);
	void *arg;

	/* Ascending, none empty, none touching the next; borrowed until done. Zero of them: the
	 * message lies there in one piece. */
	const struct pst_gap *gaps;
	uint32_t gap_count;
};

enum pst_fetch_result {
	PST_FETCH_OK = 1,
	PST_FETCH_WAIT,  /* it would block: call again without PST_FETCH_NOWAIT, from the pool */
	PST_FETCH_ERROR, /* err is filled; PST_E_PERM or PST_E_TEMP, the session goes on */
};

/* ---- What an admin does to a maildrop, and what a session does beyond POP3 ---- */

/* A message that comes from elsewhere. */
struct pst_new_message {
	/* Opens its stored octets, as fetch does. */
	int (*open)(void *arg, struct pst_body *body_out, struct pst_err *err);
	void *arg;
	struct pst_str uidl;   /* that it is to have; empty: one that the plugin chooses */
	int64_t received_s;    /* when it came, seconds since 1970; 0: now */
	struct pst_str sender; /* of its envelope; empty: not known */
	bool is_seen;          /* it was retrieved once */
};

/* What a maildrop knows of a message beside its octets. */
struct pst_envelope {
	struct pst_str sender; /* empty: not known */
	bool is_seen;
};

/* Where a message of the listing is to be from now on, and with which UIDL. */
struct pst_place {
	uint32_t idx;
	struct pst_str uidl;
};

/* Under which name removed messages are kept. */
struct pst_hold {
	int64_t now_s;
	struct pst_str session; /* its id; for those who look for it */
};

/* Which of the messages that are kept: all that fit every one of these. */
struct pst_held {
	int64_t since_s, until_s; /* when they were removed; 0: no bound; until_s itself is out */
	struct pst_str session;   /* empty: any */
	bool once_a_day; /* let_go: nothing is done where it was done less than a day ago */
};

/* A message that hold keeps. */
struct pst_held_message {
	struct pst_str uidl;
	uint64_t size_octets; /* as struct pst_message has it */
	int64_t removed_s;
	struct pst_str session; /* the one that removed it */
};

#define PST_FETCH_NOWAIT 1u /* called on the loop: answer from the kernel's caches or say WAIT */

struct pst_storage {
	/* sizeof(struct pst_storage) that the plugin was built with; members are only appended. */
	uint32_t size;

	/* pool. Takes the exclusive lock, which the kernel frees when its holder dies, and reads
	 * the listing. PST_E_IN_USE: another session has it. PST_E_TEMP, PST_E_PERM: as they say. A
	 * maildrop that is not there yet is an empty one. *drop_out is the server's until close. */
	int (*open)(void *self, const struct pst_maildrop_spec *spec,
	            struct pst_maildrop **drop_out, struct pst_err *err);

	/* loop. The listing, which does not change while the maildrop is open. */
	uint32_t (*count)(const struct pst_maildrop *drop);
	void (*message)(const struct pst_maildrop *drop, uint32_t idx, struct pst_message *msg_out);

	/* pool, or loop with PST_FETCH_NOWAIT. Opens one message. A file that is gone, or no longer
	 * gives size_octets as far as can be told cheaply, is PST_FETCH_ERROR. */
	enum pst_fetch_result (*fetch)(struct pst_maildrop *drop, uint32_t idx, unsigned flags,
	                               struct pst_body *body_out, struct pst_err *err);

	/* pool. Removes the n messages at idx[0 … n-1], ascending, for good; called at most once,
	 * in the UPDATE state. *removed_out: how many are gone. -1 with err filled where not all
	 * could be removed; one that is gone already counts as removed. Every other message stays. */
	int (*commit)(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n,
	              uint32_t *removed_out, struct pst_err *err);

	/* pool. Frees the lock and everything else. Never fails. */
	void (*close)(struct pst_maildrop *drop);

	/* loop. open, where it can be had from memory alone, as in a poll that finds nothing new.
	 * PST_FETCH_WAIT: it cannot, nothing is held, ask open. PST_FETCH_ERROR: as open's -1. May be
	 * NULL: it always waits. */
	enum pst_fetch_result (*open_now)(void *self, const struct pst_maildrop_spec *spec,
	                                  struct pst_maildrop **drop_out, struct pst_err *err);

	/* loop. Whether close, without commit before, would return at once: then it is called on the
	 * loop. May be NULL: it never does. */
	bool (*closes_now)(const struct pst_maildrop *drop);

	/* All that follows is called from the pool, or by posternctl, and may be NULL: then the plugin
	 * cannot do it, and who asks for it is told so. */

	/* Adds n messages behind those that are there, all or none, in this order; when it returns 0 they
	 * survive a crash. The open listing stays as it is. */
	int (*add)(struct pst_maildrop *drop, const struct pst_new_message *msgs, uint32_t n,
	           struct pst_err *err);

	/* Gives all messages of the listing (n is count) the order of places and the UIDLs that stand
	 * there, all or none; when it returns 0 that survives a crash. To be closed then. */
	int (*rearrange)(struct pst_maildrop *drop, const struct pst_place *places, uint32_t n,
	                 struct pst_err *err);

	/* When message idx came: seconds since 1970. */
	int (*received)(struct pst_maildrop *drop, uint32_t idx, int64_t *received_s_out,
	                struct pst_err *err);

	/* These n messages, ascending, were retrieved: other programs are to see that. Before commit or
	 * close. */
	int (*mark_seen)(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n,
	                 struct pst_err *err);

	/* As commit, but what is removed is kept where no client sees it, with its UIDL and its place. A
	 * message that cannot be kept is not removed. */
	int (*hold)(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n,
	            const struct pst_hold *how, uint32_t *removed_out, struct pst_err *err);

	/* Brings what hold kept back, with its UIDLs; or removes it for good. The maildrop is open. */
	int (*bring_back)(struct pst_maildrop *drop, const struct pst_held *which,
	                  uint32_t *messages_out, struct pst_err *err);
	int (*let_go)(struct pst_maildrop *drop, const struct pst_held *which,
	              uint32_t *messages_out, struct pst_err *err);

	/* Tells what hold keeps, the oldest removal first: msg is borrowed until each returns. */
	int (*held)(struct pst_maildrop *drop, const struct pst_held *which,
	            void (*each)(void *arg, const struct pst_held_message *msg), void *arg,
	            struct pst_err *err);

	/* Keeps a line (text without control characters) with the maildrop: what a session did, for an
	 * admin. Old lines go, so that never more than max_octets are kept. */
	int (*note)(struct pst_maildrop *drop, struct pst_str line, uint64_t max_octets,
	            struct pst_err *err);

	/* Tells all lines that are kept, the oldest first: each is whole, and borrowed until each
	 * returns. */
	int (*notes)(struct pst_maildrop *drop, void (*each)(void *arg, struct pst_str line),
	             void *arg, struct pst_err *err);

	/* For who copies message idx. The sender is borrowed until the next call or close. */
	int (*envelope)(struct pst_maildrop *drop, uint32_t idx, struct pst_envelope *out,
	                struct pst_err *err);
};

#endif
