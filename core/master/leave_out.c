/* SPDX-License-Identifier: MIT */
/* An auth plugin that ends workers at their start, again and again, is left out, so that the users of
 * the others can log in: after three such deaths of one worker all of its generation start without it.
 * Questions that get as far as its place in the chain have no answer then ([SYS/TEMP]).
 *
 * After a while one worker tries again with all plugins: where it gets ready the others follow, else
 * the next while is twice as long. While a generation is being started nothing is left out: it fails,
 * and says why. */
#include "base/log.h"
#include "master/master.h"

#define DEATHS 3
#define WAIT_MS 5000
#define WAIT_MAX_MS 300000
#define PLACES 32

static void
leave_out(struct generation *g, struct slot *s, uint32_t place, int64_t now_ms)
{
	int64_t wait = g->left_wait_ms > 0 ? 2 * g->left_wait_ms : WAIT_MS;

	if (wait > WAIT_MAX_MS)
		wait = WAIT_MAX_MS;
	g->left_out |= 1u << (place - 1);
	g->left_wait_ms = wait;
	g->left_until_ms = now_ms + wait;
	g->left_trial = NULL;
	pst_log_error(NULL, "plugin.left_out", "doing=\"%.63s\" for_ms=%lld failure=\"%.200s\"",
	              s->row->doing, (long long)wait, s->row->failure);
}

/* beginning is the worker's word: any number may stand there. */
void
leave_out_note(struct generation *g, struct slot *s, int64_t now_ms)
{
	const uint32_t place = atomic_load(&s->row->beginning);

	s->died_times = place == s->died_of ? s->died_times + 1 : 1;
	s->died_of = place;
	if (place == 0 || place > PLACES)
		return;
	if (s == g->left_trial ||
	    (s->died_times >= DEATHS && (g->left_out >> (place - 1) & 1) == 0)) {
		leave_out(g, s, place, now_ms);
		s->died_times = 0;
	}
}

/* A worker that stands without some of its plugins, or NULL. */
static struct slot *
find_bereft(const struct generation *g)
{
	uint32_t i;

	for (i = 0; i < g->counts[WORKER_AUTH]; i++) {
		struct slot *s = &g->slots[WORKER_AUTH][i];

		if (s->pid != 0 && s->left_out != 0 && !s->told && slot_is_ready(s))
			return s;
	}
	return NULL;
}

static bool
has_all(const struct slot *s)
{
	return s->pid != 0 && !s->told && s->left_out == 0 && slot_is_ready(s);
}

void
leave_out_tick(struct generation *g, int64_t now_ms)
{
	if (g->phase != GEN_LIVE)
		return;
	if (g->left_trial != NULL && has_all(g->left_trial)) {
		if (g->left_out != 0)
			pst_log_warn(NULL, "plugin.back", "slot=%u", g->left_trial->idx);
		g->left_out = 0;
		g->left_wait_ms = 0;
		g->left_until_ms = now_ms; /* the next worker's turn */
		g->left_trial = NULL;
	}
	if (g->left_trial != NULL || g->left_until_ms == 0 || now_ms < g->left_until_ms)
		return;
	g->left_trial = find_bereft(g);
	if (g->left_trial != NULL)
		generation_order(g->left_trial, ORDER_STOP, 0); /* its successor follows at once */
	else
		g->left_until_ms = g->left_out == 0 ? 0 : now_ms + WAIT_MS;
}

int64_t
leave_out_due(const struct generation *g)
{
	return g->phase == GEN_LIVE && g->left_until_ms != 0 && g->left_trial == NULL
	               ? g->left_until_ms
	               : INT64_MAX;
}
