/* SPDX-License-Identifier: MIT */
/* Giving root up; see rights.h. Runs as root: the order of the steps is what makes it safe, and every
 * step is checked. */
#include "base/rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
rights_keep(uint32_t keep, struct pst_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = keep, .permitted = keep } };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, data) != 0)
		return pst_err_sys(err, PST_E_PERM, "capset");
	return 0;
}

static int
check_no_capabilities(struct pst_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &head, data) != 0)
		return pst_err_sys(err, PST_E_PERM, "capget");
	if ((data[0].permitted | data[0].effective | data[0].inheritable | data[1].permitted |
	     data[1].effective | data[1].inheritable) != 0)
		return pst_err_set(err, PST_E_PERM, "capabilities are left");
	return 0;
}

void
rights_empty_bounding_set(void)
{
	unsigned long cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* no_new_privs makes it harmless */
}

/* Groups first, then gid, then uid: the other way round the first two are refused. */
int
rights_become(uid_t uid, gid_t gid, struct pst_err *err)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (uid == 0 || gid == 0)
		return pst_err_set(err, PST_E_PERM, "uid %d gid %d: never root", (int)uid,
		                   (int)gid);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "keepcaps");
	if (setgroups(1, &gid) != 0)
		return pst_err_sys(err, PST_E_PERM, "setgroups");
	if (setresgid(gid, gid, gid) != 0)
		return pst_err_sys(err, PST_E_PERM, "setresgid %d", (int)gid);
	if (setresuid(uid, uid, uid) != 0)
		return pst_err_sys(err, PST_E_PERM, "setresuid %d", (int)uid);
	if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid ||
	    getresgid(&rg, &eg, &sg) != 0 || rg != gid || eg != gid || sg != gid)
		return pst_err_set(err, PST_E_PERM, "the ids are not %d:%d", (int)uid, (int)gid);
	if (setuid(0) == 0 || seteuid(0) == 0)
		return pst_err_set(err, PST_E_PERM, "root came back");
	if (rights_keep(0, err) != 0) /* the inheritable ones outlive the change of ids */
		return -1;
	return check_no_capabilities(err);
}
