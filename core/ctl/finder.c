/* SPDX-License-Identifier: MIT */
/* Whose mail, and where; see finder.h. */
#include "ctl/finder.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/parts.h"
#include "credentials/chain.h"
#include "credentials/location.h"
#include "ctl/backends.h"
#include "ctl/names.h"
#include "ipc/message.h"

#define IMAGE_OCTETS (4u << 20) /* as config/texts.h says */
#define SAID_CONFIG 100         /* the first thing that is said: the images are there */

struct image {
	size_t n;
	uint8_t data[IMAGE_OCTETS];
};

struct images {
	struct image core, storage;
};

struct finder {
	pid_t pid;
	int fd;
	uint8_t message[MSG_MAX_OCTETS];
	char *row_text; /* of the last row */
};

/* ---- In the other process ---- */

struct search {
	struct ctl *c;
	int fd;
	struct registry *registry;
	struct chain *chain;
	struct pst_arena *arena; /* one question's */
	const char *renamed;     /* in it: the name that the one asked for stands for, or NULL */
};

static void PST_NORETURN
leave(int status)
{
	(void)fflush(stderr);
	_exit(status);
}

static void
put(const struct search *s, struct msg_writer *w)
{
	const size_t n = msg_end(w);

	/* Who listened has gone: nobody is interested any more. */
	if (n == 0 || send(s->fd, w->p, n, MSG_NOSIGNAL) != (ssize_t)n)
		leave(CTL_FAILED);
}

static void
tell_err(const struct search *s, enum finder_said said, const char *user, const struct pst_err *err)
{
	uint8_t room[1024];
	struct msg_writer w = { .p = room, .cap = sizeof(room) };

	msg_put_u8(&w, (uint8_t)said);
	msg_put_str(&w, pst_str_c(user));
	msg_put_u8(&w, (uint8_t)err->kind);
	msg_put_str(&w, pst_str_c(err->text));
	put(s, &w);
}

static void
tell_number(const struct search *s, unsigned said, uint32_t n)
{
	uint8_t room[16];
	struct msg_writer w = { .p = room, .cap = sizeof(room) };

	msg_put_u8(&w, (uint8_t)said);
	msg_put_u32(&w, n);
	put(s, &w);
}

static void
tell_row(const struct search *s, const struct chain_answer *a)
{
	const char *colon = memchr(a->location.p, ':', a->location.n); /* location_fill saw to it */
	const size_t at = (size_t)(colon - a->location.p);
	uint8_t room[8192];
	struct msg_writer w = { .p = room, .cap = sizeof(room) };

	msg_put_u8(&w, FINDER_ROW);
	msg_put_str(&w, a->user.whole);
	msg_put_str(&w, (struct pst_str){ a->location.p, at });
	msg_put_str(&w, (struct pst_str){ colon + 1, a->location.n - at - 1 });
	msg_put_u32(&w, a->record.uid);
	msg_put_u32(&w, a->record.gid);
	msg_put_u32(&w, a->record.expire_days);
	msg_put_u32(&w, a->record.hold_days);
	msg_put_u8(&w, a->verdict == CHAIN_DISABLED);
	put(s, &w);
}

/* Who may not log in has mail all the same; the chain does not say where. */
static int
settle_disabled(struct search *s, const struct username *asked, struct chain_answer *a,
                struct pst_err *err)
{
	const struct settings *set = &s->c->settings;
	const struct pst_auth_record *r = &a->record;
	struct pst_str name = r->user.n > 0        ? r->user
	                      : s->renamed != NULL ? pst_str_c(s->renamed)
	                                           : asked->whole;

	if (username_fold(name, set->auth.default_domain, &a->user, err) != 0)
		return -1;
	a->user.home = r->home;
	return location_fill(r->location.n > 0 ? r->location : pst_str_c(set->mail.location),
	                     &a->user, s->arena, &a->location, err);
}

/* A system user, whom only a backend without lookup knows (PAM): what the system says of the user is
 * what that backend would. False: there is none of the name. */
static bool
settle_system(struct search *s, const struct username *asked, struct chain_answer *a,
              struct pst_err *err)
{
	const struct passwd *pw = getpwnam(asked->whole.p);

	if (pw == NULL || pw->pw_uid == 0)
		return false;
	a->record = (struct pst_auth_record){ .uid = pw->pw_uid, .gid = pw->pw_gid };
	a->record.home = pst_str_c(pst_arena_printf(s->arena, "%s", pw->pw_dir));
	a->verdict = CHAIN_OK;
	if (settle_disabled(s, asked, a, err) != 0) {
		a->verdict = CHAIN_ERROR;
		a->err = *err;
	}
	return true;
}

static bool
checks_passwords_itself(const struct search *s, size_t backend)
{
	return backend < chain_count(s->chain) && chain_auth(s->chain, backend)->lookup == NULL;
}

static void
on_renamed(void *arg, struct pst_str user)
{
	struct search *s = arg;

	s->renamed = pst_arena_copy(s->arena, user);
}

static void
ask(struct search *s, const struct username *user, struct chain_answer *a)
{
	const struct chain_proof proof = { .kind = PROOF_NONE };
	const struct chain_watch watch = { .renamed = on_renamed, .arg = s };
	const struct pst_auth_query query = {
		.user = user->whole,
		.local_part = user->local,
		.domain = user->domain,
		.remote_ip = PST_LIT("127.0.0.1"),
		.local_ip = PST_LIT("127.0.0.1"),
		.mechanism = PST_LIT("USER"),
		.tls = true,
	};
	struct pst_err err;

	s->renamed = NULL;
	chain_ask(s->chain, &query, &proof, s->arena, &watch, a);
	if (a->verdict == CHAIN_ERROR && checks_passwords_itself(s, a->backend))
		(void)settle_system(s, user, a, &err);
	else if (a->verdict == CHAIN_DISABLED && settle_disabled(s, user, a, &err) != 0) {
		a->verdict = CHAIN_ERROR;
		a->err = err;
	}
}

/* is_listed: it comes from a list of all users, on which whom it stands for is too. */
static void
find(struct search *s, const char *name, bool is_listed)
{
	struct chain_answer a;
	struct username user;
	struct pst_err err;

	if (username_fold(pst_str_c(name), s->c->settings.auth.default_domain, &user, &err) != 0) {
		tell_err(s, FINDER_FAILED, name, &err);
		return;
	}
	ask(s, &user, &a);
	if (a.verdict == CHAIN_UNKNOWN)
		pst_err_set(&a.err, PST_E_CLIENT, "there is no such user");
	else if (a.record.proxy.n > 0)
		pst_err_set(&a.err, PST_E_CLIENT, "is served by another server, %.*s",
		            PST_ARG(a.record.proxy));
	if (is_listed && (a.record.proxy.n > 0 || s->renamed != NULL))
		tell_err(s, FINDER_PASSED, name, &a.err);
	else if (a.record.proxy.n > 0 || (a.verdict != CHAIN_OK && a.verdict != CHAIN_DISABLED))
		tell_err(s, FINDER_FAILED, name, &a.err);
	else
		tell_row(s, &a);
}

static void
tell_config(const struct search *s, struct images *images)
{
	struct conf_texts parts[CONF_PARTS];

	conf_texts_part(&s->c->texts, parts);
	images->core.n = conf_texts_encode(&parts[CONF_CORE], images->core.data, IMAGE_OCTETS);
	images->storage.n =
		conf_texts_encode(&parts[CONF_STORAGE], images->storage.data, IMAGE_OCTETS);
	tell_number(s, SAID_CONFIG, 0);
}

static void
search(struct search *s, const struct drops_names *names)
{
	struct names list;
	bool complete = true;
	struct pst_err err;
	size_t i;

	s->registry = ctl_backends_start(s->c, s->c->settings.auth.backends, &err);
	if (s->registry != NULL)
		s->chain = chain_create(&s->c->settings, s->registry, &err);
	if (s->chain == NULL)
		leave(ctl_fail("%s", err.text));
	if (names_gather(&list, s->chain, s->registry, names, &complete, &err) != 0)
		leave(ctl_fail("%s", err.text));
	tell_number(s, FINDER_COUNT, (uint32_t)list.n);
	s->arena = pst_arena_create();
	for (i = 0; i < list.n; i++) {
		find(s, list.v[i].name, list.v[i].is_listed);
		pst_arena_reset(s->arena);
	}
	tell_number(s, FINDER_END, complete);
	names_clear(&list);
	pst_arena_destroy(s->arena);
	chain_destroy(s->chain);
	registry_destroy(s->registry);
}

static void PST_NORETURN
run(struct ctl *c, const struct drops_names *names, struct images *images, int fd)
{
	struct search s = { .c = c, .fd = fd };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (ctl_need_config(c) != 0)
		leave(CTL_FAILED);
	tell_config(&s, images);
	search(&s, names);
	leave(CTL_OK);
}

/* ---- In ours ---- */

static int
read_config(struct ctl *c, const struct images *images, struct conf_texts *storage_out)
{
	struct pst_err err;

	conf_texts_init(&c->texts, c->arena);
	conf_texts_init(storage_out, c->arena);
	conf_problems_init(&c->problems, c->arena);
	if (conf_texts_decode(&c->texts,
	                      (struct pst_str){ (const char *)images->core.data, images->core.n },
	                      &err) != 0 ||
	    conf_texts_decode(
		    storage_out,
		    (struct pst_str){ (const char *)images->storage.data, images->storage.n },
		    &err) != 0)
		return ctl_fail("%s", err.text);
	settings_load(&c->texts, &c->settings, &c->problems);
	if (c->problems.n == 0)
		return CTL_OK;
	ctl_print_problems(&c->problems); /* it had none a moment ago, in the other process */
	return CTL_FAILED;
}

static ssize_t
take_message(struct finder *f)
{
	ssize_t n;

	do {
		n = recv(f->fd, f->message, sizeof(f->message), 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

static struct finder *
start(struct ctl *c, const struct drops_names *names, struct images *images)
{
	struct finder *f;
	int ends[2];
	pid_t pid;

	(void)fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		ctl_fail("socketpair: %s", strerror(errno));
		return NULL;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		run(c, names, images, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		ctl_fail("fork: %s", strerror(errno));
		close(ends[0]);
		return NULL;
	}
	f = pst_new(struct finder);
	f->pid = pid;
	f->fd = ends[0];
	return f;
}

struct finder *
finder_start(struct ctl *c, const struct drops_names *names, struct conf_texts *storage_out)
{
	struct images *images = mmap(NULL, sizeof(*images), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct finder *f;

	if (images == MAP_FAILED) {
		ctl_fail("mmap: %s", strerror(errno));
		return NULL;
	}
	f = start(c, names, images);
	/* Without a first message it has told already what is wrong with the configuration. */
	if (f != NULL && (take_message(f) <= 0 || read_config(c, images, storage_out) != CTL_OK)) {
		finder_destroy(f);
		f = NULL;
	}
	(void)munmap(images, sizeof(*images));
	return f;
}

int
finder_fd(const struct finder *f)
{
	return f->fd;
}

static const char *
keep(struct finder *f, size_t *used, struct pst_str s)
{
	char *at = f->row_text + *used;

	if (s.n > 0)
		memcpy(at, s.p, s.n);
	at[s.n] = '\0';
	*used += s.n + 1;
	return at;
}

static void
take_row(struct finder *f, struct msg_reader *r, struct drop_row *row)
{
	size_t used = 0;

	f->row_text = pst_realloc(f->row_text, MSG_MAX_OCTETS + 3);
	row->user = keep(f, &used, msg_get_str(r, USERNAME_MAX));
	row->storage = keep(f, &used, msg_get_str(r, LOCATION_MAX));
	row->path = keep(f, &used, msg_get_str(r, LOCATION_MAX));
	row->uid = msg_get_u32(r);
	row->gid = msg_get_u32(r);
	row->expire_days = msg_get_u32(r);
	row->hold_days = msg_get_u32(r);
	row->is_disabled = msg_get_u8(r) != 0;
}

static void
take_failure(struct finder *f, struct msg_reader *r, struct finder_answer *out)
{
	size_t used = 0;
	struct pst_str text;

	f->row_text = pst_realloc(f->row_text, MSG_MAX_OCTETS + 3);
	out->row.user = keep(f, &used, msg_get_str(r, MSG_MAX_OCTETS));
	out->err.kind = (enum pst_err_kind)msg_get_u8(r);
	text = msg_get_str(r, sizeof(out->err.text) - 1);
	pst_err_set(&out->err, out->err.kind, "%.*s", PST_ARG(text));
}

void
finder_take(struct finder *f, struct finder_answer *out)
{
	const ssize_t n = take_message(f);
	struct msg_reader r = { .p = f->message, .left = n > 0 ? (size_t)n : 0 };

	*out = (struct finder_answer){ .said = FINDER_END };
	if (n <= 0) /* it died */
		return;
	out->said = (enum finder_said)msg_get_u8(&r);
	switch (out->said) {
	case FINDER_COUNT:
		out->count = msg_get_u32(&r);
		break;
	case FINDER_ROW:
		take_row(f, &r, &out->row);
		break;
	case FINDER_FAILED:
	case FINDER_PASSED:
		take_failure(f, &r, out);
		break;
	case FINDER_END:
		out->complete = msg_get_u32(&r) != 0;
		break;
	}
}

void
finder_destroy(struct finder *f)
{
	if (f == NULL)
		return;
	close(f->fd);
	(void)kill(f->pid, SIGKILL);
	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(f->row_text);
	free(f);
}
