/* SPDX-License-Identifier: MIT */
/* master/conf.h - the configuration, read and checked by a short-lived child.
 *
 * The child may die of a bad file or a bad plugin; the master does not. What the child read comes
 * back in shared memory. The master decodes the core's settings only; the texts of plugin sections
 * (a database password may be among them) stay in mappings of their own, one for each kind of
 * plugin, and each worker maps and decodes those of its own plugins. */
#ifndef MASTER_CONF_H
#define MASTER_CONF_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/parts.h"
#include "config/settings.h"
#include "config/system.h"
#include "ipc/shm.h"
#include "master/region.h"

struct conf_source {
	const char *path;
	const char *const *sets; /* "PATH=VALUE" */
	size_t set_count;
};

/* An encoded run of texts, at the start of a region. */
struct conf_image {
	size_t n;
	uint8_t data[];
};

struct conf {
	struct pst_arena *arena;
	struct settings settings;
	struct conf_image *images[CONF_PARTS];    /* regions; CONF_CORE is NULL: decoded */
	struct settings_user users[WORKER_KINDS]; /* as root: who each kind becomes */
};

/* A reading that goes on in the child pid. */
struct conf_reading;

struct conf_reading *conf_read_begin(struct region_list *regions, const struct conf_source *src,
                                     struct pst_err *err);
pid_t conf_reading_pid(const struct conf_reading *r);

/* Called when the child has ended with that status; frees r. Returns the configuration, or NULL
 * with *problems_out: lines, each ended by a line feed, the caller's to free. */
struct conf *conf_read_end(struct region_list *regions, struct conf_reading *r, int status,
                           char **problems_out);

/* Begin, wait, end. */
struct conf *conf_read(struct region_list *regions, const struct conf_source *src,
                       char **problems_out);

void conf_destroy(struct region_list *regions, struct conf *c); /* accepts NULL */

#endif
