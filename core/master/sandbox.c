/* SPDX-License-Identifier: MIT */
/* What each kind of worker keeps; see sandbox.h. Runs as root where the server does: the order of
 * the steps is what makes it safe, and every step is checked. */
#include "master/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#ifdef PST_SANITIZE
#include <sanitizer/common_interface_defs.h>
#endif

#include "base/arena.h"
#include "base/mem.h"
#include "base/rights.h"
#include "config/settings.h"
#include "master/hostile.h"
#include "master/landlock.h"
#include "master/paths.h"
#include "master/seccomp.h"
#include "plugin/registry.h"

/* Clients' octets never get beyond what these plugins are given: only auth workers are opened. */
static bool
has_need(const struct worker_env *env, enum pst_needs need)
{
	return env->kind == WORKER_AUTH && (registry_needs(env->plugins) & need) != 0;
}

static void
add_bits(struct slot_row *row, uint32_t bits)
{
	(void)atomic_fetch_or(&row->sandbox, bits);
}

static int
enter_empty_root(const struct worker_env *env, struct pst_err *err)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/empty", env->settings->server.runtime_dir);
	if (chdir(path) != 0 || chroot(".") != 0 || chdir("/") != 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: chroot %s", path);
	add_bits(env->self, SANDBOX_CHROOT);
	return 0;
}

/* setresuid has cleared the death signal, so this comes after it. */
static int
bind_to_master(const struct sandbox_plan *plan, struct pst_err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: parent death signal");
	if (plan != NULL && getppid() != plan->master)
		return pst_err_set(err, PST_E_CLOSED, "the master is gone");
	return 0;
}

/* Other processes of the same user may not look into this one, and it leaves no core. */
static int
forbid_looking(struct pst_err *err)
{
#ifndef PST_SANITIZE /* the leak checker looks into its own process from outside */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: dumpable");
#else
	(void)err;
#endif
	return 0;
}

static int
close_landlock(const struct worker_env *env, const struct landlock_rules *rules,
               struct pst_err *err)
{
	int abi;

	if (landlock_close(rules, &abi, err) != 0)
		return -1;
	if (abi > 0)
		add_bits(env->self, SANDBOX_LANDLOCK);
	atomic_store(&env->self->landlock_abi, (uint32_t)abi);
	return 0;
}

static int
close_seccomp(const struct worker_env *env, enum seccomp_stage stage, struct pst_err *err)
{
	bool on;

	if (stage == SECCOMP_FINAL && has_need(env, PST_NEEDS_SYSTEM))
		stage = SECCOMP_SYSTEM;
	if (seccomp_close(env->kind, stage, has_need(env, PST_NEEDS_NET), &on, err) != 0)
		return -1;
	if (on)
		add_bits(env->self, SANDBOX_SECCOMP);
	return 0;
}

static int
close_paths(const struct worker_env *env, const char *maildrop, struct pst_err *err)
{
	struct path_list *list = pst_new(struct path_list);
	struct landlock_rules rules = { .paths = list->v,
		                        .may_connect = has_need(env, PST_NEEDS_NET) };
	int rc;

	list->arena = pst_arena_create();
	if (maildrop != NULL)
		paths_of_maildrop(list, env, maildrop);
	else
		paths_of_worker(list, env);
	rules.path_count = list->n;
	rc = close_landlock(env, &rules, err);
	pst_arena_destroy(list->arena);
	free(list);
	return rc;
}

/* It reads its own memory map now, for the report that it may have to write later. */
static void
tell_sanitizer(void)
{
#ifdef PST_SANITIZE
	__sanitizer_sandbox_on_notify(NULL);
#endif
}

static int
set_no_new_privs(const struct worker_env *env, struct pst_err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: no_new_privs");
	add_bits(env->self, SANDBOX_NO_NEW_PRIVS);
	return 0;
}

static bool
is_waiting(const struct worker_env *env)
{
	return env->kind == WORKER_MAIL && env->settings->mail.run_as == RUN_AS_USER;
}

/* Where PAM's modules must be root: to read files that are root's own, and to write to the audit log.
 * Nothing that it runs gets more: the bounding set is empty. */
static int
stay_root(const struct worker_env *env, struct pst_err *err)
{
	const uint32_t keep = 1u << CAP_DAC_READ_SEARCH | 1u << CAP_AUDIT_WRITE;
	const gid_t group = 0;

	if (!has_need(env, PST_NEEDS_SYSTEM))
		return pst_err_set(err, PST_E_PERM,
		                   "sandbox: server.auth_user is root, and no plugin needs that");
	if (setgroups(1, &group) != 0 || setresgid(0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "sandbox: groups of root");
	return rights_keep(keep, err);
}

static int
drop_root(const struct worker_env *env, const struct sandbox_plan *plan, struct pst_err *err)
{
	const uint32_t become_somebody = 1u << CAP_SETUID | 1u << CAP_SETGID;

	if (!plan->is_root)
		return rights_keep(0, err); /* a service manager may have left some */
	rights_empty_bounding_set();
	if (is_waiting(env))
		return rights_keep(become_somebody, err);
	if (env->kind == WORKER_LOGIN && enter_empty_root(env, err) != 0)
		return -1;
	if (env->kind == WORKER_AUTH && plan->uid == 0)
		return stay_root(env, err);
	if (rights_become(plan->uid, plan->gid, err) != 0)
		return -1;
	add_bits(env->self, SANDBOX_OWN_USER);
	return 0;
}

int
sandbox_close(const struct worker_env *env, const struct sandbox_plan *plan, struct pst_err *err)
{
	bool is_on = env->settings->server.sandbox != SANDBOX_OFF;

	atomic_store(&env->self->sandbox, 0);
	atomic_store(&env->self->landlock_abi, 0);
	if (drop_root(env, plan, err) != 0 || set_no_new_privs(env, err) != 0 ||
	    bind_to_master(plan, err) != 0 || forbid_looking(err) != 0)
		return -1;
	if (!is_on)
		return 0;
	tell_sanitizer();
	if (close_paths(env, NULL, err) != 0)
		return -1;
	return close_seccomp(env, is_waiting(env) ? SECCOMP_WAITING : SECCOMP_FINAL, err);
}

static int
check_ids(const struct worker_env *env, uid_t uid, gid_t gid, struct pst_err *err)
{
	const struct mail_settings *mail = &env->settings->mail;

	if (uid == 0 || gid == 0 || (int64_t)uid < mail->first_uid ||
	    (int64_t)gid < mail->first_gid)
		return pst_err_set(err, PST_E_PERM,
		                   "uid %u gid %u is below mail.first_uid or mail.first_gid", uid,
		                   gid);
	return 0;
}

int
sandbox_confine(const struct worker_env *env, uid_t uid, gid_t gid, const char *path,
                struct pst_err *err)
{
	bool is_on = env->settings->server.sandbox != SANDBOX_OFF;

	if (geteuid() == 0) {
		if (check_ids(env, uid, gid, err) != 0 || rights_become(uid, gid, err) != 0)
			return -1;
		add_bits(env->self, SANDBOX_OWN_USER);
	} else if (uid != geteuid()) {
		return pst_err_set(err, PST_E_PERM,
		                   "the server was not started as root: it cannot become uid %u",
		                   uid);
	}
	if (bind_to_master(NULL, err) != 0 || forbid_looking(err) != 0)
		return -1;
	if (is_on &&
	    (close_paths(env, path, err) != 0 || close_seccomp(env, SECCOMP_FINAL, err) != 0))
		return -1;
	hostile_steps_confined(env);
	return 0;
}

static void
append(char *out, size_t cap, const char *what)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, cap - n, "%s%s", n > 0 ? ", " : "", what);
}

void
sandbox_missing(bool is_root, char *out, size_t cap)
{
	int abi = landlock_abi();

	out[0] = '\0';
	if (!is_root)
		append(out, cap, "own users and chroot (not started as root)");
	if (abi == 0)
		append(out, cap, "Landlock (kernel 5.13)");
	else if (abi < 4)
		append(out, cap, "Landlock's network rules (kernel 6.7)");
	else if (abi < 6)
		append(out, cap, "Landlock's signal scope (kernel 6.12)");
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		append(out, cap, "seccomp");
#ifdef PST_SANITIZE
	append(out, cap, "seccomp's allow-list (sanitizer build)");
#endif
}

void
sandbox_describe(const struct slot_row *row, char *out, size_t cap)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = { { SANDBOX_NO_NEW_PRIVS, "nnp" },
		      { SANDBOX_SECCOMP, "seccomp" },
		      { SANDBOX_LANDLOCK, "landlock" },
		      { SANDBOX_CHROOT, "chroot" },
		      { SANDBOX_OWN_USER, "user" } };
	uint32_t bits = atomic_load(&row->sandbox);
	size_t used = 0, i;

	out[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int n;

		if ((bits & names[i].bit) == 0 || used >= cap)
			continue;
		n = snprintf(out + used, cap - used, "%s%s", used > 0 ? " " : "", names[i].name);
		used += n > 0 ? (size_t)n : 0;
		if (names[i].bit == SANDBOX_LANDLOCK && used < cap) {
			n = snprintf(out + used, cap - used, ":%u",
			             atomic_load(&row->landlock_abi));
			used += n > 0 ? (size_t)n : 0;
		}
	}
}
