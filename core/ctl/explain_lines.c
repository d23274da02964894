/* SPDX-License-Identifier: MIT */
/* What auth explain says of each step; see explain.h. No line holds a password or a hash. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "credentials/contract.h"
#include "credentials/scheme.h"
#include "ctl/explain.h"

const char *
explain_place(const struct explain *e, const char *path)
{
	const struct conf_text *t = conf_texts_get(&e->c->texts, path);

	if (t == NULL)
		return pst_arena_printf(e->c->arena, "%s: the default", path);
	if (t->file[0] == '\0')
		return pst_arena_printf(e->c->arena, "%s: command line", path);
	return pst_arena_printf(e->c->arena, "%s: %s:%u", path, t->file, t->line);
}

void
explain_line(const char *what, const char *place, const char *fmt, ...)
{
	va_list ap;

	printf("%-10s ", what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	if (place != NULL)
		printf("  (%s)", place);
	(void)putchar('\n');
}

const char *
explain_text(const struct explain *e, struct pst_str s)
{
	char *copy = pst_arena_copy(e->c->arena, s);
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
			copy[i] = '?';
	return copy;
}

/* ---- Backends ---- */

static const char *
section_path(const struct explain *e, size_t backend, const char *key)
{
	return pst_arena_printf(e->c->arena, "auth.%s.%s", chain_name(e->asked, backend), key);
}

static const char *
list_of(const struct explain *e)
{
	return e->asked == e->masters ? "auth.master_backends" : "auth.backends";
}

static void
on_answered(void *arg, size_t backend, enum pst_auth_result result, const struct pst_err *err)
{
	static const char *const words[] = {
		[PST_AUTH_OK] = "knows the user",
		[PST_AUTH_UNKNOWN] = "does not know the user",
		[PST_AUTH_WRONG] = "says that the password is wrong",
		[PST_AUTH_DISABLED] = "knows the user, who is disabled",
		[PST_AUTH_TEMP] = "cannot tell: ",
	};
	const struct explain *e = arg;

	explain_line("backend", explain_place(e, list_of(e)), "%s %s%s",
	             chain_name(e->asked, backend), words[result],
	             result == PST_AUTH_TEMP ? explain_text(e, pst_str_c(err->text)) : "");
}

/* What stands in "{SCHEME}", or what a bare one is taken for. */
const char *
explain_scheme(const struct explain *e, struct pst_str stored)
{
	const char *end = memchr(stored.p, '}', stored.n);

	if (stored.p[0] == '{' && end != NULL)
		return explain_text(e,
		                    (struct pst_str){ stored.p + 1, (size_t)(end - stored.p) - 1 });
	if (stored.p[0] == '$')
		return "crypt(3), without a prefix";
	return pst_arena_printf(e->c->arena, "%s, as it has no prefix",
	                        e->c->settings.auth.default_scheme);
}

static void
tell_credential(const struct explain *e, const char *what, struct pst_str stored)
{
	const struct auth_settings *s = &e->c->settings.auth;
	const struct scheme_cost cost = chain_cost(&e->c->settings);
	const char *weak;

	if (stored.n == 0 || stored.p == NULL)
		return;
	weak = scheme_weak_name(stored, s->default_scheme);
	explain_line(what, weak != NULL ? explain_place(e, "auth.allow_weak_schemes") : NULL,
	             "stored as %s%s%s", explain_scheme(e, stored),
	             weak == NULL      ? ""
	             : cost.allow_weak ? ", which is weak"
	                               : ", which is weak and refused",
	             scheme_is_outdated(stored, s->default_scheme, &cost) ? ", not as new ones are"
	                                                                  : "");
}

static void
tell_rule(const struct explain *e, size_t backend, const char *key)
{
	const struct plugin_section *s = settings_section(&e->c->settings, PST_AUTH,
	                                                  pst_str_c(chain_name(e->asked, backend)));
	const bool is_wrong = strcmp(key, "on_wrong") == 0;
	const struct backend_rules none = { 0 };
	const struct backend_rules *rules = s != NULL ? &s->rules : &none;
	const int64_t step = is_wrong ? rules->on_wrong : rules->on_temp;

	explain_line("", explain_place(e, section_path(e, backend, key)), "%s: %s",
	             is_wrong ? "where the password is wrong" : "where it cannot tell",
	             step == BACKEND_NEXT ? "the next backend is asked" : "that is the answer");
}

static void
on_gave(void *arg, size_t backend, enum pst_auth_result result,
        const struct pst_auth_record *record)
{
	struct explain *e = arg;
	const struct scheme_cost cost = chain_cost(&e->c->settings);
	const char *source = explain_text(e, record->source);

	if (record->source.n > 0)
		explain_line("", explain_place(e, section_path(e, backend, source)), "by its %s",
		             source);
	if (record->alias.n > 0 && result == PST_AUTH_OK)
		return; /* nothing else of it counts */
	e->is_outdated =
		result == PST_AUTH_OK && record->credential.n > 0 &&
		scheme_is_outdated(record->credential, e->c->settings.auth.default_scheme, &cost);
	if (result == PST_AUTH_OK || result == PST_AUTH_DISABLED) {
		tell_credential(e, "password", record->credential);
		tell_credential(e, "app", record->app_credential);
	}
	if (result == PST_AUTH_OK || result == PST_AUTH_WRONG)
		tell_rule(e, backend, "on_wrong");
	if (result == PST_AUTH_TEMP)
		tell_rule(e, backend, "on_temp");
	if (result == PST_AUTH_DISABLED)
		explain_line("", NULL, "reason: %s",
		             record->reason.n > 0 ? explain_text(e, record->reason) : "none given");
}

static void
on_renamed(void *arg, struct pst_str user)
{
	const struct explain *e = arg;

	explain_line("alias", NULL, "stands for %s, who is asked for from here on",
	             explain_text(e, user));
}

void
explain_watch(struct explain *e, struct chain_watch *watch)
{
	*watch = (struct chain_watch){
		.answered = on_answered,
		.arg = e,
		.gave = on_gave,
		.renamed = on_renamed,
	};
}

/* ---- Policies ---- */

void
explain_policy(void *arg, const char *name, bool is_after, enum pst_verdict verdict,
               const struct pst_decision *d)
{
	const struct explain *e = arg;
	const char *place = explain_place(e, "policy.order");
	const char *when = is_after ? "after the check" : "before it";

	if (verdict == PST_PASS)
		explain_line("policy", place, "%s, %s: lets pass", name, when);
	else if (verdict == PST_DELAY)
		explain_line("policy", place, "%s, %s: delays by %" PRId64 " ms", name, when,
		             d->delay_ms);
	else
		explain_line("policy", place, "%s, %s: refuses: \"%s\"", name, when,
		             explain_text(e, (struct pst_str){
						     d->text, strnlen(d->text, sizeof(d->text)) }));
}

/* ---- The record ---- */

void
explain_rehash(const struct explain *e)
{
	static const char *const words[] = {
		[REHASH_OFF] = "stays as it is stored",
		[REHASH_REPORT] = "stays as it is stored; the log says so",
		[REHASH_ON] = "would be stored anew",
	};
	const struct pst_str own = e->answer.record.rehash;
	size_t i = (size_t)e->c->settings.auth.rehash;

	if (!e->is_outdated || e->answer.is_app)
		return;
	if (pst_str_eq(own, PST_LIT("off")))
		i = REHASH_OFF;
	else if (pst_str_eq(own, PST_LIT("report")))
		i = REHASH_REPORT;
	else if (pst_str_eq(own, PST_LIT("on")))
		i = REHASH_ON;
	explain_line("rehash", own.n > 0 ? "the user's record" : explain_place(e, "auth.rehash"),
	             "the password %s", words[i]);
}

bool
explain_terms(const struct explain *e, enum pst_err_kind *kind_out)
{
	const struct pst_auth_record *record = &e->answer.record;
	const struct contract_term *term;
	struct contract_verdict v;
	bool is_met = true;

	for (term = contract_terms; term->name != NULL; term++) {
		if (!term->is_said(record)) {
			explain_line(term->name, NULL, "nothing in the record");
			continue;
		}
		if (term->is_met(record, &e->query, &v)) {
			explain_line(term->name, "the user's record", "is met");
			continue;
		}
		explain_line(term->name, "the user's record", "is NOT met: %s",
		             explain_text(e, pst_str_c(v.why)));
		if (is_met)
			*kind_out = v.kind;
		is_met = false;
	}
	return is_met;
}

static void
tell_number(const char *what, uint64_t value, const char *unit)
{
	if (value > 0)
		explain_line(what, "the user's record", "%" PRIu64 " %s", value, unit);
}

static void
tell_days(const struct explain *e, const char *what, uint32_t said, const char *setting,
          int64_t days)
{
	const char *place = said != 0 ? "the user's record" : explain_place(e, setting);

	if (said != 0)
		days = said == PST_AUTH_NO_DAYS ? 0 : said;
	if (days > 0)
		explain_line(what, place, "%" PRId64 " days", days);
}

void
explain_session(const struct explain *e, bool is_read_only)
{
	const struct pst_auth_record *r = &e->answer.record;

	explain_line("user", r->user.n > 0 ? "the user's record" : NULL, "%s",
	             explain_text(e, e->answer.user.whole));
	explain_line("location",
	             r->location.n > 0 ? "the user's record" : explain_place(e, "mail.location"),
	             "%s", explain_text(e, e->answer.location));
	if (r->uid != 0 || r->gid != 0)
		explain_line("uid:gid", "the user's record", "%u:%u", r->uid, r->gid);
	tell_number("sessions", r->max_sessions, "at the same time");
	tell_number("messages", r->max_listed, "are shown, the oldest");
	tell_number("poll", r->min_poll_ms > 0 ? (uint64_t)r->min_poll_ms : 0,
	            "ms between two logins");
	tell_days(e, "mail stays", r->expire_days, "mail.expire_days",
	          e->c->settings.mail.expire_days);
	tell_days(e, "held", r->hold_days, "mail.hold_days", e->c->settings.mail.hold_days);
	if (is_read_only)
		explain_line("read-only",
		             r->read_only ? "the user's record"
		                          : explain_place(e, "auth.master_read_only"),
		             "DELE is refused");
}
