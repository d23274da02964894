/* SPDX-License-Identifier: MIT */
/* The AUTHORIZATION state; see dialog.h. */
#include "login/dialog.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "credentials/base64.h"
#include "pop3/command.h"
#include "pop3/language.h"
#include "pop3/reply.h"

#define OUT_HIGH 8192       /* replies that wait before more commands are looked at */
#define CHALLENGE_PIECE 768 /* octets, a multiple of three */

void
dialog_init(struct dialog *d, const struct dialog_rules *rules, bool tls)
{
	*d = (struct dialog){ .rules = rules,
		              .facts = { .tls = tls,
		                         .plaintext_login = rules->plaintext_login,
		                         .has_guest = rules->has_guest } };
}

void
dialog_forget_attempt(struct dialog *d)
{
	attempt_destroy(d->attempt);
	d->attempt = NULL;
	attempt_wipe_str(&d->response);
}

static void
end_exchange(struct dialog *d)
{
	sasl_destroy(d->sasl);
	d->sasl = NULL;
}

void
dialog_set_user(struct dialog *d, struct pst_str user)
{
	free(d->user);
	d->user = user.n == 0 ? NULL : pst_str_dup(user);
}

void
dialog_clear(struct dialog *d)
{
	dialog_forget_attempt(d);
	end_exchange(d);
	dialog_set_user(d, (struct pst_str){ "", 0 });
	free(d->challenge);
	d->challenge = NULL;
}

void
dialog_tls(struct dialog *d, const struct mechanism_facts *facts)
{
	dialog_clear(d);
	d->facts = *facts;
	d->may_pass = false;
	d->is_asked = false;
	d->is_skipping = false;
	/* Clients must not say UTF8 before STLS (RFC 6856 section 2); where one did, somebody else may
	 * have. */
	d->has_utf8 = false;
	d->language = POP3_DEFAULT;
}

/* ---- What is offered ---- */

static bool
may_login(const struct dialog *d)
{
	return d->facts.tls || d->facts.plaintext_login;
}

static bool
may_stls(const struct dialog *d)
{
	return d->rules->can_stls && !d->facts.tls;
}

/* APOP answers the greeting, which is void after STLS. */
uint32_t
dialog_offer(const struct dialog *d)
{
	return mechanism_offer(d->rules->mechanisms, &d->facts) &
	       ~(d->challenge == NULL ? MECH_BIT(MECH_APOP) : 0);
}

void
dialog_greeting(struct dialog *d, char out[ATTEMPT_CHALLENGE + 1])
{
	out[0] = '\0';
	if ((mechanism_offer(d->rules->mechanisms, &d->facts) & MECH_BIT(MECH_APOP)) == 0)
		return;
	if (d->challenge == NULL)
		d->challenge = pst_alloc(ATTEMPT_CHALLENGE);
	attempt_make_challenge(d->challenge);
	(void)snprintf(out, ATTEMPT_CHALLENGE + 1, " %s", d->challenge);
}

/* The same for every name: it depends on the connection alone. */
static int
refuse_cleartext(struct pst_err *err)
{
	return pst_err_set(err, PST_E_PERM,
	                   "cleartext login is not allowed here: use TLS (STLS, or "
	                   "port 995)");
}

/* Whether the client may log in by it; err where not. */
static int
need_offer(const struct dialog *d, enum mechanism_id id, struct pst_err *err)
{
	if (!may_login(d))
		return refuse_cleartext(err);
	if ((dialog_offer(d) & MECH_BIT(id)) == 0)
		return pst_err_set(err, PST_E_CLIENT, "%s is not offered here",
		                   mechanisms[id].name);
	return 0;
}

/* ---- Commands ---- */

/* The attempt is complete. */
static int
submit(struct dialog *d)
{
	dialog_set_user(d, (struct pst_str){ d->attempt->user, d->attempt->user_n });
	d->may_pass = false;
	d->step = DIALOG_ATTEMPT;
	return 0;
}

static int
cmd_capa(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;
	const uint32_t offer = dialog_offer(d);
	char list[MECH_LIST_MAX];
	const struct pop3_facts facts = {
		.state = POP3_AUTH,
		.stls = may_stls(d),
		.user = (offer & MECH_BIT(MECH_USER)) != 0,
		.sasl = list,
		.expire_days = d->rules->expire_days,
		.expire_is_least = d->rules->expire_is_least,
	};

	(void)args;
	mechanism_list(offer, list);
	return pop3_reply_capa(d->out, &facts, err);
}

/* Its reply comes after a look at what came in behind it. */
static int
cmd_stls(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	(void)args;
	if (d->facts.tls)
		return pst_err_set(err, PST_E_CLIENT, "TLS is on already");
	if (!d->rules->can_stls)
		return pst_err_set(err, PST_E_CLIENT, "TLS is not offered here");
	d->step = DIALOG_STLS;
	return 0;
}

static int
cmd_user(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	d->may_pass = false;
	if (need_offer(d, MECH_USER, err) != 0)
		return -1;
	if (args->text.n > WIRE_USER)
		return pst_err_set(err, PST_E_CLIENT, "user name too long");
	dialog_set_user(d, args->text);
	d->may_pass = true;
	return pop3_reply_ok(d->out, err, "send PASS");
}

static int
cmd_pass(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	if (need_offer(d, MECH_USER, err) != 0)
		return -1;
	if (!d->may_pass)
		return pst_err_set(err, PST_E_CLIENT, "send USER first");
	d->attempt = pst_new(struct attempt);
	attempt_set(d->attempt, MECH_USER, pst_str_c(d->user), args->text);
	return submit(d);
}

static int
cmd_apop(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	if (need_offer(d, MECH_APOP, err) != 0)
		return -1;
	d->attempt = pst_new(struct attempt);
	attempt_set_response(d->attempt, MECH_APOP, args->text, args->text2);
	(void)snprintf(d->attempt->challenge, sizeof(d->attempt->challenge), "%s", d->challenge);
	return submit(d);
}

/* What Outlook asks for with a bare AUTH. */
static int
list_mechanisms(struct dialog *d, struct pst_err *err)
{
	char list[MECH_LIST_MAX];
	const char *rest = list;
	struct pst_str name;

	mechanism_list(dialog_offer(d), list);
	if (pop3_reply_ok(d->out, err, "mechanisms follow") != 0)
		return -1;
	while (settings_next_word(&rest, &name))
		if (pst_buf_addf(d->out, err, "%.*s\r\n", PST_ARG(name)) != 0)
			return -1;
	return pst_buf_add(d->out, PST_LIT(".\r\n"), err);
}

/* What a step of an exchange means for the dialog. */
static int
after_exchange(struct dialog *d, enum sasl_step step, struct attempt *a, struct pst_err *err)
{
	if (step == SASL_CHALLENGE) {
		attempt_destroy(a);
		return pst_buf_addf(d->out, err, "+ %s\r\n", sasl_challenge(d->sasl));
	}
	end_exchange(d);
	if (step == SASL_BAD) {
		attempt_destroy(a);
		return -1; /* err is filled */
	}
	d->attempt = a;
	return submit(d);
}

static int
cmd_auth(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;
	enum mechanism_id id = mechanism_find(args->text);
	struct attempt *a;

	if (!may_login(d))
		return refuse_cleartext(err);
	if (args->text.p == NULL)
		return list_mechanisms(d, err);
	if (id == MECH_COUNT || mechanisms[id].start == MECH_COMMAND)
		return pst_err_set(err, PST_E_CLIENT, "unknown mechanism");
	if (need_offer(d, id, err) != 0)
		return -1;
	d->sasl = sasl_create(id);
	d->may_pass = false;
	a = pst_new(struct attempt);
	return after_exchange(d, sasl_begin(d->sasl, args->text2, a, err), a, err);
}

static int
cmd_quit(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	(void)args;
	d->step = DIALOG_CLOSE;
	return pop3_reply_ok(d->out, err, "goodbye");
}

static int
cmd_utf8(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	(void)args;
	d->has_utf8 = true;
	if (d->language == POP3_DEFAULT)
		d->language = POP3_ENGLISH;
	d->out->language = d->language;
	return pop3_reply_ok(d->out, err, "UTF-8 it is");
}

static int
cmd_lang(void *session, const struct pop3_args *args, struct pst_err *err)
{
	struct dialog *d = session;

	return pop3_reply_lang(d->out, args->text, (enum pop3_language)d->rules->language,
	                       &d->language, err);
}

static pop3_handler *const handlers[POP3_VERBS] = {
	[POP3_CAPA] = cmd_capa, [POP3_STLS] = cmd_stls, [POP3_USER] = cmd_user,
	[POP3_PASS] = cmd_pass, [POP3_APOP] = cmd_apop, [POP3_SASL_AUTH] = cmd_auth,
	[POP3_QUIT] = cmd_quit, [POP3_UTF8] = cmd_utf8, [POP3_LANG] = cmd_lang,
};

/* The one place where an error becomes a reply. Each counts: nothing that a client gets wrong can go
 * on for ever. */
static void
refuse(struct dialog *d, struct pst_err *why)
{
	struct pst_err err;
	const char *text = why->kind == PST_E_PERM ? why->text : NULL;

	if (++d->bad_commands >= d->rules->max_bad_commands) {
		pst_err_set(why, PST_E_LIMIT, "too many bad commands, goodbye");
		text = NULL;
		d->step = DIALOG_CLOSE;
	}
	if (pop3_reply_err(d->out, why, text, &err) != 0)
		d->step = DIALOG_CLOSE;
}

static int
take_sasl_line(struct dialog *d, struct pst_str line, struct pst_err *err)
{
	struct attempt *a = pst_new(struct attempt);

	return after_exchange(d, sasl_line(d->sasl, line, a, err), a, err);
}

/* The answer to an auth worker's challenge. One that is none is for the worker to hear of too. */
static void
take_response(struct dialog *d, struct pst_str line)
{
	struct pst_err err;

	d->is_asked = false;
	d->step = DIALOG_RESPONSE;
	if (sasl_decode(line, &d->response, &err) != 0)
		d->response = (struct pst_str){ NULL, 0 };
}

static void
take_line(struct dialog *d, struct pst_str line)
{
	const struct pop3_context ctx = { .state = POP3_AUTH, .handlers = handlers, .session = d };
	enum pop3_verb verb;
	struct pst_err err;
	int rc;

	if (d->is_asked) {
		take_response(d, line);
		return;
	}
	if (d->sasl != NULL)
		rc = take_sasl_line(d, line, &err);
	else
		rc = pop3_dispatch(&ctx, line, &verb, &err);
	if (rc != 0)
		refuse(d, &err);
}

/* One answer to a line that is too long; its rest is thrown away as it comes. */
static void
take_long_line(struct dialog *d)
{
	struct pst_err err;

	d->is_skipping = true;
	if (d->is_asked) {
		take_response(d, PST_LIT("*"));
		return;
	}
	pst_err_set(&err, PST_E_CLIENT, "line too long");
	end_exchange(d);
	refuse(d, &err);
}

/* False where the line's end has not come yet: all of *in was part of it. */
static bool
skip_line(struct dialog *d, struct pst_str *in)
{
	const char *lf = in->n == 0 ? NULL : memchr(in->p, '\n', in->n);

	if (lf == NULL) {
		*in = (struct pst_str){ in->p + in->n, 0 };
		return false;
	}
	*in = (struct pst_str){ lf + 1, in->n - (size_t)(lf + 1 - in->p) };
	d->is_skipping = false;
	return true;
}

/* STLS is granted only where nothing stands behind it: whoever put octets there may not be the client
 * that TLS will be spoken with. */
static void
finish_stls(struct dialog *d, const struct pst_str *in)
{
	struct pst_err err;
	int rc;

	if (in->n == 0) {
		rc = pop3_reply_ok(d->out, &err, "begin TLS");
	} else {
		d->step = DIALOG_INJECTED;
		pst_err_set(&err, PST_E_LIMIT, "octets behind STLS, goodbye");
		rc = pop3_reply_err(d->out, &err, NULL, &err);
	}
	if (rc != 0)
		d->step = DIALOG_CLOSE;
}

enum dialog_step
dialog_feed(struct dialog *d, struct pst_str *in, struct pst_buf *out)
{
	d->out = out;
	out->language = d->language;
	d->step = DIALOG_MORE;
	d->had_line = false;
	while (d->step == DIALOG_MORE) {
		struct pst_str line = { NULL, 0 };
		enum pop3_line have;

		if (out->len >= OUT_HIGH) {
			d->step = DIALOG_FULL;
			break;
		}
		if (d->is_skipping && !skip_line(d, in))
			break;
		have = pop3_line_next(
			in, d->sasl != NULL || d->is_asked ? POP3_SASL_LINE_MAX : POP3_LINE_MAX,
			&line);
		if (have == POP3_LINE_MORE)
			break;
		if (have == POP3_LINE_TOO_LONG) {
			take_long_line(d);
			continue;
		}
		d->had_line = true;
		take_line(d, line);
		if (d->step == DIALOG_STLS)
			finish_stls(d, in);
	}
	d->out = NULL;
	return d->step;
}

/* A challenge is longer than a reply line may be: each piece of it is encoded by itself. */
static int
add_challenge(struct pst_buf *out, struct pst_str challenge, struct pst_err *err)
{
	char piece[BASE64_ROOM(CHALLENGE_PIECE)];

	if (pst_buf_add(out, PST_LIT("+ "), err) != 0)
		return -1;
	while (challenge.n > 0) {
		size_t n = challenge.n < CHALLENGE_PIECE ? challenge.n : CHALLENGE_PIECE;
		size_t len = base64_encode(challenge.p, n, BASE64_PADDED, piece);

		if (pst_buf_add(out, (struct pst_str){ piece, len }, err) != 0)
			return -1;
		challenge = (struct pst_str){ challenge.p + n, challenge.n - n };
	}
	return pst_buf_add(out, PST_LIT("\r\n"), err);
}

enum dialog_step
dialog_challenge(struct dialog *d, struct pst_str challenge, struct pst_buf *out)
{
	struct pst_err err;

	dialog_forget_attempt(d);
	d->is_asked = true;
	return add_challenge(out, challenge, &err) == 0 ? DIALOG_MORE : DIALOG_CLOSE;
}

enum dialog_step
dialog_failed(struct dialog *d, const struct pst_err *why, const char *text, struct pst_buf *out)
{
	struct pst_err err;
	bool is_last;

	out->language = d->language;
	dialog_forget_attempt(d);
	d->is_asked = false;
	/* Whatever the reason: many attempts in one connection are no user's. */
	is_last = ++d->auth_failures >= d->rules->max_auth_failures;
	if (is_last && why->kind == PST_E_AUTH)
		text = "authentication failed too often, goodbye";
	if (pop3_reply_err(out, why, text, &err) != 0)
		is_last = true;
	return is_last ? DIALOG_CLOSE : DIALOG_MORE;
}
