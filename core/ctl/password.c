/* SPDX-License-Identifier: MIT */
/* Reads a password; see password.h. By read(2) alone: stdio would leave copies. */
#include "ctl/password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted; /* the signal that came while the echo was off */

static void
on_signal(int number)
{
	interrupted = number;
}

/* Reads until the end, a line's if there is one, or until room is full. */
static int
read_all(int fd, bool one_line, char *room, size_t cap, size_t *n_out, struct pst_err *err)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t got = read(fd, room + n, cap - n);

		if (got < 0 && errno == EINTR && interrupted == 0)
			continue;
		if (got < 0)
			return pst_err_sys(err, PST_E_CLIENT, "the password cannot be read");
		if (got == 0)
			break;
		n += (size_t)got;
		if (one_line && memchr(room, '\n', n) != NULL)
			break;
	}
	*n_out = n;
	return 0;
}

/* The one line in room. */
static int
take_line(const char *room, size_t n, struct pst_secret *out, struct pst_err *err)
{
	const char *end = n == 0 ? NULL : memchr(room, '\n', n);
	struct pst_str line = { room, end == NULL ? n : (size_t)(end - room) };

	if (end != NULL && (size_t)(end - room) + 1 < n)
		return pst_err_set(err, PST_E_CLIENT, "the password is more than one line");
	if (end != NULL && line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0)
		return pst_err_set(err, PST_E_CLIENT, "the password is empty");
	if (pst_str_has_nul(line))
		return pst_err_set(err, PST_E_CLIENT, "the password has a NUL octet in it");
	if (!pst_secret_set(out, line))
		return pst_err_set(err, PST_E_CLIENT, "the password is longer than %d octets",
		                   PST_SECRET_MAX);
	return 0;
}

static int
read_from(int fd, bool one_line, struct pst_secret *out, struct pst_err *err)
{
	char room[PST_SECRET_MAX + 3]; /* a line end, and one octet more than fits */
	size_t n = 0;
	int rc;

	rc = read_all(fd, one_line, room, sizeof(room), &n, err);
	if (rc == 0)
		rc = take_line(room, n, out, err);
	pst_wipe(room, sizeof(room));
	return rc;
}

static void
say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return; /* the terminal is gone; reading will tell */
}

/* The echo is back on whatever ends the reading, a signal included, which then does what it does. */
static int
ask_once(int tty, const char *prompt, struct pst_secret *out, struct pst_err *err)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
	struct sigaction old[sizeof(caught) / sizeof(caught[0])];
	const struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct termios before, silent;
	size_t i;
	int rc;

	if (tcgetattr(tty, &before) != 0)
		return pst_err_sys(err, PST_E_CLIENT, "terminal");
	interrupted = 0;
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		(void)sigaction(caught[i], &action, &old[i]);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	say(tty, prompt);
	if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
		rc = pst_err_sys(err, PST_E_CLIENT, "terminal");
	else
		rc = read_from(tty, true, out, err);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	say(tty, "\n");
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		(void)sigaction(caught[i], &old[i], NULL);
	if (interrupted != 0)
		(void)raise(interrupted);
	return rc;
}

static int
ask(const char *prompt, bool twice, struct pst_secret *out, struct pst_err *err)
{
	struct pst_secret again = { 0 };
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	int rc;

	if (tty < 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "there is no terminal to ask for a password: use "
		                   "--password-stdin or --password-file");
	rc = ask_once(tty, prompt, out, err);
	if (rc == 0 && twice) {
		rc = ask_once(tty, "Once more: ", &again, err);
		if (rc == 0 && !pst_secret_equal(pst_secret_view(out), pst_secret_view(&again)))
			rc = pst_err_set(err, PST_E_CLIENT, "the two are not the same");
	}
	pst_secret_clear(&again);
	close(tty);
	return rc;
}

static int
read_file(const char *path, struct pst_secret *out, struct pst_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return pst_err_sys(err, PST_E_CLIENT, "%s", path);
	rc = read_from(fd, false, out, err);
	close(fd);
	return rc;
}

int
ctl_password_read(const struct ctl_password_source *source, const char *prompt, bool twice,
                  struct pst_secret *out, struct pst_err *err)
{
	int rc;

	pst_secret_clear(out);
	if (source->file != NULL)
		rc = read_file(source->file, out, err);
	else if (source->use_stdin)
		rc = read_from(STDIN_FILENO, false, out, err);
	else
		rc = ask(prompt, twice, out, err);
	if (rc != 0)
		pst_secret_clear(out);
	return rc;
}
