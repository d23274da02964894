/* SPDX-License-Identifier: MIT */
/* The image of a configuration that crosses from the reading child to the master and the workers.
 *
 * What is taken must be what is written, and whatever it says must load or be complained about. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_arena *arena = pst_arena_create();
	static struct settings settings;
	struct conf_problems problems;
	struct conf_texts texts;
	struct pst_err err;

	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	if (conf_texts_decode(&texts, (struct pst_str){ (const char *)data, size }, &err) == 0) {
		uint8_t *out = malloc(size);

		if (out == NULL || conf_texts_encode(&texts, out, size) != size ||
		    memcmp(out, data, size) != 0)
			abort();
		free(out);
		settings_load(&texts, &settings, &problems);
	}
	pst_arena_destroy(arena);
	return 0;
}
