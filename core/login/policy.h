/* SPDX-License-Identifier: MIT */
/* login/policy.h - what the policy plugins say to a new connection. */
#ifndef LOGIN_POLICY_H
#define LOGIN_POLICY_H

#include <postern/policy.h>

#include "login/client.h"

/* Asks them in the order of the configuration: the first refusal counts; of delays the longest. fd is
 * the connection, peer its address as text. A refusal is logged here. */
enum pst_verdict policy_connect(const struct listener *l, int fd, const char *peer,
                                struct pst_decision *decision_out);

/* The address that the client connected to. */
void local_address(int fd, char out[PST_ADDR_TEXT]);

#endif
