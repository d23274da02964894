/* SPDX-License-Identifier: MIT */
/* The commands of the TRANSACTION state. */
#include <inttypes.h>

#include "base/mem.h"
#include "credentials/mechanism.h"
#include "mail/contract.h"
#include "mail/session.h"
#include "pop3/reply.h"

static int
cmd_capa(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;
	char list[MECH_LIST_MAX];
	const struct pop3_facts facts = {
		.state = POP3_TRANS,
		.user = (s->offered & MECH_BIT(MECH_USER)) != 0,
		.sasl = list,
		.implementation = "Postern",
		.login_delay_s = mail_contract_login_delay_s(s),
		.expire_days = s->expire_days,
	};

	(void)a;
	mechanism_list(s->offered, list);
	return pop3_reply_capa(&s->mail->out, &facts, err);
}

static int
cmd_quit(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	(void)a, (void)err;
	s->phase = MAIL_QUITTING; /* the answer comes after UPDATE */
	return 0;
}

static int
cmd_stat(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;
	const struct maildrop *d = &s->drop;

	(void)a;
	return pop3_reply_ok(&s->mail->out, err, "%" PRIu32 " %" PRIu64, d->count - d->marked,
	                     d->octets - d->marked_octets);
}

static int
cmd_list(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;
	const struct maildrop *d = &s->drop;
	struct pst_message m;

	if (a->msg == 0) {
		mail_listing_start(s, false);
		return pop3_reply_ok(&s->mail->out, err,
		                     "%" PRIu32 " messages (%" PRIu64 " octets)",
		                     d->count - d->marked, d->octets - d->marked_octets);
	}
	maildrop_message(d, a->msg, &m);
	return pop3_reply_ok(&s->mail->out, err, "%" PRIu32 " %" PRIu64, a->msg, m.size_octets);
}

static int
cmd_uidl(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;
	struct pst_message m;

	if (a->msg == 0) {
		mail_listing_start(s, true);
		return pop3_reply_ok(&s->mail->out, err, "unique-id listing follows");
	}
	maildrop_message(&s->drop, a->msg, &m);
	return pop3_reply_ok(&s->mail->out, err, "%" PRIu32 " %.*s", a->msg, PST_ARG(m.uidl));
}

static int
cmd_retr(void *session, const struct pop3_args *a, struct pst_err *err)
{
	return mail_send_start(session, a->msg, false, UINT64_MAX, err);
}

static int
cmd_top(void *session, const struct pop3_args *a, struct pst_err *err)
{
	return mail_send_start(session, a->msg, true, a->lines, err);
}

/* Nothing that the client got wrong: it does not count as a bad command. */
static int
refuse_deletion(struct mail_session *s)
{
	struct pst_err why;

	pst_err_set(&why, PST_E_PERM, "read-only");
	mail_session_refuse(s, &why, "this session may read only");
	return 0;
}

static int
cmd_dele(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	if (s->is_read_only)
		return refuse_deletion(s);
	maildrop_mark(&s->drop, a->msg);
	mail_session_accessed(s, a->msg);
	return pop3_reply_ok(&s->mail->out, err, "message %" PRIu32 " deleted", a->msg);
}

/* RFC 1460: RETR and DELE count, TOP does not. */
static int
cmd_last(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	(void)a;
	if (!s->mail->limits.has_last)
		return pst_err_set(err, PST_E_CLIENT, "unknown command");
	return pop3_reply_ok(&s->mail->out, err, "%" PRIu32, s->last);
}

static int
cmd_noop(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	(void)a;
	return pop3_reply_ok(&s->mail->out, err, "%s", "");
}

static int
cmd_rset(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	(void)a;
	maildrop_unmark_all(&s->drop);
	s->last = 0;
	return pop3_reply_ok(&s->mail->out, err, "%" PRIu32 " messages (%" PRIu64 " octets)",
	                     s->drop.count, s->drop.octets);
}

/* Too late (RFC 6856 section 2), but Outlook says it: what was listed stays as it was listed. */
static int
cmd_utf8(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	(void)a;
	return pop3_reply_ok(&s->mail->out, err, "%s", "");
}

static int
cmd_lang(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct mail_session *s = session;

	return pop3_reply_lang(&s->mail->out, a->text, (enum pop3_language)s->mail->language,
	                       &s->language, err);
}

static pop3_handler *const handlers[POP3_VERBS] = {
	[POP3_CAPA] = cmd_capa, [POP3_QUIT] = cmd_quit, [POP3_STAT] = cmd_stat,
	[POP3_LIST] = cmd_list, [POP3_RETR] = cmd_retr, [POP3_DELE] = cmd_dele,
	[POP3_NOOP] = cmd_noop, [POP3_RSET] = cmd_rset, [POP3_TOP] = cmd_top,
	[POP3_UIDL] = cmd_uidl, [POP3_UTF8] = cmd_utf8, [POP3_LANG] = cmd_lang,
	[POP3_LAST] = cmd_last,
};

static bool
is_deleted(void *session, uint32_t msg)
{
	struct mail_session *s = session;

	return maildrop_is_marked(&s->drop, msg);
}

void
mail_command_bad(struct mail_session *s, const struct pst_err *why)
{
	struct pst_err last;

	if (++s->bad_commands < s->mail->limits.max_bad_commands) {
		mail_session_refuse(s, why, NULL);
		return;
	}
	pst_err_set(&last, PST_E_LIMIT, "too many bad commands, goodbye");
	mail_session_refuse(s, &last, NULL);
	mail_session_finish(s, "bad-commands");
}

void
mail_command(struct mail_session *s, struct pst_str line)
{
	const struct pop3_context ctx = {
		.state = POP3_TRANS,
		.handlers = handlers,
		.session = s,
		.count = s->drop.count,
		.is_deleted = is_deleted,
	};
	enum pop3_verb verb;
	struct pst_err err;

	if (pop3_dispatch(&ctx, line, &verb, &err) == 0) {
		s->bad_commands = 0;
		return;
	}
	if (err.kind == PST_E_CLIENT)
		mail_command_bad(s, &err);
	else
		mail_session_refuse(s, &err, NULL);
}
