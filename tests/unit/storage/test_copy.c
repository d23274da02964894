/* SPDX-License-Identifier: MIT */
/* Messages go from a Maildir to an mbox and on to another Maildir, through nothing but postern/storage.h:
 * octets as they are sent, order, UIDLs, times and flags stay, whatever the messages hold, and also where
 * the indexes are lost. POSTERN_COPY_SEEDS says how many maildrops are tried. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ctl/wirebody.h"
#include "plugin/loader.h"

#define MESSAGES_MAX 14
#define ROOM 220000

struct side {
	struct plugin *plugin;
	const struct pst_storage *storage;
	void *self;
};

struct bench {
	struct pst_arena *arena;
	struct side maildir, mbox;
	char root[64];
	unsigned seed;
};

static struct pst_err err;

/* ---- Plugins ---- */

static void
start(struct bench *b, const char *name, struct side *out)
{
	struct conf_problems problems;
	struct conf_texts texts;

	out->plugin = plugin_load(TEST_BUILDDIR "/storage/.libs", name, name, PST_STORAGE, &err);
	if (out->plugin == NULL)
		fail_msg("%s", err.text);
	conf_texts_init(&texts, b->arena);
	conf_problems_init(&problems, b->arena);
	plugin_configure(out->plugin, pst_arena_printf(b->arena, "storage.%s", name), &texts,
	                 &problems);
	assert_int_equal(problems.n, 0);
	assert_int_equal(plugin_start(out->plugin, "test", &err), 0);
	out->storage = plugin_descriptor(out->plugin)->storage;
	out->self = plugin_self(out->plugin);
}

static int
set_up(void **state)
{
	struct bench *b = pst_new(struct bench);

	b->arena = pst_arena_create();
	/* all is synced, which a real disk takes its time for */
	(void)snprintf(b->root, sizeof(b->root), "%s/postern-copy-XXXXXX",
	               access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(b->root));
	start(b, "maildir", &b->maildir);
	start(b, "mbox", &b->mbox);
	*state = b;
	return 0;
}

static void
remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char below[1200];

	if (dir == NULL) {
		(void)unlink(path);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		remove_tree(below);
	}
	closedir(dir);
	(void)rmdir(path);
}

static int
tear_down(void **state)
{
	struct bench *b = *state;

	plugin_unload(b->maildir.plugin);
	plugin_unload(b->mbox.plugin);
	remove_tree(b->root);
	pst_arena_destroy(b->arena);
	free(b);
	return 0;
}

/* ---- Messages that nobody expects ---- */

static unsigned
rnd(struct bench *b, unsigned below)
{
	b->seed = b->seed * 1103515245u + 12345u;
	return (b->seed >> 8) % below;
}

#define P(s)                                                                                       \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}
static const struct pst_str pieces[] = {
	P("Subject: hello\n"),
	P("Return-Path: <ann@example.org>\n"),
	P("\n"),
	P("\r\n"),
	P("\r"),
	P("\0"),
	P("\n\n"),
	P("From someone Thu Nov  9 22:06:57 2023\n"),
	P("From nobody at all\n"),
	P(">From a@b Thu Nov  9 22:06:57 2023\n"),
	P("From "),
	P("F"),
	P("Status: RO\n"),
	P("X-Status: D\n"),
	P("X-UID: 5\n"),
	P("X-Keywords: a b\n"),
	P("X-IMAPbase: 1700000000 17\n"),
	P("X-IMAP: 1700000000 17\n"),
	P("Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"),
	P("Content-Length: 3\n"),
	P("Content-Length: 100000000000000000000\n"),
	P("X-Postern-Octets: 5 abc\n"),
	P("X-Postern-Octets: 0\n"),
	P(" folded\n"),
	P("\t"),
	P(".\r\n"),
	P("..\n"),
	P("body \xff\xfe\x80 text\n"),
	P("no line end"),
	P(": no name\n"),
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

static size_t
make_message(struct bench *b, char *out)
{
	unsigned n = rnd(b, 12), long_one = rnd(b, 40);
	size_t len = 0;

	while (n-- > 0) {
		const struct pst_str *p = &pieces[rnd(b, PIECES)];

		memcpy(out + len, p->p, p->n);
		len += p->n;
	}
	if (long_one < 2) { /* a line, or a header, beyond what is looked at */
		memset(out + len, 'x', 70000);
		len += 70000;
		out[len++] = long_one == 0 ? '\n' : 'y';
	}
	if (rnd(b, 3) == 0)
		out[len++] = '\n';
	return len;
}

static void
deliver(struct bench *b, const char *root, unsigned number)
{
	static char text[ROOM];
	char path[512];
	size_t n = make_message(b, text);
	const time_t when = 1600000000 + (time_t)rnd(b, 100000000);
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
	bool is_seen = rnd(b, 2) == 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s/%u.M%uP1.test%s", root, is_seen ? "cur" : "new",
	               1700000000 + number, number, is_seen ? ":2,S" : "");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void
make_maildir(struct bench *b, const char *root, unsigned from, unsigned n)
{
	static const char *const folders[] = { "", "/new", "/cur", "/tmp" };
	char path[512];
	size_t i;

	for (i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", root, folders[i]);
		(void)mkdir(path, 0700);
	}
	while (n-- > 0)
		deliver(b, root, from++);
}

/* ---- Copying and comparing ---- */

struct fact {
	char uidl[PST_UIDL_MAX + 1];
	uint64_t size;
	int64_t received_s;
	bool is_seen, has_no_header_end;
	struct octets_digest octets;
};

static struct pst_maildrop *
open_drop(const struct side *s, const char *path)
{
	const struct pst_maildrop_spec spec = { .path = path, .user = PST_LIT("u") };
	struct pst_maildrop *d;

	if (s->storage->open(s->self, &spec, &d, &err) != 0)
		fail_msg("%s: %s", path, err.text);
	return d;
}

static uint32_t
take_facts(const struct side *s, const char *path, struct fact *out)
{
	struct pst_maildrop *d = open_drop(s, path);
	uint32_t n = s->storage->count(d), i;

	for (i = 0; i < n; i++) {
		struct pst_message m = { .size_octets = 0 };
		struct pst_envelope e;

		s->storage->message(d, i, &m);
		(void)snprintf(out[i].uidl, sizeof(out[i].uidl), "%.*s", PST_ARG(m.uidl));
		out[i].size = m.size_octets;
		out[i].has_no_header_end = m.has_no_header_end;
		if (s->storage->received(d, i, &out[i].received_s, &err) != 0 ||
		    s->storage->envelope(d, i, &e, &err) != 0 ||
		    wirebody_digest(s->storage, d, i, &out[i].octets, &err) != 0)
			fail_msg("%s: %s", path, err.text);
		out[i].is_seen = e.is_seen;
		/* the ending dot's line, and perhaps stuffed dots */
		assert_true(out[i].octets.count >= m.size_octets + 3);
	}
	s->storage->close(d);
	return n;
}

static void
same_facts(const struct fact *a, const struct fact *b, uint32_t n, const char *what)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(a[i].uidl, b[i].uidl) != 0)
			fail_msg("%s: message %u: UIDL %s, not %s", what, i, b[i].uidl, a[i].uidl);
		if (a[i].size != b[i].size || memcmp(a[i].octets.exact, b[i].octets.exact, 32) != 0)
			fail_msg("%s: message %u (%s): other octets", what, i, a[i].uidl);
		if (a[i].has_no_header_end != b[i].has_no_header_end)
			fail_msg("%s: message %u (%s): other end of its header", what, i,
			         a[i].uidl);
		if (a[i].received_s != b[i].received_s || a[i].is_seen != b[i].is_seen)
			fail_msg("%s: message %u: other time or flag", what, i);
	}
}

struct passenger {
	const struct side *from;
	struct pst_maildrop *d;
	uint32_t idx;
};

static int
open_passenger(void *arg, struct pst_body *out, struct pst_err *e)
{
	const struct passenger *p = arg;

	return p->from->storage->fetch(p->d, p->idx, 0, out, e) == PST_FETCH_OK ? 0 : -1;
}

static void
copy(const struct side *from, const char *a, const struct side *to, const char *b)
{
	struct pst_new_message msgs[2 * MESSAGES_MAX];
	struct passenger all[2 * MESSAGES_MAX];
	struct pst_maildrop *source = open_drop(from, a), *target = open_drop(to, b);
	uint32_t n = from->storage->count(source), i;

	for (i = 0; i < n; i++) {
		struct pst_message m = { .size_octets = 0 };
		struct pst_envelope e;

		all[i] = (struct passenger){ from, source, i };
		from->storage->message(source, i, &m);
		msgs[i] = (struct pst_new_message){ .open = open_passenger,
			                            .arg = &all[i],
			                            .uidl = m.uidl };
		assert_int_equal(from->storage->received(source, i, &msgs[i].received_s, &err), 0);
		assert_int_equal(from->storage->envelope(source, i, &e, &err), 0);
		msgs[i].is_seen = e.is_seen;
	}
	if (to->storage->add(target, msgs, n, &err) != 0)
		fail_msg("%s: %s", b, err.text);
	to->storage->close(target);
	from->storage->close(source);
}

static void
forget_indexes(const char *path)
{
	char index[1200];
	const char *slash = strrchr(path, '/');

	(void)snprintf(index, sizeof(index), "%s/postern.index", path);
	(void)unlink(index);
	(void)snprintf(index, sizeof(index), "%s/postern.index.spare", path);
	(void)unlink(index);
	(void)snprintf(index, sizeof(index), "%.*s/.%s.postern.index", (int)(slash - path), path,
	               slash + 1);
	(void)unlink(index);
	(void)snprintf(index, sizeof(index), "%.*s/.%s.postern.index.spare", (int)(slash - path),
	               path, slash + 1);
	(void)unlink(index);
}

/* ---- Tests ---- */

static void
round_trip(struct bench *b, unsigned seed)
{
	static struct fact want[2 * MESSAGES_MAX], got[2 * MESSAGES_MAX];
	char first[128], second[128], box[128], back[128], more[160];
	uint32_t n, k;

	b->seed = seed;
	(void)snprintf(first, sizeof(first), "%s/%u.a", b->root, seed);
	(void)snprintf(second, sizeof(second), "%s/%u.b", b->root, seed);
	(void)snprintf(box, sizeof(box), "%s/%u.box", b->root, seed);
	(void)snprintf(back, sizeof(back), "%s/%u.back", b->root, seed);
	make_maildir(b, first, 0, 1 + rnd(b, MESSAGES_MAX - 1));
	make_maildir(b, second, 100, 1 + rnd(b, MESSAGES_MAX - 1));

	n = take_facts(&b->maildir, first, want);
	k = take_facts(&b->maildir, second, want + n);
	copy(&b->maildir, first, &b->mbox, box);
	assert_int_equal(take_facts(&b->mbox, box, got), n);
	same_facts(want, got, n, "in an mbox");
	copy(&b->maildir, second, &b->mbox, box);
	assert_int_equal(take_facts(&b->mbox, box, got), n + k);
	same_facts(want, got, n + k, "behind others in an mbox");
	copy(&b->mbox, box, &b->maildir, back);
	assert_int_equal(take_facts(&b->maildir, back, got), n + k);
	same_facts(want, got, n + k, "back in a Maildir");

	forget_indexes(box);
	assert_int_equal(take_facts(&b->mbox, box, got), n + k);
	same_facts(want, got, n + k, "in an mbox without its index");
	forget_indexes(back);
	assert_int_equal(take_facts(&b->maildir, back, got), n + k);
	same_facts(want, got, n + k, "in a Maildir without its index");
	remove_tree(first);
	remove_tree(second);
	remove_tree(back);
	remove_tree(box);
	forget_indexes(box);
	(void)snprintf(more, sizeof(more), "%s/.%u.box.postern.lock", b->root, seed);
	(void)unlink(more);
}

static void
test_any_message_goes_to_an_mbox_and_back_as_it_is(void **state)
{
	const char *text = getenv("POSTERN_COPY_SEEDS");
	const unsigned seeds = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 150;
	unsigned seed;

	for (seed = 1; seed <= seeds; seed++)
		round_trip(*state, seed);
}

static int
open_text(void *arg, struct pst_body *out, struct pst_err *e)
{
	const char *text = arg;
	char name[] = "/tmp/postern-copy-text-XXXXXX";
	int fd = mkstemp(name);

	(void)e;
	assert_true(fd >= 0);
	(void)unlink(name);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	*out = (struct pst_body){ .fd = fd, .length = strlen(text) };
	return 0;
}

static int
open_nothing(void *arg, struct pst_body *out, struct pst_err *e)
{
	(void)arg, (void)out;
	return pst_err_set(e, PST_E_TEMP, "it is gone");
}

/* UIDLs that no file can be called by, and no order of theirs. */
static void
test_uidls_that_are_no_names_stay_in_a_maildir(void **state)
{
	struct bench *b = *state;
	static const char *const uidls[] = { "zz",    "aa/b",   "c:d", ".e",
		                             "1,S=5", "1,W=99", "~",   "0001" };
	struct pst_new_message msgs[8];
	struct fact got[8];
	char path[128];
	struct pst_maildrop *d;
	unsigned i, attempt;

	(void)snprintf(path, sizeof(path), "%s/names", b->root);
	for (i = 0; i < 8; i++)
		msgs[i] = (struct pst_new_message){ .open = open_text,
			                            .arg = (void *)(uintptr_t) "Subject: x\n\nyz\n",
			                            .uidl = pst_str_c(uidls[i]),
			                            .received_s = 1000000000 - i,
			                            .is_seen = i % 2 == 0 };
	d = open_drop(&b->maildir, path);
	assert_int_equal(b->maildir.storage->add(d, msgs, 8, &err), 0);
	b->maildir.storage->close(d);
	for (attempt = 0; attempt < 3; attempt++) { /* also where nothing changed, */
		if (attempt == 2)
			forget_indexes(path); /* and by the ledger alone */
		assert_int_equal(take_facts(&b->maildir, path, got), 8);
		for (i = 0; i < 8; i++) {
			assert_string_equal(got[i].uidl, uidls[i]);
			assert_int_equal(got[i].received_s, 1000000000 - i);
			assert_int_equal(got[i].is_seen, i % 2 == 0);
		}
	}
	remove_tree(path);
}

/* All or none: the last of them cannot be read, or has a UIDL that cannot be. */
static void
refuse(struct bench *b, const struct side *s, const char *path, bool is_there)
{
	struct pst_new_message msgs[3];
	struct fact before[MESSAGES_MAX], after[MESSAGES_MAX];
	uint32_t n = 0, i, how;
	struct pst_maildrop *d;

	for (i = 0; i < 3; i++)
		msgs[i] =
			(struct pst_new_message){ .open = open_text,
			                          .arg = (void *)(uintptr_t) "Subject: x\n\ny\n" };
	if (is_there) {
		d = open_drop(s, path);
		msgs[0].uidl = PST_LIT("one");
		assert_int_equal(s->storage->add(d, msgs, 2, &err), 0);
		s->storage->close(d);
		n = take_facts(s, path, before);
		assert_int_equal(n, 2);
		msgs[0].uidl = PST_LIT("");
	}
	for (how = 0; how < (is_there ? 4 : 3); how++) {
		msgs[1].uidl = msgs[2].uidl = PST_LIT("");
		msgs[2].open = how == 0 ? open_nothing : open_text;
		if (how == 1)
			msgs[2].uidl = PST_LIT("with space");
		if (how == 2)
			msgs[1].uidl = msgs[2].uidl = PST_LIT("twice");
		if (how == 3)
			msgs[2].uidl = PST_LIT("one");
		d = open_drop(s, path);
		assert_int_equal(s->storage->add(d, msgs, 3, &err), -1);
		s->storage->close(d);
		if (is_there) {
			assert_int_equal(take_facts(s, path, after), n);
			same_facts(before, after, n, "after a refusal");
		} else {
			assert_int_equal(access(path, F_OK), -1);
		}
	}
	remove_tree(path);
	(void)b;
}

static void
test_all_are_added_or_none(void **state)
{
	struct bench *b = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/none", b->root);
	refuse(b, &b->maildir, path, false);
	refuse(b, &b->maildir, path, true);
	refuse(b, &b->mbox, path, false);
	forget_indexes(path);
	refuse(b, &b->mbox, path, true);
	forget_indexes(path);
}

/* What other programs do to the file afterwards: a delivery, a removal before it, a header of theirs. */
static void
test_other_programs_may_change_the_mbox_then(void **state)
{
	static const char odd[] =
		"Subject: s\nStatus: O\n\nFrom a Thu Nov  9 22:06:57 2023\nno end";
	static const char mail[] = "From x@y Thu Nov  9 22:06:57 2023\nSubject: late\n\nlate\n\n";
	struct bench *b = *state;
	struct pst_new_message msgs[3];
	struct fact want[4], got[4];
	const uint32_t first = 0;
	char path[128];
	struct pst_maildrop *d;
	uint32_t removed, i;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/changed", b->root);
	for (i = 0; i < 3; i++)
		msgs[i] = (struct pst_new_message){ .open = open_text,
			                            .arg = (void *)(uintptr_t)odd,
			                            .uidl = pst_str_c(i == 0   ? "a"
			                                              : i == 1 ? "b"
			                                                       : "c") };
	d = open_drop(&b->mbox, path);
	assert_int_equal(b->mbox.storage->add(d, msgs, 3, &err), 0);
	b->mbox.storage->close(d);
	assert_int_equal(take_facts(&b->mbox, path, want), 3);
	f = fopen(path, "ae");
	assert_non_null(f);
	assert_int_equal(fwrite(mail, 1, sizeof(mail) - 1, f), sizeof(mail) - 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(take_facts(&b->mbox, path, got), 4);
	same_facts(want, got, 3, "after a delivery");
	d = open_drop(&b->mbox, path);
	assert_int_equal(b->mbox.storage->commit(d, &first, 1, &removed, &err), 0);
	b->mbox.storage->close(d);
	forget_indexes(path);
	assert_int_equal(take_facts(&b->mbox, path, got), 3);
	same_facts(want + 1, got, 2, "after a removal");
	remove_tree(path);
	forget_indexes(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_message_goes_to_an_mbox_and_back_as_it_is),
		cmocka_unit_test(test_uidls_that_are_no_names_stay_in_a_maildir),
		cmocka_unit_test(test_all_are_added_or_none),
		cmocka_unit_test(test_other_programs_may_change_the_mbox_then),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
