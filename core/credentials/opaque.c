/* SPDX-License-Identifier: MIT */
/* RFC 8265, section 4.2: OpaqueString, by libunistring's tables. Everything happens in memory of ours,
 * which is wiped: library calls that allocate would leave copies behind. */
#include "credentials/opaque.h"

#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* What RFC 8264, section 8, disallows in the FreeformClass: section 9 says it in this order, and
 * what stands first counts. The conjoining letters of Hangul pass here, which the RFC would not have: it
 * is how some systems send syllables, and they are composed in the end. */
static bool
is_disallowed(ucs4_t c)
{
	static const ucs4_t exceptions[] = { 0x0640, 0x07fa, 0x302e, 0x302f, 0x3031, 0x3032,
		                             0x3033, 0x3034, 0x3035, 0x303b, 0 };
	size_t i;

	for (i = 0; exceptions[i] != 0; i++)
		if (c == exceptions[i])
			return true;
	if (uc_is_general_category(c, UC_UNASSIGNED) || uc_is_general_category(c, UC_CONTROL) ||
	    uc_is_general_category(c, UC_SURROGATE) || uc_is_general_category(c, UC_PRIVATE_USE))
		return true;
	return uc_is_property_default_ignorable_code_point(c) ||
	       uc_is_property_not_a_character(c) || uc_is_property_join_control(c) ||
	       uc_is_property_line_separator(c) || uc_is_property_paragraph_separator(c);
}

static bool
is_ascii(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7e)
			return false;
	return true;
}

/* With every space the same; false where a character is not allowed. */
static bool
map_spaces(struct pst_str s, struct opaque *o)
{
	uint8_t *out = (uint8_t *)o->text.p;
	const uint8_t *p = (const uint8_t *)s.p;
	size_t left = s.n;

	while (left > 0) {
		int step, wrote;
		ucs4_t c;

		step = u8_mbtoucr(&c, p, left);
		if (step <= 0 || is_disallowed(c))
			return false;
		if (uc_is_general_category(c, UC_SPACE_SEPARATOR))
			c = ' ';
		wrote = u8_uctomb(out + o->text.n, c, (ptrdiff_t)(sizeof(o->text.p) - o->text.n));
		if (wrote <= 0)
			return false;
		o->text.n += (size_t)wrote;
		p += step;
		left -= (size_t)step;
	}
	return true;
}

/* In place of what o holds; false where it would be too long. */
static bool
compose(struct opaque *o)
{
	uint8_t room[PST_SECRET_MAX];
	size_t n = sizeof(room);
	uint8_t *made = u8_normalize(UNINORM_NFC, (const uint8_t *)o->text.p, o->text.n, room, &n);

	if (made == room) {
		memcpy(o->text.p, room, n);
		o->text.n = n;
	} else if (made != NULL) {
		pst_wipe(made, n);
		free(made);
	}
	pst_wipe(room, sizeof(room));
	pst_wipe_stack();
	return made == room;
}

struct pst_str
opaque_open(struct pst_str password, struct opaque *o)
{
	o->text.n = 0;
	if (password.n > PST_SECRET_MAX || is_ascii(password))
		return password;
	if (!map_spaces(password, o) || !compose(o) ||
	    pst_secret_equal(pst_secret_view(&o->text), password))
		return password;
	return pst_secret_view(&o->text);
}

void
opaque_clear(struct opaque *o)
{
	pst_secret_clear(&o->text);
}
