/* SPDX-License-Identifier: MIT */
/* Connection strings; see target.h. */
#include "auth/pgsql/target.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdlib.h>

/* What may not stand in a string: a secret, or a thing that the worker's sandbox forbids and another
 * setting opens to it. */
static const struct {
	const char *key;
	const char *why;
} refused[] = {
	{ "password", "a password has no place here: password_file is its setting" },
	{ "passfile", "the setting passfile says it" },
	{ "sslrootcert", "the setting ca_file says it" },
	{ "sslcert", "the setting cert_file says it" },
	{ "sslkey", "the setting key_file says it" },
	{ "sslpassword", "a password has no place here: key_file must need none" },
	{ "sslcrl", "a worker cannot read it" },
	{ "sslcrldir", "a worker cannot read it" },
	{ "service", "a worker cannot read the service file: say host, dbname and user" },
	{ "requirepeer", "a worker cannot look up system users" },
	{ "connect_timeout", "the setting connect_timeout says it" },
	{ "client_encoding", "it is always UTF8" },
	{ "gssencmode", "Kerberos is not supported" },
	{ "krbsrvname", "Kerberos is not supported" },
	{ "gsslib", "Kerberos is not supported" },
	{ "replication", "it is for replication" },
};

static const char *const all_attrs[] = { "any",     "read-write", "read-only",
	                                 "primary", "standby",    "prefer-standby" };

static const char *
why_refused(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (strcmp(refused[i].key, key) == 0)
			return refused[i].why;
	return NULL;
}

/* "password =" somewhere, or "//user:password@" at the front of a URI. */
static bool
holds_password(const char *text)
{
	static const char key[] = "password";
	const char *p;
	size_t n, user;

	for (p = text; (p = strstr(p, key)) != NULL;) {
		p += sizeof(key) - 1;
		if (p[strspn(p, " \t\r\n")] == '=')
			return true;
	}
	p = strstr(text, "://");
	if (p == NULL)
		return false;
	p += 3;
	n = strcspn(p, "/?");
	user = strcspn(p, "@");
	return user < n && memchr(p, ':', user) != NULL;
}

/* libpq's own words about a string that it cannot read quote it, and so the password in it. */
static int
check_no_password(const char *text, struct pst_err *err)
{
	if (holds_password(text))
		return pst_err_set(err, PST_E_CLIENT, "password: %s", why_refused("password"));
	return 0;
}

/* ---- The parts of lists ---- */

static size_t
count_parts(const char *list)
{
	size_t n = 1;

	if (list == NULL)
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Cuts the list at its commas; parts that are empty, and a list that is NULL, give NULL. */
static void
cut(char *list, const char *parts[PG_PLACES], size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char *comma = list == NULL ? NULL : strchr(list, ',');

		if (comma != NULL)
			*comma = '\0';
		parts[i] = list == NULL || *list == '\0' ? NULL : list;
		list = comma == NULL ? NULL : comma + 1;
	}
}

static bool
is_address(const char *text)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

static int
fill_place(struct pg_place *p, const char *host, const char *addr, const char *port,
           struct pst_err *err)
{
	const char *shown = host != NULL ? host : addr != NULL ? addr : "the default socket";

	*p = (struct pg_place){ .host = host, .addr = addr, .port = port };
	(void)snprintf(p->label, sizeof(p->label), "%s%s%s", shown, port == NULL ? "" : ":",
	               port == NULL ? "" : port);
	if (addr != NULL && !is_address(addr))
		return pst_err_set(err, PST_E_CLIENT, "hostaddr: \"%.60s\" is no address", addr);
	if (addr != NULL || host == NULL || host[0] == '/')
		return 0;
	if (host[0] == '@')
		return pst_err_set(err, PST_E_CLIENT,
		                   "host: a worker cannot reach an abstract socket");
	if (is_address(host)) {
		p->addr = host;
		return 0;
	}
	p->name = pg_name_create(host);
	return p->name != NULL ? 0 : pst_err_set(err, PST_E_TEMP, "no memory");
}

static int
fill_places(struct pg_target *t, char *hosts, char *addrs, char *ports, struct pst_err *err)
{
	const char *host[PG_PLACES], *addr[PG_PLACES], *port[PG_PLACES];
	const size_t n_hosts = count_parts(hosts), n_addrs = count_parts(addrs);
	const size_t n_ports = count_parts(ports);
	const size_t n = n_addrs > 0 ? n_addrs : n_hosts > 0 ? n_hosts : 1;
	size_t i;

	if (n > PG_PLACES)
		return pst_err_set(err, PST_E_CLIENT, "host: more than %d", PG_PLACES);
	if (n_addrs > 0 && n_hosts > 0 && n_addrs != n_hosts)
		return pst_err_set(err, PST_E_CLIENT, "hostaddr: %zu of them for %zu hosts",
		                   n_addrs, n_hosts);
	if (n_ports > 1 && n_ports != n)
		return pst_err_set(err, PST_E_CLIENT, "port: %zu of them for %zu hosts", n_ports,
		                   n);
	cut(hosts, host, n);
	cut(addrs, addr, n);
	cut(ports, port, n);
	for (i = 0; i < n; i++) {
		t->count = i + 1;
		if (fill_place(&t->places[i], host[i], addr[i], n_ports == 1 ? port[0] : port[i],
		               err) != 0)
			return -1;
	}
	return 0;
}

/* ---- The options ---- */

static int
check_attrs(const char *attrs, struct pst_err *err)
{
	size_t i;

	for (i = 0; i < sizeof(all_attrs) / sizeof(all_attrs[0]); i++)
		if (strcmp(attrs, all_attrs[i]) == 0)
			return 0;
	return pst_err_set(err, PST_E_CLIENT, "target_session_attrs: there is no \"%.60s\"", attrs);
}

static const char *
copy_text(char **to, const char *text)
{
	const size_t octets = strlen(text) + 1;
	char *copy = *to;

	memcpy(copy, text, octets);
	*to += octets;
	return copy;
}

/* The string's values, copied into one piece of memory that t owns. */
static int
copy_values(struct pg_target *t, PQconninfoOption *all, struct pst_err *err)
{
	const PQconninfoOption *o;
	size_t octets = 1;
	char *to;

	for (o = all; o->keyword != NULL; o++)
		if (o->val != NULL)
			octets += strlen(o->keyword) + strlen(o->val) + 2;
	t->memory = to = malloc(octets);
	if (to == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	for (o = all; o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (why_refused(o->keyword) != NULL)
			return pst_err_set(err, PST_E_CLIENT, "%s: %s", o->keyword,
			                   why_refused(o->keyword));
		if (t->option_count == PG_OPTIONS)
			return pst_err_set(err, PST_E_CLIENT, "too many options");
		t->keys[t->option_count] = copy_text(&to, o->keyword);
		t->values[t->option_count++] = copy_text(&to, o->val);
	}
	return 0;
}

/* Takes an option out of the rest; NULL where it is not there, or empty. */
static char *
take_option(struct pg_target *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->option_count; i++)
		if (strcmp(t->keys[i], key) == 0) {
			char *value = t->memory + (t->values[i] - t->memory);

			t->option_count--;
			t->keys[i] = t->keys[t->option_count];
			t->values[i] = t->values[t->option_count];
			return *value == '\0' ? NULL : value;
		}
	return NULL;
}

static bool
has_option(const struct pg_target *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->option_count; i++)
		if (strcmp(t->keys[i], key) == 0 && t->values[i][0] != '\0')
			return true;
	return false;
}

static int
take_apart(struct pg_target *t, const char *default_attrs, struct pst_err *err)
{
	char *hosts = take_option(t, "host");
	char *addrs = take_option(t, "hostaddr");
	char *ports = take_option(t, "port");

	t->attrs = take_option(t, "target_session_attrs");
	if (t->attrs == NULL)
		t->attrs = default_attrs;
	if (check_attrs(t->attrs, err) != 0 || fill_places(t, hosts, addrs, ports, err) != 0)
		return -1;
	/* libpq would look up the process's own, which it cannot in the sandbox. */
	if (!has_option(t, "user"))
		return pst_err_set(err, PST_E_CLIENT, "user: it must be said");
	return 0;
}

int
pg_target_read(struct pg_target *t, const char *text, const char *default_attrs,
               struct pst_err *err)
{
	PQconninfoOption *all;
	char *why = NULL;
	int rc;

	memset(t, 0, sizeof(*t));
	if (check_no_password(text, err) != 0)
		return -1;
	all = PQconninfoParse(text, &why);
	if (all == NULL) {
		(void)pst_err_set(err, PST_E_CLIENT, "%.*s", (int)strcspn(why ? why : "", "\n"),
		                  why != NULL ? why : "no memory");
		PQfreemem(why);
		return -1;
	}
	rc = copy_values(t, all, err);
	PQconninfoFree(all);
	if (rc == 0)
		rc = take_apart(t, default_attrs, err);
	if (rc != 0)
		pg_target_clear(t);
	return rc;
}

void
pg_target_clear(struct pg_target *t)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		pg_name_destroy(t->places[i].name);
	free(t->memory);
	memset(t, 0, sizeof(*t));
}
