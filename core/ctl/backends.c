/* SPDX-License-Identifier: MIT */
/* Auth plugins outside of the server; see backends.h. */
#include "ctl/backends.h"

#include <stdio.h>

#include "ipc/env.h"

struct registry *
ctl_backends_start(struct ctl *c, const char *instances, struct pst_err *err)
{
	struct registry *r = registry_create(NULL);
	const struct worker_env env = {
		.kind = WORKER_AUTH,
		.settings = &c->settings,
		.sections = &c->texts,
		.plugins = r,
	};

	if (registry_load(&env, PST_AUTH, instances, err) != 0 ||
	    registry_start(r, "ctl", err) != 0) {
		registry_destroy(r);
		return NULL;
	}
	return r;
}

void
ctl_print(struct pst_str text)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		(void)putchar(ch < 0x20 || ch == 0x7f ? '?' : ch);
	}
}
