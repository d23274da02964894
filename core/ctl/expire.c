/* SPDX-License-Identifier: MIT */
/* posternctl maildrop expire: messages that were in a maildrop for longer than its account allows are
 * removed, as a session removes them. For cron. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <postern/auth.h>

#include "base/mem.h"
#include "ctl/drops.h"
#include "ctl/maildrop.h"

#define DAY_S INT64_C(86400)

enum { SUM_EXPIRED, SUM_OCTETS, SUM_LET_GO };
enum { OPT_DRY_RUN = 1, OPT_DAYS };

struct said {
	bool is_dry;
	uint64_t
		days; /* for accounts that say nothing, in place of mail.expire_days; 0: not said */
	int64_t now_s;
};

static bool
take(void *arg, int id)
{
	struct said *s = arg;

	if (id == OPT_DRY_RUN) {
		s->is_dry = true;
		return true;
	}
	if (pst_str_u64(pst_str_c(optarg), &s->days) && s->days > 0 && s->days <= 36500)
		return true;
	(void)ctl_fail("--days: \"%s\" is not a number from 1 to 36500", optarg);
	return false;
}

/* Of the account, else of the settings; 0: for ever. */
static int64_t
days_of(uint32_t said, int64_t settings)
{
	return said == PST_AUTH_NO_DAYS ? 0 : said > 0 ? (int64_t)said : settings;
}

/* Ascending places of what came before before_s. malloc'ed. */
static int
find_old(struct drop *d, int64_t before_s, uint32_t **idx_out, uint32_t *n_out,
         uint64_t *octets_out, struct pst_err *err)
{
	uint32_t *idx = pst_new_array(uint32_t, d->count + 1u);
	uint32_t i, n = 0;

	*octets_out = 0;
	for (i = 0; i < d->count; i++) {
		struct pst_message m;
		int64_t came_s;

		if (d->storage->received(d->drop, i, &came_s, err) != 0) {
			free(idx);
			return -1;
		}
		if (came_s == 0 || came_s >= before_s) /* 0: nobody knows */
			continue;
		drop_message(d, i, &m);
		*octets_out += m.size_octets;
		idx[n++] = i;
	}
	*idx_out = idx;
	*n_out = n;
	return 0;
}

static int
remove_old(struct drop *d, const struct said *s, const uint32_t *idx, uint32_t n, int64_t hold_days,
           struct pst_err *err)
{
	const struct pst_hold how = { .now_s = s->now_s, .session = PST_LIT("expire") };
	uint32_t removed = 0;
	int rc;

	if (hold_days > 0 && d->storage->hold == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "hold_days is set, and its storage plugin cannot keep what is "
		                   "removed: nothing was removed");
	rc = hold_days > 0 ? d->storage->hold(d->drop, idx, n, &how, &removed, err)
	                   : d->storage->commit(d->drop, idx, n, &removed, err);
	drop_count(d, SUM_EXPIRED, removed);
	return rc;
}

static int
expire(struct drop *d, const struct said *s, int64_t days, int64_t hold_days, struct pst_err *err)
{
	uint64_t octets;
	uint32_t *idx, n;
	int rc = 0;

	if (d->storage->received == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "its storage plugin cannot tell when messages came");
	if (find_old(d, s->now_s - days * DAY_S, &idx, &n, &octets, err) != 0)
		return -1;
	if (n > 0)
		drop_say(d, "%s\t%" PRIu32 " messages\t%" PRIu64 " octets\tolder than %lld days",
		         d->row.user, n, octets, (long long)days);
	drop_count(d, SUM_OCTETS, octets);
	if (s->is_dry)
		drop_count(d, SUM_EXPIRED, n);
	else if (n > 0)
		rc = remove_old(d, s, idx, n, hold_days, err);
	free(idx);
	return rc;
}

/* What is kept for longer than it is to be. */
static int
let_go(struct drop *d, const struct said *s, int64_t hold_days, struct pst_err *err)
{
	const struct pst_held which = { .until_s = s->now_s - hold_days * DAY_S };
	uint32_t n = 0;
	int rc;

	if (s->is_dry || hold_days == 0 || d->storage->let_go == NULL)
		return 0;
	rc = d->storage->let_go(d->drop, &which, &n, err);
	drop_count(d, SUM_LET_GO, n);
	return rc;
}

/* As a session would (core/mail/expire.c), where --days says nothing. */
static int64_t
expire_days_of(const struct drop_row *row, const struct said *s, const struct mail_settings *mail)
{
	const int64_t days =
		days_of(row->expire_days, s->days > 0 ? (int64_t)s->days : mail->expire_days);
	const bool is_own = row->expire_days > 0 && row->expire_days != PST_AUTH_NO_DAYS;

	return is_own && days < mail->expire_least ? mail->expire_least : days;
}

static int
work(struct drop *d, void *arg, struct pst_err *err)
{
	const struct said *s = arg;
	const struct mail_settings *mail = &d->settings->mail;
	const int64_t days = expire_days_of(&d->row, s, mail);
	const int64_t hold_days = days_of(d->row.hold_days, mail->hold_days);

	if (days == 0 && hold_days == 0)
		return 0;
	if (drop_open(d, 0, err) != 0)
		return -1;
	if (let_go(d, s, hold_days, err) != 0)
		return -1;
	return days == 0 ? 0 : expire(d, s, days, hold_days, err);
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	const struct said *s = arg;

	printf("%u maildrops: %" PRIu64 " messages, %" PRIu64 " octets %s", sum->done - sum->failed,
	       sum->counts[SUM_EXPIRED], sum->counts[SUM_OCTETS],
	       s->is_dry ? "would be removed" : "were removed");
	if (sum->counts[SUM_LET_GO] > 0)
		printf(", and %" PRIu64 " that were kept since they had been removed",
		       sum->counts[SUM_LET_GO]);
	(void)putchar('\n');
}

int
ctl_maildrop_expire(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "days", required_argument, NULL, OPT_DAYS },
		{ NULL, 0, NULL, 0 },
	};
	struct said s = { .now_s = (int64_t)time(NULL) };
	const struct drops_plan plan = {
		.work = work,
		.arg = &s,
		.does_not_open = true,
		.options = options,
		.take = take,
		.sum_up = sum_up,
	};

	return drops_command(c, argc, argv, &plan);
}
