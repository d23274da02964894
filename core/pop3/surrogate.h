/* SPDX-License-Identifier: MIT */
/* pop3/surrogate.h - a message's header in ASCII, for clients that did not say UTF8 (RFC 6856 section 4,
 * after RFC 6857).
 *
 * Fields that hold UTF-8, and nothing that is not, are made anew; others stay octet for octet:
 *   - text (Subject and every field that is not named below): encoded-words (RFC 2047);
 *   - addresses: display names and comments as encoded-words, domains as A-labels (IDNA 2008). An
 *     address whose local part is not ASCII has no other form: name and address are shown as the
 *     name of an empty group (RFC 6854), so that an answer to it fails and goes to nobody else;
 *   - parameters of Content-Type and Content-Disposition: RFC 2231;
 *   - other structured fields: encoded-words in comments. Where there is UTF-8 outside of them the
 *     field is shown as text under another name, Downgraded-NAME.
 * Lines that are made end before column 79 where they can and before 998 always. Octets that are no UTF-8 stay
 * as stored: nobody can tell what they mean, and every server always sent them so. The body stays too,
 * with the headers of its MIME parts: what is signed there must not change, and no client shows
 * them in its list. */
#ifndef POP3_SURROGATE_H
#define POP3_SURROGATE_H

#include <stdbool.h>

#include <postern/str.h>

#include "base/buf.h"

/* The number of these rules: one more with each change of what they give, or when pop3_survey tells something
 * new. At most 255. */
#define POP3_SURROGATE_RULES 2u

#define POP3_SURROGATE_MAX                                                                         \
	((size_t)64 << 20) /* octets; a header of POP3_HEAD_MAX may need so many */

/* The header as pop3_header_octets found it. true: it has a surrogate, which was added to out (empty until then). false:
 * it has none, and out is empty. */
bool pop3_surrogate(struct pst_str header, struct pst_buf *out);

/* Octets of the header that s begins with, with the empty line; 0: that is not in s. The same line that
 * ends the header for TOP. */
size_t pop3_header_octets(struct pst_str s);

bool pop3_has_8bit(struct pst_str s);

#endif
