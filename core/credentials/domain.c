/* SPDX-License-Identifier: MIT */
/* Default domains; see domain.h. */
#include "credentials/domain.h"

#include <stdio.h>

/* Letters, digits and hyphens between dots (RFC 1123 section 2.1). */
static bool
is_host(struct pst_str s)
{
	size_t i;

	if (s.n == 0 || s.n > DOMAIN_MAX || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return false;
	for (i = 0; i < s.n; i++) {
		const char c = pst_lower(s.p[i]);

		if ((c < 'a' || c > 'z') && !pst_is_digit(c) && c != '-' && c != '.')
			return false;
		if (c == '.' && s.p[i - 1] == '.')
			return false;
	}
	return true;
}

/* example.org of pop.example.org; example.org of itself, as org is nobody's domain for mail. */
static struct pst_str
parent_of(struct pst_str host)
{
	const char *dot = memchr(host.p, '.', host.n);
	struct pst_str parent;

	if (dot == NULL)
		return host;
	parent = (struct pst_str){ dot + 1, host.n - (size_t)(dot + 1 - host.p) };
	return memchr(parent.p, '.', parent.n) != NULL ? parent : host;
}

static struct pst_str
fill(const char *setting, struct pst_str sni)
{
	if (setting[0] != '%')
		return pst_str_c(setting);
	if (!is_host(sni))
		return PST_LIT("");
	return strcmp(setting, "%{sni}") == 0 ? sni : parent_of(sni);
}

void
domain_choose(const struct settings *s, struct pst_str listener, struct pst_str sni,
              struct domain_choice *out)
{
	struct pst_str domain = PST_LIT("");
	size_t i;

	*out = (struct domain_choice){ .listener = NULL };
	for (i = 0; i < s->listener_count; i++) {
		if (!pst_str_eq(pst_str_c(s->listeners[i].name), listener))
			continue;
		domain = fill(s->listeners[i].default_domain, sni);
		if (domain.n > 0)
			out->listener = &s->listeners[i];
	}
	if (domain.n == 0)
		domain = pst_str_c(s->auth.default_domain);
	(void)snprintf(out->name, sizeof(out->name), "%.*s", PST_ARG(domain)); /* it fits */
}
