/* SPDX-License-Identifier: MIT */
/* Hexadecimal digits; see hex.h. */
#include "credentials/hex.h"

static int
value_of(char c)
{
	if (pst_is_digit(c))
		return c - '0';
	c = pst_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hex_decode(struct pst_str text, uint8_t *out, size_t cap, size_t *n_out)
{
	size_t i;

	if (text.n % 2 != 0 || text.n / 2 > cap)
		return false;
	for (i = 0; i < text.n / 2; i++) {
		const int high = value_of(text.p[2 * i]);
		const int low = value_of(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	*n_out = text.n / 2;
	return true;
}

size_t
hex_encode(const uint8_t *data, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	return 2 * n;
}
