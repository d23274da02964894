/* SPDX-License-Identifier: MIT */
/* ipc/message.h - how a message looks on a channel between two processes.
 *
 * A head (version, type, incarnation, request id), then fields in a fixed order for each type:
 * numbers big-endian, runs of octets with their length before them. No raw structs. Decoding is
 * strict: a field that is not all there, a length over the caller's bound or octets left over make
 * the whole message bad. ipc/wire.h has the messages themselves. */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#define MSG_MAX_OCTETS 65536 /* of any message; a SEQPACKET takes up to 200 KB */

enum msg_type {
	MSG_AUTH_REQUEST = 1,
	MSG_AUTH_REPLY,
	MSG_HANDOFF,
	MSG_ORDER,
	MSG_CHAIN_REQUEST,
	MSG_CHAIN_REPLY,
	MSG_SIGN_REQUEST,
	MSG_SIGN_REPLY,
	MSG_AUTH_STEP,
	MSG_NOTE,
};

/* incarnation: which life of the asking slot this is. A reply bears the asker's, so that what was
 * meant for a dead worker is dropped by the one in its place. */
struct msg_head {
	enum msg_type type;
	uint32_t incarnation;
	uint64_t request;
};

/* Running out of room is noticed once, by msg_end. */
struct msg_writer {
	uint8_t *p;
	size_t n, cap;
	bool bad;
};

void msg_begin(struct msg_writer *w, void *out, size_t cap, const struct msg_head *head);
void msg_put_u8(struct msg_writer *w, uint8_t v);
void msg_put_u32(struct msg_writer *w, uint32_t v);
void msg_put_u64(struct msg_writer *w, uint64_t v);
void msg_put_str(struct msg_writer *w, struct pst_str s);
size_t msg_end(struct msg_writer *w); /* octets to send; 0 where cap was too small */

/* A field that is missing or too long gives 0 or the empty string and is noticed by msg_close. */
struct msg_reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

int msg_open(struct msg_reader *r, struct pst_str data, struct msg_head *head_out,
             struct pst_err *err);
uint8_t msg_get_u8(struct msg_reader *r);
uint32_t msg_get_u32(struct msg_reader *r);
uint64_t msg_get_u64(struct msg_reader *r);
struct pst_str msg_get_str(struct msg_reader *r, size_t max); /* borrowed from data */
int msg_close(struct msg_reader *r, struct pst_err *err);     /* -1 (PST_E_PERM) where it was bad */

#endif
