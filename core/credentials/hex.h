/* SPDX-License-Identifier: MIT */
/* credentials/hex.h - octets as hexadecimal digits, read in either case and written in lower. */
#ifndef CREDENTIALS_HEX_H
#define CREDENTIALS_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

/* Whether text is pairs of digits, of at most cap octets. */
bool hex_decode(struct pst_str text, uint8_t *out, size_t cap, size_t *n_out);

/* out has room for twice n; how many were written. */
size_t hex_encode(const uint8_t *data, size_t n, char *out);

#endif
