/* SPDX-License-Identifier: MIT */
/* Base64 without allocation; see base64.h. */
#include "credentials/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Takes the padding off the end; false where it is not what it should be. */
static bool
strip_padding(struct pst_str *text, enum base64_padding padding)
{
	size_t pads = 0;

	while (pads < 2 && pads < text->n && text->p[text->n - 1 - pads] == '=')
		pads++;
	if (pads > 0 && (padding == BASE64_BARE || text->n % 4 != 0))
		return false;
	if (pads == 0 && padding == BASE64_PADDED && text->n % 4 != 0)
		return false;
	text->n -= pads;
	return text->n % 4 != 1;
}

bool
base64_decode(struct pst_str text, enum base64_padding padding, uint8_t *out, size_t cap,
              size_t *n_out)
{
	uint32_t bits = 0;
	unsigned held = 0; /* bits of the number above that are not out yet, below 8 */
	size_t n = 0;
	size_t i;

	if (!strip_padding(&text, padding) || text.n / 4 * 3 + text.n % 4 * 3 / 4 > cap)
		return false;
	for (i = 0; i < text.n; i++) {
		int value = value_of(text.p[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (uint8_t)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	*n_out = n;
	return bits == 0;
}

size_t
base64_encode(const void *data, size_t n, enum base64_padding padding, char *out)
{
	const uint8_t *p = data;
	size_t len = 0;
	size_t i;

	for (i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)p[i] << 16;
		size_t have = n - i < 3 ? n - i : 3;
		size_t k;

		if (have > 1)
			three |= (uint32_t)p[i + 1] << 8;
		if (have > 2)
			three |= p[i + 2];
		for (k = 0; k < 4; k++) {
			if (k <= have)
				out[len++] = alphabet[three >> (18 - 6 * k) & 63];
			else if (padding == BASE64_PADDED)
				out[len++] = '=';
		}
	}
	return len;
}
