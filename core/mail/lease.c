/* SPDX-License-Identifier: MIT */
/* Leases of sessions; see lease.h. All times are pst_now_ms(). */
#include "mail/lease.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/changes.h"
#include "ipc/channel.h"
#include "ipc/leases.h"

#define ASK_AGAIN_MS 3000 /* a note may be lost */
#define LOST "the lease of the maildrop is lost, try again later"

/* Before its end nothing is begun any more, and the session goes. */
static int64_t
margin_ms(const struct mail *m)
{
	return m->lease_ms / 6;
}

void
mail_lease_take(struct mail_session *s, const struct ticket *t)
{
	if (t->leased_ms == 0 || s->mail->lease_ms == 0)
		return;
	s->lease = pst_str_dup(t->location);
	s->leased_ms = t->leased_ms;
}

static struct pst_str
taker_of(const struct mail_session *s)
{
	return pst_str_c(s->log.sid);
}

/* Without a row it has a place that others may have too: then it sees nothing confirmed. */
static uint32_t
place_of(const struct mail_session *s)
{
	return s->row == MAIL_NO_ROW ? 0 : s->row % LEASE_PLACES;
}

static bool
tell(struct mail_session *s, enum wire_note_kind kind, int64_t now_ms)
{
	struct mail *m = s->mail;
	const struct wire_note note = {
		.kind = (uint8_t)kind,
		.backend = s->backend,
		.at = (uint64_t)now_ms,
		.maildrop = pst_str_c(s->lease),
		.taker = taker_of(s),
		.place = place_of(s),
	};
	uint8_t *message = (uint8_t *)m->file; /* nobody's between two reads */
	const size_t n = wire_note_encode(&note, 0, 0, message);
	struct pst_err err;

	pst_assert(n > 0); /* its strings come from a ticket */
	return m->notes >= 0 && channel_send(m->notes, message, n, -1, &err) == 0;
}

/* What has come meanwhile. */
static void
look(struct mail_session *s)
{
	int64_t at_ms;

	if (s->mail->changes == NULL)
		return;
	switch (leases_read(&s->mail->changes->leases, place_of(s), taker_of(s), &at_ms)) {
	case LEASE_CONFIRMED:
		if (at_ms > s->leased_ms)
			s->leased_ms = at_ms;
		break;
	case LEASE_DENIED:
		s->leased_ms = 0;
		break;
	case LEASE_NOTHING:
		break;
	}
}

static bool
is_good_for(const struct mail_session *s, int64_t now_ms)
{
	return s->leased_ms > 0 && now_ms < s->leased_ms + s->mail->lease_ms - margin_ms(s->mail);
}

bool
mail_lease_holds(struct mail_session *s)
{
	if (s->lease == NULL)
		return true;
	look(s);
	return is_good_for(s, pst_now_ms());
}

void
mail_lease_refuse(struct mail_session *s)
{
	const struct pst_err why = { .kind = PST_E_TEMP };

	pst_log_error(&s->log, "lease.lost", "marked=%" PRIu32 ": nothing was deleted",
	              s->drop.marked);
	mail_session_refuse(s, &why, LOST);
	mail_session_finish(s, "lease-lost");
}

void
mail_lease_leave(struct mail_session *s)
{
	/* One that came in vain has nothing: another session of this server has the lease. */
	if (s->lease != NULL && s->was_open && s->leased_ms > 0)
		(void)tell(s, NOTE_LEASE_END, pst_now_ms());
	free(s->lease);
	s->lease = NULL;
}

static void
attend(struct mail_session *s, int64_t now_ms)
{
	const struct pst_err why = { .kind = PST_E_TEMP };
	const int64_t lease_ms = s->mail->lease_ms;

	look(s);
	if (!is_good_for(s, now_ms)) {
		if (s->phase < MAIL_QUITTING) {
			pst_log_error(&s->log, "lease.lost", "marked=%" PRIu32, s->drop.marked);
			mail_session_end(s, "lease-lost", &why, LOST);
		}
		return;
	}
	if (now_ms < s->leased_ms + lease_ms / 3 || now_ms < s->lease_asked_ms + ASK_AGAIN_MS)
		return;
	if (tell(s, NOTE_LEASE, now_ms))
		s->lease_asked_ms = now_ms;
}

void
mail_lease_tick(struct mail *m)
{
	const int64_t now_ms = pst_now_ms();
	struct mail_session *s, *next;

	if (m->lease_ms == 0)
		return;
	for (s = m->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->lease != NULL && s->phase < MAIL_GONE)
			attend(s, now_ms);
	}
}
