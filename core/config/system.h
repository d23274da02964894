/* SPDX-License-Identifier: MIT */
/* config/system.h - what the settings need of the system they are on. */
#ifndef CONFIG_SYSTEM_H
#define CONFIG_SYSTEM_H

#include <sys/types.h>

#include "config/settings.h"

/* Who a kind of worker becomes where the server is started by root. */
struct settings_user {
	uid_t uid;
	gid_t gid;
};

struct settings_users {
	struct settings_user login, keys, auth, mail;
};

/* Is the folder of the certificates there, if a listener needs it? Else a problem. */
void settings_check_folders(const struct settings *s, const struct conf_texts *t,
                            struct conf_problems *p);

/* Finds the four users: names of system users, or "UID:GID" for ids without a name, or "USER:GROUP". Each that is not
 * there or is root is a problem; auth's may be root where the plugin pam is a backend. */
void settings_find_users(const struct settings *s, const struct conf_texts *t,
                         struct settings_users *out, struct conf_problems *p);

#endif
