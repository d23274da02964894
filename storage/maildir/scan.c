/* SPDX-License-Identifier: MIT */
/* Matching names with what is known, by a hash of their base names; see scan.h. round.c reads them. */
#include "storage/maildir/scan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/index/hash.h"
#include "storage/maildir/name.h"

/* ---- Memory ---- */

static int
out_of_memory(struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
}

/* Room for one more of octets each. p points to the block's place in the scan. */
static int
grow_array(struct mem *m, uint32_t count, size_t octets, struct pst_err *err)
{
	if (mem_grow(m, ((size_t)count + 1) * octets, SIZE_MAX / 4) != 0)
		return out_of_memory(err);
	return 0;
}

int
scan_add_text(struct scan *s, struct pst_str text, uint32_t *at_out, struct pst_err *err)
{
	if (mem_grow(&s->mem_text, (size_t)s->text_used + text.n, UINT32_MAX) != 0)
		return out_of_memory(err);
	s->text = s->mem_text.p;
	memcpy(s->text + s->text_used, text.p, text.n);
	*at_out = s->text_used;
	s->text_used += (uint32_t)text.n; /* <= UINT32_MAX: mem_grow's max */
	return 0;
}

/* name does not lie in s->text, which may move. */
static int
add_file(struct scan *s, unsigned place, struct pst_str name, size_t base_octets,
         uint32_t *file_out, struct pst_err *err)
{
	uint32_t text;

	if (grow_array(&s->mem_files, s->file_count, sizeof(*s->files), err) != 0)
		return -1;
	if (scan_add_text(s, name, &text, err) != 0)
		return -1;
	s->files = s->mem_files.p;
	s->files[s->file_count] = (struct scan_file){
		text, (uint16_t)name.n, (uint16_t)base_octets, place, /* <= INDEX_NAME_MAX */
	};
	*file_out = s->file_count++;
	return 0;
}

/* ---- The table: base name to id ---- */

static uint64_t
hash_of(const struct scan *s, struct pst_str base)
{
	return index_hash(base.p, base.n, s->self->seed);
}

/* Half of the hash is kept in the slot, so that other names are rarely looked at. */
static uint64_t
slot_of(uint64_t hash, uint32_t id)
{
	return (hash & ~(uint64_t)UINT32_MAX) | ((uint64_t)id + 1);
}

static void
insert(struct scan *s, uint64_t hash, uint32_t id)
{
	size_t i = hash & s->slot_mask;

	while (s->slots[i] != 0)
		i = (i + 1) & s->slot_mask;
	s->slots[i] = slot_of(hash, id);
	s->slots_used++;
}

struct pst_str
scan_file_name(const struct scan *s, uint32_t file)
{
	const struct scan_file *f = &s->files[file];

	return (struct pst_str){ s->text + f->text, f->octets };
}

struct pst_str
scan_name(const struct scan *s, uint32_t id, uint32_t *place_out)
{
	struct index_message m;
	uint32_t file;

	if (id >= s->known_count && s->fresh[id - s->known_count].known != SCAN_NONE)
		id = s->fresh[id - s->known_count].known;
	file = id < s->known_count ? s->marks[id].file : s->fresh[id - s->known_count].file;

	if (file != SCAN_NONE) {
		*place_out = s->files[file].place;
		return scan_file_name(s, file);
	}
	index_at(s->known, id, &m);
	*place_out = m.flags & INDEX_PLACE_MASK;
	return m.name;
}

static struct pst_str
base_of(const struct scan *s, uint32_t id)
{
	struct index_message m;

	if (id < s->known_count) {
		index_at(s->known, id, &m);
		return m.identity;
	}
	return (struct pst_str){ s->text + s->files[s->fresh[id - s->known_count].file].text,
		                 s->files[s->fresh[id - s->known_count].file].base_octets };
}

static uint32_t
find(const struct scan *s, uint64_t hash, struct pst_str base)
{
	size_t i;

	for (i = hash & s->slot_mask; s->slots[i] != 0; i = (i + 1) & s->slot_mask) {
		uint32_t id = (uint32_t)(s->slots[i] & UINT32_MAX) - 1;

		if (s->slots[i] == slot_of(hash, id) && pst_str_eq(base_of(s, id), base))
			return id;
	}
	return SCAN_NONE;
}

uint32_t
scan_find(const struct scan *s, struct pst_str base)
{
	return find(s, hash_of(s, base), base);
}

/* A table for at least n names, at most half full, with all names that there are. */
static int
make_table(struct scan *s, size_t n, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	size_t size = 64;
	uint32_t i;

	while (size < 2 * n)
		size *= 2;
	if (mem_get(&mem, size * sizeof(uint64_t)) != 0)
		return out_of_memory(err);
	mem_drop(&s->mem_slots);
	s->mem_slots = mem;
	s->slots = mem.p;
	s->slot_mask = size - 1;
	s->slots_used = 0;
	for (i = 0; i < s->known_count + s->fresh_count; i++)
		insert(s, hash_of(s, base_of(s, i)), i);
	return 0;
}

/* ---- Names ---- */

static bool
is_too_many(const struct scan *s)
{
	return (int64_t)s->known_count + s->fresh_count >= 2 * s->self->conf->max_messages + 1000;
}

static int
add_fresh(struct scan *s, unsigned place, struct pst_str name, struct pst_str base, uint64_t hash,
          uint64_t ino, struct pst_err *err)
{
	struct scan_fresh *f;

	if (is_too_many(s))
		return pst_err_set(err, PST_E_PERM, "too many files in new/ and cur/");
	if (s->slots_used * 2 > s->slot_mask && make_table(s, s->slots_used * 2, err) != 0)
		return -1;
	if (grow_array(&s->mem_fresh, s->fresh_count, sizeof(*s->fresh), err) != 0)
		return -1;
	s->fresh = s->mem_fresh.p;
	f = &s->fresh[s->fresh_count];
	*f = (struct scan_fresh){ .known = SCAN_NONE, .round = s->round, .ino = ino };
	if (add_file(s, place, name, base.n, &f->file, err) != 0)
		return -1;
	insert(s, hash, s->known_count + s->fresh_count);
	s->fresh_count++;
	return 0;
}

static uint32_t *
file_of(struct scan *s, uint32_t id)
{
	return id < s->known_count ? &s->marks[id].file : &s->fresh[id - s->known_count].file;
}

/* Of two files with one base name the one in cur/ is it, then the first by octets: a choice that
 * does not depend on the order in which they were seen. */
static bool
is_better(unsigned place, struct pst_str name, uint32_t than_place, struct pst_str than)
{
	size_t common = name.n < than.n ? name.n : than.n;
	int order;

	if (place != than_place)
		return place == PLACE_CUR;
	order = memcmp(name.p, than.p, common);
	return order != 0 ? order < 0 : name.n < than.n;
}

static int
on_second(struct scan *s, uint32_t id, unsigned place, struct pst_str name, struct pst_str base,
          struct pst_err *err)
{
	uint32_t first_place, loser;
	struct pst_str first = scan_name(s, id, &first_place);
	bool better = is_better(place, name, first_place, first);

	if (place == first_place && pst_str_eq(name, first))
		return 0; /* one name, seen twice */
	if (grow_array(&s->mem_twins, s->twin_count, sizeof(*s->twins), err) != 0)
		return -1;
	s->twins = s->mem_twins.p;
	loser = *file_of(s, id);
	if (better && loser == SCAN_NONE &&
	    add_file(s, first_place, first, base.n, &loser, err) != 0)
		return -1;
	if (better && add_file(s, place, name, base.n, file_of(s, id), err) != 0)
		return -1;
	if (!better && add_file(s, place, name, base.n, &loser, err) != 0)
		return -1;
	s->twins[s->twin_count++] = (struct scan_twin){ id, loser };
	return 0;
}

/* A name that an earlier round may have seen too. */
static int
on_again(struct scan *s, uint32_t id, unsigned place, struct pst_str name, struct pst_str base,
         struct pst_err *err)
{
	uint32_t old_place;
	struct pst_str old = scan_name(s, id, &old_place);

	if (id < s->known_count)
		s->marks[id].round = s->round;
	else
		s->fresh[id - s->known_count].round = s->round;
	if (place == old_place && pst_str_eq(name, old))
		return 0;
	if (id >= s->known_count && s->fresh[id - s->known_count].state == FRESH_GONE)
		s->fresh[id - s->known_count].state = FRESH_UNMEASURED;
	return add_file(s, place, name, base.n, file_of(s, id), err);
}

int
scan_on_name(struct scan *s, unsigned place, struct pst_str name, uint64_t ino, struct pst_err *err)
{
	struct pst_str base = maildir_base(name);
	uint64_t hash = hash_of(s, base);
	uint32_t id = find(s, hash, base);
	uint8_t seen;

	if (id == SCAN_NONE)
		return s->known_only ? 0 : add_fresh(s, place, name, base, hash, ino, err);
	seen = id < s->known_count ? s->marks[id].round : s->fresh[id - s->known_count].round;
	if (seen == s->round)
		return on_second(s, id, place, name, base, err);
	return on_again(s, id, place, name, base, err);
}

/* ---- Twins ---- */

static bool
is_there(const struct scan *s, uint32_t place, struct pst_str name)
{
	char path[INDEX_NAME_MAX + 1];
	struct stat st;

	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	return s->dirfd[place] >= 0 &&
	       fstatat(s->dirfd[place], path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
fresh_is_twin(struct scan_fresh *f)
{
	f->is_twin = true;
	f->state = FRESH_UNMEASURED; /* an earlier round may have measured the other one */
}

void
scan_settle_twins(struct scan *s)
{
	uint32_t i, place, kept = 0;

	for (i = 0; i < s->twin_count; i++) {
		struct scan_twin t = s->twins[i];
		struct pst_str name = scan_name(s, t.id, &place);

		if (!is_there(s, s->files[t.file].place, scan_file_name(s, t.file)))
			continue;
		if (!is_there(s, place, name)) {
			*file_of(s, t.id) = t.file;
			continue;
		}
		if (t.id < s->known_count)
			s->marks[t.id].is_twin = true;
		else
			fresh_is_twin(&s->fresh[t.id - s->known_count]);
		s->twins[kept++] = t;
	}
	s->twin_count = kept;
}

int
scan_add_again(struct scan *s, uint32_t known, struct pst_err *err)
{
	if (grow_array(&s->mem_fresh, s->fresh_count, sizeof(*s->fresh), err) != 0)
		return -1;
	s->fresh = s->mem_fresh.p;
	s->fresh[s->fresh_count++] = (struct scan_fresh){
		.file = SCAN_NONE,
		.known = known,
		.round = s->round,
		.is_twin = s->marks[known].is_twin,
	};
	s->marks[known].is_again = true;
	s->marks[known].again = s->fresh_count - 1;
	return 0;
}

int
scan_init(struct scan *s, const struct maildir *self, const struct index *known,
          const int dirfd[PLACE_BOTH], struct pst_err *err)
{
	uint32_t i;

	*s = (struct scan){ .self = self, .known = known };
	s->known_count = known->listed + known->kept; /* <= UINT32_MAX: index_parse */
	memcpy(s->dirfd, dirfd, sizeof(s->dirfd));
	if (mem_get(&s->mem_marks, s->known_count * sizeof(*s->marks)) != 0)
		return out_of_memory(err);
	s->marks = s->mem_marks.p;
	for (i = 0; i < s->known_count; i++)
		s->marks[i].file = SCAN_NONE;
	return make_table(s, s->known_count, err);
}

void
scan_clear(struct scan *s)
{
	mem_drop(&s->mem_marks);
	mem_drop(&s->mem_fresh);
	mem_drop(&s->mem_files);
	mem_drop(&s->mem_twins);
	mem_drop(&s->mem_text);
	mem_drop(&s->mem_slots);
}
