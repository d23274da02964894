/* SPDX-License-Identifier: MIT */
/* posternctl auth test: asks the backends as an auth worker would, and says what each step gave. */
#include <getopt.h>
#include <stdio.h>

#include "base/arena.h"
#include "credentials/app.h"
#include "credentials/chain.h"
#include "ctl/backends.h"
#include "ctl/ctl.h"
#include "ctl/password.h"

struct test {
	struct ctl *c;
	const char *name;
	const char *remote_ip, *local_ip, *sni;
	bool ask_password;
	struct ctl_password_source source;

	struct username user;
	struct pst_secret password;
	struct registry *registry;
	struct chain *chain;
	struct pst_err err;
};

enum option_id { O_FILE = 1, O_STDIN, O_ASK, O_IP, O_LOCAL_IP, O_SNI };

static const struct option options[] = {
	{ "password-file", required_argument, NULL, O_FILE },
	{ "password-stdin", no_argument, NULL, O_STDIN },
	{ "password", no_argument, NULL, O_ASK },
	{ "ip", required_argument, NULL, O_IP },
	{ "local-ip", required_argument, NULL, O_LOCAL_IP },
	{ "sni", required_argument, NULL, O_SNI },
	{ NULL, 0, NULL, 0 },
};

static bool
take_option(struct test *t, int id)
{
	switch (id) {
	case O_FILE:
		t->source = (struct ctl_password_source){ .file = optarg };
		t->ask_password = true;
		return true;
	case O_STDIN:
		t->source = (struct ctl_password_source){ .use_stdin = true };
		t->ask_password = true;
		return true;
	case O_ASK:
		t->source = (struct ctl_password_source){ .file = NULL };
		t->ask_password = true;
		return true;
	case O_IP:
		t->remote_ip = optarg;
		return true;
	case O_LOCAL_IP:
		t->local_ip = optarg;
		return true;
	case O_SNI:
		t->sni = optarg;
		return true;
	default:
		return false;
	}
}

static int
read_arguments(struct test *t, int argc, char **argv)
{
	int id;

	optind = 0; /* main has used it before */
	while ((id = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1)
		if (!take_option(t, id))
			return CTL_USAGE;
	if (optind - 1 != argc - 1)
		return CTL_USAGE;
	t->name = argv[optind - 1];
	return CTL_OK;
}

static void
print_pair(const char *key, struct pst_str value)
{
	printf("%-9s ", key);
	ctl_print(value.n > 0 ? value : PST_LIT("-"));
	(void)putchar('\n');
}

/* ---- What the chain tells ---- */

static void
on_answered(void *arg, size_t backend, enum pst_auth_result result, const struct pst_err *err)
{
	static const char *const words[] = {
		[PST_AUTH_OK] = "knows the user",
		[PST_AUTH_UNKNOWN] = "does not know the user",
		[PST_AUTH_WRONG] = "says that the password is wrong",
		[PST_AUTH_DISABLED] = "knows the user, who is disabled",
		[PST_AUTH_TEMP] = "cannot tell: ",
	};
	struct test *t = arg;

	printf("%-9s %s %s", "backend", chain_name(t->chain, backend), words[result]);
	if (result == PST_AUTH_TEMP)
		ctl_print(pst_str_c(err->text));
	(void)putchar('\n');
}

static void
print_record(const struct chain_answer *a)
{
	print_pair("user", a->user.whole);
	print_pair("location", a->location);
	if (a->record.uid != 0 || a->record.gid != 0)
		printf("%-9s %u:%u\n", "uid:gid", a->record.uid, a->record.gid);
}

static int
print_verdict(const struct test *t, const struct chain_answer *a)
{
	const bool checked =
		t->ask_password && (a->verdict == CHAIN_OK || a->verdict == CHAIN_WRONG ||
	                            a->verdict == CHAIN_DISABLED);

	if (checked)
		printf("%-9s %s\n", "password", a->password_right ? "right" : "wrong");
	switch (a->verdict) {
	case CHAIN_OK:
		print_record(a);
		printf("%-9s %s\n", "result",
		       t->ask_password ? "let in" : "known; no password was checked");
		return CTL_OK;
	case CHAIN_WRONG:
		printf("%-9s refused with [AUTH]\n", "result");
		break;
	case CHAIN_UNKNOWN:
		printf("%-9s refused with [AUTH], as a wrong password is\n", "result");
		break;
	case CHAIN_DISABLED:
		print_pair("reason", a->record.reason);
		printf("%-9s refused with [%s]\n", "result",
		       a->password_right ? "SYS/PERM" : "AUTH");
		break;
	case CHAIN_SLOW: /* is for who asks in haste */
	case CHAIN_ERROR:
		print_pair("error", pst_str_c(a->err.text));
		printf("%-9s refused with [SYS/%s]\n", "result",
		       a->err.kind == PST_E_PERM ? "PERM" : "TEMP");
		break;
	}
	return CTL_FAILED;
}

/* ---- The steps ---- */

static int
ask(struct test *t)
{
	const struct chain_watch watch = { .answered = on_answered, .arg = t };
	const struct chain_proof proof = {
		.kind = t->ask_password ? PROOF_PASSWORD : PROOF_NONE,
		.secret = pst_secret_view(&t->password),
	};
	const struct pst_auth_query query = {
		.user = t->user.whole,
		.local_part = t->user.local,
		.domain = t->user.domain,
		.remote_ip = pst_str_c(t->remote_ip),
		.local_ip = pst_str_c(t->local_ip),
		.sni = pst_str_c(t->sni),
		.mechanism = PST_LIT("USER"),
		.tls = true,
		.app_prefix = app_prefix(proof.secret),
	};
	struct chain_answer answer;

	printf("%-9s ", "name");
	ctl_print(t->user.whole);
	printf(" (local ");
	ctl_print(t->user.local);
	printf(", domain ");
	ctl_print(t->user.domain.n > 0 ? t->user.domain : PST_LIT("-"));
	printf(")\n");
	chain_ask(t->chain, &query, &proof, t->c->arena, &watch, &answer);
	return print_verdict(t, &answer);
}

static int
prepare(struct test *t)
{
	const struct settings *s = &t->c->settings;

	if (ctl_need_config(t->c) != 0)
		return CTL_FAILED;
	if (username_fold(pst_str_c(t->name), s->auth.default_domain, &t->user, &t->err) != 0 ||
	    (t->ask_password &&
	     ctl_password_read(&t->source, "Password: ", false, &t->password, &t->err) != 0))
		return ctl_fail("%s", t->err.text);
	t->registry = ctl_backends_start(t->c, s->auth.backends, &t->err);
	if (t->registry != NULL)
		t->chain = chain_create(s, t->registry, &t->err);
	return t->chain != NULL ? CTL_OK : ctl_fail("%s", t->err.text);
}

int
ctl_auth_test(struct ctl *c, int argc, char **argv)
{
	struct test t = { .c = c, .remote_ip = "127.0.0.1", .local_ip = "127.0.0.1" };
	int status = read_arguments(&t, argc, argv);

	if (status == CTL_OK)
		status = prepare(&t);
	if (status == CTL_OK)
		status = ask(&t);
	pst_secret_clear(&t.password);
	chain_destroy(t.chain);
	registry_destroy(t.registry);
	return status;
}
