/* SPDX-License-Identifier: MIT */
/* ctl/pop3private.h - between pop3client.c and pop3login.c only. */
#ifndef CTL_POP3PRIVATE_H
#define CTL_POP3PRIVATE_H

#include "ctl/pop3client.h"

#define POP3_PIECE 16384

struct pop3client {
	struct pop3server server;
	struct pop3link *link;
	struct pop3capa capa;
	bool is_in;     /* a maildrop is open */
	bool is_broken; /* what comes next is not known */
	char piece[POP3_PIECE + 2];
};

/* Puts host, port and what was going on before the error's text; returns -1. */
int pop3client_fail(const struct pop3client *c, const char *what, struct pst_err *err);

/* The error that a reply is, with its text made safe for a terminal. */
int pop3client_refused(const struct pop3client *c, const char *what, enum pst_err_kind kind,
                       const struct pop3reply *reply, struct pst_err *err);

/* What a refusal means, by its response code; otherwise: where it has none that says it. */
enum pst_err_kind pop3client_kind(const struct pop3reply *reply, enum pst_err_kind otherwise);

/* One command without secrets, and the first line of its answer. */
int pop3client_ask(struct pop3client *c, const char *command, struct pop3reply *out,
                   struct pst_err *err);
int pop3client_reply(struct pop3client *c, const char *what, struct pop3reply *out,
                     struct pst_err *err);

/* A line of a multi-line answer; false: with *rc 0 that was all, with -1 it broke. */
bool pop3client_next(struct pop3client *c, const char *what, struct pst_str *line_out, int *rc,
                     struct pst_err *err);

#endif
