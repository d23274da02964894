/* SPDX-License-Identifier: MIT */
/* The process that talks to the old server; see remote.h. A question is a datagram: the user's name (or
 * nothing: all names), with a descriptor for the answer, which is lines of text: remote_ask.c reads it. */
#include "ctl/remote.h"

#include <inttypes.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rights.h"
#include "ctl/remote_private.h"

/* In the process; all of it is only read once the threads run. */
struct asker {
	const struct remote_order *order;
	struct migrate_users users;
	int fd;
	int ready; /* 0, or -1: err says why */
	struct pst_err err;
};

/* ---- One user ---- */

struct gather {
	struct likeness *likes; /* by message */
	bool *is_known;
	struct likeness_maker maker;
	bool is_running;
};

static void
on_begin(void *arg, uint32_t i)
{
	struct gather *g = arg;

	(void)i;
	likeness_begin(&g->maker);
	g->is_running = true;
}

static void
on_octets(void *arg, struct pst_str piece)
{
	struct gather *g = arg;

	likeness_feed(&g->maker, piece);
}

static void
on_end(void *arg, uint32_t i, bool refused)
{
	struct gather *g = arg;

	if (!refused)
		likeness_end(&g->maker, &g->likes[i]);
	g->is_known[i] = !refused;
	g->is_running = false;
}

/* TOP for all; RETR for those of which the server does not give it. */
static int
gather(struct pop3client *c, uint32_t n, struct gather *g, struct pst_err *err)
{
	const struct pop3sink sink = { g, on_begin, on_octets, on_end };
	uint32_t *which = pst_new_array(uint32_t, n + (size_t)1);
	uint32_t i, left = 0;
	int rc = 0;

	for (i = 0; i < n; i++)
		which[i] = i;
	if (pop3client_may_top(c))
		rc = pop3client_fetch(c, POP3_HEADER, which, n, &sink, err);
	for (i = 0; i < n; i++)
		if (!g->is_known[i])
			which[left++] = i;
	if (rc == 0)
		rc = pop3client_fetch(c, POP3_WHOLE, which, left, &sink, err);
	if (g->is_running) {
		struct likeness lost;

		likeness_end(&g->maker, &lost);
	}
	free(which);
	return rc;
}

static void
print_hex(FILE *to, const uint8_t digest[32])
{
	unsigned i;

	for (i = 0; i < 32; i++)
		fprintf(to, "%02x", digest[i]);
	(void)fputc(' ', to);
}

static void
print_message(FILE *to, const struct pop3listing *l, uint32_t i, const struct gather *g)
{
	const struct likeness *like = &g->likes[i];
	const struct pst_str uidl = pop3listing_uidl(l, i);
	unsigned flags = (g->is_known[i] ? REMOTE_KNOWN : 0u) |
	                 (like->has_header ? REMOTE_HEADER : 0u) |
	                 (like->has_letter ? REMOTE_LETTER : 0u);

	fprintf(to, "%" PRIu64 " %" PRIu64 " %u ", l->all[i].octets, like->own_octets, flags);
	print_hex(to, like->header);
	print_hex(to, like->letter);
	if (l->all[i].is_valid)
		(void)fwrite(uidl.p, 1, uidl.n, to);
	(void)fputc('\n', to);
}

static int
answer_listing(struct pop3client *c, FILE *to, struct pst_err *err)
{
	struct pop3listing l = { .count = 0 };
	struct gather g = { .is_running = false };
	uint32_t i;
	int rc = pop3client_list(c, &l, err);

	if (rc != 0)
		return -1;
	g.likes = pst_new_array(struct likeness, l.count + (size_t)1);
	g.is_known = pst_new_array(bool, l.count + (size_t)1);
	rc = gather(c, l.count, &g, err);
	if (rc == 0)
		fprintf(to, REMOTE_LISTING "%" PRIu32 " %u\n", l.count, l.has_uidls ? 1u : 0u);
	for (i = 0; i < l.count && rc == 0; i++)
		print_message(to, &l, i, &g);
	free(g.likes);
	free(g.is_known);
	pop3listing_clear(&l);
	return rc;
}

static int
compare_users(const void *a, const void *b)
{
	const struct pst_str *x = &((const struct migrate_user *)a)->name;
	const struct pst_str *y = &((const struct migrate_user *)b)->name;
	int rc = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return rc != 0 ? rc : (x->n > y->n) - (x->n < y->n);
}

/* Here a name may have been folded to lower case, or have got the default domain. */
static bool
is_called(struct pst_str listed, struct pst_str name)
{
	return pst_str_ieq(listed, name) ||
	       (listed.n < name.n && name.p[listed.n] == '@' &&
	        pst_str_ieq(listed, (struct pst_str){ name.p, listed.n }));
}

static const struct migrate_user *
find_user(const struct asker *a, struct pst_str name)
{
	const struct migrate_user wanted = { .name = name };
	const struct migrate_user *found =
		bsearch(&wanted, a->users.all, a->users.n, sizeof(wanted), compare_users);
	size_t i;

	for (i = 0; i < a->users.n && found == NULL; i++)
		if (is_called(a->users.all[i].name, name))
			found = &a->users.all[i];
	return found;
}

static int
answer_user(const struct asker *a, struct pst_str name, FILE *to, struct pst_err *err)
{
	const struct migrate_user *user = find_user(a, name);
	struct pop3client *c;
	int rc;

	if (user == NULL)
		return pst_err_set(err, PST_E_CLIENT, "there is no such user in the file");
	c = migrate_login(a->order->side, user, err);
	rc = c == NULL ? -1 : answer_listing(c, to, err);
	pop3client_close(c);
	return rc;
}

static int
answer_names(const struct asker *a, FILE *to, struct pst_err *err)
{
	size_t i;

	*err = a->err;
	if (a->ready != 0)
		return -1;
	fprintf(to, REMOTE_NAMES "%zu\n", a->users.n);
	for (i = 0; i < a->users.n; i++) {
		(void)fwrite(a->users.all[i].name.p, 1, a->users.all[i].name.n, to);
		(void)fputc('\n', to);
	}
	return 0;
}

/* ---- The process ---- */

/* A question and its descriptor; false: nobody will ask again. */
static bool
take_question(int fd, char *name, size_t cap, size_t *n_out, int *reply_fd_out)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { name, cap };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *cmsg;
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

	*reply_fd_out = -1;
	if (n < 0)
		return errno == EINTR;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS || cmsg->cmsg_len < CMSG_LEN(sizeof(int)))
		return false; /* the other end is gone, or no question of ours */
	memcpy(reply_fd_out, CMSG_DATA(cmsg), sizeof(int));
	*n_out = (size_t)n;
	return true;
}

static void *
answer_all(void *arg)
{
	const struct asker *a = arg;
	char name[REMOTE_NAME_MAX];
	size_t n = 0;
	int fd;

	while (take_question(a->fd, name, sizeof(name), &n, &fd)) {
		FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
		struct pst_err err;
		int rc;

		if (to == NULL)
			continue;
		rc = n == 0 ? answer_names(a, to, &err)
		            : answer_user(a, (struct pst_str){ name, n }, to, &err);
		if (rc != 0)
			fprintf(to, REMOTE_ERROR "%d %s\n", (int)err.kind, err.text);
		else
			fprintf(to, REMOTE_END "\n");
		(void)fclose(to);
	}
	return NULL;
}

/* Nothing of root's is needed any more: what the server sends meets as little as can be. */
static int
give_root_up(struct pst_err *err)
{
	const struct passwd *nobody;

	if (geteuid() != 0)
		return 0;
	nobody = getpwnam("nobody");
	if (nobody == NULL)
		return pst_err_set(err, PST_E_PERM,
		                   "there is no user nobody to talk to the server");
	return rights_become(nobody->pw_uid, nobody->pw_gid, err);
}

static void
run(const struct remote_order *order, int fd)
{
	struct asker a = { .order = order, .fd = fd };
	pthread_t thread;
	uint32_t i;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)signal(SIGINT, SIG_IGN); /* who asks ends it */
	a.ready = -1;
	if (migrate_users_read(&a.users, order->users_path, &a.err) == 0 &&
	    migrate_side_prepare(order->side, &a.err) == 0 && give_root_up(&a.err) == 0)
		a.ready = 0;
	migrate_begin(); /* who becomes another user may be looked into again */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	migrate_users_sample(&a.users, order->sample);
	if (a.users.n > 0)
		qsort(a.users.all, a.users.n, sizeof(*a.users.all), compare_users);
	for (i = 1; i < order->jobs; i++)
		if (pthread_create(&thread, NULL, answer_all, &a) != 0)
			break;
	(void)answer_all(&a);
	migrate_users_clear(&a.users);
	pst_secret_clear(&order->side->password);
	_exit(0);
}

int
remote_start(struct remote *r, const struct remote_order *order, char ***names_out, size_t *n_out,
             struct pst_err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return pst_err_sys(err, PST_E_TEMP, "socketpair");
	r->pid = fork();
	if (r->pid == 0) {
		close(ends[0]);
		run(order, ends[1]);
	}
	close(ends[1]);
	r->fd = ends[0];
	if (r->pid < 0)
		return pst_err_sys(err, PST_E_TEMP, "fork");
	return remote_ask_names(r->fd, names_out, n_out, err);
}

void
remote_stop(struct remote *r)
{
	if (r->fd < 0)
		return;
	close(r->fd);
	r->fd = -1;
	if (r->pid > 0) {
		(void)kill(r->pid, SIGKILL); /* a job may be waiting for the server */
		(void)waitpid(r->pid, NULL, 0);
	}
}
