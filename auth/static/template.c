/* SPDX-License-Identifier: MIT */
/* Users by a template; see template.h. */
#include "auth/static/template.h"

static const char spaces[] = " \t\r\n,";

bool
template_names_nets(const struct template_conf *c)
{
	return c->allow_nets[strspn(c->allow_nets, spaces)] != '\0';
}

/* An empty list has everything. */
static bool
has_word(const char *list, struct pst_str word)
{
	list += strspn(list, spaces);
	if (*list == '\0')
		return true;
	while (*list != '\0') {
		const struct pst_str one = { list, strcspn(list, spaces) };

		if (pst_str_ieq(one, word))
			return true;
		list += one.n;
		list += strspn(list, spaces);
	}
	return false;
}

bool
template_has_user(const struct template_conf *c, const struct pst_auth_query *query)
{
	return has_word(c->users, query->user) && has_word(c->domains, query->domain);
}

void
template_fill(const struct template_conf *c, struct pst_auth_record *record)
{
	record->location = pst_str_c(c->location);
	record->home = pst_str_c(c->home);
	record->allow_nets = pst_str_c(c->allow_nets);
	record->uid = (uint32_t)c->uid;
	record->gid = (uint32_t)c->gid;
	record->read_only = c->read_only;
}
