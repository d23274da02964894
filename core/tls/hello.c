/* SPDX-License-Identifier: MIT */
/* A look into the ClientHello; see hello.h. */
#include "tls/hello.h"

#include <stdint.h>

/* ECDHE-ECDSA suites of TLS 1.2 that GnuTLS has (RFC 5289, 7251, 7905, 6367, 8422). */
static const uint16_t ecdsa_suites[] = {
	0xc02b, 0xc02c, 0xcca9, 0xc023, 0xc024, 0xc009, 0xc00a, 0xc0ac,
	0xc0ad, 0xc0ae, 0xc0af, 0xc008, 0xc086, 0xc087, 0xc072, 0xc073,
};

#define FIXED_OCTETS (2 + 32) /* legacy_version, random */

static uint16_t
u16_at(struct pst_str s, size_t at)
{
	return (uint16_t)((uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1]);
}

/* The cipher suites of the message, two octets each; empty where it is cut. */
static struct pst_str
find_suites(struct pst_str body)
{
	const struct pst_str none = { "", 0 };
	size_t at = FIXED_OCTETS;
	size_t n;

	if (body.n < at + 1)
		return none;
	at += 1 + (size_t)(uint8_t)body.p[at]; /* legacy_session_id */
	if (body.n < at + 2)
		return none;
	n = u16_at(body, at);
	at += 2;
	if (n > body.n - at)
		return none;
	return (struct pst_str){ body.p + at, n };
}

bool
tls_hello_offers_ecdsa(struct pst_str body)
{
	struct pst_str suites = find_suites(body);
	size_t at, i;

	for (at = 0; at + 2 <= suites.n; at += 2)
		for (i = 0; i < sizeof(ecdsa_suites) / sizeof(ecdsa_suites[0]); i++)
			if (u16_at(suites, at) == ecdsa_suites[i])
				return true;
	return false;
}
