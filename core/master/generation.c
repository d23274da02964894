/* SPDX-License-Identifier: MIT */
/* Makes a generation; see generation.h. */
#include "master/generation.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credentials/verified.h"
#include "ipc/away.h"
#include "ipc/changes.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"

/* Room for what waits in a channel. The system may give less (net.core.wmem_max). */
#define QUEUE_OCTETS (1 << 20)
#define PAIR_OCTETS (1 << 18)
/* For each hash worker: about a hundred requests, which it can serve before login gives them up. */
#define HASH_OCTETS (1 << 16)

bool
generation_is_pooled(const struct generation *g)
{
	return g->conf->settings.mail.run_as == RUN_AS_USER;
}

/* As the slots stand: queries, hashes, the clerk. */
enum auth_role
generation_auth_role(const struct generation *g, uint32_t slot)
{
	const uint32_t clerk = g->counts[WORKER_AUTH] - 1;

	if (slot == clerk)
		return AUTH_CLERK;
	return slot < clerk - g->hash_workers ? AUTH_QUERY : AUTH_HASH;
}

static uint32_t
count_or_cores(int64_t wanted, uint32_t max)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t n = wanted > 0 ? wanted : cores > 0 ? cores : 1;

	return n < (int64_t)max ? (uint32_t)n : max;
}

static void
count_slots(struct generation *g)
{
	const struct settings *s = &g->conf->settings;

	g->counts[WORKER_LOGIN] = count_or_cores(s->login.workers, BOARD_MAX_PARTS);
	g->counts[WORKER_KEYS] = g->counts[WORKER_LOGIN];
	g->hash_workers = count_or_cores(s->auth.hash_workers, 256);
	g->counts[WORKER_AUTH] = (uint32_t)s->auth.workers + g->hash_workers + 1; /* the clerk */
	g->counts[WORKER_MAIL] = count_or_cores(
		generation_is_pooled(g) ? s->mail.max_processes : s->mail.workers, ENV_MAX_SLOTS);
}

static void
make_slots(struct region_list *regions, struct generation *g)
{
	struct slot_row *row;
	size_t total = 0;
	int kind;
	uint32_t i;

	for (kind = 0; kind < WORKER_KINDS; kind++)
		total += g->counts[kind];
	g->rows = region_create(regions, total * sizeof(*g->rows));
	row = g->rows;
	for (kind = 0; kind < WORKER_KINDS; row += g->counts[kind++]) {
		g->slots[kind] = pst_new_array(struct slot, g->counts[kind]);
		for (i = 0; i < g->counts[kind]; i++)
			g->slots[kind][i] = (struct slot){ .kind = (enum worker_kind)kind,
				                           .idx = i,
				                           .row = row + i,
				                           .start_at_ms = -1,
				                           .inbox = { -1, -1 } };
	}
}

static int
make_inboxes(struct generation *g, enum worker_kind kind, int *write_ends, struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < g->counts[kind]; i++) {
		struct slot *s = &g->slots[kind][i];

		if (channel_create(s->inbox, QUEUE_OCTETS, err) != 0)
			return -1;
		if (write_ends != NULL)
			write_ends[i] = s->inbox[1];
	}
	return 0;
}

static int *
fd_array(uint32_t n)
{
	int *v = pst_new_array(int, n > 0 ? n : 1);
	uint32_t i;

	for (i = 0; i < n; i++)
		v[i] = -1;
	return v;
}

/* The inbox of a mail process that serves one session is made with it. */
static int
make_channels(struct generation *g, struct pst_err *err)
{
	uint32_t logins = g->counts[WORKER_LOGIN], i;

	g->login_inboxes = fd_array(logins);
	g->auth_inboxes = fd_array(g->counts[WORKER_AUTH]);
	g->mail_inboxes = fd_array(g->counts[WORKER_MAIL]);
	g->keys = pst_alloc_array(logins, sizeof(*g->keys));
	for (i = 0; i < logins; i++)
		g->keys[i][0] = g->keys[i][1] = -1;
	for (i = 0; i < logins; i++)
		if (channel_create(g->keys[i], PAIR_OCTETS, err) != 0)
			return -1;
	if (make_inboxes(g, WORKER_LOGIN, g->login_inboxes, err) != 0 ||
	    make_inboxes(g, WORKER_AUTH, g->auth_inboxes, err) != 0 ||
	    channel_create(g->auth_queue, QUEUE_OCTETS, err) != 0 ||
	    channel_create(g->hash_queue, (int)g->hash_workers * HASH_OCTETS, err) != 0 ||
	    channel_create(g->auth_notes, QUEUE_OCTETS, err) != 0 ||
	    channel_create(g->mail_notes, QUEUE_OCTETS, err) != 0)
		return -1;
	if (generation_is_pooled(g))
		return channel_create(g->mail_queue, QUEUE_OCTETS, err);
	return make_inboxes(g, WORKER_MAIL, g->mail_inboxes, err);
}

/* A row for each client, before login and after. A part that is one login
 * slot's must not run out while others have room, hence a quarter more. */
static uint32_t
board_rows(const struct generation *g)
{
	const struct settings *s = &g->conf->settings;
	int64_t n = s->login.max_connections;

	n += n / 4 + 64 * (int64_t)g->counts[WORKER_LOGIN];
	return n < 4000000 ? (uint32_t)n : 4000000u;
}

static struct marks *
get_marks(struct region_list *regions, const struct settings *s, const struct generation *elder)
{
	const int64_t wanted = s->auth.verified_size;
	const size_t octets = verified_octets(wanted);
	struct marks *marks = elder != NULL ? elder->marks : NULL;

	if (wanted == 0)
		return NULL;
	if (marks == NULL || marks->wanted != wanted) {
		marks = pst_new(struct marks);
		*marks = (struct marks){ region_create(regions, octets), wanted, 0 };
		verified_init(marks->verified, octets);
	}
	marks->users++;
	return marks;
}

static void
drop_marks(struct region_list *regions, struct marks *marks)
{
	if (marks == NULL || --marks->users > 0)
		return;
	verified_wipe(marks->verified);
	region_destroy(regions, marks->verified);
	free(marks);
}

struct generation *
generation_create(struct region_list *regions, struct listen_set *listens, struct conf *conf,
                  uint32_t number, const struct generation *elder, struct pst_err *err)
{
	struct generation *g = pst_new(struct generation);
	uint32_t rows;

	*g = (struct generation){ .number = number,
		                  .phase = GEN_STARTING,
		                  .made_ms = pst_now_ms(),
		                  .conf = conf,
		                  .auth_queue = { -1, -1 },
		                  .hash_queue = { -1, -1 },
		                  .auth_notes = { -1, -1 },
		                  .mail_notes = { -1, -1 },
		                  .mail_queue = { -1, -1 } };
	count_slots(g);
	if (listen_open(listens, &conf->settings, g->counts[WORKER_LOGIN], err) != 0) {
		free(g);
		return NULL;
	}
	make_slots(regions, g);
	rows = board_rows(g);
	g->board_rows = region_create(regions, board_octets(rows));
	board_init(&g->board, g->board_rows, rows, g->counts[WORKER_LOGIN]);
	g->tickets = region_create(regions, sizeof(*g->tickets));
	ticket_office_init(g->tickets);
	if (elder != NULL)
		memcpy(g->tickets->boot_secret, elder->tickets->boot_secret,
		       sizeof(g->tickets->boot_secret));
	g->changes = region_create(regions, sizeof(*g->changes));
	g->away = region_create(regions, sizeof(*g->away));
	g->marks = get_marks(regions, &conf->settings, elder);
	if (make_channels(g, err) != 0) {
		listen_rollback(listens);
		g->conf = NULL; /* stays the caller's */
		generation_destroy(regions, g);
		return NULL;
	}
	return g;
}

static void
close_pair(int pair[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		pair[i] = -1;
	}
}

void
generation_destroy(struct region_list *regions, struct generation *g)
{
	uint32_t i;
	int kind;

	if (g == NULL)
		return;
	for (kind = 0; kind < WORKER_KINDS; kind++) {
		for (i = 0; i < g->counts[kind]; i++)
			close_pair(g->slots[kind][i].inbox);
		free(g->slots[kind]);
	}
	for (i = 0; g->keys != NULL && i < g->counts[WORKER_LOGIN]; i++)
		close_pair(g->keys[i]);
	free(g->keys);
	free(g->login_inboxes);
	free(g->auth_inboxes);
	free(g->mail_inboxes);
	close_pair(g->auth_queue);
	close_pair(g->hash_queue);
	close_pair(g->auth_notes);
	close_pair(g->mail_notes);
	close_pair(g->mail_queue);
	region_destroy(regions, g->rows);
	region_destroy(regions, g->board_rows);
	if (g->tickets != NULL)
		pst_wipe(g->tickets->key, sizeof(g->tickets->key));
	region_destroy(regions, g->tickets);
	region_destroy(regions, g->changes);
	region_destroy(regions, g->away);
	drop_marks(regions, g->marks);
	conf_destroy(regions, g->conf);
	free(g);
}

uint32_t
generation_running(const struct generation *g, enum worker_kind kind)
{
	uint32_t n = 0, i;

	for (i = 0; i < g->counts[kind]; i++)
		n += g->slots[kind][i].pid != 0;
	return n;
}

uint32_t
generation_running_all(const struct generation *g)
{
	uint32_t n = 0;
	int kind;

	for (kind = 0; kind < WORKER_KINDS; kind++)
		n += generation_running(g, (enum worker_kind)kind);
	return n;
}

static void
send_order(struct slot *s, const struct wire_order_msg *m)
{
	uint8_t message[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n = wire_order_encode(m, message);

	if (channel_send(s->inbox[1], message, n, -1, &err) != 0)
		pst_log_warn(NULL, "order.failed", "worker=%s slot=%u pid=%d reason=\"%s\"",
		             worker_kind_names[s->kind], s->idx, (int)s->pid, err.text);
}

void
generation_order(struct slot *s, enum wire_order order, uint32_t row)
{
	const struct wire_order_msg m = { .order = order, .row = row };

	if (s->pid == 0)
		return;
	if (order == ORDER_DRAIN || order == ORDER_STOP)
		s->told = true;
	if (s->kind == WORKER_KEYS) {
		(void)kill(s->pid, SIGTERM); /* it holds nothing that could be lost */
		return;
	}
	send_order(s, &m);
}

/* It waits in the inbox where the clerk is just being replaced. */
void
generation_tell_changed(struct generation *g, struct pst_str user)
{
	const struct wire_order_msg m = { .order = ORDER_CHANGED, .user = user };

	send_order(&g->slots[WORKER_AUTH][g->counts[WORKER_AUTH] - 1], &m);
}

bool
generation_kick(struct generation *g, struct pst_str sid)
{
	uint32_t i;

	for (i = board_next(&g->board, 0); i < g->board.rows; i = board_next(&g->board, i + 1)) {
		struct session_row *row = &g->board.row[i];
		uint32_t owner = atomic_load(&row->kind_slot);
		uint32_t kind = owner >> 16, idx = owner & 0xffff;

		if (atomic_load(&row->state) == SESSION_FREE ||
		    !pst_str_eq(sid, (struct pst_str){ row->sid, strnlen(row->sid, 24) }))
			continue;
		if (kind >= WORKER_KINDS || idx >= g->counts[kind])
			continue;
		generation_order(&g->slots[kind][idx], ORDER_END_SESSION, i);
		return true;
	}
	return false;
}
