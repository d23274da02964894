/* SPDX-License-Identifier: MIT */
/* Dovecot's control folder of a user, from the setting's template. */
#include <string.h>

#include "storage/maildir/drop.h"
#include "storage/maildir/name.h"

struct variable {
	struct pst_str name, value;
};

/* A name that would lead elsewhere is nobody's folder. */
static bool
is_safe(struct pst_str s)
{
	return s.n > 0 && s.p[0] != '.' && memchr(s.p, '/', s.n) == NULL &&
	       memchr(s.p, '\0', s.n) == NULL;
}

static int
add(struct mem *m, size_t *n, struct pst_str s, struct pst_err *err)
{
	if (mem_grow(m, *n + s.n + 1, SIZE_MAX / 8) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for a path");
	if (s.n > 0)
		memcpy((char *)m->p + *n, s.p, s.n);
	*n += s.n;
	((char *)m->p)[*n] = '\0';
	return 0;
}

/* "%{user}" or another at *p; leaves *p behind it. */
static int
add_variable(struct mem *m, size_t *n, const char **p, const struct variable *variables,
             struct pst_err *err)
{
	const char *end = strchr(*p, '}');
	size_t i;

	for (i = 0; i < 3 && end != NULL; i++) {
		struct pst_str name = { *p + 2, (size_t)(end - *p) - 2 };

		if ((*p)[1] != '{' || !pst_str_eq(name, variables[i].name))
			continue;
		if (!is_safe(variables[i].value))
			return pst_err_set(err, PST_E_PERM,
			                   "storage.maildir.dovecot_control has %%{%.*s}, and the "
			                   "user has none",
			                   PST_ARG(name));
		*p = end + 1;
		return add(m, n, variables[i].value, err);
	}
	return pst_err_set(err, PST_E_CLIENT,
	                   "dovecot_control: write %%{user}, %%{local} or %%{domain}");
}

int
drop_control(const char *template, struct pst_str user, struct mem *out, struct pst_err *err)
{
	const char *at = user.n == 0 ? NULL : memrchr(user.p, '@', user.n);
	size_t local = at == NULL ? user.n : (size_t)(at - user.p);
	const struct variable variables[] = {
		{ PST_LIT("user"), user },
		{ PST_LIT("local"), { user.p, local } },
		{ PST_LIT("domain"),
		  { at == NULL ? user.p : at + 1, at == NULL ? 0 : user.n - local - 1 } },
	};
	size_t n = 0;

	while (*template != '\0') {
		size_t plain = strcspn(template, "%");

		if (add(out, &n, (struct pst_str){ template, plain }, err) != 0)
			return -1;
		template += plain;
		if (*template == '%' && add_variable(out, &n, &template, variables, err) != 0)
			return -1;
	}
	return 0;
}
