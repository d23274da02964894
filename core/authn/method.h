/* SPDX-License-Identifier: MIT */
/* authn/method.h - attempts to log in that bring no password. Each ends in answer_settle, as one with a
 * password does: the policies and the user's contract are asked for all of them. */
#ifndef AUTHN_METHOD_H
#define AUTHN_METHOD_H

#include "authn/answer.h"

/* Where the mechanism brings the name in its response, or the connection does: into r->wire.user, and for
 * whom to act into r->wire.authzid, as with PLAIN. */
void method_name(struct request *r);

/* Of a mechanism that is on and brings no password: whether there is something to judge; else r->reply is
 * the refusal. */
bool method_is_possible(struct request *r);

/* Judges it. Fills r->reply, or forwards. */
void method_judge(struct request *r);

#endif
