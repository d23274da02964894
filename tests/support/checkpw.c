/* SPDX-License-Identifier: MIT */
/* checkpw - a checkpassword program in C, as they have always been written: user "al", password
 * "secret", and what else its first argument says. Given a folder, it writes there what it sees. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void
note_descriptors(const char *folder)
{
	char path[4096];
	FILE *f;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/seen", folder);
	f = fopen(path, "w");
	if (f == NULL)
		exit(111);
	for (fd = 0; fd < 1024; fd++)
		if (fd != fileno(f) && fcntl(fd, F_GETFD) >= 0)
			fprintf(f, "fd %d\n", fd);
	for (fd = 0; environ[fd] != NULL; fd++)
		fprintf(f, "env %s\n", environ[fd]);
	(void)snprintf(path, sizeof(path), "%s/../tools/outside", folder);
	fprintf(f, "outside %d\n", open(path, O_WRONLY | O_CREAT, 0600) >= 0);
	fprintf(f, "unshare %d\n", unshare(CLONE_NEWUSER) == 0);
	fprintf(f, "setuid %d\n", setuid(0) == 0);
	fprintf(f, "group %d\n", getpgid(0) == getpid());
	fclose(f);
}

int
main(int argc, char **argv)
{
	char in[513];
	size_t n = 0;
	const char *user = in, *password, *at;

	for (;;) {
		ssize_t got = read(3, in + n, sizeof(in) - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return 111;
		if (got == 0)
			break;
		n += (size_t)got;
		if (n > 512)
			return 2;
	}
	close(3);
	if (argc < 3 || n < 3 || in[n - 1] != '\0')
		return 2;
	password = user + strlen(user) + 1;
	if (password >= in + n)
		return 2;
	at = password + strlen(password) + 1;
	if (at >= in + n || strtoll(at, NULL, 10) < 1000000000)
		return 2;
	note_descriptors(argv[1]);
	if (strcmp(user, "al@example.test") != 0)
		return 3;
	if (strcmp(password, "secret") != 0)
		return 1;
	(void)setenv("USER", "al", 1);
	(void)setenv("HOME", argv[1], 1);
	(void)setenv("SHELL", "/bin/false", 1);
	execvp(argv[2], argv + 2);
	return 111;
}
