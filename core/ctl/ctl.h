/* SPDX-License-Identifier: MIT */
/* ctl/ctl.h - what every command of posternctl is given, and the row that it is. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "config/settings.h"

struct pst_arena;

/* Exit statuses. */
enum ctl_status { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_TEMP = 3 };

struct ctl {
	const char *config_path; /* -c, or the usual place */
	bool config_given;       /* -c was there */
	const char *const *sets; /* -s, in their order */
	size_t set_count;
	struct pst_arena *arena; /* lives as long as the process */

	/* Filled by ctl_read_config. */
	struct conf_texts texts;
	struct conf_problems problems;
	struct settings settings;
};

/* One command. Its name is one word or two ("config check"). run gets what stands behind the name:
 * argv[0] is the first argument, argv[argc] is NULL; options are the command's to read. It writes
 * results to standard output and what went wrong to standard error. Returns the exit status; for
 * CTL_USAGE main prints the command's usage. */
struct ctl_command {
	const char *name;
	const char *usage; /* arguments: "NAME [--disable]", or "" */
	const char *doc;   /* one or more sentences */
	int (*run)(struct ctl *c, int argc, char **argv);
};

/* Reads the file and -s into c->texts and c->settings. Problems are kept in c->problems; returns
 * how many there are. Plugins' sections are not looked at. */
size_t ctl_read_config(struct ctl *c);

/* The same for commands that need good settings: prints all problems. 0, or -1. */
int ctl_need_config(struct ctl *c);

/* Prints each problem as a line of its own to standard error. */
void ctl_print_problems(const struct conf_problems *p);

/* "posternctl: …" and a line end, to standard error. Returns CTL_FAILED. */
int ctl_fail(const char *fmt, ...) PST_PRINTF(1, 2);

/* The user was changed in a way that may end sessions: a server that runs is told. That none does is no
 * fault. */
void ctl_tell_changed(const struct ctl *c, struct pst_str user);

/* The commands, by file. */
int ctl_config_check(struct ctl *c, int argc, char **argv);
int ctl_config_show(struct ctl *c, int argc, char **argv);
int ctl_config_man(struct ctl *c, int argc, char **argv);
int ctl_config_sample(struct ctl *c, int argc, char **argv);
int ctl_plugin_check(struct ctl *c, int argc, char **argv);
int ctl_plugin_new(struct ctl *c, int argc, char **argv);
int ctl_status(struct ctl *c, int argc, char **argv);
int ctl_who(struct ctl *c, int argc, char **argv);
int ctl_reload(struct ctl *c, int argc, char **argv);
int ctl_stop(struct ctl *c, int argc, char **argv);
int ctl_kick(struct ctl *c, int argc, char **argv);
int ctl_user_add(struct ctl *c, int argc, char **argv);
int ctl_user_passwd(struct ctl *c, int argc, char **argv);
int ctl_user_list(struct ctl *c, int argc, char **argv);
int ctl_user_enable(struct ctl *c, int argc, char **argv);
int ctl_user_disable(struct ctl *c, int argc, char **argv);
int ctl_user_delete(struct ctl *c, int argc, char **argv);
int ctl_user_show(struct ctl *c, int argc, char **argv);
int ctl_user_set(struct ctl *c, int argc, char **argv);
int ctl_user_upgrade(struct ctl *c, int argc, char **argv);
int ctl_password_make(struct ctl *c, int argc, char **argv);
int ctl_password_check(struct ctl *c, int argc, char **argv);
int ctl_password_schemes(struct ctl *c, int argc, char **argv);
int ctl_auth_test(struct ctl *c, int argc, char **argv);
int ctl_migrate_import(struct ctl *c, int argc, char **argv);
int ctl_migrate_verify(struct ctl *c, int argc, char **argv);
int ctl_auth_explain(struct ctl *c, int argc, char **argv);

#endif
