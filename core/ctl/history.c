/* SPDX-License-Identifier: MIT */
/* posternctl history: what sessions did to a maildrop, from the lines that are kept with it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/when.h"
#include "ctl/drops.h"
#include "ctl/undo.h"
#include "ipc/history.h"

enum { SUM_SESSIONS, SUM_UNREADABLE };
enum { OPT_SINCE = 1, OPT_UNTIL };

struct history_said {
	int64_t since_s, until_s;
};

struct telling {
	struct drop *d;
	const struct history_said *said;
};

static bool
take(void *arg, int id)
{
	struct history_said *said = arg;
	int64_t *at = id == OPT_SINCE ? &said->since_s : &said->until_s;

	if (pst_when(pst_str_c(optarg), time(NULL), at) && *at > 0)
		return true;
	(void)ctl_fail("\"%s\" is no time: say " PST_WHEN_FORMS, optarg);
	return false;
}

static void
pass_uidl(void *arg, struct pst_str uidl)
{
	(void)arg, (void)uidl;
}

static void
tell_uidl(void *arg, struct pst_str uidl)
{
	drop_say(arg, "    %.*s", PST_ARG(uidl));
}

/* PLAIN over TLS, app password "phone", master support */
static void
say_how(const struct history *h, char *out, size_t room)
{
	char app[300] = "", master[300] = "";

	if (h->app.n > 0)
		(void)snprintf(app, sizeof(app), ", app password \"%.*s\"", PST_ARG(h->app));
	if (h->master.n > 0)
		(void)snprintf(master, sizeof(master), ", master %.*s", PST_ARG(h->master));
	(void)snprintf(out, room, "%.*s%s%s%s", PST_ARG(h->mechanism), h->is_tls ? " over TLS" : "",
	               app, master);
}

static void
tell_session(const struct telling *t, const struct history *h)
{
	const time_t at = (time_t)h->at_s;
	char when[32], how[1024];
	struct tm tm;

	if (localtime_r(&at, &tm) == NULL || strftime(when, sizeof(when), "%F %T", &tm) == 0)
		when[0] = '\0';
	say_how(h, how, sizeof(how));
	drop_say(t->d,
	         "%s  %.*s  %s  retr=%" PRIu32 " top=%" PRIu32 " octets=%" PRIu64
	         " took_ms=%" PRId64 " end=%.*s session=%.*s",
	         when, PST_ARG(h->ip), how, h->retrieved, h->tops, h->octets, h->took_ms,
	         PST_ARG(h->reason), PST_ARG(h->sid));
}

/* The UIDLs come behind what is said of the session: the line is read once more for them. */
static void
tell_removed(const struct telling *t, struct pst_str line, char *scratch)
{
	struct history h;

	(void)history_parse(line, scratch, &h, pass_uidl, NULL);
	if (h.asked == 0)
		return;
	drop_say(t->d, "  removed %" PRIu32 " of %" PRIu32 "%s:", h.deleted, h.asked,
	         h.is_held ? ", held" : "");
	(void)history_parse(line, scratch, &h, tell_uidl, t->d);
	if (h.untold > 0)
		drop_say(t->d, "    and %" PRIu32 " more", h.untold);
}

static void
on_line(void *arg, struct pst_str line)
{
	struct telling *t = arg;
	char *scratch = pst_alloc(line.n + 1);
	struct history h;

	if (!history_parse(line, scratch, &h, pass_uidl, NULL)) {
		drop_count(t->d, SUM_UNREADABLE, 1);
	} else if ((t->said->since_s == 0 || h.at_s >= t->said->since_s) &&
	           (t->said->until_s == 0 || h.at_s < t->said->until_s)) {
		drop_count(t->d, SUM_SESSIONS, 1);
		tell_session(t, &h);
		tell_removed(t, line, scratch);
	}
	free(scratch);
}

static int
tell_history(struct drop *d, void *arg, struct pst_err *err)
{
	struct telling t = { .d = d, .said = arg };

	if (d->storage->notes == NULL)
		return pst_err_set(err, PST_E_PERM, "the storage plugin keeps no history");
	return d->storage->notes(d->drop, on_line, &t, err);
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	(void)arg;
	printf("%" PRIu64 " sessions\n", sum->counts[SUM_SESSIONS]);
	if (sum->counts[SUM_UNREADABLE] > 0)
		(void)ctl_fail("%" PRIu64 " lines cannot be read: damaged, or of a later version",
		               sum->counts[SUM_UNREADABLE]);
}

int
ctl_history(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "until", required_argument, NULL, OPT_UNTIL },
		{ NULL, 0, NULL, 0 },
	};
	struct history_said said = { 0, 0 };
	const struct drops_plan plan = {
		.work = tell_history,
		.arg = &said,
		.is_one = true,
		.options = options,
		.take = take,
		.sum_up = sum_up,
	};

	return drops_command(c, argc, argv, &plan);
}
