/* SPDX-License-Identifier: MIT */
/* The two servers of a migration, and small things; see migrate.h. Users are migrate_users.c's. */
#include "ctl/migrate.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/buf.h"

#define POP3_PORT 110
#define FIRST_WAIT_MS 500 /* before a login is tried again; doubled each time */
#define LONGEST_WAIT_MS 8000

void
migrate_begin(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGPIPE, SIG_IGN);
}

bool
migrate_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	return pst_str_u64(pst_str_c(text), out) && *out >= least && *out <= most;
}

/* ---- Text ---- */

void
migrate_printf(struct pst_buf *to, const char *fmt, ...)
{
	struct pst_err err;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = pst_buf_vaddf(to, &err, fmt, ap);
	va_end(ap);
	pst_assert(rc == 0);
}

void
migrate_text(struct pst_buf *to, struct pst_str text)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f || c == '\\')
			migrate_printf(to, "\\x%02x", c);
		else
			migrate_printf(to, "%c", c);
	}
}

/* ---- A server ---- */

void
migrate_side_init(struct migrate_side *side)
{
	*side = (struct migrate_side){
		.server = {
			.security = POP3_BY_PORT,
			.timeout_ms = 60000,
			.max_messages = 5000000,
			.max_octets = (uint64_t)4 << 30,
		},
		.retries = 5,
	};
}

int
migrate_side_set(struct migrate_side *side, const char *text, struct pst_err *err)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
	struct pst_str host = pst_str_c(text);
	const char *port = NULL;
	uint64_t number = side->server.security == POP3_TLS ? 995 : POP3_PORT;

	if (text[0] == '[') {
		if (end == NULL || (end[1] != ':' && end[1] != '\0'))
			return pst_err_set(err, PST_E_CLIENT, "%s: not [ADDRESS]:PORT", text);
		host = (struct pst_str){ text + 1, (size_t)(end - text) - 1 };
		port = end[1] == ':' ? end + 2 : NULL;
	} else if (end != NULL && strchr(text, ':') == end) { /* else an address of IPv6 */
		host.n = (size_t)(end - text);
		port = end + 1;
	}
	if (host.n == 0 || host.n > 253 || pst_str_has_nul(host) ||
	    (port != NULL && !migrate_number(port, 1, 65535, &number)))
		return pst_err_set(err, PST_E_CLIENT, "%s: not HOST or HOST:PORT", text);
	free(side->host);
	side->host = pst_str_dup(host);
	side->server.host = side->host;
	side->server.port = (uint16_t)number;
	return 0;
}

bool
migrate_side_security(struct migrate_side *side, const char *word)
{
	static const struct {
		const char *word;
		enum pop3security security;
	} words[] = {
		{ "auto", POP3_BY_PORT },
		{ "tls", POP3_TLS },
		{ "stls", POP3_STLS },
		{ "none", POP3_PLAINTEXT },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			side->server.security = words[i].security;
			return true;
		}
	return false;
}

int
migrate_side_prepare(struct migrate_side *side, struct pst_err *err)
{
	char prompt[200];

	if (side->master == NULL)
		return 0;
	(void)snprintf(prompt, sizeof(prompt), "Password of %.60s at %.80s: ", side->master,
	               side->host);
	return ctl_password_read(&side->source, prompt, false, &side->password, err);
}

void
migrate_side_clear(struct migrate_side *side)
{
	pst_secret_clear(&side->password);
	free(side->host);
	side->host = NULL;
}

/* ---- Getting in ---- */

static struct pop3client *
login_once(const struct migrate_side *side, const struct migrate_user *user, struct pst_err *err)
{
	const bool by_master = side->master != NULL;
	const struct pop3account account = {
		.user = user->name,
		.password = by_master ? pst_secret_view(&side->password) : user->password,
		.master = pst_str_c(side->master),
		.separator = side->separator,
	};
	struct pop3client *c;

	if (!by_master && user->password.p == NULL) {
		pst_err_set(err, PST_E_CLIENT, "there is no password for this user");
		return NULL;
	}
	c = pop3client_open(&side->server, err);
	if (c != NULL && pop3client_login(c, &account, err) != 0) {
		pop3client_close(c);
		c = NULL;
	}
	return c;
}

static void
wait_ms(int64_t ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

struct pop3client *
migrate_login(const struct migrate_side *side, const struct migrate_user *user, struct pst_err *err)
{
	int64_t ms = FIRST_WAIT_MS;
	unsigned tries;

	for (tries = 0;; tries++) {
		struct pop3client *c = login_once(side, user, err);

		if (c != NULL || tries >= side->retries ||
		    (err->kind != PST_E_IN_USE && err->kind != PST_E_TEMP &&
		     err->kind != PST_E_CLOSED))
			return c;
		wait_ms(ms);
		ms = ms * 2 < LONGEST_WAIT_MS ? ms * 2 : LONGEST_WAIT_MS;
	}
}
