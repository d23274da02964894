/* SPDX-License-Identifier: MIT */
/* The file of users that are done; see vstate.h. After the first line: three numbers and the name. */
#include "ctl/vstate.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HEAD "postern-verify 1 "
#define TEXT_MAX ((size_t)256 * 1024 * 1024)

static int
compare_names(const void *a, const void *b)
{
	const struct pst_str *x = a, *y = b;
	int rc = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return rc != 0 ? rc : (x->n > y->n) - (x->n < y->n);
}

static int
write_line(const struct vstate *s, const struct pst_buf *line, struct pst_err *err)
{
	if (write(s->fd, line->data, line->len) == (ssize_t)line->len)
		return 0;
	return pst_err_sys(err, PST_E_TEMP, "the state file cannot be written");
}

static int
read_text(struct vstate *s, struct pst_err *err)
{
	for (;;) {
		char *to = pst_buf_reserve(&s->text, 65536, err);
		ssize_t got = to == NULL ? -1 : read(s->fd, to, 65536);

		if (to == NULL)
			return -1;
		if (got < 0)
			return pst_err_sys(err, PST_E_TEMP, "the state file cannot be read");
		if (got == 0)
			return 0;
		pst_buf_added(&s->text, (size_t)got);
	}
}

/* A number and the TAB behind it. */
static bool
take_number(struct pst_str *line, uint64_t *out)
{
	const char *tab = line->n == 0 ? NULL : memchr(line->p, '\t', line->n);
	size_t n = tab == NULL ? 0 : (size_t)(tab - line->p);

	if (tab == NULL || !pst_str_u64((struct pst_str){ line->p, n }, out))
		return false;
	*line = (struct pst_str){ tab + 1, line->n - n - 1 };
	return true;
}

static void
take_line(struct vstate *s, struct pst_str line, size_t *room)
{
	uint64_t messages, differences, explained;

	if (!take_number(&line, &messages) || !take_number(&line, &differences) ||
	    !take_number(&line, &explained) || line.n == 0)
		return; /* one that was cut off, and the next one behind it */
	if (s->n == *room) {
		*room = *room == 0 ? 64 : *room * 2;
		s->done = pst_realloc_array(s->done, *room, sizeof(*s->done));
	}
	s->done[s->n++] = line;
	s->messages += messages;
	s->differences += differences;
	s->explained += explained;
}

/* *cut_out: the last line has no end. */
static int
parse(struct vstate *s, const char *head, bool *cut_out, struct pst_err *err)
{
	struct pst_str rest = pst_buf_view(&s->text);
	size_t room = 0;
	bool is_first = true;

	while (rest.n > 0) {
		const char *end = memchr(rest.p, '\n', rest.n);
		struct pst_str line = { rest.p, end == NULL ? rest.n : (size_t)(end - rest.p) };

		*cut_out = end == NULL;
		if (is_first && !pst_str_eq(line, pst_str_c(head)))
			return pst_err_set(err, PST_E_CLIENT,
			                   "the state file is of another comparison: remove it, or "
			                   "name another");
		if (!is_first && end != NULL)
			take_line(s, line, &room);
		is_first = false;
		rest = (struct pst_str){ line.p + line.n + (end != NULL),
			                 rest.n - line.n - (end != NULL) };
	}
	if (s->n > 0)
		qsort(s->done, s->n, sizeof(*s->done), compare_names);
	return 0;
}

int
vstate_open(struct vstate *s, const char *path, const char *run, struct pst_err *err)
{
	struct pst_buf head;
	bool is_cut = false;
	int rc = -1;

	pst_buf_init(&s->text, TEXT_MAX);
	pst_buf_init(&head, 8192);
	s->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0) {
		pst_err_sys(err, PST_E_CLIENT, "%s", path);
		goto out;
	}
	if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
		pst_err_set(err, PST_E_CLIENT, "%s: another run has it", path);
		goto out;
	}
	migrate_printf(&head, HEAD "%.4000s", run);
	migrate_printf(&head, "%c", '\0');
	if (read_text(s, err) != 0 || parse(s, head.data, &is_cut, err) != 0)
		goto out;
	head.data[head.len - 1] = '\n';
	if (s->text.len == 0)
		rc = write_line(s, &head, err);
	else
		rc = is_cut && write(s->fd, "\n", 1) != 1 ? pst_err_sys(err, PST_E_TEMP, "%s", path)
		                                          : 0;
out:
	pst_buf_clear(&head);
	if (rc != 0)
		vstate_close(s);
	return rc;
}

void
vstate_close(struct vstate *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->done);
	s->done = NULL;
	s->n = 0;
	pst_buf_clear(&s->text);
}

bool
vstate_has(const struct vstate *s, struct pst_str user)
{
	return s->n > 0 && bsearch(&user, s->done, s->n, sizeof(*s->done), compare_names) != NULL;
}

int
vstate_add(struct vstate *s, struct pst_str user, uint64_t messages, uint64_t differences,
           uint64_t explained, struct pst_err *err)
{
	struct pst_buf line;
	int rc;

	if (s->fd < 0)
		return 0;
	pst_buf_init(&line, 8192);
	migrate_printf(&line, "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%.*s\n", messages,
	               differences, explained, PST_ARG(user));
	rc = write_line(s, &line, err);
	pst_buf_clear(&line);
	return rc;
}
