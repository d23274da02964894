/* SPDX-License-Identifier: MIT */
/* config/texts.h - a configuration as flat text: "login.workers" = "2", with file and line.
 *
 * This is the form between the file and the typed structs. It also crosses from the process that
 * reads the file (a child of the master, which may die of a bad file) to the master, and from the
 * master to the workers, each of which sees only the sections of its own plugins. */
#ifndef CONFIG_TEXTS_H
#define CONFIG_TEXTS_H

#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

struct pst_arena;

struct conf_text {
	const char *path;  /* "auth.sqlite.database" */
	const char *value; /* as text: numbers and booleans as they stand in the file */
	const char *file;  /* "" for --set */
	unsigned line;
};

/* The value of a group that holds nothing: that it is there may matter, as of "storage.maildir". */
#define CONF_EMPTY_GROUP "{}"

/* Grows; texts live in the arena that was given at init. Order is that of the file; a later path
 * that is there already (--set) takes the place of the earlier. */
struct conf_texts {
	struct pst_arena *arena; /* borrowed */
	struct conf_text *v;     /* in the arena */
	size_t n, cap;
};

void conf_texts_init(struct conf_texts *t, struct pst_arena *arena);
void conf_texts_set(struct conf_texts *t, struct pst_str path, struct pst_str value,
                    const char *file, unsigned line);
const struct conf_text *conf_texts_get(const struct conf_texts *t, const char *path); /* or NULL */

/* The first text of the group PREFIX, or NULL: tells at least where in the file to look. */
const struct conf_text *conf_texts_first(const struct conf_texts *t, const char *prefix);

/* The line that a plugin's reason is about: "lookup_query: …" is about PREFIX.lookup_query. NULL: the
 * reason names no setting, or the default of one. */
const struct conf_text *conf_texts_blamed(const struct conf_texts *t, const char *prefix,
                                          const char *reason);

/* All problems at once: each one line, "postern.conf:12: login.workerz: unknown setting; …". */
struct conf_problems {
	struct pst_arena *arena; /* borrowed */
	const char **v;
	size_t n, cap;
};

void conf_problems_init(struct conf_problems *p, struct pst_arena *arena);
/* file: NULL where it is about none, "" for the command line. Control characters become '?'. */
void conf_problems_add(struct conf_problems *p, const char *file, unsigned line, const char *fmt,
                       ...) PST_PRINTF(4, 5);

/* Reads a libconfig file (path may be NULL: none) with what it includes (@include, relative to the
 * file's folder) and then the "PATH=VALUE" of sets. Problems that stop the reading are added to p;
 * whatever could be read is in t. Integers that libconfig could cut in silence are refused ("write it
 * as a string"). A list of strings becomes its members joined by single spaces. */
void conf_file_read(const char *path, const char *const *sets, size_t set_count,
                    struct conf_texts *t, struct conf_problems *p);

/* For pipes and shared memory; strict on reading. The image is at most 4 MiB. */
size_t conf_texts_encode(const struct conf_texts *t, uint8_t *out, size_t cap); /* 0: no room */
int conf_texts_decode(struct conf_texts *t, struct pst_str image, struct pst_err *err);

#endif
