/* SPDX-License-Identifier: MIT */
/* ctl/sections.h - the groups of a configuration with the tables that belong to them: the core's,
 * and those of plugins, which are loaded for that. */
#ifndef CTL_SECTIONS_H
#define CTL_SECTIONS_H

#include "config/docs.h"
#include "ctl/ctl.h"

struct sections;

/* The core's groups and, for each, the sections of the plugins that the configuration names. A
 * plugin that cannot be loaded is a problem and left out. */
struct sections *sections_of_config(struct ctl *c, struct conf_problems *problems);

/* The core's groups and a section for each plugin in the folder, ordered by name. */
struct sections *sections_of_folder(struct ctl *c, const char *folder,
                                    struct conf_problems *problems);

void sections_destroy(struct sections *s); /* accepts NULL; unloads the plugins */

const struct docs_group *sections_groups(const struct sections *s, size_t *n_out);

#endif
