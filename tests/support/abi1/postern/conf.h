/* SPDX-License-Identifier: MIT */
/* postern/conf.h - a setting is one row of one table.
 *
 * The row gives the setting's name, where its value goes, its default (as text,
 * read by the same parser as the file), its bounds, its unit and its
 * documentation. The configuration file, `posternctl config`, the manual page
 * and the sample file are all made from these rows; core and plugins use the
 * same form.
 *
 *	struct quiet_conf {
 *		int64_t from_hour;
 *		const char *text;
 *	};
 *
 *	static const struct pst_conf_key quiet_keys[] = {
 *		{ "from_hour", PST_CONF_INT(struct quiet_conf, from_hour), "23", 0, 23, "hour",
 *		  "First hour, local time, in which logins are refused." },
 *		{ "text", PST_CONF_TEXT(struct quiet_conf, text), "closed for the night", 1, 80,
 *		  "octets", "What the refused client is told." },
 *		{ .key = NULL },
 *	}; */
#ifndef POSTERN_CONF_H
#define POSTERN_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pst_conf_type {
	PST_CONF_T_INT = 1,    /* int64_t; in the file: 5 or "5" */
	PST_CONF_T_SIZE,       /* int64_t octets; "10M": K M G T are powers of 1024 */
	PST_CONF_T_TIME,       /* int64_t milliseconds; "30s": ms s m h d */
	PST_CONF_T_BOOL,       /* bool; true or false, "yes" or "no" */
	PST_CONF_T_TEXT,       /* const char *, never NULL; min and max are octets */
	PST_CONF_T_CHOICE,     /* int64_t, the 0-based place in unit, which is "off|report|on" */
	PST_CONF_T_READ_PATH,  /* const char *: a file or folder that the plugin only reads */
	PST_CONF_T_WRITE_PATH, /* const char *: a file or folder that it writes. A file's folder
	                        * is opened to the worker as well (SQLite puts its journal there) */
	PST_CONF_T_SECRET,     /* const char *: as TEXT, but no tool ever prints its value */
};

/* min and max bound numbers in the stored unit, and texts in octets. Where both are 0 there is
 * no bound but the type's. */
struct pst_conf_key {
	const char *key;
	enum pst_conf_type type;
	size_t offset;
	const char *def; /* NULL: must be set */
	int64_t min;
	int64_t max;
	const char *unit;
	const char *doc; /* sentences, for the manual page */
};

/* The type and the offset; they compile only if the member has that type. */
#define PST_CONF_AT(t, m, c) (offsetof(t, m) + 0 * sizeof((c *)0 == &((t *)0)->m))
#define PST_CONF_INT(t, m) PST_CONF_T_INT, PST_CONF_AT(t, m, int64_t)
#define PST_CONF_SIZE(t, m) PST_CONF_T_SIZE, PST_CONF_AT(t, m, int64_t)
#define PST_CONF_TIME(t, m) PST_CONF_T_TIME, PST_CONF_AT(t, m, int64_t)
#define PST_CONF_BOOL(t, m) PST_CONF_T_BOOL, PST_CONF_AT(t, m, bool)
#define PST_CONF_TEXT(t, m) PST_CONF_T_TEXT, PST_CONF_AT(t, m, const char *)
#define PST_CONF_CHOICE(t, m) PST_CONF_T_CHOICE, PST_CONF_AT(t, m, int64_t)
#define PST_CONF_READ_PATH(t, m) PST_CONF_T_READ_PATH, PST_CONF_AT(t, m, const char *)
#define PST_CONF_WRITE_PATH(t, m) PST_CONF_T_WRITE_PATH, PST_CONF_AT(t, m, const char *)
#define PST_CONF_SECRET(t, m) PST_CONF_T_SECRET, PST_CONF_AT(t, m, const char *)

#endif
