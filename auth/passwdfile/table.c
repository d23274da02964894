/* SPDX-License-Identifier: MIT */
/* A table of lines, hashed with open addressing; see table.h. */
#include "auth/passwdfile/table.h"

#include <stdlib.h>

#include "auth/passwdfile/user.h"

#define SLOTS_MIN 16

struct slot {
	uint32_t offset; /* of the line's first octet */
	uint32_t hash;
	uint32_t line; /* 1-based; 0: the slot is free */
};

struct passwd_table {
	char *text;
	size_t octets;
	struct slot *slots; /* mask + 1, at most three quarters of them taken */
	uint32_t mask;
	size_t count;
	uint32_t seed;
	size_t problems;
	struct pst_err first;
};

/* FNV-1a over the folded name. */
static uint32_t
hash_of(const struct passwd_table *t, struct pst_str name)
{
	uint32_t hash = 2166136261u ^ t->seed;
	size_t i;

	for (i = 0; i < name.n; i++)
		hash = (hash ^ (uint8_t)pst_lower(name.p[i])) * 16777619u;
	return hash;
}

static struct passwd_line
line_at(const struct passwd_table *t, uint32_t offset)
{
	struct pst_str rest = { t->text + offset, t->octets - offset };
	struct passwd_line line;
	struct pst_err err;

	(void)passwd_line_parse(passwd_next_line(&rest), &line, &err); /* it was good once */
	return line;
}

/* The slot of that name, or the free one where it would be. */
static struct slot *
slot_of(const struct passwd_table *t, struct pst_str name, uint32_t hash)
{
	uint32_t i;

	for (i = hash & t->mask; t->slots[i].line != 0; i = (i + 1) & t->mask)
		if (t->slots[i].hash == hash &&
		    pst_str_ieq(line_at(t, t->slots[i].offset).name, name))
			break;
	return &t->slots[i];
}

static size_t
count_lines(const struct passwd_table *t)
{
	const char *at = t->text, *end = t->text + t->octets;
	size_t n = 1;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		n++;
	}
	return n;
}

static int
make_slots(struct passwd_table *t, struct pst_err *err)
{
	size_t wanted = count_lines(t), n = SLOTS_MIN;

	while (n - n / 4 < wanted)
		n *= 2;
	t->slots = calloc(n, sizeof(*t->slots));
	if (t->slots == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	t->mask = (uint32_t)(n - 1);
	return 0;
}

static void
note_problem(struct passwd_table *t, const char *name, uint32_t line, const char *what)
{
	if (t->problems++ == 0)
		pst_err_set(&t->first, PST_E_PERM, "%.100s:%u: %.140s", name, line, what);
}

static void
add(struct passwd_table *t, const struct passwd_line *line, uint32_t num, const char *name)
{
	const uint32_t hash = hash_of(t, line->name);
	struct slot *slot = slot_of(t, line->name, hash);
	PST_UNINITIALIZED char location[PASSWD_LOCATION_MAX];
	struct passwd_user user;
	struct pst_err why;

	if (slot->line != 0) {
		pst_err_set(&why, PST_E_PERM, "the user is in line %u already, which counts",
		            slot->line);
		note_problem(t, name, num, why.text);
		return;
	}
	*slot = (struct slot){ (uint32_t)(line->name.p - t->text), hash, num };
	t->count++;
	if (passwd_user_read(line, &user, &why) != 0 ||
	    passwd_user_location(&user, location, sizeof(location), &why) != 0)
		note_problem(t, name, num, why.text);
}

static int
fill(struct passwd_table *t, const char *name, struct pst_err *err)
{
	struct pst_str rest = { t->text, t->octets };
	struct passwd_line line;
	struct pst_err why;
	uint32_t num;

	for (num = 1; rest.n > 0; num++)
		switch (passwd_line_parse(passwd_next_line(&rest), &line, &why)) {
		case PASSWD_USER:
			add(t, &line, num, name);
			break;
		case PASSWD_NOTHING:
			break;
		case PASSWD_BAD:
			return pst_err_set(err, PST_E_TEMP, "%.100s:%u: %.140s", name, num,
			                   why.text);
		}
	return 0;
}

struct passwd_table *
passwd_table_create(char *text, size_t octets, const char *name, uint32_t seed, struct pst_err *err)
{
	struct passwd_table *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		explicit_bzero(text, octets);
		free(text);
		pst_err_set(err, PST_E_TEMP, "no memory");
		return NULL;
	}
	t->text = text;
	t->octets = octets;
	t->seed = seed;
	if (octets >= UINT32_MAX)
		pst_err_set(err, PST_E_TEMP, "%.200s: too large", name);
	else if (make_slots(t, err) == 0 && fill(t, name, err) == 0)
		return t;
	passwd_table_destroy(t);
	return NULL;
}

void
passwd_table_destroy(struct passwd_table *t)
{
	if (t == NULL)
		return;
	explicit_bzero(t->text, t->octets);
	free(t->text);
	free(t->slots);
	free(t);
}

bool
passwd_table_find(const struct passwd_table *t, struct pst_str name, struct passwd_line *out,
                  uint32_t *line_num_out)
{
	const struct slot *slot = slot_of(t, name, hash_of(t, name));

	if (slot->line == 0)
		return false;
	*out = line_at(t, slot->offset);
	*line_num_out = slot->line;
	return true;
}

size_t
passwd_table_count(const struct passwd_table *t)
{
	return t->count;
}

size_t
passwd_table_octets(const struct passwd_table *t)
{
	return sizeof(*t) + t->octets + ((size_t)t->mask + 1) * sizeof(*t->slots);
}

size_t
passwd_table_problems(const struct passwd_table *t, const char **first_out)
{
	*first_out = t->first.text;
	return t->problems;
}

static int
compare_names(const void *a, const void *b)
{
	const struct passwd_line *x = a, *y = b;
	const size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	const int order = memcmp(x->name.p, y->name.p, n);

	return order != 0 ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

void
passwd_table_each(const struct passwd_table *t,
                  void (*each)(void *arg, const struct passwd_line *line), void *arg)
{
	struct passwd_line *lines = calloc(t->count + 1, sizeof(*lines));
	size_t n = 0, i;

	if (lines == NULL)
		return;
	for (i = 0; i <= t->mask; i++)
		if (t->slots[i].line != 0)
			lines[n++] = line_at(t, t->slots[i].offset);
	qsort(lines, n, sizeof(*lines), compare_names);
	for (i = 0; i < n; i++)
		each(arg, &lines[i]);
	free(lines);
}
