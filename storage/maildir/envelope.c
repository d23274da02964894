/* SPDX-License-Identifier: MIT */
/* What a Maildir tells of a message beside its octets: the time of its file, and the flag S. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/maildir/drop.h"

#define MAX_ATTEMPTS 3

/* The file as it is called now. */
static int
find_file(struct pst_maildrop *d, uint32_t idx, struct drop_file *f, struct stat *st_out,
          struct pst_err *err)
{
	char path[sizeof("new/") + INDEX_NAME_MAX];
	int attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		drop_file(d, idx, f);
		if (drop_bit(d->gone, idx) || strchr(f->name, '/') != NULL)
			break;
		(void)snprintf(path, sizeof(path), "%s/%s", maildir_places[f->place], f->name);
		if (fstatat(d->root, path, st_out, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
		if (errno != ENOENT && errno != ESTALE)
			return pst_err_sys(err, drop_kind_of_errno(), "%s/%.200s", d->path, path);
		if (drop_look_again(d, err) != 0)
			return -1;
	}
	return pst_err_set(err, PST_E_PERM, "%s: message %u is gone", d->path, idx + 1);
}

int
drop_received(struct pst_maildrop *d, uint32_t idx, int64_t *received_s_out, struct pst_err *err)
{
	struct drop_file f;
	struct stat st;

	if (find_file(d, idx, &f, &st, err) != 0)
		return -1;
	*received_s_out = st.st_mtim.tv_sec < 0 ? 0 : (int64_t)st.st_mtim.tv_sec;
	return 0;
}

int
drop_envelope(struct pst_maildrop *d, uint32_t idx, struct pst_envelope *out, struct pst_err *err)
{
	struct drop_file f;
	const char *flags;
	struct stat st;

	if (find_file(d, idx, &f, &st, err) != 0)
		return -1;
	flags = strstr(f.name, ":2,");
	out->sender = PST_LIT("");
	out->is_seen = f.place == PLACE_CUR && flags != NULL && strchr(flags + 3, 'S') != NULL;
	return 0;
}
