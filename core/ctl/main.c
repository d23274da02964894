/* SPDX-License-Identifier: MIT */
/* posternctl: options, and the table of commands. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/when.h"
#include "config/table.h"
#include "ctl/ctl.h"
#include "ctl/drops.h"
#include "ctl/maildrop.h"
#include "ctl/undo.h"

static int cmd_help(struct ctl *c, int argc, char **argv);

static const struct ctl_command commands[] = {
	{ "config check", "[--connect]",
	  "Reads the configuration and says everything that is wrong with it, plugins' sections "
	  "included. --connect: also tries what auth plugins need, a database for one.",
	  ctl_config_check },
	{ "config show", "[PATH ...]",
	  "Shows settings with their value, default, unit and meaning: all of them, or those at or "
	  "below each PATH (login, login.workers). Secrets are not shown.",
	  ctl_config_show },
	{ "config man", "", "Writes the manual page postern.conf(5), plugins included.",
	  ctl_config_man },
	{ "config sample", "",
	  "Writes a configuration file with every setting at its default, commented out.",
	  ctl_config_sample },
	{ "plugin check",
	  "FILE.so [--user NAME] [--password-stdin | --password-file FILE] [--maildrop PATH] "
	  "[--limit SECONDS] [--only-show] [--no-valgrind]",
	  "Loads a plugin and shows what it is, or says which rule for plugins it breaks. Then tries "
	  "it with what it must bear, each case in a process of its own, and once under valgrind "
	  "where that is installed. Its settings come from -c and -s. --user: one that an auth plugin "
	  "knows. --maildrop: one that a storage plugin can open; each case works on a copy. --limit: seconds that a case may take, 10 without it.",
	  ctl_plugin_check },
	{ "plugin new", "auth NAME",
	  "Makes a folder NAME with a plugin to begin with: its source, a Makefile, and a test that it "
	  "passes as it is.",
	  ctl_plugin_new },
	{ "user add",
	  "USER [--password-stdin | --password-file FILE] [--scheme SCHEME] [--maildrop LOCATION] "
	  "[--uid ID] [--gid ID] [--home PATH] [--allow-nets NETS] [--max-sessions N] "
	  "[--min-poll TIME] [--max-listed N] [--min-tls any|1.2|1.3] [--rehash off|report|on] "
	  "[--read-only yes|no] [--expire-days N] [--hold-days N] [--pop3 yes|no] [--backend NAME]",
	  "Adds a user, and the domain if it is new. A database that is not there is made. The "
	  "password is asked for, or is the one line of FILE or of standard input. What is not said "
	  "of the account is the domain's to say, or the server's settings'.",
	  ctl_user_add },
	{ "user passwd",
	  "USER [--password-stdin | --password-file FILE] [--scheme SCHEME] [--backend NAME]",
	  "Changes a user's password. It counts from the next login on.", ctl_user_passwd },
	{ "user list", "[DOMAIN] [--backend NAME]",
	  "Lists users: name, state, location of the mail, uid:gid, why disabled; a tab between two.",
	  ctl_user_list },
	{ "user show", "USER [--backend NAME]",
	  "Shows all that is said of an account, and who says it: the user's row, the domain's, or a "
	  "setting of the server. Of the password only the scheme is shown.",
	  ctl_user_show },
	{ "user set",
	  "USER [--maildrop LOCATION] "
	  "[--uid ID] [--gid ID] [--home PATH] [--allow-nets NETS] [--max-sessions N] "
	  "[--min-poll TIME] [--max-listed N] [--min-tls any|1.2|1.3] [--rehash off|report|on] "
	  "[--read-only yes|no] [--expire-days N] [--hold-days N] [--pop3 yes|no] [--unset FIELD] ... [--backend NAME]",
	  "Changes what is said of an account; what is not named stays as it is. --unset takes a field "
	  "back (a name as maildrop, min-poll), so that the domain's or the server's word counts.",
	  ctl_user_set },
	{ "user enable", "USER [--backend NAME]", "Lets a disabled user log in again.",
	  ctl_user_enable },
	{ "user disable", "USER [--reason TEXT] [--backend NAME]",
	  "Keeps a user from logging in, and ends the sessions that are open. The reason is for the "
	  "log and user list.",
	  ctl_user_disable },
	{ "user delete", "USER [--backend NAME]",
	  "Deletes a user, and ends the sessions that are open. The mail stays where it is.",
	  ctl_user_delete },
	{ "user upgrade", "[--backend NAME]",
	  "Brings the tables of an older version up to date; what is in them stays. The server may "
	  "run.",
	  ctl_user_upgrade },
	{ "password make", "[--scheme SCHEME] [--password-stdin | --password-file FILE]",
	  "Writes a password's stored form, {SCHEME}DATA, as a database takes it; by default in the "
	  "scheme that auth.default_scheme names.",
	  ctl_password_make },
	{ "password check", "FILE [--user NAME] [--password-stdin | --password-file FILE]",
	  "Says of each line of FILE, a stored form, whether the password is right for it, wrong, or "
	  "why that cannot be told. --user: whose it is, for DIGEST-MD5.",
	  ctl_password_check },
	{ "password schemes", "",
	  "Lists the schemes of stored passwords with the processor time that a check of a new one "
	  "takes on this machine, and whether it is weak.",
	  ctl_password_schemes },
	{ "auth test",
	  "USER [--password | --password-stdin | --password-file FILE] [--ip ADDRESS] "
	  "[--local-ip ADDRESS] [--sni NAME]",
	  "Asks the auth backends for a user as the server does and says what each one answered and "
	  "where the mail would be; with a password (--password asks for it) also whether it is "
	  "right. Policies are not asked.",
	  ctl_auth_test },
	{ "auth explain",
	  "USER [--password-from FD|-] [--ip ADDRESS] [--local-ip ADDRESS] [--tls 0|1.2|1.3] "
	  "[--sni NAME] [--mechanism NAME] [--listener NAME]",
	  "Goes through a login of USER as the server would, and says of each step what it comes "
	  "to and which line of the configuration decides. The password, if any, is the one line "
	  "of the descriptor FD or of standard input. The status is 0 for yes, 1 for no, 3 where "
	  "it cannot be told now.",
	  ctl_auth_explain },
	{ "maildrop index", DROPS_MANY " [--measure] " DROPS_MANY_HOW,
	  "Brings the indexes of maildrops up to date, so that the next login finds them so. A "
	  "maildrop that is costs next to nothing: broken off and run again, it goes on where it "
	  "was.",
	  ctl_maildrop_index },
	{ "undelete",
	  "USER [--since TIME] [--until TIME] [--session ID] [--list | --dry-run] " DROPS_ONE_HOW,
	  "Brings messages back that POP3 removed and mail.hold_days keeps, with their UIDLs and to "
	  "their old places: all, or those removed since and before a time, or by one session. "
	  "--list: shows what is kept. --dry-run: shows what would come back. TIME is "
	  "" PST_WHEN_FORMS ".",
	  ctl_undelete },
	{ "history", "USER [--since TIME] [--until TIME] " DROPS_ONE_HOW,
	  "Tells what sessions did to a maildrop, as mail.history has them kept: when and from "
	  "where, how the client logged in, how many messages it retrieved and removed, the UIDLs of "
	  "those that it removed.",
	  ctl_history },
	{ "migrate verify",
	  "--from HOST[:PORT] [--to HOST[:PORT]] --users FILE|- [--from-tls MODE] [--to-tls MODE] "
	  "[--tls-ca FILE] [--insecure] [--master USER] [--master-separator TEXT] "
	  "[--password-file FILE] [--to-master USER] [--to-password-file FILE] [--top N|none|all] "
	  "[--full] [--state FILE] [--jobs N] [--sample N] [--strict] [--timeout SECONDS] "
	  "[--retries N]",
	  "Logs in to the old server and to this one for each user, compares STAT, order, sizes, UIDLs "
	  "and headers, and prints what differs, a line each; nothing is changed on either. The "
	  "status is 0 where nothing differs, 1 where something does that is not known to be the old "
	  "server's fault, 3 where some could not be compared. postern-migrate(7) explains the lines.",
	  ctl_migrate_verify },
	{ "migrate import",
	  "--from HOST[:PORT] --users FILE|- [--from-tls MODE] [--tls-ca FILE] [--insecure] "
	  "[--master USER] [--master-separator TEXT] [--password-file FILE] [--min-share PERCENT] "
	  "[--dry-run] [--jobs N] [--sample N] [--timeout SECONDS] [--retries N] [--wait SECONDS] "
	  "[--limit SECONDS]",
	  "Takes order and UIDLs of each user's mail over from the old server, asked as a client "
	  "asks it: messages that lie here are known again by size and header. What is only here "
	  "comes behind; nothing is changed where less than --min-share (95) of a hundred "
	  "messages are here. --dry-run only says what would change.",
	  ctl_migrate_import },
	{ "maildrop watch", DROPS_MANY " [--delay SECONDS] [--refresh SECONDS] " DROPS_MANY_HOW,
	  "Keeps the indexes of maildrops up to date: looks at each soon after mail came there "
	  "(inotify), until it is ended. New users are found on a timer. Runs as a service.",
	  ctl_maildrop_watch },
	{ "maildrop show", "USER " DROPS_ONE_HOW,
	  "Shows a maildrop: where it is, whose, its index and the lists of other servers, whether a "
	  "session has it, its messages and octets.",
	  ctl_maildrop_show },
	{ "maildrop convert", "USER --to LOCATION [--switch [--backend NAME]] " DROPS_ONE_HOW,
	  "Copies all messages into a new maildrop of another kind or in another place, with octets, "
	  "order, UIDLs, time and whether they were seen, and compares both. The old one stays as it "
	  "is. --switch: then stores the new location with the account.",
	  ctl_maildrop_convert },
	{ "maildrop expire", DROPS_MANY " [--dry-run] [--days N] " DROPS_MANY_HOW,
	  "Removes messages that are older than their account allows (expire_days; --days, or "
	  "mail.expire_days, for accounts that say nothing), and what is held for longer than hold_days. For cron.",
	  ctl_maildrop_expire },
	{ "uidl list", "USER " DROPS_ONE_HOW,
	  "Lists number, UIDL and octets of each message, a tab between two.", ctl_uidl_list },
	{ "uidl accept", "USER " DROPS_ONE_HOW,
	  "Accepts the UIDLs as they come out now, where a session was refused because too many "
	  "would be new: the user's clients will fetch those messages again.",
	  ctl_uidl_accept },
	{ "status", "[--json]",
	  "Shows the running server: its generations and workers, with what each worker's sandbox "
	  "holds.",
	  ctl_status },
	{ "who", "[--json]", "Lists the sessions: id, state, TLS, age, messages, address, user.",
	  ctl_who },
	{ "reload", "",
	  "Makes the server take up its configuration, and waits until it has. Where the new one "
	  "is bad or does not start, says why; the server goes on with the old one.",
	  ctl_reload },
	{ "stop", "",
	  "Stops the server when its sessions have ended, or server.drain_timeout is over. Said "
	  "again: at once.",
	  ctl_stop },
	{ "kick", "SESSION", "Ends a session, by its id from posternctl who; it deletes nothing.",
	  ctl_kick },
	{ "help", "[COMMAND]", "Shows this, or one command.", cmd_help },
	{ .name = NULL },
};

int
ctl_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("posternctl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CTL_FAILED;
}

void
ctl_print_problems(const struct conf_problems *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		fprintf(stderr, "%s\n", p->v[i]);
}

size_t
ctl_read_config(struct ctl *c)
{
	conf_texts_init(&c->texts, c->arena);
	conf_problems_init(&c->problems, c->arena);
	conf_file_read(c->config_path, c->sets, c->set_count, &c->texts, &c->problems);
	/* What cannot be read leaves gaps; complaints about them would be noise. */
	if (c->problems.n == 0)
		settings_load(&c->texts, &c->settings, &c->problems);
	return c->problems.n;
}

int
ctl_need_config(struct ctl *c)
{
	if (ctl_read_config(c) == 0)
		return 0;
	ctl_print_problems(&c->problems);
	return -1;
}

static void
print_usage_line(FILE *to, const struct ctl_command *cmd)
{
	fprintf(to, "posternctl %s%s%s\n", cmd->name, cmd->usage[0] == '\0' ? "" : " ", cmd->usage);
}

/* How many of the words are this command's name; 0 where it is another. */
static int
match(const struct ctl_command *cmd, int argc, char **argv)
{
	const size_t first = strcspn(cmd->name, " ");
	const char *second = cmd->name[first] == ' ' ? cmd->name + first + 1 : NULL;

	if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], cmd->name, first) != 0)
		return 0;
	if (second == NULL)
		return 1;
	return argc > 1 && strcmp(argv[1], second) == 0 ? 2 : 0;
}

static const struct ctl_command *
find_command(int argc, char **argv, int *words_out)
{
	const struct ctl_command *cmd;

	for (cmd = commands; cmd->name != NULL; cmd++) {
		*words_out = match(cmd, argc, argv);
		if (*words_out > 0)
			return cmd;
	}
	return NULL;
}

static int
cmd_help(struct ctl *c, int argc, char **argv)
{
	const struct ctl_command *cmd;
	int words;

	if (argc > 0) {
		cmd = find_command(argc, argv, &words);
		if (cmd == NULL)
			return ctl_fail("there is no command \"%s\"", argv[0]);
		print_usage_line(stdout, cmd);
		printf("%s\n", cmd->doc);
		return CTL_OK;
	}
	printf("usage: posternctl [-c FILE] [-s PATH=VALUE ...] COMMAND [ARGUMENT ...]\n\n"
	       "  -c FILE         the configuration file; else %s\n"
	       "  -s PATH=VALUE   a setting that takes the place of the file's\n\n",
	       c->config_path);
	for (cmd = commands; cmd->name != NULL; cmd++)
		print_usage_line(stdout, cmd);
	printf("\nposternctl help COMMAND says more of one.\n");
	return CTL_OK;
}

static int
refuse_command(struct ctl *c, int argc, char **argv)
{
	const char *names[sizeof(commands) / sizeof(commands[0])];
	const char *typed =
		argc > 1 ? pst_arena_printf(c->arena, "%s %s", argv[0], argv[1]) : argv[0];
	const char *near;
	size_t n;

	for (n = 0; commands[n].name != NULL; n++)
		names[n] = commands[n].name;
	near = conf_nearest(names, n, typed);
	if (near == NULL && argc > 1) /* a one-word command with an argument */
		near = conf_nearest(names, n, argv[0]);
	if (near != NULL)
		ctl_fail("there is no command \"%s\"; did you mean \"%s\"?", typed, near);
	else
		ctl_fail("there is no command \"%s\"; posternctl help lists them", typed);
	return CTL_USAGE;
}

static int
run_command(struct ctl *c, int argc, char **argv)
{
	const struct ctl_command *cmd;
	int words, status;

	if (argc == 0) {
		(void)cmd_help(c, 0, NULL);
		return CTL_USAGE;
	}
	cmd = find_command(argc, argv, &words);
	if (cmd == NULL)
		return refuse_command(c, argc, argv);
	status = cmd->run(c, argc - words, argv + words);
	if (status == CTL_USAGE) {
		fputs("usage: ", stderr);
		print_usage_line(stderr, cmd);
	}
	return status;
}

/* -1: go on; else the exit status. */
static int
read_options(struct ctl *c, const char **sets, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	/* "+": what follows the command is the command's. */
	while ((opt = getopt_long(argc, argv, "+c:s:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			c->config_path = optarg;
			c->config_given = true;
			break;
		case 's':
			sets[c->set_count++] = optarg;
			break;
		case 'h':
			return cmd_help(c, 0, NULL);
		case 'V':
			printf("posternctl %s\n", PACKAGE_VERSION);
			return CTL_OK;
		default:
			return CTL_USAGE;
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	static struct ctl c = { .config_path = PST_SYSCONF_DIR "/postern.conf" };
	const char **sets = pst_new_array(const char *, (size_t)argc);
	int status;

	c.sets = sets;
	c.arena = pst_arena_create();
	status = read_options(&c, sets, argc, argv);
	if (status < 0)
		status = run_command(&c, argc - optind, argv + optind);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = ctl_fail("standard output cannot be written");
	pst_arena_destroy(c.arena);
	free(sets);
	return status;
}
