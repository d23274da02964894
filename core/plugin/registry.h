/* SPDX-License-Identifier: MIT */
/* plugin/registry.h - the plugins of this worker: loaded before its rights are given up, started
 * after.
 *
 * A worker's load calls registry_load for each list of instances it serves; the sandbox then asks
 * which paths they need; the worker's run calls registry_start first. The
 * registry itself is env->plugins: made by the master's child before load. */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

#include <stddef.h>

#include <postern/err.h>
#include <postern/plugin.h>
#include <postern/str.h>

#include "plugin/loader.h"

struct worker_env;
struct registry;

#define REGISTRY_MAX 64 /* plugins in one worker */

struct slot_row;

/* self: where a plugin that does not start says why, for the master; may be NULL. */
struct registry *registry_create(struct slot_row *self);
void registry_destroy(struct registry *r); /* stops and unloads all; accepts NULL */

/* Loads the instances (names separated by spaces; settings->auth.backends is one such list) and
 * fills their settings from env->sections. An instance without a section of its own is the plugin
 * of that name with its defaults. One that is there already is not loaded again. -1 with err: the
 * first that failed, with its reason. */
int registry_load(const struct worker_env *env, enum pst_kind kind, const char *instances,
                  struct pst_err *err);

/* Loads every instance of the kind that has a section: storage, where a user's record may name any
 * of them. */
int registry_load_sections(const struct worker_env *env, enum pst_kind kind, struct pst_err *err);

/* Starts those that are not started yet, in the order in which they were loaded. worker: "auth" */
int registry_start(struct registry *r, const char *worker, struct pst_err *err);

/* One of them asked that this process be replaced. */
bool registry_is_retiring(const struct registry *r);

/* What they need of the sandbox: a mask of enum pst_needs. */
uint32_t registry_needs(const struct registry *r);

/* Whether env->left_out kept an auth plugin from being loaded: the instance's name, or NULL. */
const char *registry_left_out(const struct registry *r, struct pst_str instance);

/* In the order of loading; idx below the count. */
size_t registry_count(const struct registry *r);
struct plugin *registry_at(const struct registry *r, size_t idx);

/* By kind and instance, or NULL. */
struct plugin *registry_find(const struct registry *r, enum pst_kind kind, struct pst_str instance);

#endif
