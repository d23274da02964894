/* SPDX-License-Identifier: MIT */
/* Templates of maildrop locations; see location.h. */
#include "credentials/location.h"

#include "base/arena.h"
#include "base/buf.h"
#include "credentials/username.h"

struct variable {
	const char *name;
	size_t offset; /* of a struct pst_str in struct username */
};

static const struct variable variables[] = {
	{ "user", offsetof(struct username, whole) },
	{ "local", offsetof(struct username, local) },
	{ "domain", offsetof(struct username, domain) },
	{ "home", offsetof(struct username, home) },
};

/* What a piece of a template stands for: either text, or a variable. */
struct piece {
	struct pst_str text;
	const struct variable *variable;
};

static bool
is_plugin_name(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		bool is_letter = s.p[i] >= 'a' && s.p[i] <= 'z';

		if (!is_letter && (i == 0 || (!pst_is_digit(s.p[i]) && s.p[i] != '_')))
			return false;
	}
	return s.n > 0;
}

/* A home is absolute: fill sees to that. */
static bool
begins_absolute(struct pst_str path)
{
	static const char home[] = "%{home}";
	const size_t n = sizeof(home) - 1;

	return (path.n > 0 && path.p[0] == '/') || (path.n > n && memcmp(path.p, home, n) == 0);
}

static int
check_head(struct pst_str template, struct pst_err *err)
{
	const char *colon = template.n == 0 ? NULL : memchr(template.p, ':', template.n);
	size_t at = colon == NULL ? 0 : (size_t)(colon - template.p);

	if (colon == NULL || !is_plugin_name((struct pst_str){ template.p, at }) ||
	    !begins_absolute((struct pst_str){ colon + 1, template.n - at - 1 }))
		return pst_err_set(err, PST_E_CLIENT,
		                   "location \"%.*s\": not of the form maildir:/absolute/path",
		                   PST_ARG(template));
	return 0;
}

/* Takes the next piece off *s, which is not empty. */
static int
next_piece(struct pst_str *s, struct piece *piece_out, struct pst_err *err)
{
	const char *percent = memchr(s->p, '%', s->n);
	const char *end;
	struct pst_str name;
	size_t i;

	*piece_out = (struct piece){ *s, NULL };
	if (percent != s->p) {
		if (percent != NULL)
			piece_out->text.n = (size_t)(percent - s->p);
		*s = (struct pst_str){ s->p + piece_out->text.n, s->n - piece_out->text.n };
		return 0;
	}
	if (s->n > 1 && s->p[1] == '%') {
		piece_out->text.n = 1;
		*s = (struct pst_str){ s->p + 2, s->n - 2 };
		return 0;
	}
	end = memchr(s->p, '}', s->n);
	if (s->n < 2 || s->p[1] != '{' || end == NULL)
		return pst_err_set(err, PST_E_CLIENT, "location: write %%{user}, or %%%% for a %%");
	name = (struct pst_str){ s->p + 2, (size_t)(end - s->p) - 2 };
	*s = (struct pst_str){ end + 1, s->n - name.n - 3 };
	for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		if (pst_str_eq(name, pst_str_c(variables[i].name))) {
			piece_out->variable = &variables[i];
			return 0;
		}
	return pst_err_set(err, PST_E_CLIENT,
	                   "location: %%{%.*s} is not known: %%{user} %%{local} %%{domain} "
	                   "%%{home} are",
	                   PST_ARG(name));
}

int
location_check(struct pst_str template, struct pst_err *err)
{
	struct piece piece;

	if (template.n > LOCATION_MAX || pst_str_has_nul(template))
		return pst_err_set(err, PST_E_CLIENT, "location: longer than %d octets",
		                   LOCATION_MAX);
	if (check_head(template, err) != 0)
		return -1;
	while (template.n > 0)
		if (next_piece(&template, &piece, err) != 0)
			return -1;
	return 0;
}

/* Names cannot hold what would make one; a template can, and this is the last place to see it. */
static bool
has_parent_step(struct pst_str path)
{
	size_t i;

	for (i = 0; i + 2 < path.n; i++)
		if (memcmp(path.p + i, "/..", 3) == 0 && (i + 3 == path.n || path.p[i + 3] == '/'))
			return true;
	return false;
}

static int
fill(struct pst_str template, const struct username *user, struct pst_buf *buf, struct pst_err *err)
{
	struct piece piece;

	while (template.n > 0) {
		if (next_piece(&template, &piece, err) != 0)
			return -1;
		if (piece.variable != NULL) {
			memcpy(&piece.text, (const char *)user + piece.variable->offset,
			       sizeof(piece.text));
			/* "/srv/%{domain}/x" would be another user's "/srv/x". */
			if (piece.text.n == 0)
				return pst_err_set(err, PST_E_PERM,
				                   "location: the template asks for %%{%s} and the "
				                   "user has none%s",
				                   piece.variable->name,
				                   piece.variable->offset ==
				                                   offsetof(struct username, domain)
				                           ? " (see auth.default_domain)"
				                           : "");
		}
		if (pst_buf_add(buf, piece.text, err) != 0)
			return pst_err_set(err, PST_E_PERM, "location: longer than %d octets",
			                   LOCATION_MAX);
	}
	return 0;
}

int
location_fill(struct pst_str template, const struct username *user, struct pst_arena *arena,
              struct pst_str *out, struct pst_err *err)
{
	struct pst_buf buf;
	int rc = -1;

	pst_buf_init(&buf, LOCATION_MAX);
	if (user->home.n > 0 && (user->home.p[0] != '/' || pst_str_has_nul(user->home))) {
		pst_err_set(err, PST_E_PERM, "the user's home \"%.*s\" is no absolute path",
		            PST_ARG(user->home));
		goto out;
	}
	if (location_check(template, err) != 0 || fill(template, user, &buf, err) != 0)
		goto out;
	if (has_parent_step(pst_buf_view(&buf))) {
		pst_err_set(err, PST_E_PERM, "location \"%.*s\": leads upward",
		            PST_ARG(pst_buf_view(&buf)));
		goto out;
	}
	*out = (struct pst_str){ pst_arena_copy(arena, pst_buf_view(&buf)), buf.len };
	rc = 0;
out:
	if (rc != 0)
		err->kind = PST_E_PERM;
	pst_buf_clear(&buf);
	return rc;
}
