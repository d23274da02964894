/* SPDX-License-Identifier: MIT */
/* A worker's own side; see crew.h. It begins with the rights of who started posternctl, which may be
 * root's, loads the storage plugins as the server's mail workers do, and gives root up before the first
 * path of a user is touched. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rights.h"
#include "ctl/crew.h"
#include "ipc/env.h"
#include "ipc/message.h"
#include "plugin/check.h"
#include "plugin/registry.h"

#define SOCKET_FD 3
#define PLAN_FD 4       /* where the plan has one */
#define AGAIN_US 100000 /* after that a maildrop in use is tried again */

struct crewman_self {
	const struct crew_order *order;
	struct worker_env env;
	bool is_ready; /* it is the owner, and the plugins are started */
	struct drop drop;
};

size_t
crew_put_row(void *out, size_t cap, const struct drop_row *row)
{
	struct msg_writer w = { .p = out, .cap = cap };

	msg_put_str(&w, pst_str_c(row->user));
	msg_put_str(&w, pst_str_c(row->storage));
	msg_put_str(&w, pst_str_c(row->path));
	msg_put_u32(&w, row->uid);
	msg_put_u32(&w, row->gid);
	msg_put_u32(&w, row->expire_days);
	msg_put_u32(&w, row->hold_days);
	msg_put_u8(&w, row->is_disabled);
	return msg_end(&w);
}

/* The next string of the message, with a NUL after it, in what is left of room. */
static const char *
take_text(struct msg_reader *r, char **room, size_t *left)
{
	const struct pst_str s = msg_get_str(r, *left > 0 ? *left - 1 : 0);
	char *at = *room;

	if (s.n >= *left)
		return "";
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	at[s.n] = '\0';
	*room += s.n + 1;
	*left -= s.n + 1;
	return at;
}

bool
crew_get_row(struct pst_str message, struct drop_row *row, char *room, size_t cap)
{
	struct msg_reader r = { .p = (const uint8_t *)message.p, .left = message.n };
	struct pst_err err;

	*row = (struct drop_row){ .user = take_text(&r, &room, &cap) };
	row->storage = take_text(&r, &room, &cap);
	row->path = take_text(&r, &room, &cap);
	row->uid = msg_get_u32(&r);
	row->gid = msg_get_u32(&r);
	row->expire_days = msg_get_u32(&r);
	row->hold_days = msg_get_u32(&r);
	row->is_disabled = msg_get_u8(&r) != 0;
	return msg_close(&r, &err) == 0;
}

/* ---- What it says ---- */

/* Who listened has gone: there is nobody to work for. */
static void
say(const struct drop *d, const void *octets, size_t n)
{
	if (send(d->fd, octets, n, MSG_NOSIGNAL) != (ssize_t)n)
		_exit(1);
}

static void
say_line(const struct drop *d, enum crew_said said, const char *prefix, const char *fmt, va_list ap)
{
	char room[CREW_MESSAGE_MAX / 2];
	size_t n = 1;
	size_t i;
	int got;

	room[0] = (char)said;
	if (prefix != NULL)
		n += (size_t)snprintf(room + n, sizeof(room) - n, "%.300s: ", prefix);
	got = vsnprintf(room + n, sizeof(room) - n, fmt, ap);
	n += got > 0 ? (size_t)got : 0;
	if (n >= sizeof(room))
		n = sizeof(room) - 1; /* a path can hardly be that long */
	for (i = 1; i < n; i++)
		if (((unsigned char)room[i] < 0x20 && room[i] != '\t') || room[i] == 0x7f)
			room[i] = '?';
	say(d, room, n);
}

void
drop_say(struct drop *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(d, CREW_LINE, NULL, fmt, ap);
	va_end(ap);
}

void
drop_warn(struct drop *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(d, CREW_COMPLAINT, d->row.user, fmt, ap);
	va_end(ap);
}

void
drop_count(struct drop *d, unsigned which, uint64_t n)
{
	pst_assert(which < DROPS_COUNTS);
	d->counts[which] += n;
}

static void
say_result(const struct drop *d, int rc, const struct pst_err *err)
{
	uint8_t room[1024];
	struct msg_writer w = { .p = room, .cap = sizeof(room) };
	size_t i;

	msg_put_u8(&w, CREW_RESULT);
	msg_put_u8(&w, rc != 0);
	msg_put_u8(&w, rc != 0 ? (uint8_t)err->kind : 0);
	msg_put_str(&w, pst_str_c(rc != 0 ? err->text : ""));
	for (i = 0; i < DROPS_COUNTS; i++)
		msg_put_u64(&w, d->counts[i]);
	say(d, room, msg_end(&w));
}

/* ---- Becoming the owner ---- */

static int
find_owner(const struct crew_order *o, const struct drop_row *row, uid_t *uid, gid_t *gid,
           struct pst_err *err)
{
	const struct mail_settings *mail = &o->settings->mail;

	*uid = o->mail_uid;
	*gid = o->mail_gid;
	if (mail->run_as != RUN_AS_USER)
		return 0;
	*uid = row->uid;
	*gid = row->gid;
	if (geteuid() != 0)
		return *uid == geteuid()
		               ? 0
		               : pst_err_set(err, PST_E_PERM,
		                             "belongs to uid %u: only root can become that",
		                             row->uid);
	if (*uid == 0 || *gid == 0 || (int64_t)*uid < mail->first_uid ||
	    (int64_t)*gid < mail->first_gid)
		return pst_err_set(err, PST_E_PERM,
		                   "uid %u gid %u is below mail.first_uid or mail.first_gid", *uid,
		                   *gid);
	return 0;
}

static int
become_owner(const struct crew_order *o, const struct drop_row *row, struct pst_err *err)
{
	uid_t uid;
	gid_t gid;

	if (find_owner(o, row, &uid, &gid, err) != 0)
		return -1;
	if (geteuid() == 0) {
		rights_empty_bounding_set();
		if (rights_become(uid, gid, err) != 0)
			return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "no_new_privs");
	/* The change of ids has cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return pst_err_sys(err, PST_E_PERM, "parent death signal");
	return 0;
}

/* The storage plugins that mail workers have. */
static int
load_plugins(struct crewman_self *self, struct pst_err *err)
{
	const struct worker_env *env = &self->env;
	const struct pst_str storage =
		plugin_location_storage(self->order->settings->mail.location);
	char name[SETTINGS_NAME_MAX + 1];

	if (registry_load_sections(env, PST_STORAGE, err) != 0)
		return -1;
	(void)snprintf(name, sizeof(name), "%.*s", PST_ARG(storage));
	return registry_load(env, PST_STORAGE, name, err);
}

static int
prepare(struct crewman_self *self, struct pst_err *err)
{
	const struct crew_order *o = self->order;

	self->env = (struct worker_env){
		.kind = WORKER_MAIL,
		.settings = o->settings,
		.sections = o->sections,
		.plugins = registry_create(NULL),
	};
	if (load_plugins(self, err) != 0 || become_owner(o, &self->drop.row, err) != 0 ||
	    registry_start(self->env.plugins, "ctl", err) != 0)
		return -1;
	self->is_ready = true;
	return 0;
}

/* ---- The work ---- */

int
drop_storage(struct drop *d, const char *instance, const struct pst_storage **storage_out,
             void **self_out, struct pst_err *err)
{
	struct registry *r = d->env->plugins;
	struct plugin *p = registry_find(r, PST_STORAGE, pst_str_c(instance));

	if (p == NULL && registry_load(d->env, PST_STORAGE, instance, err) == 0 &&
	    registry_start(r, "ctl", err) == 0)
		p = registry_find(r, PST_STORAGE, pst_str_c(instance));
	if (p == NULL)
		return -1;
	*storage_out = plugin_descriptor(p)->storage;
	*self_out = plugin_self(p);
	return 0;
}

int
drop_open(struct drop *d, unsigned flags, struct pst_err *err)
{
	const struct pst_maildrop_spec spec = {
		.path = d->row.path,
		.user = pst_str_c(d->row.user),
		.flags = flags,
	};
	const int64_t deadline = pst_now_ms() + d->wait_ms;

	while (d->storage->open(d->self, &spec, &d->drop, err) != 0) {
		d->drop = NULL;
		if (err->kind != PST_E_IN_USE || pst_now_ms() >= deadline)
			return -1;
		(void)usleep(AGAIN_US);
	}
	d->count = d->storage->count(d->drop);
	return 0;
}

void
drop_message(const struct drop *d, uint32_t idx, struct pst_message *out)
{
	*out = (struct pst_message){ .size_octets = 0 };
	d->storage->message(d->drop, idx, out);
}

static int
work(struct crewman_self *self, struct pst_err *err)
{
	const struct drops_plan *plan = self->order->plan;
	struct drop *d = &self->drop;
	const unsigned flags = plan->flags != NULL ? *plan->flags : plan->open_flags;
	int rc;

	pst_err_set(err, PST_E_TEMP, "no reason was given");
	if (!self->is_ready && prepare(self, err) != 0)
		return -1;
	d->settings = self->order->settings;
	d->env = &self->env;
	d->wait_ms = self->order->how.wait_ms;
	if (drop_storage(d, d->row.storage, &d->storage, &d->self, err) != 0 ||
	    (!plan->does_not_open && drop_open(d, flags, err) != 0))
		return -1;
	rc = plan->work(d, plan->arg, err);
	if (d->drop != NULL)
		d->storage->close(d->drop);
	return rc;
}

/* ---- The process ---- */

/* Neither is on the other's place before it was copied from there. */
static void
keep_descriptors(int fd, int plan_fd)
{
	const int socket_fd = fcntl(fd, F_DUPFD, PLAN_FD + 1);
	const int other_fd = plan_fd > 0 ? fcntl(plan_fd, F_DUPFD, PLAN_FD + 1) : -1;

	(void)dup2(socket_fd, SOCKET_FD);
	if (other_fd >= 0)
		(void)dup2(other_fd, PLAN_FD);
	(void)close_range(other_fd >= 0 ? PLAN_FD + 1 : SOCKET_FD + 1, ~0U, 0);
}

static void
leave_all_behind(int fd, int plan_fd)
{
	const int null = open("/dev/null", O_RDWR);

	(void)signal(SIGINT, SIG_IGN); /* who gives the work out ends it */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)umask(077);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO); /* what a plugin prints is no result */
	keep_descriptors(fd, plan_fd);
	if (chdir("/") != 0)
		_exit(1);
	pst_log_set_level(PST_LOG_WARN);
	pst_log_set_worker("ctl");
}

void
crewman_run(const struct crew_order *order, int fd)
{
	struct crewman_self *self = pst_new(struct crewman_self);
	char *message = pst_realloc(NULL, CREW_MESSAGE_MAX);
	char *room = pst_realloc(NULL, CREW_MESSAGE_MAX);
	ssize_t n;

	leave_all_behind(fd, order->plan->fd);
	self->order = order;
	while ((n = recv(SOCKET_FD, message, CREW_MESSAGE_MAX, 0)) > 0) {
		struct pst_err err;
		int rc;

		self->drop = (struct drop){
			.fd = SOCKET_FD,
			.plan_fd = order->plan->fd > 0 ? PLAN_FD : -1,
		};
		if (!crew_get_row((struct pst_str){ message, (size_t)n }, &self->drop.row, room,
		                  CREW_MESSAGE_MAX))
			break;
		rc = work(self, &err);
		say_result(&self->drop, rc, &err);
		if (!self->is_ready) /* nothing is known about what holds */
			break;
	}
	registry_destroy(self->env.plugins);
	free(self);
	free(message);
	free(room);
	_exit(0);
}
