/* SPDX-License-Identifier: MIT */
/* The auth plugin pam: the system's users, by way of its PAM stack. One transaction a request: pam.c
 * walks it; here are the settings, and what a result means to the server. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/pam/pam.h"

#define RECORD_ROOM 16384 /* octets that an entry of passwd may take */

struct pam_conf {
	const char *service, *state;
	int64_t max_requests;
	bool session, local_part;
};

struct pam_self {
	const struct pst_host *host;
	const struct pam_conf *conf;
	int64_t served;
	bool has_asked; /* a prompt that nothing answers was told of */
};

static const struct pst_conf_key keys[] = {
	{ "service", PST_CONF_TEXT(struct pam_conf, service), "postern", 1, 64, "octets",
	  "The service's name: its rules are /etc/pam.d/NAME. Where there is no such file, PAM takes "
	  "those of \"other\", which refuse everybody on most systems; then a warning says so." },
	{ "session", PST_CONF_BOOL(struct pam_conf, session), "false", 0, 0, NULL,
	  "Opens a PAM session after a login and closes it at once: for modules that do something "
	  "at that time, as pam_mkhomedir does. What they do for the process is of no use: another one "
	  "serves the mail." },
	{ "local_part", PST_CONF_BOOL(struct pam_conf, local_part), "false", 0, 0, NULL,
	  "Asks PAM for what is before the last \"@\" of the name, whatever the domain." },
	{ "max_requests", PST_CONF_INT(struct pam_conf, max_requests), "100", 0, 1000000,
	  "requests",
	  "After so many, an auth worker ends and a new one takes its place: modules are known to "
	  "lose memory and descriptors. 0: never." },
	{ "state", PST_CONF_WRITE_PATH(struct pam_conf, state), "/run/faillock/", 0, 4000, "octets",
	  "The folder that modules may write to. A file's name opens the folder that it is in." },
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct pam_conf *c = conf;

	if (strchr(c->service, '/') != NULL)
		return pst_err_set(err, PST_E_CLIENT, "service: a name, not a path");
	if (c->state[0] != '\0' && c->state[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "state: must begin with /");
	return 0;
}

static bool
has_rules(const char *service)
{
	static const char *const folders[] = { "/etc/pam.d", "/usr/lib/pam.d" };
	char path[256];
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], service);
		if (access(path, F_OK) == 0)
			return true;
	}
	return access("/etc/pam.conf", F_OK) == 0 && access("/etc/pam.d", F_OK) != 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct pam_self *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	s->host = host;
	s->conf = host->conf;
	*self_out = s;
	return 0;
}

static void
stop(void *self)
{
	free(self);
}

/* ---- A user of the system ---- */

/* The record of the name that PAM gave. A name that no database of the system knows is no failure:
 * modules may know users of their own, whose mail is where the settings say. */
static enum pst_auth_result
fill_record(const struct pam_self *s, const char *name, const struct pst_auth_query *query,
            struct pst_auth_record *record, struct pst_err *err)
{
	char *room = s->host->alloc(record->arena, RECORD_ROOM);
	struct passwd entry, *found = NULL;
	int rc = getpwnam_r(name, &entry, room, RECORD_ROOM, &found);

	if (rc != 0) {
		pst_err_set(err, PST_E_TEMP, "getpwnam: %s", strerror(rc));
		return PST_AUTH_TEMP;
	}
	if (!pst_str_eq(pst_str_c(name), s->conf->local_part ? query->local_part : query->user))
		record->user = (struct pst_str){ s->host->copy(record->arena, pst_str_c(name)),
			                         strlen(name) };
	if (found == NULL)
		return PST_AUTH_OK;
	record->uid = entry.pw_uid;
	record->gid = entry.pw_gid;
	record->home = pst_str_c(entry.pw_dir); /* in the arena */
	return PST_AUTH_OK;
}

/* Once: a misspelt service refuses everybody, and only the log can say why. */
static void
tell_rules(const struct pam_self *s)
{
	if (s->served == 0 && !has_rules(s->conf->service))
		s->host->log(s->host, PST_LOG_WARN, "pam.no_service",
		             "service=\"%s\" what=\"there is no /etc/pam.d/%s: the rules of the "
		             "service other count\"",
		             s->conf->service, s->conf->service);
}

static void
count_request(struct pam_self *s)
{
	s->served++;
	if (s->conf->max_requests > 0 && s->served >= s->conf->max_requests &&
	    s->host->size > offsetof(struct pst_host, retire))
		s->host->retire(s->host);
}

static enum pst_auth_result
verify(void *self, const struct pst_auth_query *query, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	struct pam_self *s = self;
	struct pam_attempt attempt = {
		.service = s->conf->service,
		.user = s->conf->local_part ? query->local_part : query->user,
		.password = password,
		.remote_ip = query->remote_ip,
		.with_session = s->conf->session,
	};
	enum pst_auth_result result;

	tell_rules(s);
	result = pam_attempt(&attempt, err);
	if (attempt.stray_prompt[0] != '\0' && !s->has_asked) {
		s->has_asked = true;
		s->host->log(s->host, PST_LOG_WARN, "pam.prompt",
		             "service=\"%s\" prompt=\"%s\" what=\"only one password is given: this "
		             "stack cannot be used for POP3\"",
		             s->conf->service, attempt.stray_prompt);
	}
	if (result == PST_AUTH_OK)
		result = fill_record(s, attempt.name, query, record, err);
	if (result == PST_AUTH_DISABLED) {
		record->password_right = attempt.is_right;
		record->reason = (struct pst_str){
			s->host->copy(record->arena, pst_str_c(attempt.reason)),
			strlen(attempt.reason),
		};
	}
	count_request(s);
	return result;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.verify = verify,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "pam",
	.keys = keys,
	.conf_size = sizeof(struct pam_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.auth = &auth,
	.needs = PST_NEEDS_NET | PST_NEEDS_SYSTEM,
};
