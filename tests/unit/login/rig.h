/* SPDX-License-Identifier: MIT */
/* A login worker in a process of its own, with a real keys process beside it; the test is its clients,
 * its auth workers and its mail workers. */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "base/buf.h"
#include "config/settings.h"
#include "ipc/env.h"
#include "ipc/shm.h"
#include "ipc/wire.h"

#define GREETING "+OK ready\r\n"
#define PROMPT "+OK send PASS\r\n"
#define REFUSED "-ERR [AUTH] authentication failed\r\n"
#define TEMPORARY "-ERR [SYS/TEMP] temporary failure, try again later\r\n"
#define GOING_DOWN "-ERR [SYS/TEMP] server is going down\r\n"

/* For cmocka: r is *state. */
#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, rig_set_up, rig_tear_down)

#define RIG_MAILS 3
#define RIG_ROWS 64

/* Listeners, in the order of the settings. */
enum { RIG_PLAIN, RIG_TLS, RIG_STRICT, RIG_LISTENERS };

struct rig {
	char *dir; /* certificates, and the log */
	struct settings settings;
	struct worker_env env;
	struct env_listener listeners[RIG_LISTENERS];
	uint16_t ports[RIG_LISTENERS];
	struct slot_row *slots; /* shared: login's, then those of mail, then keys' */
	struct board *board;
	struct tls_share *tls;
	int auth_queue[2], inbox[2], keys[2];
	int mail[RIG_MAILS][2];
	int mail_writers[RIG_MAILS];
	unsigned descriptors; /* the most that the login worker may have open; 0: as it is */
	int mail_queue[2];
	pid_t login_pid, keys_pid;
	uint8_t in[MSG_MAX_OCTETS], out[MSG_MAX_OCTETS];
};

/* Makes all but the processes; settings may be changed before rig_start. */
struct rig *rig_create(void);
void rig_start(struct rig *r);
void rig_start_keys(struct rig *r);
void rig_kill_keys(struct rig *r);
/* Ends what still runs; the login worker must not have died. */
void rig_destroy(struct rig *r);

int rig_set_up(void **state);
int rig_tear_down(void **state);

void rig_order(struct rig *r, enum wire_order order, uint32_t row);
int rig_wait_for_end(struct rig *r); /* the login worker's exit status, or -1 after ten seconds */
unsigned rig_logged(const struct rig *r, const char *word);
void rig_wait_logged(const struct rig *r, const char *word); /* up to ten seconds */
/* Waits until the login worker says that it has so many clients. */
void rig_wait_sessions(struct rig *r, uint32_t count);

/* The next attempt to log in. Strings borrow from r->in. */
struct wire_auth_request rig_request(struct rig *r, struct msg_head *head);
void rig_answer(struct rig *r, const struct msg_head *head, const struct wire_auth_reply *reply);
void rig_answer_ok(struct rig *r, const struct msg_head *head, const char *user);
void rig_refuse(struct rig *r, const struct msg_head *head, enum pst_err_kind kind,
                uint32_t delay_ms);
bool rig_request_waits(struct rig *r, int wait_ms);

/* The next hand-off in a mail slot; its descriptor in *fd. */
struct wire_handoff rig_handoff(struct rig *r, unsigned slot, int *fd);
struct wire_handoff rig_handoff_from(struct rig *r, int channel, int *fd);
/* The slot that gets one within ten seconds. */
unsigned rig_handoff_slot(struct rig *r);

/* A client: blocking, and failing the test when it waits ten seconds. */
struct rig_client {
	int fd;
	gnutls_session_t tls; /* or NULL */
	gnutls_certificate_credentials_t credentials;
	struct pst_buf *gathered; /* or NULL */
};

struct rig_client rig_connect(struct rig *r, unsigned listener);
struct rig_client rig_connect_from(struct rig *r, unsigned listener, const char *ip);
int rig_shake_hands(struct rig_client *c, const char *name, const gnutls_datum_t *resume);
struct rig_client rig_connect_tls(struct rig *r);
void rig_close(struct rig_client *c);
/* From now on what TLS would send is gathered; then it goes out in one piece. */
void rig_gather(struct rig_client *c);
void rig_send_gathered(struct rig_client *c);
void rig_say(struct rig_client *c, const char *text);
void rig_say_octets(struct rig_client *c, const char *p, size_t n);
/* Exactly this comes next. */
void rig_hear(struct rig_client *c, const char *text);
size_t rig_read(struct rig_client *c, char *out, size_t cap); /* 0 at a clean end */
void rig_hear_end(struct rig_client *c);

/* The exit status of a process of the test's own. */
int rig_wait_child(pid_t pid);

/* From the greeting to the hand-off, by USER and PASS; what the mail worker gets. */
int rig_log_in(struct rig *r, struct rig_client *c, unsigned *slot_out);

/* Octets that tell where they are from. */
void rig_pattern(char *p, size_t n);

/* A mail worker's end of a session. */
void rig_hear_fd(int fd, const char *text);
void rig_say_fd(int fd, const char *text);

#endif
