/* SPDX-License-Identifier: MIT */
/* example_token - passwords that a web site made: an auth plugin with verify.
 *
 * A webmail that knows its user already fetches mail with a token in place of the password:
 * EXPIRES.MAC, where EXPIRES is seconds since 1970 and MAC is the HMAC-SHA-256, in lower-case hex,
 * of "USER\nEXPIRES" under a secret that only the web site and this server hold.
 *
 * verify is given the password itself. So it must take the same time for a user that exists and one
 * that does not: here nothing depends on the user, and secrets compare in constant time. */
#include <stdlib.h>
#include <time.h>

#include <postern/auth.h>

#define BLOCK 64 /* of SHA-256, octets */
#define MAC 32
#define MAC_HEX 64
#define TEXT_MAX 512

struct token_conf {
	const char *secret;
	int64_t max_life;
};

static const struct pst_conf_key token_keys[] = {
	{ "secret", PST_CONF_SECRET(struct token_conf, secret), NULL, 16, BLOCK, "octets",
	  "What the web site signs with. No tool prints it." },
	{ "max_life", PST_CONF_TIME(struct token_conf, max_life), "1h", 1000, 86400000, "time",
	  "A token that expires later than this from now is refused: it was not made today." },
	{ .key = NULL },
};

struct token {
	const struct pst_host *host;
	const struct token_conf *conf;
};

static int
token_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct token *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return pst_err_sys(err, PST_E_TEMP, "calloc");
	t->host = host;
	t->conf = host->conf;
	*self_out = t;
	return 0;
}

static void
token_stop(void *self)
{
	free(self);
}

/* RFC 2104, for a secret of at most BLOCK octets (token_keys sees to that). */
static void
hmac_sha256(const struct token *t, const char *text, size_t n, uint8_t out[MAC])
{
	size_t secret_n = strlen(t->conf->secret);
	uint8_t inner[BLOCK + TEXT_MAX];
	uint8_t outer[BLOCK + MAC];
	size_t i;

	for (i = 0; i < BLOCK; i++) {
		uint8_t octet = i < secret_n ? (uint8_t)t->conf->secret[i] : 0;

		inner[i] = octet ^ 0x36;
		outer[i] = octet ^ 0x5c;
	}
	memcpy(inner + BLOCK, text, n);
	t->host->sha256(inner, BLOCK + n, outer + BLOCK);
	t->host->sha256(outer, sizeof(outer), out);
	explicit_bzero(inner, sizeof(inner));
	explicit_bzero(outer, sizeof(outer));
}

static void
hex(const uint8_t *octets, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[octets[i] >> 4];
		out[2 * i + 1] = digits[octets[i] & 15];
	}
}

/* EXPIRES.MAC? false: it is some other password. */
static bool
split_token(struct pst_str password, struct pst_str *expires_out, uint64_t *when_out,
            struct pst_str *mac_out)
{
	size_t expires_n;

	if (password.n < MAC_HEX + 2 || password.n > 20 + 1 + MAC_HEX)
		return false;
	expires_n = password.n - MAC_HEX - 1;
	*expires_out = (struct pst_str){ password.p, expires_n };
	*mac_out = (struct pst_str){ password.p + expires_n + 1, MAC_HEX };
	return password.p[expires_n] == '.' && pst_str_u64(*expires_out, when_out);
}

static enum pst_auth_result
token_verify(void *self, const struct pst_auth_query *query, struct pst_str password,
             struct pst_auth_record *record, struct pst_err *err)
{
	struct token *t = self;
	struct pst_str expires, mac;
	uint8_t right[MAC];
	char right_hex[MAC_HEX];
	char text[TEXT_MAX];
	uint64_t when, now;
	bool is_right;

	if (!split_token(password, &expires, &when, &mac))
		return PST_AUTH_UNKNOWN; /* an ordinary password: the next backend is asked */
	if (query->user.n + 1 + expires.n > sizeof(text))
		return PST_AUTH_UNKNOWN;
	now = (uint64_t)time(NULL);
	if (now < 1577836800) { /* 2020: this machine does not know the time yet */
		(void)pst_err_set(err, PST_E_TEMP, "the clock is not set: no token can be judged");
		return PST_AUTH_TEMP;
	}

	memcpy(text, query->user.p, query->user.n);
	text[query->user.n] = '\n';
	memcpy(text + query->user.n + 1, expires.p, expires.n);
	hmac_sha256(t, text, query->user.n + 1 + expires.n, right);
	hex(right, MAC, right_hex);
	is_right = t->host->equal(mac, (struct pst_str){ right_hex, sizeof(right_hex) });
	explicit_bzero(right, sizeof(right)); /* it would be a good password */
	explicit_bzero(right_hex, sizeof(right_hex));

	if (!is_right || when <= now || when - now > (uint64_t)t->conf->max_life / 1000)
		return PST_AUTH_WRONG;
	(void)record; /* no location of its own: mail.location counts */
	return PST_AUTH_OK;
}

static const struct pst_auth token_auth = {
	.size = sizeof(struct pst_auth),
	.verify = token_verify,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "example_token",
	.keys = token_keys,
	.conf_size = sizeof(struct token_conf),
	.start = token_start,
	.stop = token_stop,
	.auth = &token_auth,
};
