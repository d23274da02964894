/* SPDX-License-Identifier: MIT */
/* posternctl status and who; see report.h. The rows are written by workers, one of which may be in
 * a client's hands: each number is read once, each text is bounded and escaped. */
#include "master/report.h"

#include <inttypes.h>

#include "base/clock.h"
#include "ipc/shm.h"
#include "master/master.h"
#include "master/sandbox.h"

static const char *const state_names[] = { "empty", "starting", "ready",
	                                   "busy",  "draining", "retiring" };
static const char *const session_names[] = { "free", "login", "auth", "mail" };
static const char *const phase_names[] = {
	[GEN_STARTING] = "starting", [GEN_OPENING] = "starting",  [GEN_LIVE] = "live",
	[GEN_DRAINING] = "draining", [GEN_EMPTYING] = "draining", [GEN_FAILED] = "failed"
};

#define NAME_OF(names, i) ((i) < sizeof(names) / sizeof((names)[0]) ? (names)[i] : "?")

static void add(struct pst_buf *out, const char *fmt, ...) PST_PRINTF(2, 3);

static void
add(struct pst_buf *out, const char *fmt, ...)
{
	struct pst_err err;
	va_list ap;

	va_start(ap, fmt);
	if (pst_buf_vaddf(out, &err, fmt, ap) != 0)
		out->max = out->len; /* full: what follows is left out whole */
	va_end(ap);
}

/* A text out of shared memory, which may lack its NUL and hold anything: printable ASCII and UTF-8
 * as they are, the rest, and what JSON reserves, as \u00XX. */
static void
add_text(struct pst_buf *out, const char *text, size_t cap)
{
	size_t i;

	for (i = 0; i < cap && text[i] != '\0'; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			add(out, "\\u%04x", c);
		else
			add(out, "%c", c);
	}
}

static unsigned
seconds_since(int64_t then_ms, int64_t now_ms)
{
	return then_ms > 0 && now_ms > then_ms ? (unsigned)((now_ms - then_ms) / 1000) : 0;
}

struct totals {
	uint32_t workers, sessions[4];
	uint64_t octets;
};

static void
count_sessions(const struct generation *g, struct totals *t)
{
	uint32_t i;

	for (i = board_next(&g->board, 0); i < g->board.rows; i = board_next(&g->board, i + 1)) {
		const struct session_row *row = &g->board.row[i];
		uint32_t state = atomic_load(&row->state);

		if (state == SESSION_FREE || state > SESSION_MAIL)
			continue;
		t->sessions[state]++;
		t->octets += atomic_load(&row->octets);
	}
}

/* ---- status ---- */

static void
add_worker(const struct generation *g, const struct slot *s, bool as_json, bool is_first,
           struct pst_buf *out)
{
	const struct slot_row *row = s->row;
	uint32_t state = atomic_load(&row->state);
	unsigned age = seconds_since(s->started_ms, pst_now_ms());
	char sandbox[64];

	sandbox_describe(row, sandbox, sizeof(sandbox));
	add(out,
	    as_json ? "%s{\"generation\":%u,\"kind\":\"%s\",\"slot\":%u,\"pid\":%d,"
	              "\"state\":\"%s\",\"sessions\":%u,\"age\":%u,\"deaths\":%u,"
	              "\"sandbox\":\"%s\",\"doing\":\""
	            : "%s%10u %-6s %4u %8d %-9s %8u %8u %6u  %-32s ",
	    as_json && !is_first ? "," : "", g->number, worker_kind_names[s->kind], s->idx,
	    (int)s->pid, NAME_OF(state_names, state), atomic_load(&row->sessions), age,
	    atomic_load(&row->deaths), sandbox);
	add_text(out, row->doing, sizeof(row->doing));
	add(out, as_json ? "\"}" : "\n");
}

static void
add_workers(const struct master *m, bool as_json, struct pst_buf *out)
{
	const struct generation *g;
	bool is_first = true;
	int kind;
	uint32_t i;

	for (g = m->newest; g != NULL; g = g->older)
		for (kind = 0; kind < WORKER_KINDS; kind++)
			for (i = 0; i < g->counts[kind]; i++) {
				const struct slot *s = &g->slots[kind][i];

				if (s->pid == 0 && s->start_at_ms < 0)
					continue;
				add_worker(g, s, as_json, is_first, out);
				is_first = false;
			}
}

static void
add_generations(const struct master *m, bool as_json, struct pst_buf *out)
{
	const struct generation *g;

	for (g = m->newest; g != NULL; g = g->older)
		add(out,
		    as_json ? "%s{\"number\":%u,\"phase\":\"%s\",\"age\":%u,\"workers\":%u}"
		            : "%sgeneration %u: %s, age %u s, %u workers\n",
		    as_json && g != m->newest ? "," : "", g->number, NAME_OF(phase_names, g->phase),
		    seconds_since(g->made_ms, pst_now_ms()), generation_running_all(g));
}

/* What logins cost: over all that auth workers of a generation did, also those that are gone. */
static void
add_passwords(const struct master *m, bool as_json, struct pst_buf *out)
{
	uint64_t known = 0, hashed = 0, refused = 0, lost = 0;
	const struct generation *g;
	uint32_t i;

	for (g = m->newest; g != NULL; g = g->older)
		for (i = 0; i < g->counts[WORKER_AUTH]; i++) {
			const struct slot_row *row = g->slots[WORKER_AUTH][i].row;

			known += atomic_load(&row->remembered);
			hashed += atomic_load(&row->hashed);
			refused += atomic_load(&row->overloaded);
			lost += atomic_load(&row->notes_lost);
		}
	add(out,
	    as_json ? "],\"logins\":{\"known\":%" PRIu64 ",\"hashed\":%" PRIu64
	              ",\"overloaded\":%" PRIu64 ",\"notes_lost\":%" PRIu64 "}"
	            : "logins: %" PRIu64 " with a password known to be right, %" PRIu64
	              " through hash workers, %" PRIu64 " told to try later; %" PRIu64
	              " notes lost\n",
	    known, hashed, refused, lost);
}

void
report_status(const struct master *m, bool as_json, struct pst_buf *out)
{
	struct totals t = { 0 };
	const struct generation *g;

	for (g = m->newest; g != NULL; g = g->older) {
		count_sessions(g, &t);
		t.workers += generation_running_all(g);
	}
	if (as_json)
		add(out,
		    "{\"version\":\"%s\",\"pid\":%d,\"root\":%s,\"stopping\":%s,\"workers\":%u,"
		    "\"sessions\":{\"login\":%u,\"auth\":%u,\"mail\":%u},\"generations\":[",
		    PACKAGE_VERSION, (int)m->pid, m->is_root ? "true" : "false",
		    m->stopping ? "true" : "false", t.workers, t.sessions[SESSION_LOGIN],
		    t.sessions[SESSION_AUTH], t.sessions[SESSION_MAIL]);
	else
		add(out,
		    "postern %s, process %d%s, %u workers; sessions: %u before login, %u logging "
		    "in, %u with mail\n",
		    PACKAGE_VERSION, (int)m->pid, m->stopping ? " (stopping)" : "", t.workers,
		    t.sessions[SESSION_LOGIN], t.sessions[SESSION_AUTH], t.sessions[SESSION_MAIL]);
	add_generations(m, as_json, out);
	add_passwords(m, as_json, out);
	add(out, as_json ? ",\"slots\":["
	                 : "\ngeneration worker slot      pid state     sessions      age deaths  "
	                   "sandbox                          doing\n");
	add_workers(m, as_json, out);
	if (as_json)
		add(out, "]}\n");
}

/* ---- who ---- */

static void
add_session(const struct generation *g, const struct session_row *row, bool as_json, bool is_first,
            struct pst_buf *out)
{
	uint32_t state = atomic_load(&row->state);
	unsigned age = seconds_since(atomic_load(&row->since_ms), pst_now_ms());

	add(out, as_json ? "%s{\"sid\":\"" : "%s", as_json && !is_first ? "," : "");
	add_text(out, row->sid, sizeof(row->sid));
	add(out,
	    as_json ? "\",\"generation\":%u,\"state\":\"%s\",\"tls\":%s,\"age\":%u,"
	              "\"retrieved\":%u,\"deleted\":%u,\"octets\":%" PRIu64 ",\"peer\":\""
	            : " %4u %-5s %-5s %8u %5u %5u %10" PRIu64 " ",
	    g->number, NAME_OF(session_names, state),
	    atomic_load(&row->tls) != 0 ? (as_json ? "true" : "tls")
	                                : (as_json ? "false" : "plain"),
	    age, atomic_load(&row->retrieved), atomic_load(&row->deleted),
	    atomic_load(&row->octets));
	add_text(out, row->peer, sizeof(row->peer));
	add(out, as_json ? "\",\"user\":\"" : " ");
	add_text(out, row->user, sizeof(row->user));
	add(out, as_json ? "\"}" : "\n");
}

void
report_who(const struct master *m, bool as_json, struct pst_buf *out)
{
	const struct generation *g;
	bool is_first = true;
	uint32_t i;

	add(out, as_json ? "["
	                 : "sid               gen state tls        age  retr  dele     octets peer "
	                   "user\n");
	for (g = m->newest; g != NULL; g = g->older)
		for (i = board_next(&g->board, 0); i < g->board.rows;
		     i = board_next(&g->board, i + 1)) {
			const struct session_row *row = &g->board.row[i];
			uint32_t state = atomic_load(&row->state);

			if (state == SESSION_FREE || state > SESSION_MAIL)
				continue;
			add_session(g, row, as_json, is_first, out);
			is_first = false;
		}
	if (as_json)
		add(out, "]\n");
}
