/* SPDX-License-Identifier: MIT */
/* Times as people write them; see when.h. */
#include "base/when.h"

#include <string.h>
#include <time.h>

#define YEARS_MAX 9999

/* n digits at the front of *s. */
static bool
take_digits(struct pst_str *s, size_t n, int *out)
{
	uint64_t num;

	if (s->n < n || !pst_str_u64((struct pst_str){ s->p, n }, &num))
		return false;
	*out = (int)num; /* of four digits at most */
	*s = (struct pst_str){ s->p + n, s->n - n };
	return true;
}

static bool
take_char(struct pst_str *s, const char *any_of)
{
	if (s->n == 0 || *s->p == '\0' || strchr(any_of, *s->p) == NULL)
		return false;
	*s = (struct pst_str){ s->p + 1, s->n - 1 };
	return true;
}

/* "Z", "+01:00"; nothing: the local time. */
static bool
take_zone(struct pst_str s, bool *is_local, int *offset_s)
{
	bool is_west = s.n > 0 && *s.p == '-';
	int hours, minutes;

	*is_local = s.n == 0;
	*offset_s = 0;
	if (s.n == 0 || (s.n == 1 && take_char(&s, "Zz")))
		return true;
	if (!take_char(&s, "+-") || !take_digits(&s, 2, &hours) || !take_char(&s, ":") ||
	    !take_digits(&s, 2, &minutes) || s.n > 0 || hours > 23 || minutes > 59)
		return false;
	*offset_s = (hours * 60 + minutes) * 60 * (is_west ? -1 : 1);
	return true;
}

/* mktime and timegm take 30 February for 2 March. */
static bool
make_time(const struct tm *want, bool is_local, int64_t *out)
{
	struct tm tm = *want;
	time_t t;

	tm.tm_isdst = -1;
	t = is_local ? mktime(&tm) : timegm(&tm);
	*out = t;
	return tm.tm_mon == want->tm_mon && tm.tm_mday == want->tm_mday &&
	       tm.tm_year == want->tm_year;
}

static bool
read_date(struct pst_str s, int64_t *out)
{
	struct tm tm = { .tm_sec = 0 };
	int offset_s = 0;
	bool is_local = true;

	if (!take_digits(&s, 4, &tm.tm_year) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mon) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (s.n > 0) {
		if (!take_char(&s, "Tt ") || !take_digits(&s, 2, &tm.tm_hour) ||
		    !take_char(&s, ":") || !take_digits(&s, 2, &tm.tm_min))
			return false;
		if (take_char(&s, ":") && !take_digits(&s, 2, &tm.tm_sec))
			return false;
		if (take_char(&s, "."))
			while (take_char(&s, "0123456789"))
				;
		if (!take_zone(s, &is_local, &offset_s))
			return false;
	}
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || !make_time(&tm, is_local, out))
		return false;
	*out -= offset_s;
	return true;
}

static bool
read_midnight(int64_t now_s, int days_ago, int64_t *out)
{
	time_t now = (time_t)now_s;
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL)
		return false;
	tm.tm_sec = tm.tm_min = tm.tm_hour = 0;
	tm.tm_mday -= days_ago;
	tm.tm_isdst = -1;
	*out = mktime(&tm);
	return true;
}

static bool
read_age(struct pst_str s, int64_t now_s, int64_t *out)
{
	static const struct {
		const char *one, *many;
		int64_t seconds;
	} units[] = {
		{ "second", "seconds", 1 }, { "minute", "minutes", 60 }, { "hour", "hours", 3600 },
		{ "day", "days", 86400 },   { "week", "weeks", 604800 },
	};
	static const struct pst_str ago = { " ago", 4 };
	struct pst_str digits = { s.p, 0 };
	uint64_t num;
	size_t i;

	if (s.n > ago.n && memcmp(s.p + s.n - ago.n, ago.p, ago.n) == 0)
		s.n -= ago.n;
	while (digits.n < s.n && pst_is_digit(s.p[digits.n]))
		digits.n++;
	s = (struct pst_str){ s.p + digits.n, s.n - digits.n };
	(void)take_char(&s, " ");
	if (!pst_str_u64(digits, &num))
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!pst_str_ieq(s, pst_str_c(units[i].one)) &&
		    !pst_str_ieq(s, pst_str_c(units[i].many)))
			continue;
		if (num > (uint64_t)YEARS_MAX * 366 * 86400 / (uint64_t)units[i].seconds)
			return false;
		*out = now_s - (int64_t)num * units[i].seconds;
		return true;
	}
	return false;
}

bool
pst_when(struct pst_str s, int64_t now_s, int64_t *at_s_out)
{
	if (pst_str_ieq(s, PST_LIT("now"))) {
		*at_s_out = now_s;
		return true;
	}
	if (pst_str_ieq(s, PST_LIT("today")))
		return read_midnight(now_s, 0, at_s_out);
	if (pst_str_ieq(s, PST_LIT("yesterday")))
		return read_midnight(now_s, 1, at_s_out);
	return read_date(s, at_s_out) || read_age(s, now_s, at_s_out);
}
