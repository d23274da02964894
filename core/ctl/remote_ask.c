/* SPDX-License-Identifier: MIT */
/* Asking the process of remote.c, and reading what it answers. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "credentials/hex.h"
#include "ctl/remote_private.h"

#define TEXT_MAX ((size_t)1 << 30)

struct answer {
	FILE *from;
	char *line;
	size_t cap;
};

static int
lost(struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP, "the process that asks the old server has ended");
}

/* The end that answers come from. */
static int
send_question(int fd, struct pst_str user, struct pst_err *err)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (char *)(uintptr_t)user.p, user.n };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return pst_err_sys(err, PST_E_TEMP, "pipe");
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &ends[1], sizeof(int));
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	close(ends[1]);
	if (n == (ssize_t)user.n)
		return ends[0];
	close(ends[0]);
	return lost(err);
}

static bool
next_line(struct answer *a, struct pst_str *out)
{
	ssize_t n = getline(&a->line, &a->cap, a->from);

	if (n <= 0 || a->line[n - 1] != '\n')
		return false;
	*out = (struct pst_str){ a->line, (size_t)n - 1 };
	return true;
}

static struct pst_str
next_word(struct pst_str *s)
{
	const char *blank = s->n == 0 ? NULL : memchr(s->p, ' ', s->n);
	struct pst_str word = { s->p, blank == NULL ? s->n : (size_t)(blank - s->p) };

	s->p += word.n + (blank != NULL);
	s->n -= word.n + (blank != NULL);
	return word;
}

static bool
next_number(struct pst_str *s, uint64_t *out)
{
	return pst_str_u64(next_word(s), out);
}

static bool
next_digest(struct pst_str *s, uint8_t out[32])
{
	size_t n = 0;

	return hex_decode(next_word(s), out, 32, &n) && n == 32;
}

/* Takes the first word of the answer away; what it says else is in *rest_out. */
static int
begin(struct answer *a, int fd, struct pst_str user, struct pst_str head, struct pst_str *rest_out,
      struct pst_err *err)
{
	int answers = send_question(fd, user, err);
	struct pst_str error = PST_LIT(REMOTE_ERROR);
	uint64_t kind;

	if (answers < 0)
		return -1;
	a->from = fdopen(answers, "r");
	if (a->from == NULL) {
		close(answers);
		return pst_err_sys(err, PST_E_TEMP, "fdopen");
	}
	if (!next_line(a, rest_out))
		return lost(err);
	if (rest_out->n >= error.n && memcmp(rest_out->p, error.p, error.n) == 0) {
		*rest_out = (struct pst_str){ rest_out->p + error.n, rest_out->n - error.n };
		if (!next_number(rest_out, &kind) || kind < PST_E_TEMP || kind > PST_E_CLOSED)
			return lost(err);
		return pst_err_set(err, (enum pst_err_kind)kind, "%.*s", PST_ARG(*rest_out));
	}
	if (rest_out->n < head.n || memcmp(rest_out->p, head.p, head.n) != 0)
		return lost(err);
	*rest_out = (struct pst_str){ rest_out->p + head.n, rest_out->n - head.n };
	return 0;
}

static void
end(struct answer *a)
{
	if (a->from != NULL)
		(void)fclose(a->from);
	free(a->line);
}

int
remote_ask_names(int fd, char ***names_out, size_t *n_out, struct pst_err *err)
{
	struct answer a = { .from = NULL };
	struct pst_str line;
	uint64_t n, i = 0;
	char **names = NULL;
	int rc = begin(&a, fd, (struct pst_str){ "", 0 }, PST_LIT(REMOTE_NAMES), &line, err);

	if (rc == 0 && (!next_number(&line, &n) || n > SIZE_MAX / 16))
		rc = lost(err);
	if (rc == 0)
		names = pst_new_array(char *, (size_t)n + 1);
	for (; rc == 0 && i < n; i++) {
		if (next_line(&a, &line))
			names[i] = pst_str_dup(line);
		else
			rc = lost(err);
	}
	end(&a);
	*names_out = names;
	*n_out = (size_t)i;
	return rc;
}

static bool
read_message(struct pst_str line, struct remote_listing *l, struct match_message *m)
{
	uint64_t flags;
	struct pst_err err;

	if (!next_number(&line, &m->octets) || !next_number(&line, &m->like.own_octets) ||
	    !next_number(&line, &flags) || !next_digest(&line, m->like.header) ||
	    !next_digest(&line, m->like.letter))
		return false;
	m->is_known = (flags & REMOTE_KNOWN) != 0;
	m->like.has_header = (flags & REMOTE_HEADER) != 0;
	m->like.has_letter = (flags & REMOTE_LETTER) != 0;
	m->is_valid = pop3reply_is_uidl(line);
	m->uidl = (struct pst_str){ NULL, m->is_valid ? line.n : 0 };
	return !m->is_valid || pst_buf_add(&l->text, line, &err) == 0;
}

int
remote_ask(int fd, struct pst_str user, struct remote_listing *l, struct pst_err *err)
{
	struct answer a = { .from = NULL };
	struct pst_str line;
	uint64_t n = 0, uidls = 0;
	const char *text;
	uint32_t i;
	int rc;

	*l = (struct remote_listing){ .n = 0 };
	pst_buf_init(&l->text, TEXT_MAX);
	rc = begin(&a, fd, user, PST_LIT(REMOTE_LISTING), &line, err);
	if (rc == 0 && (!next_number(&line, &n) || !next_number(&line, &uidls) || n >= UINT32_MAX))
		rc = lost(err);
	if (rc == 0) {
		l->all = pst_new_array(struct match_message, (size_t)n + 1);
		l->has_uidls = uidls != 0;
	}
	for (; rc == 0 && l->n < n; l->n++)
		if (!next_line(&a, &line) || !read_message(line, l, &l->all[l->n]))
			rc = lost(err);
	if (rc == 0 && (!next_line(&a, &line) || !pst_str_eq(line, PST_LIT(REMOTE_END))))
		rc = lost(err);
	end(&a);
	text = l->text.data; /* it does not move any more */
	for (i = 0; rc == 0 && i < l->n; i++) {
		l->all[i].uidl.p = l->all[i].uidl.n == 0 ? "" : text;
		text += l->all[i].uidl.n;
	}
	return rc;
}

void
remote_listing_clear(struct remote_listing *l)
{
	free(l->all);
	pst_buf_clear(&l->text);
	*l = (struct remote_listing){ .n = 0 };
}
