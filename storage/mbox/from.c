/* SPDX-License-Identifier: MIT */
/* From_ lines; see parse.h. */
#include <string.h>

#include <postern/attr.h>

#include "storage/mbox/parse.h"

#define WORDS 24 /* of a line's end: the date is among them */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_one_of(struct pst_str word, const char *names)
{
	size_t i;

	if (word.n != 3)
		return false;
	for (i = 0; names[i] != '\0'; i += 3)
		if (pst_str_ieq(word, (struct pst_str){ names + i, 3 }))
			return true;
	return false;
}

static bool
is_weekday(struct pst_str word)
{
	if (word.n == 4 && word.p[3] == ',')
		word.n--;
	return is_one_of(word, "MonTueWedThuFriSatSun");
}

static bool
is_month(struct pst_str word)
{
	return is_one_of(word, "JanFebMarAprMayJunJulAugSepOctNovDec");
}

static bool
is_number(struct pst_str word, size_t least, size_t most)
{
	size_t i;

	for (i = 0; i < word.n; i++)
		if (!pst_is_digit(word.p[i]))
			return false;
	return word.n >= least && word.n <= most;
}

static bool
is_year(struct pst_str word)
{
	return is_number(word, 4, 4) && (word.p[0] == '1' || word.p[0] == '2');
}

/* hh:mm or hh:mm:ss; one digit of the hour will do. */
static bool
is_time(struct pst_str word)
{
	size_t parts = 0, at = 0;

	while (parts < 3) {
		size_t end = at;

		while (end < word.n && word.p[end] != ':')
			end++;
		if (!is_number((struct pst_str){ word.p + at, end - at }, parts == 0 ? 1 : 2, 2))
			return false;
		parts++;
		at = end + 1;
		if (end == word.n)
			return parts >= 2;
	}
	return false;
}

/* From the weekday on: "Thu Nov  9 22:06[:57] [ZONE…] 2023", or "Thu, 9 Nov 2023 22:06[:57]". A zone is
 * one or two words ("MET DST"). */
static bool
is_date(const struct pst_str *w, size_t n)
{
	size_t i;

	if (n < 5 || !is_weekday(w[0]))
		return false;
	if (is_number(w[1], 1, 2) && is_month(w[2]))
		return is_year(w[3]) && is_time(w[4]);
	if (!is_month(w[1]) || !is_number(w[2], 1, 2) || !is_time(w[3]))
		return false;
	for (i = 4; i < n && i < 7; i++)
		if (is_year(w[i]))
			return true;
	return false;
}

static size_t
split(struct pst_str line, struct pst_str *words)
{
	size_t n = 0, at = 0;

	while (at < line.n) {
		size_t end;

		while (at < line.n && is_space(line.p[at]))
			at++;
		end = at;
		while (end < line.n && !is_space(line.p[end]))
			end++;
		if (end == at)
			break;
		if (n == WORDS) { /* a sender of many words: the last ones matter */
			memmove(words, words + 1, (WORDS - 1) * sizeof(*words));
			n--;
		}
		words[n++] = (struct pst_str){ line.p + at, end - at };
		at = end;
	}
	return n;
}

/* The words of a From_ line after "From ", up to its end; *date_out: the one that its date begins with.
 * 0: it is none. */
static size_t
split_from(struct pst_str s, struct pst_str words[WORDS], size_t *date_out, size_t *octets_out)
{
	struct pst_str line;
	const char *end;
	size_t n, i;

	if (s.n < 5 || memcmp(s.p, "From ", 5) != 0)
		return 0;
	end = memchr(s.p, '\n', s.n < MBOX_FROM_MAX ? s.n : MBOX_FROM_MAX);
	if (end == NULL)
		return 0;
	line = (struct pst_str){ s.p + 5, (size_t)(end - s.p) - 5 };
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	n = split(line, words);
	*octets_out = (size_t)(end - s.p) + 1;
	for (i = 0; i + 5 <= n; i++)
		if (is_date(words + i, n - i)) {
			*date_out = i;
			return n;
		}
	return 0;
}

size_t
mbox_from_line(struct pst_str s)
{
	PST_UNINITIALIZED struct pst_str words[WORDS];
	size_t date, octets;

	return split_from(s, words, &date, &octets) > 0 ? octets : 0;
}

/* Digits only, at most four of them: seen to by is_date. */
static int64_t
number(struct pst_str word)
{
	uint64_t n = 0;

	(void)pst_str_u64(word, &n);
	return (int64_t)n;
}

static int64_t
month_of(struct pst_str word)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t i;

	for (i = 0; i < 11; i++)
		if (pst_str_ieq(word, (struct pst_str){ names + 3 * i, 3 }))
			break;
	return i + 1;
}

/* Days since 1970 of a day of the Gregorian calendar. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t
seconds_of(struct pst_str time)
{
	int64_t parts[3] = { 0, 0, 0 };
	size_t part = 0, i;

	for (i = 0; i < time.n; i++)
		if (time.p[i] == ':')
			part++;
		else
			parts[part] = parts[part] * 10 + (time.p[i] - '0');
	return parts[0] * 3600 + parts[1] * 60 + parts[2];
}

/* "+0130" among the words: so many seconds east; 0 where there is none. */
static int64_t
zone_of(const struct pst_str *w, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct pst_str digits = { w[i].p + 1, w[i].n - 1 };
		int64_t hhmm, s;

		if (w[i].n != 5 || (w[i].p[0] != '+' && w[i].p[0] != '-') ||
		    !is_number(digits, 4, 4))
			continue;
		hhmm = number(digits);
		s = hhmm / 100 * 3600 + hhmm % 100 * 60;
		return w[i].p[0] == '+' ? s : -s;
	}
	return 0;
}

void
mbox_from_parts(struct pst_str s, struct pst_str *sender_out, int64_t *when_s_out)
{
	struct pst_str words[WORDS];
	size_t date = 0, octets, n = split_from(s, words, &date, &octets), year;
	const struct pst_str *w = words + date;
	bool is_rfc822;

	*sender_out = (struct pst_str){ "", 0 };
	*when_s_out = 0;
	if (n == 0)
		return;
	if (date > 0)
		*sender_out =
			(struct pst_str){ words[0].p, (size_t)(words[date - 1].p - words[0].p) +
			                                      words[date - 1].n };
	is_rfc822 = is_number(w[1], 1, 2);
	for (year = is_rfc822 ? 3 : 4; !is_year(w[year]);) /* is_date has found one */
		year++;
	*when_s_out = days_of(number(w[year]), month_of(w[is_rfc822 ? 2 : 1]),
	                      number(w[is_rfc822 ? 1 : 2])) *
	                      86400 +
	              seconds_of(w[is_rfc822 ? 4 : 3]) - zone_of(w, n - date);
}
