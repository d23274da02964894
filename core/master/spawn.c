/* SPDX-License-Identifier: MIT */
/* Forks a worker; see spawn.h. The child runs as root where the server does until sandbox_close:
 * it loads plugins and touches nothing that a client sent. */
#include "master/spawn.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/hostile.h"
#include "plugin/registry.h"

#define HASH_SLICE_NS UINT64_C(50000000)
#define HASH_NICE 10

void
spawn_reset_signals(void)
{
	static const int defaults[] = { SIGCHLD, SIGTERM, SIGUSR1 };
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGXFSZ };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		(void)signal(defaults[i], SIG_DFL);
	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
compare_ints(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Everything but 0, 1, 2, the log and the n of fds. */
static void
close_others(const int *fds, size_t n)
{
	int *keep = pst_new_array(int, n + 2);
	unsigned from = STDERR_FILENO + 1;
	size_t used = 0, i;

	keep[used++] = pst_log_fd();
	for (i = 0; i < n; i++)
		keep[used++] = fds[i];
	qsort(keep, used, sizeof(*keep), compare_ints);
	for (i = 0; i < used; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			(void)close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	(void)close_range(from, ~0u, 0);
	free(keep);
}

/* The texts of this kind's plugin sections, out of the mappings, which go. */
static int
take_sections(struct spawn *s, struct pst_err *err)
{
	struct pst_arena *arena = pst_arena_create(); /* process lifetime */
	struct conf_texts *all = pst_arena_alloc(arena, sizeof(*all));
	size_t i, k;

	conf_texts_init(all, arena);
	for (i = 0; i < CONF_PARTS; i++) {
		struct conf_texts part;
		struct pst_str image;

		if (s->images[i] == NULL)
			continue;
		image.p = (const char *)s->images[i]->data;
		image.n = s->images[i]->n;
		conf_texts_init(&part, arena);
		if (conf_texts_decode(&part, image, err) != 0)
			return -1;
		for (k = 0; k < part.n; k++)
			conf_texts_set(all, pst_str_c(part.v[k].path), pst_str_c(part.v[k].value),
			               part.v[k].file, part.v[k].line);
	}
	s->env.sections = all;
	return 0;
}

/* struct sched_attr of the kernel, for which the C library has no call. */
struct turns {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t slice_ns, deadline, period;
};

/* A storm of wrong passwords takes the time that the machine has left, and no more: whoever can be
 * answered without a hash comes first. Not the idle class: a login that does take one must not wait for
 * ever on a machine that is busy with something else.
 *
 * Since Linux 6.12 whoever asks for long turns gives way at once to those with shorter ones. Before, the
 * kernel takes no notice of it, and lets those who wake up go first by themselves. */
static void
step_back(const struct worker_env *env)
{
	const struct turns turns = {
		.size = sizeof(turns),
		.policy = SCHED_BATCH,
		.nice = HASH_NICE,
		.slice_ns = HASH_SLICE_NS,
	};

	if (env->kind != WORKER_AUTH || env->role != AUTH_HASH)
		return;
	/* Where the kernel shares time between sessions (sched_autogroup), the other workers would be
	 * charged for the hashes, and wait for their turn behind whatever else the machine does. */
	(void)setsid();
	(void)syscall(SYS_sched_setattr, 0, &turns, 0u);
}

static int
get_ready(struct spawn *s, struct pst_err *err)
{
	void *keep[SPAWN_MAX_REGIONS + CONF_PARTS];
	size_t i;

	memcpy(keep, s->keep, sizeof(s->keep));
	for (i = 0; i < CONF_PARTS; i++) {
		union {
			const struct conf_image *in;
			void *out;
		} image = { s->images[i] };

		keep[SPAWN_MAX_REGIONS + i] = image.out;
	}
	close_others(s->fds, s->fd_count);
	region_keep(s->regions, keep, SPAWN_MAX_REGIONS + CONF_PARTS);
	if (take_sections(s, err) != 0)
		return -1;
	region_keep(s->regions, s->keep, SPAWN_MAX_REGIONS);

	s->env.plugins = registry_create(s->env.self);
	step_back(&s->env);
	if (s->code->load != NULL && s->code->load(&s->env, err) != 0)
		return -1;
	return sandbox_close(&s->env, &s->sandbox, err);
}

static void PST_NORETURN
leave(const struct spawn *s, int status)
{
#ifdef PST_SANITIZE
	/* The leak checker runs at exit; it reads /proc, which an empty root does not have. */
	if ((atomic_load(&s->env.self->sandbox) & SANDBOX_CHROOT) == 0)
		exit(status);
#else
	(void)s;
#endif
	_exit(status);
}

static void PST_NORETURN
run_child(struct spawn *s)
{
	char name[16];
	struct pst_err err;
	int status;

	spawn_reset_signals();
	(void)snprintf(name, sizeof(name), "postern-%s", worker_kind_names[s->env.kind]);
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	pst_log_set_worker(worker_kind_names[s->env.kind]);
	if (get_ready(s, &err) != 0) {
		slot_failure(s->env.self, pst_str_c(err.text));
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", s->env.slot,
		              err.text);
		leave(s, 1);
	}
	hostile_steps(&s->env, s->sandbox.master);
	(void)malloc_trim(0); /* what reading the settings took */
	status = s->code->run(&s->env);
	registry_destroy(s->env.plugins);
	leave(s, status);
}

pid_t
spawn_worker(struct spawn *s, struct pst_err *err)
{
	pid_t pid;

	(void)malloc_trim(0); /* each worker would inherit what is free */
	pid = fork();
	if (pid < 0)
		return pst_err_sys(err, PST_E_TEMP, "fork");
	if (pid == 0)
		run_child(s);
	return pid;
}
