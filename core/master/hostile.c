/* SPDX-License-Identifier: MIT */
/* The steps that an intruder in a worker would take, tried from inside each kind of worker in a
 * test build; see hostile.h. Nothing here is in a server that is meant to be used. */
#include "master/hostile.h"

#ifdef PST_HOSTILE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "config/settings.h"

#define ON_LOGIN (1u << WORKER_LOGIN)
#define ON_KEYS (1u << WORKER_KEYS)
#define ON_AUTH (1u << WORKER_AUTH)
#define ON_MAIL (1u << WORKER_MAIL)
#define ON_ALL (ON_LOGIN | ON_KEYS | ON_AUTH | ON_MAIL)

struct targets {
	char maildrop[512]; /* a file of this maildrop */
	char key[512];
	char database[512];
	char other[512]; /* a file of another user's maildrop, with run_as = "user" */
	char port[16];   /* where somebody listens on 127.0.0.1 */
	pid_t master;
};

/* Each returns 0 where the step succeeded, or -1 with errno. */
static int
read_file(const char *path)
{
	char octet;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, &octet, 1);
	close(fd);
	return n < 0 ? -1 : 0;
}

static int
read_maildrop(const struct targets *t)
{
	return read_file(t->maildrop);
}

static int
read_key(const struct targets *t)
{
	return read_file(t->key);
}

static int
read_database(const struct targets *t)
{
	return read_file(t->database);
}

static int
read_other(const struct targets *t)
{
	return read_file(t->other);
}

static int
read_passwd(const struct targets *t)
{
	(void)t;
	return read_file("/etc/passwd");
}

static int
read_master_memory(const struct targets *t)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)t->master);
	return read_file(path);
}

static int
write_tmp(const struct targets *t)
{
	char path[64];
	int fd;

	(void)t;
	(void)snprintf(path, sizeof(path), "/tmp/postern-hostile-%d", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	(void)unlink(path);
	return 0;
}

static int
connect_outward(const struct targets *t)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		                   .sin_port = htons((uint16_t)strtol(t->port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc, saved;

	if (fd < 0)
		return -1;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int
signal_master(const struct targets *t)
{
	return kill(t->master, 0);
}

static int
thread_signal_master(const struct targets *t)
{
	return (int)syscall(SYS_tgkill, t->master, t->master, 0);
}

static int
trace_master(const struct targets *t)
{
	return (int)ptrace(PTRACE_ATTACH, t->master, NULL, NULL);
}

static int
peek_master(const struct targets *t)
{
	char octet;
	struct iovec here = { &octet, 1 };
	struct iovec there = { (void *)&environ, 1 };

	return process_vm_readv(t->master, &here, 1, &there, 1, 0) < 0 ? -1 : 0;
}

static int
run_program(const struct targets *t)
{
	char program[] = "/bin/true";
	char *const argv[] = { program, NULL };

	(void)t;
	return execve(program, argv, environ); /* this worker is gone if it may */
}

static int
mount_something(const struct targets *t)
{
	(void)t;
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

/* The classic way out of a chroot. */
static int
leave_root(const struct targets *t)
{
	(void)t;
	if (mkdir("x", 0700) != 0 && errno != EEXIST)
		return -1;
	return chroot("x");
}

static int
become_root(const struct targets *t)
{
	(void)t;
	return setuid(0) == 0 && geteuid() == 0 ? 0 : -1;
}

static int
become_nobody(const struct targets *t)
{
	(void)t;
	return setresuid(65534, 65534, 65534);
}

static int
new_namespace(const struct targets *t)
{
	(void)t;
	return (int)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static int
fork_child(const struct targets *t)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	(void)t;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static int
use_io_uring(const struct targets *t)
{
	char room[256] = { 0 };

	(void)t;
	return syscall(SYS_io_uring_setup, 4, room) < 0 ? -1 : 0;
}

/* kinds: which may not. A pooled mail process that is nobody yet still has to become somebody. */
static const struct step {
	const char *name;
	unsigned kinds;
	bool root_ids; /* a waiting process may change its ids: that is its purpose */
	int (*run)(const struct targets *t);
} steps[] = {
	{ "maildrop", ON_LOGIN | ON_KEYS | ON_AUTH, false, read_maildrop },
	{ "key", ON_LOGIN | ON_AUTH | ON_MAIL, false, read_key },
	{ "database", ON_LOGIN | ON_KEYS | ON_MAIL, false, read_database },
	{ "passwd", ON_ALL, false, read_passwd },
	{ "memory", ON_ALL, false, read_master_memory },
	{ "write_tmp", ON_ALL, false, write_tmp },
	{ "connect", ON_ALL, false, connect_outward },
	{ "signal", ON_ALL, false, signal_master },
	{ "thread_signal", ON_ALL, false, thread_signal_master },
	{ "ptrace", ON_ALL, false, trace_master },
	{ "peek", ON_ALL, false, peek_master },
	{ "mount", ON_ALL, false, mount_something },
	{ "chroot", ON_ALL, false, leave_root },
	{ "setuid", ON_ALL, true, become_root },
	{ "setresuid", ON_ALL, true, become_nobody },
	{ "unshare", ON_ALL, false, new_namespace },
	{ "fork", ON_ALL, false, fork_child },
	{ "io_uring", ON_ALL, false, use_io_uring },
	{ "execve", ON_ALL, false, run_program },
};

static const struct step others_mail = { "other", ON_MAIL, false, read_other };

static const struct {
	const char *name;
	size_t offset, cap;
} words[] = {
	{ "maildrop", offsetof(struct targets, maildrop), sizeof(((struct targets *)0)->maildrop) },
	{ "key", offsetof(struct targets, key), sizeof(((struct targets *)0)->key) },
	{ "database", offsetof(struct targets, database), sizeof(((struct targets *)0)->database) },
	{ "other", offsetof(struct targets, other), sizeof(((struct targets *)0)->other) },
	{ "port", offsetof(struct targets, port), sizeof(((struct targets *)0)->port) },
};

static void
take_word(struct targets *t, struct pst_str word)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].name);

		if (word.n > n && word.n - n - 1 < words[i].cap && word.p[n] == '=' &&
		    strncmp(word.p, words[i].name, n) == 0)
			memcpy((char *)t + words[i].offset, word.p + n + 1, word.n - n - 1);
	}
}

static bool
read_targets(struct targets *t)
{
	const char *list = getenv("POSTERN_HOSTILE_TARGETS");
	struct pst_str word;

	if (list == NULL)
		return false;
	while (settings_next_word(&list, &word))
		take_word(t, word);
	return true;
}

static void
try_step(const struct worker_env *env, const struct targets *t, const struct step *s)
{
	int rc = s->run(t);
	int error = errno;

	pst_log_info(NULL, "hostile.step", "kind=%s slot=%u step=%s result=%s errno=%d (%s)",
	             worker_kind_names[env->kind], env->slot, s->name,
	             rc == 0 ? "ALLOWED" : "refused", rc == 0 ? 0 : error,
	             rc == 0 ? "" : strerror(error));
}

void
hostile_steps(const struct worker_env *env, pid_t master)
{
	bool is_waiting = env->confine != NULL && geteuid() == 0;
	struct targets t = { .master = master };
	size_t i;

	if (!read_targets(&t))
		return;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if ((steps[i].kinds & 1u << env->kind) != 0 && !(is_waiting && steps[i].root_ids))
			try_step(env, &t, &steps[i]);
	if (is_waiting)
		try_step(env, &t, &others_mail);
	pst_log_info(NULL, "hostile.done", "kind=%s slot=%u stage=%s", worker_kind_names[env->kind],
	             env->slot, is_waiting ? "waiting" : "closed");
}

void
hostile_steps_confined(const struct worker_env *env)
{
	static const struct step own = { "own", ON_MAIL, false, read_maildrop };
	struct targets t = { .master = getppid() };
	size_t i;

	if (!read_targets(&t))
		return;
	try_step(env, &t, &own); /* its own mail is the one thing that it must be able to read */
	try_step(env, &t, &others_mail);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if ((steps[i].kinds & ON_MAIL) != 0)
			try_step(env, &t, &steps[i]);
	pst_log_info(NULL, "hostile.done", "kind=mail slot=%u stage=confined", env->slot);
}

#endif
