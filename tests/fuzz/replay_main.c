/* SPDX-License-Identifier: MIT */
/* Feeds files to a fuzz target: a corpus as a test, or one input that was found.
 *
 *	fuzz_command_replay FILE|FOLDER …
 *
 * Each input lies in memory of exactly its size, so that a sanitizer sees a read past its end. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static int
fail(const char *path)
{
	perror(path);
	return -1;
}

static int
replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size == 0 ? 1 : size);
	FILE *f = fopen(path, "rb");
	int rc = -1;

	if (data == NULL || f == NULL || fread(data, 1, size, f) != size) {
		fail(path);
		goto out;
	}
	if (size == 0) { /* nothing at all may be read */
		free(data);
		data = NULL;
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	replayed++;
	rc = 0;
out:
	if (f != NULL)
		fclose(f);
	free(data);
	return rc;
}

static int replay(const char *path);

static int
replay_folder(const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort);
	int rc = n < 0 ? fail(path) : 0;
	int i;

	for (i = 0; i < n; i++) {
		char inner[4096];

		if (snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name) >=
		            (int)sizeof(inner) ||
		    (names[i]->d_name[0] != '.' && replay(inner) != 0))
			rc = -1;
		free(names[i]);
	}
	free(names);
	return rc;
}

static int
replay(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return fail(path);
	if (S_ISDIR(st.st_mode))
		return replay_folder(path);
	if (st.st_size > INPUT_MAX) {
		fprintf(stderr, "%s: larger than %u octets\n", path, INPUT_MAX);
		return -1;
	}
	return replay_file(path, (size_t)st.st_size);
}

int
main(int argc, char **argv)
{
	int rc = 0;
	int i;

	for (i = 1; i < argc; i++)
		if (replay(argv[i]) != 0)
			rc = 1;
	if (replayed == 0) {
		fprintf(stderr, "%s: no input\n", argv[0]);
		return 1;
	}
	printf("%s: %lu inputs\n", argv[0], replayed);
	return rc;
}
