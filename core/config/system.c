/* SPDX-License-Identifier: MIT */
/* Folders and system users; see system.h. Runs as root in the master's reading child. */
#include "config/system.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

/* The place of a setting, or none where it is at its default. */
static struct conf_text
place_of(const struct conf_texts *t, const char *path)
{
	const struct conf_text *found = conf_texts_get(t, path);

	return found != NULL ? *found : (struct conf_text){ .path = path };
}

void
settings_check_folders(const struct settings *s, const struct conf_texts *t,
                       struct conf_problems *p)
{
	const struct conf_text at = place_of(t, "tls.directory");
	bool wanted = false;
	struct stat st;
	size_t i;

	for (i = 0; i < s->listener_count; i++)
		wanted = wanted || s->listeners[i].tls != TLS_NONE;
	if (!wanted || s->tls.directory[0] == '\0') /* the latter is a problem already */
		return;
	if (stat(s->tls.directory, &st) != 0)
		conf_problems_add(p, at.file, at.line,
		                  "tls.directory: %s: %s; make it, with NAME/fullchain.pem and "
		                  "NAME/privkey.pem in it",
		                  s->tls.directory, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		conf_problems_add(p, at.file, at.line, "tls.directory: %s: not a folder",
		                  s->tls.directory);
}

/* NAME:GROUP, for a user who needs the group of somebody else: postern-auth:shadow. */
static bool
find_user_and_group(const char *name, const char *colon, struct settings_user *out)
{
	char user[64];
	const size_t n = (size_t)(colon - name);
	const struct passwd *pw;
	const struct group *gr;

	if (n >= sizeof(user))
		return false;
	memcpy(user, name, n);
	user[n] = '\0';
	pw = getpwnam(user);
	gr = pw != NULL ? getgrnam(colon + 1) : NULL;
	if (gr == NULL)
		return false;
	*out = (struct settings_user){ pw->pw_uid, gr->gr_gid };
	return true;
}

static bool
find_user(const char *name, struct settings_user *out)
{
	const struct passwd *pw = getpwnam(name);
	const char *colon = strchr(name, ':');
	uint64_t uid, gid;

	if (pw != NULL) {
		*out = (struct settings_user){ pw->pw_uid, pw->pw_gid };
		return true;
	}
	if (colon != NULL && find_user_and_group(name, colon, out))
		return true;
	if (colon == NULL || !pst_str_u64((struct pst_str){ name, (size_t)(colon - name) }, &uid) ||
	    !pst_str_u64(pst_str_c(colon + 1), &gid) || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return false;
	*out = (struct settings_user){ (uid_t)uid, (gid_t)gid };
	return true;
}

static bool
lists_pam(const struct settings *s, const char *list)
{
	struct pst_str word;

	while (settings_next_word(&list, &word)) {
		const struct plugin_section *section = settings_section(s, PST_AUTH, word);

		if (pst_str_eq(section != NULL ? pst_str_c(section->plugin) : word, PST_LIT("pam")))
			return true;
	}
	return false;
}

/* The one plugin whose modules may have to be root. The sandbox looks again at what is loaded. */
static bool
has_pam(const struct settings *s)
{
	return lists_pam(s, s->auth.backends) || lists_pam(s, s->auth.master_backends);
}

void
settings_find_users(const struct settings *s, const struct conf_texts *t,
                    struct settings_users *out, struct conf_problems *p)
{
	const struct {
		const char *path, *name;
		struct settings_user *out;
	} wanted[] = {
		{ "server.login_user", s->server.login_user, &out->login },
		{ "server.keys_user", s->server.keys_user, &out->keys },
		{ "server.auth_user", s->server.auth_user, &out->auth },
		{ "server.mail_user", s->server.mail_user, &out->mail },
	};
	size_t i;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct conf_text at = place_of(t, wanted[i].path);
		const char *name = wanted[i].name;

		if (!find_user(name, wanted[i].out))
			conf_problems_add(
				p, at.file, at.line,
				"%s: there is no system user \"%s\"; add it (useradd -r -M "
				"-s /usr/sbin/nologin %s) or name another, or write UID:GID or USER:GROUP",
				at.path, name, name);
		else if (wanted[i].out == &out->auth && out->auth.uid == 0 && has_pam(s))
			continue; /* told with the notes */
		else if (wanted[i].out->uid == 0 || wanted[i].out->gid == 0)
			conf_problems_add(p, at.file, at.line, "%s: \"%s\" is root", at.path, name);
	}
}
