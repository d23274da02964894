/* SPDX-License-Identifier: MIT */
/* Mail that is too old; see expire.h. */
#include "mail/expire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <postern/auth.h>

#include "base/mem.h"
#include "ipc/holders.h"
#include "ipc/ticket.h"

#define DAY_S 86400

static uint32_t
days_of(const struct mail_keeping *keeping, const struct ticket *t)
{
	if (t == NULL || t->expire_days == 0)
		return keeping->expire_days;
	if (t->expire_days == PST_AUTH_NO_DAYS)
		return 0;
	return t->expire_days < keeping->expire_least ? keeping->expire_least : t->expire_days;
}

void
mail_expire_init(struct mail_session *s, const struct ticket *t)
{
	const struct pst_storage *st = s->drop.storage;

	if (st != NULL && st->received != NULL)
		s->expire_days = days_of(&s->mail->keeping, t);
}

static uint32_t
today(void)
{
	return (uint32_t)(time(NULL) / DAY_S);
}

/* A session that may read only changes nothing: another one does it. */
void
mail_expire_prepare(struct mail_session *s)
{
	const struct mail *m = s->mail;

	s->drop.expire_days = 0;
	if (s->expire_days == 0 || s->is_read_only || m->holders == NULL || s->holder_drop == 0)
		return;
	if (!holders_was_looked_through(m->holders, s->holder_drop, today()))
		s->drop.expire_days = s->expire_days;
}

/* ---- In the pool ---- */

/* Those that came before that time, ascending; -1: it cannot be told. */
static int
list_old(struct maildrop *d, int64_t before_s, uint32_t *idx, uint32_t *n_out, struct pst_err *err)
{
	const uint32_t count = d->storage->count(d->drop);
	uint32_t i;

	*n_out = 0;
	for (i = 0; i < count; i++) {
		int64_t at_s = 0;

		if (d->storage->received(d->drop, i, &at_s, err) != 0)
			return -1;
		if (at_s > 0 && at_s < before_s)
			idx[(*n_out)++] = i;
	}
	return 0;
}

static int
remove_old(struct maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed,
           struct pst_err *err)
{
	const struct pst_hold how = { .now_s = time(NULL), .session = d->session };

	if (d->closing.hold_days == 0)
		return d->storage->commit(d->drop, idx, n, removed, err);
	if (d->storage->hold != NULL)
		return d->storage->hold(d->drop, idx, n, &how, removed, err);
	return pst_err_set(err, PST_E_PERM,
	                   "hold_days is set, and this storage plugin cannot keep what is removed");
}

bool
maildrop_expire(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	const int64_t before_s = time(NULL) - (int64_t)d->expire_days * DAY_S;
	const uint32_t count = d->storage->count(d->drop);
	uint32_t *idx = pst_new_array(uint32_t, count > 0 ? count : 1);
	uint32_t n;
	bool is_changed = false;

	if (list_old(d, before_s, idx, &n, &job->aside_err) != 0) {
		job->aside = "expire";
	} else if (n > 0) {
		is_changed = true;
		if (remove_old(d, idx, n, &job->removed, &job->aside_err) != 0)
			job->aside = "expire";
	}
	free(idx);
	return is_changed;
}

/* ---- On the loop ---- */

void
mail_expire_tell(struct mail_session *s, const struct maildrop_job *job)
{
	if (s->drop.expire_days == 0)
		return;
	if (job->removed > 0)
		pst_log_info(&s->log, "maildrop.expire", "removed=%" PRIu32 " days=%" PRIu32,
		             job->removed, s->drop.expire_days);
	if (job->aside != NULL)
		pst_log_warn(&s->log, "maildrop.aside_failed", "what=%s reason=\"%s\"", job->aside,
		             job->aside_err.text);
	/* Also where it failed: it would fail with every poll of this day. */
	holders_looked_through(s->mail->holders, s->holder_drop, today());
	s->drop.expire_days = 0;
}
