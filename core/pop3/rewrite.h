/* SPDX-License-Identifier: MIT */
/* pop3/rewrite.h - writing a header field in ASCII, word by word: folding and encoded-words. The parts of
 * surrogate.c. All text that is given is valid UTF-8. */
#ifndef POP3_REWRITE_H
#define POP3_REWRITE_H

#include <stdbool.h>

#include <postern/str.h>

#include "base/buf.h"

#define REWRITE_LINE 76  /* octets of a line, RFC 2047 section 2 */
#define REWRITE_WORD 900 /* a longer word is encoded, so that no line gets too long */

struct rewriter {
	struct pst_buf *out;
	struct pst_str eol; /* of the field as it was */
	size_t col;
	bool is_full; /* out is: nothing that was written counts */
};

/* "Name:", at the start of a line. prefix: before it. */
void rewrite_name(struct rewriter *w, const char *prefix, struct pst_str name);

/* As it is, behind what is there. */
void rewrite_glue(struct rewriter *w, struct pst_str s);

/* As it is, after a space, or on a new line where the line would get too long. */
void rewrite_word(struct rewriter *w, struct pst_str s);

/* Words of ASCII with the spaces between them, each after a space. */
void rewrite_words(struct rewriter *w, struct pst_str s);

/* Encoded-words, the first after a space; before and after are glued to the first and the last. */
void rewrite_encoded(struct rewriter *w, const char *before, struct pst_str s, const char *after);

/* A comment: s begins with its "(". */
void rewrite_comment(struct rewriter *w, struct pst_str s);

/* Text: only what must be encoded is. */
void rewrite_text(struct rewriter *w, struct pst_str s);

/* s cannot stay as it is: octets beyond ASCII, control characters, words too long. */
bool rewrite_is_needed(struct pst_str s);

bool rewrite_is_encoded_word(struct pst_str s);

/* rewrite_addresses.c, rewrite_parameters.c: what stands behind "Name:", unfolded. */
void rewrite_addresses(struct rewriter *w, struct pst_str value);
void rewrite_parameters(struct rewriter *w, struct pst_str value);

/* Octets of what stands at the front of s, which is not empty: a quoted-string, a comment, <…>, […], or one
 * octet. One that has no end goes up to that of s. */
size_t rewrite_item(struct pst_str s);

struct pst_str rewrite_trim(struct pst_str s); /* without spaces and tabs around it */

#endif
