/* SPDX-License-Identifier: MIT */
/* The quota file of Maildir++; see quota.h. */
#include "storage/maildir/quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/maildir/name.h"

uint64_t
quota_octets(struct pst_str base, uint64_t stored_octets)
{
	uint64_t said;

	return maildir_field(base, 'S', &said) && said <= INT64_MAX ? said : stored_octets;
}

void
quota_tell(const struct pst_maildrop *d, int64_t octets, int64_t files)
{
	const struct pst_host *host = d->self->host;
	char line[64];
	struct stat st;
	int fd, n;

	if (files == 0)
		return;
	fd = openat(d->root, "maildirsize",
	            O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%" PRId64 " %" PRId64 "\n", octets, files);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || write(fd, line, (size_t)n) != n)
		host->log(host, PST_LOG_WARN, "maildir.quota_unwritten",
		          "path=%s octets=%" PRId64 " files=%" PRId64, d->path, octets, files);
	close(fd);
}
