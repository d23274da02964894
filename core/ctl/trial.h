/* SPDX-License-Identifier: MIT */
/* ctl/trial.h - what a plugin is tried with: one case after the other, each in a process of its own,
 * so that one that crashes, hangs or exits costs that case. */
#ifndef CTL_TRIAL_H
#define CTL_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/plugin.h>

#include "config/texts.h"
#include "plugin/loader.h"

struct pst_arena;

/* The plugin that is tried. */
struct trial_subject {
	const char *path;
	const char *prefix; /* "auth.mine": where its settings stand */
	const struct conf_texts *texts;
	int64_t limit_ms; /* that one case may take */

	/* A user that it knows, with the right password where has_password; or NULL. */
	const char *user;
	bool has_password;
	struct pst_str password;

	/* A maildrop that it can open, of which every case gets a copy; or NULL. */
	const char *maildrop;
};

/* One case while it runs; of the process that runs it. */
struct trial {
	const struct trial_subject *subject;
	struct plugin *plugin; /* loaded, configured, and started as in a worker of its kind */
	struct pst_arena *arena;
	bool is_skipped;
	char why[400]; /* "": it is well */
};

struct trial_case {
	const char *name;
	bool starts; /* trial->plugin is started before, and stopped after */
	void (*run)(struct trial *t);
};

/* Notes what is wrong; the first one counts. */
void trial_fail(struct trial *t, const char *fmt, ...) PST_PRINTF(2, 3);

/* This case does not concern the plugin, and why. */
void trial_skip(struct trial *t, const char *fmt, ...) PST_PRINTF(2, 3);

struct trial_counts {
	unsigned passed, failed, skipped;
};

/* Runs the cases (ended by one without a name) and prints a line for each. forks: false runs them in
 * this process, for a tool that looks on from outside, and prints what fails alone. */
void trial_run_all(const struct trial_subject *s, const struct trial_case *cases, bool forks,
                   struct trial_counts *counts);

/* A copy of s that ends where readable memory ends, with no NUL behind it: whoever reads on, or writes
 * into it, crashes. Lives as long as the process. */
struct pst_str trial_guarded(struct pst_str s);

/* One more of the plugin, with its settings, for plugin_start; the caller unloads it. NULL: the case
 * has failed. */
struct plugin *trial_load(struct trial *t);

size_t trial_descriptors(void); /* that are open in this process, and two or three more */

/* ---- The cases, by kind ---- */

extern const struct trial_case trial_common_cases[];
extern const struct trial_case trial_auth_cases[];
extern const struct trial_case trial_storage_cases[];
extern const struct trial_case trial_change_cases[]; /* storage: what changes a maildrop */

/* The worker that loads plugins of this kind; policy plugins are started as in auth. */
const char *trial_worker(const struct trial *t);

#endif
