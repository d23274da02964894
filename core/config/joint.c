/* SPDX-License-Identifier: MIT */
/* Checks over several settings; see joint.h. */
#include "config/joint.h"

#include <string.h>

#include "base/arena.h"
#include "base/net.h"
#include "config/table.h"

/* A problem with the setting at path, with its place if it is in the file. */
static void
complain(const struct conf_texts *t, struct conf_problems *p, const char *path, const char *what)
{
	const struct conf_text *text = conf_texts_get(t, path);

	conf_problems_add(p, text != NULL ? text->file : NULL, text != NULL ? text->line : 0,
	                  "%s: %s", path, what);
}

static bool
is_blank(const char *list)
{
	return list[strspn(list, " \t\r\n")] == '\0';
}

static bool
is_listed(const char *list, struct pst_str word)
{
	struct pst_str other;

	while (settings_next_word(&list, &other))
		if (pst_str_eq(word, other))
			return true;
	return false;
}

/* A section of the kind, not listed itself, whose name is near to word's; or NULL. */
static const char *
find_near_section(const struct conf_texts *t, const struct settings *s, enum pst_kind kind,
                  const char *list, struct pst_str word)
{
	const char *names[SETTINGS_MAX_SECTIONS];
	size_t n = 0;
	size_t i;

	for (i = 0; i < s->section_count; i++)
		if (s->sections[i].kind == kind &&
		    !is_listed(list, pst_str_c(s->sections[i].instance)))
			names[n++] = s->sections[i].instance;
	return conf_nearest(names, n, pst_arena_copy(t->arena, word));
}

/* A list of plugin instances. One without a section is the plugin of that name, which is looked for
 * when it is loaded; here a mistyped section is found. */
static void
check_instances(const struct conf_texts *t, const struct settings *s, enum pst_kind kind,
                const char *path, const char *list, struct conf_problems *p)
{
	const char *rest = list;
	struct pst_str word;

	while (settings_next_word(&rest, &word)) {
		const char *near = NULL;

		if (settings_section(s, kind, word) == NULL)
			near = find_near_section(t, s, kind, list, word);
		if (!settings_is_name(word))
			complain(t, p, path,
			         pst_arena_printf(t->arena, "\"%.*s\" is not a plugin's name",
			                          PST_ARG(word)));
		else if (is_listed(rest, word))
			complain(t, p, path,
			         pst_arena_printf(t->arena, "\"%.*s\" is there twice",
			                          PST_ARG(word)));
		else if (near != NULL)
			complain(t, p, path,
			         pst_arena_printf(t->arena,
			                          "\"%.*s\" has no section; did you mean %s?",
			                          PST_ARG(word), near));
	}
}

/* ---- mail.location ---- */

static bool
is_placeholder(struct pst_str s)
{
	static const char *const known[] = { "%{user}", "%{local}", "%{domain}", "%{home}" };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i]);

		if (s.n >= n && memcmp(s.p, known[i], n) == 0)
			return true;
	}
	return false;
}

static void
check_placeholders(const struct conf_texts *t, const char *location, struct conf_problems *p)
{
	const char *at;

	for (at = strchr(location, '%'); at != NULL; at = strchr(at + 1, '%'))
		if (!is_placeholder(pst_str_c(at)))
			complain(t, p, "mail.location",
			         pst_arena_printf(t->arena,
			                          "\"%.*s\" is unknown; there are %%{user}, "
			                          "%%{local}, %%{domain} and %%{home}",
			                          at[1] == '{' ? (int)strcspn(at, "}") + 1 : 1,
			                          at));
}

static void
check_location(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	const char *location = s->mail.location;
	const size_t driver = strcspn(location, ":");
	const char *path = location + driver + 1;

	if (location[driver] == '\0' ||
	    (path[0] != '/' && strncmp(path, "%{home}/", strlen("%{home}/")) != 0) ||
	    !settings_is_name((struct pst_str){ location, driver })) {
		complain(t, p, "mail.location",
		         "must be a storage plugin's name, a colon and an absolute path, as in "
		         "\"maildir:/srv/mail/%{domain}/%{local}\"");
		return;
	}
	check_placeholders(t, path, p);
	if (s->mail.roots[0] == '\0' && (path[0] == '%' || path[1] == '%'))
		complain(t, p, "mail.roots",
		         "must be set where mail.location begins with a placeholder: mail workers "
		         "would be let see every file of the system");
}

static void
check_roots(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	const char *list = s->mail.roots;
	struct pst_str word;

	while (settings_next_word(&list, &word))
		if (word.p[0] != '/')
			complain(t, p, "mail.roots",
			         pst_arena_printf(t->arena, "\"%.*s\" is not an absolute path",
			                          PST_ARG(word)));
}

/* ---- Listeners ---- */

static const char *
listener_path(const struct conf_texts *t, const struct listener_settings *l, const char *key)
{
	return pst_arena_printf(t->arena, "listener.%s.%s", l->name, key);
}

static void
check_twin(const struct conf_texts *t, const struct settings *s, size_t idx,
           struct conf_problems *p)
{
	const struct listener_settings *l = &s->listeners[idx];
	struct sockaddr_storage ours, theirs;
	struct pst_err err;
	socklen_t n;
	size_t i;

	if (pst_addr_parse(l->address, (uint16_t)l->port, &ours, &n, &err) != 0) {
		complain(t, p, listener_path(t, l, "address"), err.text);
		return;
	}
	for (i = 0; i < idx; i++) {
		const struct listener_settings *o = &s->listeners[i];

		if (pst_addr_parse(o->address, (uint16_t)o->port, &theirs, &n, &err) == 0 &&
		    memcmp(&ours, &theirs, sizeof(ours)) == 0)
			complain(t, p, listener_path(t, l, "port"),
			         pst_arena_printf(t->arena, "%s port %d is listener %s's already",
			                          l->address, (int)l->port, o->name));
	}
}

static void
check_domain(const struct conf_texts *t, const struct listener_settings *l, struct conf_problems *p)
{
	const char *d = l->default_domain;

	if (strpbrk(d, "%@/ \t\n") != NULL && strcmp(d, "%{sni}") != 0 &&
	    strcmp(d, "%{sni_domain}") != 0)
		complain(t, p, listener_path(t, l, "default_domain"),
		         "must be a domain, or \"%{sni}\", or \"%{sni_domain}\"");
}

static void
check_listener(const struct conf_texts *t, const struct settings *s, size_t idx,
               struct conf_problems *p)
{
	const struct listener_settings *l = &s->listeners[idx];

	check_twin(t, s, idx, p);
	check_domain(t, l, p);
	if (l->tls != TLS_NONE && s->tls.directory[0] == '\0')
		complain(t, p, listener_path(t, l, "tls"),
		         "needs certificates: set tls.directory, or tls = \"none\" here");
	if (l->tls == TLS_NONE && !l->plaintext_login)
		complain(t, p, listener_path(t, l, "tls"),
		         "nobody could log in without TLS here: set tls = \"stls\", or "
		         "plaintext_login = true if the network is trusted");
}

/* ---- Others ---- */

/* The greeting and the sentences after +OK are one line. */
static void
check_greeting(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	if (strpbrk(s->login.greeting, "\n\t") != NULL)
		complain(t, p, "login.greeting", "must be one line without tabs");
}

static void
check_log(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	const char *d = s->log.destination;

	if (strcmp(d, "stderr") != 0 && strcmp(d, "syslog") != 0 && d[0] != '/')
		complain(t, p, "log.destination",
		         "must be \"stderr\", \"syslog\" or the absolute path of a file");
}

static void
check_hashing(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	if (s->auth.argon2_memory > s->auth.max_hash_memory)
		complain(t, p, "auth.argon2_memory",
		         "is more than auth.max_hash_memory: passwords made here could not be "
		         "checked");
}

/* What stands in many names would take them apart. */
static void
check_masters(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	static const char path[] = "auth.master_separator";
	const char c = s->auth.master_separator[0];

	check_instances(t, s, PST_AUTH, "auth.master_backends", s->auth.master_backends, p);
	if (c == '\0')
		return;
	if (strchr("!#$%&*+:;<=>?^|~", c) == NULL)
		complain(t, p, path, "must be one of ! # $ % & * + : ; < = > ? ^ | ~");
	if (is_blank(s->auth.master_backends))
		complain(t, p, path, "is of no use without auth.master_backends");
}

static void
check_backends(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	check_instances(t, s, PST_AUTH, "auth.backends", s->auth.backends, p);
	check_instances(t, s, PST_POLICY, "policy.order", s->policy_order, p);
	if (is_blank(s->auth.backends))
		complain(t, p, "auth.backends", "names no plugin: nobody could log in");
}

void
settings_check_joint(const struct conf_texts *t, const struct settings *s, struct conf_problems *p)
{
	size_t i;

	check_log(t, s, p);
	check_greeting(t, s, p);
	for (i = 0; i < s->listener_count; i++)
		check_listener(t, s, i, p);
	check_backends(t, s, p);
	check_masters(t, s, p);
	check_hashing(t, s, p);
	check_location(t, s, p);
	check_roots(t, s, p);
}

/* ---- Notes ---- */

static void
note_unused(const struct conf_texts *t, const struct settings *s, struct conf_problems *notes)
{
	size_t i;

	for (i = 0; i < s->section_count; i++) {
		const struct plugin_section *section = &s->sections[i];
		const bool is_auth = section->kind == PST_AUTH;
		const char *list = is_auth ? s->auth.backends : s->policy_order;
		const struct pst_str name = pst_str_c(section->instance);

		if (section->kind == PST_STORAGE || is_listed(list, name) ||
		    (is_auth && is_listed(s->auth.master_backends, name)))
			continue;
		complain(t, notes, section->prefix,
		         is_auth ? "is not used: auth.backends does not name it"
		                 : "is not used: policy.order does not name it");
	}
}

void
settings_notes(const struct conf_texts *t, const struct settings *s, struct conf_problems *notes)
{
	if (s->mail.timeout < 600000)
		complain(t, notes, "mail.timeout",
		         "is below the 10 minutes that RFC 1939 section 3 asks for");
	if (s->server.sandbox == SANDBOX_OFF)
		complain(t, notes, "server.sandbox",
		         "is off: a broken worker has all rights of its user");
	if (strcmp(s->server.auth_user, "root") == 0)
		complain(t, notes, "server.auth_user",
		         "is root: a broken PAM module can read every file of this system; "
		         "\"postern-auth:shadow\" is enough for pam_unix");
	if (s->auth.allow_weak_schemes)
		complain(t, notes, "auth.allow_weak_schemes",
		         "is on: who reads the database reads these passwords; the log names the "
		         "users as auth.weak_scheme");
	note_unused(t, s, notes);
}
