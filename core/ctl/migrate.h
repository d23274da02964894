/* SPDX-License-Identifier: MIT */
/* ctl/migrate.h - what migrate verify and migrate import share: the servers, the users with their
 * passwords, a login that waits for its turn, and text for a terminal. */
#ifndef CTL_MIGRATE_H
#define CTL_MIGRATE_H

#include <stdio.h>

#include "base/mem.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "ctl/pop3client.h"

/* ---- Users ---- */

struct migrate_user {
	struct pst_str name, password; /* password.p NULL: the file has none for this user */
};

/* A file of users: USER:PASSWORD or USER, a TAB and PASSWORD a line, or names alone; lines that are
 * empty or begin with '#' say nothing. */
struct migrate_users {
	struct migrate_user *all;
	size_t n;
	struct pst_buf text; /* bears the strings; wiped with them */
};

/* "-": standard input. A file that others may read is refused. -1: PST_E_CLIENT. */
int migrate_users_read(struct migrate_users *u, const char *path, struct pst_err *err);
void migrate_users_clear(struct migrate_users *u);

/* n of them, evenly from the whole list; 0 or more than there are: all. */
void migrate_users_sample(struct migrate_users *u, size_t n);

/* ---- One of the two servers ---- */

struct migrate_side {
	struct pop3server server;
	char *host; /* server.host: of the argument HOST[:PORT] */
	const char *master;
	const char *separator;
	struct ctl_password_source source;
	struct pst_secret password; /* the master's */
	unsigned retries;           /* of a maildrop that is in use, a server that is away */
};

/* The usual limits, no host yet. */
void migrate_side_init(struct migrate_side *side);

/* HOST, HOST:PORT, [ADDRESS]:PORT. -1: PST_E_CLIENT. */
int migrate_side_set(struct migrate_side *side, const char *text, struct pst_err *err);

/* "auto", "tls", "stls", "none". */
bool migrate_side_security(struct migrate_side *side, const char *word);

/* Reads the master's password, if there is a master. */
int migrate_side_prepare(struct migrate_side *side, struct pst_err *err);
void migrate_side_clear(struct migrate_side *side);

/* A client that is in the user's maildrop; NULL with err. */
struct pop3client *migrate_login(const struct migrate_side *side, const struct migrate_user *user,
                                 struct pst_err *err);

/* What both commands do first: no core file will hold a password, no broken connection ends us. */
void migrate_begin(void);

/* ---- Text ---- */

/* Appends it with \xNN for what is not printable, so that a line stays a line. */
void migrate_text(struct pst_buf *to, struct pst_str text);

/* Appends, and does not fail: the buffer's ceiling is beyond what is written. */
void migrate_printf(struct pst_buf *to, const char *fmt, ...) PST_PRINTF(2, 3);

/* A whole number of an option, at least least. */
bool migrate_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);

#endif
