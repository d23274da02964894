/* SPDX-License-Identifier: MIT */
/* storage/maildir/add.h - messages that come from elsewhere: the parts of add. */
#ifndef STORAGE_MAILDIR_ADD_H
#define STORAGE_MAILDIR_ADD_H

#include "storage/index/names.h"
#include "storage/maildir/drop.h"
#include "storage/maildir/name.h"

/* One of them. Its name is in the addition's text. */
struct newcomer {
	uint32_t name; /* place in the text */
	uint16_t name_octets, base_octets;
	uint8_t place;
	bool is_placed; /* it lies where it is to be */
	uint64_t stored_octets;
	struct pst_measured measured;
};

struct addition {
	struct pst_maildrop *d;
	const struct pst_new_message *msgs;
	uint32_t n;
	int64_t now_s;

	struct newcomer *comers;
	char *text;
	uint32_t text_used;
	struct names uidls, bases; /* that may not be given again */
	struct maildir_key last;   /* of the message before: names go upwards */
	uint64_t micros;           /* of the last name that was made */
	char host[64];

	int dirfd[PLACE_BOTH];
	int tmpfd;
	char *hidden; /* the new Maildir's path while it is made; NULL: the Maildir is there */
	struct mem mem_comers, mem_text;
};

/* ---- add_name.c ---- */

/* Reads what may not be given again. -1 (PST_E_CLIENT): a UIDL that cannot be, or that another has. */
int add_check_uidls(struct addition *a, struct pst_err *err);

/* Chooses the name of newcomer i, whose octets are known: its UIDL where that can be one and stands in
 * its place by it, so that the mail itself tells it; else one that sorts behind those before. */
int add_choose_name(struct addition *a, uint32_t i, struct pst_err *err);

struct pst_str add_name(const struct addition *a, uint32_t i);
struct pst_str add_base(const struct addition *a, uint32_t i);

/* What it is listed with. */
void add_describe(const struct addition *a, uint32_t i, struct index_message *m);

#endif
