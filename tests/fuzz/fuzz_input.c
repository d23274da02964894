/* SPDX-License-Identifier: MIT */
/* A client's octets into the AUTHORIZATION state, after TLS and without a PROXY line before them.
 *
 * The first octet chooses the listener's rules, the second how the octets are cut and what becomes of
 * attempts; the rest is input. However it is cut, the same must come out (where STLS is offered its
 * answer may depend on what had arrived by then, so there only the bounds are checked). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "login/dialog.h"
#include "pop3/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEFAULT (MECH_BIT(MECH_USER) | MECH_BIT(MECH_PLAIN) | MECH_BIT(MECH_LOGIN))

static const struct mechanism_facts with_tls = {
	.tls = true, .has_binding = true, .has_certificate = true, .has_guest = true
};

struct result {
	struct pst_buf text; /* all replies */
	uint64_t attempts;   /* a digest of all that was to be tried */
	unsigned attempt_count;
	bool is_over;
};

static void
digest(struct result *r, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		r->attempts = (r->attempts ^ (uint8_t)p[i]) * 1099511628211u;
	r->attempts += n;
}

static void
keep(struct result *r, const struct pst_buf *out)
{
	struct pst_err err;

	/* A reply is whole lines of at most 512 octets. */
	size_t i, from;

	for (i = from = 0; i < out->len; i++) {
		if (out->data[i] != '\n')
			continue;
		pst_assert(i > from && out->data[i - 1] == '\r' && i + 1 - from <= 512);
		if (out->data[from] == '+' && out->data[from + 1] == ' ')
			memset(out->data + from, '+', i - from); /* each challenge is another */
		from = i + 1;
	}
	pst_assert(from == out->len);
	if (r->text.len < (1 << 20)) /* what comes after that is like what came before */
		(void)!pst_buf_add(&r->text, pst_buf_view(out), &err);
}

static void
try(struct result *r, struct dialog *d, uint8_t how, struct pst_buf *out)
{
	static const enum pst_err_kind kinds[] = { PST_E_AUTH, PST_E_TEMP, PST_E_PERM,
		                                   PST_E_IN_USE };
	struct pst_err why = { .kind = kinds[how >> 6], .text = "" };
	const struct attempt *a = d->attempt;

	pst_assert(a != NULL && a->user_n <= sizeof(a->user) &&
	           a->password_n <= sizeof(a->password));
	pst_assert((d->rules->mechanisms & MECH_BIT(a->mechanism)) != 0);
	pst_assert(memchr(a->user, '\0', a->user_n) == NULL || a->is_hopeless);
	pst_assert(memchr(a->password, '\0', a->password_n) == NULL || a->is_hopeless);
	if (mechanisms[a->mechanism].proof == MECH_BY_PASSWORD)
		pst_assert(a->is_hopeless || (a->user_n > 0 && a->password_n > 0));
	else
		pst_assert(a->response.p != NULL && a->response.n <= WIRE_RESPONSE);
	digest(r, mechanisms[a->mechanism].name, strlen(mechanisms[a->mechanism].name));
	digest(r, a->user, a->user_n);
	digest(r, a->password, a->password_n);
	digest(r, a->authzid, a->authzid_n);
	digest(r, a->response.p, a->response.n);
	r->attempt_count++;
	pst_buf_reset(out);
	if (a->response.p != NULL && (how & 32) != 0) {
		r->is_over = dialog_challenge(d, PST_LIT("r=nonce"), out) == DIALOG_CLOSE;
		keep(r, out);
		return;
	}
	r->is_over = dialog_failed(d, &why, NULL, out) == DIALOG_CLOSE;
	keep(r, out);
}

/* The client's answer to the challenge. */
static void
answer(struct result *r, struct dialog *d, struct pst_buf *out)
{
	const struct pst_err why = { .kind = PST_E_AUTH };

	pst_assert(d->response.n <= WIRE_RESPONSE);
	digest(r, d->response.p, d->response.n);
	pst_buf_reset(out);
	r->is_over = dialog_failed(d, &why, NULL, out) == DIALOG_CLOSE;
	keep(r, out);
}

/* What one step leads to; false where more input is needed. */
static bool
step(struct result *r, struct dialog *d, struct pst_str *rest, uint8_t how, struct pst_buf *out)
{
	enum dialog_step wish;

	pst_buf_reset(out);
	wish = dialog_feed(d, rest, out);
	keep(r, out);
	switch (wish) {
	case DIALOG_MORE:
		return false;
	case DIALOG_FULL:
		break;
	case DIALOG_ATTEMPT:
		try(r, d, how, out);
		break;
	case DIALOG_RESPONSE:
		answer(r, d, out);
		break;
	case DIALOG_STLS:
		pst_assert(rest->n == 0 && !d->facts.tls);
		dialog_tls(d, &with_tls);
		break;
	case DIALOG_INJECTED:
	case DIALOG_CLOSE:
		r->is_over = true;
		break;
	}
	return !r->is_over;
}

static void
run(const struct dialog_rules *rules, bool tls, struct pst_str in, size_t piece, uint8_t how,
    struct result *r)
{
	static char held[DIALOG_INPUT_MAX * 2];
	char greeting[ATTEMPT_CHALLENGE + 1];
	struct dialog d;
	struct pst_buf out;
	size_t held_n = 0;

	*r = (struct result){ .attempts = 14695981039346656037u };
	pst_buf_init(&r->text, 2 << 20);
	pst_buf_init(&out, 65536);
	dialog_init(&d, rules, tls);
	if ((rules->mechanisms & MECH_BIT(MECH_APOP)) != 0)
		dialog_greeting(&d, greeting);
	while (in.n > 0 && !r->is_over) {
		size_t n = in.n < piece ? in.n : piece;
		struct pst_str rest;

		memcpy(held + held_n, in.p, n);
		held_n += n;
		in = (struct pst_str){ in.p + n, in.n - n };
		rest = (struct pst_str){ held, held_n };
		while (step(r, &d, &rest, how, &out))
			;
		memmove(held, rest.p, rest.n);
		held_n = rest.n;
		pst_assert(r->is_over || held_n < DIALOG_INPUT_MAX);
	}
	dialog_clear(&d);
	pst_buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dialog_rules rules = { .mechanisms = DEFAULT,
		                      .max_bad_commands = 20,
		                      .max_auth_failures = 5 };
	struct result whole, cut;
	struct pst_str in;

	if (size < 2)
		return 0;
	rules.plaintext_login = (data[0] & 1) != 0;
	rules.can_stls = (data[0] & 2) != 0;
	if ((data[0] & 8) != 0)
		rules.mechanisms = MECH_BIT(MECH_COUNT) - 1;
	in = (struct pst_str){ (const char *)data + 2, size - 2 };
	run(&rules, (data[0] & 4) != 0, in, DIALOG_INPUT_MAX, data[1], &whole);
	run(&rules, (data[0] & 4) != 0, in, 1 + (data[1] & 63), data[1], &cut);
	if (!rules.can_stls) {
		pst_assert(whole.attempts == cut.attempts &&
		           whole.attempt_count == cut.attempt_count &&
		           whole.is_over == cut.is_over);
		pst_assert(pst_str_eq(pst_buf_view(&whole.text), pst_buf_view(&cut.text)));
	}
	pst_buf_clear(&whole.text);
	pst_buf_clear(&cut.text);
	return 0;
}
