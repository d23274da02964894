/* SPDX-License-Identifier: MIT */
/* The mail worker; see worker.h. load runs as root where the server does; run does so only with
 * run_as = "user" (mail/single.c). */
#include "mail/worker.h"

#include "base/log.h"
#include "config/settings.h"
#include "mail/serve.h"
#include "mail/single.h"
#include "plugin/registry.h"

/* Every storage that has a section, for a user's record may name any of them, and the one that
 * mail.location names. */
static int
load(const struct worker_env *env, struct pst_err *err)
{
	const char *location = env->settings->mail.location;
	const char *colon = strchr(location, ':');
	char name[64];

	if (registry_load_sections(env, PST_STORAGE, err) != 0)
		return -1;
	if (colon == NULL || (size_t)(colon - location) >= sizeof(name))
		return pst_err_set(err, PST_E_CLIENT, "mail.location is not PLUGIN:PATH");
	memcpy(name, location, (size_t)(colon - location));
	name[colon - location] = '\0';
	return registry_load(env, PST_STORAGE, name, err);
}

static int
run(const struct worker_env *env)
{
	struct handoff_desk *desk;
	struct pst_err err;
	int status;

	if (env->settings->mail.run_as == RUN_AS_USER)
		return mail_single_run(env);
	if (registry_start(env->plugins, "mail", &err) != 0) {
		slot_failure(env->self, pst_str_c(err.text));
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", env->slot, err.text);
		return 1;
	}
	desk = handoff_desk_create(env);
	status = mail_serve(env, desk, NULL);
	handoff_desk_destroy(desk);
	return status;
}

const struct worker_code mail_worker = { .load = load, .run = run };
