/* SPDX-License-Identifier: MIT */
/* Documentation from rows; see docs.h, and table.h for that of one table. */
#include "config/docs.h"

#include <string.h>

#include "config/settings.h"
#include "config/table.h"
#include "config/value.h"

#define SAMPLE_WIDTH 96

/* ---- What a row says of itself ---- */

/* "octets" of a text's length, or the row's own unit. */
static const char *
unit_of(const struct pst_conf_key *key)
{
	if (key->type == PST_CONF_T_CHOICE || key->type == PST_CONF_T_BOOL)
		return NULL;
	if (conf_is_string(key->type))
		return "octets";
	return key->type == PST_CONF_T_INT ? key->unit : NULL;
}

static const char *
kind_of(const struct pst_conf_key *key)
{
	switch (key->type) {
	case PST_CONF_T_INT:
		return "number";
	case PST_CONF_T_SIZE:
		return "size";
	case PST_CONF_T_TIME:
		return "time";
	case PST_CONF_T_BOOL:
		return "true or false";
	case PST_CONF_T_CHOICE:
		return "one of";
	case PST_CONF_T_TEXT:
		return "text";
	case PST_CONF_T_READ_PATH:
		return "path, read";
	case PST_CONF_T_WRITE_PATH:
		return "path, written";
	case PST_CONF_T_SECRET:
		return "secret text";
	}
	return "?";
}

/* "number, 0 to 256 processes"; "one of off, on". */
static void
describe(const struct pst_conf_key *key, char *out, size_t cap)
{
	const char *unit = unit_of(key);
	char bounds[64];
	const char *p;
	size_t n;

	conf_bounds_text(key, bounds);
	n = (size_t)snprintf(out, cap, "%s", kind_of(key));
	if (bounds[0] != '\0')
		(void)snprintf(out + n, cap - n, ", %s%s%s", bounds, unit != NULL ? " " : "",
		               unit != NULL ? unit : "");
	else if (unit != NULL && !conf_is_string(key->type))
		(void)snprintf(out + n, cap - n, ", %s", unit);
	if (key->type != PST_CONF_T_CHOICE)
		return;
	for (p = key->unit; n + 3 < cap;) { /* the words, with ", " for "|" */
		size_t len = strcspn(p, "|");

		n += (size_t)snprintf(out + n, cap - n, "%s%.*s", p == key->unit ? " " : ", ",
		                      (int)len, p);
		if (p[len] == '\0' || n >= cap)
			return;
		p += len + 1;
	}
}

/* As it is written in the file: numbers and booleans bare, the rest in quotes. */
static void
write_value(const struct pst_conf_key *key, const char *value, FILE *to)
{
	const char *p;

	if (key->type == PST_CONF_T_INT || key->type == PST_CONF_T_BOOL) {
		fputs(value, to);
		return;
	}
	fputc('"', to);
	for (p = value; *p != '\0'; p++) {
		if (*p == '\n')
			fputs("\\n", to);
		else if (*p == '\t')
			fputs("\\t", to);
		else
			fprintf(to, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	}
	fputc('"', to);
}

/* ---- Manual page ---- */

/* One line of text: what roff would take for a request or an escape is escaped. */
static void
write_roff(const char *text, FILE *to)
{
	const char *p;

	for (p = text; *p != '\0'; p++) {
		const bool at_start = p == text || p[-1] == '\n';

		if (*p == '\\')
			fputs("\\e", to);
		else if (at_start && (*p == '.' || *p == '\''))
			fprintf(to, "\\&%c", *p);
		else if (*p == '-' && p != text && p[-1] != ' ')
			fputs("\\-", to); /* not a hyphen that a reader would copy */
		else if (*p == '"')
			fputs("\\(dq", to);
		else if (*p == ':' && p[1] != ' ' && p[1] != '\0')
			fputs(":\\:", to); /* long values may be broken here */
		else
			fputc(*p, to);
	}
}

/* A new sentence begins a new line, as mdoc wants it. */
static void
write_roff_sentences(const char *text, FILE *to)
{
	const char *p = text;

	while (*p != '\0') {
		const char *end = strstr(p, ". ");
		char sentence[1024];

		(void)snprintf(sentence, sizeof(sentence), "%.*s",
		               end != NULL ? (int)(end + 1 - p) : (int)strlen(p), p);
		write_roff(sentence, to);
		fputc('\n', to);
		p = end != NULL ? end + 2 : p + strlen(p);
	}
}

static void
write_roff_value(const struct pst_conf_key *key, FILE *to)
{
	if (key->type != PST_CONF_T_INT && key->type != PST_CONF_T_BOOL)
		fputs("\\(dq", to);
	write_roff(key->def, to);
	if (key->type != PST_CONF_T_INT && key->type != PST_CONF_T_BOOL)
		fputs("\\(dq", to);
}

void
conf_table_man(const struct pst_conf_key *keys, const char *prefix, FILE *to)
{
	const struct pst_conf_key *key;
	char text[256];

	if (keys == NULL || keys->key == NULL)
		return;
	fputs(".Bl -tag -width Ds\n", to);
	for (key = keys; key->key != NULL; key++) {
		describe(key, text, sizeof(text));
		/* The macros turn hyphens on again; a reader would copy them. */
		fprintf(to, ".It Cm %s.%s\n.nh\n", prefix, key->key);
		write_roff(text, to);
		if (key->def == NULL) {
			fputs("; must be set.\n", to);
		} else {
			fputs(";\ndefault\n", to);
			write_roff_value(key, to);
			fputs(".\n", to);
		}
		fputs(".br\n", to);
		write_roff_sentences(key->doc, to);
	}
	fputs(".El\n", to);
}

static const char man_head[] =
	".Dd November 22, 2026\n"
	".Dt POSTERN.CONF 5\n"
	".Os\n"
	".Sh NAME\n"
	".Nm postern.conf\n"
	".Nd configuration of the POP3 server postern\n"
	".Sh DESCRIPTION\n"
	"The file holds settings in groups:\n"
	".Bd -literal -offset indent\n"
	"# a comment\n"
	"listener: {\n"
	"    pop3: { port = 110; tls = \\(dqstls\\(dq; };\n"
	"};\n"
	"auth: {\n"
	"    backends = [ \\(dqsqlite\\(dq ];\n"
	"    sqlite: { database = \\(dq/var/lib/postern/users.db\\(dq; };\n"
	"};\n"
	".Ed\n"
	".Pp\n"
	"Every setting has a full name, made of its groups' names and its own with dots between them:\n"
	".Cm auth.sqlite.database .\n"
	"By that name it can be given on the command line too, as in\n"
	".Ql \\-s login.workers=2 ,\n"
	"which takes the place of what the file says.\n"
	"A setting that is not there has its default; an unknown one is an error.\n"
	".Pp\n"
	".Ic @include \\(dqNAME\\(dq\n"
	"on a line of its own reads another file, whose name is relative to the folder of the first.\n"
	".Pp\n"
	"The file is read at start and at\n"
	".Dv SIGHUP .\n"
	"A bad one is refused as a whole, and the server goes on with the one before;\n"
	".Ql posternctl config check\n"
	"says beforehand everything that is wrong, with file and line.\n"
	".Ql posternctl config show\n"
	"shows the values in force.\n"
	".Ss Values\n"
	".Bl -tag -width Ds\n"
	".It number\n"
	"A whole number: 5 or \\(dq5\\(dq.\n"
	"One above 2147483647 must stand in quotes.\n"
	".It size\n"
	"Octets, in quotes, with K, M, G or T for powers of 1024: \\(dq10M\\(dq.\n"
	".It time\n"
	"A number with ms, s, m, h or d, in quotes: \\(dq30s\\(dq.\n"
	".It true or false\n"
	"Without quotes; \\(dqyes\\(dq and \\(dqno\\(dq are taken too.\n"
	".It text\n"
	"In double quotes, with \\e\\(dq and \\e\\e for a quote and a backslash in it.\n"
	"Texts that stand one after another are joined.\n"
	"Where a text is a list of words it can also be written as a list: [ \\(dqa\\(dq, \\(dqb\\(dq ].\n"
	".It path\n"
	"The absolute path of a file or a folder.\n"
	"Workers of the plugin whose setting it is can read, or write, what is there, and in general "
	"nothing else.\n"
	".It secret text\n"
	"A text that no command shows.\n"
	".El\n";

static const char man_tail[] = ".Sh SEE ALSO\n"
			       ".Xr posternctl 1 ,\n"
			       ".Xr postern 8\n"
			       ".Sh STANDARDS\n"
			       "RFC 1939, RFC 2449, RFC 2595, RFC 3206, RFC 5034, RFC 8314.\n";

static bool
is_section_of(const struct docs_group *g, const char *group)
{
	const size_t n = strlen(group);

	return strncmp(g->name, group, n) == 0 && g->name[n] == '.';
}

void
docs_man(const struct docs_group *groups, size_t n, FILE *to)
{
	size_t i, j;

	fputs(man_head, to);
	for (i = 0; i < n; i++) {
		char prefix[128];

		if (strchr(groups[i].name, '.') != NULL)
			continue;
		fprintf(to, ".Sh GROUP %s\n", groups[i].name);
		write_roff_sentences(groups[i].doc, to);
		conf_table_man(groups[i].keys,
		               strcmp(groups[i].name, "listener") == 0 ? "listener.NAME"
		                                                       : groups[i].name,
		               to);
		(void)snprintf(prefix, sizeof(prefix), "%s.NAME", groups[i].name);
		conf_table_man(settings_section_keys(prefix), prefix, to);
		for (j = 0; j < n; j++) {
			if (!is_section_of(&groups[j], groups[i].name))
				continue;
			fprintf(to, ".Ss Section %s\n", groups[j].name);
			write_roff_sentences(groups[j].doc, to);
			conf_table_man(groups[j].keys, groups[j].name, to);
		}
	}
	fputs(man_tail, to);
}

/* ---- Sample file ---- */

static void
write_tabs(unsigned n, FILE *to)
{
	while (n-- > 0)
		fputc('\t', to);
}

/* "# text", wrapped between words. */
static void
write_comment(const char *text, unsigned indent, FILE *to)
{
	size_t column = SAMPLE_WIDTH; /* so that the first word begins a line */
	const char *p = text;

	while (*p != '\0') {
		size_t n = strcspn(p, " ");

		if (column + 1 + n > SAMPLE_WIDTH) {
			if (p != text)
				fputc('\n', to);
			write_tabs(indent, to);
			fputc('#', to);
			column = (size_t)indent * 8 + 1;
		}
		fprintf(to, " %.*s", (int)n, p);
		column += 1 + n;
		p += n + strspn(p + n, " ");
	}
	fputc('\n', to);
}

/* The setting as a comment, at value. */
static void
sample_row(const struct pst_conf_key *key, const char *value, unsigned indent, FILE *to)
{
	char text[256];

	describe(key, text, sizeof(text));
	write_comment(key->doc, indent, to);
	write_tabs(indent, to);
	fprintf(to, "# (%s%s)\n", text, key->def == NULL ? "; must be set" : "");
	write_tabs(indent, to);
	if (value == NULL) {
		fprintf(to, "# %s = ...;\n", key->key);
		return;
	}
	fprintf(to, "#%s = ", key->key);
	write_value(key, value, to);
	fputs(";\n", to);
}

void
conf_table_sample(const struct pst_conf_key *keys, unsigned indent, FILE *to)
{
	for (; keys != NULL && keys->key != NULL; keys++) {
		fputc('\n', to);
		sample_row(keys, keys->def, indent, to);
	}
}

static const char *
builtin_value(const char *listener, const struct pst_conf_key *key)
{
	const struct settings_builtin *b;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s.%s", listener, key->key);
	for (b = settings_builtins; b->path != NULL; b++)
		if (strcmp(b->path, path) == 0)
			return b->value;
	return key->def;
}

/* The listeners that a file without any gets: the first with its documentation, the others bare. */
static void
sample_listeners(const struct pst_conf_key *keys, FILE *to)
{
	const struct settings_builtin *b;
	const struct pst_conf_key *key;
	char last[128] = "";

	for (b = settings_builtins; b->path != NULL; b++) {
		const bool is_first = b == settings_builtins;
		char listener[128];

		(void)snprintf(listener, sizeof(listener), "%.*s",
		               (int)(strrchr(b->path, '.') - b->path), b->path);
		if (strcmp(listener, last) == 0)
			continue;
		(void)snprintf(last, sizeof(last), "%s", listener);
		fprintf(to, "\n\t#%s: {\n", strchr(listener, '.') + 1);
		for (key = keys; key->key != NULL; key++) {
			if (is_first) {
				if (key != keys)
					fputc('\n', to);
				sample_row(key, builtin_value(listener, key), 2, to);
				continue;
			}
			fprintf(to, "\t\t#%s = ", key->key);
			write_value(key, builtin_value(listener, key), to);
			fputs(";\n", to);
		}
		fputs("\t#};\n", to);
	}
}

/* The server's own rows of a section: documented in the first of the group's, bare in others. */
static void
sample_section_keys(const struct pst_conf_key *key, bool is_first, FILE *to)
{
	if (is_first) {
		conf_table_sample(key, 2, to);
		return;
	}
	for (; key != NULL && key->key != NULL; key++)
		fprintf(to, "\t\t#%s = \"%s\";\n", key->key, key->def);
}

static void
sample_section(const struct docs_group *g, bool is_first, FILE *to)
{
	fputc('\n', to);
	write_comment(g->doc, 1, to);
	fprintf(to, "\t#%s: {\n", strchr(g->name, '.') + 1);
	if (g->keys != NULL && g->keys->key != NULL)
		conf_table_sample(g->keys, 2, to);
	sample_section_keys(settings_section_keys(g->name), is_first, to);
	fputs("\t#};\n", to);
}

static const char sample_head[] =
	"# The configuration of postern, a POP3 server; see postern.conf(5).\n"
	"#\n"
	"# Every setting is here with its default, commented out: take away the # before one to change\n"
	"# it. `posternctl config check` says what is wrong with the file.\n";

void
docs_sample(const struct docs_group *groups, size_t n, FILE *to)
{
	size_t i, j;

	fputs(sample_head, to);
	for (i = 0; i < n; i++) {
		bool is_first = true;

		if (strchr(groups[i].name, '.') != NULL)
			continue;
		fputc('\n', to);
		write_comment(groups[i].doc, 0, to);
		fprintf(to, "%s: {", groups[i].name);
		if (strcmp(groups[i].name, "listener") == 0)
			sample_listeners(groups[i].keys, to);
		else
			conf_table_sample(groups[i].keys, 1, to);
		for (j = 0; j < n; j++)
			if (is_section_of(&groups[j], groups[i].name)) {
				sample_section(&groups[j], is_first, to);
				is_first = false;
			}
		fputs(groups[i].keys == NULL || groups[i].keys->key == NULL ? " };\n" : "};\n", to);
	}
}

/* ---- Show ---- */

void
conf_key_show(const struct pst_conf_key *key, const char *prefix, const struct conf_texts *t,
              FILE *to)
{
	char path[256];
	char text[256];
	const struct conf_text *set;

	(void)snprintf(path, sizeof(path), "%s.%s", prefix, key->key);
	set = conf_texts_get(t, path);
	describe(key, text, sizeof(text));
	fprintf(to, "%s = ", path);
	if (set == NULL && key->def == NULL)
		fputs("(not set)", to);
	else if (key->type == PST_CONF_T_SECRET)
		fputs("(not shown)", to);
	else
		write_value(key, set != NULL ? set->value : key->def, to);
	fputs("  (", to);
	if (key->def == NULL)
		fputs("must be set", to);
	else if (set == NULL || strcmp(set->value, key->def) == 0)
		fputs("the default", to);
	else if (key->type == PST_CONF_T_SECRET)
		fputs("not the default", to);
	else {
		fputs("default ", to);
		write_value(key, key->def, to);
	}
	fprintf(to, "; %s)\n", text);
	write_comment(key->doc, 0, to);
}

void
conf_table_show(const struct pst_conf_key *keys, const char *prefix, const struct conf_texts *t,
                FILE *to)
{
	for (; keys != NULL && keys->key != NULL; keys++)
		conf_key_show(keys, prefix, t, to);
}
