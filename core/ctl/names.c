/* SPDX-License-Identifier: MIT */
/* Names from the command line, a file and the backends; see names.h. */
#include "ctl/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static void
add(struct names *list, struct pst_str name, bool is_listed)
{
	if (list->n == list->cap) {
		list->cap = list->cap == 0 ? 64 : list->cap * 2;
		list->v = pst_realloc_array(list->v, list->cap, sizeof(*list->v));
	}
	list->v[list->n++] = (struct named){ pst_str_dup(name), is_listed };
}

void
names_clear(struct names *list)
{
	while (list->n > 0)
		free(list->v[--list->n].name);
	free(list->v);
	*list = (struct names){ .v = NULL };
}

/* A name a line; empty lines and those that begin with '#' are none. */
static int
read_file(struct names *list, const char *path, struct pst_err *err)
{
	const bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	if (f == NULL)
		return pst_err_sys(err, PST_E_CLIENT, "%s", path);
	while ((n = getline(&line, &cap, f)) >= 0) {
		struct pst_str name = { line, (size_t)n };

		while (name.n > 0 && strchr(" \t\r\n", name.p[name.n - 1]) != NULL)
			name.n--;
		if (name.n > 0 && name.p[0] != '#')
			add(list, name, false);
	}
	if (ferror(f))
		rc = pst_err_sys(err, PST_E_TEMP, "%s", path);
	free(line);
	if (!is_stdin)
		(void)fclose(f);
	return rc;
}

static void
on_user(void *arg, const struct pst_auth_user *user)
{
	add(arg, user->name, true);
}

static int
compare(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Users of several backends: each once, by name. */
static void
sort_from(struct names *list, size_t from)
{
	size_t i, n = from;

	if (list->n > from)
		qsort(list->v + from, list->n - from, sizeof(*list->v), compare);
	for (i = from; i < list->n; i++) {
		if (n > from && strcmp(list->v[n - 1].name, list->v[i].name) == 0)
			free(list->v[i].name);
		else
			list->v[n++] = list->v[i];
	}
	list->n = n;
}

static int
list_all(struct names *list, const struct chain *chain, const struct registry *registry,
         const char *domain, bool *complete_out, struct pst_err *err)
{
	const size_t from = list->n;
	size_t listing = 0;
	size_t i;

	for (i = 0; i < chain_count(chain); i++) {
		const struct pst_auth *auth = chain_auth(chain, i);
		const char *name = chain_name(chain, i);
		struct plugin *p = registry_find(registry, PST_AUTH, pst_str_c(name));

		if (auth->user_list == NULL) {
			fprintf(stderr,
			        "posternctl: the users of auth.%s cannot be listed: name them, or "
			        "give a file of their names (--from)\n",
			        name);
			*complete_out = false;
			continue;
		}
		listing++;
		if (auth->user_list(plugin_self(p), pst_str_c(domain), on_user, list, err) != 0)
			return -1;
	}
	if (listing == 0)
		return pst_err_set(err, PST_E_CLIENT, "no auth backend can list users");
	sort_from(list, from);
	return 0;
}

static char *
fold_domain(const char *domain)
{
	char *folded = pst_strdup(domain);
	char *at;

	for (at = folded; *at != '\0'; at++)
		*at = pst_lower(*at);
	return folded;
}

int
names_gather(struct names *list, const struct chain *chain, const struct registry *registry,
             const struct drops_names *asked, bool *complete_out, struct pst_err *err)
{
	char *domain;
	size_t i;
	int rc = 0;

	*list = (struct names){ .v = NULL };
	for (i = 0; i < asked->user_count; i++)
		add(list, pst_str_c(asked->users[i]), false);
	if (asked->file != NULL && read_file(list, asked->file, err) != 0)
		return -1;
	if (!asked->all && asked->domain == NULL)
		return 0;
	domain = fold_domain(asked->all ? "" : asked->domain);
	rc = list_all(list, chain, registry, domain, complete_out, err);
	free(domain);
	return rc;
}
