/* SPDX-License-Identifier: MIT */
/* System call filters, a table for each kind of worker; see seccomp.h. Runs as root where the
 * server does. The lists were made by running the tests under SCMP_ACT_LOG; a call that a newer C
 * library needs shows itself as "seccomp" in the audit log of a build with --enable-hostile and
 * POSTERN_SECCOMP=log in its environment. */
#include "master/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ON_LOGIN (1u << WORKER_LOGIN)
#define ON_KEYS (1u << WORKER_KEYS)
#define ON_AUTH (1u << WORKER_AUTH)
#define ON_MAIL (1u << WORKER_MAIL)
#define ON_ALL (ON_LOGIN | ON_KEYS | ON_AUTH | ON_MAIL)
#define ON_FILES (ON_KEYS | ON_AUTH | ON_MAIL) /* read */
#define ON_WRITES (ON_AUTH | ON_MAIL)
#define ON_WAITING 16u /* mail, until it is a user */
#define ON_CONNECT 32u /* auth, where a backend is reached over a socket */

/* Calls allowed whatever their arguments. */
static const struct {
	unsigned on;
	const char *names; /* separated by spaces; one that this system lacks is passed over */
} allowed[] = {
	/* memory, threads, time */
	{ ON_ALL,
	  "brk munmap mremap madvise futex futex_waitv set_robust_list get_robust_list rseq "
	  "sched_yield sched_getaffinity getcpu membarrier gettid getpid getppid getuid "
	  "geteuid getgid getegid getresuid getresgid getgroups getrusage getrlimit uname "
	  "sysinfo exit exit_group clock_gettime clock_getres clock_nanosleep nanosleep "
	  "gettimeofday time times getrandom restart_syscall arch_prctl" },
	/* signals to itself */
	{ ON_ALL, "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigpending "
	          "rt_sigsuspend sigaltstack pause" },
	/* descriptors that are there */
	{ ON_ALL, "read write readv writev close close_range fcntl dup dup2 dup3 fstat lseek poll "
	          "ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait "
	          "epoll_pwait epoll_pwait2 eventfd2 pipe pipe2 timerfd_create timerfd_settime "
	          "timerfd_gettime" },
	{ ON_ALL, "recvmsg sendmsg recvfrom sendto recvmmsg sendmmsg shutdown getsockopt "
	          "setsockopt getsockname getpeername" },
	{ ON_LOGIN, "accept accept4" },
	/* files */
	{ ON_FILES, "open openat stat lstat newfstatat statx access faccessat faccessat2 readlink "
	            "readlinkat getdents64 getdents pread64 preadv preadv2 getcwd statfs fstatfs "
	            "flock fadvise64" },
	{ ON_WRITES, "pwrite64 pwritev pwritev2 ftruncate fsync fdatasync sync_file_range "
	             "fallocate unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir "
	             "link linkat umask fchmod fchmodat chmod utimensat msync copy_file_range" },
	/* Landlock sees to where: openat2's flags lie in memory, out of a filter's sight. */
	{ ON_MAIL, "openat2 sendfile splice inotify_init1 inotify_add_watch inotify_rm_watch" },
	/* SQLite gives its journal the database's owner */
	{ ON_AUTH, "fchown" },
	{ ON_CONNECT, "connect bind" }, /* and socket, of some families */
	{ ON_WAITING, "setgroups setgid setuid setresgid setresuid setregid setreuid seccomp "
	              "landlock_create_ruleset landlock_add_rule landlock_restrict_self prctl "
	              "capset capget" },
};

/* Refused with EPERM where the kind's list does not have them: what an intruder would try, and what
 * a library asks for and must hear a plain no. Whatever is neither here nor above is ENOSYS. */
static const char refused[] =
	"open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 "
	"readlink readlinkat getdents getdents64 name_to_handle_at open_by_handle_at "
	"unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink "
	"symlinkat mknod mknodat truncate ftruncate fallocate chmod fchmod fchmodat chown fchown "
	"lchown fchownat utime utimes utimensat setxattr lsetxattr fsetxattr getxattr lgetxattr "
	"fgetxattr listxattr flistxattr removexattr "
	"socket connect bind listen accept accept4 "
	"execve execveat fork vfork kill tkill rt_sigqueueinfo rt_tgsigqueueinfo "
	"pidfd_open pidfd_getfd pidfd_send_signal process_vm_readv process_vm_writev "
	"process_madvise ptrace kcmp "
	"mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick "
	"mount_setattr unshare setns chdir fchdir "
	"setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset "
	"capget setsid setpgid setpriority sched_setscheduler sched_setaffinity setrlimit "
	"personality seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self "
	"bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register "
	"add_key request_key keyctl init_module finit_module delete_module kexec_load "
	"kexec_file_load reboot swapon swapoff sethostname setdomainname settimeofday "
	"clock_settime clock_adjtime adjtimex iopl ioperm modify_ldt acct quotactl syslog "
	"nfsservctl vhangup lookup_dcookie fanotify_init memfd_create memfd_secret "
	"shmget shmat shmctl semget semop msgget mq_open";

/* Refused even to programs and modules that are not ours: others' memory, mounts, namespaces, keys,
 * the kernel's wide doors. What they can do to files, Landlock and their user bound. */
static const char never[] =
	"name_to_handle_at open_by_handle_at mknod mknodat pidfd_getfd process_vm_readv "
	"process_vm_writev process_madvise ptrace kcmp mount umount2 pivot_root chroot move_mount "
	"open_tree fsopen fsconfig fsmount fspick mount_setattr unshare setns bpf perf_event_open "
	"userfaultfd io_uring_setup io_uring_enter io_uring_register add_key request_key keyctl "
	"init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff "
	"sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex iopl ioperm "
	"modify_ldt acct quotactl syslog nfsservctl vhangup lookup_dcookie fanotify_init "
	"memfd_secret accept accept4 listen personality";

/* What the sanitizers' own runtime must keep. */
static const char sanitizer_needs[] = "open openat stat lstat newfstatat readlink readlinkat "
				      "access ptrace fork personality getdents64 getdents";

struct filter {
	scmp_filter_ctx ctx;
	unsigned on;
	bool bad;
	struct pst_err *err;
};

static void
add_rule(struct filter *f, uint32_t action, const char *name, unsigned n,
         const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);
	int rc;

	if (nr == __NR_SCMP_ERROR || f->bad)
		return;
	rc = seccomp_rule_add_array(f->ctx, action, nr, n, args);
	/* A call that the architecture lacks has no number: nothing to allow. */
	if (rc != 0 && rc != -EDOM && rc != -EACCES) {
		f->bad = true;
		pst_err_set(f->err, PST_E_PERM, "sandbox: seccomp rule %s: %s", name,
		            strerror(-rc));
	}
}

/* true where the word is one of the list's. */
static bool
has_word(const char *list, const char *word, size_t n)
{
	const char *p;

	for (p = list; (p = strstr(p, word)) != NULL; p++)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static bool
is_allowed(unsigned on, const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((allowed[i].on & on) != 0 && has_word(allowed[i].names, word, strlen(word)))
			return true;
	return false;
}

static void
each_word(struct filter *f, const char *list, void (*each)(struct filter *f, const char *word))
{
	char word[64];

	while (*list != '\0') {
		size_t n = strcspn(list, " ");

		if (n > 0 && n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
			each(f, word);
		}
		list += n + (list[n] == ' ');
	}
}

static void
allow(struct filter *f, const char *word)
{
	add_rule(f, SCMP_ACT_ALLOW, word, 0, NULL);
}

static void
refuse(struct filter *f, const char *word)
{
#ifdef PST_SANITIZE
	if (has_word(sanitizer_needs, word, strlen(word)))
		return;
#else
	(void)sanitizer_needs;
#endif
	if (strcmp(word, "socket") == 0 && (f->on & ON_CONNECT) != 0)
		return; /* allow_families has seen to it */
	if (!is_allowed(f->on, word))
		add_rule(f, SCMP_ACT_ERRNO(EPERM), word, 0, NULL);
}

static void
refuse_always(struct filter *f, const char *word)
{
#ifdef PST_SANITIZE
	if (has_word(sanitizer_needs, word, strlen(word)))
		return;
#endif
	add_rule(f, SCMP_ACT_ERRNO(EPERM), word, 0, NULL);
}

/* ALLOW where the argument passes, EPERM where it does not: both said, for two rules of one call
 * must not overlap. */
static void
allow_if_equal(struct filter *f, const char *name, unsigned arg, uint64_t value)
{
	const struct scmp_arg_cmp yes = SCMP_CMP64(arg, SCMP_CMP_EQ, value, 0);
	const struct scmp_arg_cmp no = SCMP_CMP64(arg, SCMP_CMP_NE, value, 0);

	add_rule(f, SCMP_ACT_ALLOW, name, 1, &yes);
	add_rule(f, SCMP_ACT_ERRNO(EPERM), name, 1, &no);
}

/* Memory is never made executable any more: all code was loaded before. */
static void
allow_without_bits(struct filter *f, const char *name, unsigned arg, uint64_t bits)
{
	const struct scmp_arg_cmp yes = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, bits, 0);
	const struct scmp_arg_cmp no = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, bits, bits);

	add_rule(f, SCMP_ACT_ALLOW, name, 1, &yes);
	add_rule(f, SCMP_ACT_ERRNO(EPERM), name, 1, &no);
}

/* Netlink tells the C library's resolver which addresses this host has. */
static void
allow_families(struct filter *f)
{
	static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const struct scmp_arg_cmp family = SCMP_CMP64(0, SCMP_CMP_EQ, families[i], 0);

		add_rule(f, SCMP_ACT_ALLOW, "socket", 1, &family);
	}
}

static void
allow_with_arguments(struct filter *f)
{
	static const unsigned long requests[] = { FIONBIO, FIOCLEX, FIONREAD, TCGETS };
	const struct scmp_arg_cmp thread =
		SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	const struct scmp_arg_cmp process = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	size_t i;

	allow_without_bits(f, "mmap", 2, PROT_EXEC);
	allow_without_bits(f, "mprotect", 2, PROT_EXEC);
	allow_if_equal(f, "tgkill", 0, (uint64_t)getpid()); /* abort() */
	allow_if_equal(f, "prlimit64", 0, 0);
	allow_if_equal(f, "socketpair", 0, AF_UNIX);
	/* clone3 stays unknown, so that the C library takes clone, whose flags a filter can see. */
	add_rule(f, SCMP_ACT_ALLOW, "clone", 1, &thread);
	add_rule(f, SCMP_ACT_ERRNO(EPERM), "clone", 1, &process);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const struct scmp_arg_cmp request = SCMP_CMP64(1, SCMP_CMP_EQ, requests[i], 0);

		add_rule(f, SCMP_ACT_ALLOW, "ioctl", 1, &request);
	}
	if ((f->on & ON_CONNECT) != 0)
		allow_families(f);
	if (!is_allowed(f->on, "prctl"))
		allow_if_equal(f, "prctl", 0, PR_SET_NAME);
}

/* A process of its own is allowed, a namespace is not; clone3 hides its flags from a filter. */
static void
fill_for_system(struct filter *f)
{
	const uint64_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
	                        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
	uint64_t bit;

	for (bit = 1; bit != 0 && bit <= spaces; bit <<= 1) {
		const struct scmp_arg_cmp set = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, bit, bit);

		if ((spaces & bit) != 0)
			add_rule(f, SCMP_ACT_ERRNO(EPERM), "clone", 1, &set);
	}
	add_rule(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	each_word(f, never, refuse_always);
}

static uint32_t
default_action(void)
{
#ifdef PST_SANITIZE
	return SCMP_ACT_ALLOW;
#elif defined(PST_HOSTILE)
	const char *mode = getenv("POSTERN_SECCOMP");

	return mode != NULL && strcmp(mode, "log") == 0 ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS);
#else
	return SCMP_ACT_ERRNO(ENOSYS);
#endif
}

static void
fill(struct filter *f)
{
#ifndef PST_SANITIZE /* there the default is to allow, and an equal rule is refused */
	size_t i;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((allowed[i].on & f->on) != 0)
			each_word(f, allowed[i].names, allow);
	allow_with_arguments(f);
#else
	(void)allow;
	(void)allow_with_arguments;
#endif
	each_word(f, refused, refuse);
}

int
seccomp_close(enum worker_kind kind, enum seccomp_stage stage, bool may_connect, bool *on_out,
              struct pst_err *err)
{
	struct filter f = { .on = 1u << kind, .err = err };
	int rc;

	*on_out = false;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == EINVAL)
		return 0; /* a kernel without it */
	if (stage == SECCOMP_WAITING)
		f.on |= ON_WAITING;
	if (may_connect)
		f.on |= ON_CONNECT;
	f.ctx = seccomp_init(stage == SECCOMP_SYSTEM ? SCMP_ACT_ALLOW : default_action());
	if (f.ctx == NULL)
		return pst_err_set(err, PST_E_PERM, "sandbox: no memory for the seccomp filter");
	/* A binary tree: many rules cost little more than few. */
	(void)seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (stage == SECCOMP_SYSTEM)
		fill_for_system(&f);
	else
		fill(&f);
	rc = f.bad ? 0 : seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	if (f.bad)
		return -1;
	if (rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP)
		return 0;
	if (rc != 0)
		return pst_err_set(err, PST_E_PERM, "sandbox: seccomp: %s", strerror(-rc));
	*on_out = true;
	return 0;
}
