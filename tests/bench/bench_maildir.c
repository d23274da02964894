/* SPDX-License-Identifier: MIT */
/* What opening a Maildir costs: CPU time of this thread, user and system, in microseconds.
 *
 *	bench_maildir MESSAGES OCTETS [REPEATS]
 *
 * Makes a Maildir under $TMPDIR, opens it cold (no index), warm, after one delivery, after a change
 * of every time stamp, and removes up to 1,000 messages. Not a test: run it by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/storage/kit.h"

static double
cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static long
resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	char line[128] = "";
	char *end;

	if (f == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	(void)strtol(line, &end, 10);
	return strtol(end, NULL, 10) * 4;
}

static void
fill(const struct kit *k, unsigned long messages, size_t octets)
{
	char *text = malloc(octets + 80);
	char name[128];
	unsigned long i;
	size_t n;

	for (n = 0; n < octets; n += 76)
		(void)snprintf(text + n, 80, "%075lu\n", (unsigned long)n);
	for (i = 0; i < messages; i++) {
		(void)snprintf(name, sizeof(name), "%lu.M%06luP%lu.mx1,S=%zu", 1700000000 + i / 3,
		               i * 7919 % 1000000, 1000 + i, octets);
		kit_put(k, "new", name, text, octets);
	}
	free(text);
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
tell(const char *what, double *us, int n, uint32_t messages)
{
	qsort(us, (size_t)n, sizeof(*us), compare_doubles);
	printf("%-28s median %10.1f us  best %10.1f us  %7.3f us a message\n", what, us[n / 2],
	       us[0], us[n / 2] / (messages == 0 ? 1 : messages));
}

enum what { WARM, COLD, ALL_KNOWN, ONE_NEW };

static void
prepare(struct kit *k, enum what what, int i)
{
	char path[512], name[64];

	switch (what) {
	case COLD:
		kit_unlink(k, DROP_INDEX_NAME);
		break;
	case ALL_KNOWN:
		kit_path(k, "new", path);
		pst_assert(chmod(path, i % 2 != 0 ? 0700 : 0750) == 0);
		break;
	case ONE_NEW:
		(void)snprintf(name, sizeof(name), "1800000000.M%06dP1.mx1", i);
		kit_puts(k, "new", name, "Subject: new\n\nmail\n");
		break;
	default:
		break;
	}
}

static void
measure(struct kit *k, const char *title, enum what what, int repeats)
{
	double *us = calloc((size_t)repeats, sizeof(*us));
	uint32_t count = 0;
	int i;

	for (i = 0; i < repeats; i++) {
		struct pst_maildrop *d;
		double start;

		prepare(k, what, i);
		start = cpu_us();
		d = kit_open(k);
		count = drop_count(d);
		drop_close(d);
		us[i] = cpu_us() - start;
	}
	tell(title, us, repeats, count);
	free(us);
}

static void
measure_use(struct kit *k)
{
	long before = resident_kib(), with;
	struct pst_maildrop *d = kit_open(k);
	struct pst_message m;
	uint64_t sum = 0;
	double start = cpu_us(), us;
	uint32_t i, count = drop_count(d);

	for (i = 0; i < count; i++) {
		drop_message(d, i, &m);
		sum += m.size_octets + m.uidl.n + (uint8_t)m.uidl.p[0];
	}
	us = cpu_us() - start;
	with = resident_kib();
	printf("%-28s %.1f octets a message (index %zu), listing %.3f us a message (%llu)\n",
	       "memory of an open maildrop", (double)(with - before) * 1024 / count,
	       d->index.octets / count, us / count, (unsigned long long)sum);
	drop_close(d);
	printf("%-28s %ld KiB\n", "left after close", resident_kib() - before);
}

static void
measure_commit(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	uint32_t n = drop_count(d) < 1000 ? drop_count(d) : 1000, removed, i;
	uint32_t *idx = calloc(n, sizeof(*idx));
	struct pst_err err;
	double start;

	for (i = 0; i < n; i++)
		idx[i] = i;
	start = cpu_us();
	pst_assert(drop_commit(d, idx, n, &removed, &err) == 0);
	printf("%-28s %u messages %.1f us\n", "removal", removed, cpu_us() - start);
	drop_close(d);
	free(idx);
}

int
main(int argc, char **argv)
{
	unsigned long messages = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	unsigned long octets = argc > 2 ? strtoul(argv[2], NULL, 10) : 8192;
	int repeats = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 9;
	struct kit k;

	kit_init(&k);
	fill(&k, messages, octets);
	drop_close(kit_open(&k));
	measure(&k, "cold: no index", COLD, repeats);
	measure(&k, "warm: nothing changed", WARM, repeats * 5);
	measure(&k, "all known, scanned", ALL_KNOWN, repeats);
	measure(&k, "one new", ONE_NEW, repeats);
	measure_use(&k);
	measure_commit(&k);
	kit_clear(&k);
	return 0;
}
