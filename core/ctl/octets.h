/* SPDX-License-Identifier: MIT */
/* ctl/octets.h - digests of what a server sends for a message, so that two can be compared without
 * either being kept. */
#ifndef CTL_OCTETS_H
#define CTL_OCTETS_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

struct octets_digest {
	uint8_t exact[32];
	uint8_t plain
		[32]; /* of the same with every line end one LF, how many CRs it had, and one at the end */
	uint64_t count;
};

struct octets;
struct octets *octets_begin(void);
void octets_feed(struct octets *o, struct pst_str piece); /* pieces of any size */
void octets_end(struct octets *o, struct octets_digest *out);

#endif
