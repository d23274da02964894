/* SPDX-License-Identifier: MIT */
/* Landlock by its raw calls; see landlock.h. Runs as root where the server does. */
#include "master/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface, as of ABI 7; each ABI only adds. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

struct ruleset_attr {
	uint64_t fs;    /* what is refused unless a rule allows it */
	uint64_t net;   /* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

struct path_beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#define FS_EXECUTE (1u << 0)
#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_REMOVE_DIR (1u << 4)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_DIR (1u << 7)
#define FS_MAKE_REG (1u << 8)
#define FS_ALL_1 ((1u << 13) - 1) /* ABI 1 */
#define FS_REFER (1u << 13)       /* ABI 2: rename and link between folders */
#define FS_TRUNCATE (1u << 14)    /* ABI 3 */
#define FS_IOCTL_DEV (1u << 15)   /* ABI 5 */
#define NET_BIND_TCP (1u << 0)    /* ABI 4 */
#define NET_CONNECT_TCP (1u << 1)
#define SCOPE_ABSTRACT_SOCKET (1u << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1u << 1)

/* What may be asked of a single file; the others are rights on folders. */
#define FS_OF_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_READ (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE                                                                                   \
	(FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |    \
	 FS_REFER | FS_TRUNCATE)

int
landlock_abi(void)
{
	long abi = syscall(CALL_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

static struct ruleset_attr
handled(int abi, const struct landlock_rules *rules)
{
	struct ruleset_attr a = { .fs = FS_ALL_1 };

	if (abi >= 2)
		a.fs |= FS_REFER;
	if (abi >= 3)
		a.fs |= FS_TRUNCATE;
	if (abi >= 4)
		a.net = NET_BIND_TCP | (rules->may_connect ? 0 : NET_CONNECT_TCP);
	if (abi >= 5)
		a.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		a.scope = SCOPE_ABSTRACT_SOCKET | (rules->may_signal ? 0 : SCOPE_SIGNAL);
	return a;
}

/* Older kernels refuse a struct with members that they do not know, unless it is shorter. */
static size_t
attr_octets(int abi)
{
	if (abi >= 6)
		return sizeof(struct ruleset_attr);
	return abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static int
add_path(int ruleset, uint64_t known, const struct landlock_path *p, struct pst_err *err)
{
	static const uint64_t rights[] = {
		[LANDLOCK_READ] = FS_READ,
		[LANDLOCK_RUN] = FS_READ | FS_EXECUTE,
		[LANDLOCK_WRITE] = FS_WRITE,
	};
	struct path_beneath_attr rule = { .parent_fd = -1 };
	struct stat st;
	int rc = -1;

	rule.parent_fd = open(p->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0; /* what is not there needs no permission */
		return pst_err_sys(err, PST_E_PERM, "sandbox: %s", p->path);
	}
	if (fstat(rule.parent_fd, &st) != 0) {
		pst_err_sys(err, PST_E_PERM, "sandbox: %s", p->path);
		goto out;
	}
	rule.allowed =
		rights[p->access] & known & (S_ISDIR(st.st_mode) ? ~(uint64_t)0 : FS_OF_FILE);
	if (syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0u) != 0) {
		pst_err_sys(err, PST_E_PERM, "sandbox: landlock rule for %s", p->path);
		goto out;
	}
	rc = 0;
out:
	close(rule.parent_fd);
	return rc;
}

int
landlock_close(const struct landlock_rules *rules, int *abi_out, struct pst_err *err)
{
	int abi = landlock_abi();
	struct ruleset_attr attr = handled(abi, rules);
	int ruleset;
	size_t i;
	int rc = -1;

	*abi_out = 0;
	if (abi == 0)
		return 0;
	ruleset = (int)syscall(CALL_CREATE_RULESET, &attr, attr_octets(abi), 0u);
	if (ruleset < 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: landlock");
	for (i = 0; i < rules->path_count; i++)
		if (add_path(ruleset, attr.fs, &rules->paths[i], err) != 0)
			goto out;
	if (syscall(CALL_RESTRICT_SELF, ruleset, 0u) != 0) {
		pst_err_sys(err, PST_E_PERM, "sandbox: landlock");
		goto out;
	}
	*abi_out = abi;
	rc = 0;
out:
	close(ruleset);
	return rc;
}
