/* SPDX-License-Identifier: MIT */
/* posternctl plugin check: what a plugin author wants to know before an admin does. */
#include <stdio.h>

#include <postern/auth.h>
#include <postern/policy.h>

#include "config/table.h"
#include "ctl/ctl.h"
#include "plugin/loader.h"

/* Which of its functions the server will call. */
static void
print_functions(const struct pst_plugin *d)
{
	const struct pst_auth *a = d->kind == PST_AUTH ? d->auth : NULL;
	const struct pst_policy *p = d->kind == PST_POLICY ? d->policy : NULL;
	const struct {
		const char *name;
		bool is_there;
	} functions[] = {
		{ "lookup", a != NULL && a->lookup != NULL },
		{ "verify", a != NULL && a->verify != NULL },
		{ "user administration", a != NULL && a->user_add != NULL },
		{ "probe", a != NULL && a->probe != NULL },
		{ "on_connect", p != NULL && p->on_connect != NULL },
		{ "before_auth", p != NULL && p->before_auth != NULL },
		{ "after_auth", p != NULL && p->after_auth != NULL },
		{ "open, count, message, fetch, commit, close", d->kind == PST_STORAGE },
		{ "check of its settings", d->check != NULL },
	};
	const char *comma = "";
	size_t i;

	printf("functions ");
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (functions[i].is_there) {
			printf("%s%s", comma, functions[i].name);
			comma = ", ";
		}
	printf("\n");
}

int
ctl_plugin_check(struct ctl *c, int argc, char **argv)
{
	const struct pst_plugin *d;
	struct conf_texts none;
	struct plugin *p;
	struct pst_err err;
	const char *group;

	if (argc != 1)
		return CTL_USAGE;
	p = plugin_load_file(argv[0], NULL, &err);
	if (p == NULL)
		return ctl_fail("%s", err.text);
	d = plugin_descriptor(p);
	group = settings_kind_group(d->kind);
	printf("name %s\nkind %s\nabi %u\nsize %u\n", d->name, group, d->abi, d->size);
	print_functions(d);
	conf_texts_init(&none, c->arena);
	if (d->keys != NULL && d->keys->key != NULL) {
		char prefix[128];

		(void)snprintf(prefix, sizeof(prefix), "%s.%s", group, d->name);
		printf("settings:\n");
		conf_table_show(d->keys, prefix, &none, stdout);
	}
	plugin_unload(p);
	printf("plugin is good\n");
	return CTL_OK;
}
