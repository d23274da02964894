/* SPDX-License-Identifier: MIT */
/* authn/notes.h - what happened, kept until the backend that is to know has taken it.
 *
 * Logins and sessions go in batches: what has come within a second, at most NOTES_BATCH at a time. New
 * forms of passwords go one by one and at once. A backend that cannot take them now is asked again
 * after a while, with growing waits; of what it cannot take the oldest is dropped when there is too
 * much of it. One backend that is away holds up no other. */
#ifndef AUTHN_NOTES_H
#define AUTHN_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/env.h"
#include "ipc/wire.h"

#define NOTES_BATCH 256
#define NOTES_AGE_MS 1000
#define NOTES_HELD 8192    /* for one backend */
#define NOTES_REHASHES 256 /* likewise */
#define NOTES_WAIT_MS 1000 /* doubled each time */
#define NOTES_WAIT_MAX_MS 60000

struct notes;

/* For the backends of auth.backends, by their place; started. env is borrowed. */
struct notes *notes_create(const struct worker_env *env);
void notes_destroy(struct notes *n); /* what is left is lost; accepts NULL */

/* Keeps a copy of a NOTE_LOGIN, NOTE_SESSION or NOTE_REHASH. One that its backend does not want is
 * forgotten. false: it cannot be right (no such backend, a NUL octet). */
bool notes_add(struct notes *n, const struct wire_note *note, int64_t now_ms);

/* When notes_work has something to do; INT64_MAX: never. */
int64_t notes_due(const struct notes *n);

/* Makes one call of a backend for which something is due; false: nothing was. */
bool notes_work(struct notes *n, int64_t now_ms);

/* At the end: gives away what it can until then, whatever its age. */
void notes_close(struct notes *n, int64_t until_ms);

#endif
