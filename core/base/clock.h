/* SPDX-License-Identifier: MIT */
/* base/clock.h - time: monotonic for waits, wall clock for what is written down. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t pst_now_ms(void);  /* CLOCK_MONOTONIC */
int64_t pst_wall_ms(void); /* since 1970 */

#endif
