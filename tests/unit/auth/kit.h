/* SPDX-License-Identifier: MIT */
/* What the tests of the plugin sqlite share: the plugin, loaded as the server loads it, and a folder
 * for databases. */
#ifndef TESTS_UNIT_AUTH_KIT_H
#define TESTS_UNIT_AUTH_KIT_H

#include <postern/auth.h>

#include "plugin/loader.h"

struct pst_arena;

#define HASH "{PLAIN}secret"

struct kit {
	char folder[64];
	char db[4096]; /* the database that the next load is told of */
	struct pst_arena *arena;
	struct plugin *p;
	const struct pst_auth *auth;
	void *self;
	struct pst_auth_record record;
	struct pst_err err;
};

/* For cmocka: a new folder, no plugin yet. */
int kit_set_up(void **state);
int kit_tear_down(void **state);

const char *kit_path_of(const struct kit *f, const char *name); /* in the folder */

/* settings: pairs of key and value, ended by NULL; may be NULL. How many problems there are; the
 * plugin is started where there is none. */
size_t kit_load(struct kit *f, const char *worker, const char *const *settings);
void kit_unload(struct kit *f);

/* A new database with the default queries, for administration. */
void kit_load_new(struct kit *f);

void kit_sql(const char *db, const char *text); /* by other means than the plugin */
int kit_add(struct kit *f, const char *name, const char *credential);
enum pst_auth_result kit_lookup(struct kit *f, const char *name);

/* The look-up is a temporary failure whose reason holds these words. */
void kit_assert_temp(struct kit *f, const char *name, const char *says);

#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

#endif
