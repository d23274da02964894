/* SPDX-License-Identifier: MIT */
/* ctl/vstate.h - which users migrate verify is done with, in a file, so that an interrupted run goes on
 * where it was. */
#ifndef CTL_VSTATE_H
#define CTL_VSTATE_H

#include "ctl/migrate.h"

struct vstate {
	int fd; /* -1: there is no file */
	struct pst_buf text;
	struct pst_str *done; /* names, sorted */
	size_t n;
	uint64_t messages, differences, explained; /* of all that are done */
};

/* Reads the file or makes it, and locks it. run: what is compared with what, one line; a file of
 * another run is refused. A last line that was cut off counts as none. -1: PST_E_CLIENT, PST_E_TEMP. */
int vstate_open(struct vstate *s, const char *path, const char *run, struct pst_err *err);
void vstate_close(struct vstate *s);

bool vstate_has(const struct vstate *s, struct pst_str user);

/* One line, by one write. */
int vstate_add(struct vstate *s, struct pst_str user, uint64_t messages, uint64_t differences,
               uint64_t explained, struct pst_err *err);

#endif
