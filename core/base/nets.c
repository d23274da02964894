/* SPDX-License-Identifier: MIT */
/* Lists of networks; see nets.h. */
#include "base/nets.h"

#include <arpa/inet.h>

#define ADDRESS_MAX 45 /* octets of an address in numbers: INET6_ADDRSTRLEN without its NUL */
#define V4_AT 12       /* where an IPv4 address lies in 16 octets */
#define V4_BITS (8 * V4_AT)

static const uint8_t v4_prefix[V4_AT] = { [10] = 0xff, [11] = 0xff };

struct net {
	struct pst_ip ip;
	unsigned bits; /* of all 128 */
};

static bool
is_v4(const struct pst_ip *ip)
{
	return memcmp(ip->octets, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* An address in numbers. *v4_out: it is written as IPv4. */
static bool
parse_numbers(struct pst_str text, struct pst_ip *out, bool *v4_out)
{
	char c[ADDRESS_MAX + 1];

	*out = (struct pst_ip){ .is_local = false };
	*v4_out = false;
	if (text.n == 0 || text.n > ADDRESS_MAX || pst_str_has_nul(text))
		return false;
	memcpy(c, text.p, text.n);
	c[text.n] = '\0';
	if (inet_pton(AF_INET, c, out->octets + V4_AT) == 1) {
		memcpy(out->octets, v4_prefix, sizeof(v4_prefix));
		*v4_out = true;
		return true;
	}
	return inet_pton(AF_INET6, c, out->octets) == 1;
}

bool
pst_ip_parse(struct pst_str text, struct pst_ip *out)
{
	bool v4;

	if (pst_str_eq(text, PST_LIT("local"))) {
		*out = (struct pst_ip){ .is_local = true };
		return true;
	}
	return parse_numbers(text, out, &v4);
}

/* One entry that is not "local". */
static bool
parse_net(struct pst_str entry, struct net *out)
{
	const char *slash = memchr(entry.p, '/', entry.n);
	struct pst_str address = entry;
	uint64_t bits;
	bool v4;

	if (slash != NULL)
		address.n = (size_t)(slash - entry.p);
	if (!parse_numbers(address, &out->ip, &v4))
		return false;
	out->bits = 128;
	if (slash == NULL)
		return true;
	if (entry.n - address.n > 4 || /* "/128" */
	    !pst_str_u64((struct pst_str){ slash + 1, entry.n - address.n - 1 }, &bits) ||
	    bits > (v4 ? 128 - V4_BITS : 128))
		return false;
	out->bits = (unsigned)bits + (v4 ? V4_BITS : 0);
	return true;
}

/* "::/0" is every IPv6 address and not the whole of IPv4, though that is held inside of it. */
static bool
holds(const struct net *net, const struct pst_ip *ip)
{
	const size_t whole = net->bits / 8;
	const unsigned rest = net->bits % 8;

	if (ip->is_local || is_v4(&net->ip) != is_v4(ip))
		return false;
	if (memcmp(net->ip.octets, ip->octets, whole) != 0)
		return false;
	return rest == 0 || (net->ip.octets[whole] ^ ip->octets[whole]) >> (8 - rest) == 0;
}

static bool
is_separator(char c)
{
	return c == ',' || c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the next entry off *list; false at its end. */
static bool
next_entry(struct pst_str *list, struct pst_str *entry_out)
{
	size_t from = 0, to;

	while (from < list->n && is_separator(list->p[from]))
		from++;
	for (to = from; to < list->n && !is_separator(list->p[to]);)
		to++;
	if (from == to)
		return false;
	*entry_out = (struct pst_str){ list->p + from, to - from };
	*list = (struct pst_str){ list->p + to, list->n - to };
	return true;
}

enum pst_nets
pst_nets_match(struct pst_str list, const struct pst_ip *ip, struct pst_str *bad_out)
{
	enum pst_nets result = PST_NETS_OUTSIDE;
	struct pst_str entry;
	struct net net;
	bool is_empty = true;

	while (next_entry(&list, &entry)) {
		is_empty = false;
		if (pst_str_eq(entry, PST_LIT("local"))) {
			if (ip->is_local)
				result = PST_NETS_INSIDE;
			continue;
		}
		if (!parse_net(entry, &net)) {
			*bad_out = entry;
			return PST_NETS_BAD;
		}
		if (holds(&net, ip))
			result = PST_NETS_INSIDE;
	}
	*bad_out = PST_LIT("");
	return is_empty ? PST_NETS_BAD : result;
}
