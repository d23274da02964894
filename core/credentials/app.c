/* SPDX-License-Identifier: MIT */
/* The form of an app password; see app.h. */
#include "credentials/app.h"

static size_t
group_octets(struct pst_str s)
{
	size_t n = 0;

	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || pst_is_digit(s.p[n])))
		n++;
	return n;
}

struct pst_str
app_prefix(struct pst_str password)
{
	struct pst_str s = password;
	struct pst_str prefix = { "", 0 };
	size_t i;

	for (i = 0; i < APP_GROUPS; i++) {
		const size_t n = group_octets(s);

		if (n < APP_GROUP_MIN || n > APP_GROUP_MAX)
			return PST_LIT("");
		if (i == 0)
			prefix = (struct pst_str){ s.p, n };
		s = (struct pst_str){ s.p + n, s.n - n };
		if (i + 1 == APP_GROUPS)
			break;
		if (s.n == 0 || s.p[0] != '-')
			return PST_LIT("");
		s = (struct pst_str){ s.p + 1, s.n - 1 };
	}
	return s.n == 0 ? prefix : PST_LIT("");
}
