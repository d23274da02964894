/* SPDX-License-Identifier: MIT */
/* Telling other programs that messages were retrieved: the flag S, and cur/ in place of new/. The base
 * name stays, and with it the UIDL. Other programs rename at the same time: a file that is not where
 * it was is looked for once more, and a name that another file has is left to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/maildir/drop.h"
#include "storage/maildir/name.h"
#include "storage/maildir/rename.h"

#define MAX_ATTEMPTS 3

/* The name with the flag in its place among the others (they are in the order of ASCII); false where it
 * has it, or has something else than flags behind its colon. */
static bool
add_flag(const char *name, char out[INDEX_NAME_MAX + 8])
{
	const char *info = strchr(name, ':'), *at;

	if (info == NULL) {
		(void)snprintf(out, INDEX_NAME_MAX + 8, "%s:2,S", name);
		return true;
	}
	if (strncmp(info, ":2,", 3) != 0)
		return false;
	for (at = info + 3; *at != '\0' && *at != ',' && *at < 'S'; at++)
		;
	if (*at == 'S')
		return false;
	(void)snprintf(out, INDEX_NAME_MAX + 8, "%.*sS%s", (int)(at - name), name, at);
	return true;
}

enum fate { FATE_DONE, FATE_MISSING, FATE_FAILED };

static enum fate
mark_one(const struct pst_maildrop *d, const int dirfd[PLACE_BOTH], uint32_t idx,
         struct pst_err *err)
{
	char name[INDEX_NAME_MAX + 8];
	struct drop_file f;

	if (drop_bit(d->gone, idx))
		return FATE_DONE;
	drop_file(d, idx, &f);
	if (strchr(f.name, '/') != NULL || !add_flag(f.name, name))
		return FATE_DONE;
	if (dirfd[f.place] < 0)
		return FATE_MISSING;
	if (rename_to_free(dirfd[f.place], f.name, dirfd[PLACE_CUR], name) == 0)
		return FATE_DONE;
	switch (errno) {
	case ENOENT:
	case ESTALE:
		return FATE_MISSING;
	case EEXIST:
	case ENAMETOOLONG: /* a name that may not become longer stays */
		return FATE_DONE;
	default:
		pst_err_sys(err, drop_kind_of_errno(), "%s: rename %s/%.100s", d->path,
		            maildir_places[f.place], f.name);
		return FATE_FAILED;
	}
}

int
drop_mark_seen(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, struct pst_err *err)
{
	int dirfd[PLACE_BOTH], attempt, rc = 0;
	bool missing = true;
	uint32_t i;

	if (n == 0 || d->root < 0)
		return 0;
	if (drop_open_places(d, dirfd, err) != 0)
		return -1;
	if (dirfd[PLACE_CUR] < 0)
		rc = pst_err_set(err, PST_E_PERM, "%s: has no cur/", d->path);
	for (attempt = 0; rc == 0 && missing && attempt < MAX_ATTEMPTS; attempt++) {
		if (attempt > 0 && drop_look_again(d, err) != 0)
			rc = -1;
		missing = false;
		for (i = 0; rc == 0 && i < n; i++) {
			enum fate fate = mark_one(d, dirfd, idx[i], err);

			missing = missing || fate == FATE_MISSING;
			rc = fate == FATE_FAILED ? -1 : 0;
		}
	}
	drop_close_places(dirfd);
	return rc;
}
