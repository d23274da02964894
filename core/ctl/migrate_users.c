/* SPDX-License-Identifier: MIT */
/* A file of users and passwords. By read(2) alone: stdio would leave copies. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/migrate.h"

#define FILE_MAX ((size_t)256 * 1024 * 1024)
#define NAME_MAX_OCTETS 320
#define PIECE ((size_t)64 * 1024)

static int
open_file(const char *path, struct pst_err *err)
{
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0)
		return dup(STDIN_FILENO);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return pst_err_sys(err, PST_E_CLIENT, "%s", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0) {
		close(fd);
		return pst_err_set(err, PST_E_CLIENT,
		                   "%s: others may read it, and it holds passwords: chmod 600",
		                   path);
	}
	return fd;
}

static int
read_all(int fd, const char *path, struct pst_buf *text, struct pst_err *err)
{
	for (;;) {
		char *to = pst_buf_reserve(text, PIECE, err);
		ssize_t got = to == NULL ? 0 : read(fd, to, PIECE);

		if (to == NULL)
			return -1;
		if (got == 0)
			return 0;
		if (got > 0)
			pst_buf_added(text, (size_t)got);
		else if (errno != EINTR)
			return pst_err_sys(err, PST_E_CLIENT, "%s", path);
	}
}

static bool
next_line(struct pst_str *rest, struct pst_str *line_out)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->p, '\n', rest->n);
	*line_out = (struct pst_str){ rest->p, end == NULL ? rest->n : (size_t)(end - rest->p) };
	*rest = (struct pst_str){ rest->p + line_out->n + (end != NULL),
		                  rest->n - line_out->n - (end != NULL) };
	if (line_out->n > 0 && line_out->p[line_out->n - 1] == '\r')
		line_out->n--;
	return true;
}

/* false: the line says nothing, or (*why_out) nothing good. A TAB counts before a colon, for a
 * password may hold the latter. */
static bool
read_line(struct pst_str line, struct migrate_user *out, const char **why_out)
{
	const char *end;
	size_t i;

	if (line.n == 0 || line.p[0] == '#')
		return false;
	*out = (struct migrate_user){ .name = line };
	end = memchr(line.p, '\t', line.n);
	if (end == NULL)
		end = memchr(line.p, ':', line.n);
	if (end != NULL) {
		out->name.n = (size_t)(end - line.p);
		out->password = (struct pst_str){ end + 1, line.n - out->name.n - 1 };
	}
	for (i = 0; i < out->name.n; i++)
		if ((unsigned char)out->name.p[i] <= 0x20)
			*why_out = "a blank in the user's name";
	if (out->name.n == 0 || out->name.n > NAME_MAX_OCTETS)
		*why_out = "no user's name";
	if (out->password.n > PST_SECRET_MAX || pst_str_has_nul(line))
		*why_out = "no password that POP3 can send";
	return *why_out == NULL;
}

static int
parse(struct migrate_users *u, const char *path, struct pst_err *err)
{
	struct pst_str rest = pst_buf_view(&u->text), line;
	struct migrate_user user;
	unsigned long number = 0;
	size_t room = 0;

	while (next_line(&rest, &line)) {
		const char *why = NULL;

		number++;
		if (!read_line(line, &user, &why)) {
			if (why != NULL)
				return pst_err_set(err, PST_E_CLIENT, "%s:%lu: %s", path, number,
				                   why);
			continue;
		}
		if (u->n == room) {
			room = room == 0 ? 64 : room * 2;
			u->all = pst_realloc_array(u->all, room, sizeof(*u->all));
		}
		u->all[u->n++] = user;
	}
	return u->n > 0 ? 0 : pst_err_set(err, PST_E_CLIENT, "%s: no user in it", path);
}

int
migrate_users_read(struct migrate_users *u, const char *path, struct pst_err *err)
{
	int fd = open_file(path, err);
	int rc;

	*u = (struct migrate_users){ .n = 0 };
	pst_buf_init(&u->text, FILE_MAX);
	if (fd < 0)
		return -1;
	rc = read_all(fd, path, &u->text, err);
	close(fd);
	if (rc == 0)
		rc = parse(u, path, err);
	if (rc != 0)
		migrate_users_clear(u);
	return rc;
}

void
migrate_users_clear(struct migrate_users *u)
{
	pst_buf_clear(&u->text); /* wipes it */
	free(u->all);
	u->all = NULL;
	u->n = 0;
}

void
migrate_users_sample(struct migrate_users *u, size_t n)
{
	size_t i;

	if (n == 0 || n >= u->n)
		return;
	for (i = 0; i < n; i++)
		u->all[i] = u->all[i * u->n / n];
	u->n = n;
}
