/* SPDX-License-Identifier: MIT */
/* From a connection to an open maildrop: greeting, CAPA, TLS, USER and PASS or SASL PLAIN. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "credentials/base64.h"
#include "ctl/pop3link.h"
#include "ctl/pop3private.h"
#include "tls/client.h"

#define SESSION_MS ((int64_t)6 * 3600 * 1000) /* a huge maildrop by a slow line, and no longer */
#define CAPA_LINES 200
#define POP3S_PORT 995

/* ---- What refusals mean ---- */

static bool
contains(struct pst_str in, struct pst_str word)
{
	size_t i;

	for (i = 0; i + word.n <= in.n; i++)
		if (pst_str_ieq((struct pst_str){ in.p + i, word.n }, word))
			return true;
	return false;
}

enum pst_err_kind
pop3client_kind(const struct pop3reply *reply, enum pst_err_kind otherwise)
{
	static const struct {
		struct pst_str code;
		enum pst_err_kind kind;
	} codes[] = {
		{ { "IN-USE", 6 }, PST_E_IN_USE }, { { "LOGIN-DELAY", 11 }, PST_E_IN_USE },
		{ { "SYS/TEMP", 8 }, PST_E_TEMP }, { { "SYS/PERM", 8 }, PST_E_PERM },
		{ { "AUTH", 4 }, PST_E_AUTH },
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (pst_str_ieq(reply->code, codes[i].code))
			return codes[i].kind;
	/* Servers older than RFC 2449 say it in words. */
	if (contains(reply->text, PST_LIT("lock")) || contains(reply->text, PST_LIT("in use")))
		return PST_E_IN_USE;
	return otherwise;
}

/* ---- Before the login ---- */

static int
read_greeting(struct pop3client *c, struct pst_err *err)
{
	struct pop3reply reply;

	if (pop3client_reply(c, "greeting", &reply, err) != 0)
		return -1;
	if (reply.is_ok)
		return 0;
	return pop3client_refused(c, "greeting", pop3client_kind(&reply, PST_E_TEMP), &reply, err);
}

static int
ask_capa(struct pop3client *c, struct pst_err *err)
{
	struct pop3reply reply;
	struct pst_str line;
	unsigned lines = 0;
	int rc;

	c->capa = (struct pop3capa){ .is_known = false };
	if (pop3client_ask(c, "CAPA", &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return 0; /* older than RFC 2449 */
	c->capa.is_known = true;
	while (pop3client_next(c, "CAPA", &line, &rc, err)) {
		pop3capa_line(&c->capa, line);
		if (++lines > CAPA_LINES) {
			pst_err_set(err, PST_E_PERM, "lines without end");
			return pop3client_fail(c, "CAPA", err);
		}
	}
	return rc;
}

static int
start_tls(struct pop3client *c, struct pst_err *err)
{
	const struct tls_client_settings settings = {
		.host = c->server.host,
		.ca_file = c->server.ca_file,
		.insecure = c->server.insecure,
	};

	if (pop3link_start_tls(c->link, &settings, err) == 0)
		return 0;
	return pop3client_fail(c, err->kind == PST_E_PERM ? "not safe" : "TLS", err);
}

static int
ask_stls(struct pop3client *c, struct pst_err *err)
{
	struct pop3reply reply;

	if (!c->capa.stls && pop3link_is_loopback(c->link))
		return 0; /* nobody is between */
	if (c->capa.is_known && !c->capa.stls) {
		pst_err_set(err, PST_E_PERM,
		            "the server offers no TLS here, and passwords are not sent in the "
		            "clear: try port 995, or allow plaintext");
		return pop3client_fail(c, "", err);
	}
	if (pop3client_ask(c, "STLS", &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return pop3client_refused(c, "STLS", PST_E_PERM, &reply, err);
	if (start_tls(c, err) != 0)
		return -1;
	return ask_capa(c,
	                err); /* what was said in the clear counts no longer: RFC 2595 section 4 */
}

static int
get_ready(struct pop3client *c, struct pst_err *err)
{
	const struct pop3server *s = &c->server;
	const bool by_tls =
		s->security == POP3_TLS || (s->security == POP3_BY_PORT && s->port == POP3S_PORT);

	c->link = pop3link_open(s->host, s->port, s->timeout_ms, SESSION_MS, err);
	if (c->link == NULL)
		return pop3client_fail(c, "", err);
	if ((by_tls && start_tls(c, err) != 0) || read_greeting(c, err) != 0 ||
	    ask_capa(c, err) != 0)
		return -1;
	return by_tls || s->security == POP3_PLAINTEXT ? 0 : ask_stls(c, err);
}

struct pop3client *
pop3client_open(const struct pop3server *server, struct pst_err *err)
{
	struct pop3client *c = pst_new(struct pop3client);

	c->server = *server;
	if (get_ready(c, err) == 0)
		return c;
	pop3client_close(c);
	return NULL;
}

/* ---- The login ---- */

/* Sends the strings as one line, which is wiped. */
static int
send_secret(struct pop3client *c, const char *what, const struct pst_str *parts, size_t n,
            struct pst_err *err)
{
	char line[3 * PST_SECRET_MAX];
	size_t i, used = 0;
	int rc;

	for (i = 0; i < n; i++) {
		if (parts[i].n > sizeof(line) - used - 2)
			goto too_long;
		memcpy(line + used, parts[i].p, parts[i].n);
		used += parts[i].n;
	}
	memcpy(line + used, "\r\n", 2);
	rc = pop3link_write(c->link, (struct pst_str){ line, used + 2 }, err);
	pst_wipe(line, sizeof(line));
	return rc == 0 ? 0 : pop3client_fail(c, what, err);
too_long:
	pst_wipe(line, sizeof(line));
	pst_err_set(err, PST_E_CLIENT, "name or password is too long");
	return pop3client_fail(c, what, err);
}

static int
check_login(struct pop3client *c, const char *what, struct pst_err *err)
{
	struct pop3reply reply;

	if (pop3client_reply(c, what, &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return pop3client_refused(c, what, pop3client_kind(&reply, PST_E_AUTH), &reply,
		                          err);
	c->is_in = true;
	return 0;
}

static int
login_by_pass(struct pop3client *c, const struct pop3account *a, struct pst_err *err)
{
	const struct pst_str user[] = { PST_LIT("USER "), a->user, pst_str_c(a->separator),
		                        a->master };
	const struct pst_str pass[] = { PST_LIT("PASS "), a->password };
	struct pop3reply reply;

	if (send_secret(c, "USER", user, a->master.n > 0 ? 4 : 2, err) != 0 ||
	    pop3client_reply(c, "USER", &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return pop3client_refused(c, "USER", pop3client_kind(&reply, PST_E_AUTH), &reply,
		                          err);
	if (send_secret(c, "PASS", pass, 2, err) != 0)
		return -1;
	return check_login(c, "PASS", err);
}

/* RFC 4616: whose mail, whose password, the password. */
static int
send_plain(struct pop3client *c, const struct pop3account *a, struct pst_err *err)
{
	char plain[2 * PST_SECRET_MAX], text[BASE64_ROOM(sizeof(plain))];
	const struct pst_str who = a->master.n > 0 ? a->master : a->user;
	const struct pst_str parts[] = { a->master.n > 0 ? a->user : PST_LIT(""), PST_LIT("\0"),
		                         who, PST_LIT("\0"), a->password };
	size_t i, n = 0;
	int rc = 0;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++) {
		if (parts[i].n > sizeof(plain) - n)
			rc = pst_err_set(err, PST_E_CLIENT, "name or password is too long");
		else if (parts[i].n > 0)
			memcpy(plain + n, parts[i].p, parts[i].n);
		n += rc == 0 ? parts[i].n : 0;
	}
	if (rc == 0) {
		struct pst_str line = { text, base64_encode(plain, n, BASE64_PADDED, text) };

		rc = send_secret(c, "AUTH PLAIN", &line, 1, err);
	}
	pst_wipe(plain, sizeof(plain));
	pst_wipe(text, sizeof(text));
	return rc;
}

static int
login_by_sasl(struct pop3client *c, const struct pop3account *a, struct pst_err *err)
{
	struct pop3reply reply;

	if (c->capa.is_known && !c->capa.sasl_plain) {
		pst_err_set(err, PST_E_PERM,
		            "the server does not offer SASL PLAIN, by which a master user logs in: "
		            "see --master-separator");
		return pop3client_fail(c, "", err);
	}
	if (pop3client_ask(c, "AUTH PLAIN", &reply, err) != 0)
		return -1;
	if (!reply.is_more)
		return pop3client_refused(c, "AUTH PLAIN", pop3client_kind(&reply, PST_E_PERM),
		                          &reply, err);
	if (send_plain(c, a, err) != 0)
		return -1;
	return check_login(c, "AUTH PLAIN", err);
}

int
pop3client_login(struct pop3client *c, const struct pop3account *account, struct pst_err *err)
{
	const bool as_master = account->master.n > 0 && account->separator == NULL;
	const bool no_user = c->capa.is_known && !c->capa.user && c->capa.sasl_plain;
	struct pop3reply reply;
	int rc;

	/* Else headers with UTF-8 come as surrogates, of other sizes: RFC 6856 section 5. */
	if (c->capa.utf8 && pop3client_ask(c, "UTF8", &reply, err) != 0)
		return -1;
	rc = as_master || no_user ? login_by_sasl(c, account, err) : login_by_pass(c, account, err);

	/* Some say more once somebody is in, PIPELINING for one. */
	if (rc == 0 && c->capa.is_known)
		rc = ask_capa(c, err);
	pst_wipe_stack();
	return rc;
}
