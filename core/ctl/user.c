/* SPDX-License-Identifier: MIT */
/* posternctl user …: the users of one auth backend, through the plugin that serves them. */
#include <stdio.h>

#include "base/arena.h"
#include "credentials/chain.h"
#include "ctl/backends.h"
#include "ctl/contract.h"
#include "ctl/create.h"
#include "ctl/ctl.h"
#include "ctl/user.h"

#define OPT_PASSWORD                                                                               \
	{ "password-file", required_argument, NULL, O_FILE },                                      \
		{ "password-stdin", no_argument, NULL, O_STDIN },                                  \
	{                                                                                          \
		"scheme", required_argument, NULL, O_SCHEME                                        \
	}
#define ADD_OPTIONS 7
static const struct option add_options[ADD_OPTIONS] = {
	OPT_BACKEND,
	OPT_PASSWORD,
	{ "maildrop", required_argument, NULL, O_MAILDROP },
	{ "uid", required_argument, NULL, O_UID },
	{ "gid", required_argument, NULL, O_GID },
};
static const struct option passwd_options[] = { OPT_BACKEND, OPT_PASSWORD, OPT_END };
static const struct option disable_options[] = {
	OPT_BACKEND,
	{ "reason", required_argument, NULL, O_REASON },
	OPT_END,
};
static const struct option plain_options[] = { OPT_BACKEND, OPT_END };

/* ---- Arguments ---- */

/* The field is said, whatever was said before. */
static int
note_set(struct user_request *r, uint32_t field)
{
	r->set |= field;
	r->unset &= ~field;
	return CTL_OK;
}

static int
take_unset(struct user_request *r, const char *name)
{
	const uint32_t field = ctl_contract_field(name);

	if (field == 0)
		return ctl_fail("--unset: %s is no field of an account", name);
	r->unset |= field;
	r->set &= ~field;
	return CTL_OK;
}

static int
take_contract(struct user_request *r, int id)
{
	const uint32_t field = ctl_contract_take(id, optarg, &r->contract, r->c->arena, &r->err);

	return field == 0 ? ctl_fail("%s", r->err.text) : note_set(r, field);
}

static int
read_id(struct user_request *r, const char *name, uint64_t *out)
{
	const char *text = optarg;

	if (!pst_str_u64(pst_str_c(text), out) || *out == 0 || *out >= UINT32_MAX)
		return ctl_fail("--%s: \"%s\" is no id that a user may have", name, text);
	return note_set(r, ctl_contract_field(name));
}

static int
take_option(struct user_request *r, int id)
{
	switch (id) {
	case O_BACKEND:
		r->backend = optarg;
		return CTL_OK;
	case O_SCHEME:
		r->scheme = optarg;
		return CTL_OK;
	case O_MAILDROP:
		r->maildrop = optarg;
		return note_set(r, PST_AUTH_FIELD_LOCATION);
	case O_UNSET:
		return take_unset(r, optarg);
	case O_REASON:
		r->reason = optarg;
		return CTL_OK;
	case O_UID:
		return read_id(r, "uid", &r->uid);
	case O_GID:
		return read_id(r, "gid", &r->gid);
	case O_FILE:
		r->password = (struct ctl_password_source){ .file = optarg };
		return CTL_OK;
	case O_STDIN:
		r->password = (struct ctl_password_source){ .use_stdin = true };
		return CTL_OK;
	default:
		return id < CONTRACT_ID ? CTL_USAGE : take_contract(r, id);
	}
}

/* Options may stand before or after the one word. */
static int
read_arguments(struct user_request *r, int argc, char **argv, const struct option *options)
{
	int id;

	optind = 0; /* main has used it before */
	/* What stands before argv[0] is the command's last word. */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1) {
		int status = take_option(r, id);

		if (status != CTL_OK)
			return status;
	}
	if (optind - 1 < argc)
		r->word = argv[optind - 1];
	return optind < argc ? CTL_USAGE : CTL_OK;
}

/* ---- The backend ---- */

static const char *
choose_backend(struct user_request *r)
{
	const char *list = r->c->settings.auth.backends;
	struct pst_str word;

	if (r->backend == NULL && settings_next_word(&list, &word))
		r->backend = pst_arena_copy(r->c->arena, word);
	return r->backend != NULL ? r->backend : "";
}

static int
open_backend(struct user_request *r)
{
	if (ctl_need_config(r->c) != 0)
		return CTL_FAILED;
	r->registry = ctl_backends_start(r->c, choose_backend(r), &r->err);
	if (r->registry == NULL)
		return ctl_fail("%s", r->err.text);
	r->plugin = registry_find(r->registry, PST_AUTH, pst_str_c(r->backend));
	if (r->plugin == NULL)
		return ctl_fail("auth.backends names no plugin");
	r->auth = plugin_descriptor(r->plugin)->auth;
	return CTL_OK;
}

void
user_close(struct user_request *r)
{
	registry_destroy(r->registry);
}

int
user_refuse(const struct user_request *r)
{
	return ctl_fail("the plugin %s cannot do that: its users are kept elsewhere",
	                plugin_descriptor(r->plugin)->name);
}

static int
fold_name(struct user_request *r)
{
	if (r->word == NULL)
		return CTL_USAGE;
	if (username_fold(pst_str_c(r->word), r->c->settings.auth.default_domain, &r->user,
	                  &r->err) != 0)
		return ctl_fail("%s", r->err.text);
	return CTL_OK;
}

int
user_begin(struct user_request *r, struct ctl *c, int argc, char **argv,
           const struct option *options)
{
	int status;

	*r = (struct user_request){ .c = c };
	status = read_arguments(r, argc, argv, options);
	if (status == CTL_OK && r->word == NULL)
		status = CTL_USAGE;
	if (status == CTL_OK)
		status = open_backend(r);
	if (status == CTL_OK)
		status = fold_name(r);
	return status;
}

int
user_finish(struct user_request *r, int rc, const char *done)
{
	if (rc != 0)
		return ctl_fail("%.*s: %s", PST_ARG(r->user.whole), r->err.text);
	printf("user ");
	ctl_print(r->user.whole);
	printf(" %s\n", done);
	return CTL_OK;
}

/* ---- The commands ---- */

/* A new stored form of the password that the command was given. */
static int
make_credential(struct user_request *r, struct pst_str *out)
{
	const struct scheme_cost cost = chain_cost(&r->c->settings);
	const char *scheme = r->scheme != NULL ? r->scheme : r->c->settings.auth.default_scheme;
	const char *prompt =
		pst_arena_printf(r->c->arena, "Password for %.*s: ", PST_ARG(r->user.whole));
	struct pst_secret password = { 0 };
	int rc;

	if (!scheme_is_usable(scheme, &cost))
		return ctl_fail("--scheme: %s is not known, too weak or not to be made", scheme);
	if (ctl_password_read(&r->password, prompt, true, &password, &r->err) != 0)
		return ctl_fail("%s", r->err.text);
	rc = scheme_make(scheme, pst_secret_view(&password), &cost, r->c->arena, out, &r->err);
	pst_secret_clear(&password);
	return rc == 0 ? CTL_OK : ctl_fail("%s", r->err.text);
}

int
user_check_maildrop(struct user_request *r)
{
	struct pst_str filled;

	if (r->maildrop != NULL &&
	    location_fill(pst_str_c(r->maildrop), &r->user, r->c->arena, &filled, &r->err) != 0)
		return ctl_fail("--maildrop: %s", r->err.text);
	return CTL_OK;
}

struct pst_auth_user
user_said(const struct user_request *r)
{
	struct pst_auth_user user = r->contract;

	user.name = r->user.whole;
	user.location = pst_str_c(r->maildrop);
	user.uid = (uint32_t)r->uid;
	user.gid = (uint32_t)r->gid;
	user.enabled = true;
	return user;
}

static int
add(struct user_request *r)
{
	struct pst_auth_user user = user_said(r);
	int status;

	if (r->auth->user_add == NULL)
		return user_refuse(r);
	status = user_check_maildrop(r);
	if (status == CTL_OK)
		status = make_credential(r, &user.credential);
	if (status == CTL_OK)
		status = ctl_create_missing(r->c, r->plugin);
	if (status != CTL_OK)
		return status;
	return user_finish(r, r->auth->user_add(plugin_self(r->plugin), &user, &r->err), "added");
}

int
ctl_user_add(struct ctl *c, int argc, char **argv)
{
	struct option options[OPT_MAX] = { 0 }; /* ends with a zeroed one */
	struct user_request r;
	int status;

	memcpy(options, add_options, sizeof(add_options));
	(void)ctl_contract_options(options + ADD_OPTIONS, OPT_MAX - ADD_OPTIONS - 1);
	status = user_begin(&r, c, argc, argv, options);
	if (status == CTL_OK)
		status = add(&r);
	user_close(&r);
	return status;
}

static int
change_password(struct user_request *r)
{
	struct pst_str credential = { "", 0 };
	int status;

	if (r->auth->user_passwd == NULL)
		return user_refuse(r);
	status = make_credential(r, &credential);
	if (status != CTL_OK)
		return status;
	return user_finish(
		r, r->auth->user_passwd(plugin_self(r->plugin), r->user.whole, credential, &r->err),
		"has a new password");
}

int
ctl_user_passwd(struct ctl *c, int argc, char **argv)
{
	struct user_request r;
	int status = user_begin(&r, c, argc, argv, passwd_options);

	if (status == CTL_OK)
		status = change_password(&r);
	user_close(&r);
	return status;
}

static int
set_enabled(struct ctl *c, int argc, char **argv, const struct option *options, bool enabled)
{
	struct user_request r;
	int status = user_begin(&r, c, argc, argv, options);

	if (status == CTL_OK && r.auth->user_enable == NULL)
		status = user_refuse(&r);
	else if (status == CTL_OK)
		status = user_finish(&r,
		                     r.auth->user_enable(plugin_self(r.plugin), r.user.whole,
		                                         enabled, pst_str_c(r.reason), &r.err),
		                     enabled ? "enabled" : "disabled");
	if (status == CTL_OK && !enabled)
		ctl_tell_changed(c, r.user.whole);
	user_close(&r);
	return status;
}

int
ctl_user_enable(struct ctl *c, int argc, char **argv)
{
	return set_enabled(c, argc, argv, plain_options, true);
}

int
ctl_user_disable(struct ctl *c, int argc, char **argv)
{
	return set_enabled(c, argc, argv, disable_options, false);
}

int
ctl_user_delete(struct ctl *c, int argc, char **argv)
{
	struct user_request r;
	int status = user_begin(&r, c, argc, argv, plain_options);

	if (status == CTL_OK && r.auth->user_delete == NULL)
		status = user_refuse(&r);
	else if (status == CTL_OK)
		status = user_finish(
			&r, r.auth->user_delete(plugin_self(r.plugin), r.user.whole, &r.err),
			"deleted; mail is not touched");
	if (status == CTL_OK)
		ctl_tell_changed(c, r.user.whole);
	user_close(&r);
	return status;
}

static void
print_or_dash(struct pst_str text)
{
	(void)putchar('\t');
	ctl_print(text.n > 0 ? text : PST_LIT("-"));
}

static void
on_user(void *arg, const struct pst_auth_user *u)
{
	size_t *count = arg;

	(*count)++;
	ctl_print(u->name);
	printf("\t%s", u->enabled ? "enabled" : "disabled");
	print_or_dash(u->location);
	if (u->uid != 0 || u->gid != 0)
		printf("\t%u:%u", u->uid, u->gid);
	else
		printf("\t-");
	print_or_dash(u->enabled ? PST_LIT("") : u->reason);
	(void)putchar('\n');
}

static int
list(struct user_request *r)
{
	struct pst_str domain = pst_str_c(r->word);
	char *folded = pst_arena_copy(r->c->arena, domain);
	size_t count = 0;
	size_t i;

	if (r->auth->user_list == NULL)
		return user_refuse(r);
	for (i = 0; i < domain.n; i++)
		folded[i] = pst_lower(folded[i]);
	domain.p = folded;
	if (r->auth->user_list(plugin_self(r->plugin), domain, on_user, &count, &r->err) != 0)
		return ctl_fail("%s", r->err.text);
	if (count == 0)
		fprintf(stderr, "no users\n");
	return CTL_OK;
}

int
ctl_user_list(struct ctl *c, int argc, char **argv)
{
	struct user_request r = { .c = c };
	int status = read_arguments(&r, argc, argv, plain_options);

	if (status == CTL_OK)
		status = open_backend(&r);
	if (status == CTL_OK)
		status = list(&r);
	user_close(&r);
	return status;
}

/* Tables of an older version; those that are new stay as they are. */
int
ctl_user_upgrade(struct ctl *c, int argc, char **argv)
{
	struct user_request r = { .c = c };
	int status = read_arguments(&r, argc, argv, plain_options);

	if (status == CTL_OK && r.word != NULL)
		status = CTL_USAGE;
	if (status == CTL_OK)
		status = open_backend(&r);
	if (status == CTL_OK && r.auth->create == NULL)
		status = user_refuse(&r);
	if (status == CTL_OK && r.auth->create(plugin_self(r.plugin), &r.err) != 0)
		status = ctl_fail("%s", r.err.text);
	if (status == CTL_OK)
		printf("the tables of %s are up to date\n", r.backend);
	user_close(&r);
	return status;
}
