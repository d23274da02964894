/* SPDX-License-Identifier: MIT */
/* ctl/explain.h - inside this folder: one login that is explained, and the lines that say it. */
#ifndef CTL_EXPLAIN_H
#define CTL_EXPLAIN_H

#include "credentials/chain.h"
#include "credentials/domain.h"
#include "credentials/mechanism.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "plugin/hooks.h"

struct explain {
	struct ctl *c;

	/* As the command line says. */
	const char *name, *remote_ip, *local_ip, *sni, *mechanism;
	const struct listener_settings *listener;
	uint32_t tls_version; /* 12, 13; 0: no TLS */
	bool has_password;
	struct ctl_password_source source;

	struct pst_secret password;
	struct registry *registry;
	struct hooks *hooks;
	struct chain *chain, *masters;
	struct pst_err err;

	struct username user;   /* whose mail it is */
	struct username master; /* who logs in for the user, or empty */
	struct pst_auth_query query;

	const struct chain *asked; /* the one that the lines are about */
	struct chain_answer answer;
	bool is_outdated; /* the stored password: new ones are stored otherwise */
};

/* "(auth.backends: postern.conf:12)": a setting, and where it stands. In the command's arena. */
const char *explain_place(const struct explain *e, const char *path);

/* "WHAT      text", with place behind it; place may be NULL. */
void explain_line(const char *what, const char *place, const char *fmt, ...) PST_PRINTF(3, 4);

/* Text from outside: no control character gets to the terminal. */
const char *explain_text(const struct explain *e, struct pst_str s);

/* The scheme of a stored password. */
const char *explain_scheme(const struct explain *e, struct pst_str stored);

/* What the chain tells while it is asked. */
void explain_watch(struct explain *e, struct chain_watch *watch);
hooks_said explain_policy;

/* Whether the stored password would be made anew at such a login. */
void explain_rehash(const struct explain *e);

/* Each term that the record has. False: one is not met, and *kind_out says what the client is told. */
bool explain_terms(const struct explain *e, enum pst_err_kind *kind_out);

/* Where the mail is, and what bounds the session. */
void explain_session(const struct explain *e, bool is_read_only);

#endif
