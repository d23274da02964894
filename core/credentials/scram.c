/* SPDX-License-Identifier: MIT */
/* SCRAM's stored form: ITERATIONS,SALT,STOREDKEY,SERVERKEY, all but the first in base64. */
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/kinds.h"
#include "credentials/opaque.h"
#include "credentials/views.h"

/* What stands before the next comma of *s, or all of it. */
static struct pst_str
take_field(struct pst_str *s)
{
	const char *end = s->n == 0 ? NULL : memchr(s->p, ',', s->n);
	struct pst_str field = { s->p, end == NULL ? s->n : (size_t)(end - s->p) };

	*s = end == NULL ? (struct pst_str){ s->p + s->n, 0 }
	                 : (struct pst_str){ end + 1, s->n - field.n - 1 };
	return field;
}

static bool
take_key(struct pst_str *s, uint8_t *out, size_t octets)
{
	size_t n;

	return base64_decode(take_field(s), BASE64_PADDED, out, octets, &n) && n == octets;
}

static bool
parse(struct pst_str s, enum pst_digest digest, struct scram_keys *out, uint64_t *iterations_out)
{
	out->key_n = pst_digest_octets(digest);
	return pst_str_u64(take_field(&s), iterations_out) &&
	       base64_decode(take_field(&s), BASE64_PADDED, out->salt, sizeof(out->salt),
	                     &out->salt_n) &&
	       out->salt_n > 0 && take_key(&s, out->stored_key, out->key_n) &&
	       take_key(&s, out->server_key, out->key_n) && s.n == 0;
}

/* The same with the reason, and the bounds. */
static int
read_keys(const struct scheme_row *row, struct pst_str data, struct scram_keys *out,
          struct pst_err *err)
{
	uint64_t iterations;

	if (!parse(data, row->digest, out, &iterations))
		return pst_err_set(err, PST_E_PERM, "%s: not of the form ITERATIONS,SALT,KEY,KEY",
		                   row->names[0]);
	if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX)
		return pst_err_set(err, PST_E_PERM, "%s: %llu iterations, %d to %d are taken",
		                   row->names[0], (unsigned long long)iterations,
		                   SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX);
	out->iterations = (uint32_t)iterations;
	return 0;
}

void
scram_make(enum pst_digest digest, struct pst_str password, struct scram_keys *out)
{
	uint8_t salted[SCRAM_KEY_MAX], client[SCRAM_KEY_MAX];
	const size_t n = pst_digest_octets(digest);
	const struct pst_str key = { (const char *)salted, n };

	out->key_n = n;
	pst_pbkdf2(digest, password, (struct pst_str){ (const char *)out->salt, out->salt_n },
	           out->iterations, salted);
	pst_hmac(digest, key, PST_LIT("Client Key"), client);
	pst_digest(digest, (struct pst_str){ (const char *)client, n }, PST_LIT(""),
	           out->stored_key);
	pst_hmac(digest, key, PST_LIT("Server Key"), out->server_key);
	pst_wipe(client, sizeof(client));
	pst_wipe(salted, sizeof(salted));
}

void
scram_make_opaque(enum pst_digest digest, struct pst_str password, struct scram_keys *out)
{
	struct opaque o;

	scram_make(digest, opaque_open(password, &o), out);
	opaque_clear(&o);
}

SCHEME_VERIFY(scram_match)
{
	struct scram_keys stored, made;
	enum scheme_match match = SCHEME_ERROR;

	if (read_keys(row, in->data, &stored, err) == 0) {
		made = stored;
		scram_make(row->digest, in->password, &made);
		match = scheme_compare(stored.stored_key, made.stored_key, stored.key_n);
		/* Both are of one password, or what is stored was put together. */
		if (match == SCHEME_MATCH)
			match = scheme_compare(stored.server_key, made.server_key, stored.key_n);
		pst_wipe(&made, sizeof(made));
	}
	pst_wipe(&stored, sizeof(stored));
	return match;
}

SCHEME_OUTDATED(scram_outdated)
{
	struct scram_keys keys;
	struct pst_err err;
	bool is_less;

	(void)cost;
	is_less = read_keys(row, data, &keys, &err) == 0 && keys.iterations < SCRAM_ITERATIONS;
	pst_wipe(&keys, sizeof(keys));
	return is_less;
}

SCHEME_MAKE(scram_make_row)
{
	struct scram_keys keys = { .iterations = SCRAM_ITERATIONS, .salt_n = SCRAM_SALT_MADE };
	char salt[BASE64_ROOM(SCRAM_SALT_MADE)];
	char stored[BASE64_ROOM(SCRAM_KEY_MAX)], server[BASE64_ROOM(SCRAM_KEY_MAX)];
	size_t salt_n, stored_n, server_n;

	(void)cost, (void)err;
	pst_random(keys.salt, keys.salt_n);
	scram_make(row->digest, password, &keys);
	salt_n = base64_encode(keys.salt, keys.salt_n, BASE64_PADDED, salt);
	stored_n = base64_encode(keys.stored_key, keys.key_n, BASE64_PADDED, stored);
	server_n = base64_encode(keys.server_key, keys.key_n, BASE64_PADDED, server);
	*data_out =
		pst_str_c(pst_arena_printf(arena, "%u,%.*s,%.*s,%.*s", keys.iterations, (int)salt_n,
	                                   salt, (int)stored_n, stored, (int)server_n, server));
	pst_wipe(stored, sizeof(stored));
	pst_wipe(server, sizeof(server));
	pst_wipe(&keys, sizeof(keys));
	return 0;
}

enum scheme_view
scheme_scram(struct pst_str stored, const char *default_scheme, enum pst_digest digest,
             struct scram_keys *out, struct pst_err *err)
{
	enum scheme_view view = SCHEME_BROKEN;
	struct scheme_stored s;

	if (scheme_open(stored, default_scheme, &s, err) != 0)
		goto out;
	if (s.row->verify != scram_match || s.row->digest != digest)
		view = SCHEME_HAS_NOT;
	else if (read_keys(s.row, s.data, out, err) == 0)
		view = SCHEME_HAS;
out:
	scheme_clear(&s);
	return view;
}
