/* SPDX-License-Identifier: MIT */
/* A lexer for just enough of libconfig's language; see scan.h. */
#include "config/scan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

#define FILE_MAX_OCTETS (4u << 20)
#define INCLUDE_DEPTH 10 /* libconfig's own */

struct scan {
	const char *file;   /* as a problem names it */
	const char *folder; /* of the first file */
	unsigned depth;
	struct pst_str left;
	unsigned line;
	bool line_begins; /* only blanks since the last line end: @include may stand here */
	bool readable;    /* so far, of all included files */
	struct conf_problems *problems;
};

static int
read_all(int fd, struct pst_buf *to, struct pst_err *err)
{
	for (;;) {
		char *at = pst_buf_reserve(to, 4096, err);
		ssize_t n;

		if (at == NULL)
			return pst_err_set(err, PST_E_PERM, "is larger than 4 MiB");
		n = read(fd, at, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pst_err_sys(err, PST_E_PERM, "cannot be read");
		if (n == 0)
			return 0;
		pst_buf_added(to, (size_t)n);
	}
}

static int
read_file(const char *path, struct pst_buf *to, struct pst_err *err)
{
	struct stat st;
	int rc = -1;
	/* O_NONBLOCK: a FIFO must not hold the reader up; it is refused below. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return pst_err_sys(err, PST_E_PERM, "cannot be opened");
	if (fstat(fd, &st) != 0)
		pst_err_sys(err, PST_E_PERM, "cannot be looked at");
	else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) /* /dev/null is an empty file */
		pst_err_set(err, PST_E_PERM, "is not a file");
	else
		rc = read_all(fd, to, err);
	close(fd);
	return rc;
}

static void
advance(struct scan *s, size_t n)
{
	s->left.p += n;
	s->left.n -= n;
}

static char
peek(const struct scan *s, size_t n)
{
	return n < s->left.n ? s->left.p[n] : '\0';
}

static void
count_line(struct scan *s, char c)
{
	if (c == '\n') {
		s->line++;
		s->line_begins = true;
	}
}

static void
skip_line_comment(struct scan *s)
{
	while (s->left.n > 0 && s->left.p[0] != '\n')
		advance(s, 1);
}

static void
skip_comment(struct scan *s)
{
	advance(s, 2);
	while (s->left.n > 0 && !(s->left.p[0] == '*' && peek(s, 1) == '/')) {
		count_line(s, s->left.p[0]);
		advance(s, 1);
	}
	advance(s, s->left.n < 2 ? s->left.n : 2);
	s->line_begins = false;
}

static void
skip_string(struct scan *s)
{
	advance(s, 1);
	while (s->left.n > 0 && s->left.p[0] != '"') {
		if (s->left.n >= 4 && memcmp(s->left.p, "\\x00", 4) == 0)
			conf_problems_add(s->problems, s->file, s->line,
			                  "a string cannot hold the octet \\x00");
		count_line(s, s->left.p[0]);
		advance(s, s->left.p[0] == '\\' && s->left.n > 1 && s->left.p[1] != '\n' ? 2 : 1);
	}
	advance(s, s->left.n < 1 ? 0 : 1);
	s->line_begins = false;
}

static bool
is_name_octet(char c)
{
	return pst_is_digit(c) || (pst_lower(c) >= 'a' && pst_lower(c) <= 'z') || c == '_' ||
	       c == '-' || c == '*';
}

/* Digits of base at *at; false where they pass max. */
static bool
read_digits(const struct scan *s, size_t *at, unsigned base, uint64_t max)
{
	uint64_t v = 0;
	bool fits = true;

	for (;; (*at)++) {
		char c = pst_lower(peek(s, *at));
		uint64_t digit;

		if (pst_is_digit(c))
			digit = (uint64_t)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (uint64_t)(c - 'a') + 10;
		else
			return fits;
		if (v > (max - digit) / base)
			fits = false;
		else
			v = v * base + digit;
	}
}

/* A number, or a name that begins with a sign (which libconfig will refuse). */
static void
check_number(struct scan *s)
{
	const char sign = peek(s, 0);
	const bool is_signed = sign == '-' || sign == '+';
	size_t at = is_signed ? 1 : 0;
	const size_t first = at;
	size_t end;
	bool fits, wide;

	if (peek(s, at) == '0' && pst_lower(peek(s, at + 1)) == 'x') {
		at += 2;
		fits = read_digits(s, &at, 16, INT32_MAX);
		wide = read_digits(s, &(size_t){ first + 2 }, 16, INT64_MAX);
	} else {
		fits = read_digits(s, &at, 10, INT32_MAX);
		wide = read_digits(s, &(size_t){ first }, 10, INT64_MAX);
	}
	end = at;
	while (is_name_octet(peek(s, end)) || peek(s, end) == '.')
		end++;
	if (peek(s, at) == 'L')
		fits = wide; /* a 64-bit integer says so */
	else if (peek(s, at) == '.' || pst_lower(peek(s, at)) == 'e')
		fits = true; /* a fraction: refused where the value is read */
	if (!fits)
		conf_problems_add(s->problems, s->file, s->line,
		                  "the number %.*s would be cut; write it as a string: \"%.*s\"",
		                  PST_ARG(((struct pst_str){ s->left.p, at })),
		                  PST_ARG(((struct pst_str){ s->left.p, at })));
	advance(s, end > 0 ? end : 1);
	s->line_begins = false;
}

static void
skip_name(struct scan *s)
{
	while (s->left.n > 0 && is_name_octet(s->left.p[0]))
		advance(s, 1);
	s->line_begins = false;
}

static void scan_file(struct scan *s, const char *path);

static bool
is_include(const struct scan *s)
{
	const size_t n = sizeof("@include") - 1;

	return s->line_begins && s->left.n > n && memcmp(s->left.p, "@include", n) == 0 &&
	       (s->left.p[n] == ' ' || s->left.p[n] == '\t');
}

static void
follow_include(struct scan *s)
{
	struct scan inner = *s;
	const char *close;
	struct pst_str name;

	advance(s, sizeof("@include") - 1);
	while (peek(s, 0) == ' ' || peek(s, 0) == '\t')
		advance(s, 1);
	s->line_begins = false;
	close = s->left.n > 1 ? memchr(s->left.p + 1, '"', s->left.n - 1) : NULL;
	if (peek(s, 0) != '"' || close == NULL)
		return; /* a syntax error, which libconfig will report */
	name = (struct pst_str){ s->left.p + 1, (size_t)(close - s->left.p) - 1 };
	advance(s, name.n + 2);
	if (name.n > 0 && name.p[0] == '/') {
		conf_problems_add(s->problems, s->file, s->line,
		                  "@include \"%.*s\": give the name relative to %s", PST_ARG(name),
		                  s->folder);
		s->readable = false;
		return;
	}
	if (s->depth + 1 >= INCLUDE_DEPTH) {
		conf_problems_add(s->problems, s->file, s->line,
		                  "@include \"%.*s\": more than %d files include each other",
		                  PST_ARG(name), INCLUDE_DEPTH);
		s->readable = false;
		return;
	}
	inner.depth++;
	inner.file = pst_arena_copy(s->problems->arena, name);
	scan_file(&inner, pst_arena_printf(s->problems->arena, "%s/%s", s->folder, inner.file));
	s->readable = s->readable && inner.readable;
}

static void
scan_text(struct scan *s)
{
	while (s->left.n > 0) {
		char c = s->left.p[0];

		if (c == '#' || (c == '/' && peek(s, 1) == '/'))
			skip_line_comment(s);
		else if (c == '/' && peek(s, 1) == '*')
			skip_comment(s);
		else if (c == '"')
			skip_string(s);
		else if (c == '@' && is_include(s))
			follow_include(s);
		else if (pst_is_digit(c) || c == '+' || c == '-')
			check_number(s);
		else if (is_name_octet(c))
			skip_name(s);
		else {
			if (c != ' ' && c != '\t')
				s->line_begins = false;
			count_line(s, c);
			advance(s, 1);
		}
	}
}

static void
scan_file(struct scan *s, const char *path)
{
	struct pst_buf text;
	struct pst_err err;

	pst_buf_init(&text, FILE_MAX_OCTETS);
	if (read_file(path, &text, &err) != 0) {
		conf_problems_add(s->problems, s->file, 0, "%s", err.text);
		s->readable = false;
	} else {
		s->left = pst_buf_view(&text);
		s->line = 1;
		s->line_begins = true;
		scan_text(s);
	}
	pst_buf_clear(&text); /* it may hold a database's password */
}

bool
conf_scan(const char *path, const char *folder, struct conf_problems *p)
{
	struct scan s = { .file = path, .folder = folder, .readable = true, .problems = p };

	scan_file(&s, path);
	return s.readable;
}
