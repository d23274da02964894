/* SPDX-License-Identifier: MIT */
/* The cache of names; see names.h. */
#include "tls/names.h"

#include <string.h>

#include "base/mem.h"
#include "tls/lru.h"

#define VERSION_BUCKETS 256
#define MIN_STRANGERS 1024
#define KEY_OCTETS (1 + WIRE_NAME) /* the type, then the name */

struct entry {
	struct lru_item item;    /* first: an item is its entry */
	struct tls_chain *chain; /* counted; NULL: the oracle has none at all */
	int64_t checked_ms;
	bool is_default;
};

struct tls_names {
	const struct tls_oracle *oracle;
	int64_t check_interval_ms;
	struct lru known;     /* names with a certificate of their own, and "" */
	struct lru strangers; /* names that get the default */
	struct tls_chain *by_version[VERSION_BUCKETS];
	uint64_t default_version
		[3]; /* by type: spares sending the default chain for each stranger */
};

static struct tls_chain **
bucket_of(struct tls_names *n, uint64_t version)
{
	return &n->by_version[version % VERSION_BUCKETS];
}

static struct tls_chain *
find_chain(struct tls_names *n, uint64_t version)
{
	struct tls_chain *c;

	for (c = *bucket_of(n, version); c != NULL; c = c->next)
		if (c->version == version)
			return c;
	return NULL;
}

void
tls_names_release(struct tls_names *n, struct tls_chain *c)
{
	struct tls_chain **at;

	if (c == NULL || --c->refs > 0)
		return;
	for (at = bucket_of(n, c->version); *at != c; at = &(*at)->next)
		;
	*at = c->next;
	tls_chain_destroy(c);
}

static void
on_drop(void *arg, struct lru_item *item)
{
	struct entry *e = (struct entry *)item;

	tls_names_release(arg, e->chain);
	free(e);
}

struct tls_names *
tls_names_create(const struct tls_oracle *oracle, size_t max, int64_t check_interval_ms)
{
	struct tls_names *n = pst_new(struct tls_names);

	n->oracle = oracle;
	n->check_interval_ms = check_interval_ms;
	lru_init(&n->known, max, on_drop, n);
	lru_init(&n->strangers, max < MIN_STRANGERS ? MIN_STRANGERS : max, on_drop, n);
	return n;
}

void
tls_names_destroy(struct tls_names *n)
{
	if (n == NULL)
		return;
	lru_clear(&n->known);
	lru_clear(&n->strangers);
	free(n);
}

static struct pst_str
key_of(struct pst_str name, uint8_t type, char out[KEY_OCTETS])
{
	pst_assert(name.n <= WIRE_NAME);
	out[0] = (char)('0' + type);
	if (name.n > 0)
		memcpy(out + 1, name.p, name.n);
	return (struct pst_str){ out, name.n + 1 };
}

static struct entry *
find_entry(struct tls_names *n, struct pst_str key)
{
	struct lru_item *item = lru_find(&n->known, key);

	return (struct entry *)(item != NULL ? item : lru_find(&n->strangers, key));
}

/* The chain that a reply means, with a count; *chain_out NULL where there is none at all. */
static int
take_reply(struct tls_names *n, struct pst_str name, uint8_t type,
           const struct wire_chain_reply *reply, struct tls_chain **chain_out, struct pst_err *err)
{
	struct tls_chain *c;

	*chain_out = NULL;
	if (reply->status == TLS_CHAIN_NONE)
		return 0;
	c = find_chain(n, reply->version);
	if (c != NULL) {
		c->refs++;
		tls_chain_asked(c, name, type);
	} else if (reply->status == TLS_CHAIN_CURRENT) {
		return pst_err_set(err, PST_E_PERM, "keys confirmed a chain that nobody has");
	} else {
		c = tls_chain_create(n->oracle, name, type, reply, err);
		if (c == NULL)
			return -1;
		c->next = *bucket_of(n, c->version);
		*bucket_of(n, c->version) = c;
	}
	if (reply->is_default)
		n->default_version[type] = c->version;
	*chain_out = c;
	return 0;
}

/* Puts the answer where it belongs; the entry takes over the count. */
static struct entry *
store(struct tls_names *n, struct entry *e, struct pst_str key, struct tls_chain *chain,
      bool is_default)
{
	if (e != NULL && e->is_default != is_default) {
		lru_remove(e->is_default ? &n->strangers : &n->known, &e->item);
		e = NULL;
	}
	if (e == NULL) {
		e = pst_new(struct entry);
		e->is_default = is_default;
		lru_add(is_default ? &n->strangers : &n->known, &e->item, key);
	} else {
		tls_names_release(n, e->chain);
	}
	e->chain = chain;
	return e;
}

/* The version that the oracle need not send again, if it still has it in mind for this name. */
static uint64_t
version_to_confirm(struct tls_names *n, const struct entry *e, uint8_t type)
{
	if (e != NULL && e->chain != NULL)
		return e->chain->version;
	return find_chain(n, n->default_version[type]) != NULL ? n->default_version[type] : 0;
}

static struct entry *
refresh(struct tls_names *n, struct entry *e, struct pst_str key, uint8_t type, struct pst_err *err)
{
	const struct wire_chain_request ask = {
		.name = { key.p + 1, key.n - 1 },
		.type = type,
		.version = version_to_confirm(n, e, type),
	};
	struct wire_chain_reply reply;
	struct tls_chain *chain;

	if (n->oracle->chain(n->oracle->self, &ask, &reply, err) != 0 ||
	    take_reply(n, ask.name, type, &reply, &chain, err) != 0)
		return NULL;
	/* No name at all gets the default as its own. */
	return store(n, e, key, chain, (reply.is_default || chain == NULL) && ask.name.n > 0);
}

struct tls_chain *
tls_names_get(struct tls_names *n, struct pst_str name, uint8_t type, int64_t now_ms,
              struct pst_err *err)
{
	char octets[KEY_OCTETS];
	struct pst_str key = key_of(name, type, octets);
	struct entry *e = find_entry(n, key);

	if (e == NULL || now_ms - e->checked_ms >= n->check_interval_ms) {
		struct entry *fresh = refresh(n, e, key, type, err);

		if (fresh == NULL && (e == NULL || e->chain == NULL))
			return NULL;
		if (fresh != NULL) {
			e = fresh;
			e->checked_ms = now_ms;
		}
	}
	if (e->chain == NULL) {
		pst_err_set(err, PST_E_PERM, "there is no certificate for \"%.*s\", nor a default",
		            PST_ARG(name));
		return NULL;
	}
	e->chain->refs++;
	return e->chain;
}
