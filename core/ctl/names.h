/* SPDX-License-Identifier: MIT */
/* ctl/names.h - inside this folder, in the finder's process: the names of users that a command is about,
 * each once. */
#ifndef CTL_NAMES_H
#define CTL_NAMES_H

#include "credentials/chain.h"
#include "ctl/drops.h"

struct named {
	char *name;
	bool is_listed; /* a backend listed it, nobody wrote it down */
};

struct names {
	struct named *v;
	size_t n, cap;
};

/* Those of the command line in their order, then those of the file, then those that the backends list,
 * by name. *complete_out is false where a backend cannot list its users: a note says so. -1 with err:
 * the file cannot be read, a backend failed, or none can list users. */
int names_gather(struct names *list, const struct chain *chain, const struct registry *registry,
                 const struct drops_names *asked, bool *complete_out, struct pst_err *err);
void names_clear(struct names *list);

#endif
