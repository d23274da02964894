/* SPDX-License-Identifier: MIT */
/* login/client.h - one connection of a login worker, and what the connections share.
 *
 *	WAIT → HANDSHAKE → DIALOG → ATTEMPT → (PENALTY → DIALOG) → handed off, or RELAY → CLOSING
 *
 * A waiting client holds this struct, its TLS session and nothing else: buffers are there only while
 * something is in them, and all clients read into the same scratch memory. */
#ifndef LOGIN_CLIENT_H
#define LOGIN_CLIENT_H

#include <sys/socket.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/net.h"
#include "config/settings.h"
#include "ipc/env.h"
#include "ipc/wire.h"
#include "login/deadline.h"
#include "login/dialog.h"
#include "tls/stream.h"

#define LOGIN_READ_OCTETS 16384 /* of one read from a client */
#define LOGIN_TLS_OCTETS                                                                           \
	(TLS_AHEAD + TLS_RECORD_MAX) /* the same through TLS: all that is pending */
#define LOGIN_SCRATCH_OCTETS 262144
#define LOGIN_REPLY_OCTETS 65536
#define LOGIN_OUT_OCTETS 1048576 /* ceiling of what waits for one client */
#define LOGIN_LINGER_MS 3000
#define LOGIN_WAITING_BUCKETS 256

struct asker;
struct client;
struct exchange;
struct login;
struct relay;
struct tls_server;

struct listener {
	uv_poll_t poll;
	struct login *login;
	const struct listener_settings *settings;
	struct dialog_rules rules;
	int fd;
	bool is_polled;
};

/* The waits that differ by what a client is at. */
enum wait {
	WAIT_HANDSHAKE,
	WAIT_COMMAND,
	WAIT_AUTH,
	WAIT_LINGER,
	WAIT_STALLED, /* it does not take what it asked for */
	WAIT_KINDS
};

/* A login worker. */
struct login {
	const struct worker_env *env;
	uv_loop_t loop;
	uv_poll_t inbox;
	uv_timer_t tick;    /* a second, while there are clients */
	uv_timer_t penalty; /* up to the first of penalties */
	struct deadline_list waits[WAIT_KINDS];
	struct deadline_list penalties; /* delays that policies and failures bring */
	struct listener *listeners;
	size_t listener_count;
	struct asker *asker;
	struct tls_server *tls;
	struct client *clients;                        /* all */
	struct client *waiting[LOGIN_WAITING_BUCKETS]; /* for an auth worker, by request */
	size_t client_count;
	uint32_t mechanisms; /* MECH_BIT of those that the settings name */
	uint64_t request;
	uint32_t next_mail;
	size_t closed; /* connections, since memory was given back */
	size_t opened; /* since the last tick */
	int64_t trimmed_ms;
	bool is_accepting;
	bool is_draining; /* ends with its last client */
	bool is_stopping;
	int64_t stop_ms;  /* by when */
	char *scratch;    /* LOGIN_SCRATCH_OCTETS */
	uint8_t *message; /* MSG_MAX_OCTETS: to be sent */
	uint8_t *letter;  /* the same: from the inbox */
	struct pst_buf reply;
};

enum io { IO_OK = 1, IO_BLOCKED, IO_END, IO_DEAD };

enum phase {
	PHASE_WAIT = 1, /* a policy's delay before the greeting */
	PHASE_HANDSHAKE,
	PHASE_DIALOG,
	PHASE_ATTEMPT, /* an auth worker is asked */
	PHASE_PENALTY, /* the answer is known, but not told yet */
	PHASE_RELAY,
	PHASE_CLOSING,
	PHASE_FREED, /* only its handle is still being closed */
};

/* An answer that waits out its penalty. */
struct verdict {
	struct pst_err why;
	char text[WIRE_TEXT + 1];
};

/* A login that was granted and waits out its delay: the auth worker's reply, encoded. */
struct grant {
	size_t n;
	uint8_t message[];
};

struct client {
	uv_poll_t poll;
	struct deadline deadline;
	struct client *prev, *next;
	struct client *next_waiting;
	struct login *login;
	const struct listener *listener;
	struct tls_stream *tls;
	struct relay *relay;
	struct verdict *verdict;
	struct exchange *exchange;   /* an attempt of several messages, or NULL */
	char *cert_name;             /* whom the client's certificate names, or NULL */
	enum mechanism_id mechanism; /* of the attempt under way */
	struct grant *grant;
	struct dialog dialog;
	struct pst_buf in;  /* a line without its end, or commands that wait for an answer */
	struct pst_buf out; /* what the socket did not take */
	size_t out_at;      /* of it, sent since */
	uint64_t request;   /* to auth; 0: none */
	int64_t began_ms;   /* the attempt */
	int fd;
	uint32_t row;
	uint8_t phase;
	uint8_t step; /* enum dialog_step: what to do when out is empty */
	uint8_t polled;
	bool owns_row;
	uint8_t ended; /* enum io of an end that the next read is to give; 0: none */
	bool saw_end;  /* the client sends no more */
	bool is_dead;  /* it takes no more either */
	bool said_bye; /* close_notify and FIN are out */
	char sid[17];
	char peer[PST_ADDR_TEXT];
};

/* accept.c */

/* Takes over fd. peer may be an address of any family. */
void client_open(struct listener *l, int fd, const struct sockaddr_storage *peer);
/* Clients that wait to be accepted. */
int listener_start(struct listener *l, struct pst_err *err);
void listener_poll(struct listener *l, bool on);

/* client.c */

/* The greeting, or the handshake before it. */
void client_begin(struct client *c);

/* Closes the socket and frees c without another octet. Nothing may touch c afterwards. */
void client_free(struct client *c);

/* Sends what there is to send, says goodbye on all layers, waits for the other side to close. */
void client_close(struct client *c);

/* Goes on with the dialog where it stood, with octets that have just come. */
void client_resume(struct client *c, struct pst_str fresh);

/* A reply was given to the socket with this outcome; step is what comes after it. */
void client_settle(struct client *c, enum io io, enum dialog_step step);

/* What to do with a client whose deadline has passed. */
void client_overdue(struct client *c);

/* The delay of a policy, or a penalty, is over. */
void client_delay_over(struct client *c);

/* Says why to those that can still be told, and ends them. */
void client_shut_down(struct client *c);

struct pst_log client_log(const struct client *c);

/* Waits for these events (UV_READABLE, UV_WRITABLE) and no others. */
void client_poll(struct client *c, int events);

/* io.c */

/* IO_BLOCKED: the rest waits in c->out. */
enum io client_send(struct client *c, struct pst_str data);
enum io client_flush(struct client *c);
/* At most LOGIN_READ_OCTETS or LOGIN_TLS_OCTETS into the scratch memory. With TLS nothing is pending
 * afterwards, so that the next event is always the socket's. */
enum io client_read(struct client *c, size_t *n_out);

/* handoff.c */

/* Asks the auth workers about c->dialog.attempt. */
void handoff_attempt(struct client *c);
/* The attempt failed; the client hears of it after the delay, which an auth worker counts from when
 * it took the request, so that the time does not tell what it did. text: NULL or for the client. */
void handoff_failed(struct client *c, const struct pst_err *why, const char *text,
                    int64_t delay_ms);
/* Tells the client the verdict that waited, or hands it over where that was granted. */
void handoff_tell(struct client *c);
/* c waits for an auth worker's reply to the request of that number, which is yet to be sent. */
uint64_t handoff_wait(struct client *c);
/* What an auth worker says of the attempt: the hand-off, or a refusal. */
void handoff_finish(struct client *c, const struct wire_auth_reply *reply);
void handoff_drop_grant(struct client *c);
/* No longer waits for an auth worker. */
void handoff_forget(struct client *c);
/* A message from an auth worker, or from the master in its place. */
void handoff_reply(struct login *l, struct pst_str data);

/* worker.c */

/* The loop's time, monotonic milliseconds. */
int64_t login_now(const struct login *l);

/* client_delay_over is called after so long. */
void login_delay(struct client *c, int64_t delay_ms);

/* relay.c */

/* From now on octets go to and fro between the TLS session and fd, which is the relay's; input goes
 * first. */
int relay_start(struct client *c, int fd, struct pst_str input, struct pst_err *err);
void relay_on_client(struct client *c, int events);
/* Gives up whatever waits in either direction. Accepts NULL. */
void relay_free(struct relay *r);

#endif
