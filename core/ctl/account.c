/* SPDX-License-Identifier: MIT */
/* posternctl user show and user set: what is said of one account, and by whom. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "ctl/backends.h"
#include "ctl/contract.h"
#include "ctl/explain.h"
#include "ctl/user.h"

/* ---- user show ---- */

struct account {
	struct explain e; /* for the places of settings */
	struct pst_auth_user own, domain;
	bool has_domain;
};

/* The value as it would be given to user set, or NULL where nothing is said. */
typedef const char *value_fn(const struct account *a, const struct pst_auth_user *u);

static const char *
text_or_none(const struct account *a, struct pst_str s)
{
	return s.n == 0 ? NULL : explain_text(&a->e, s);
}

static const char *
number_or_none(const struct account *a, uint64_t n, const char *unit)
{
	return n == 0 ? NULL : pst_arena_printf(a->e.c->arena, "%" PRIu64 "%s", n, unit);
}

static const char *
choice_or_none(enum pst_auth_choice choice)
{
	static const char *const words[] = {
		[PST_AUTH_UNSAID] = NULL,
		[PST_AUTH_YES] = "yes",
		[PST_AUTH_NO] = "no",
	};

	return words[choice];
}

static const char *
get_maildrop(const struct account *a, const struct pst_auth_user *u)
{
	return text_or_none(a, u->location);
}

static const char *
get_home(const struct account *a, const struct pst_auth_user *u)
{
	return text_or_none(a, u->home);
}

static const char *
get_uid(const struct account *a, const struct pst_auth_user *u)
{
	return number_or_none(a, u->uid, "");
}

static const char *
get_gid(const struct account *a, const struct pst_auth_user *u)
{
	return number_or_none(a, u->gid, "");
}

static const char *
get_pop3(const struct account *a, const struct pst_auth_user *u)
{
	(void)a;
	return choice_or_none(u->pop3_enabled);
}

static const char *
get_nets(const struct account *a, const struct pst_auth_user *u)
{
	return text_or_none(a, u->allow_nets);
}

static const char *
get_sessions(const struct account *a, const struct pst_auth_user *u)
{
	return number_or_none(a, u->max_sessions, "");
}

static const char *
get_poll(const struct account *a, const struct pst_auth_user *u)
{
	return number_or_none(a, (uint64_t)(u->min_poll_ms / 1000), "s");
}

static const char *
get_listed(const struct account *a, const struct pst_auth_user *u)
{
	return number_or_none(a, u->max_listed, "");
}

static const char *
get_tls(const struct account *a, const struct pst_auth_user *u)
{
	(void)a;
	if (u->min_tls == 0)
		return NULL;
	return u->min_tls >= 13 ? "1.3" : u->min_tls == 12 ? "1.2" : "any";
}

static const char *
get_rehash(const struct account *a, const struct pst_auth_user *u)
{
	return text_or_none(a, u->rehash);
}

static const char *
get_read_only(const struct account *a, const struct pst_auth_user *u)
{
	(void)a;
	return choice_or_none(u->read_only);
}

static const char *
days_or_none(const struct account *a, uint32_t days)
{
	return days == PST_AUTH_NO_DAYS ? "0" : number_or_none(a, days, "");
}

static const char *
get_expire(const struct account *a, const struct pst_auth_user *u)
{
	return days_or_none(a, u->expire_days);
}

static const char *
get_hold(const struct account *a, const struct pst_auth_user *u)
{
	return days_or_none(a, u->hold_days);
}

static const char *
setting_days(const struct account *a, int64_t days)
{
	return pst_arena_printf(a->e.c->arena, "%" PRId64, days);
}

static const char *
server_expire(const struct account *a, const struct pst_auth_user *u)
{
	(void)u;
	return setting_days(a, a->e.c->settings.mail.expire_days);
}

static const char *
server_hold(const struct account *a, const struct pst_auth_user *u)
{
	(void)u;
	return setting_days(a, a->e.c->settings.mail.hold_days);
}

static const char *
server_location(const struct account *a, const struct pst_auth_user *u)
{
	(void)u;
	return a->e.c->settings.mail.location;
}

static const char *
server_rehash(const struct account *a, const struct pst_auth_user *u)
{
	static const char *const words[] = {
		[REHASH_OFF] = "off",
		[REHASH_REPORT] = "report",
		[REHASH_ON] = "on",
	};

	(void)u;
	return words[a->e.c->settings.auth.rehash];
}

/* Named as the options of user set are. */
static const struct field {
	const char *name;
	value_fn *get;
	const char
		*setting; /* the server's, which counts where nobody else says anything; or NULL: */
	value_fn *of_setting;  /* its value */
	const char *otherwise; /* what holds where there is no such setting */
} fields[] = {
	{ "maildrop", get_maildrop, "mail.location", server_location, NULL },
	{ "home", get_home, NULL, NULL, "none" },
	{ "uid", get_uid, NULL, NULL, "none" },
	{ "gid", get_gid, NULL, NULL, "none" },
	{ "pop3", get_pop3, NULL, NULL, "yes" },
	{ "allow-nets", get_nets, NULL, NULL, "all" },
	{ "max-sessions", get_sessions, NULL, NULL, "no limit" },
	{ "min-poll", get_poll, NULL, NULL, "no limit" },
	{ "max-listed", get_listed, NULL, NULL, "no limit" },
	{ "min-tls", get_tls, NULL, NULL, "as the listener asks" },
	{ "rehash", get_rehash, "auth.rehash", server_rehash, NULL },
	{ "read-only", get_read_only, NULL, NULL, "no" },
	{ "expire-days", get_expire, "mail.expire_days", server_expire, NULL },
	{ "hold-days", get_hold, "mail.hold_days", server_hold, NULL },
};

static void
print_line(const char *name, const char *value, const char *place)
{
	printf("%-12s  %s  (%s)\n", name, value, place);
}

static void
print_field(const struct account *a, const struct field *f)
{
	const char *value = f->get(a, &a->own);
	const char *place = "the user's own";

	if (value == NULL && a->has_domain) {
		value = f->get(a, &a->domain);
		place = "the domain's";
	}
	if (value == NULL && f->setting != NULL) {
		value = f->of_setting(a, NULL);
		place = explain_place(&a->e, f->setting);
	}
	if (value == NULL) {
		value = f->otherwise;
		place = "nothing else is said";
	}
	print_line(f->name, value, place);
}

/* A domain that is disabled is so for all of its users. */
static void
print_state(const struct account *a)
{
	const bool is_domain = a->has_domain && !a->domain.enabled;
	const struct pst_auth_user *u = is_domain ? &a->domain : &a->own;
	const char *value = "yes";

	if (!u->enabled)
		value = u->reason.n == 0 ? "no"
		                         : pst_arena_printf(a->e.c->arena, "no: %s",
		                                            explain_text(&a->e, u->reason));
	print_line("enabled", value, is_domain ? "the domain's" : "the user's own");
}

static void
print_account(const struct account *a)
{
	size_t i;

	print_line("user", explain_text(&a->e, a->own.name), "the user's own");
	print_line("password",
	           a->own.credential.n == 0 ? "none" : explain_scheme(&a->e, a->own.credential),
	           "the user's own");
	print_state(a);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		print_field(a, &fields[i]);
}

static void
keep_text(struct pst_arena *arena, struct pst_str *s)
{
	s->p = pst_arena_copy(arena, s->p == NULL ? PST_LIT("") : *s);
}

static void
on_stored(void *arg, const struct pst_auth_user *stored, bool is_domain)
{
	struct account *a = arg;
	struct pst_arena *arena = a->e.c->arena;
	struct pst_auth_user *u = is_domain ? &a->domain : &a->own;

	*u = *stored;
	keep_text(arena, &u->name);
	keep_text(arena, &u->credential);
	keep_text(arena, &u->location);
	keep_text(arena, &u->reason);
	keep_text(arena, &u->home);
	keep_text(arena, &u->allow_nets);
	keep_text(arena, &u->rehash);
	a->has_domain = a->has_domain || is_domain;
}

static int
show(struct user_request *r)
{
	struct account a = { .e = { .c = r->c } };

	if (r->auth->user_show == NULL)
		return user_refuse(r);
	if (r->auth->user_show(plugin_self(r->plugin), r->user.whole, on_stored, &a, &r->err) != 0)
		return user_finish(r, -1, "");
	print_account(&a);
	return CTL_OK;
}

int
ctl_user_show(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { OPT_BACKEND, OPT_END };
	struct user_request r;
	int status = user_begin(&r, c, argc, argv, options);

	if (status == CTL_OK)
		status = show(&r);
	user_close(&r);
	return status;
}

/* ---- user set ---- */

#define SET_OPTIONS 5

static const struct option set_options[SET_OPTIONS] = {
	OPT_BACKEND,
	{ "maildrop", required_argument, NULL, O_MAILDROP },
	{ "uid", required_argument, NULL, O_UID },
	{ "gid", required_argument, NULL, O_GID },
	{ "unset", required_argument, NULL, O_UNSET },
};

static int
set(struct user_request *r)
{
	const struct pst_auth_user user = user_said(r);
	int status;

	if (r->auth->user_set == NULL)
		return user_refuse(r);
	if (r->set == 0 && r->unset == 0)
		return CTL_USAGE;
	status = user_check_maildrop(r);
	if (status == CTL_OK)
		status = user_finish(
			r, r->auth->user_set(plugin_self(r->plugin), &user, r->unset, &r->err),
			"changed");
	if (status == CTL_OK)
		ctl_tell_changed(r->c, r->user.whole); /* it may be in from a wrong network now */
	return status;
}

int
ctl_user_set(struct ctl *c, int argc, char **argv)
{
	struct option options[OPT_MAX] = { 0 }; /* ends with a zeroed one */
	struct user_request r;
	int status;

	memcpy(options, set_options, sizeof(set_options));
	(void)ctl_contract_options(options + SET_OPTIONS, OPT_MAX - SET_OPTIONS - 1);
	status = user_begin(&r, c, argc, argv, options);
	if (status == CTL_OK)
		status = set(&r);
	user_close(&r);
	return status;
}
