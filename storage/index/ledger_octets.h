/* SPDX-License-Identifier: MIT */
/* storage/index/ledger_octets.h - how a ledger lies in its file; for ledger*.c, and for fuzzing.
 *
 * All numbers are little-endian, all parts begin at a multiple of eight octets. The sum of a record is
 * seeded with the file's own random number and the record's place, so that octets from another file,
 * or from another place, are no record. */
#ifndef STORAGE_INDEX_LEDGER_OCTETS_H
#define STORAGE_INDEX_LEDGER_OCTETS_H

#include "storage/index/ledger.h"

#define HEAD_MAGIC "PSTUIDLS"
#define HEAD_SUM_SEED 3
enum {
	HEAD_VERSION = 8,
	HEAD_SIZE = 12,
	HEAD_FILE = 16,
	HEAD_SEED = 24,
	HEAD_VALIDITY = 32,
	HEAD_NEXT_UID = 36,
	HEAD_OCTETS = 64, /* the last eight are its sum */
};

#define RECORD_MAGIC 0x4c55 /* "UL" */
enum {
	RECORD_MAGIC_AT = 0,
	RECORD_KEY_OCTETS = 2,
	RECORD_UIDL_OCTETS = 4,
	RECORD_FLAGS = 5,
	RECORD_UID = 8,
	RECORD_VALIDITY = 12,
	RECORD_ORDER = 16,
	RECORD_PRINT = 24,
	RECORD_FIXED = 32, /* key, UIDL, zeros, and the sum follow */
};
enum { FLAG_GONE = 1 };

struct ledger_head {
	uint64_t file; /* of the file: a copy has another */
	uint64_t seed;
	uint32_t validity, next_uid;
};

size_t ledger_record_octets(const struct ledger_entry *e);
void ledger_put_record(char *p, const struct ledger_entry *e, uint64_t seed, uint64_t at);
void ledger_put_head(char p[HEAD_OCTETS], const struct ledger_head *h);

/* Fills *l (zeroed) from the n octets at p, which must outlive it. -1: *is_bad_out: it is none; else
 * there is no memory. */
int ledger_parse(struct ledger *l, const char *p, uint64_t n, uint64_t file, bool *is_bad_out);

#endif
