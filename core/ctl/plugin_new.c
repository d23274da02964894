/* SPDX-License-Identifier: MIT */
/* posternctl plugin new: a plugin to begin with. It builds, and passes its own test, as it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ctl/ctl.h"
#include "ctl/templates.h"

#define PLACE "@NAME@"

/* text with each PLACE replaced. */
static const char *
fill(struct ctl *c, const char *text, const char *name)
{
	const size_t n = strlen(text), added = strlen(name);
	size_t places = 0, used = 0;
	const char *at;
	char *out;

	for (at = text; (at = strstr(at, PLACE)) != NULL; at += strlen(PLACE))
		places++;
	out = pst_arena_alloc(c->arena, n + places * added + 1);
	while ((at = strstr(text, PLACE)) != NULL) {
		memcpy(out + used, text, (size_t)(at - text));
		used += (size_t)(at - text);
		memcpy(out + used, name, added);
		used += added;
		text = at + strlen(PLACE);
	}
	memcpy(out + used, text, strlen(text) + 1);
	return out;
}

static int
write_file(struct ctl *c, const char *path, const char *text, bool is_program)
{
	FILE *f;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_program ? 0777 : 0666);

	(void)c;
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (f == NULL)
		return ctl_fail("%s: %s", path, strerror(errno));
	if (fputs(text, f) < 0 || fclose(f) != 0)
		return ctl_fail("%s: it cannot be written", path);
	return CTL_OK;
}

static int
write_all(struct ctl *c, const char *name)
{
	const struct ctl_template *t;

	if (mkdir(name, 0777) != 0)
		return ctl_fail("%s: %s", name,
		                errno == EEXIST
		                        ? "it is there already: take another name, or folder"
		                        : strerror(errno));
	for (t = ctl_auth_templates; t->name != NULL; t++) {
		const char *file = strcmp(t->name, "plugin.c.template") == 0
		                           ? pst_arena_printf(c->arena, "%s/%s.c", name, name)
		                           : pst_arena_printf(c->arena, "%s/%s", name, t->name);

		if (write_file(c, file, fill(c, t->text, name), t->is_program) != CTL_OK)
			return CTL_FAILED;
		printf("%s\n", file);
	}
	printf("Next: cd %s && make check\n", name);
	return CTL_OK;
}

int
ctl_plugin_new(struct ctl *c, int argc, char **argv)
{
	if (argc != 2)
		return CTL_USAGE;
	if (strcmp(argv[0], "auth") != 0)
		return ctl_fail("\"%s\": there is a beginning for auth plugins only; storage and "
		                "policy plugins are in postern-storage-plugin(7) and "
		                "<postern/policy.h>",
		                argv[0]);
	if (!settings_is_name(pst_str_c(argv[1])))
		return ctl_fail("\"%s\" is no plugin's name: a-z first, then a-z, 0-9 and _, at "
		                "most %d of them",
		                argv[1], SETTINGS_NAME_MAX);
	return write_all(c, argv[1]);
}
