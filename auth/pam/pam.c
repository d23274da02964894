/* SPDX-License-Identifier: MIT */
/* A PAM transaction; see pam.h. */
#include "auth/pam/pam.h"

#include <security/pam_appl.h>
#include <stdlib.h>

#define TTY "postern"

/* For the callbacks. */
struct talk {
	struct pam_attempt *attempt;
	bool is_given; /* the password, once: a module that asks again would be told it as a new one */
};

/* ---- What the modules ask ---- */

static void
note_prompt(struct talk *t, const char *prompt)
{
	if (t->attempt->stray_prompt[0] == '\0')
		(void)snprintf(t->attempt->stray_prompt, sizeof(t->attempt->stray_prompt), "%s",
		               prompt != NULL && prompt[0] != '\0' ? prompt : "?");
}

/* libpam wipes and frees it. */
static char *
copy_password(struct pst_str password)
{
	char *copy = malloc(password.n + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, password.p, password.n);
	copy[password.n] = '\0';
	return copy;
}

static int
answer(struct talk *t, const struct pam_message *message, struct pam_response *response)
{
	switch (message->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
		if (t->is_given)
			break;
		t->is_given = true;
		response->resp = copy_password(t->attempt->password);
		return response->resp != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
	case PAM_ERROR_MSG: /* nobody is there to read them */
	case PAM_TEXT_INFO:
		return PAM_SUCCESS;
	default:
		break;
	}
	note_prompt(t, message->msg);
	return PAM_CONV_ERR;
}

static void
drop_responses(struct pam_response *all, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (all[i].resp != NULL) {
			explicit_bzero(all[i].resp, strlen(all[i].resp));
			free(all[i].resp);
		}
	free(all);
}

static int
converse(int n, const struct pam_message **messages, struct pam_response **responses_out, void *arg)
{
	struct pam_response *all;
	int i;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	all = calloc((size_t)n, sizeof(*all));
	if (all == NULL)
		return PAM_BUF_ERR;
	for (i = 0; i < n; i++) {
		int rc = answer(arg, messages[i], &all[i]);

		if (rc != PAM_SUCCESS) {
			drop_responses(all, n);
			return rc;
		}
	}
	*responses_out = all;
	return PAM_SUCCESS;
}

/* libpam would sleep in this process, which has others to serve: login waits instead, by
 * auth.failure_delay. */
static void
skip_delay(int rc, unsigned microseconds, void *arg)
{
	(void)rc, (void)microseconds, (void)arg;
}

/* ---- What its results mean ---- */

static enum pst_auth_result
refuse(struct pam_attempt *a, const char *reason)
{
	(void)snprintf(a->reason, sizeof(a->reason), "%s", reason);
	return PST_AUTH_DISABLED;
}

static enum pst_auth_result
cannot_tell(pam_handle_t *h, const struct talk *t, const char *step, int rc, struct pst_err *err)
{
	if (t->attempt->stray_prompt[0] != '\0')
		pst_err_set(err, PST_E_TEMP, "%s: a module asks \"%s\", which nothing answers",
		            step, t->attempt->stray_prompt);
	else
		pst_err_set(err, PST_E_TEMP, "%s: %.150s", step, pam_strerror(h, rc));
	return PST_AUTH_TEMP;
}

static enum pst_auth_result
judge_authenticate(pam_handle_t *h, const struct talk *t, int rc, struct pst_err *err)
{
	switch (rc) {
	case PAM_SUCCESS:
		return PST_AUTH_OK;
	case PAM_USER_UNKNOWN: /* another backend may know; if none does, the client reads the same */
		return PST_AUTH_UNKNOWN;
	case PAM_AUTH_ERR:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED: /* pam_deny, pam_listfile, a locked account */
		return PST_AUTH_WRONG;
	case PAM_ACCT_EXPIRED:
		return refuse(t->attempt, "the account has expired");
	case PAM_CRED_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
		return refuse(t->attempt, "the password has expired");
	default:
		return cannot_tell(h, t, "authenticate", rc, err);
	}
}

static enum pst_auth_result
judge_account(pam_handle_t *h, const struct talk *t, int rc, struct pst_err *err)
{
	switch (rc) {
	case PAM_SUCCESS:
		return PST_AUTH_OK;
	case PAM_ACCT_EXPIRED:
		return refuse(t->attempt, "the account has expired");
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_CRED_EXPIRED:
		return refuse(t->attempt, "the password has expired: a new one must be set");
	case PAM_PERM_DENIED:
	case PAM_AUTH_ERR:
		return refuse(t->attempt, "the account may not log in now");
	case PAM_USER_UNKNOWN:
		return refuse(t->attempt, "the account phase does not know the user");
	default:
		return cannot_tell(h, t, "account", rc, err);
	}
}

static enum pst_auth_result
pass_session(pam_handle_t *h, const struct talk *t, struct pst_err *err)
{
	int rc = pam_setcred(h, PAM_ESTABLISH_CRED | PAM_SILENT);

	if (rc != PAM_SUCCESS)
		return cannot_tell(h, t, "setcred", rc, err);
	rc = pam_open_session(h, PAM_SILENT);
	if (rc == PAM_SUCCESS)
		(void)pam_close_session(h, PAM_SILENT);
	(void)pam_setcred(h, PAM_DELETE_CRED | PAM_SILENT);
	return rc == PAM_SUCCESS ? PST_AUTH_OK : cannot_tell(h, t, "session", rc, err);
}

/* ---- The transaction ---- */

static int
set_text(pam_handle_t *h, int item, struct pst_str text)
{
	char buf[PAM_NAME_MAX];

	if (text.n >= sizeof(buf))
		return PAM_BUF_ERR;
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
	return pam_set_item(h, item, buf);
}

static int
set_items(pam_handle_t *h, const struct pam_attempt *a)
{
	union {
		void (*function)(int rc, unsigned microseconds, void *arg);
		const void *item;
	} delay = { .function = skip_delay };
	int rc = pam_set_item(h, PAM_FAIL_DELAY, delay.item);

	if (rc == PAM_SUCCESS)
		rc = set_text(h, PAM_RHOST, a->remote_ip);
	if (rc == PAM_SUCCESS)
		rc = pam_set_item(h, PAM_TTY, TTY);
	return rc;
}

static int
take_name(pam_handle_t *h, struct pam_attempt *a)
{
	const void *name = NULL;
	int rc = pam_get_item(h, PAM_USER, &name);

	if (rc != PAM_SUCCESS || name == NULL)
		return rc != PAM_SUCCESS ? rc : PAM_USER_UNKNOWN;
	return snprintf(a->name, sizeof(a->name), "%s", (const char *)name) < PAM_NAME_MAX
	               ? PAM_SUCCESS
	               : PAM_BUF_ERR;
}

enum pst_auth_result
pam_attempt(struct pam_attempt *a, struct pst_err *err)
{
	struct talk talk = { .attempt = a };
	const struct pam_conv conversation = { converse, &talk };
	enum pst_auth_result result = PST_AUTH_OK;
	pam_handle_t *h = NULL;
	char user[PAM_NAME_MAX];
	int rc;

	if (a->user.n == 0 || a->user.n >= sizeof(user))
		return PST_AUTH_WRONG; /* no system has such a name */
	memcpy(user, a->user.p, a->user.n);
	user[a->user.n] = '\0';
	rc = pam_start(a->service, user, &conversation, &h);
	if (rc != PAM_SUCCESS) {
		pst_err_set(err, PST_E_TEMP, "pam_start: error %d", rc);
		return PST_AUTH_TEMP;
	}
	rc = set_items(h, a);
	if (rc != PAM_SUCCESS)
		result = cannot_tell(h, &talk, "pam_set_item", rc, err);
	if (result == PST_AUTH_OK) {
		rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
		result = judge_authenticate(h, &talk, rc, err);
	}
	a->is_right = result == PST_AUTH_OK;
	if (result == PST_AUTH_OK) {
		rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
		result = judge_account(h, &talk, rc, err);
	}
	if (result == PST_AUTH_OK && a->with_session)
		result = pass_session(h, &talk, err);
	if (result == PST_AUTH_OK) {
		rc = take_name(h, a);
		if (rc != PAM_SUCCESS)
			result = cannot_tell(h, &talk, "user name", rc, err);
	}
	(void)pam_end(h, rc);
	return result;
}
