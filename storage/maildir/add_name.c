/* SPDX-License-Identifier: MIT */
/* Names for messages that come from elsewhere; see add.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/index/uidl.h"
#include "storage/maildir/add.h"

#define NAME_MAX_OCTETS 255 /* of a file system's name */
#define FLAGS ":2,S"

/* Of the system, with what may not stand in a name as \ooo. */
static void
find_host(struct addition *a)
{
	char name[48] = "localhost";
	size_t n = 0, i;

	(void)gethostname(name, sizeof(name) - 1);
	for (i = 0; name[i] != '\0' && n + 5 < sizeof(a->host); i++)
		if (name[i] == '/' || name[i] == ':' || name[i] == ',' || name[i] < 0x21)
			n += (size_t)snprintf(a->host + n, sizeof(a->host) - n, "\\%03o",
			                      (unsigned)(unsigned char)name[i]);
		else
			a->host[n++] = name[i];
	a->host[n] = '\0';
}

static int
take_known(struct addition *a, struct pst_err *err)
{
	const struct index *ix = &a->d->index;
	const uint32_t known = ix->listed + ix->kept;
	struct index_message m;
	struct maildir_key key;
	uint32_t i;

	if (names_init(&a->uidls, (uint64_t)known + a->n, err) != 0 ||
	    names_init(&a->bases, (uint64_t)known + a->n, err) != 0)
		return -1;
	a->last = (struct maildir_key){ .seconds = 0 };
	for (i = 0; i < known; i++) {
		index_at(ix, i, &m);
		(void)names_add(&a->uidls, m.uidl, i);
		(void)names_add(&a->bases, m.identity, i);
		maildir_key(m.identity, &key);
		if (maildir_key_compare(&key, &a->last) > 0)
			a->last = key;
	}
	return 0;
}

int
add_check_uidls(struct addition *a, struct pst_err *err)
{
	uint32_t i;

	find_host(a);
	if (take_known(a, err) != 0)
		return -1;
	for (i = 0; i < a->n; i++) {
		const struct pst_str uidl = a->msgs[i].uidl;

		if (uidl.n == 0)
			continue;
		if (!uidl_is_valid(uidl))
			return pst_err_set(err, PST_E_CLIENT, "message %u: \"%.*s\" is no UIDL",
			                   i + 1, PST_ARG(uidl));
		if (!names_add(&a->uidls, uidl, i))
			return pst_err_set(err, PST_E_CLIENT,
			                   "message %u: another one has the UIDL %.*s", i + 1,
			                   PST_ARG(uidl));
	}
	return 0;
}

/* What a name says of sizes is believed, so it must be right. */
static bool
says_right(struct pst_str base, char letter, uint64_t octets)
{
	uint64_t said;

	return !maildir_field(base, letter, &said) || said == octets;
}

static bool
can_be_name(const struct addition *a, const struct newcomer *c, struct pst_str uidl)
{
	struct maildir_key key;

	if (uidl.n == 0 || !maildir_is_message(uidl) || memchr(uidl.p, ':', uidl.n) != NULL ||
	    !says_right(uidl, 'S', c->stored_octets) ||
	    !says_right(uidl, 'W', c->measured.size_octets) ||
	    names_find(&a->bases, uidl) != NAMES_NONE)
		return false;
	maildir_key(uidl, &key);
	return maildir_key_compare(&key, &a->last) > 0;
}

/* Behind the last, and not before now. */
static int
make_base(struct addition *a, const struct newcomer *c, char out[NAME_MAX_OCTETS + 1])
{
	uint64_t seconds = (uint64_t)a->now_s;

	if (a->last.seconds > seconds)
		seconds = a->last.seconds;
	if (seconds == a->last.seconds && a->micros <= a->last.micros)
		a->micros = a->last.micros + 1;
	if (a->micros > 999999) {
		seconds++;
		a->micros = 0;
	}
	return snprintf(out, NAME_MAX_OCTETS + 1, "%llu.M%06lluP%ldA.%s,S=%llu,W=%llu",
	                (unsigned long long)seconds, (unsigned long long)a->micros++,
	                (long)getpid(), a->host, (unsigned long long)c->stored_octets,
	                (unsigned long long)c->measured.size_octets);
}

int
add_choose_name(struct addition *a, uint32_t i, struct pst_err *err)
{
	struct newcomer *c = &a->comers[i];
	const struct pst_str uidl = a->msgs[i].uidl;
	char room[NAME_MAX_OCTETS + 1];
	struct pst_str base = uidl;
	char *at;

	if (!can_be_name(a, c, uidl))
		do {
			base = (struct pst_str){ room, (size_t)make_base(a, c, room) };
		} while (names_find(&a->bases, base) != NAMES_NONE);
	if (mem_grow(&a->mem_text, (size_t)a->text_used + base.n + sizeof(FLAGS), UINT32_MAX / 2) !=
	    0)
		return pst_err_set(err, PST_E_TEMP, "no memory to add messages");
	a->text = a->mem_text.p;
	c->name = a->text_used;
	at = a->text + a->text_used;
	memcpy(at, base.p, base.n);
	c->base_octets = c->name_octets = (uint16_t)base.n; /* <= NAME_MAX_OCTETS */
	if (a->msgs[i].is_seen) {
		memcpy(at + base.n, FLAGS, sizeof(FLAGS) - 1);
		c->name_octets = (uint16_t)(base.n + sizeof(FLAGS) - 1);
	}
	at[c->name_octets] = '\0';
	a->text_used += c->name_octets + 1u;
	c->place = a->msgs[i].is_seen ? PLACE_CUR : PLACE_NEW;
	maildir_key(base, &a->last);
	a->last.base = uidl.n > 0 && base.p == uidl.p ? uidl : PST_LIT("~");
	return 0;
}

struct pst_str
add_name(const struct addition *a, uint32_t i)
{
	return (struct pst_str){ a->text + a->comers[i].name, a->comers[i].name_octets };
}

struct pst_str
add_base(const struct addition *a, uint32_t i)
{
	return (struct pst_str){ a->text + a->comers[i].name, a->comers[i].base_octets };
}

void
add_describe(const struct addition *a, uint32_t i, struct index_message *m)
{
	const struct newcomer *c = &a->comers[i];

	*m = (struct index_message){
		.wire_octets = c->measured.size_octets,
		.stored_octets = c->stored_octets,
		.surrogate_octets = c->measured.surrogate_octets,
		.surrogate_rules = (uint8_t)a->d->self->host->surrogate_rules,
		.name = add_name(a, i),
		.identity = add_base(a, i),
		.uidl = a->msgs[i].uidl,
		.flags = c->place | (c->measured.crlf ? INDEX_CRLF : 0) |
		         (c->measured.has_no_header_end ? INDEX_NO_HEADER_END : 0),
	};
}
