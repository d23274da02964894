/* SPDX-License-Identifier: MIT */
/* The table of mechanisms; see mechanism.h. */
#include "credentials/mechanism.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/table.h"
#include "credentials/username.h"

#define BOUND (MECH_NEEDS_TLS | MECH_NEEDS_BINDING)

const struct mechanism mechanisms[MECH_COUNT] = {
	[MECH_USER] = { "USER", MECH_COMMAND, MECH_BY_PASSWORD, 0 },
	[MECH_APOP] = { "APOP", MECH_COMMAND, MECH_BY_DIGEST, 0 },
	[MECH_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", MECH_RESPONSE, MECH_BY_SCRAM, BOUND },
	[MECH_SCRAM_SHA_1_PLUS] = { "SCRAM-SHA-1-PLUS", MECH_RESPONSE, MECH_BY_SCRAM, BOUND },
	[MECH_SCRAM_SHA_256] = { "SCRAM-SHA-256", MECH_RESPONSE, MECH_BY_SCRAM, 0 },
	[MECH_SCRAM_SHA_1] = { "SCRAM-SHA-1", MECH_RESPONSE, MECH_BY_SCRAM, 0 },
	[MECH_EXTERNAL] = { "EXTERNAL", MECH_RESPONSE, MECH_BY_CERTIFICATE,
	                    MECH_NEEDS_TLS | MECH_NEEDS_CERTIFICATE },
	[MECH_OAUTHBEARER] = { "OAUTHBEARER", MECH_RESPONSE, MECH_BY_TOKEN, MECH_NEEDS_TLS },
	[MECH_XOAUTH2] = { "XOAUTH2", MECH_RESPONSE, MECH_BY_TOKEN, MECH_NEEDS_TLS },
	[MECH_CRAM_MD5] = { "CRAM-MD5", MECH_CHALLENGE, MECH_BY_DIGEST, 0 },
	[MECH_PLAIN] = { "PLAIN", MECH_MESSAGE, MECH_BY_PASSWORD, 0 },
	[MECH_LOGIN] = { "LOGIN", MECH_QUESTIONS, MECH_BY_PASSWORD, 0 },
	[MECH_ANONYMOUS] = { "ANONYMOUS", MECH_RESPONSE, MECH_BY_NOTHING, MECH_NEEDS_GUEST },
};

enum mechanism_id
mechanism_find(struct pst_str name)
{
	unsigned id;

	for (id = 0; id < MECH_COUNT; id++)
		if (pst_str_ieq(name, pst_str_c(mechanisms[id].name)))
			break;
	return (enum mechanism_id)id;
}

uint32_t
mechanism_set(const char *list)
{
	struct pst_str word;
	uint32_t set = 0;

	while (settings_next_word(&list, &word)) {
		enum mechanism_id id = mechanism_find(word);

		if (id != MECH_COUNT)
			set |= MECH_BIT(id);
	}
	return set;
}

static unsigned
has(const struct mechanism_facts *f)
{
	return (f->tls ? MECH_NEEDS_TLS : 0) | (f->has_binding ? MECH_NEEDS_BINDING : 0) |
	       (f->has_certificate ? MECH_NEEDS_CERTIFICATE : 0) |
	       (f->has_guest ? MECH_NEEDS_GUEST : 0);
}

uint32_t
mechanism_offer(uint32_t enabled, const struct mechanism_facts *facts)
{
	const unsigned lacks = ~has(facts);
	uint32_t offered = 0;
	unsigned id;

	if (!facts->tls && !facts->plaintext_login)
		return 0;
	for (id = 0; id < MECH_COUNT; id++)
		if ((mechanisms[id].needs & lacks) == 0)
			offered |= MECH_BIT(id);
	return offered & enabled;
}

void
mechanism_list(uint32_t offered, char out[MECH_LIST_MAX])
{
	size_t n = 0;
	unsigned id;

	out[0] = '\0';
	for (id = 0; id < MECH_COUNT; id++) {
		if ((offered & MECH_BIT(id)) == 0 || mechanisms[id].start == MECH_COMMAND)
			continue;
		n += (size_t)snprintf(out + n, MECH_LIST_MAX - n, "%s%s", n > 0 ? " " : "",
		                      mechanisms[id].name);
		pst_assert(n < MECH_LIST_MAX);
	}
}

/* ---- Guests ---- */

static bool
is_host_of(struct pst_str host, struct pst_str domain)
{
	struct pst_str end;

	if (domain.n == 0 || host.n < domain.n)
		return false;
	end = (struct pst_str){ host.p + host.n - domain.n, domain.n };
	return pst_str_ieq(end, domain) &&
	       (host.n == domain.n || host.p[host.n - domain.n - 1] == '.');
}

struct pst_str
mechanism_guest(const struct auth_settings *auth, struct pst_str sni)
{
	const struct pst_str default_domain = pst_str_c(auth->default_domain);
	struct pst_str guest = PST_LIT("");
	const char *list = auth->anonymous;
	struct pst_str word;

	while (settings_next_word(&list, &word)) {
		const char *at = memrchr(word.p, '@', word.n);
		struct pst_str domain = default_domain;

		if (at != NULL)
			domain = (struct pst_str){ at + 1, (size_t)(word.p + word.n - at) - 1 };
		if (is_host_of(sni, domain))
			return word;
		if (guest.n == 0 && default_domain.n > 0 && pst_str_ieq(domain, default_domain))
			guest = word;
	}
	return guest;
}

/* ---- config check ---- */

/* A problem with the setting at path, with its place if it is in the file. */
static void
complain(const struct conf_texts *t, struct conf_problems *p, const char *path, const char *what)
{
	const struct conf_text *text = conf_texts_get(t, path);

	conf_problems_add(p, text != NULL ? text->file : NULL, text != NULL ? text->line : 0,
	                  "%s: %s", path, what);
}

static void
complain_unknown(const struct conf_texts *t, struct conf_problems *p, struct pst_str word)
{
	const char *names[MECH_COUNT];
	const char *near;
	unsigned id;

	for (id = 0; id < MECH_COUNT; id++)
		names[id] = mechanisms[id].name;
	near = conf_nearest(names, MECH_COUNT, pst_arena_copy(t->arena, word));
	complain(t, p, "auth.mechanisms",
	         pst_arena_printf(t->arena, "\"%.*s\" is no mechanism%s%s%s", PST_ARG(word),
	                          near != NULL ? "; did you mean " : "", near != NULL ? near : "",
	                          near != NULL ? "?" : ""));
}

static void
check_guests(const struct settings *s, const struct conf_texts *t, struct conf_problems *p)
{
	const char *list = s->auth.anonymous;
	struct pst_str word;

	while (settings_next_word(&list, &word)) {
		struct username user;
		struct pst_err err;

		if (username_fold(word, s->auth.default_domain, &user, &err) != 0 ||
		    user.domain.n == 0)
			complain(
				t, p, "auth.anonymous",
				pst_arena_printf(t->arena,
			                         "\"%.*s\" is not the name of a user with a domain",
			                         PST_ARG(word)));
	}
}

void
mechanism_check_settings(const struct settings *settings, const struct conf_texts *t,
                         struct conf_problems *problems)
{
	const uint32_t set = mechanism_set(settings->auth.mechanisms);
	const char *list = settings->auth.mechanisms;
	struct pst_str word;

	while (settings_next_word(&list, &word))
		if (mechanism_find(word) == MECH_COUNT)
			complain_unknown(t, problems, word);
	if (settings->auth.mechanisms[strspn(settings->auth.mechanisms, " \t\r\n")] == '\0')
		complain(t, problems, "auth.mechanisms", "names none: nobody could log in");
	if ((set & MECH_BIT(MECH_EXTERNAL)) != 0 && settings->tls.client_ca[0] == '\0')
		complain(t, problems, "auth.mechanisms",
		         "EXTERNAL needs tls.client_ca, which clients' certificates are checked "
		         "with");
	if ((set & MECH_BIT(MECH_ANONYMOUS)) != 0 &&
	    settings->auth.anonymous[strspn(settings->auth.anonymous, " \t\r\n")] == '\0')
		complain(t, problems, "auth.mechanisms",
		         "ANONYMOUS needs auth.anonymous: who anonymous clients are");
	check_guests(settings, t, problems);
}
