/* SPDX-License-Identifier: MIT */
/* Clocks; see clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	(void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
pst_now_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
pst_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}
