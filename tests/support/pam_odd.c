/* SPDX-License-Identifier: MIT */
/* pam_odd - a PAM module for tests, which does what its arguments say:
 *
 *	password=TEXT  what it wants to hear        user=NAME  makes that the user
 *	auth=N account=N session=N  the result of a phase, as a number of _pam_types.h
 *	ask            asks for one thing more      hang       never comes back
 *	delay=MICROSECONDS  asks for a delay after failures
 *	rhost=TEXT     fails with 9 unless PAM_RHOST is that and PAM_TTY is there */
#include <security/pam_appl.h>
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
argument(int argc, const char **argv, const char *name)
{
	const size_t n = strlen(name);
	int i;

	for (i = 0; i < argc; i++)
		if (strncmp(argv[i], name, n) == 0 && (argv[i][n] == '=' || argv[i][n] == '\0'))
			return argv[i] + n + (argv[i][n] == '=');
	return NULL;
}

static int
result(int argc, const char **argv, const char *phase)
{
	const char *text = argument(argc, argv, phase);

	return text != NULL ? (int)strtol(text, NULL, 10) : PAM_SUCCESS;
}

static int
ask(pam_handle_t *h, int style, const char *prompt, char **answer_out)
{
	const struct pam_message message = { style, prompt };
	const struct pam_message *list = &message;
	struct pam_response *responses = NULL;
	const struct pam_conv *conv = NULL;
	const void *item = NULL;
	int rc = pam_get_item(h, PAM_CONV, &item);

	*answer_out = NULL;
	if (rc != PAM_SUCCESS)
		return rc;
	conv = item;
	rc = conv->conv(1, &list, &responses, conv->appdata_ptr);
	if (rc != PAM_SUCCESS)
		return rc;
	*answer_out = responses->resp;
	free(responses);
	return PAM_SUCCESS;
}

static int
check_items(pam_handle_t *h, const char *rhost)
{
	const void *host = NULL, *tty = NULL;

	if (rhost == NULL)
		return PAM_SUCCESS;
	(void)pam_get_item(h, PAM_RHOST, &host);
	(void)pam_get_item(h, PAM_TTY, &tty);
	return host != NULL && tty != NULL && strcmp(host, rhost) == 0 ? PAM_SUCCESS
	                                                               : PAM_AUTHINFO_UNAVAIL;
}

int
pam_sm_authenticate(pam_handle_t *h, int flags, int argc, const char **argv)
{
	const char *password = argument(argc, argv, "password");
	const char *user = argument(argc, argv, "user");
	const char *delay = argument(argc, argv, "delay");
	char *given = NULL, *more = NULL;
	int rc = check_items(h, argument(argc, argv, "rhost"));

	(void)flags;
	while (argument(argc, argv, "hang") != NULL)
		pause();
	if (delay != NULL)
		(void)pam_fail_delay(h, (unsigned)strtoul(delay, NULL, 10));
	if (rc == PAM_SUCCESS)
		rc = ask(h, PAM_PROMPT_ECHO_OFF, "Password: ", &given);
	if (rc == PAM_SUCCESS && argument(argc, argv, "ask") != NULL)
		rc = ask(h, PAM_PROMPT_ECHO_OFF, "Token: ", &more);
	if (rc == PAM_SUCCESS &&
	    (password == NULL || given == NULL || strcmp(given, password) != 0))
		rc = PAM_AUTH_ERR;
	if (rc == PAM_SUCCESS && user != NULL)
		rc = pam_set_item(h, PAM_USER, user);
	free(given);
	free(more);
	return rc != PAM_SUCCESS ? rc : result(argc, argv, "auth");
}

int
pam_sm_setcred(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)h, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int
pam_sm_acct_mgmt(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)h, (void)flags;
	return result(argc, argv, "account");
}

int
pam_sm_open_session(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)h, (void)flags;
	return result(argc, argv, "session");
}

int
pam_sm_close_session(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)h, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}
