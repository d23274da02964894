/* SPDX-License-Identifier: MIT */
/* Commands for a running server: one request each over its control socket. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ctl/ask.h"
#include "ctl/ctl.h"

#define REPLY_MAX (128u << 20)

/* The reply goes to standard output, or to standard error where the server says no. */
static int
ask(struct ctl *c, const char *request, const char *on_success)
{
	struct pst_buf reply;
	struct pst_err err;
	struct pst_str text;
	bool ok = false;
	int status = CTL_FAILED;

	/* A file that went bad after the start must not keep an admin from the running server: one
	 * that can be read says where it is. */
	if (ctl_read_config(c) > 0 && c->settings.server.runtime_dir == NULL) {
		ctl_print_problems(&c->problems);
		return CTL_FAILED;
	}
	pst_buf_init(&reply, REPLY_MAX);
	if (ctl_ask(c->settings.server.runtime_dir, request, &ok, &reply, &err) != 0) {
		ctl_fail("%s", err.text);
		goto out;
	}
	text = pst_buf_view(&reply);
	(void)fwrite(text.p, 1, text.n, ok ? stdout : stderr);
	if (ok && on_success != NULL)
		(void)puts(on_success);
	status = ok ? CTL_OK : CTL_FAILED;
out:
	pst_buf_clear(&reply);
	return status;
}

void
ctl_tell_changed(const struct ctl *c, struct pst_str user)
{
	const char *request = pst_arena_printf(c->arena, "changed %.*s", PST_ARG(user));
	struct pst_buf reply;
	struct pst_err err;
	bool ok = false;

	pst_buf_init(&reply, REPLY_MAX);
	if (ctl_ask(c->settings.server.runtime_dir, request, &ok, &reply, &err) != 0)
		ok = err.kind == PST_E_CLOSED;
	else if (!ok)
		pst_err_set(&err, PST_E_PERM, "%.*s", PST_ARG(pst_buf_view(&reply)));
	if (!ok)
		fprintf(stderr, "posternctl: sessions that are open may go on: %s\n", err.text);
	pst_buf_clear(&reply);
}

/* "[--json]" and nothing else. */
static int
ask_report(struct ctl *c, int argc, char **argv, const char *text, const char *json)
{
	if (argc == 0)
		return ask(c, text, NULL);
	if (argc == 1 && strcmp(argv[0], "--json") == 0)
		return ask(c, json, NULL);
	return CTL_USAGE;
}

int
ctl_status(struct ctl *c, int argc, char **argv)
{
	return ask_report(c, argc, argv, "status", "status json");
}

int
ctl_who(struct ctl *c, int argc, char **argv)
{
	return ask_report(c, argc, argv, "who", "who json");
}

int
ctl_reload(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	return argc == 0 ? ask(c, "reload", "reloaded") : CTL_USAGE;
}

int
ctl_stop(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	return argc == 0 ? ask(c, "stop", NULL) : CTL_USAGE;
}

int
ctl_kick(struct ctl *c, int argc, char **argv)
{
	char request[128];

	if (argc != 1 || strlen(argv[0]) == 0 || strlen(argv[0]) > 64)
		return CTL_USAGE;
	(void)snprintf(request, sizeof(request), "kick %s", argv[0]);
	return ask(c, request, NULL);
}
