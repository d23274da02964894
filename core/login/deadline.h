/* SPDX-License-Identifier: MIT */
/* login/deadline.h - times by which something must have happened: lists, not timers.
 *
 * All of one list wait equally long, so that the next to be due is its first: setting one costs a few
 * pointers, and one timer a second serves ten thousand. A thing is in one list at most. */
#ifndef LOGIN_DEADLINE_H
#define LOGIN_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline_list;

/* Lives in what has to wait; zeroed at first. */
struct deadline {
	struct deadline *prev, *next;
	struct deadline_list *list; /* NULL: none is set */
	int64_t due_ms;
};

struct deadline_list {
	struct deadline *first, *last;
	int64_t wait_ms;
};

void deadline_list_init(struct deadline_list *l, int64_t wait_ms);

/* Due wait_ms after now_ms; whatever was set before is not any more. */
void deadline_set(struct deadline_list *l, struct deadline *d, int64_t now_ms);

/* Due at a time of its own: finds its place from the end. For lists of waits that differ. */
void deadline_set_at(struct deadline_list *l, struct deadline *d, int64_t due_ms);

void deadline_clear(struct deadline *d); /* one that is not set stays so */

/* Takes one that is due off the list, or returns NULL. */
struct deadline *deadline_take_due(struct deadline_list *l, int64_t now_ms);

#endif
