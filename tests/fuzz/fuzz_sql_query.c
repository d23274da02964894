/* SPDX-License-Identifier: MIT */
/* Queries with named parameters: only a parameter's own octets change. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/sql/query.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_dialect(const char *source, char mark)
{
	struct sql_query q;
	struct pst_err err;

	if (sql_query_parse(&q, source, ~0u, mark, &err) != 0)
		return;
	if (q.param_count > SQL_PARAMS)
		abort();
	if (q.text != NULL && strlen(q.text) > strlen(source))
		abort();
	if (q.text != NULL && q.param_count == 0 && strcmp(q.text, source) != 0)
		abort();
	sql_query_clear(&q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *source = pst_str_dup((struct pst_str){ (const char *)data, size });

	try_dialect(source, '?');
	try_dialect(source, '$');
	free(source);
	return 0;
}
