/* SPDX-License-Identifier: MIT */
/* credentials/base64.h - base64 (RFC 4648 section 4), strict, of secrets: nothing is allocated. */
#ifndef CREDENTIALS_BASE64_H
#define CREDENTIALS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

#define BASE64_ROOM(octets) (((octets) + 2) / 3 * 4) /* characters that so many octets take */

enum base64_padding { BASE64_PADDED = 1, BASE64_BARE, BASE64_EITHER };

/* Whether text is base64 of at most cap octets, and no bit of it is lost: no white space, no octets
 * after the padding, unused bits zero. */
bool base64_decode(struct pst_str text, enum base64_padding padding, uint8_t *out, size_t cap,
                   size_t *n_out);

/* out has BASE64_ROOM(n) octets; how many were written. BASE64_EITHER is not for this. */
size_t base64_encode(const void *data, size_t n, enum base64_padding padding, char *out);

#endif
