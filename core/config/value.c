/* SPDX-License-Identifier: MIT */
/* One value: from text to the struct's member by its row, and back; see table.h and value.h. */
#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "config/table.h"

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Descending: the first that divides a number is the one it is written with. */
static const struct unit size_units[] = {
	{ "T", (int64_t)1 << 40 }, { "G", 1 << 30 }, { "M", 1 << 20 },
	{ "K", 1 << 10 },          { "", 1 },        { NULL, 0 },
};

static const struct unit time_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
	{ "s", 1000 },     { "ms", 1 },      { NULL, 0 },
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *
units_of(enum pst_conf_type type)
{
	if (type == PST_CONF_T_SIZE)
		return size_units;
	return type == PST_CONF_T_TIME ? time_units : no_units;
}

bool
conf_is_string(enum pst_conf_type type)
{
	return type == PST_CONF_T_TEXT || type == PST_CONF_T_SECRET ||
	       type == PST_CONF_T_READ_PATH || type == PST_CONF_T_WRITE_PATH;
}

void
conf_number_text(enum pst_conf_type type, int64_t v, char out[CONF_NUMBER_TEXT])
{
	const struct unit *u = units_of(type);

	if (v == 0) {
		(void)snprintf(out, CONF_NUMBER_TEXT, "0");
		return;
	}
	while (v % u->factor != 0)
		u++;
	(void)snprintf(out, CONF_NUMBER_TEXT, "%" PRId64 "%s", v / u->factor, u->suffix);
}

static bool
is_bounded(const struct pst_conf_key *key)
{
	return key->min != 0 || key->max != 0;
}

void
conf_bounds_text(const struct pst_conf_key *key, char out[64])
{
	/* Of a text, the bounds count octets. */
	const enum pst_conf_type type = conf_is_string(key->type) ? PST_CONF_T_INT : key->type;
	char min[CONF_NUMBER_TEXT], max[CONF_NUMBER_TEXT];

	out[0] = '\0';
	if (!is_bounded(key) || type == PST_CONF_T_BOOL || type == PST_CONF_T_CHOICE)
		return;
	conf_number_text(type, key->min, min);
	conf_number_text(type, key->max, max);
	if (key->max == INT64_MAX)
		(void)snprintf(out, 64, "at least %s", min);
	else
		(void)snprintf(out, 64, "%s to %s", min, max);
}

int64_t
conf_choice_place(const char *choices, struct pst_str word)
{
	int64_t place = 0;
	const char *p = choices;

	for (;;) {
		size_t n = strcspn(p, "|");

		if (pst_str_eq((struct pst_str){ p, n }, word))
			return place;
		if (p[n] == '\0')
			return -1;
		p += n + 1;
		place++;
	}
}

/* What each type asks for, for the error. */
static int
refuse(const struct pst_conf_key *key, struct pst_str text, struct pst_err *err)
{
	static const char *const wanted[] = {
		[PST_CONF_T_INT] = "a whole number",
		[PST_CONF_T_SIZE] = "a size: octets, or a number with K, M, G or T, as in \"10M\"",
		[PST_CONF_T_TIME] = "a time: a number with ms, s, m, h or d, as in \"30s\"",
		[PST_CONF_T_BOOL] = "true or false",
	};

	return pst_err_set(err, PST_E_CLIENT, "\"%.*s\" is not %s", text.n > 60 ? 60 : (int)text.n,
	                   text.p, wanted[key->type]);
}

static int
refuse_bounds(const struct pst_conf_key *key, struct pst_str text, struct pst_err *err)
{
	char bounds[64];

	conf_bounds_text(key, bounds);
	return pst_err_set(err, PST_E_CLIENT, "\"%.*s\" is out of bounds: %s",
	                   text.n > 60 ? 60 : (int)text.n, text.p, bounds);
}

static int
parse_number(const struct pst_conf_key *key, struct pst_str text, int64_t *out, struct pst_err *err)
{
	const bool negative = text.n > 0 && text.p[0] == '-';
	struct pst_str digits = { text.p + negative, text.n - negative };
	struct pst_str suffix;
	const struct unit *u;
	uint64_t magnitude;
	int64_t v;

	for (suffix = digits; suffix.n > 0 && pst_is_digit(suffix.p[0]); suffix.n--)
		suffix.p++;
	digits.n -= suffix.n;
	if (!pst_str_u64(digits, &magnitude) || magnitude > INT64_MAX)
		return refuse(key, text, err);
	for (u = units_of(key->type); u->suffix != NULL; u++)
		if (pst_str_ieq(pst_str_c(u->suffix), suffix))
			break;
	/* Zero needs no unit: it is the same in all of them. */
	if (u->suffix == NULL && !(suffix.n == 0 && magnitude == 0))
		return refuse(key, text, err);
	v = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	if (u->suffix != NULL && __builtin_mul_overflow(v, u->factor, &v))
		return refuse_bounds(key, text, err);
	if (is_bounded(key) ? v < key->min || v > key->max : v < 0 && key->type != PST_CONF_T_INT)
		return is_bounded(key) ? refuse_bounds(key, text, err) : refuse(key, text, err);
	*out = v;
	return 0;
}

static int
parse_bool(const struct pst_conf_key *key, struct pst_str text, bool *out, struct pst_err *err)
{
	*out = pst_str_ieq(text, PST_LIT("true")) || pst_str_ieq(text, PST_LIT("yes"));
	if (*out || pst_str_ieq(text, PST_LIT("false")) || pst_str_ieq(text, PST_LIT("no")))
		return 0;
	return refuse(key, text, err);
}

static int
parse_choice(const struct pst_conf_key *key, struct pst_str text, int64_t *out, struct pst_err *err)
{
	int64_t place = conf_choice_place(key->unit, text);

	if (place < 0)
		return pst_err_set(err, PST_E_CLIENT, "\"%.*s\" is not one of %s",
		                   text.n > 60 ? 60 : (int)text.n, text.p, key->unit);
	*out = place;
	return 0;
}

/* Line ends and tabs are for long texts, such as queries. */
static bool
has_control(struct pst_str text)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

/* Never says what the text is: it may be a secret. */
static int
parse_text(const struct pst_conf_key *key, struct pst_str text, struct pst_arena *arena,
           const char **out, struct pst_err *err)
{
	const bool is_path =
		key->type == PST_CONF_T_READ_PATH || key->type == PST_CONF_T_WRITE_PATH;

	if (has_control(text))
		return pst_err_set(err, PST_E_CLIENT, "the text holds a control character");
	if (is_bounded(key) && ((int64_t)text.n < key->min || (int64_t)text.n > key->max))
		return pst_err_set(err, PST_E_CLIENT,
		                   "the text has %zu octets; %" PRId64 " to %" PRId64
		                   " are allowed",
		                   text.n, key->min, key->max);
	if (is_path && text.n > 0 && text.p[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "\"%.*s\" is not an absolute path",
		                   text.n > 60 ? 60 : (int)text.n, text.p);
	*out = pst_arena_copy(arena, text);
	return 0;
}

int
conf_value_parse(const struct pst_conf_key *key, struct pst_str text, struct pst_arena *arena,
                 void *base, struct pst_err *err)
{
	void *at = (char *)base + key->offset;

	switch (key->type) {
	case PST_CONF_T_INT:
	case PST_CONF_T_SIZE:
	case PST_CONF_T_TIME:
		return parse_number(key, text, at, err);
	case PST_CONF_T_BOOL:
		return parse_bool(key, text, at, err);
	case PST_CONF_T_CHOICE:
		return parse_choice(key, text, at, err);
	case PST_CONF_T_TEXT:
	case PST_CONF_T_READ_PATH:
	case PST_CONF_T_WRITE_PATH:
	case PST_CONF_T_SECRET:
		return parse_text(key, text, arena, at, err);
	}
	return pst_err_set(err, PST_E_CLIENT, "a setting of unknown type");
}
