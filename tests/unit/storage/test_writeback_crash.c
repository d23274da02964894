/* SPDX-License-Identifier: MIT */
/* A session that tells the old server's list of new mail, ended at every system call that changes
 * something, before it, after it and in its middle; and with a disk that is full from each of them on.
 * The calls are wrapped by the linker.
 *
 * After each: the list as it lies there still says the old UIDLs, to a reader as strict as Dovecot or
 * Courier; and after the next session it says of each message what is shown. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/maildir/foreign.h"
#include "tests/unit/storage/kit.h"

/* ---- Wrapped calls ---- */

enum how {
	HOW_NOTHING,
	HOW_DIE_BEFORE,
	HOW_DIE_AFTER,
	HOW_DIE_HALFWAY,
	HOW_FULL,
	HOW_FULL_HALFWAY
};

static struct {
	enum how how;
	int at;   /* which call; counted from 0 */
	int call; /* so many were made */
} fault;

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fallocate(int fd, int mode, off_t at, off_t n);
int __real_ftruncate(int fd, off_t n);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_renameat(int a, const char *x, int b, const char *y);
int __real_renameat2(int a, const char *x, int b, const char *y, unsigned flags);
int __real_linkat(int a, const char *x, int b, const char *y, int flags);
int __real_unlinkat(int a, const char *x, int flags);
int __real_openat(int a, const char *x, int flags, ...);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
int __wrap_fallocate(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t n);
int __wrap_ftruncate(int fd, off_t n);
int __wrap_ftruncate64(int fd, off_t n);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_renameat(int a, const char *x, int b, const char *y);
int __wrap_renameat2(int a, const char *x, int b, const char *y, unsigned flags);
int __wrap_linkat(int a, const char *x, int b, const char *y, int flags);
int __wrap_unlinkat(int a, const char *x, int flags);
int __wrap_openat(int a, const char *x, int flags, ...);
int __wrap_openat64(int a, const char *x, int flags, ...);

static bool
is_now(enum how how)
{
	return fault.how == how && fault.call == fault.at;
}

static void
before(void)
{
	if (is_now(HOW_DIE_BEFORE))
		_exit(33);
}

static void
after(void)
{
	if (is_now(HOW_DIE_AFTER))
		_exit(33);
	fault.call++;
}

/* From the call on; halfway: the first of them still writes some. */
static bool
is_full(void)
{
	return (fault.how == HOW_FULL && fault.call >= fault.at) ||
	       (fault.how == HOW_FULL_HALFWAY && fault.call > fault.at);
}

static int
refuse(void)
{
	fault.call++;
	errno = ENOSPC;
	return -1;
}

#define WRAPPED(real)                                                                              \
	do {                                                                                       \
		int rc_;                                                                           \
		before();                                                                          \
		rc_ = (real);                                                                      \
		after();                                                                           \
		return rc_;                                                                        \
	} while (0)

#define WRAPPED_GROWING(real)                                                                      \
	do {                                                                                       \
		if (is_full())                                                                     \
			return refuse();                                                           \
		WRAPPED(real);                                                                     \
	} while (0)

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	ssize_t rc;

	before();
	if (is_full())
		return refuse();
	if (is_now(HOW_DIE_HALFWAY)) {
		(void)!__real_write(fd, p, n / 2);
		_exit(33);
	}
	rc = __real_write(fd, p, is_now(HOW_FULL_HALFWAY) && n > 1 ? n / 2 : n);
	after();
	return rc;
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc;

	before();
	if (is_full())
		return refuse();
	if (is_now(HOW_DIE_HALFWAY)) {
		(void)!__real_pwrite(fd, p, n / 2, at);
		_exit(33);
	}
	rc = __real_pwrite(fd, p, is_now(HOW_FULL_HALFWAY) && n > 1 ? n / 2 : n, at);
	after();
	return rc;
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return __wrap_pwrite(fd, p, n, at);
}

int
__wrap_fallocate(int fd, int mode, off_t at, off_t n)
{
	WRAPPED_GROWING(__real_fallocate(fd, mode, at, n));
}

int
__wrap_fallocate64(int fd, int mode, off_t at, off_t n)
{
	return __wrap_fallocate(fd, mode, at, n);
}

int
__wrap_ftruncate(int fd, off_t n)
{
	WRAPPED(__real_ftruncate(fd, n));
}

int
__wrap_ftruncate64(int fd, off_t n)
{
	return __wrap_ftruncate(fd, n);
}

int
__wrap_fdatasync(int fd)
{
	WRAPPED_GROWING(__real_fdatasync(fd));
}

int
__wrap_fsync(int fd)
{
	WRAPPED_GROWING(__real_fsync(fd));
}

int
__wrap_renameat(int a, const char *x, int b, const char *y)
{
	WRAPPED(__real_renameat(a, x, b, y));
}

int
__wrap_renameat2(int a, const char *x, int b, const char *y, unsigned flags)
{
	WRAPPED(__real_renameat2(a, x, b, y, flags));
}

int
__wrap_linkat(int a, const char *x, int b, const char *y, int flags)
{
	WRAPPED_GROWING(__real_linkat(a, x, b, y, flags));
}

int
__wrap_unlinkat(int a, const char *x, int flags)
{
	WRAPPED(__real_unlinkat(a, x, flags));
}

int
__wrap_openat(int a, const char *x, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) == 0)
		return __real_openat(a, x, flags);
	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	WRAPPED_GROWING(__real_openat(a, x, flags, mode));
}

int
__wrap_openat64(int a, const char *x, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return __wrap_openat(a, x, flags, mode);
}

/* ---- The lists ---- */

#define OLD 3
#define ALL 5

static const struct kind {
	const char *name, *list;
	const char *uidls[OLD]; /* of 1.a, 2.b, 3.c */
} kinds[] = {
	{ FOREIGN_DOVECOT_LIST,
	  "3 V1 N4 G1234\n1 W2 :1.a\n2 PI :2.b\n3 Xk :3.c:2,S\n",
	  { "0000000100000001", "I", "0000000300000001" } },
	/* to be written whole: of two equal ones the second is told another */
	{ FOREIGN_DOVECOT_LIST,
	  "3 V1 N4 G1234\n1 W2 :1.a\n2 PI :2.b\n3 :3.c:2,S\n7 PI :0.gone\n8 PI :3.d\n",
	  { "0000000100000001", "I", "0000000300000001" } },
	{ FOREIGN_COURIER_LIST,
	  "/3 9 77\n2.b:2, 2 2:77:0\n1.a:2, 2 1:66:0\n3.c:2,S 2 0:0:0\n",
	  { "UID1-66", "UID2-77", "3.c" } },
};

static const char *const names[ALL] = { "1.a", "2.b", "3.c", "4.d", "5.e" };

/* What the list lies there as, read by our parser, whose tolerance is then taken away: no line but the
 * last may be wrong. */
static void
load_strictly(const struct kit *k, const struct kind *kind, bool may_be_torn, struct foreign *f)
{
	char path[512], *text;
	struct pst_err err;
	size_t n;

	kit_path(k, kind->name, path);
	n = kit_slurp(path, &text);
	*f = (struct foreign){ .kind = FOREIGN_NONE };
	f->mem_octets = (struct mem){ text, n };
	if (kind->name[0] == 'd')
		assert_int_equal(foreign_parse_dovecot(f, (struct pst_str){ text, n }, "%08Xu%08Xv",
		                                       0, &err),
		                 0);
	else
		assert_int_equal(foreign_parse_courier(f, (struct pst_str){ text, n }, &err), 0);
	assert_int_equal(foreign_make_findable(f, 1, &err), 0);
	if (!may_be_torn || n == 0 || text[n - 1] == '\n')
		assert_int_equal(f->bad_lines, 0);
	else
		assert_true(f->bad_lines <= 1);
}

static void
drop_list_octets(struct foreign *f)
{
	free(f->mem_octets.p);
	f->mem_octets = (struct mem){ NULL, 0 };
	foreign_clear(f);
}

static void
assert_old_ones(const struct foreign *f, const struct kind *kind)
{
	unsigned i;

	for (i = 0; i < OLD; i++) {
		const struct foreign_record *r = foreign_find(f, pst_str_c(names[i]));

		assert_non_null(r);
		assert_true(pst_str_eq(foreign_uidl(f, r), pst_str_c(kind->uidls[i])));
	}
}

/* The listing, UIDLs by name; those of 4.d and 5.e may be absent while the disk is full. */
static void
note_uidls(struct kit *k, char uidls[ALL][80], uint32_t at_least)
{
	struct pst_maildrop *d = kit_open(k);
	struct index_message m;
	uint32_t i, j;

	memset(uidls, 0, ALL * 80);
	assert_true(drop_count(d) >= at_least && drop_count(d) <= ALL);
	for (i = 0; i < drop_count(d); i++) {
		index_at(&d->index, i, &m);
		for (j = 0; j < ALL; j++)
			if (pst_str_eq(m.identity, pst_str_c(names[j])))
				memcpy(uidls[j], m.uidl.p, m.uidl.n);
	}
	drop_close(d);
}

static void
start_over(struct kit *k, const struct kind *kind)
{
	char path[512];
	unsigned i;

	if (k->root[0] != '\0')
		kit_clear(k);
	kit_init(k);
	for (i = 0; i < OLD; i++)
		kit_puts(k, "new", names[i], "\n");
	kit_path(k, kind->name, path);
	kit_spew(path, kind->list, strlen(kind->list));
	drop_close(kit_open(k));
	for (; i < ALL; i++)
		kit_puts(k, "new", names[i], "\n");
	k->self.margin_ns = MAILDIR_MARGIN_NS; /* a file's time does not hide it */
}

/* The session that all this is about. Returns false where it never came to the call. */
static bool
run_session(struct kit *k, enum how how, int at, char uidls[ALL][80])
{
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		fault.how = how;
		fault.at = at;
		fault.call = 0;
		note_uidls(k, uidls, OLD);
		fault.how = HOW_NOTHING;
		(void)!__real_write(pipes[1], uidls, ALL * 80);
		_exit(fault.call <= at ? 34 : 35);
	}
	close(pipes[1]);
	memset(uidls, 0, ALL * 80);
	(void)!read(pipes[0], uidls, ALL * 80);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 33);
	return WEXITSTATUS(status) != 34;
}

static void
check_next(struct kit *k, const struct kind *kind, char shown[ALL][80])
{
	char uidls[ALL][80];
	struct foreign f;
	unsigned i, j;

	note_uidls(k, uidls, ALL);
	load_strictly(k, kind, false, &f);
	for (i = 0; i < ALL; i++) {
		const struct foreign_record *r = foreign_find(&f, pst_str_c(names[i]));

		if (i < OLD)
			assert_string_equal(uidls[i], kind->uidls[i]);
		if (shown[i][0] != '\0') /* by the session before, which lived */
			assert_string_equal(uidls[i], shown[i]);
		assert_non_null(r);
		assert_true(pst_str_eq(foreign_uidl(&f, r), pst_str_c(uidls[i])));
		for (j = 0; j < i; j++)
			assert_string_not_equal(uidls[i], uidls[j]);
	}
	drop_list_octets(&f);
	kit_puts(k, "new", "6.f", "\n"); /* the lock of the dead one does not keep it away */
	drop_close(kit_open(k));
	assert_false(kit_exists(k, "dovecot-uidlist.lock"));
	load_strictly(k, kind, false, &f);
	assert_non_null(foreign_find(&f, PST_LIT("6.f")));
	drop_list_octets(&f);
}

static void
walk(struct kit *k, const struct kind *kind, enum how how)
{
	char shown[ALL][80];
	struct foreign f;
	bool was_reached = true;
	int at;

	for (at = 0; was_reached; at++) {
		assert_true(at < 200);
		start_over(k, kind);
		was_reached = run_session(k, how, at, shown);
		load_strictly(k, kind, how == HOW_DIE_HALFWAY, &f);
		assert_old_ones(&f, kind);
		drop_list_octets(&f);
		check_next(k, kind, shown);
	}
	assert_true(at > 8); /* the lock, the list, the index */
}

static void
walk_kinds(struct kit *k, enum how how)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		walk(k, &kinds[i], how);
}

static void
test_a_session_that_dies_leaves_a_whole_list(void **state)
{
	walk_kinds(*state, HOW_DIE_BEFORE);
	walk_kinds(*state, HOW_DIE_AFTER);
}

static void
test_a_write_that_is_cut_is_mended(void **state)
{
	walk_kinds(*state, HOW_DIE_HALFWAY);
}

static void
test_a_full_disk_leaves_the_list_and_serves(void **state)
{
	walk_kinds(*state, HOW_FULL);
	walk_kinds(*state, HOW_FULL_HALFWAY);
}

#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(test_a_session_that_dies_leaves_a_whole_list),
		WITH_KIT(test_a_write_that_is_cut_is_mended),
		WITH_KIT(test_a_full_disk_leaves_the_list_and_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
