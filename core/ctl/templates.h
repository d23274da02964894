/* SPDX-License-Identifier: MIT */
/* ctl/templates.h - the files of contrib/plugin-template, as texts. */
#ifndef CTL_TEMPLATES_H
#define CTL_TEMPLATES_H

#include <stdbool.h>

struct ctl_template {
	const char *name;
	bool is_program;
	const char *text; /* with @NAME@ where the plugin's name is to stand */
};

extern const struct ctl_template ctl_auth_templates[]; /* ended by a row without a name */

#endif
