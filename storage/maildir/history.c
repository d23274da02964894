/* SPDX-License-Identifier: MIT */
/* The lines that are kept with a Maildir: in a file beside its index. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/index/notes.h"
#include "storage/maildir/drop.h"

#define HISTORY_NAME "postern.history"

struct place {
	char *name, *old; /* of a file in the common folder; NULL: beside the mail */
	struct notes_file file;
};

static char *
join(const char *a, const char *b)
{
	size_t n = strlen(a) + strlen(b) + 1;
	char *s = mem_new(n);

	(void)snprintf(s, n, "%s%s", a, b);
	return s;
}

static void
find_place(const struct pst_maildrop *d, struct place *p)
{
	*p = (struct place){ .file = { d->root, HISTORY_NAME, HISTORY_NAME ".old", false } };
	if (d->index_name == NULL)
		return;
	p->name = join(d->index_name, ".history");
	p->old = join(d->index_name, ".history.old");
	p->file = (struct notes_file){ AT_FDCWD, p->name, p->old, true };
}

static void
clear_place(struct place *p)
{
	free(p->name);
	free(p->old);
}

int
drop_note(struct pst_maildrop *d, struct pst_str line, uint64_t max_octets, struct pst_err *err)
{
	struct place p;
	int rc;

	if (d->root < 0) /* there is no Maildir yet, and nothing can have been done to it */
		return 0;
	find_place(d, &p);
	rc = notes_add(&p.file, line, max_octets, err);
	clear_place(&p);
	return rc;
}

int
drop_notes(struct pst_maildrop *d, void (*each)(void *arg, struct pst_str line), void *arg,
           struct pst_err *err)
{
	struct place p;
	int rc;

	if (d->root < 0)
		return 0;
	find_place(d, &p);
	rc = notes_read(&p.file, each, arg, err);
	clear_place(&p);
	return rc;
}
