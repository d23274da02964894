/* SPDX-License-Identifier: MIT */
/* storage/index/stale.h - what a network file system may answer to any call: that another host has
 * replaced what we had open (ESTALE). It passes, once all is opened anew by its path; so what was
 * under way is begun again, a few times at most. */
#ifndef STORAGE_INDEX_STALE_H
#define STORAGE_INDEX_STALE_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <postern/err.h>

#define STALE_ATTEMPTS 3

/* Whether err was filled by pst_err_sys for ESTALE, wherever that was: its text ends with the words
 * for it. One that was cut counts as another error. */
static inline bool
stale_is(const struct pst_err *err)
{
	const char *words = strerror(ESTALE);
	const size_t n = strlen(err->text), tail = strlen(words);

	return n >= tail && memcmp(err->text + n - tail, words, tail) == 0;
}

#endif
