/* SPDX-License-Identifier: MIT */
/* Lists of deadlines; see deadline.h. */
#include "login/deadline.h"

void
deadline_list_init(struct deadline_list *l, int64_t wait_ms)
{
	*l = (struct deadline_list){ .wait_ms = wait_ms };
}

void
deadline_clear(struct deadline *d)
{
	struct deadline_list *l = d->list;

	if (l == NULL)
		return;
	if (d->prev != NULL)
		d->prev->next = d->next;
	else
		l->first = d->next;
	if (d->next != NULL)
		d->next->prev = d->prev;
	else
		l->last = d->prev;
	d->list = NULL;
}

void
deadline_set_at(struct deadline_list *l, struct deadline *d, int64_t due_ms)
{
	struct deadline *before;

	deadline_clear(d);
	for (before = l->last; before != NULL && before->due_ms > due_ms; before = before->prev)
		;
	d->list = l;
	d->due_ms = due_ms;
	d->prev = before;
	d->next = before != NULL ? before->next : l->first;
	if (d->prev != NULL)
		d->prev->next = d;
	else
		l->first = d;
	if (d->next != NULL)
		d->next->prev = d;
	else
		l->last = d;
}

void
deadline_set(struct deadline_list *l, struct deadline *d, int64_t now_ms)
{
	deadline_set_at(l, d, now_ms + l->wait_ms);
}

struct deadline *
deadline_take_due(struct deadline_list *l, int64_t now_ms)
{
	struct deadline *d = l->first;

	if (d == NULL || d->due_ms > now_ms)
		return NULL;
	deadline_clear(d);
	return d;
}
