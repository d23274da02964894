/* SPDX-License-Identifier: MIT */
/* plugin/host.h - the functions that a plugin is given. */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include <postern/plugin.h>

/* A host table, and what its log function must know of its plugin. The plugin is given &h->host. */
struct plugin_host {
	struct pst_host host; /* first: log finds the rest by it */
	const char *instance; /* borrowed */
	bool *is_retiring;    /* set by retire; NULL: nothing can retire here */
};

void plugin_host_init(struct plugin_host *h, const char *instance, const char *worker,
                      const void *conf);

#endif
