/* SPDX-License-Identifier: MIT */
/* posternctl auth explain: one login, step by step, as the server would take it: what decides, and where
 * that is set. Nothing is written: no last login, no new hash. */
#include "ctl/explain.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "ctl/backends.h"
#include "ipc/env.h"

enum option_id { O_IP = 1, O_LOCAL_IP, O_TLS, O_SNI, O_MECHANISM, O_LISTENER, O_PASSWORD };

static const struct option options[] = {
	{ "ip", required_argument, NULL, O_IP },
	{ "local-ip", required_argument, NULL, O_LOCAL_IP },
	{ "tls", required_argument, NULL, O_TLS },
	{ "sni", required_argument, NULL, O_SNI },
	{ "mechanism", required_argument, NULL, O_MECHANISM },
	{ "listener", required_argument, NULL, O_LISTENER },
	{ "password-from", required_argument, NULL, O_PASSWORD },
	{ NULL, 0, NULL, 0 },
};

struct words {
	const char *tls, *listener, *password_from;
};

/* ---- The command line ---- */

static bool
take_option(struct explain *e, struct words *w, int id)
{
	switch (id) {
	case O_IP:
		e->remote_ip = optarg;
		return true;
	case O_LOCAL_IP:
		e->local_ip = optarg;
		return true;
	case O_TLS:
		w->tls = optarg;
		return true;
	case O_SNI:
		e->sni = optarg;
		return true;
	case O_MECHANISM:
		e->mechanism = optarg;
		return true;
	case O_LISTENER:
		w->listener = optarg;
		return true;
	case O_PASSWORD:
		w->password_from = optarg;
		return true;
	default:
		return false;
	}
}

static bool
take_tls(struct explain *e, const char *text)
{
	static const struct {
		const char *text;
		uint32_t version;
	} versions[] = { { "0", 0 }, { "1.2", 12 }, { "1.3", 13 } };
	size_t i;

	for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (strcmp(text, versions[i].text) == 0) {
			e->tls_version = versions[i].version;
			return true;
		}
	return false;
}

/* "-", or the number of an open descriptor. */
static bool
take_source(struct explain *e, const char *text)
{
	uint64_t fd;

	e->has_password = true;
	if (strcmp(text, "-") == 0) {
		e->source.use_stdin = true;
		return true;
	}
	e->source.file = pst_arena_printf(e->c->arena, "/dev/fd/%s", text);
	return pst_str_u64(pst_str_c(text), &fd);
}

static int
read_arguments(struct explain *e, struct words *w, int argc, char **argv)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(e, w, id))
			return CTL_USAGE;
	if (optind - 1 != argc - 1 || !take_tls(e, w->tls) ||
	    (w->password_from != NULL && !take_source(e, w->password_from)))
		return CTL_USAGE;
	e->name = argv[optind - 1];
	return CTL_OK;
}

static int
find_listener(struct explain *e, const char *name)
{
	const struct settings *s = &e->c->settings;
	size_t i;

	for (i = 0; i < s->listener_count; i++)
		if (name == NULL || strcmp(s->listeners[i].name, name) == 0) {
			e->listener = &s->listeners[i];
			return CTL_OK;
		}
	return ctl_fail("there is no listener \"%s\"", name == NULL ? "" : name);
}

static int
prepare(struct explain *e, const struct words *w)
{
	struct settings *s = &e->c->settings;
	struct worker_env env = { .kind = WORKER_AUTH, .settings = s, .sections = &e->c->texts };
	const char *backends;

	if (ctl_need_config(e->c) != 0 || find_listener(e, w->listener) != CTL_OK)
		return CTL_FAILED;
	if (e->has_password && ctl_password_read(&e->source, "", false, &e->password, &e->err) != 0)
		return ctl_fail("%s", e->err.text);
	backends =
		pst_arena_printf(e->c->arena, "%s %s", s->auth.backends, s->auth.master_backends);
	e->registry = ctl_backends_start(e->c, backends, &e->err);
	if (e->registry == NULL)
		return ctl_fail("%s", e->err.text);
	env.plugins = e->registry;
	if (registry_load(&env, PST_POLICY, s->policy_order, &e->err) != 0 ||
	    registry_start(e->registry, "ctl", &e->err) != 0)
		return ctl_fail("%s", e->err.text);
	e->hooks = hooks_create(s->policy_order, e->registry, &e->err);
	e->chain = chain_create(s, e->registry, &e->err);
	if (e->hooks == NULL || e->chain == NULL)
		return ctl_fail("%s", e->err.text);
	hooks_watch(e->hooks, explain_policy, e);
	if (s->auth.master_backends[0] != '\0')
		e->masters = chain_create_masters(s, e->registry, &e->err);
	return s->auth.master_backends[0] == '\0' || e->masters != NULL
	               ? CTL_OK
	               : ctl_fail("%s", e->err.text);
}

/* ---- The way in ---- */

static int
say_no(const char *code)
{
	explain_line("result", NULL, "no: -ERR [%s]", code);
	return CTL_FAILED;
}

static int
say_later(void)
{
	explain_line("result", NULL, "later: -ERR [SYS/TEMP]");
	return CTL_TEMP;
}

static int
say_kind(enum pst_err_kind kind)
{
	static const char *const codes[] = {
		[PST_E_PERM] = "SYS/PERM",
		[PST_E_AUTH] = "AUTH",
		[PST_E_IN_USE] = "IN-USE",
	};

	if (kind == PST_E_TEMP)
		return say_later();
	if (kind == PST_E_PERM || kind == PST_E_AUTH || kind == PST_E_IN_USE)
		return say_no(codes[kind]);
	explain_line("result", NULL, "no: -ERR");
	return CTL_FAILED;
}

/* "alice@b.test*boss", where masters are; *master_out is empty for everybody else. */
static void
take_apart(const struct explain *e, struct pst_str *owner_out, struct pst_str *master_out)
{
	const char separator = e->c->settings.auth.master_separator[0];
	const char *at = separator == '\0' ? NULL : strrchr(e->name, separator);

	*owner_out = pst_str_c(e->name);
	*master_out = PST_LIT("");
	if (e->masters == NULL || at == NULL || at == e->name || at[1] == '\0')
		return;
	owner_out->n = (size_t)(at - e->name);
	*master_out = pst_str_c(at + 1);
}

static const char *
domain_path(const struct explain *e, const struct domain_choice *domain)
{
	if (domain->listener == NULL)
		return "auth.default_domain";
	return pst_arena_printf(e->c->arena, "listener.%s.default_domain", domain->listener->name);
}

static bool
fold_names(struct explain *e)
{
	struct pst_str owner, master;
	struct domain_choice domain;

	take_apart(e, &owner, &master);
	domain_choose(&e->c->settings, pst_str_c(e->listener->name), pst_str_c(e->sni), &domain);
	if (username_fold(owner, domain.name, &e->user, &e->err) != 0 ||
	    (master.n > 0 && username_fold(master, "", &e->master, &e->err) != 0)) {
		explain_line("name", NULL, "%s", explain_text(e, pst_str_c(e->err.text)));
		return false;
	}
	explain_line("name", NULL, "%s (local %s, domain %s)", explain_text(e, e->user.whole),
	             explain_text(e, e->user.local),
	             e->user.domain.n > 0 ? explain_text(e, e->user.domain) : "-");
	if (domain.name[0] != '\0' && memchr(owner.p, '@', owner.n) == NULL)
		explain_line("", explain_place(e, domain_path(e, &domain)),
		             "%s was added, as there was no domain", domain.name);
	if (master.n > 0)
		explain_line("master", explain_place(e, "auth.master_separator"),
		             "%s logs in for the user: it is the master's password that counts",
		             explain_text(e, e->master.whole));
	return true;
}

/* What the connection must have for the mechanism is not all to be seen from here. */
static bool
is_offered(const struct explain *e)
{
	const struct auth_settings *s = &e->c->settings.auth;
	const enum mechanism_id id = mechanism_find(pst_str_c(e->mechanism));
	const struct mechanism_facts facts = {
		.tls = e->tls_version > 0,
		.plaintext_login = e->listener->plaintext_login,
		.has_binding = e->tls_version > 0,
		.has_certificate = e->tls_version > 0,
		.has_guest = mechanism_guest(s, pst_str_c(e->sni)).n > 0,
	};
	const uint32_t enabled = mechanism_set(s->mechanisms);

	if (id == MECH_COUNT || (enabled & MECH_BIT(id)) == 0) {
		explain_line("mechanism", explain_place(e, "auth.mechanisms"), "%s is not offered",
		             explain_text(e, pst_str_c(e->mechanism)));
		return false;
	}
	if ((mechanism_offer(enabled, &facts) & MECH_BIT(id)) == 0) {
		explain_line("mechanism",
		             explain_place(e, pst_arena_printf(e->c->arena,
		                                               "listener.%s.plaintext_login",
		                                               e->listener->name)),
		             "%s is not offered on such a connection", mechanisms[id].name);
		return false;
	}
	explain_line("mechanism", explain_place(e, "auth.mechanisms"), "%s is offered",
	             mechanisms[id].name);
	return true;
}

static void
make_query(struct explain *e, const struct username *who)
{
	e->query = (struct pst_auth_query){
		.user = who->whole,
		.local_part = who->local,
		.domain = who->domain,
		.remote_ip = pst_str_c(e->remote_ip),
		.local_ip = pst_str_c(e->local_ip),
		.sni = pst_str_c(e->sni),
		.mechanism = pst_str_c(e->mechanism),
		.tls = e->tls_version > 0,
		.tls_version = e->tls_version,
	};
}

static void
ask(struct explain *e, struct chain *chain, enum proof_kind kind)
{
	const struct chain_proof proof = { .kind = kind, .secret = pst_secret_view(&e->password) };
	struct chain_watch watch;

	explain_watch(e, &watch);
	e->asked = chain;
	chain_ask(chain, &e->query, &proof, e->c->arena, &watch, &e->answer);
	if (kind == PROOF_PASSWORD && e->answer.verdict != CHAIN_UNKNOWN &&
	    e->answer.verdict != CHAIN_ERROR)
		explain_line("password", NULL, e->answer.password_right ? "right" : "wrong");
	if (e->answer.wrong_at > 0 && e->answer.verdict == CHAIN_OK)
		explain_line("", NULL, "%s had found it wrong",
		             chain_name(chain, e->answer.wrong_at - 1));
}

/* The answer is a refusal already. */
static int
say_refused(const struct explain *e)
{
	const struct chain_answer *a = &e->answer;

	switch (a->verdict) {
	case CHAIN_UNKNOWN:
		explain_line("user", NULL,
		             "is known to nobody: the client gets the answer, and waits "
		             "the time, of a wrong password");
		break;
	case CHAIN_DISABLED:
		return say_no(a->password_right ? "SYS/PERM" : "AUTH");
	case CHAIN_ERROR:
		explain_line("error", NULL, "%s", explain_text(e, pst_str_c(a->err.text)));
		return a->err.kind == PST_E_PERM ? say_no("SYS/PERM") : say_later();
	case CHAIN_OK:
	case CHAIN_WRONG:
	case CHAIN_SLOW: /* is for who asks in haste */
		break;
	}
	return say_no("AUTH");
}

/* The terms as the server judges them: where the password is right, or would be. 0: go on; else what
 * the command ends with. */
static int
judge_terms(struct explain *e)
{
	enum pst_err_kind kind = PST_E_AUTH;
	struct pst_decision d;

	if (e->answer.verdict != CHAIN_OK && !e->answer.password_right && e->has_password)
		return 0;
	if (e->answer.verdict == CHAIN_UNKNOWN || explain_terms(e, &kind))
		return 0;
	if (kind == PST_E_AUTH) {
		explain_line("", NULL, "to the client and to policies this is a wrong password");
		if (e->master.whole.n == 0)
			(void)hooks_after(e->hooks, &e->query, false, &e->answer.record, &d);
	}
	return say_kind(kind);
}

/* The owner of the mail, for whom a master was let in. */
static int
explain_owner(struct explain *e)
{
	const bool read_only = e->c->settings.auth.master_read_only || e->answer.record.read_only;
	int status;

	explain_line("owner", NULL, "%s", explain_text(e, e->user.whole));
	make_query(e, &e->user);
	ask(e, e->chain, PROOF_NONE);
	e->answer.record.allow_nets = PST_LIT(""); /* binds the owner alone */
	if (e->answer.verdict == CHAIN_DISABLED)
		return say_no("SYS/PERM");
	if (e->answer.verdict != CHAIN_OK)
		return say_refused(e);
	status = judge_terms(e);
	if (status != 0)
		return status;
	explain_session(e, read_only || e->answer.record.read_only);
	explain_line("result", NULL, e->has_password ? "yes" : "yes, with the master's password");
	return CTL_OK;
}

static int
explain_login(struct explain *e)
{
	const bool is_masters = e->master.whole.n > 0;
	struct pst_decision d;
	int status;

	make_query(e, is_masters ? &e->master : &e->user);
	if (e->c->settings.policy_order[0] == '\0')
		explain_line("policy", explain_place(e, "policy.order"), "there is none");
	if (hooks_before(e->hooks, &e->query, &d) == PST_REFUSE)
		return say_kind(d.kind);
	ask(e, is_masters ? e->masters : e->chain, e->has_password ? PROOF_PASSWORD : PROOF_NONE);
	status = judge_terms(e);
	if (status != 0)
		return status;
	if (e->answer.verdict == CHAIN_ERROR)
		return say_refused(e);
	if (hooks_after(e->hooks, &e->query, e->answer.verdict == CHAIN_OK, &e->answer.record,
	                &d) == PST_REFUSE)
		return say_kind(d.kind);
	if (e->answer.verdict != CHAIN_OK)
		return say_refused(e);
	if (is_masters)
		return explain_owner(e);
	explain_rehash(e);
	explain_session(e, e->answer.record.read_only);
	explain_line("result", NULL, e->has_password ? "yes" : "yes, with the right password");
	return CTL_OK;
}

static int
explain_all(struct explain *e)
{
	explain_line("client", NULL, "%s to listener %s, %s, server name %s",
	             explain_text(e, pst_str_c(e->remote_ip)), e->listener->name,
	             e->tls_version == 0    ? "no TLS"
	             : e->tls_version == 12 ? "TLS 1.2"
	                                    : "TLS 1.3",
	             e->sni[0] != '\0' ? explain_text(e, pst_str_c(e->sni)) : "-");
	if (!is_offered(e)) {
		explain_line("result", NULL, "no: -ERR");
		return CTL_FAILED;
	}
	return fold_names(e) ? explain_login(e) : say_no("AUTH");
}

int
ctl_auth_explain(struct ctl *c, int argc, char **argv)
{
	struct explain e = {
		.c = c,
		.remote_ip = "127.0.0.1",
		.local_ip = "127.0.0.1",
		.sni = "",
		.mechanism = "USER",
	};
	struct words w = { .tls = "1.3" };
	int status = read_arguments(&e, &w, argc, argv);

	if (status == CTL_OK)
		status = prepare(&e, &w);
	if (status == CTL_OK)
		status = explain_all(&e);
	pst_secret_clear(&e.password);
	chain_destroy(e.masters);
	chain_destroy(e.chain);
	hooks_destroy(e.hooks);
	registry_destroy(e.registry);
	return status;
}
