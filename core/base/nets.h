/* SPDX-License-Identifier: MIT */
/* base/nets.h - is an address in a list of networks?
 *
 * A list is text: "192.0.2.7, 198.51.100.0/24 2001:db8::/32 local". Entries are separated by commas,
 * spaces or both; a network is an address and the number of its leading bits that count, an address
 * alone is itself. What stands behind those bits does not matter. An IPv4-mapped IPv6 address is the
 * IPv4 address, in a list as well. "local" is who came by no address: through a Unix socket. */
#ifndef BASE_NETS_H
#define BASE_NETS_H

#include <stdint.h>

#include <postern/str.h>

/* IPv4 is held as ::ffff:a.b.c.d, of which no IPv6 address is ever another spelling. */
struct pst_ip {
	bool is_local;
	uint8_t octets[16];
};

/* As pst_addr_text writes it: in numbers, or "local". False where it is neither. */
bool pst_ip_parse(struct pst_str text, struct pst_ip *out);

enum pst_nets {
	PST_NETS_OUTSIDE = 1,
	PST_NETS_INSIDE,
	PST_NETS_BAD, /* an entry is none, whichever and wherever: nothing is known of the address */
};

/* bad_out: with PST_NETS_BAD the first bad entry, borrowed from list; of a list without any entry,
 * which is bad too, it is empty. */
enum pst_nets pst_nets_match(struct pst_str list, const struct pst_ip *ip, struct pst_str *bad_out);

#endif
