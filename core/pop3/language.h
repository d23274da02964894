/* SPDX-License-Identifier: MIT */
/* pop3/language.h - the languages of replies (RFC 6856 section 3).
 *
 * The server is written in English. What it says to a client in another language is found by the
 * English text, in one table; a text that is not in it, a plugin's perhaps, stays as it is. Status
 * words, response codes, numbers and their order never change. */
#ifndef POP3_LANGUAGE_H
#define POP3_LANGUAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

/* A session's language, and with it whether it may be sent texts in UTF-8. */
enum pop3_language {
	POP3_DEFAULT, /* i-default: English in ASCII; until the client says UTF8 or LANG */
	POP3_ENGLISH,
	POP3_GERMAN,
	POP3_LANGUAGES
};

struct pop3_language_row {
	const char *tag;  /* RFC 5646 */
	const char *name; /* in the language itself, UTF-8 */
};
extern const struct pop3_language_row pop3_languages[POP3_LANGUAGES];

/* The language that a range asks for, by RFC 4647's lookup: "de-AT" finds "de". "*": preferred. false:
 * there is none. */
bool pop3_language_find(struct pst_str range, enum pop3_language preferred,
                        enum pop3_language *out);

/* A pattern and its translation: the same "%u" (digits) and "%s" (any text) in the same order. */
struct pop3_text {
	const char *english;
	const char *german;
};
extern const struct pop3_text pop3_texts[]; /* ends with NULL */

/* The text, in English, in the language: writes at most cap octets into out and returns how many, cut
 * between characters. 0: it stays as it is. */
size_t pop3_translate(enum pop3_language language, struct pst_str text, char *out, size_t cap);

/* s without the part of a character at its end. */
size_t pop3_whole_characters(const char *s, size_t n);

#endif
