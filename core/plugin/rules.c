/* SPDX-License-Identifier: MIT */
/* The rules for descriptors; see rules.h. */
#include "plugin/rules.h"

#include <stdlib.h>
#include <string.h>

#include <postern/auth.h>
#include <postern/storage.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/settings.h"
#include "config/table.h"
#include "config/value.h"

#define CONF_MAX_OCTETS (1u << 20)
#define KEYS_MAX 250 /* a table whose last row is missing runs on into other memory */

/* The first members never move; what is appended later may be missing. */
#define SIZE_MIN offsetof(struct pst_plugin, check)

static int
broken(struct pst_err *err, enum plugin_rule rule, const char *what)
{
	return pst_err_set(err, PST_E_PERM, "rule %d: %s", rule, what);
}

int
plugin_check_head(const struct pst_plugin *raw, size_t octets, struct pst_err *err)
{
	if (octets > 0 && octets < SIZE_MIN)
		return pst_err_set(err, PST_E_PERM,
		                   "rule %d: postern_plugin has %zu octets: too few", RULE_SIZE,
		                   octets);
	if (raw->abi != PST_ABI)
		return pst_err_set(
			err, PST_E_PERM,
			"rule %d: abi %u, this server speaks %u: build it again with this "
			"server's headers",
			RULE_ABI, raw->abi, PST_ABI);
	if (raw->size > sizeof(struct pst_plugin))
		return pst_err_set(
			err, PST_E_PERM,
			"rule %d: size %u, this server knows %zu octets: it was built for "
			"a later one",
			RULE_SIZE, raw->size, sizeof(struct pst_plugin));
	if (raw->size < SIZE_MIN || (octets > 0 && raw->size > octets))
		return pst_err_set(err, PST_E_PERM,
		                   "rule %d: size %u is not that of the descriptor: set it to "
		                   "sizeof(struct pst_plugin)",
		                   RULE_SIZE, raw->size);
	return 0;
}

static int
check_name(const struct pst_plugin *d, const char *name, struct pst_err *err)
{
	if (d->name == NULL || !settings_is_name(pst_str_c(d->name)))
		return broken(err, RULE_NAME,
		              "the name is missing or not of the form [a-z][a-z0-9_]*");
	if (strcmp(d->name, name) != 0)
		return pst_err_set(err, PST_E_PERM,
		                   "rule %d: it calls itself \"%s\": its file must be %s.so",
		                   RULE_NAME, d->name, d->name);
	return 0;
}

static int
check_kind(const struct pst_plugin *d, struct pst_err *err)
{
	const struct pst_storage *s = d->storage;

	if (d->start == NULL)
		return broken(err, RULE_KIND, "start is missing");
	switch (d->kind) {
	case PST_AUTH:
		if (d->auth == NULL || (d->auth->lookup != NULL) + (d->auth->verify != NULL) +
		                                       (d->auth->token != NULL) !=
		                               1)
			return broken(err, RULE_KIND,
			              "an auth plugin needs one of lookup, verify and token");
		return 0;
	case PST_STORAGE:
		if (s == NULL || s->open == NULL || s->count == NULL || s->message == NULL ||
		    s->fetch == NULL || s->commit == NULL || s->close == NULL)
			return broken(err, RULE_KIND,
			              "a storage plugin needs open, count, message, fetch, commit "
			              "and close");
		return 0;
	case PST_POLICY:
		if (d->policy == NULL)
			return broken(err, RULE_KIND, "a policy plugin needs policy");
		return 0;
	}
	return broken(err, RULE_KIND, "the kind is none of PST_AUTH, PST_STORAGE and PST_POLICY");
}

static size_t
member_octets(enum pst_conf_type type)
{
	if (conf_is_string(type))
		return sizeof(const char *);
	return type == PST_CONF_T_BOOL ? sizeof(bool) : sizeof(int64_t);
}

static int
bad_key(struct pst_err *err, const struct pst_conf_key *key, const char *what)
{
	return pst_err_set(err, PST_E_PERM, "rule %d: setting %s: %s", RULE_KEYS, key->key, what);
}

/* base: room for the plugin's struct, to try the default in. */
static int
check_key(const struct pst_plugin *d, const struct pst_conf_key *key, struct pst_arena *arena,
          void *base, struct pst_err *err)
{
	const size_t octets = member_octets(key->type);
	struct pst_err why;

	if (!settings_is_name(pst_str_c(key->key)))
		return broken(err, RULE_KEYS,
		              "a setting's name is not of the form [a-z][a-z0-9_]*");
	if (strcmp(key->key, "plugin") == 0 ||
	    (d->kind == PST_AUTH &&
	     conf_table_find(settings_backend_keys, pst_str_c(key->key)) != NULL))
		return bad_key(err, key, "the name is the server's own");
	if (key->type < PST_CONF_T_INT || key->type > PST_CONF_T_SECRET)
		return bad_key(err, key, "the type is unknown");
	if (key->offset > d->conf_size || octets > d->conf_size - key->offset ||
	    key->offset % octets != 0)
		return bad_key(err, key, "the member is not within conf_size");
	if (key->type == PST_CONF_T_CHOICE && (key->unit == NULL || key->unit[0] == '\0'))
		return bad_key(err, key, "a choice needs its words in unit");
	if (key->doc == NULL)
		return bad_key(err, key, "doc is missing");
	if (key->min > key->max)
		return bad_key(err, key, "min is above max");
	if (conf_table_find(d->keys, pst_str_c(key->key)) != key)
		return bad_key(err, key, "it is there twice");
	if (key->def != NULL && conf_value_parse(key, pst_str_c(key->def), arena, base, &why) != 0)
		return pst_err_set(err, PST_E_PERM, "rule %d: setting %s: the default: %.150s",
		                   RULE_KEYS, key->key, why.text);
	return 0;
}

static int
check_keys(const struct pst_plugin *d, struct pst_err *err)
{
	const struct pst_conf_key *key;
	struct pst_arena *arena;
	void *base;
	int rc = -1;

	if (d->conf_size > CONF_MAX_OCTETS)
		return broken(err, RULE_KEYS, "conf_size is above 1 MiB");
	arena = pst_arena_create();
	base = pst_arena_alloc(arena, d->conf_size);
	for (key = d->keys; key != NULL && key->key != NULL; key++) {
		if (key - d->keys >= KEYS_MAX) {
			broken(err, RULE_KEYS,
			       "keys has more than 250 rows: does it end with a NULL key?");
			goto out;
		}
		if (check_key(d, key, arena, base, err) != 0)
			goto out;
	}
	rc = 0;
out:
	pst_arena_destroy(arena);
	return rc;
}

int
plugin_copy_table(const void *raw, void *out, size_t octets, struct pst_err *err)
{
	uint32_t size;

	memcpy(&size, raw, sizeof(size));
	if (size < sizeof(size) + sizeof(void *) || size > octets)
		return pst_err_set(
			err, PST_E_PERM,
			"rule %d: its functions' table says size %u, this server knows %zu",
			RULE_SIZE, size, octets);
	memset(out, 0, octets);
	memcpy(out, raw, size);
	return 0;
}

int
plugin_check_body(const struct pst_plugin *d, const char *name, struct pst_err *err)
{
	if (check_name(d, name, err) != 0 || check_kind(d, err) != 0)
		return -1;
	return check_keys(d, err);
}
