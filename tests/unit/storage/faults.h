/* SPDX-License-Identifier: MIT */
/* For tests whose program may die, or whose disk be full, at any call that changes something. The calls
 * are wrapped by the linker: FAULTS_WRAPPED in module.am. */
#ifndef TESTS_UNIT_STORAGE_FAULTS_H
#define TESTS_UNIT_STORAGE_FAULTS_H

#define FAULT_DIED 33 /* exit status */

enum fault_how {
	FAULT_NONE,
	FAULT_DIE_BEFORE,
	FAULT_DIE_AFTER,
	FAULT_DIE_HALFWAY, /* in the middle of a write; elsewhere as DIE_BEFORE */
	FAULT_FULL,        /* what needs room fails; the rest is done */
	FAULT_FULL_HALFWAY,
};

/* From now on; at: which call, counted from 0. */
void fault_set(enum fault_how how, int at);
int fault_calls(void); /* since then */

#endif
