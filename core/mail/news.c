/* SPDX-License-Identifier: MIT */
/* What the clerk tells the sessions of this process, and what they tell it: see ipc/changes.h and
 * wire_note. A look costs one atomic load, so that it comes before each command. */
#include "mail/news.h"

#include <inttypes.h>
#include <time.h>

#include "base/mem.h"
#include "ipc/changes.h"
#include "ipc/channel.h"

#define DOOM_MS 10000 /* a doomed session that says nothing ends by itself */
#define GOODBYE "this account may not be used any more, goodbye"

static struct mail_session **
bucket_of(struct mail *m, struct pst_str user)
{
	uint32_t hash = 2166136261u;
	size_t i;

	for (i = 0; i < user.n; i++)
		hash = (hash ^ (uint8_t)user.p[i]) * 16777619u;
	return &m->by_user[hash % MAIL_USER_BUCKETS];
}

void
mail_news_join(struct mail_session *s)
{
	struct mail_session **at = bucket_of(s->mail, s->log.user);

	s->next_of_user = *at;
	*at = s;
}

void
mail_news_part(struct mail_session *s)
{
	struct mail_session **at = bucket_of(s->mail, s->log.user);

	while (*at != s)
		at = &(*at)->next_of_user;
	*at = s->next_of_user;
	s->mail->doomed -= s->is_doomed;
	s->mail->asked -= s->is_asked;
}

/* ---- What is heard ---- */

/* Whose client has said QUIT goes on to its end. */
static void
doom(struct mail_session *s)
{
	if (s->is_doomed || s->phase > MAIL_SERVING)
		return;
	s->is_doomed = true;
	s->doomed_ms = (int64_t)uv_now(s->mail->loop);
	s->mail->doomed++;
}

static bool
is_of_domain(const struct mail_session *s, struct pst_str domain)
{
	struct pst_str user = s->log.user;

	if (domain.n == 0)
		return true;
	return user.n > domain.n && user.p[user.n - domain.n - 1] == '@' &&
	       memcmp(user.p + user.n - domain.n, domain.p, domain.n) == 0;
}

static void
ask(struct mail_session *s, struct pst_str domain)
{
	if (s->is_asked || s->is_doomed || !s->has_ticket || s->phase > MAIL_SERVING ||
	    !is_of_domain(s, domain))
		return;
	s->is_asked = true;
	s->mail->asked++;
}

static void
hear(struct mail *m, const struct change *change)
{
	const struct pst_str name = pst_str_c(change->name);
	struct mail_session *s;

	switch (change->kind) {
	case CHANGE_END:
		for (s = *bucket_of(m, name); s != NULL; s = s->next_of_user)
			if (pst_str_eq(s->log.user, name))
				doom(s);
		break;
	case CHANGE_ASK:
		for (s = m->sessions; s != NULL; s = s->next)
			ask(s, name);
		break;
	}
}

/* ---- What is told ---- */

/* Without waiting: the clerk's queue may be full. */
static bool
tell(struct mail *m, const struct wire_note *note, struct pst_err *err)
{
	uint8_t *message = (uint8_t *)m->file; /* MAIL_CHUNK_MAX, nobody's between two reads */
	const size_t n = wire_note_encode(note, 0, 0, message);

	pst_assert(n > 0); /* its strings come from a ticket */
	return channel_send(m->notes, message, n, -1, err) == 0;
}

static struct wire_note
note_of(const struct mail_session *s, enum wire_note_kind kind)
{
	return (struct wire_note){
		.kind = (uint8_t)kind,
		.backend = s->backend,
		.at = (uint64_t)time(NULL),
		.user = s->log.user,
		.remote_ip = pst_str_c(s->peer),
	};
}

/* A check that finds no room is sent with the next tick. */
static void
send_checks(struct mail *m)
{
	struct mail_session *s;
	struct pst_err err;

	for (s = m->sessions; s != NULL && m->asked > 0; s = s->next) {
		const struct wire_note note = note_of(s, NOTE_CHECK);

		if (!s->is_asked)
			continue;
		if (!tell(m, &note, &err))
			return;
		s->is_asked = false;
		m->asked--;
	}
}

void
mail_news_session(struct mail_session *s)
{
	struct mail *m = s->mail;
	struct wire_note note;
	struct pst_err err;

	if (m->notes < 0 || !s->wants_notes || !s->was_open)
		return;
	note = note_of(s, NOTE_SESSION);
	note.mechanism = pst_str_c(s->mechanism);
	note.retrieved = s->retrieved;
	note.deleted = s->deleted;
	note.octets = s->octets_out;
	note.seconds = (uint32_t)(((int64_t)uv_now(m->loop) - s->started_ms) / 1000);
	if (tell(m, &note, &err)) {
		if (m->notes_lost > 0)
			pst_log_warn(NULL, "mail.notes_back", "lost=%" PRIu64, m->notes_lost);
		m->notes_lost = 0;
	} else if (m->notes_lost++ == 0) {
		pst_log_warn(NULL, "mail.notes_lost", "reason=\"%s\"", err.text);
	}
}

/* ---- When ---- */

void
mail_news_take(struct mail *m)
{
	struct change change;
	int i;

	/* At most as many as there can be: a broken writer holds nobody up. */
	for (i = 0; i <= CHANGES_ROWS && changes_read(m->changes, &m->changes_at, &change); i++)
		hear(m, &change);
	if (m->asked > 0 && m->notes >= 0)
		send_checks(m);
}

void
mail_news_since(struct mail_session *s, uint64_t at)
{
	struct mail *m = s->mail;
	struct change change;
	int i;

	if (m->changes == NULL)
		return;
	for (i = 0; i <= CHANGES_ROWS && at != m->changes_at; i++) {
		if (!changes_read(m->changes, &at, &change))
			break;
		if (change.kind == CHANGE_ASK)
			ask(s, pst_str_c(change.name));
		else if (pst_str_eq(s->log.user, pst_str_c(change.name)))
			doom(s);
	}
	if (m->asked > 0 && m->notes >= 0)
		send_checks(m);
}

void
mail_news_goodbye(struct mail_session *s)
{
	const struct pst_err why = { .kind = PST_E_PERM };

	mail_session_refuse(s, &why, GOODBYE);
	mail_session_finish(s, "suspended");
}

void
mail_news_tick(struct mail *m, int64_t now_ms)
{
	const struct pst_err why = { .kind = PST_E_PERM };
	struct mail_session *s, *next;

	if (m->changes == NULL)
		return;
	mail_news_look(m);
	if (m->asked > 0 && m->notes >= 0)
		send_checks(m);
	for (s = m->doomed > 0 ? m->sessions : NULL; s != NULL; s = next) {
		next = s->next;
		if (s->is_doomed && now_ms - s->doomed_ms >= DOOM_MS && mail_session_is_idle(s))
			mail_session_end(s, "suspended", &why, GOODBYE);
	}
}
