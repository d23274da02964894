/* SPDX-License-Identifier: MIT */
/* storage/index/uidl.h - how the UIDL of a message that never had one is made: a name, a format, or
 * what the message itself says. */
#ifndef STORAGE_INDEX_UIDL_H
#define STORAGE_INDEX_UIDL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#define UIDL_MAX 70
#define UIDL_ROOM 80

typedef void uidl_md5(const void *data, size_t n, uint8_t out[16]);

/* ---- Dovecot's pop3_uidl_format ----
 *
 * In the older syntax %[0][width][X|L|U|M]letter with u, v, f, g, m and %%; in the newer one %{name}
 * with uid, uidvalidity, filename, guid, md5 and | hex(width), | lower, | upper, | md5, | hexlify. */

struct uidl_values {
	uint32_t uid, validity;
	struct pst_str base, guid; /* p NULL: there is no such thing here */
	struct pst_str header_md5; /* likewise; 32 hexadecimal digits */
	uidl_md5 *md5;             /* of struct pst_host; NULL: there is no M */
};

/* The octets written to out; 0: the result is empty or longer than room. -1: not such a format (err). */
int uidl_render(const char *format, const struct uidl_values *v, char *out, size_t room,
                struct pst_err *err);

bool uidl_is_valid(struct pst_str uidl);                             /* RFC 1939 section 7 */
struct pst_str uidl_hex(const uint8_t *octets, size_t n, char *out); /* writes 2 * n */

/* ---- What is configured ---- */

#define UIDL_FOR_MAILDIR 1u
#define UIDL_FOR_MBOX 2u
#define UIDL_FOR_BOTH 3u

enum uidl_kind {
	UIDL_NAME = 1, /* base name, or identity in an mbox */
	UIDL_TEMPLATE,
	UIDL_DIGEST, /* of the whole message */
	UIDL_POPA3D, /* see uidl_popa3d */
	UIDL_XUIDL,  /* the X-UIDL header; where there is none as UIDL_NAME */
	UIDL_TPOP3D, /* of an mbox: MD5 of its first octets */
};

#define UIDL_PLAIN_ID 1u

struct uidl_policy {
	enum uidl_kind kind;
	const char *format; /* of a template; borrowed */
	bool has_uid, has_validity;
	bool has_header; /* something in the message's header decides */
	bool from_mail;  /* numbers are only those that the mail bears; else as UIDL_NAME */
	uint32_t id;     /* another one for another policy, never 0 */
};

/* text: the name of a preset, or a format with a '%' in it; borrowed. */
int uidl_policy_parse(struct uidl_policy *p, const char *text, unsigned driver,
                      struct pst_err *err);

/* ---- What a message's header says: uidl_header.c ----
 *
 * header: from the first header line on; the empty line ends it, or the octets do. */

#define UIDL_HEADER_MAX ((size_t)64 * 1024) /* so much of a message is looked at */

/* As popa3d makes them: 16 digits. */
struct pst_str uidl_popa3d(uidl_md5 *md5, struct pst_str header, char out[16]);

/* Dovecot's header sum (the m of its formats): 32 digits. */
struct pst_str uidl_header_md5(uidl_md5 *md5, struct pst_str header, char out[32]);

/* The X-UIDL header, if it is one that POP3 allows; n 0: no. Borrowed from header. */
struct pst_str uidl_x_uidl(struct pst_str header);

#endif
