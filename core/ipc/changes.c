/* SPDX-License-Identifier: MIT */
/* The ring of changes; see changes.h. A row's serial is twice the number of the change that stands in
 * it, and one less while it is being written. */
#include "ipc/changes.h"

#include <string.h>

void
changes_write(struct change_ring *r, enum change_kind kind, struct pst_str name)
{
	const uint64_t number = atomic_load(&r->written) + 1;
	struct change_row *row = &r->row[number % CHANGES_ROWS];

	if (name.n >= sizeof(row->change.name))
		return;
	atomic_store(&row->serial, 2 * number - 1);
	atomic_thread_fence(memory_order_release);
	row->change.kind = kind;
	if (name.n > 0)
		memcpy(row->change.name, name.p, name.n);
	row->change.name[name.n] = '\0';
	atomic_store(&row->serial, 2 * number);
	atomic_store(&r->written, number);
}

uint64_t
changes_now(const struct change_ring *r)
{
	return r == NULL ? 0 : atomic_load(&r->written);
}

bool
changes_read(struct change_ring *r, uint64_t *at, struct change *out)
{
	const uint64_t written = atomic_load(&r->written);
	struct change_row *row = &r->row[(*at + 1) % CHANGES_ROWS];

	if (written == *at)
		return false;
	if (written > *at && written - *at <= CHANGES_ROWS &&
	    atomic_load(&row->serial) == 2 * (*at + 1)) {
		*out = row->change;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&row->serial) == 2 * (*at + 1)) {
			out->name[sizeof(out->name) - 1] = '\0';
			(*at)++;
			return true;
		}
	}
	/* Too far behind: what was missed may concern anybody. */
	*at = written;
	*out = (struct change){ .kind = CHANGE_ASK };
	return true;
}
