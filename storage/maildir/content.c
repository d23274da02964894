/* SPDX-License-Identifier: MIT */
/* What a message's octets say of its UIDL: its print always, and what the configured policy makes of
 * its header or of all of it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/maildir/scan.h"

#define CHUNK ((size_t)64 * 1024)

/* Up to n octets from at on; fewer where the file ends or cannot be read. */
static size_t
read_at(int fd, char *to, size_t n, uint64_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, to + got, n - got, (off_t)(at + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

/* SHA-256 over the sums of its pieces of 64 KiB. The ':' is in no base name. */
static struct pst_str
digest(const struct pst_host *host, int fd, uint64_t octets, char *buf, char out[UIDL_ROOM])
{
	static const char prefix[] = "digest:";
	uint8_t sums[64] = { 0 };
	uint64_t at;
	struct pst_str hex;

	for (at = 0; at == 0 || at < octets; at += CHUNK) {
		size_t want = octets - at < CHUNK ? (size_t)(octets - at) : CHUNK;
		size_t n = read_at(fd, buf, want, at);

		if (n < want)
			return (struct pst_str){ NULL, 0 };
		host->sha256(buf, n, sums + 32);
		host->sha256(sums, sizeof(sums), sums);
	}
	memcpy(out, prefix, sizeof(prefix) - 1);
	hex = uidl_hex(sums, 20, out + sizeof(prefix) - 1);
	return (struct pst_str){ out, sizeof(prefix) - 1 + hex.n };
}

static struct pst_str
own_uidl(const struct scan *s, int fd, const struct scan_fresh *f, char out[UIDL_ROOM])
{
	const struct uidl_policy *policy = &s->self->policy;
	const struct pst_host *host = s->self->host;
	struct pst_str own = { NULL, 0 }, header;
	char *buf = mem_new(CHUNK);

	if (policy->kind == UIDL_DIGEST) {
		own = digest(host, fd, f->stored_octets, buf, out);
	} else {
		header = (struct pst_str){ buf, read_at(fd, buf, UIDL_HEADER_MAX, 0) };
		if (policy->kind == UIDL_POPA3D)
			own = uidl_popa3d(host->md5, header, out);
		else if (policy->kind == UIDL_TEMPLATE)
			own = uidl_header_md5(host->md5, header, out);
		else
			own = uidl_x_uidl(header);
		if (own.n > 0 && own.p != out) {
			memcpy(out, own.p, own.n);
			own.p = out;
		}
	}
	free(buf);
	return own;
}

int
scan_content(struct scan *s, int fd, struct pst_str text, struct scan_fresh *f, struct pst_err *err)
{
	char first[INDEX_PRINT_OCTETS] PST_UNINITIALIZED;
	struct pst_str own;
	char out[UIDL_ROOM];

	if (text.n == 0 && f->stored_octets >= INDEX_PRINT_LEAST)
		text = (struct pst_str){ first, read_at(fd, first, sizeof(first), 0) };
	f->print = index_print(text, f->stored_octets, f->mtime_ns);
	if (!s->self->policy.has_header && s->self->policy.kind != UIDL_DIGEST)
		return 0;
	own = own_uidl(s, fd, f, out);
	f->own_octets = (uint8_t)own.n; /* <= UIDL_MAX */
	return own.n == 0 ? 0 : scan_add_text(s, own, &f->own, err);
}
