/* SPDX-License-Identifier: MIT */
/* SCRAM by GNU SASL; see scram.h. The library asks for what it needs through one callback. */
#include "authn/scram.h"

#include <gsasl.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "credentials/base64.h"

struct scram_library {
	Gsasl *gsasl;
};

struct scram {
	Gsasl_session *session;
	const struct scram_keys *keys;       /* during a step */
	const struct scram_binding *binding; /* likewise */
	char *text;                          /* the last that the library gave */
};

enum pst_digest
scram_digest(enum mechanism_id id)
{
	return id == MECH_SCRAM_SHA_1 || id == MECH_SCRAM_SHA_1_PLUS ? PST_SHA1 : PST_SHA256;
}

/* ---- What the library asks for ---- */

static int
set_octets(Gsasl_session *session, Gsasl_property property, const void *octets, size_t n)
{
	char text[BASE64_ROOM(SCRAM_SALT_MAX) + 1];
	int rc;

	pst_assert(n <= SCRAM_SALT_MAX);
	text[base64_encode(octets, n, BASE64_PADDED, text)] = '\0';
	rc = gsasl_property_set(session, property, text);
	pst_wipe(text, sizeof(text));
	return rc;
}

static int
set_iterations(Gsasl_session *session, uint32_t iterations)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", iterations);
	return gsasl_property_set(session, GSASL_SCRAM_ITER, text);
}

/* A binding that is offered is given under the plain names too: without it the library would take a client
 * that says that it could bind, but was not offered to, at its word. */
static int
on_asked(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	const struct scram *x = gsasl_session_hook_get(session);
	const struct scram_keys *k = x->keys;

	(void)gsasl;
	switch (property) {
	case GSASL_CB_TLS_EXPORTER:
		if (x->binding->octets.n == 0)
			return GSASL_NO_CALLBACK;
		return set_octets(session, property, x->binding->octets.p, x->binding->octets.n);
	case GSASL_SCRAM_ITER:
		return set_iterations(session, k->iterations);
	case GSASL_SCRAM_SALT:
		return set_octets(session, property, k->salt, k->salt_n);
	case GSASL_SCRAM_STOREDKEY:
		return set_octets(session, property, k->stored_key, k->key_n);
	case GSASL_SCRAM_SERVERKEY:
		return set_octets(session, property, k->server_key, k->key_n);
	default:
		return GSASL_NO_CALLBACK;
	}
}

struct scram_library *
scram_library_create(struct pst_err *err)
{
	struct scram_library *l = pst_new(struct scram_library);
	int rc = gsasl_init(&l->gsasl);

	if (rc != GSASL_OK) {
		pst_err_set(err, PST_E_PERM, "GNU SASL: %s", gsasl_strerror(rc));
		free(l);
		return NULL;
	}
	gsasl_callback_set(l->gsasl, on_asked);
	return l;
}

void
scram_library_destroy(struct scram_library *l)
{
	if (l == NULL)
		return;
	gsasl_done(l->gsasl);
	free(l);
}

/* ---- The steps ---- */

bool
scram_may_begin(enum mechanism_id id, const struct gs2 *gs2, const struct scram_binding *binding)
{
	if ((mechanisms[id].needs & MECH_NEEDS_BINDING) != 0)
		return gs2->flag == 'p' && pst_str_eq(gs2->binding, PST_LIT("tls-exporter")) &&
		       binding->octets.n > 0;
	return gs2->flag == 'n' || (gs2->flag == 'y' && !binding->is_offered);
}

/* The library's strings end with a NUL, and it would read a message up to the first. */
static int
step(struct scram *x, struct pst_str message, const struct scram_keys *keys,
     const struct scram_binding *binding, struct pst_str *text_out)
{
	size_t n = 0;
	int rc;

	if (pst_str_has_nul(message))
		return GSASL_MECHANISM_PARSE_ERROR;
	gsasl_free(x->text);
	x->text = NULL;
	x->keys = keys;
	x->binding = binding;
	rc = gsasl_step(x->session, message.p, message.n, &x->text, &n);
	x->keys = NULL;
	x->binding = NULL;
	*text_out = (struct pst_str){ x->text, x->text == NULL ? 0 : n };
	return rc;
}

struct scram *
scram_begin(struct scram_library *l, enum mechanism_id id, struct pst_str message,
            const struct scram_first *first, const struct scram_keys *keys,
            const struct scram_binding *binding, struct pst_str *text_out)
{
	struct scram *x = pst_new(struct scram);
	const char *user = NULL;

	if (gsasl_server_start(l->gsasl, mechanisms[id].name, &x->session) != GSASL_OK) {
		free(x);
		return NULL;
	}
	gsasl_session_hook_set(x->session, x);
	if (step(x, message, keys, binding, text_out) == GSASL_NEEDS_MORE)
		user = gsasl_property_fast(x->session, GSASL_AUTHID);
	/* Whom we have looked up is whom the library will believe in. */
	if (user != NULL &&
	    pst_str_eq(pst_str_c(user), (struct pst_str){ first->user.text, first->user.n }))
		return x;
	scram_end(x);
	return NULL;
}

bool
scram_is_right(struct scram *x, struct pst_str message, const struct scram_keys *keys,
               const struct scram_binding *binding, struct pst_str *text_out)
{
	return step(x, message, keys, binding, text_out) == GSASL_OK;
}

void
scram_end(struct scram *x)
{
	if (x == NULL)
		return;
	gsasl_finish(x->session);
	gsasl_free(x->text);
	free(x);
}
