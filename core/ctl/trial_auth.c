/* SPDX-License-Identifier: MIT */
/* What an auth plugin is tried with; see trial.h. Every text that it is given lies at the end of
 * readable memory, without a NUL behind it, and cannot be written. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <postern/auth.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/location.h"
#include "credentials/username.h"
#include "ctl/trial.h"

#define CREDENTIAL_MAX 4096
#define ROUNDS 200
#define NOT_FILLED "(nothing was written here)"

struct asked {
	struct trial *t;
	const struct pst_auth *auth;
	void *self;
	struct pst_auth_query query;
	struct pst_auth_record record;
	enum pst_auth_result result;
	struct pst_err err;
};

/* ---- One question ---- */

static void
set_name(struct pst_auth_query *q, struct pst_str name)
{
	const char *at = name.n == 0 ? NULL : memrchr(name.p, '@', name.n);
	const size_t local = at == NULL ? name.n : (size_t)(at - name.p);

	q->user = trial_guarded(name);
	q->local_part = trial_guarded((struct pst_str){ name.p, local });
	q->domain = at == NULL ? trial_guarded(PST_LIT(""))
	                       : trial_guarded((struct pst_str){ at + 1, name.n - local - 1 });
}

static void
begin(struct trial *t, struct asked *a)
{
	*a = (struct asked){
		.t = t,
		.auth = plugin_descriptor(t->plugin)->auth,
		.self = plugin_self(t->plugin),
		.query = { .remote_ip = trial_guarded(PST_LIT("2001:db8::1")),
		           .local_ip = trial_guarded(PST_LIT("192.0.2.1")),
		           .sni = trial_guarded(PST_LIT("mail.example.test")),
		           .mechanism = trial_guarded(PST_LIT("PLAIN")),
		           .tls = true,
		           .tls_version = 13 },
	};
	set_name(&a->query, PST_LIT("nobody@example.invalid"));
}

static void
ask(struct asked *a, struct pst_str secret)
{
	a->record = (struct pst_auth_record){ .arena = a->t->arena };
	(void)pst_err_set(&a->err, PST_E_IN_USE, NOT_FILLED);
	if (a->auth->lookup != NULL)
		a->result = a->auth->lookup(a->self, &a->query, &a->record, &a->err);
	else if (a->auth->verify != NULL)
		a->result = a->auth->verify(a->self, &a->query, secret, &a->record, &a->err);
	else
		a->result = a->auth->token(a->self, &a->query, secret, &a->record, &a->err);
}

/* ---- What every answer must be like ---- */

static void
check_text(struct asked *a, const char *name, struct pst_str s, size_t max)
{
	if (s.n > 0 && s.p == NULL)
		trial_fail(a->t, "record->%s is NULL and has %zu octets", name, s.n);
	else if (s.n > max)
		trial_fail(a->t, "record->%s has %zu octets; %zu are allowed", name, s.n, max);
	else if (pst_str_has_nul(s))
		trial_fail(a->t, "record->%s has a NUL in it", name);
}

static void
check_record(struct asked *a)
{
	const struct pst_auth_record *r = &a->record;

	check_text(a, "user", r->user, USERNAME_MAX);
	check_text(a, "credential", r->credential, CREDENTIAL_MAX);
	check_text(a, "location", r->location, LOCATION_MAX);
	check_text(a, "reason", r->reason, LOCATION_MAX);
	check_text(a, "home", r->home, LOCATION_MAX);
	check_text(a, "allow_nets", r->allow_nets, LOCATION_MAX);
	check_text(a, "rehash", r->rehash, LOCATION_MAX);
	check_text(a, "app_credential", r->app_credential, CREDENTIAL_MAX);
	check_text(a, "app_label", r->app_label, LOCATION_MAX);
	check_text(a, "token_error", r->token_error, LOCATION_MAX);
	if (r->arena != a->t->arena)
		trial_fail(a->t, "it changed record->arena");
}

static void
check_answer(struct asked *a)
{
	const bool is_lookup = a->auth->lookup != NULL;

	switch (a->result) {
	case PST_AUTH_OK:
	case PST_AUTH_DISABLED:
		check_record(a);
		if (is_lookup && a->result == PST_AUTH_OK && a->record.credential.n == 0)
			trial_fail(a->t, "PST_AUTH_OK without a credential");
		return;
	case PST_AUTH_UNKNOWN:
		return;
	case PST_AUTH_WRONG:
		if (is_lookup)
			trial_fail(a->t, "lookup answers PST_AUTH_WRONG: it checks no password");
		return;
	case PST_AUTH_TEMP:
		if (strcmp(a->err.text, NOT_FILLED) == 0)
			trial_fail(a->t, "PST_AUTH_TEMP, and err is not filled");
		else if (a->err.kind != PST_E_TEMP && a->err.kind != PST_E_PERM)
			trial_fail(a->t, "PST_AUTH_TEMP with an error that is not PST_E_TEMP");
		return;
	}
	trial_fail(a->t, "its answer is %d: no result", (int)a->result);
}

/* ---- The cases ---- */

static const char secret[] = "Zf8-no user has this password";

static void
try_name(struct trial *t, struct pst_str name)
{
	struct asked a;

	begin(t, &a);
	set_name(&a.query, name);
	ask(&a, trial_guarded(PST_LIT(secret)));
	check_answer(&a);
	if (a.auth->lookup == NULL && a.result == PST_AUTH_OK)
		trial_fail(t, "a name and a secret that were made up are let in");
}

static void
unknown_user(struct trial *t)
{
	try_name(t, PST_LIT("nobody-7c2f@example.invalid"));
}

static void
no_domain(struct trial *t)
{
	try_name(t, PST_LIT("nobody-7c2f"));
}

static void
longest_name(struct trial *t)
{
	char name[USERNAME_MAX];

	memset(name, 'x', sizeof(name));
	name[100] = '@';
	try_name(t, (struct pst_str){ name, sizeof(name) });
	memset(name, 'y', sizeof(name));
	try_name(t, (struct pst_str){ name, sizeof(name) });
	name[sizeof(name) - 2] = '@';
	try_name(t, (struct pst_str){ name, sizeof(name) });
}

static void
odd_names(struct trial *t)
{
	static const struct pst_str names[] = {
		{ "!\"#$%&'()*+,-:;<=>?[\\]^_`{|}~@example.invalid", 45 },
		{ "a@b@c@example.invalid", 21 },
		{ "x' OR '1'='1@example.invalid", 28 },
		{ "x'; DROP TABLE users; --@example.invalid", 40 },
		{ "%s%n%99999d%p@example.invalid", 29 },
		{ "${IFS}$(id)`id`@example.invalid", 31 },
		{ "x@example.invalid:root", 22 },
		{ "*)(uid=*@example.invalid", 24 },
		{ " @ ", 3 },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		try_name(t, names[i]);
}

static void
octets_above_127(struct trial *t)
{
	char name[128 + 16];
	size_t i;

	for (i = 0; i < 128; i++)
		name[i] = (char)(unsigned char)(128 + i);
	memcpy(name + 128, "@example.invalid", 16);
	try_name(t, (struct pst_str){ name, sizeof(name) });
	try_name(t, PST_LIT("\xc3\xa9t\xc3\xa9@example.invalid"));
	try_name(t, PST_LIT("\xed\xa0\x80\xf8\x88\x80\x80\x80\xff@example.invalid"));
}

/* The server gives no NUL in a name; one that slips through must not end it early. */
static void
nul_octets(struct trial *t)
{
	try_name(t, PST_LIT("nobody\0-7c2f@example\0.invalid"));
}

static void
empty_texts(struct trial *t)
{
	struct asked a;

	begin(t, &a);
	a.query = (struct pst_auth_query){ .tls = false };
	ask(&a, trial_guarded(PST_LIT(secret)));
	check_answer(&a);
	set_name(&a.query, PST_LIT(""));
	ask(&a, trial_guarded(PST_LIT("")));
	check_answer(&a);
	if (a.auth->lookup == NULL && a.result == PST_AUTH_OK)
		trial_fail(t, "nobody with no secret is let in");
}

static void
odd_secrets(struct trial *t)
{
	struct asked a;
	char octets[1024];
	size_t i;

	begin(t, &a);
	if (a.auth->lookup != NULL) {
		trial_skip(t, "lookup is given none");
		return;
	}
	for (i = 0; i < sizeof(octets); i++)
		octets[i] = (char)(unsigned char)(i % 255 + 1);
	ask(&a, trial_guarded((struct pst_str){ octets, sizeof(octets) }));
	check_answer(&a);
	ask(&a, trial_guarded((struct pst_str){ octets + 127, 1 }));
	check_answer(&a);
	ask(&a, trial_guarded(PST_LIT("a\0b")));
	check_answer(&a);
}

/* What it gave for one user must stay as it was when another is asked for. */
static void
strings_stay(struct trial *t)
{
	struct asked a;
	struct pst_auth_record first;
	char *credential, *location;

	begin(t, &a);
	if (t->subject->user != NULL)
		set_name(&a.query, pst_str_c(t->subject->user));
	ask(&a, trial_guarded(t->subject->has_password ? t->subject->password : PST_LIT(secret)));
	if (a.result != PST_AUTH_OK && a.result != PST_AUTH_DISABLED) {
		trial_skip(t, "it gave no record%s",
		           t->subject->user == NULL ? "; name a user that it knows with --user"
		                                    : "");
		return;
	}
	first = a.record;
	credential = pst_arena_copy(t->arena, first.credential);
	location = pst_arena_copy(t->arena, first.location);
	set_name(&a.query, PST_LIT("nobody-7c2f@example.invalid"));
	ask(&a, trial_guarded(PST_LIT(secret)));
	if (!pst_str_eq(first.credential, (struct pst_str){ credential, first.credential.n }) ||
	    !pst_str_eq(first.location, (struct pst_str){ location, first.location.n }))
		trial_fail(t, "a record changed with the next question: copy with host->copy");
}

static void
known_user(struct trial *t)
{
	struct asked a;

	if (t->subject->user == NULL) {
		trial_skip(t, "name one that it knows with --user");
		return;
	}
	begin(t, &a);
	if (a.auth->token != NULL) {
		trial_skip(t, "tokens end: this one does without");
		return;
	}
	set_name(&a.query, pst_str_c(t->subject->user));
	ask(&a, trial_guarded(PST_LIT(secret)));
	check_answer(&a);
	if (a.auth->lookup != NULL && a.result != PST_AUTH_OK)
		trial_fail(t, "it does not know %s (result %d%s%s)", t->subject->user,
		           (int)a.result, a.result == PST_AUTH_TEMP ? ": " : "",
		           a.result == PST_AUTH_TEMP ? a.err.text : "");
	if (a.auth->verify != NULL && a.result == PST_AUTH_OK)
		trial_fail(t, "a wrong password of %s is let in", t->subject->user);
	if (a.auth->verify == NULL || !t->subject->has_password)
		return;
	ask(&a, trial_guarded(t->subject->password));
	check_answer(&a);
	if (a.result != PST_AUTH_OK)
		trial_fail(t, "the password of %s is refused (result %d)", t->subject->user,
		           (int)a.result);
}

static void
ask_often(struct asked *a, struct pst_str word)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ask(a, word);
		pst_arena_reset(a->t->arena);
	}
}

/* The first rounds fill caches; what grows with the second lot grows for ever. */
static void
keeps_nothing(struct trial *t)
{
	struct asked a;
	const struct pst_str word = trial_guarded(PST_LIT(secret));
	size_t descriptors;
	size_t before, after;

	begin(t, &a);
	if (t->subject->user != NULL)
		set_name(&a.query, pst_str_c(t->subject->user));
	ask_often(&a, word);
	descriptors = trial_descriptors();
	before = mallinfo2().uordblks;
	ask_often(&a, word);
	after = mallinfo2().uordblks;
	if (trial_descriptors() > descriptors)
		trial_fail(t, "%zu descriptors more after %d questions",
		           trial_descriptors() - descriptors, ROUNDS);
	if (after > before + ROUNDS * 8)
		trial_fail(t, "%zu octets more after %d questions", after - before, ROUNDS);
}

const struct trial_case trial_auth_cases[] = {
	{ "an unknown user", true, unknown_user },
	{ "a user without a domain", true, no_domain },
	{ "names of 255 octets", true, longest_name },
	{ "names that are SQL, formats, commands, patterns", true, odd_names },
	{ "names with octets above 127, UTF-8 and not", true, octets_above_127 },
	{ "names with NUL octets", true, nul_octets },
	{ "empty texts, and such that are NULL", true, empty_texts },
	{ "odd passwords", true, odd_secrets },
	{ "a user that it knows", true, known_user },
	{ "its strings stay", true, strings_stay },
	{ "keeps neither memory nor descriptors", true, keeps_nothing },
	{ .name = NULL },
};
