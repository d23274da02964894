/* SPDX-License-Identifier: MIT */
/* Notes on their way to backends: in batches, in order, kept within bounds while one is away. The
 * linker puts two backends in the registry's place: "quick" and "slow", and "gone", which is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <postern/auth.h>

#include "authn/notes.h"
#include "base/mem.h"
#include "config/settings.h"
#include "plugin/registry.h"

enum { QUICK, SLOW, GONE, DUMB, BACKENDS };

static struct backend {
	struct pst_plugin plugin;
	struct pst_auth auth;
	enum pst_err_kind fails; /* 0: it works */
	unsigned calls;
	size_t largest; /* batch */
	size_t n;
	char seen[2 * NOTES_HELD][32];
	char rehashes[8][96];
	size_t rehash_count;
	enum pst_auth_result rehash_says;
} backends[BACKENDS];

static const char *const names[BACKENDS] = { "quick", "slow", "gone", "dumb" };
static struct settings settings;
static struct slot_row row;
static struct worker_env env;
static struct notes *notes;
static int64_t now_ms;

struct plugin *__wrap_registry_find(const struct registry *r, enum pst_kind kind,
                                    struct pst_str instance);
const struct pst_plugin *__wrap_plugin_descriptor(const struct plugin *p);
const char *__wrap_plugin_instance(const struct plugin *p);
void *__wrap_plugin_self(const struct plugin *p);
int64_t __wrap_pst_now_ms(void);

struct plugin *
__wrap_registry_find(const struct registry *r, enum pst_kind kind, struct pst_str instance)
{
	size_t i;

	(void)r, (void)kind;
	for (i = 0; i < BACKENDS; i++)
		if (i != GONE && pst_str_eq(instance, pst_str_c(names[i])))
			return (struct plugin *)(void *)&backends[i];
	return NULL;
}

const struct pst_plugin *
__wrap_plugin_descriptor(const struct plugin *p)
{
	return &((const struct backend *)(const void *)p)->plugin;
}

const char *
__wrap_plugin_instance(const struct plugin *p)
{
	return names[(const struct backend *)(const void *)p - backends];
}

void *
__wrap_plugin_self(const struct plugin *p)
{
	return (void *)(uintptr_t)p;
}

int64_t
__wrap_pst_now_ms(void)
{
	return now_ms;
}

static int
take_notes(void *self, const struct pst_auth_note *v, size_t n, struct pst_err *err)
{
	struct backend *b = self;
	size_t i;

	b->calls++;
	assert_true(atomic_load(&row.busy_since_ms) != 0);
	for (i = 0; i < n; i++)
		if (b->fails != 0 || pst_str_eq(v[i].local_part, PST_LIT("poison"))) {
			err->kind = b->fails != 0 ? b->fails : PST_E_PERM;
			(void)snprintf(err->text, sizeof(err->text), "no");
			return -1;
		}
	if (n > b->largest)
		b->largest = n;
	for (i = 0; i < n; i++)
		(void)snprintf(b->seen[b->n++], 32, "%.*s", PST_ARG(v[i].user));
	return 0;
}

static enum pst_auth_result
take_rehash(void *self, struct pst_str name, struct pst_str was, struct pst_str is,
            struct pst_err *err)
{
	struct backend *b = self;

	if (b->fails != 0) {
		err->kind = b->fails;
		return PST_AUTH_TEMP;
	}
	(void)snprintf(b->rehashes[b->rehash_count++ % 8], 96, "%.*s %.*s %.*s", PST_ARG(name),
	               PST_ARG(was), PST_ARG(is));
	return b->rehash_says;
}

static int
set_up(void **state)
{
	size_t i;

	(void)state;
	memset(backends, 0, sizeof(backends));
	for (i = 0; i < BACKENDS; i++) {
		backends[i].plugin.auth = &backends[i].auth;
		backends[i].rehash_says = PST_AUTH_OK;
		if (i != DUMB) {
			backends[i].auth.notes = take_notes;
			backends[i].auth.rehash = take_rehash;
		}
	}
	settings.auth.backends = "quick slow gone dumb";
	env = (struct worker_env){ .settings = &settings, .self = &row, .wake_fd = -1 };
	now_ms = 1000;
	notes = notes_create(&env);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	notes_destroy(notes); /* a sanitizer sees what it forgets */
	return 0;
}

static bool
add(enum wire_note_kind kind, uint32_t backend, const char *user)
{
	const struct wire_note note = {
		.kind = (uint8_t)kind,
		.backend = backend,
		.user = pst_str_c(user),
		.old_credential = pst_str_c(kind == NOTE_REHASH ? "{A}old" : ""),
		.new_credential = pst_str_c(kind == NOTE_REHASH ? "{B}new" : ""),
	};

	return notes_add(notes, &note, now_ms);
}

static void
add_many(uint32_t backend, unsigned from, unsigned count)
{
	char user[32];
	unsigned i;

	for (i = from; i < from + count; i++) {
		(void)snprintf(user, sizeof(user), "u%u@x.test", i);
		assert_true(add(NOTE_LOGIN, backend, user));
	}
}

/* All that is due now; how many calls that took. */
static unsigned
work(void)
{
	unsigned calls = 0;

	while (notes_work(notes, now_ms))
		assert_true(++calls < 100000);
	return calls;
}

static void
test_what_comes_within_a_second_is_one_call(void **state)
{
	(void)state;
	assert_true(notes_due(notes) == INT64_MAX);
	add_many(QUICK, 0, 3);
	assert_true(notes_due(notes) == now_ms + NOTES_AGE_MS);
	assert_int_equal(work(), 0);
	now_ms += NOTES_AGE_MS - 1;
	add_many(QUICK, 3, 2);
	assert_int_equal(work(), 0);
	now_ms++;
	assert_int_equal(work(), 1);
	assert_int_equal(backends[QUICK].n, 5);
	assert_string_equal(backends[QUICK].seen[0], "u0@x.test");
	assert_string_equal(backends[QUICK].seen[4], "u4@x.test");
	assert_true(notes_due(notes) == INT64_MAX);
	assert_true(atomic_load(&row.busy_since_ms) == 0);
}

static void
test_a_full_batch_does_not_wait_and_none_is_larger(void **state)
{
	(void)state;
	add_many(QUICK, 0, 2 * NOTES_BATCH + 1);
	assert_int_equal(work(), 2);
	assert_int_equal(backends[QUICK].largest, NOTES_BATCH);
	assert_int_equal(backends[QUICK].n, 2 * NOTES_BATCH);
	now_ms += NOTES_AGE_MS;
	assert_int_equal(work(), 1);
}

static void
test_waits_grow_while_a_backend_is_away_and_nothing_is_lost(void **state)
{
	int64_t last = now_ms, wait = 0;
	int i;

	(void)state;
	backends[SLOW].fails = PST_E_TEMP;
	add_many(SLOW, 0, NOTES_BATCH);
	for (i = 0; i < 10; i++) {
		assert_int_equal(work(), i == 5 ? 2 : 1);
		assert_true(notes_due(notes) - now_ms >= wait);
		assert_true(notes_due(notes) - now_ms <= NOTES_WAIT_MAX_MS);
		wait = notes_due(notes) - now_ms;
		last = now_ms;
		now_ms = notes_due(notes);
		assert_true(now_ms > last);
		if (i == 4) { /* another one's are not held up */
			add_many(QUICK, 0, NOTES_BATCH);
			assert_int_equal(notes_due(notes), 0);
		}
	}
	assert_true(wait == NOTES_WAIT_MAX_MS);
	assert_int_equal(backends[QUICK].n, NOTES_BATCH);
	add_many(SLOW, NOTES_BATCH, 5);
	backends[SLOW].fails = 0;
	assert_true(work() >= 1);
	now_ms += NOTES_AGE_MS;
	(void)work();
	assert_int_equal(backends[SLOW].n, NOTES_BATCH + 5);
	assert_string_equal(backends[SLOW].seen[0], "u0@x.test");
}

static void
test_of_too_many_the_oldest_are_dropped(void **state)
{
	(void)state;
	backends[SLOW].fails = PST_E_TEMP;
	add_many(SLOW, 0, NOTES_HELD + 7);
	assert_int_equal(work(), 1);
	backends[SLOW].fails = 0;
	now_ms += NOTES_WAIT_MS;
	(void)work();
	assert_int_equal(backends[SLOW].n, NOTES_HELD);
	assert_string_equal(backends[SLOW].seen[0], "u7@x.test");
	assert_string_equal(backends[SLOW].seen[NOTES_HELD - 1], "u8198@x.test");
}

static void
test_one_that_is_refused_for_good_is_dropped_alone(void **state)
{
	(void)state;
	add_many(QUICK, 0, 3);
	assert_true(add(NOTE_SESSION, QUICK, "poison@x.test"));
	add_many(QUICK, 3, 2);
	now_ms += NOTES_AGE_MS;
	(void)work();
	assert_int_equal(backends[QUICK].n, 5);
	assert_string_equal(backends[QUICK].seen[3], "u3@x.test");
	assert_int_equal(backends[QUICK].calls, 1 + 6);
	add_many(QUICK, 10, 4); /* together again */
	now_ms += NOTES_AGE_MS;
	assert_int_equal(work(), 1);
}

static void
test_a_new_form_of_a_password_goes_at_once_and_stays_until_it_is_taken(void **state)
{
	(void)state;
	assert_true(add(NOTE_REHASH, QUICK, "ann@x.test"));
	assert_true(notes_due(notes) == 0);
	assert_int_equal(work(), 1);
	assert_string_equal(backends[QUICK].rehashes[0], "ann@x.test {A}old {B}new");
	backends[QUICK].fails = PST_E_TEMP;
	assert_true(add(NOTE_REHASH, QUICK, "eve@x.test"));
	assert_int_equal(work(), 1);
	assert_int_equal(work(), 0);
	backends[QUICK].fails = 0;
	now_ms = notes_due(notes);
	assert_int_equal(work(), 1);
	assert_string_equal(backends[QUICK].rehashes[1], "eve@x.test {A}old {B}new");
	backends[QUICK].rehash_says = PST_AUTH_UNKNOWN; /* changed meanwhile: that is that */
	assert_true(add(NOTE_REHASH, QUICK, "ann@x.test"));
	assert_int_equal(work(), 1);
	assert_true(notes_due(notes) == INT64_MAX);
}

static void
test_too_many_new_forms_are_bounded(void **state)
{
	unsigned i;

	(void)state;
	backends[SLOW].fails = PST_E_TEMP;
	for (i = 0; i < NOTES_REHASHES + 3; i++)
		assert_true(add(NOTE_REHASH, SLOW, "ann@x.test"));
	assert_int_equal(work(), 1);
	backends[SLOW].fails = 0;
	now_ms = notes_due(notes);
	assert_int_equal(work(), NOTES_REHASHES);
}

static void
test_what_cannot_be_right_is_refused_and_what_nobody_wants_forgotten(void **state)
{
	struct wire_note note = { .kind = NOTE_LOGIN, .user = PST_LIT("ann@x.test") };

	(void)state;
	assert_false(add(NOTE_LOGIN, BACKENDS, "ann@x.test"));
	assert_false(add(NOTE_LOGIN, UINT32_MAX, "ann@x.test"));
	assert_false(add(NOTE_LOGIN, QUICK, ""));
	note.mechanism = (struct pst_str){ "PL\0IN", 5 };
	assert_false(notes_add(notes, &note, now_ms));
	assert_true(add(NOTE_LOGIN, GONE, "ann@x.test"));
	assert_true(add(NOTE_LOGIN, DUMB, "ann@x.test"));
	assert_true(add(NOTE_REHASH, DUMB, "ann@x.test"));
	assert_true(notes_due(notes) == INT64_MAX);
}

static void
test_at_the_end_all_is_given_but_not_to_one_that_is_away(void **state)
{
	(void)state;
	add_many(QUICK, 0, NOTES_BATCH + 3);
	add_many(SLOW, 0, NOTES_BATCH + 3);
	assert_true(add(NOTE_REHASH, QUICK, "ann@x.test"));
	backends[SLOW].fails = PST_E_TEMP;
	notes_close(notes, now_ms + 1000);
	assert_int_equal(backends[QUICK].n, NOTES_BATCH + 3);
	assert_int_equal(backends[QUICK].rehash_count, 1);
	assert_int_equal(backends[SLOW].calls, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_comes_within_a_second_is_one_call),
		CASE(test_a_full_batch_does_not_wait_and_none_is_larger),
		CASE(test_waits_grow_while_a_backend_is_away_and_nothing_is_lost),
		CASE(test_of_too_many_the_oldest_are_dropped),
		CASE(test_one_that_is_refused_for_good_is_dropped_alone),
		CASE(test_a_new_form_of_a_password_goes_at_once_and_stays_until_it_is_taken),
		CASE(test_too_many_new_forms_are_bounded),
		CASE(test_what_cannot_be_right_is_refused_and_what_nobody_wants_forgotten),
		CASE(test_at_the_end_all_is_given_but_not_to_one_that_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
