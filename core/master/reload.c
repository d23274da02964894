/* SPDX-License-Identifier: MIT */
/* From one configuration to the next: the reading in a child, the candidate beside the generation
 * that serves, and what a configuration changes in the master itself. Whatever is wrong with the
 * new one, the old one stays. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/control.h"
#include "master/master.h"
#include "master/notify.h"

#define FDS_APART 256 /* what a worker holds besides its clients */

/* A login worker may have all clients, each with a relay beside its socket; a mail worker a socket,
 * a lock and a message for each session. */
static void
raise_descriptors(const struct settings *s)
{
	rlim_t login = (rlim_t)s->login.max_connections * 2 + FDS_APART;
	rlim_t mail = (rlim_t)s->mail.max_sessions * 4 + FDS_APART;
	rlim_t want = login > mail ? login : mail;
	struct rlimit old, new;

	if (getrlimit(RLIMIT_NOFILE, &old) != 0 || old.rlim_cur >= want)
		return;
	new.rlim_cur = want;
	new.rlim_max = want > old.rlim_max ? want : old.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &new) == 0)
		return;
	new = (struct rlimit){ old.rlim_max, old.rlim_max };
	(void)setrlimit(RLIMIT_NOFILE, &new);
	pst_log_warn(NULL, "server.descriptors",
	             "have=%llu need=%llu hint=\"login.max_connections and mail.max_sessions need "
	             "a higher limit of open files: LimitNOFILE= in the unit, or ulimit -n\"",
	             (unsigned long long)new.rlim_cur, (unsigned long long)want);
}

int
reload_adopt_settings(const struct settings *s, struct pst_err *err)
{
	if (pst_log_open(s->log.destination, err) != 0)
		return -1;
	pst_log_set_level((enum pst_log_level)s->log.level);
	raise_descriptors(s);
	return 0;
}

static uint32_t
count_generations(const struct master *m)
{
	const struct generation *g;
	uint32_t n = 0;

	for (g = m->newest; g != NULL; g = g->older)
		n++;
	return n;
}

/* What may run at a time has a bound: the eldest goes first. */
static void
make_room(struct master *m, int64_t max, int64_t now_ms)
{
	struct generation *g, *oldest = NULL;

	if ((int64_t)count_generations(m) < max)
		return;
	for (g = m->newest; g != NULL; g = g->older)
		if (g != m->newest && g->kill_at_ms == 0)
			oldest = g;
	if (oldest == NULL)
		return;
	pst_log_warn(NULL, "generation.ended",
	             "generation=%u workers=%u reason=\"server.max_generations\"", oldest->number,
	             generation_running_all(oldest));
	supervise_stop_now(oldest, now_ms);
}

int
reload_begin_generation(struct master *m, struct conf *conf, struct pst_err *err)
{
	struct generation *g = generation_create(&m->regions, m->listens, conf, m->last_number + 1,
	                                         m->newest, err);

	if (g == NULL)
		return -1;
	m->last_number++;
	g->older = m->newest;
	m->newest = g;
	return 0;
}

static void
log_problems(const char *problems)
{
	while (*problems != '\0') {
		size_t n = strcspn(problems, "\n");

		pst_log_error(NULL, "reload.problem", "%.*s", (int)n, problems);
		problems += n + (problems[n] == '\n');
	}
}

static bool
is_reloading(const struct master *m)
{
	return m->reading != NULL ||
	       (m->newest != NULL && m->newest->phase < GEN_LIVE && m->was_ready);
}

static void
begin_reading(struct master *m)
{
	char state[64];
	struct pst_err err;

	m->reload_again = false;
	m->reload_serial++;
	(void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	               (long long)pst_now_ms() * 1000);
	notify_state(state);
	m->reading = conf_read_begin(&m->regions, &m->source, &err);
	if (m->reading != NULL)
		return;
	pst_log_error(NULL, "reload.failed", "reason=\"%s\"", err.text);
	control_reload_done(m->control, m->reload_serial, false,
	                    "the configuration cannot be read\n");
	notify_state("READY=1");
}

uint32_t
master_reload(struct master *m)
{
	if (m->stopping)
		return 0;
	if (!m->was_ready || is_reloading(m)) {
		m->reload_again = true;
		return m->reload_serial + 1;
	}
	begin_reading(m);
	return m->reload_serial;
}

static int
try_candidate(struct master *m, struct conf *conf, struct pst_err *err)
{
	const struct settings *old = &m->newest->conf->settings;

	if (strcmp(conf->settings.server.runtime_dir, old->server.runtime_dir) != 0)
		return pst_err_set(err, PST_E_PERM,
		                   "server.runtime_dir cannot change while the server runs");
	if (reload_adopt_settings(&conf->settings, err) != 0)
		return -1;
	make_room(m, conf->settings.server.max_generations, pst_now_ms());
	return reload_begin_generation(m, conf, err);
}

void
reload_read(struct master *m, int status)
{
	struct conf_reading *reading = m->reading;
	char *problems = NULL;
	struct conf *conf;
	struct pst_err err;

	m->reading = NULL;
	conf = conf_read_end(&m->regions, reading, status, &problems);
	if (conf != NULL && m->stopping) {
		conf_destroy(&m->regions, conf);
	} else if (conf == NULL) {
		log_problems(problems);
		pst_log_error(NULL, "reload.failed", "reason=\"the configuration is bad\" still=%u",
		              m->newest->number);
		control_reload_done(m->control, m->reload_serial, false, problems);
		notify_state("READY=1");
	} else if (try_candidate(m, conf, &err) != 0) {
		char text[sizeof(err.text) + 1];

		conf_destroy(&m->regions, conf);
		pst_log_error(NULL, "reload.failed", "reason=\"%s\" still=%u", err.text,
		              m->newest->number);
		(void)snprintf(text, sizeof(text), "%s\n", err.text);
		control_reload_done(m->control, m->reload_serial, false, text);
		notify_state("READY=1");
	}
	free(problems);
}

void
reload_tick(struct master *m)
{
	if (m->reload_again && m->was_ready && !m->stopping && !is_reloading(m))
		begin_reading(m);
}

void
reload_reopen_log(struct master *m)
{
	struct pst_err err;

	if (pst_log_open(m->newest->conf->settings.log.destination, &err) != 0)
		pst_log_error(NULL, "log.failed", "reason=\"%s\"", err.text);
	(void)master_reload(m);
}
