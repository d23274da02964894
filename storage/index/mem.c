/* SPDX-License-Identifier: MIT */
/* Large and small blocks; see mem.h. */
#include "storage/index/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef PST_SANITIZE
#define MAPPED_FROM SIZE_MAX /* so that the sanitizer sees every block's ends */
#else
#define MAPPED_FROM ((size_t)64 * 1024)
#endif
#define PAGE ((size_t)4096)

static bool
is_mapped(size_t octets)
{
	return octets >= MAPPED_FROM;
}

int
mem_get(struct mem *m, size_t octets)
{
	if (octets == 0)
		octets = 1;
	if (!is_mapped(octets)) {
		m->p = calloc(1, octets);
	} else {
		if (octets > SIZE_MAX / 2)
			return -1;
		octets = (octets + PAGE - 1) / PAGE * PAGE;
		m->p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		            0);
		if (m->p == MAP_FAILED)
			m->p = NULL;
	}
	m->octets = m->p == NULL ? 0 : octets;
	return m->p == NULL ? -1 : 0;
}

static int
move_to(struct mem *m, size_t octets)
{
	struct mem bigger = { NULL, 0 };

	if (is_mapped(m->octets)) {
		void *p = mremap(m->p, m->octets, octets, MREMAP_MAYMOVE);

		if (p == MAP_FAILED)
			return -1;
		m->p = p;
		m->octets = octets;
		return 0;
	}
	if (mem_get(&bigger, octets) != 0)
		return -1;
	if (m->p != NULL)
		memcpy(bigger.p, m->p, m->octets);
	mem_drop(m);
	*m = bigger;
	return 0;
}

int
mem_grow(struct mem *m, size_t octets, size_t max)
{
	size_t next = m->octets < 128 ? 256 : m->octets * 2;

	if (octets <= m->octets)
		return 0;
	if (octets > max || max > SIZE_MAX / 4)
		return -1;
	if (next < octets)
		next = octets;
	if (is_mapped(next))
		next = (next + PAGE - 1) / PAGE * PAGE;
	return move_to(m, next);
}

void
mem_drop(struct mem *m)
{
	if (is_mapped(m->octets))
		(void)munmap(m->p, m->octets);
	else
		free(m->p);
	*m = (struct mem){ NULL, 0 };
}

void *
mem_new(size_t octets)
{
	void *p = calloc(1, octets == 0 ? 1 : octets);

	if (p == NULL)
		abort();
	return p;
}
