/* SPDX-License-Identifier: MIT */
/* Lists of networks against a second reading of them, bit by bit.
 *
 * The input is an address, a NUL, and the list. */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/nets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool holds)
{
	if (!holds)
		abort();
}

static int
bit_of(const uint8_t *octets, unsigned idx)
{
	return octets[idx / 8] >> (7 - idx % 8) & 1;
}

/* The first of n bits in which they differ; n where none does. */
static unsigned
common_bits(const uint8_t *a, const uint8_t *b, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (bit_of(a, i) != bit_of(b, i))
			return i;
	return n;
}

/* For a list that is one entry "ADDRESS/BITS" in the plainest spelling. */
static void
check_by_hand(struct pst_str list, const struct pst_ip *ip, enum pst_nets got)
{
	char text[64];
	uint8_t net[16];
	unsigned bits;
	char *slash;

	if (list.n >= sizeof(text) || pst_str_has_nul(list))
		return;
	memcpy(text, list.p, list.n);
	text[list.n] = '\0';
	slash = strchr(text, '/');
	if (slash == NULL || strspn(slash + 1, "0123456789") != strlen(slash + 1) ||
	    strlen(slash + 1) < 1 || strlen(slash + 1) > 3)
		return;
	*slash = '\0';
	bits = (unsigned)strtoul(slash + 1, NULL, 10);
	if (inet_pton(AF_INET, text, net) == 1) {
		const bool is_v4 = memcmp(ip->octets, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
		const bool inside =
			is_v4 && !ip->is_local && common_bits(net, ip->octets + 12, 32) >= bits;

		expect(got == (bits > 32 ? PST_NETS_BAD
		               : inside  ? PST_NETS_INSIDE
		                         : PST_NETS_OUTSIDE));
	} else if (inet_pton(AF_INET6, text, net) == 1 && bits <= 128) {
		expect(got != PST_NETS_BAD);
		expect(got == PST_NETS_OUTSIDE || common_bits(net, ip->octets, 128) >= bits);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size == 0 ? NULL : memchr(data, '\0', size);
	const size_t n = nul == NULL ? size : (size_t)(nul - data);
	const struct pst_str address = { (const char *)data, n };
	const size_t skip = nul == NULL ? n : n + 1;
	const struct pst_str list = { (const char *)data + skip, size - skip };
	struct pst_str bad = { NULL, 0 };
	enum pst_nets got;
	struct pst_ip ip;

	if (!pst_ip_parse(address, &ip))
		return 0;
	got = pst_nets_match(list, &ip, &bad);
	expect(got == PST_NETS_INSIDE || got == PST_NETS_OUTSIDE || got == PST_NETS_BAD);
	if (got == PST_NETS_BAD && bad.n > 0) /* it stands in the list */
		expect(bad.p >= list.p && bad.p + bad.n <= list.p + list.n);
	check_by_hand(list, &ip, got);
	/* An address is in the list that names it, and in no list of something else. */
	expect(pst_nets_match(address, &ip, &bad) == PST_NETS_INSIDE);
	return 0;
}
