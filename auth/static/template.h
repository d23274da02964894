/* SPDX-License-Identifier: MIT */
/* auth/static/template.h - who is a user, and what they all have in common. */
#ifndef AUTH_STATIC_TEMPLATE_H
#define AUTH_STATIC_TEMPLATE_H

#include <postern/auth.h>

struct template_conf {
	const char *users, *domains, *location, *home, *allow_nets;
	int64_t uid, gid;
	bool read_only;
};

#define TEMPLATE_ID_MAX 4294967294

/* The rows of its table: conf is the plugin's struct, at its member of type struct template_conf. */
#define TEMPLATE_KEYS(conf, at)                                                                    \
	{ "users",                                                                                 \
	  PST_CONF_TEXT(conf, at.users),                                                           \
	  "",                                                                                      \
	  0,                                                                                       \
	  16000,                                                                                   \
	  "octets",                                                                                \
	  "The names that are users: whole names, separated by spaces. Empty: all names are." },   \
		{ "domains",                                                                       \
		  PST_CONF_TEXT(conf, at.domains),                                                 \
		  "",                                                                              \
		  0,                                                                               \
		  16000,                                                                           \
		  "octets",                                                                        \
		  "The domains whose names are users, separated by spaces. Empty: all domains, "   \
		  "and names without one." },                                                      \
		{ "allow_nets",                                                                    \
		  PST_CONF_TEXT(conf, at.allow_nets),                                              \
		  "",                                                                              \
		  0,                                                                               \
		  4000,                                                                            \
		  "octets",                                                                        \
		  "The networks from which they may log in, as \"127.0.0.0/8, ::1\"." },           \
		{ "location",                                                                      \
		  PST_CONF_TEXT(conf, at.location),                                                \
		  "",                                                                              \
		  0,                                                                               \
		  2000,                                                                            \
		  "octets",                                                                        \
		  "Where their mail is, in the form of mail.location. Empty: as that says." },     \
		{ "home",                                                                          \
		  PST_CONF_TEXT(conf, at.home),                                                    \
		  "",                                                                              \
		  0,                                                                               \
		  2000,                                                                            \
		  "octets",                                                                        \
		  "What %{home} in a location stands for, for all of them." },                     \
		{ "uid",                                                                           \
		  PST_CONF_INT(conf, at.uid),                                                      \
		  "0",                                                                             \
		  0,                                                                               \
		  TEMPLATE_ID_MAX,                                                                 \
		  "uid",                                                                           \
		  "The owner of their mail, for mail.run_as = \"user\". 0: none." },               \
		{ "gid", PST_CONF_INT(conf, at.gid),          "0", 0, TEMPLATE_ID_MAX,             \
		  "gid", "The group of their mail, likewise." },                                   \
	{                                                                                          \
		"read_only", PST_CONF_BOOL(conf, at.read_only), "false", 0, 0, NULL,               \
			"Refuses DELE: a trial loses no mail."                                     \
	}

/* Whether the words of allow_nets are there at all: the server reads them at each login. */
bool template_names_nets(const struct template_conf *c);

bool template_has_user(const struct template_conf *c, const struct pst_auth_query *query);

/* All but a credential. The strings are the settings' own. */
void template_fill(const struct template_conf *c, struct pst_auth_record *record);

#endif
