/* SPDX-License-Identifier: MIT */
/* plugin/instance.h - the plugin behind a name in the configuration. */
#ifndef PLUGIN_INSTANCE_H
#define PLUGIN_INSTANCE_H

#include "config/settings.h"
#include "plugin/loader.h"

struct pst_arena;

/* Where the settings of an instance stand: "auth.sqlite". In the arena. */
const char *plugin_instance_prefix(enum pst_kind kind, struct pst_str instance,
                                   struct pst_arena *arena);

/* Loads the plugin that the instance's section names; without a section, the plugin of that name. */
struct plugin *plugin_load_instance(const struct settings *s, enum pst_kind kind,
                                    struct pst_str instance, struct pst_err *err);

#endif
