/* SPDX-License-Identifier: MIT */
/* The terms of a record; see contract.h. */
#include "credentials/contract.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/nets.h"

#define NETS_SHOWN 80 /* octets of a list in a log line */

static bool fail(struct contract_verdict *out, enum pst_err_kind kind, const char *text,
                 const char *fmt, ...) PST_PRINTF(4, 5);

static bool
fail(struct contract_verdict *out, enum pst_err_kind kind, const char *text, const char *fmt, ...)
{
	va_list ap;

	out->kind = kind;
	out->text = text;
	out->is_broken = false;
	va_start(ap, fmt);
	(void)vsnprintf(out->why, sizeof(out->why), fmt, ap); /* the log's lines are cut too */
	va_end(ap);
	return false;
}

static int
shown(struct pst_str s)
{
	return (int)(s.n < NETS_SHOWN ? s.n : NETS_SHOWN);
}

/* ---- allow_nets ---- */

static bool
says_nets(const struct pst_auth_record *record)
{
	return record->allow_nets.n > 0;
}

static bool
breaks_nets(const char *name, struct pst_str bad, struct contract_verdict *out)
{
	if (bad.n == 0)
		(void)fail(out, PST_E_PERM, "", "reason=\"%s is not empty and holds none\"", name);
	else
		(void)fail(out, PST_E_PERM, "",
		           "reason=\"%s: \\\"%.*s\\\" is no address and no network\"", name,
		           shown(bad), bad.p);
	out->is_broken = true;
	return false;
}

/* Text that is no address came by none: a question of posternctl's. */
static bool
is_inside(const char *name, struct pst_str nets, const struct pst_auth_query *query,
          struct contract_verdict *out)
{
	struct pst_ip ip = { .is_local = true };
	struct pst_str bad;

	if (query->remote_ip.n > 0 && !pst_ip_parse(query->remote_ip, &ip))
		return fail(out, PST_E_AUTH, "", "reason=\"no address to look for\"");
	switch (pst_nets_match(nets, &ip, &bad)) {
	case PST_NETS_INSIDE:
		return true;
	case PST_NETS_OUTSIDE:
		return fail(out, PST_E_AUTH, "", "nets=\"%.*s\"", shown(nets), nets.p);
	case PST_NETS_BAD:
		break;
	}
	return breaks_nets(name, bad, out);
}

static bool
meets_nets(const struct pst_auth_record *record, const struct pst_auth_query *query,
           struct contract_verdict *out)
{
	return is_inside("allow_nets", record->allow_nets, query, out);
}

/* ---- app_nets: there only where it was the app password that was right ---- */

static bool
says_app_nets(const struct pst_auth_record *record)
{
	return record->app_nets.n > 0;
}

static bool
meets_app_nets(const struct pst_auth_record *record, const struct pst_auth_query *query,
               struct contract_verdict *out)
{
	return is_inside("app_nets", record->app_nets, query, out);
}

/* ---- proxy ---- */

static bool
says_proxy(const struct pst_auth_record *record)
{
	return record->proxy.n > 0;
}

static bool
meets_proxy(const struct pst_auth_record *record, const struct pst_auth_query *query,
            struct contract_verdict *out)
{
	(void)query;
	(void)fail(out, PST_E_PERM, "",
	           "reason=\"the user is to be served by %.*s, and this server passes nobody on\"",
	           shown(record->proxy), record->proxy.p);
	out->is_broken = true;
	return false;
}

/* ---- min_tls ---- */

#define ANY_TLS 10

static const struct {
	uint32_t version;
	const char *text;
} wanted[] = {
	{ ANY_TLS, "this account is open to connections with TLS only" },
	{ 12, "this account is open to connections with TLS 1.2 or later only" },
	{ 13, "this account is open to connections with TLS 1.3 or later only" },
};

static bool
says_tls(const struct pst_auth_record *record)
{
	return record->min_tls != 0;
}

static bool
meets_tls(const struct pst_auth_record *record, const struct pst_auth_query *query,
          struct contract_verdict *out)
{
	uint32_t has = query->tls ? ANY_TLS : 0;
	size_t i;

	if (query->tls && query->tls_version > has)
		has = query->tls_version;
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (wanted[i].version != record->min_tls)
			continue;
		return has >= record->min_tls ||
		       fail(out, PST_E_PERM, wanted[i].text, "min_tls=%" PRIu32 " tls=%" PRIu32,
		            record->min_tls, has);
	}
	(void)fail(out, PST_E_PERM, "",
	           "reason=\"min_tls is %" PRIu32 ", and not 10, 12 or 13 (or 0)\"",
	           record->min_tls);
	out->is_broken = true;
	return false;
}

/* ---- All of them ---- */

const struct contract_term contract_terms[] = {
	{ "allow_nets", says_nets, meets_nets },
	{ "app_nets", says_app_nets, meets_app_nets },
	{ "proxy", says_proxy, meets_proxy },
	{ "min_tls", says_tls, meets_tls },
	{ .name = NULL },
};

const struct contract_term *
contract_judge(const struct pst_auth_record *record, const struct pst_auth_query *query,
               struct contract_verdict *out)
{
	const struct contract_term *term;

	for (term = contract_terms; term->name != NULL; term++)
		if (term->is_said(record) && !term->is_met(record, query, out))
			return term;
	return NULL;
}

const struct contract_term *
contract_find(const char *name)
{
	const struct contract_term *term = contract_terms;

	while (term->name != NULL && strcmp(term->name, name) != 0)
		term++;
	pst_assert(term->name != NULL);
	return term;
}
