/* SPDX-License-Identifier: MIT */
/* Passwords from files; see secret.h. */
#include "auth/pgsql/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
check_file(const char *path, int fd, struct pst_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "password_file %s", path);
	if (!S_ISREG(st.st_mode))
		return pst_err_set(err, PST_E_TEMP, "password_file %s: it is no file", path);
	if ((st.st_mode & S_IROTH) != 0)
		return pst_err_set(err, PST_E_TEMP,
		                   "password_file %s: everybody may read it (chmod o-rwx)", path);
	return 0;
}

int
pg_secret_read(const char *path, char out[PG_SECRET_MAX + 1], struct pst_err *err)
{
	size_t n = 0;
	ssize_t got = 0;
	int rc = -1;
	int fd;

	out[0] = '\0';
	if (path[0] == '\0')
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "password_file %s", path);
	if (check_file(path, fd, err) != 0)
		goto out;
	while (n < PG_SECRET_MAX && (got = read(fd, out + n, PG_SECRET_MAX - n)) > 0)
		n += (size_t)got;
	if (got < 0) {
		(void)pst_err_sys(err, PST_E_TEMP, "password_file %s", path);
		goto out;
	}
	out[n] = '\0';
	n = strcspn(out, "\r\n");
	explicit_bzero(out + n, PG_SECRET_MAX + 1 - n);
	rc = n > 0 ? 0 : pst_err_set(err, PST_E_TEMP, "password_file %s: it is empty", path);
out:
	close(fd);
	return rc;
}
