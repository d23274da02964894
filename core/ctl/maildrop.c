/* SPDX-License-Identifier: MIT */
/* posternctl maildrop index: maildrops are opened and closed, so that their indexes are up to date; and
 * show: what there is to be told of one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl/drops.h"
#include "ctl/maildrop.h"

enum { SUM_MESSAGES, SUM_OCTETS };

struct index_said {
	unsigned flags;
};

static bool
take(void *arg, int id)
{
	struct index_said *said = arg;

	(void)id;
	said->flags |= PST_OPEN_MEASURE;
	return true;
}

static int
index_one(struct drop *d, void *arg, struct pst_err *err)
{
	uint64_t octets = 0;
	uint32_t i;

	(void)arg, (void)err;
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		octets += m.size_octets;
	}
	drop_count(d, SUM_MESSAGES, d->count);
	drop_count(d, SUM_OCTETS, octets);
	return 0;
}

static void
sum_up(void *arg, const struct drops_sum *sum)
{
	(void)arg;
	printf("%u maildrops, %" PRIu64 " messages, %" PRIu64 " octets\n",
	       sum->done - sum->failed - sum->passed, sum->counts[SUM_MESSAGES],
	       sum->counts[SUM_OCTETS]);
}

int
ctl_maildrop_index(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { { "measure", no_argument, NULL, 1 },
		                                 { NULL, 0, NULL, 0 } };
	struct index_said said = { 0 };
	const struct drops_plan plan = {
		.work = index_one,
		.arg = &said,
		.flags = &said.flags,
		.options = options,
		.take = take,
		.sum_up = sum_up,
	};

	return drops_command(c, argc, argv, &plan);
}

/* ---- show ---- */

static void
say_time(struct drop *d, const char *what, const char *which, int64_t at)
{
	const time_t t = (time_t)at;
	char text[40] = "?";
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm);
	drop_say(d, "%-10s %s (%s)", what, text, which);
}

static void
say_files(struct drop *d)
{
	static const struct {
		const char *name, *what;
	} files[] = {
		{ "postern.index", "index" },       { "postern.ledger", "ledger" },
		{ "dovecot-uidlist", "Dovecot's" }, { "courierpop3dsizelist", "Courier's" },
		{ "maildirsize", "quota" },
	};
	const char *slash = strrchr(d->row.path, '/');
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[5000];

		(void)snprintf(path, sizeof(path), "%s/%s", d->row.path, files[i].name);
		if (stat(path, &st) != 0 && slash != NULL) /* beside an mbox */
			(void)snprintf(path, sizeof(path), "%.*s/.%s.%s",
			               (int)(slash - d->row.path), d->row.path, slash + 1,
			               files[i].name);
		if (stat(path, &st) == 0)
			say_time(d, files[i].what, files[i].name, (int64_t)st.st_mtim.tv_sec);
	}
}

static void
say_owner(struct drop *d)
{
	struct stat st;

	if (stat(d->row.path, &st) != 0)
		drop_say(d, "%-10s there is none: an empty maildrop", "mail");
	else
		drop_say(d, "%-10s %u:%u, mode %04o", "owner", (unsigned)st.st_uid,
		         (unsigned)st.st_gid, (unsigned)st.st_mode & 07777u);
	drop_say(d, "%-10s %u:%u", "opened as", (unsigned)geteuid(), (unsigned)getegid());
}

static int
show_one(struct drop *d, void *arg, struct pst_err *err)
{
	uint64_t octets = 0;
	uint32_t i;
	int64_t at;

	(void)arg;
	drop_say(d, "%-10s %s%s", "user", d->row.user, d->row.is_disabled ? " (disabled)" : "");
	drop_say(d, "%-10s %s:%s", "location", d->row.storage, d->row.path);
	say_owner(d);
	say_files(d);
	if (drop_open(d, 0, err) != 0) {
		drop_say(d, "%-10s %s", "lock",
		         err->kind == PST_E_IN_USE ? "a session has it" : "not had");
		return -1;
	}
	drop_say(d, "%-10s free", "lock");
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		drop_message(d, i, &m);
		octets += m.size_octets;
	}
	drop_say(d, "%-10s %" PRIu32, "messages", d->count);
	drop_say(d, "%-10s %" PRIu64, "octets", octets);
	if (d->count > 0 && d->storage->received != NULL &&
	    d->storage->received(d->drop, 0, &at, err) == 0)
		say_time(d, "oldest", "message 1", at);
	return 0;
}

int
ctl_maildrop_show(struct ctl *c, int argc, char **argv)
{
	const struct drops_plan plan = { .work = show_one, .is_one = true, .does_not_open = true };

	return drops_command(c, argc, argv, &plan);
}
