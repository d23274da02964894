/* SPDX-License-Identifier: MIT */
/* config/docs.h - what is written of settings: the manual page and the sample file. */
#ifndef CONFIG_DOCS_H
#define CONFIG_DOCS_H

#include <stdio.h>

#include <postern/conf.h>

/* One group to be documented: a core group ("login"), or a plugin's section ("auth.sqlite"). */
struct docs_group {
	const char *name;
	const struct pst_conf_key *keys; /* may be NULL */
	const char *doc;
};

/* postern.conf(5) in mdoc: the file's form, how values are written, every group with its rows.
 * A section comes under the group whose name is before its dot. */
void docs_man(const struct docs_group *groups, size_t n, FILE *to);

/* A file that reads as the defaults: each setting commented out ("#name = value;"), its
 * documentation above ("# text"). */
void docs_sample(const struct docs_group *groups, size_t n, FILE *to);

#endif
