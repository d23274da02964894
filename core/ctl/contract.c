/* SPDX-License-Identifier: MIT */
/* The options of an account; see contract.h. Their values are read as settings are. */
#include "ctl/contract.h"

#include "base/nets.h"
#include "config/table.h"

/* One value of any kind, on its way. */
struct value {
	int64_t number;
	const char *text;
};

static int
put_home(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	if (v->text[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "\"%s\" does not begin with /", v->text);
	user->home = pst_str_c(v->text);
	return 0;
}

static int
put_nets(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	const struct pst_ip none = { .is_local = true };
	struct pst_str bad;

	user->allow_nets = pst_str_c(v->text);
	if (pst_nets_match(user->allow_nets, &none, &bad) == PST_NETS_BAD)
		return pst_err_set(err, PST_E_CLIENT, "\"%.*s\" is no address and no network",
		                   PST_ARG(bad));
	return 0;
}

static int
put_sessions(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->max_sessions = (uint32_t)v->number; /* bounded by the table, as all below */
	return 0;
}

static int
put_listed(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->max_listed = (uint32_t)v->number;
	return 0;
}

/* 0 is an answer too. */
static uint32_t
days_of(const struct value *v)
{
	return v->number == 0 ? PST_AUTH_NO_DAYS : (uint32_t)v->number;
}

static int
put_expire(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->expire_days = days_of(v);
	return 0;
}

static int
put_hold(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->hold_days = days_of(v);
	return 0;
}

static int
put_poll(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	if (v->number % 1000 != 0)
		return pst_err_set(err, PST_E_CLIENT, "it is whole seconds");
	user->min_poll_ms = v->number;
	return 0;
}

static int
put_tls(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	static const uint32_t versions[] = { 10, 12, 13 };

	(void)err;
	user->min_tls = versions[v->number];
	return 0;
}

static int
put_rehash(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	static const char *const words[] = { "off", "report", "on" };

	(void)err;
	user->rehash = pst_str_c(words[v->number]);
	return 0;
}

static int
put_read_only(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->read_only = v->number != 0 ? PST_AUTH_YES : PST_AUTH_NO;
	return 0;
}

static int
put_pop3(const struct value *v, struct pst_auth_user *user, struct pst_err *err)
{
	(void)err;
	user->pop3_enabled = v->number != 0 ? PST_AUTH_YES : PST_AUTH_NO;
	return 0;
}

static const struct option_row {
	struct pst_conf_key key;
	enum pst_auth_field field;
	int (*put)(const struct value *v, struct pst_auth_user *user, struct pst_err *err);
} rows[] = {
	{ { "home", PST_CONF_TEXT(struct value, text), NULL, 1, 4000, "octets", "" },
	  PST_AUTH_FIELD_HOME,
	  put_home },
	{ { "allow-nets", PST_CONF_TEXT(struct value, text), NULL, 1, 4000, "octets", "" },
	  PST_AUTH_FIELD_ALLOW_NETS,
	  put_nets },
	{ { "max-sessions", PST_CONF_INT(struct value, number), NULL, 1, 1000000, "sessions", "" },
	  PST_AUTH_FIELD_MAX_SESSIONS,
	  put_sessions },
	{ { "min-poll", PST_CONF_TIME(struct value, number), NULL, 1000, 604800000, "", "" },
	  PST_AUTH_FIELD_MIN_POLL,
	  put_poll },
	{ { "max-listed", PST_CONF_INT(struct value, number), NULL, 1, INT32_MAX, "messages", "" },
	  PST_AUTH_FIELD_MAX_LISTED,
	  put_listed },
	{ { "min-tls", PST_CONF_CHOICE(struct value, number), NULL, 0, 0, "any|1.2|1.3", "" },
	  PST_AUTH_FIELD_MIN_TLS,
	  put_tls },
	{ { "rehash", PST_CONF_CHOICE(struct value, number), NULL, 0, 0, "off|report|on", "" },
	  PST_AUTH_FIELD_REHASH,
	  put_rehash },
	{ { "read-only", PST_CONF_CHOICE(struct value, number), NULL, 0, 0, "no|yes", "" },
	  PST_AUTH_FIELD_READ_ONLY,
	  put_read_only },
	{ { "expire-days", PST_CONF_INT(struct value, number), NULL, 0, 36500, "days", "" },
	  PST_AUTH_FIELD_EXPIRE_DAYS,
	  put_expire },
	{ { "hold-days", PST_CONF_INT(struct value, number), NULL, 0, 36500, "days", "" },
	  PST_AUTH_FIELD_HOLD_DAYS,
	  put_hold },
	{ { "pop3", PST_CONF_CHOICE(struct value, number), NULL, 0, 0, "no|yes", "" },
	  PST_AUTH_FIELD_POP3_ENABLED,
	  put_pop3 },
};

/* Those that are no rows, as the command itself reads them. */
static const struct {
	const char *name;
	enum pst_auth_field field;
} others[] = {
	{ "maildrop", PST_AUTH_FIELD_LOCATION },
	{ "uid", PST_AUTH_FIELD_UID },
	{ "gid", PST_AUTH_FIELD_GID },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

size_t
ctl_contract_options(struct option *out, size_t max)
{
	size_t i;

	for (i = 0; i < ROWS && i < max; i++)
		out[i] = (struct option){ rows[i].key.key, required_argument, NULL,
			                  CONTRACT_ID + (int)i };
	return i;
}

uint32_t
ctl_contract_take(int id, const char *value, struct pst_auth_user *user, struct pst_arena *arena,
                  struct pst_err *err)
{
	const struct option_row *row = &rows[id - CONTRACT_ID];
	struct value v = { 0, "" };
	struct pst_err why;

	if (conf_value_parse(&row->key, pst_str_c(value), arena, &v, &why) == 0 &&
	    row->put(&v, user, &why) == 0)
		return (uint32_t)row->field;
	(void)pst_err_set(err, PST_E_CLIENT, "--%s: %.160s", row->key.key, why.text);
	return 0;
}

uint32_t
ctl_contract_field(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(rows[i].key.key, name) == 0)
			return (uint32_t)rows[i].field;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i].name, name) == 0)
			return (uint32_t)others[i].field;
	return 0;
}
