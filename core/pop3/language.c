/* SPDX-License-Identifier: MIT */
/* Languages and texts; see language.h. */
#include "pop3/language.h"

const struct pop3_language_row pop3_languages[POP3_LANGUAGES] = {
	[POP3_DEFAULT] = { "i-default", "Default language" },
	[POP3_ENGLISH] = { "en", "English" },
	[POP3_GERMAN] = { "de", "Deutsch" },
};

/* A row a text; in the order in which a session may meet them. */
/* clang-format off */
const struct pop3_text pop3_texts[] = {
	{ "ready", "bereit" },
	{ "ready %s", "bereit %s" },
	{ "capability list follows", "Liste der Fähigkeiten folgt" },
	{ "language listing follows", "Liste der Sprachen folgt" },
	{ "begin TLS", "TLS kann beginnen" },
	{ "TLS is on already", "TLS ist schon an" },
	{ "TLS is not offered here", "TLS wird hier nicht angeboten" },
	{ "octets behind STLS, goodbye", "Daten hinter STLS, auf Wiedersehen" },
	{ "UTF-8 it is", "UTF-8 gilt" },
	{ "send PASS", "jetzt PASS senden" },
	{ "send USER first", "zuerst USER senden" },
	{ "user name too long", "Benutzername zu lang" },
	{ "mechanisms follow", "Liste der Verfahren folgt" },
	{ "unknown mechanism", "unbekanntes Verfahren" },
	{ "%s is not offered here", "%s wird hier nicht angeboten" },
	{ "%s has no initial response", "%s hat keine erste Antwort" },
	{ "not base64", "kein base64" },
	{ "not a PLAIN message", "keine Nachricht von PLAIN" },
	{ "not a %s response", "keine Antwort von %s" },
	{ "authentication cancelled", "Anmeldung abgebrochen" },
	{ "authentication failed", "Anmeldung gescheitert" },
	{ "authentication failed too often, goodbye",
	  "Anmeldung zu oft gescheitert, auf Wiedersehen" },
	{ "cleartext login is not allowed here: use TLS (STLS, or port 995)",
	  "Anmeldung im Klartext ist hier nicht erlaubt: TLS benutzen (STLS oder Port 995)" },
	{ "maildrop is in use by another session",
	  "Postfach wird von einer anderen Sitzung benutzt" },
	{ "this user has as many sessions as are allowed",
	  "dieser Benutzer hat so viele Sitzungen, wie erlaubt sind" },
	{ "the last login was too short a while ago", "die letzte Anmeldung ist zu kurz her" },
	{ "too many sessions, try again later",
	  "zu viele Sitzungen, bitte später noch einmal versuchen" },
	{ "too many connections", "zu viele Verbindungen" },
	{ "temporary failure, try again later",
	  "vorübergehender Fehler, bitte später noch einmal versuchen" },
	{ "not possible, ask the administrator", "nicht möglich, bitte den Verwalter fragen" },
	{ "this account may not be used any more, goodbye",
	  "dieses Konto darf nicht mehr benutzt werden, auf Wiedersehen" },
	{ "server is going down", "der Server wird beendet" },
	{ "unknown command", "unbekannter Befehl" },
	{ "command not valid in this state", "Befehl in diesem Zustand nicht möglich" },
	{ "line too long", "Zeile zu lang" },
	{ "NUL octet in command", "NUL-Oktett im Befehl" },
	{ "argument missing", "Argument fehlt" },
	{ "too many arguments", "zu viele Argumente" },
	{ "one space before an argument", "genau ein Leerzeichen vor einem Argument" },
	{ "not a message number", "keine Nummer einer Nachricht" },
	{ "message number too large", "Nummer der Nachricht zu groß" },
	{ "no such message", "diese Nachricht gibt es nicht" },
	{ "message is deleted", "Nachricht ist gelöscht" },
	{ "not a number of lines", "keine Anzahl von Zeilen" },
	{ "no such language", "diese Sprache gibt es nicht" },
	{ "language changed", "Sprache gewechselt" },
	{ "too many bad commands, goodbye", "zu viele falsche Befehle, auf Wiedersehen" },
	{ "%u messages (%u octets)", "%u Nachrichten (%u Oktette)" },
	{ "unique-id listing follows", "Liste der Kennungen folgt" },
	{ "top of message follows", "Anfang der Nachricht folgt" },
	{ "%u octets", "%u Oktette" },
	{ "message %u deleted", "Nachricht %u gelöscht" },
	{ "this session may read only", "diese Sitzung darf nur lesen" },
	{ "%u messages deleted", "%u Nachrichten gelöscht" },
	{ "some deleted messages were not removed",
	  "einige gelöschte Nachrichten wurden nicht entfernt" },
	{ "goodbye", "auf Wiedersehen" },
	{ NULL, NULL },
};
/* clang-format on */

bool
pop3_language_find(struct pst_str range, enum pop3_language preferred, enum pop3_language *out)
{
	unsigned i;

	if (pst_str_eq(range, PST_LIT("*"))) {
		*out = preferred;
		return true;
	}
	while (range.n > 0) {
		for (i = 0; i < POP3_LANGUAGES; i++) {
			if (!pst_str_ieq(range, pst_str_c(pop3_languages[i].tag)))
				continue;
			*out = (enum pop3_language)i;
			return true;
		}
		/* Without its last part; a single letter belongs to what followed it. */
		do {
			range.n--;
		} while (range.n > 0 && range.p[range.n] != '-');
		if (range.n > 1 && range.p[range.n - 2] == '-')
			range.n -= 2;
	}
	return false;
}

#define PIECES 4 /* of a text that a pattern leaves open */

/* What pattern leaves open in s; false: s is another text. */
static bool
match(const char *pattern, struct pst_str s, struct pst_str pieces[PIECES])
{
	size_t count = 0, at = 0, n;

	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '%') {
			if (at == s.n || s.p[at] != *pattern)
				return false;
			at++;
			continue;
		}
		pattern++;
		for (n = 0; at + n < s.n && (*pattern == 's' ? s.p[at + n] != pattern[1]
		                                             : pst_is_digit(s.p[at + n]));
		     n++)
			;
		if (n == 0 || count == PIECES)
			return false;
		pieces[count++] = (struct pst_str){ s.p + at, n };
		at += n;
	}
	return at == s.n;
}

size_t
pop3_whole_characters(const char *s, size_t n)
{
	size_t at = n, len;

	while (at > 0 && n - at < 3 && ((unsigned char)s[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0 || (unsigned char)s[at - 1] < 0xc0)
		return n;
	at--;
	len = (unsigned char)s[at] >= 0xf0 ? 4 : (unsigned char)s[at] >= 0xe0 ? 3 : 2;
	return n - at < len ? at : n;
}

static size_t
fill(const char *pattern, const struct pst_str pieces[PIECES], char *out, size_t cap)
{
	size_t n = 0;

	for (; *pattern != '\0'; pattern++) {
		struct pst_str piece = { pattern, 1 };

		if (*pattern == '%') {
			piece = *pieces++;
			pattern++;
		}
		if (piece.n > cap - n)
			piece.n = cap - n;
		memcpy(out + n, piece.p, piece.n);
		n += piece.n;
	}
	return n < cap ? n : pop3_whole_characters(out, n);
}

size_t
pop3_translate(enum pop3_language language, struct pst_str text, char *out, size_t cap)
{
	const struct pop3_text *row;
	struct pst_str pieces[PIECES];

	if (language != POP3_GERMAN)
		return 0;
	for (row = pop3_texts; row->english != NULL; row++)
		if (match(row->english, text, pieces))
			return fill(row->german, pieces, out, cap);
	return 0;
}
