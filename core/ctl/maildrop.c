/* SPDX-License-Identifier: MIT */
/* posternctl maildrop index: maildrops are opened and closed, so that their indexes are up to date. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/drops.h"
#include "ctl/maildrop.h"

enum { SUM_MESSAGES, SUM_OCTETS };

struct index_said {
	unsigned flags;
};

static bool
take(void *arg, int id)
{
	struct index_said *said = arg;

	(void)id;
	said->flags |= PST_OPEN_MEASURE;
	return true;
}

static int
index_one(struct drop *d, void *arg, struct pst_err *err)
{
	uint64_t octets = 0;
	uint32_t i;

	(void)arg, (void)err;
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		octets += m.size_octets;
	}
	drop_count(d, SUM_MESSAGES, d->count);
	drop_count(d, SUM_OCTETS, octets);
	return 0;
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	(void)arg;
	printf("%u maildrops, %" PRIu64 " messages, %" PRIu64 " octets\n",
	       sum->done - sum->failed - sum->passed, sum->counts[SUM_MESSAGES],
	       sum->counts[SUM_OCTETS]);
}

int
ctl_maildrop_index(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { { "measure", no_argument, NULL, 1 },
		                                 { NULL, 0, NULL, 0 } };
	struct index_said said = { 0 };
	const struct drops_plan plan = {
		.work = index_one,
		.arg = &said,
		.flags = &said.flags,
		.options = options,
		.take = take,
		.sum_up = sum_up,
	};

	return drops_command(c, argc, argv, &plan);
}
