/* SPDX-License-Identifier: MIT */
/* plugin/loader.h - from a name to a running plugin: dlopen, checks, settings, start. */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include <stddef.h>

#include <postern/plugin.h>

#include "config/texts.h"

struct plugin; /* one instance */

/* Loads DIR/NAME.so and checks symbol, ABI, size, kind, name and its table. err says which rule it
 * broke. The plugin's code runs no line beyond its constructors. */
struct plugin *plugin_load(const char *dir, const char *name, const char *instance,
                           enum pst_kind kind, struct pst_err *err);

/* The same from a path, of any kind: posternctl plugin check. */
struct plugin *plugin_load_file(const char *path, const char *instance, struct pst_err *err);

/* Its settings from the texts PREFIX.…, whose arena outlives the plugin: unknown keys, bad values and
 * its own check are problems. */
void plugin_configure(struct plugin *p, const char *prefix, const struct conf_texts *t,
                      struct conf_problems *problems);

/* Calls start. worker: "auth", "ctl", … */
int plugin_start(struct plugin *p, const char *worker, struct pst_err *err);

/* It asked that this process be replaced. */
bool plugin_is_retiring(const struct plugin *p);

const struct pst_plugin *plugin_descriptor(const struct plugin *p);
const char *plugin_instance(const struct plugin *p);
void *plugin_self(const struct plugin *p); /* what start gave */

/* The paths that its settings name, with the type of each (READ_PATH or WRITE_PATH): what the
 * sandbox must leave open. Returns how many; at most cap are written. */
size_t plugin_paths(const struct plugin *p, const char **paths, enum pst_conf_type *types,
                    size_t cap);

/* Calls stop where start was called; unloads. Accepts NULL. */
void plugin_unload(struct plugin *p);

/* The host table behind a started plugin's functions is in plugin/host.c; host->copy works on
 * base/arena.h. */

#endif
