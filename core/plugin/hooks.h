/* SPDX-License-Identifier: MIT */
/* plugin/hooks.h - the policies that have a say at a login, in the order of policy.order. */
#ifndef PLUGIN_HOOKS_H
#define PLUGIN_HOOKS_H

#include <postern/policy.h>

#include "plugin/registry.h"

struct hooks;

/* order: instance names, loaded in r and started before the first call; both are borrowed. */
struct hooks *hooks_create(const char *order, const struct registry *r, struct pst_err *err);
void hooks_destroy(struct hooks *h); /* accepts NULL */

/* Tells of what each hook says, before it counts: name is the instance's. said may be NULL. */
typedef void hooks_said(void *arg, const char *name, bool is_after, enum pst_verdict verdict,
                        const struct pst_decision *decision);
void hooks_watch(struct hooks *h, hooks_said *said, void *arg);

/* What all of them together want: PST_PASS or PST_REFUSE. delay_ms is the longest that one asked
 * for, whatever the verdict; kind and text are those of the first refusal. */
enum pst_verdict hooks_before(const struct hooks *h, const struct pst_auth_query *query,
                              struct pst_decision *out);
enum pst_verdict hooks_after(const struct hooks *h, const struct pst_auth_query *query, bool ok,
                             const struct pst_auth_record *record, struct pst_decision *out);

#endif
