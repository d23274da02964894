/* SPDX-License-Identifier: MIT */
/* Random life of a Maildir beside a model of it: delivery agents, mail readers, sessions that fetch
 * and remove, lost and damaged indexes. After each step the listing is what the model says: every
 * message, once, in order, with its octets and the one UIDL that was ever shown for it.
 *
 *	test_maildir_property [SEEDS [FIRST]]
 *
 * Half of the seeds trust time stamps as the product does (what is young is read again), half trust
 * them at once (so that the index is used all the time). */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "storage/maildir/name.h"
#include "tests/unit/storage/kit.h"

#define DEFAULT_SEEDS 2000
#define STEPS 14
#define MESSAGES 64
#define OCTETS 400

struct message {
	char base[120], flags[24];
	unsigned place;
	bool is_there;
	bool came_back; /* after it was gone; what was shown may be forgotten under other settings */
	char text[OCTETS];
	size_t n;
	uint64_t wire;
	char uidl[72]; /* that was shown; empty: not yet */
};

struct world {
	struct kit kit;
	uint64_t random;
	unsigned long seed;
	int step;
	bool trusts;      /* time stamps, at once */
	bool has_changes; /* of settings and base names */
	unsigned renamed;
	unsigned touched; /* 1 << place */
	long stamps;
	struct message messages[MESSAGES];
	uint32_t count;
};

static unsigned long opened_now; /* from the kernel's caches alone */

static void
fail(const struct world *w, const char *what, const char *detail)
{
	fprintf(stderr, "seed %lu step %d: %s: %s\n", w->seed, w->step, what, detail);
	fprintf(stderr, "log: %s %s\n", w->kit.last_event, w->kit.last_text);
	abort();
}

static uint32_t
pick(struct world *w, uint32_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 33) % n;
}

/* ---- The model ---- */

static void
make_text(struct world *w, struct message *m)
{
	static const char *const parts[] = { "\n",   "\r\n", "\r",         ".",
		                             "text", "\xff", "Subject: x", "" };
	uint32_t n = pick(w, 40);
	size_t i;

	m->n = 0;
	for (; n > 0; n--) {
		const char *part = parts[pick(w, 8)];

		if (*part == '\0')
			m->text[m->n++] = '\0';
		memcpy(m->text + m->n, part, strlen(part));
		m->n += strlen(part);
	}
	m->wire = m->n;
	for (i = 0; i < m->n; i++)
		m->wire += m->text[i] == '\n' && (i == 0 || m->text[i - 1] != '\r');
	if (m->n > 0 && m->text[m->n - 1] != '\n')
		m->wire += 2;
}

static void
make_base(struct world *w, struct message *m)
{
	uint32_t id = w->count, seconds = 1700000000 + pick(w, 4);

	switch (pick(w, 8)) {
	case 0:
		(void)snprintf(m->base, sizeof(m->base), "plain%u", id);
		break;
	case 1:
		(void)snprintf(m->base, sizeof(m->base), "%u.with space%u", seconds, id);
		break;
	case 2:
		(void)snprintf(m->base, sizeof(m->base),
		               "%u.M%uP%u.a-host-with-a-name-that-is-"
		               "long-enough-to-need-a-digest.example",
		               seconds, pick(w, 1000), id);
		break;
	case 3:
		(void)snprintf(m->base, sizeof(m->base), "%u.%u_%u.h,S=%u", seconds, id, id,
		               pick(w, 1000));
		break;
	case 4:
		(void)snprintf(m->base, sizeof(m->base), "%u.\xc3\n\x01%u", seconds, id);
		break;
	default:
		(void)snprintf(m->base, sizeof(m->base), "%u.M%uP%u.mx", seconds, pick(w, 1000000),
		               id);
		break;
	}
}

static const char *
file_name(const struct message *m, char out[160])
{
	(void)snprintf(out, 160, "%s/%s%s", maildir_places[m->place], m->base, m->flags);
	return out;
}

static struct message *
any_message(struct world *w)
{
	uint32_t tries;

	for (tries = 0; w->count > 0 && tries < 20; tries++) {
		struct message *m = &w->messages[pick(w, w->count)];

		if (m->is_there)
			return m;
	}
	return NULL;
}

static int
compare_messages(const void *a, const void *b)
{
	const struct message *const *x = a, *const *y = b;
	struct maildir_key kx, ky;

	maildir_key(pst_str_c((*x)->base), &kx);
	maildir_key(pst_str_c((*y)->base), &ky);
	return maildir_key_compare(&kx, &ky);
}

static uint32_t
sorted(struct world *w, struct message *out[MESSAGES])
{
	uint32_t i, n = 0;

	for (i = 0; i < w->count; i++)
		if (w->messages[i].is_there)
			out[n++] = &w->messages[i];
	qsort(out, n, sizeof(*out), compare_messages);
	return n;
}

/* ---- What others do ---- */

/* A time that the folder never had: where the index trusts at once, the clock may be too coarse to
 * give it one. */
static void
stamp_touched(struct world *w)
{
	unsigned place;
	char path[512];

	for (place = 0; place < PLACE_BOTH; place++) {
		struct timespec times[2] = { { 0, 0 }, { 1000000000 + w->stamps++, 0 } };

		if (!w->trusts || (w->touched & 1u << place) == 0)
			continue;
		kit_path(&w->kit, maildir_places[place], path);
		pst_assert(utimensat(AT_FDCWD, path, times, 0) == 0);
	}
	w->touched = 0;
}

static void
deliver(struct world *w)
{
	struct message *m = &w->messages[w->count];
	char name[160];

	if (w->count == MESSAGES)
		return;
	memset(m, 0, sizeof(*m));
	make_base(w, m);
	make_text(w, m);
	m->place = pick(w, 4) == 0 ? PLACE_CUR : PLACE_NEW;
	m->is_there = true;
	w->count++;
	w->touched |= 1u << m->place;
	kit_put(&w->kit, maildir_places[m->place], strchr(file_name(m, name), '/') + 1, m->text,
	        m->n);
}

static void
rename_one(struct world *w)
{
	static const char *const flags[] = { "", ":2,", ":2,S", ":2,FRS", ":2,T", ":1,x", ":" };
	struct message *m = any_message(w);
	char from[160], to[160];

	if (m == NULL)
		return;
	(void)file_name(m, from);
	w->touched |= 1u << m->place;
	m->place = pick(w, PLACE_BOTH);
	(void)snprintf(m->flags, sizeof(m->flags), "%s", flags[pick(w, 7)]);
	w->touched |= 1u << m->place;
	kit_rename(&w->kit, from, file_name(m, to));
}

static void
remove_one(struct world *w)
{
	struct message *m = any_message(w);
	char name[160];

	if (m == NULL)
		return;
	kit_unlink(&w->kit, file_name(m, name));
	w->touched |= 1u << m->place;
	m->is_there = false;
}

/* From a backup: the same message, and so the same UIDL. */
static void
restore_one(struct world *w)
{
	struct message *m = w->count == 0 ? NULL : &w->messages[pick(w, w->count)];
	char name[160];

	if (m == NULL || m->is_there)
		return;
	m->is_there = true;
	m->came_back = true;
	w->touched |= 1u << m->place;
	kit_put(&w->kit, maildir_places[m->place], strchr(file_name(m, name), '/') + 1, m->text,
	        m->n);
}

static void
damage_index(struct world *w)
{
	static const char *const files[] = { DROP_INDEX_NAME, DROP_INDEX_SPARE };
	const char *file = files[pick(w, 2)];
	char path[512], *text;
	size_t n;

	if (!kit_exists(&w->kit, file))
		return;
	kit_path(&w->kit, file, path);
	n = kit_slurp(path, &text);
	switch (pick(w, 3)) {
	case 0:
		kit_unlink(&w->kit, file);
		break;
	case 1:
		kit_spew(path, text, n == 0 ? 0 : pick(w, (uint32_t)n));
		break;
	default:
		if (n > 0) {
			text[pick(w, (uint32_t)n)] ^= (char)(1 + pick(w, 255));
			kit_spew(path, text, n);
		}
	}
	free(text);
}

static void
let_others_act(struct world *w, uint32_t most)
{
	uint32_t n = pick(w, most);

	for (; n > 0; n--)
		switch (pick(w, 9)) {
		case 0:
		case 1:
		case 2:
			deliver(w);
			break;
		case 3:
			remove_one(w);
			break;
		case 4:
			restore_one(w);
			break;
		default:
			rename_one(w);
		}
	stamp_touched(w);
}

/* ---- A session ---- */

/* Any will do that no message ever had. */
static void
first_uidl(const struct world *w, struct message *m, const char *uidl)
{
	uint32_t i;

	for (i = 0; i < w->count; i++)
		if (strcmp(w->messages[i].uidl, uidl) == 0)
			fail(w, "another message had the UIDL", uidl);
	(void)snprintf(m->uidl, sizeof(m->uidl), "%s", uidl);
	m->came_back = false;
}

static void
check_message(struct world *w, struct message *want, const struct pst_message *got)
{
	char uidl[72], buf[MAILDIR_UIDL_ROOM];
	struct pst_str expected = maildir_uidl(&w->kit.host, pst_str_c(want->base), buf);

	(void)snprintf(uidl, sizeof(uidl), "%.*s", PST_ARG(got->uidl));
	if (got->size_octets != want->wire)
		fail(w, "wrong size", want->base);
	if (w->has_changes &&
	    (want->uidl[0] == '\0' || (want->came_back && strcmp(want->uidl, uidl) != 0)))
		first_uidl(w, want, uidl);
	else if (want->uidl[0] == '\0')
		(void)snprintf(want->uidl, sizeof(want->uidl), "%.*s", PST_ARG(expected));
	if (strcmp(uidl, want->uidl) != 0)
		fail(w, "wrong UIDL", uidl);
}

static uint32_t
check_listing(struct world *w, const struct pst_maildrop *d, struct message *listed[MESSAGES])
{
	uint32_t i, n = sorted(w, listed);
	char *text;

	if (drop_count(d) != n) {
		text = kit_listing(d);
		fail(w, "wrong number of messages", text);
	}
	for (i = 0; i < n; i++) {
		struct pst_message m = kit_message(d, i);

		check_message(w, listed[i], &m);
	}
	return n;
}

static void
check_fetch(struct world *w, struct pst_maildrop *d, uint32_t idx, const struct message *m)
{
	char text[OCTETS + 1];
	struct pst_body body;
	struct pst_err err;
	enum pst_fetch_result result = PST_FETCH_WAIT;

	if (pick(w, 2) == 0)
		result = drop_fetch(d, idx, PST_FETCH_NOWAIT, &body, &err);
	if (result == PST_FETCH_WAIT)
		result = drop_fetch(d, idx, 0, &body, &err);
	if ((result == PST_FETCH_OK) != m->is_there)
		fail(w, m->is_there ? "not found" : "found after it was removed", err.text);
	if (result != PST_FETCH_OK)
		return;
	if (body.length != m->n || pread(body.fd, text, OCTETS, 0) != (ssize_t)m->n ||
	    memcmp(text, m->text, m->n) != 0)
		fail(w, "another message's octets", m->base);
	if (body.crlf && (m->wire != m->n))
		fail(w, "said to have CRLF only", m->base);
	close(body.fd);
}

static void
commit_some(struct world *w, struct pst_maildrop *d, struct message *listed[MESSAGES], uint32_t n)
{
	uint32_t idx[MESSAGES], chosen = 0, removed = 0, i, share = 1 + pick(w, 4);
	struct pst_err err;

	for (i = 0; i < n; i++)
		if (pick(w, share) == 0)
			idx[chosen++] = i;
	if (drop_commit(d, idx, chosen, &removed, &err) != 0 || removed != chosen)
		fail(w, "commit", err.text);
	for (i = 0; i < chosen; i++)
		listed[idx[i]]->is_there = false;
}

static void
check_files(const struct world *w)
{
	uint32_t i, want = 0, got = 0;
	char path[512], name[160];
	unsigned place;

	for (i = 0; i < w->count; i++) {
		want += w->messages[i].is_there;
		if (w->messages[i].is_there &&
		    !kit_exists(&w->kit, file_name(&w->messages[i], name)))
			fail(w, "lost", name);
	}
	for (place = 0; place < PLACE_BOTH; place++) {
		struct dirent *e;
		DIR *dir;

		kit_path(&w->kit, maildir_places[place], path);
		dir = opendir(path);
		while ((e = readdir(dir)) != NULL)
			got += e->d_name[0] != '.';
		closedir(dir);
	}
	if (got != want)
		fail(w, "files", "not as many as there are messages");
}

/* In either of the two ways. */
static struct pst_maildrop *
open_drop(struct world *w)
{
	struct pst_maildrop_spec spec = { .path = w->kit.maildir };
	struct pst_maildrop *d;
	struct pst_err err;

	if (pick(w, 2) == 0 && drop_open_now(&w->kit.self, &spec, &d, &err) == PST_FETCH_OK) {
		opened_now++;
		return d;
	}
	return kit_open(&w->kit);
}

static void
run_session(struct world *w)
{
	struct message *listed[MESSAGES];
	struct pst_maildrop *d = open_drop(w), *second;
	struct pst_err err;
	uint32_t n = check_listing(w, d, listed), i;

	if (pick(w, 8) == 0 &&
	    (kit_try_open(&w->kit, &second, &err) != -1 || err.kind != PST_E_IN_USE))
		fail(w, "opened twice", "");
	if (pick(w, 2) == 0)
		let_others_act(w, 5);
	for (i = 0; i < n; i++)
		if (pick(w, 3) == 0)
			check_fetch(w, d, i, listed[i]);
	if (pick(w, 3) == 0) {
		commit_some(w, d, listed, n);
		check_files(w);
	}
	drop_close(d);
}

static void
change_policy(struct world *w)
{
	static const char *const policies[] = { "basename",
		                                "%v.%u",
		                                "%u",
		                                "courier",
		                                "tpop3d",
		                                "%f+",
		                                "%{uid | hex(8)}%{filename | md5}" };

	kit_policy(&w->kit, policies[pick(w, sizeof(policies) / sizeof(policies[0]))]);
}

/* A program gives files names of its own. */
static void
rebase_some(struct world *w)
{
	uint32_t n = pick(w, 4);
	char from[160], to[160];

	drop_close(open_drop(w)); /* what is changed and renamed at once is not known again */
	for (; n > 0; n--) {
		struct message *m = any_message(w);

		if (m == NULL || m->n < INDEX_PRINT_LEAST)
			continue;
		(void)file_name(m, from);
		(void)snprintf(m->base, sizeof(m->base), "%u.again%u", 1700000000 + pick(w, 4),
		               w->renamed++);
		kit_rename(&w->kit, from, file_name(m, to));
		w->touched |= 1u << m->place;
	}
	stamp_touched(w);
}

static void
run_seed(unsigned long seed)
{
	struct world *w = calloc(1, sizeof(*w));

	kit_init(&w->kit);
	w->seed = seed;
	w->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	w->trusts = seed % 2 == 0;
	if (!w->trusts)
		w->kit.self.margin_ns = MAILDIR_MARGIN_NS;
	w->has_changes = seed % 4 >= 2;
	w->kit.self.keep_ns = seed % 3 == 0 ? 0 : INT64_C(60000000000);
	for (w->step = 0; w->step < STEPS; w->step++) {
		let_others_act(w, 9);
		if (pick(w, 6) == 0)
			damage_index(w);
		else if (w->has_changes && pick(w, 3) == 0)
			change_policy(w);
		else if (w->has_changes && pick(w, 3) == 0)
			rebase_some(w);
		run_session(w);
		if (pick(w, 3) == 0)
			run_session(w); /* nothing changed between them */
	}
	check_files(w);
	kit_clear(&w->kit);
	free(w);
}

int
main(int argc, char **argv)
{
	unsigned long seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_SEEDS;
	unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long seed;
	bool is_fast;

	is_fast = getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0;
	for (seed = first; seed < first + seeds; seed++) {
		/* A tmpfs is ten times faster, but a disk knows more calls. */
		if (is_fast)
			(void)setenv("TMPDIR", seed % 16 < 2 ? "/tmp" : "/dev/shm", 1);
		run_seed(seed);
	}
	printf("%lu seeds, %lu maildrops opened without waiting\n", seeds, opened_now);
	return 0;
}
