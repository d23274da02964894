/* SPDX-License-Identifier: MIT */
/* What a worker of each kind can still do when its sandbox is closed. Each case runs in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"
#include "master/landlock.h"
#include "master/sandbox.h"
#include "plugin/registry.h"

#define UID_USED 61234

static int kernel_abi; /* asked before a filter refuses to tell */
static char top[64], inside[96], outside[96], below[128];

static void
write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* top/inside/below and top/outside/file; all of it may be written by anybody. */
static int
make_tree(void **state)
{
	char path[160];

	(void)state;
	kernel_abi = landlock_abi();
	(void)snprintf(top, sizeof(top), "/tmp/postern-sandbox-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(inside, sizeof(inside), "%s/inside", top);
	(void)snprintf(outside, sizeof(outside), "%s/outside", top);
	(void)snprintf(below, sizeof(below), "%s/below", inside);
	assert_int_equal(mkdir(inside, 0777) | mkdir(outside, 0777) | mkdir(below, 0777), 0);
	assert_int_equal(chmod(top, 0777) | chmod(inside, 0777) | chmod(outside, 0777) |
	                         chmod(below, 0777),
	                 0);
	(void)snprintf(path, sizeof(path), "%s/file", below);
	write_file(path);
	(void)snprintf(path, sizeof(path), "%s/file", outside);
	write_file(path);
	return 0;
}

static int
remove_tree(void **state)
{
	char command[100];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

struct world {
	struct settings settings;
	struct slot_row row;
	struct worker_env env;
	struct sandbox_plan plan;
	char location[128];
};

static struct world *
world_of(enum worker_kind kind)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	(void)snprintf(w.location, sizeof(w.location), "maildir:%s/%%{user}/x", inside);
	w.settings.server.sandbox = SANDBOX_ON;
	w.settings.server.runtime_dir = top;
	w.settings.tls.directory = inside;
	w.settings.mail.location = w.location;
	w.settings.mail.roots = "";
	w.settings.mail.first_uid = 500;
	w.settings.mail.first_gid = 1;
	w.env.kind = kind;
	w.env.settings = &w.settings;
	w.env.self = &w.row;
	w.env.plugins = registry_create(&w.row);
	w.plan = (struct sandbox_plan){
		.is_root = geteuid() == 0, .uid = UID_USED, .gid = UID_USED, .master = getpid()
	};
	return &w;
}

/* Runs fn in a child whose sandbox is closed; its result is the child's status, 99 if it could not
 * be closed. */
static int
in_sandbox(struct world *w, int (*fn)(struct world *w))
{
	char empty[96];
	int status;
	pid_t pid;

	(void)snprintf(empty, sizeof(empty), "%s/empty", top);
	(void)mkdir(empty, 0555);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct pst_err err;

		if (sandbox_close(&w->env, &w->plan, &err) != 0) {
			(void)fprintf(stderr, "%s\n", err.text);
			_exit(99);
		}
		_exit(fn(w));
	}
	registry_destroy(w->env.plugins);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* 0, or errno. */
static int
try_open(const char *folder, const char *name, int flags)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static bool
is_refusal(int error)
{
	return error == EPERM || error == EACCES;
}

/* ---- Files ---- */

static int
reach_nothing(struct world *w)
{
	(void)w;
	return try_open(below, "file", O_RDONLY) != 0 &&
	                       try_open("/etc", "passwd", O_RDONLY) != 0 &&
	                       try_open("/", "x", O_WRONLY | O_CREAT) != 0
	               ? 0
	               : 1;
}

static void
test_login_reaches_no_file(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(world_of(WORKER_LOGIN), reach_nothing), 0);
}

static int
read_inside_only(struct world *w)
{
	(void)w;
	if (try_open(below, "file", O_RDONLY) != 0)
		return 1;
	if (!is_refusal(try_open(below, "file", O_WRONLY)) ||
	    !is_refusal(try_open(below, "new", O_WRONLY | O_CREAT)))
		return 2;
	return is_refusal(try_open(outside, "file", O_RDONLY)) &&
	                       is_refusal(try_open("/etc", "passwd", O_RDONLY))
	               ? 0
	               : 3;
}

static void
test_keys_reads_its_folder_and_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(world_of(WORKER_KEYS), read_inside_only), 0);
}

static int
write_inside_only(struct world *w)
{
	char from[200], to[260], folder[200];

	(void)w;
	(void)snprintf(folder, sizeof(folder), "%s/folder", inside);
	(void)snprintf(from, sizeof(from), "%s/new", below);
	(void)snprintf(to, sizeof(to), "%s/new", folder);
	if (try_open(below, "new", O_RDWR | O_CREAT) != 0 || mkdir(folder, 0700) != 0)
		return 1;
	if (rename(from, to) != 0 && kernel_abi != 1)
		return 2;
	if (truncate(to, 0) != 0 && errno != EPERM) /* not among its calls */
		return 3;
	if (unlink(to) != 0 || rmdir(folder) != 0)
		return 4;
	(void)snprintf(to, sizeof(to), "%s/new", outside);
	if (link(from, to) == 0 || rename(from, to) == 0)
		return 5;
	return is_refusal(try_open(outside, "file", O_RDONLY)) &&
	                       is_refusal(try_open(outside, "new", O_WRONLY | O_CREAT)) &&
	                       is_refusal(try_open("/etc", "passwd", O_RDONLY))
	               ? 0
	               : 6;
}

static void
test_mail_writes_below_its_location_and_nowhere_else(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(world_of(WORKER_MAIL), write_inside_only), 0);
}

static void
test_mail_roots_take_the_place_of_the_location(void **state)
{
	struct world *w = world_of(WORKER_MAIL);

	(void)state;
	w->settings.mail.location = "maildir:/nowhere/%{user}";
	w->settings.mail.roots = inside;
	assert_int_equal(in_sandbox(w, write_inside_only), 0);
}

static int
read_no_mail(struct world *w)
{
	(void)w;
	return is_refusal(try_open(below, "file", O_RDONLY)) &&
	                       is_refusal(try_open("/etc", "passwd", O_RDONLY)) &&
	                       try_open("/dev", "urandom", O_RDONLY) == 0
	               ? 0
	               : 1;
}

static void
test_auth_reaches_no_mail(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(world_of(WORKER_AUTH), read_no_mail), 0);
}

static int
open_outside(struct world *w)
{
	(void)w;
	return try_open(outside, "file", O_RDONLY);
}

static void
test_switched_off_it_leaves_files_to_the_ids_alone(void **state)
{
	struct world *w = world_of(WORKER_AUTH);

	(void)state;
	w->settings.server.sandbox = SANDBOX_OFF;
	assert_int_equal(in_sandbox(w, open_outside), 0);
}

/* ---- System calls ---- */

static const enum worker_kind all_kinds[] = { WORKER_LOGIN, WORKER_KEYS, WORKER_AUTH, WORKER_MAIL };

static void *
say_yes(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int
live_on(struct world *w)
{
	pthread_t thread;
	int said = 0, pair[2];
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = malloc(4 << 20);

	(void)w;
	if (p == MAP_FAILED || heap == NULL)
		return 1;
	memset(heap, 1, 4 << 20);
	free(heap);
	if (pthread_create(&thread, NULL, say_yes, &said) != 0 || pthread_join(thread, NULL) != 0 ||
	    !said)
		return 2;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    write(pair[0], "x", 1) != 1)
		return 3;
	return 0;
}

static void
test_every_kind_can_live(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(in_sandbox(world_of(all_kinds[i]), live_on), 0);
}

#define REFUSED(call) ((call) < 0 && is_refusal(errno))

static int
try_what_is_refused(struct world *w)
{
	if (!REFUSED(socket(AF_INET, SOCK_STREAM, 0)) || !REFUSED(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 1;
	if (!REFUSED(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0, 0 })))
		return 2;
	if (!REFUSED(kill(w->plan.master, 0)) || !REFUSED(syscall(SYS_tgkill, 1, 1, 0)))
		return 3;
	if (!REFUSED(syscall(SYS_unshare, 0)) || !REFUSED(syscall(SYS_setns, 0, 0)) ||
	    !REFUSED(chroot("/")))
		return 4;
	if (!REFUSED(syscall(SYS_ptrace, 0, 0, 0, 0)) || !REFUSED(syscall(SYS_bpf, 0, NULL, 0)) ||
	    !REFUSED(prctl(PR_SET_DUMPABLE, 1)))
		return 5;
	if (!REFUSED((long)execve("/bin/true", (char *[]){ NULL }, (char *[]){ NULL })))
		return 6;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	            MAP_FAILED ||
	    errno != EPERM)
		return 7;
	if (!REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))
		return 8;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS || syscall(499) >= 0 ||
	    errno != ENOSYS) /* so that a C library tries an older call */
		return 9;
	return 0;
}

static void
test_every_kind_is_refused_what_none_may(void **state)
{
	size_t i;

	(void)state;
#ifdef PST_SANITIZE
	skip(); /* there the default is to allow */
#endif
	for (i = 0; i < 4; i++)
		assert_int_equal(in_sandbox(world_of(all_kinds[i]), try_what_is_refused), 0);
}

/* ---- Who it is, and what it says of itself ---- */

static int
check_ids(struct world *w)
{
	uid_t wanted = w->plan.is_root ? UID_USED : geteuid();
	gid_t groups[8];
	uint32_t bits = w->row.sandbox;

	if (geteuid() != wanted || (w->plan.is_root && getgroups(8, groups) != 1))
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 && errno != EPERM)
		return 2;
	if ((bits & SANDBOX_NO_NEW_PRIVS) == 0 || (bits & SANDBOX_SECCOMP) == 0)
		return 3;
	if (((bits & SANDBOX_LANDLOCK) != 0) != (kernel_abi > 0))
		return 4;
	if (((bits & SANDBOX_OWN_USER) != 0) != w->plan.is_root)
		return 5;
	return ((bits & SANDBOX_CHROOT) != 0) == (w->plan.is_root && w->env.kind == WORKER_LOGIN)
	               ? 0
	               : 6;
}

static void
test_a_worker_is_its_own_user_and_says_what_holds(void **state)
{
	struct slot_row row = { .sandbox = SANDBOX_NO_NEW_PRIVS | SANDBOX_LANDLOCK,
		                .landlock_abi = 3 };
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(in_sandbox(world_of(all_kinds[i]), check_ids), 0);
	sandbox_describe(&row, text, sizeof(text));
	assert_string_equal(text, "nnp landlock:3");
}

static void
test_root_is_nobody_s_user(void **state)
{
	struct world *w;

	(void)state;
	if (geteuid() != 0)
		skip();
	w = world_of(WORKER_MAIL);
	w->plan.uid = 0;
	assert_int_equal(in_sandbox(w, check_ids), 99);
}

static int
wait_for_death(struct world *w)
{
	(void)w;
	for (;;)
		(void)pause();
	return 0;
}

static void
test_a_worker_ends_with_its_master(void **state)
{
	int ends[2], status;
	char octet;
	pid_t master;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	master = fork();
	if (master == 0) {
		struct world *w = world_of(WORKER_MAIL);

		close(ends[0]);
		if (fork() == 0) {
			struct pst_err err;

			if (sandbox_close(&w->env, &w->plan, &err) != 0 ||
			    write(ends[1], "x", 1) != 1)
				_exit(1);
			_exit(wait_for_death(w));
		}
		pause();
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &octet, 1), 1); /* the worker is there */
	assert_int_equal(kill(master, SIGKILL), 0);
	assert_int_equal(read(ends[0], &octet, 1), 0); /* and its end of the pipe is gone */
	assert_int_equal(waitpid(master, &status, 0), master);
	close(ends[0]);
}

/* ---- mail.run_as = "user" ---- */

static struct world *
pooled_world(void)
{
	struct world *w = world_of(WORKER_MAIL);

	w->settings.mail.run_as = RUN_AS_USER;
	w->env.confine = sandbox_confine;
	return w;
}

static int
become_refused(struct world *w)
{
	static const struct {
		uid_t uid;
		gid_t gid;
	} bad[] = { { 0, 1000 }, { 1000, 0 }, { 0, 0 }, { 499, 1000 } };
	struct pst_err err;
	size_t i;

	for (i = 0; i < 4; i++)
		if (sandbox_confine(&w->env, bad[i].uid, bad[i].gid, below, &err) == 0)
			return (int)i + 1;
	if (!w->plan.is_root &&
	    sandbox_confine(&w->env, geteuid() + 1, getegid(), below, &err) == 0)
		return 5;
	return 0;
}

static void
test_a_process_never_becomes_root_or_a_system_user(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(pooled_world(), become_refused), 0);
}

static int
become_user(struct world *w)
{
	uid_t uid = w->plan.is_root ? UID_USED + 1 : geteuid();
	struct pst_err err;

	if (try_open(inside, "others", O_WRONLY | O_CREAT) != 0)
		return 1; /* as it waits, the folders of all maildrops are open to it */
	if (sandbox_confine(&w->env, uid, w->plan.is_root ? uid : getegid(), below, &err) != 0)
		return 2;
	if (geteuid() != uid || (w->plan.is_root && setuid(0) == 0))
		return 3;
	if (try_open(below, "file", O_RDONLY) != 0 ||
	    try_open(below, "mine", O_WRONLY | O_CREAT) != 0)
		return 4;
	if (!is_refusal(try_open(inside, "new", O_WRONLY | O_CREAT)) ||
	    !is_refusal(try_open(outside, "file", O_RDONLY)))
		return 5;
	return ((w->row.sandbox & SANDBOX_OWN_USER) != 0) == w->plan.is_root ? 0 : 6;
}

static void
test_a_process_becomes_a_user_with_one_maildrop(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(pooled_world(), become_user), 0);
}

static int
wait_without_rights(struct world *w)
{
	char path[200];
	int error;

	(void)w;
	(void)snprintf(path, sizeof(path), "%s/secret", below);
	error = try_open(below, "secret", O_RDONLY);
	return is_refusal(error) && is_refusal(try_open("/etc", "shadow", O_RDONLY)) ? 0 : 1;
}

static void
test_a_waiting_root_process_passes_no_permission_bits(void **state)
{
	char path[200];

	(void)state;
	if (geteuid() != 0)
		skip();
	(void)snprintf(path, sizeof(path), "%s/secret", below);
	write_file(path);
	assert_int_equal(chmod(path, 0600) | chown(path, UID_USED + 5, UID_USED + 5), 0);
	assert_int_equal(in_sandbox(pooled_world(), wait_without_rights), 0);
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_reaches_no_file),
		cmocka_unit_test(test_keys_reads_its_folder_and_nothing_else),
		cmocka_unit_test(test_mail_writes_below_its_location_and_nowhere_else),
		cmocka_unit_test(test_mail_roots_take_the_place_of_the_location),
		cmocka_unit_test(test_auth_reaches_no_mail),
		cmocka_unit_test(test_switched_off_it_leaves_files_to_the_ids_alone),
		cmocka_unit_test(test_every_kind_can_live),
		cmocka_unit_test(test_every_kind_is_refused_what_none_may),
		cmocka_unit_test(test_a_worker_is_its_own_user_and_says_what_holds),
		cmocka_unit_test(test_root_is_nobody_s_user),
		cmocka_unit_test(test_a_worker_ends_with_its_master),
		cmocka_unit_test(test_a_process_never_becomes_root_or_a_system_user),
		cmocka_unit_test(test_a_process_becomes_a_user_with_one_maildrop),
		cmocka_unit_test(test_a_waiting_root_process_passes_no_permission_bits),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
