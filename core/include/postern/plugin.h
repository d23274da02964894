/* SPDX-License-Identifier: MIT */
/* postern/plugin.h - what every plugin is: one exported constant.
 *
 *	PST_EXPORT const struct pst_plugin postern_plugin = {
 *		.abi = PST_ABI,
 *		.size = sizeof(struct pst_plugin),
 *		.kind = PST_AUTH,
 *		.name = "example",
 *		.keys = example_keys,
 *		.conf_size = sizeof(struct example_conf),
 *		.start = example_start,
 *		.stop = example_stop,
 *		.auth = &example_auth, (whose .size is sizeof(struct pst_auth))
 *	};
 *
 * A plugin is a shared object in the plugin folder, named NAME.so. It links to
 * nothing of the server: what it needs comes as functions in struct pst_host.
 * It is loaded after the fork into the one kind of worker that has the rights
 * for its kind: auth plugins into auth workers, storage plugins into mail
 * workers, policy plugins into login and auth workers. So a worker's death
 * costs that worker's work and nothing else, and a reload takes up a new file.
 *
 * The loader reads abi and size first and refuses a plugin whose symbol is
 * absent, whose abi differs or whose size is larger than it knows. abi, size,
 * kind and name never move; other members are only appended. The table of functions for the plugin's
 * kind (auth, storage, policy) begins with its size in the same way: a member that an older plugin
 * does not have is NULL to the server. */
#ifndef POSTERN_PLUGIN_H
#define POSTERN_PLUGIN_H

#include <stdint.h>

#include <postern/attr.h>
#include <postern/conf.h>
#include <postern/err.h>
#include <postern/str.h>

#define PST_ABI 1u /* raised when a member changes meaning, type or place */

enum pst_kind { PST_AUTH = 1, PST_STORAGE, PST_POLICY };

/* What a plugin needs of its worker's sandbox, beyond the files that its settings name. A worker that
 * has several plugins is open to what any of them needs. */
enum pst_needs {
	PST_NEEDS_FILES = 1, /* nothing more */
	PST_NEEDS_NET = 2,   /* sockets outward: auth */
	/* Code that is not the plugin's own, in auth: programs, and libraries that are loaded later.
	 * All that the system has in /bin, /lib*, /sbin, /usr may be read and run, as may what its
	 * READ_PATH settings name; /etc and /run may be read as far as server.auth_user may. */
	PST_NEEDS_SYSTEM = 4,
};

enum pst_log_level { PST_LOG_ERROR, PST_LOG_WARN, PST_LOG_INFO, PST_LOG_DEBUG };

struct pst_auth;    /* postern/auth.h */
struct pst_storage; /* postern/storage.h */
struct pst_policy;  /* postern/policy.h */
struct pst_arena;
struct pst_body;     /* postern/storage.h */
struct pst_measured; /* likewise */

/* What the server does for a plugin. Borrowed: valid from start to stop. All functions may be
 * called from any thread. Members are only appended; size tells how many there are. */
struct pst_host {
	uint32_t size;
	const char *worker; /* "auth", "mail", "login", or "ctl" under posternctl */

	/* The plugin's settings as its keys table placed them: a struct of conf_size octets. */
	const void *conf;

	/* One event, one line: a stable dotted name, then key=value pairs. Level, time, pid and
	 * the plugin's name are added, control characters escaped. Never log a secret. */
	void (*log)(const struct pst_host *host, enum pst_log_level level, const char *event,
	            const char *fmt, ...) PST_PRINTF(4, 5);

	/* Copies into memory that lives as long as the arena, which the server owns; NULL never
	 * comes back (no memory ends the worker). The copy has a NUL after its last octet. */
	char *(*copy)(struct pst_arena *arena, struct pst_str s);
	void *(*alloc)(struct pst_arena *arena, size_t octets); /* zeroed, aligned for anything */

	/* n octets that nobody can guess. */
	void (*random)(void *out, size_t n);

	/* SHA-256 of the data. */
	void (*sha256)(const void *data, size_t n, uint8_t out[32]);

	/* Constant time; false where the lengths differ. */
	bool (*equal)(struct pst_str a, struct pst_str b);

	/* CLOCK_MONOTONIC, milliseconds. */
	int64_t (*now_ms)(void);

	/* For storage: octets on the wire (as RETR sends them, without dot-stuffing and ending dot) of
	 * the length octets stored in fd at offset, and whether they have only CRLF line ends and end
	 * with one. Reads them; may block. -1 with err where fewer could be read. */
	int (*measure)(int fd, uint64_t offset, uint64_t length, uint64_t *octets_out,
	               bool *crlf_out, struct pst_err *err);

	/* For auth: this process has served enough. It ends after the request in hand, another takes
	 * its place, and nobody calls that a failure. */
	void (*retire)(const struct pst_host *host);

	/* MD5 of the data: no protection, but what other programs name things by. */
	void (*md5)(const void *data, size_t n, uint8_t out[16]);

	/* For storage: measure, and the rest of struct pst_measured. Of body, fd, offset, length and
	 * gaps count. Reads it; may block. -1 with err where it could not be read. */
	int (*survey)(const struct pst_body *body, struct pst_measured *out, struct pst_err *err);

	/* 1 to 255: the rules by which this server makes surrogates, and looks for the rest of struct
	 * pst_measured. Where surrogate_octets and has_no_header_end are remembered so is this; those that
	 * were found by other rules are not right any more. */
	uint32_t surrogate_rules;

	/* survey, through a room of so many octets, not 0: a message that is not longer lies there
	 * then. For many messages, one after the other. */
	int (*survey_in)(const struct pst_body *body, char *room, size_t octets,
	                 struct pst_measured *out, struct pst_err *err);
};

struct pst_plugin {
	uint32_t abi;  /* PST_ABI that the plugin was built with */
	uint32_t size; /* sizeof(struct pst_plugin), likewise */
	enum pst_kind kind;
	const char *name; /* as in the configuration: [a-z][a-z0-9_]* */

	const struct pst_conf_key *keys; /* its settings, ended by a row with key NULL; or NULL */
	size_t conf_size;                /* of the struct that keys describes */

	/* Joins two settings: 0, or -1 with err saying what is wrong with which. No side effects:
	 * `posternctl config check` calls it too. NULL: nothing to check. */
	int (*check)(const void *conf, struct pst_err *err);

	/* Once per worker, after its rights were given up and its sandbox is closed. *self_out is
	 * the plugin's own. -1: the worker ends and is started again later, with growing waits.
	 * A thing that may come back (a database) is no reason to fail here. */
	int (*start)(const struct pst_host *host, void **self_out, struct pst_err *err);
	void (*stop)(void *self); /* NULL: nothing to release */

	const struct pst_auth *auth;       /* for PST_AUTH */
	const struct pst_storage *storage; /* for PST_STORAGE */
	const struct pst_policy *policy;   /* for PST_POLICY */

	/* A mask of enum pst_needs. 0: not said; then an auth plugin may open sockets. */
	uint32_t needs;
};

#endif
