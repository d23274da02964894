/* SPDX-License-Identifier: MIT */
/* A mail process in the test's own: one event loop, sessions on a fake storage, and the client's end
 * of the connection. Nothing sleeps: a wait is for the client's socket or for the loop. */
#ifndef TESTS_MAIL_HARNESS_H
#define TESTS_MAIL_HARNESS_H

#include <uv.h>

#include "base/buf.h"
#include "mail/mail.h"
#include "tests/unit/mail/fake_storage.h"

struct harness {
	uv_loop_t loop;
	struct mail mail;
	struct fake fake;
	struct board *board;
	unsigned emptied;

	int client; /* -1 where it is closed */
	struct pst_buf got;
	unsigned waits;              /* in a row, in vain */
	bool is_eof;                 /* the server has ended the connection */
	const struct ticket *ticket; /* of those that start from now on; or NULL */
	bool read_only;              /* sessions that start from now on are */
};

#define HARNESS_IDLE_MS 600000
#define HARNESS_BAD 20

void harness_init(struct harness *h);  /* three messages, no session */
void harness_clear(struct harness *h); /* asserts that nothing is left over */

/* A connected pair; ends[0] is the server's. */
void harness_pair(int ends[2]);     /* as the relay's */
void harness_tcp_pair(int ends[2]); /* over loopback */

/* Starts a session on a new pair. */
void harness_start(struct harness *h);
void harness_start_on(struct harness *h, const int ends[2], struct pst_str input);

/* One round: the loop runs what is ready, the client takes what is there. true: something came. */
bool harness_round(struct harness *h, bool wait);
void harness_run(struct harness *h); /* the same, without the client */

/* Sends all of it, step octets at a time, reading meanwhile. */
void harness_send(struct harness *h, struct pst_str text, size_t step);

/* Leaves text in the socket and runs nothing: the server finds all of it at once. */
void harness_push(struct harness *h, const char *text);

/* Until the client has n octets in all; it fails the test when the server closes before. */
void harness_expect_octets(struct harness *h, size_t n);

/* Takes text off the front of what comes; fails where something else comes. */
void harness_expect(struct harness *h, const char *text);
void harness_skip_line(struct harness *h);  /* the next one, whatever it is */
void harness_expect_eof(struct harness *h); /* and nothing before it */
void harness_until_eof(struct harness *h);  /* all that comes before is in got */

/* Sends a line with CRLF and expects the answer. */
void harness_say(struct harness *h, const char *line, const char *answer);

/* Closes the client's end, and runs until no session is left. */
void harness_hang_up(struct harness *h);
void harness_until_empty(struct harness *h);

#endif
