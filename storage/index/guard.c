/* SPDX-License-Identifier: MIT */
/* Refusing to change UIDLs; see guard.h. */
#include "storage/index/guard.h"

int
guard_check(const struct guard *g, uint32_t known, uint32_t changed, struct pst_err *err)
{
	if ((g->flags & PST_OPEN_ACCEPT_UIDLS) != 0 || changed == 0 || (int64_t)changed < g->min ||
	    (int64_t)changed * 100 <= g->share * (int64_t)known)
		return 0;
	g->host->log(
		g->host, PST_LOG_ERROR, g->event,
		"user=%.*s path=%s known=%u changed=%u: these messages would get new UIDLs and be "
		"fetched again, so nobody is let in; find out what renamed or replaced them and "
		"undo it, or if it is right run: posternctl uidl accept %.*s",
		PST_ARG(g->user), g->path, known, changed, PST_ARG(g->user));
	return pst_err_set(err, PST_E_TEMP, "%.100s: %u of %u messages would get new UIDLs",
	                   g->path, changed, known);
}

int
guard_ledger(const struct guard *g, const char *why, struct pst_err *err)
{
	if ((g->flags & PST_OPEN_ACCEPT_UIDLS) != 0)
		return 0;
	g->host->log(
		g->host, PST_LOG_ERROR, g->event,
		"user=%.*s path=%s reason=\"%.120s\": the UIDLs that it holds would be lost and "
		"messages fetched again, so nobody is let in; bring it back from a backup, or "
		"give it up with: posternctl uidl accept %.*s",
		PST_ARG(g->user), g->path, why, PST_ARG(g->user));
	return pst_err_set(err, PST_E_TEMP, "%.80s: %.100s", g->path, why);
}
