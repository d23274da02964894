/* SPDX-License-Identifier: MIT */
/* Password files: whatever they hold, every name in them is found, and what is said of it stays within
 * its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/passwdfile/table.h"
#include "auth/passwdfile/user.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct look {
	const struct passwd_table *table;
	size_t seen;
};

static void
find_again(void *arg, const struct passwd_line *line)
{
	struct look *look = arg;
	struct passwd_user user;
	struct passwd_line again;
	struct pst_err err;
	char location[200];
	uint32_t num;

	look->seen++;
	if (!passwd_table_find(look->table, line->name, &again, &num) ||
	    again.name.p != line->name.p || num == 0)
		abort();
	if (passwd_user_read(line, &user, &err) == 0 &&
	    passwd_user_location(&user, location, sizeof(location), &err) == 0 &&
	    strlen(location) >= sizeof(location))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pst_realloc(NULL, size + 1);
	struct look look = { 0 };
	struct pst_err err;
	struct passwd_table *t;

	if (size > 0)
		memcpy(text, data, size);
	t = passwd_table_create(text, size, "file", 1, &err);
	if (t != NULL) {
		look.table = t;
		passwd_table_each(t, find_again, &look);
		if (look.seen != passwd_table_count(t))
			abort();
	}
	passwd_table_destroy(t);
	return 0;
}
