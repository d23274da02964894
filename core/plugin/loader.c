/* SPDX-License-Identifier: MIT */
/* Loads one plugin; see loader.h. The rules for its descriptor are in rules.c, the functions that it
 * is given in host.c. */
#include "plugin/loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <postern/auth.h>
#include <postern/policy.h>
#include <postern/storage.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/settings.h"
#include "config/table.h"
#include "config/value.h"
#include "plugin/host.h"
#include "plugin/rules.h"

#define SYMBOL "postern_plugin"

struct plugin {
	void *object; /* of dlopen */
	/* Copies: members that an older plugin does not have are zero. */
	struct pst_plugin d;
	struct pst_auth auth;
	struct pst_storage storage;
	struct pst_policy policy;
	char *instance;
	struct pst_arena *arena; /* holds conf */
	void *conf;              /* NULL until configured */
	struct plugin_host host;
	bool is_started;
	bool is_retiring; /* by host->retire */
	void *self;
};

/* Copies the part of the system's message that follows the path, which the error names already. */
static int
refuse_object(const char *path, struct pst_err *err)
{
	const char *why = dlerror();
	const size_t n = strlen(path);

	if (why == NULL)
		why = "unknown reason";
	else if (strncmp(why, path, n) == 0 && why[n] == ':')
		why += n + 1 + strspn(why + n + 1, " ");
	return pst_err_set(err, PST_E_PERM, "rule %d: it cannot be loaded: %s", RULE_OBJECT, why);
}

static int
read_descriptor(struct plugin *p, struct pst_err *err)
{
	const struct pst_plugin *raw = dlsym(p->object, SYMBOL);
	const ElfW(Sym) *symbol = NULL;
	void *entry = NULL;
	Dl_info info;

	if (raw == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "rule %d: it exports no \"" SYMBOL
		                   "\": is PST_EXPORT before it?",
		                   RULE_SYMBOL);
	if (dladdr1((const void *)raw, &info, &entry, RTLD_DL_SYMENT) != 0)
		symbol = entry;
	if (symbol != NULL && ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT)
		return pst_err_set(err, PST_E_PERM, "rule %d: \"" SYMBOL "\" is not a constant",
		                   RULE_SYMBOL);
	if (plugin_check_head(raw, symbol != NULL ? symbol->st_size : 0, err) != 0)
		return -1;
	memcpy(&p->d, raw, raw->size);
	return 0;
}

/* The functions of its kind; of the other kinds it has none. */
static int
take_table(struct plugin *p, struct pst_err *err)
{
	struct pst_plugin *d = &p->d;
	const void *raw = NULL;
	void *copy = NULL;
	size_t octets = 0;

	if (d->kind == PST_AUTH && d->auth != NULL) {
		raw = d->auth;
		copy = &p->auth;
		octets = sizeof(p->auth);
		d->auth = &p->auth;
	} else if (d->kind == PST_STORAGE && d->storage != NULL) {
		raw = d->storage;
		copy = &p->storage;
		octets = sizeof(p->storage);
		d->storage = &p->storage;
	} else if (d->kind == PST_POLICY && d->policy != NULL) {
		raw = d->policy;
		copy = &p->policy;
		octets = sizeof(p->policy);
		d->policy = &p->policy;
	}
	return raw == NULL ? 0 : plugin_copy_table(raw, copy, octets, err);
}

/* err gets the path before it, or the end of it where it is long. */
static void
name_culprit(const char *path, struct pst_err *err)
{
	struct pst_err why = *err;
	const size_t n = strlen(path);

	pst_err_set(err, why.kind, "%s: %s", n > 100 ? path + n - 100 : path, why.text);
}

static struct plugin *
load(const char *path, const char *name, const char *instance, struct pst_err *err)
{
	struct plugin *p = pst_new(struct plugin);

	p->instance = pst_strdup(instance);
	p->arena = pst_arena_create();
	p->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (p->object == NULL ? refuse_object(path, err) != 0
	                      : read_descriptor(p, err) != 0 || take_table(p, err) != 0 ||
	                                plugin_check_body(&p->d, name, err) != 0) {
		name_culprit(path, err);
		plugin_unload(p);
		return NULL;
	}
	return p;
}

struct plugin *
plugin_load(const char *dir, const char *name, const char *instance, enum pst_kind kind,
            struct pst_err *err)
{
	struct pst_arena *arena = pst_arena_create();
	struct plugin *p = NULL;

	if (!settings_is_name(pst_str_c(name)))
		pst_err_set(err, PST_E_PERM, "\"%.80s\" is not a plugin's name", name);
	else
		p = load(pst_arena_printf(arena, "%s/%s.so", dir, name), name, instance, err);
	if (p != NULL && p->d.kind != kind) {
		pst_err_set(err, PST_E_PERM, "%s/%s.so: rule %d: is a plugin for %s, not for %s",
		            dir, name, RULE_KIND, settings_kind_group(p->d.kind),
		            settings_kind_group(kind));
		plugin_unload(p);
		p = NULL;
	}
	pst_arena_destroy(arena);
	return p;
}

struct plugin *
plugin_load_file(const char *path, const char *instance, struct pst_err *err)
{
	struct pst_arena *arena = pst_arena_create();
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	const size_t n = strlen(base);
	struct plugin *p = NULL;

	if (n <= 3 || strcmp(base + n - 3, ".so") != 0) {
		pst_err_set(err, PST_E_PERM, "rule %d: %.100s: the file of a plugin is NAME.so",
		            RULE_NAME, path);
	} else {
		const char *name = pst_arena_copy(arena, (struct pst_str){ base, n - 3 });

		/* Without a slash dlopen would look in the system's folders. */
		if (slash == NULL)
			path = pst_arena_printf(arena, "./%s", path);
		p = load(path, name, instance != NULL ? instance : name, err);
	}
	pst_arena_destroy(arena);
	return p;
}

void
plugin_configure(struct plugin *p, const char *prefix, const struct conf_texts *t,
                 struct conf_problems *problems)
{
	const size_t before = problems->n;
	const struct conf_text *near;
	struct pst_err err;

	p->conf = pst_arena_alloc(p->arena, p->d.conf_size);
	conf_table_check_names(p->d.keys, settings_section_keys(prefix), prefix, "plugin", t,
	                       problems);
	conf_table_fill(p->d.keys, prefix, t, p->conf, problems);
	/* The plugin's own check may count on good values. */
	if (problems->n > before || p->d.check == NULL || p->d.check(p->conf, &err) == 0)
		return;
	near = conf_texts_blamed(t, prefix, err.text);
	if (near == NULL)
		near = conf_texts_first(t, prefix);
	conf_problems_add(problems, near != NULL ? near->file : NULL, near != NULL ? near->line : 0,
	                  "%s: %s", prefix, err.text);
}

int
plugin_start(struct plugin *p, const char *worker, struct pst_err *err)
{
	pst_assert(p->conf != NULL && !p->is_started);
	plugin_host_init(&p->host, p->instance, worker, p->conf);
	p->host.is_retiring = &p->is_retiring;
	if (p->d.start(&p->host.host, &p->self, err) != 0)
		return -1;
	p->is_started = true;
	return 0;
}

bool
plugin_is_retiring(const struct plugin *p)
{
	return p->is_retiring;
}

const struct pst_plugin *
plugin_descriptor(const struct plugin *p)
{
	return &p->d;
}

const char *
plugin_instance(const struct plugin *p)
{
	return p->instance;
}

void *
plugin_self(const struct plugin *p)
{
	return p->self;
}

size_t
plugin_paths(const struct plugin *p, const char **paths, enum pst_conf_type *types, size_t cap)
{
	const struct pst_conf_key *key;
	size_t n = 0;

	for (key = p->d.keys; p->conf != NULL && key != NULL && key->key != NULL; key++) {
		const char *path;

		if (key->type != PST_CONF_T_READ_PATH && key->type != PST_CONF_T_WRITE_PATH)
			continue;
		path = *(const char *const *)((const char *)p->conf + key->offset);
		if (path[0] == '\0')
			continue;
		if (n < cap) {
			paths[n] = path;
			types[n] = key->type;
		}
		n++;
	}
	return n;
}

void
plugin_unload(struct plugin *p)
{
	if (p == NULL)
		return;
	if (p->is_started && p->d.stop != NULL)
		p->d.stop(p->self);
#ifndef PST_SANITIZE /* a leak's report names functions, which must still be there at exit */
	if (p->object != NULL)
		(void)dlclose(p->object);
#endif
	pst_arena_destroy(p->arena);
	free(p->instance);
	free(p);
}
