/* SPDX-License-Identifier: MIT */
#include "tests/unit/mail/fake_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "pop3/body.h"

struct pst_maildrop {
	struct fake *of;
};

static void
enter(struct fake *f)
{
	pst_assert(atomic_fetch_add(&f->calls, 1) == 0);
}

static void
leave(struct fake *f)
{
	atomic_fetch_sub(&f->calls, 1);
}

static void
wait_for_go(struct fake *f)
{
	while (f->is_slow && sem_wait(&f->go) != 0)
		;
}

static void
forget_removed(struct fake *f)
{
	uint32_t i, kept = 0;

	for (i = 0; f->forgets && i < f->n; i++) {
		if (f->v[i].is_removed)
			free((char *)(uintptr_t)f->v[i].text.p);
		else
			f->v[kept++] = f->v[i];
	}
	if (f->forgets)
		f->n = kept;
}

static int
fake_received(struct pst_maildrop *drop, uint32_t idx, int64_t *received_s_out, struct pst_err *err)
{
	struct fake *f = drop->of;

	(void)err;
	enter(f);
	pst_assert(idx < f->n);
	f->looked_at++;
	*received_s_out = f->v[idx].received_s;
	leave(f);
	return 0;
}

static int
fake_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	struct fake *f = self;
	int rc = 0;

	if (f->is_exclusive && f->opens > f->closes) /* another one's calls may go on meanwhile */
		return pst_err_set(err, PST_E_IN_USE, "locked by another session");
	enter(f);
	pst_assert(strcmp(spec->path, "/fake") == 0);
	wait_for_go(f);
	if (f->is_locked)
		rc = pst_err_set(err, PST_E_IN_USE, "locked by pid 1");
	else if (f->fails != 0)
		rc = pst_err_set(err, f->fails, "secret path /fake");
	if (rc == 0) {
		forget_removed(f);
		*drop_out = pst_new(struct pst_maildrop);
		(*drop_out)->of = f;
		f->opens++;
	}
	leave(f);
	return rc;
}

static uint32_t
fake_count(const struct pst_maildrop *drop)
{
	return drop->of->n;
}

static void
fake_message(const struct pst_maildrop *drop, uint32_t idx, struct pst_message *msg_out)
{
	const struct fake_message *m = &drop->of->v[idx];

	pst_assert(idx < drop->of->n);
	drop->of->messages++;
	msg_out->size_octets = m->size_octets;
	msg_out->uidl = pst_str_c(m->uidl);
	msg_out->has_no_header_end = m->has_no_header_end;
}

static void
fake_done(void *arg)
{
	struct fake *f = arg;

	pst_assert(atomic_fetch_sub(&f->bodies_open, 1) > 0);
}

static enum pst_fetch_result
fake_fetch(struct pst_maildrop *drop, uint32_t idx, unsigned flags, struct pst_body *body_out,
           struct pst_err *err)
{
	struct fake *f = drop->of;
	struct fake_message *m = &f->v[idx];
	enum pst_fetch_result result = PST_FETCH_OK;

	enter(f);
	pst_assert(idx < f->n);
	f->fetches++;
	if ((flags & PST_FETCH_NOWAIT) != 0 && m->waits) {
		result = PST_FETCH_WAIT;
	} else if (m->is_gone) {
		pst_err_set(err, PST_E_TEMP, "secret path /fake/%u is gone", idx);
		result = PST_FETCH_ERROR;
	} else {
		f->bodies_open++;
		*body_out = (struct pst_body){ .fd = dup(f->fd),
			                       .offset = m->offset,
			                       .length = m->length,
			                       .done = fake_done,
			                       .arg = f };
		pst_assert(body_out->fd >= 0);
	}
	leave(f);
	return result;
}

static int
fake_commit(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
            struct pst_err *err)
{
	struct fake *f = drop->of;
	uint32_t i;

	enter(f);
	wait_for_go(f);
	pst_assert(n > 0);
	f->commits++;
	f->last_commit = n;
	*removed_out = 0;
	for (i = 0; i < n; i++) {
		pst_assert(idx[i] < f->n && (i == 0 || idx[i] > idx[i - 1]));
		if (f->v[idx[i]].is_stuck)
			continue;
		f->v[idx[i]].is_removed = true;
		++*removed_out;
	}
	leave(f);
	return *removed_out == n ? 0 : pst_err_set(err, PST_E_TEMP, "secret path /fake is stuck");
}

static void
fake_close(struct pst_maildrop *drop)
{
	enter(drop->of);
	drop->of->closes++;
	leave(drop->of);
	free(drop);
}

bool fake_is_quick;

static enum pst_fetch_result
fake_open_now(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err)
{
	const struct fake *f = self;

	if (!fake_is_quick || f->is_slow)
		return PST_FETCH_WAIT;
	return fake_open(self, spec, drop_out, err) == 0 ? PST_FETCH_OK : PST_FETCH_ERROR;
}

static bool
fake_closes_now(const struct pst_maildrop *drop)
{
	(void)drop;
	return fake_is_quick;
}

const struct pst_storage fake_storage = {
	.size = sizeof(struct pst_storage),
	.open = fake_open,
	.count = fake_count,
	.message = fake_message,
	.fetch = fake_fetch,
	.commit = fake_commit,
	.close = fake_close,
	.open_now = fake_open_now,
	.closes_now = fake_closes_now,
	.received = fake_received,
};

void
fake_init(struct fake *f)
{
	char name[] = TEST_BUILDDIR "/fake-XXXXXX";

	*f = (struct fake){ .fd = mkstemp(name) };
	pst_assert(f->fd >= 0);
	unlink(name);
	sem_init(&f->go, 0, 0);
}

void
fake_clear(struct fake *f)
{
	uint32_t i;

	for (i = 0; i < f->n; i++)
		free((char *)(uintptr_t)f->v[i].text.p);
	free(f->v);
	close(f->fd);
	sem_destroy(&f->go);
}

struct fake_message *
fake_add(struct fake *f, struct pst_str text)
{
	struct fake_message *m;
	struct pop3_size size;

	f->v = pst_realloc_array(f->v, f->n + 1, sizeof(*f->v));
	m = &f->v[f->n++];
	*m = (struct fake_message){ .text = { pst_str_dup(text), text.n }, .length = text.n };
	m->offset = (uint64_t)lseek(f->fd, 0, SEEK_END);
	pst_assert(write(f->fd, text.p, text.n) == (ssize_t)text.n);
	pop3_size_init(&size);
	pop3_size_feed(&size, text);
	m->size_octets = pop3_size_end(&size);
	snprintf(m->uidl, sizeof(m->uidl), "uidl-%u", f->n);
	return m;
}

void
fake_add_many(struct fake *f, uint32_t n)
{
	uint32_t i;

	f->v = pst_realloc_array(f->v, f->n + n, sizeof(*f->v));
	for (i = 0; i < n; i++) {
		struct fake_message *m = &f->v[f->n++];

		*m = (struct fake_message){ .size_octets = 100 + i % 7, .length = 0 };
		snprintf(m->uidl, sizeof(m->uidl), "uidl-%u", f->n);
	}
}
