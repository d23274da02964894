/* SPDX-License-Identifier: MIT */
/* A file of any octets as an mbox, through the whole driver.
 *
 * It is refused, or: messages lie one after the other up to the end of the file; read from any of them on
 * they are the same ones; sizes are those of what is sent, by a plain rule; UIDLs may be shown and differ. The
 * next session sees the same, and after some were removed all others are there as they were.
 *
 * The first octet chooses what is removed, the second where UIDLs come from. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/storage/mboxkit.h"

#define MESSAGES_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mboxkit *kit;

static const char *const policies[] = { "digest", "x_uidl", "dovecot", "uw", "cyrus" };
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* ---- The scan ---- */

static void
scan(struct mbox_scan *s, int fd, uint64_t at, uint64_t size, bool *ok_out)
{
	struct pst_err err;

	*s = (struct mbox_scan){
		.host = &kit->host,
		.policy = &kit->self.policy,
		.path = "fuzz",
		.max_messages = 100000,
	};
	*ok_out = mbox_scan(s, fd, at, size, &err) == 0;
}

/* Messages from the last but a few on, found by a reader that begins there. */
static void
check_tail(const struct mbox_scan *all, int fd, uint64_t size, uint32_t from)
{
	struct mbox_scan tail;
	uint32_t i;
	bool ok;

	if (all->messages[from].offset == 0)
		return; /* that is where the first reader began */
	scan(&tail, fd, all->messages[from].offset, size, &ok);
	pst_assert(ok && tail.count == all->count - from);
	for (i = 0; i < tail.count; i++) {
		const struct mbox_message *a = &all->messages[from + i], *b = &tail.messages[i];

		pst_assert(a->offset == b->offset && a->content == b->content &&
		           a->wire == b->wire && a->has_gaps == b->has_gaps);
		pst_assert(memcmp(a->identity, b->identity, MBOX_IDENTITY) == 0);
	}
	mbox_scan_clear(&tail);
}

static void
check_scan(const uint8_t *text, size_t size)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);
	struct mbox_scan s;
	uint32_t i;
	bool ok;

	pst_assert(fd >= 0 && write(fd, text, size) == (ssize_t)size);
	scan(&s, fd, 0, size, &ok);
	for (i = 0; ok && i < s.count; i++) {
		pst_assert(i == 0 || s.messages[i].offset == mbox_end(&s.messages[i - 1]));
		pst_assert(mbox_end(&s.messages[i]) <= size);
		pst_assert(memcmp(text + s.messages[i].offset, "From ", 5) == 0);
	}
	if (ok && s.count > 0) {
		pst_assert(mbox_end(&s.messages[s.count - 1]) == size);
		check_tail(&s, fd, size, s.count - 1);
		check_tail(&s, fd, size, s.count / 2);
	}
	mbox_scan_clear(&s);
	close(fd);
}

/* ---- The driver ---- */

struct seen {
	uint32_t count;
	struct {
		char *text;
		size_t octets;
		char uidl[PST_UIDL_MAX + 1];
	} messages[MESSAGES_MAX];
};

static void
forget(struct seen *seen)
{
	uint32_t i;

	for (i = 0; i < seen->count; i++)
		free(seen->messages[i].text);
	seen->count = 0;
}

static void
take_uidl(struct seen *seen, uint32_t i, struct pst_str uidl)
{
	size_t j;

	pst_assert(uidl.n >= 1 && uidl.n <= PST_UIDL_MAX);
	for (j = 0; j < uidl.n; j++)
		pst_assert(uidl.p[j] >= 0x21 && uidl.p[j] <= 0x7e);
	memcpy(seen->messages[i].uidl, uidl.p, uidl.n);
	seen->messages[i].uidl[uidl.n] = '\0';
	for (j = 0; j < i; j++)
		pst_assert(strcmp(seen->messages[j].uidl, seen->messages[i].uidl) != 0);
}

/* false: refused, or more than this looks at. The octets are checked against the sizes on the way. */
static bool
look(struct seen *seen)
{
	struct pst_maildrop *d;
	struct pst_message m;
	struct pst_err err;
	uint32_t i;

	seen->count = 0;
	if (mboxkit_try_open(kit, &d, &err) != 0)
		return false;
	if (mbox_count(d) > MESSAGES_MAX) {
		mbox_close(d);
		return false;
	}
	for (i = 0; i < mbox_count(d); i++) {
		seen->messages[i].text = mboxkit_fetch(d, i, &seen->messages[i].octets, &err);
		pst_assert(seen->messages[i].text != NULL);
		m = (struct pst_message){ .size_octets = 0 };
		mbox_message_of(d, i, &m);
		pst_assert(m.size_octets == seen->messages[i].octets);
		take_uidl(seen, i, m.uidl);
		seen->count++;
	}
	mbox_close(d);
	return true;
}

static bool
goes(unsigned pattern, uint32_t i)
{
	return (pattern >> i % 8 & 1) != 0;
}

/* Those of before that did not go, in their order. */
static void
check_rest(const struct seen *before, const struct seen *after, unsigned pattern)
{
	uint32_t i, n = 0;

	for (i = 0; i < before->count; i++) {
		if (goes(pattern, i))
			continue;
		pst_assert(n < after->count);
		pst_assert(strcmp(before->messages[i].uidl, after->messages[n].uidl) == 0);
		pst_assert(before->messages[i].octets == after->messages[n].octets);
		pst_assert(memcmp(before->messages[i].text, after->messages[n].text,
		                  after->messages[n].octets) == 0);
		n++;
	}
	pst_assert(n == after->count);
}

static void
check_driver(unsigned pattern)
{
	static struct seen first, again;
	uint32_t idx[MESSAGES_MAX], n = 0, i;
	struct pst_err err;

	if (!look(&first))
		return;
	pst_assert(look(&again));
	check_rest(&first, &again, 0);
	forget(&again);
	for (i = 0; i < first.count; i++)
		if (goes(pattern, i))
			idx[n++] = i;
	pst_assert(mboxkit_remove(kit, idx, n, &err) == 0);
	pst_assert(look(&again));
	check_rest(&first, &again, pattern);
	forget(&again);
	forget(&first);
}

static void
begin(void)
{
	void *state = NULL;

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 1);
	(void)mboxkit_set_up(&state);
	kit = state;
}

static void
end(void)
{
	void *state = kit;

	if (kit != NULL)
		(void)mboxkit_tear_down(&state);
	kit = NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (kit == NULL) {
		begin();
		(void)atexit(end);
	}
	if (size < 2)
		return 0;
	mboxkit_policy(kit, policies[data[1] % POLICIES]);
	check_scan(data + 2, size - 2);
	mboxkit_clear(kit);
	mboxkit_write(kit, data + 2, size - 2);
	check_driver(data[0]);
	return 0;
}
