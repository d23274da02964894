/* SPDX-License-Identifier: MIT */
/* Errors in words; see say.h. */
#include "auth/pgsql/say.h"

#include <stdlib.h>

#define NEAR_OCTETS 24

void
pg_words(const char *said, char *out, size_t cap)
{
	size_t n = strcspn(said, "\n");
	size_t i;

	if (n >= cap)
		n = cap - 1;
	for (i = 0; i < n; i++)
		out[i] = said[i] == '"' ? '\'' : said[i];
	out[n] = '\0';
}

/* Data exceptions quote the value behind a colon: "invalid input syntax for type integer: "x"". */
static void
cut_value(const char *state, char *message)
{
	char *colon = strstr(message, ": '");

	if (strncmp(state, "22", 2) == 0 && colon != NULL)
		*colon = '\0';
}

/* The octets at a place that is counted in characters, from 1. */
static void
find_near(const char *text, const char *position, char out[NEAR_OCTETS + 16])
{
	unsigned long left = position == NULL ? 0 : strtoul(position, NULL, 10);
	char word[NEAR_OCTETS + 1];

	out[0] = '\0';
	if (left == 0)
		return;
	for (left--; left > 0 && *text != '\0'; left--)
		for (text++; ((unsigned char)*text & 0xc0) == 0x80;)
			text++;
	if (*text == '\0')
		return;
	pg_words(text, word, sizeof(word));
	(void)snprintf(out, NEAR_OCTETS + 16, ", at '%s'", word);
}

static const char *
advice(const char *state)
{
	if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0)
		return " (behind a pooler in transaction mode, prepared must be \"no\")";
	return "";
}

void
pg_explain(const PGresult *result, const char *text, struct pst_err *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	char message[160], where[NEAR_OCTETS + 16];

	if (state == NULL)
		state = "";
	pg_words(primary != NULL ? primary : PQresultErrorMessage(result), message,
	         sizeof(message));
	cut_value(state, message);
	find_near(text, PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION), where);
	(void)pst_err_set(err, PST_E_TEMP, "%s%s%s%s%s", state, state[0] != '\0' ? ": " : "",
	                  message, where, advice(state));
}
