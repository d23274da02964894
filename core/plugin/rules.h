/* SPDX-License-Identifier: MIT */
/* plugin/rules.h - what a descriptor must be like before any of its functions is called. */
#ifndef PLUGIN_RULES_H
#define PLUGIN_RULES_H

#include <stddef.h>

#include <postern/plugin.h>

/* The rules by number, as errors and the manual name them. */
enum plugin_rule {
	RULE_OBJECT = 1, /* a shared object that the system loads */
	RULE_SYMBOL,     /* exports the constant postern_plugin */
	RULE_ABI,        /* built for PST_ABI */
	RULE_SIZE,       /* not larger than the server's descriptor, nor than the constant itself */
	RULE_NAME,       /* a well-formed name, that of its file and of the configuration */
	RULE_KIND,       /* the kind that is wanted, with that kind's functions */
	RULE_KEYS,       /* a sound table of settings */
};

/* Rules 3 and 4, by the first two members alone. octets: the size of the constant, 0 if unknown. */
int plugin_check_head(const struct pst_plugin *raw, size_t octets, struct pst_err *err);

/* Rule 4 again, for the table of functions of the kind: copies raw, which begins with its size, into
 * the octets of out. */
int plugin_copy_table(const void *raw, void *out, size_t octets, struct pst_err *err);

/* Rules 5 to 7, of a whole descriptor. name: what it must be called. */
int plugin_check_body(const struct pst_plugin *d, const char *name, struct pst_err *err);

#endif
