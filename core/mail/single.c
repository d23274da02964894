/* SPDX-License-Identifier: MIT */
/* One session as its user; see single.h. This runs as root until confine: it reads hand-offs and
 * orders from its channels and not an octet from the client. */
#include "mail/single.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/channel.h"
#include "mail/handoff.h"
#include "mail/serve.h"
#include "plugin/registry.h"
#include "pop3/reply.h"

struct spare {
	const struct worker_env *env;
	struct handoff_desk *desk;
	int epoll;
	bool is_ordered; /* to end */
	uint8_t message[MSG_MAX_OCTETS];
};

static int
watch(struct spare *sp, int fd, uint32_t events, struct pst_err *err)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(sp->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_ctl");
	return 0;
}

/* Drain and stop are the same for a process that has no session. */
static void
obey(struct spare *sp)
{
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;
	ssize_t n = channel_recv(sp->env->inbox, sp->message, sizeof(sp->message), NULL, &err);
	struct pst_str message = { (const char *)sp->message, n > 0 ? (size_t)n : 0 };

	if (n > 0 && wire_order_decode(message, &head, &order, &err) == 0)
		sp->is_ordered = order.order == ORDER_DRAIN || order.order == ORDER_STOP;
	else if (n != 0)
		pst_log_error(NULL, "mail.message", "reason=\"%s\"", err.text);
}

/* Waits for a hand-off. All spare processes wait for the one queue; the kernel wakes one. 0: *h_out
 * is one; 1: told to end; -1 with err. */
static int
wait_for_handoff(struct spare *sp, struct handoff *h_out, struct pst_err *err)
{
	const struct worker_env *env = sp->env;

	while (!sp->is_ordered) {
		struct epoll_event ev;
		struct pst_str message = { (const char *)sp->message, 0 };
		ssize_t n;
		int fd = -1;

		if (epoll_wait(sp->epoll, &ev, 1, -1) != 1) {
			if (errno == EINTR)
				continue;
			return pst_err_sys(err, PST_E_PERM, "epoll_wait");
		}
		if ((ev.events & (EPOLLHUP | EPOLLERR)) != 0)
			return pst_err_set(err, PST_E_CLOSED, "the master is gone");
		if (ev.data.fd == env->inbox) {
			obey(sp);
			continue;
		}
		n = channel_recv(env->mail_queue, sp->message, sizeof(sp->message), &fd, err);
		if (n < 0)
			return -1;
		if (n == 0)
			continue; /* another process was faster */
		message.n = (size_t)n;
		return handoff_read(sp->desk, message, fd, h_out, err);
	}
	return 1;
}

/* As root: a line to the client and nothing read. */
static void
refuse(const struct worker_env *env, const struct handoff *h, const struct pst_err *why)
{
	struct pst_buf out;
	struct pst_err err;

	handoff_log(h, why);
	pst_buf_init(&out, 1024);
	(void)pop3_reply_err(&out, why, NULL, &err);
	(void)send(h->fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(h->fd, SHUT_WR);
	close(h->fd);
	pst_buf_clear(&out);
	board_free(env->board, h->wire.row);
}

/* For good: what comes back from here has the user's rights and no others. */
static int
become_user(const struct worker_env *env, const struct handoff *h, struct pst_err *err)
{
	const struct mail_settings *set = &env->settings->mail;
	const struct ticket *t = &h->ticket;

	if (t->uid == 0 || t->gid == 0 || t->uid < set->first_uid || t->gid < set->first_gid)
		return pst_err_set(err, PST_E_PERM,
		                   "uid %u gid %u is below mail.first_uid or mail.first_gid",
		                   t->uid, t->gid);
	return env->confine(env, t->uid, t->gid, h->path, err);
}

static int
serve_one(struct spare *sp, struct handoff *h)
{
	const struct worker_env *env = sp->env;
	struct pst_err err;

	atomic_store(&env->self->sessions, 1);
	env_tell_state(env, SLOT_BUSY); /* the master forks another one */
	if (!h->is_good) {
		refuse(env, h, &h->why);
		return 0;
	}
	if (become_user(env, h, &err) != 0) {
		refuse(env, h, &err);
		return 0; /* this process is of no use any more */
	}
	if (registry_start(env->plugins, "mail", &err) != 0) {
		err.kind = PST_E_TEMP;
		refuse(env, h, &err);
		return 1;
	}
	return mail_serve(env, sp->desk, h);
}

static int
prepare(struct spare *sp, struct pst_err *err)
{
	sp->desk = handoff_desk_create(sp->env);
	sp->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sp->epoll < 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_create1");
	if (watch(sp, sp->env->inbox, EPOLLIN, err) != 0)
		return -1;
	return watch(sp, sp->env->mail_queue, EPOLLIN | EPOLLEXCLUSIVE, err);
}

int
mail_single_run(const struct worker_env *env)
{
	struct spare *sp = pst_new(struct spare);
	struct handoff h = { .fd = -1 };
	struct pst_err err;
	int status = 1;
	int rc;

	sp->env = env;
	rc = prepare(sp, &err);
	if (rc == 0) {
		env_tell_state(env, SLOT_READY);
		rc = wait_for_handoff(sp, &h, &err);
	}
	if (sp->epoll >= 0)
		close(sp->epoll);
	if (rc == 0)
		status = serve_one(sp, &h);
	else if (rc > 0)
		status = 0;
	else
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", env->slot, err.text);
	handoff_desk_destroy(sp->desk);
	free(sp);
	return status;
}
