/* SPDX-License-Identifier: MIT */
/* Listening sockets; see listen.h. */
#include "master/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/net.h"

#define SYSTEMD_FIRST_FD 3

struct place {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool is_systemd; /* not made here: never shut, and shared by all slots */
	int *fds;
	uint32_t n;
	uint32_t had;       /* of n, before the listen_open that goes on */
	uint32_t committed; /* of n */
};

struct listen_set {
	struct place *v;
	size_t n;
};

struct listen_set *
listen_create(void)
{
	return pst_new(struct listen_set);
}

/* A worker may have copies: only a shutdown ends the listening at once. Those of the service manager
 * go on for the next server. */
static void
place_close(struct place *p, uint32_t from)
{
	while (p->n > from) {
		p->n--;
		if (!p->is_systemd)
			(void)shutdown(p->fds[p->n], SHUT_RDWR);
		close(p->fds[p->n]);
	}
	if (p->n == 0) {
		free(p->fds);
		p->fds = NULL;
	}
}

void
listen_destroy(struct listen_set *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->n; i++)
		place_close(&l->v[i], 0);
	free(l->v);
	free(l);
}

/* Compares what makes two sockets the same place: family, address, port. */
static bool
is_same_addr(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;

	if (a->ss_family != b->ss_family || pst_addr_port(a) != pst_addr_port(b))
		return false;
	if (a->ss_family == AF_INET6)
		return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
		       a6->sin6_scope_id == b6->sin6_scope_id;
	return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

static struct place *
find_place(const struct listen_set *l, const struct sockaddr_storage *addr)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (is_same_addr(&l->v[i].addr, addr))
			return &l->v[i];
	return NULL;
}

static struct place *
add_place(struct listen_set *l, const struct sockaddr_storage *addr, socklen_t addr_len)
{
	struct place *p;

	l->v = pst_realloc_array(l->v, l->n + 1, sizeof(*l->v));
	p = &l->v[l->n++];
	memset(p, 0, sizeof(*p));
	p->addr = *addr;
	p->addr_len = addr_len;
	return p;
}

static void
add_fd(struct place *p, int fd)
{
	p->fds = pst_realloc_array(p->fds, p->n + 1, sizeof(*p->fds));
	p->fds[p->n++] = fd;
}

static bool
is_listening_stream(int fd)
{
	int value = 0;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &n) == 0 && value != 0;
}

void
listen_adopt(struct listen_set *l)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	uint64_t pid_num = 0, n = 0, i;

	if (pid == NULL || count == NULL || !pst_str_u64(pst_str_c(pid), &pid_num) ||
	    !pst_str_u64(pst_str_c(count), &n) || pid_num != (uint64_t)getpid() || n > 256)
		return;
	for (i = 0; i < n; i++) {
		int fd = SYSTEMD_FIRST_FD + (int)i;
		struct sockaddr_storage addr = { 0 };
		socklen_t addr_len = sizeof(addr);
		struct place *p;

		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!is_listening_stream(fd) ||
		    getsockname(fd, (struct sockaddr *)&addr, &addr_len) != 0)
			continue;
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		p = find_place(l, &addr);
		if (p == NULL)
			p = add_place(l, &addr, addr_len);
		p->is_systemd = true;
		add_fd(p, fd);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

static int
set_option(int fd, int level, int name, struct pst_err *err)
{
	int on = 1;

	if (setsockopt(fd, level, name, &on, sizeof(on)) != 0)
		return pst_err_sys(err, PST_E_PERM, "setsockopt");
	return 0;
}

/* A bound socket, or -1. is_shared: others of ours may be bound to the same place. */
static int
bound_socket(const struct place *p, bool is_shared, struct pst_err *err)
{
	int fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return pst_err_sys(err, PST_E_PERM, "socket");
	/* Connections of the server before that are in TIME_WAIT do not count. */
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, err) != 0 ||
	    (is_shared && set_option(fd, SOL_SOCKET, SO_REUSEPORT, err) != 0) ||
	    (p->addr.ss_family == AF_INET6 &&
	     set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, err) != 0)) {
		close(fd);
		return -1;
	}
	if (bind(fd, (const struct sockaddr *)&p->addr, p->addr_len) != 0) {
		int saved = errno;

		pst_err_sys(err, PST_E_PERM, "bind");
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* Turns the failed bind (its errno is fresh) into what the operator can act on. */
static int
explain_bind(const struct listener_settings *s, struct pst_err *err)
{
	const char *hint = "";

	if (errno == EADDRINUSE)
		hint = "; another program has this port: see `ss -ltnp`, stop it or choose another "
		       "port";
	else if (errno == EACCES)
		hint = "; ports below 1024 need root (or CAP_NET_BIND_SERVICE)";
	else if (errno == EADDRNOTAVAIL)
		hint = "; no interface has this address: see `ip addr`";
	return pst_err_sys(err, PST_E_PERM, "listener.%s: cannot listen on %s port %d%s", s->name,
	                   s->address, (int)s->port, hint);
}

static bool
is_wildcard(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Would a socket of a be in the way of one of b that knows nothing of SO_REUSEPORT? */
static bool
is_in_the_way(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	return a->ss_family == b->ss_family && pst_addr_port(a) == pst_addr_port(b) &&
	       (is_wildcard(a) || is_wildcard(b) || is_same_addr(a, b));
}

/* With SO_REUSEPORT a second server of the same user would be let in beside the first, and each
 * would get half of the connections. So a place is first tried without it, as long as none of our
 * own sockets can be in the way. */
static int
probe(const struct listen_set *l, const struct place *p, const struct listener_settings *s,
      struct pst_err *err)
{
	size_t i;
	int fd;

	for (i = 0; i < l->n; i++)
		if (l->v[i].n > 0 && is_in_the_way(&l->v[i].addr, &p->addr))
			return 0;
	fd = bound_socket(p, false, err);
	if (fd < 0)
		return explain_bind(s, err);
	if (listen(fd, 1) != 0) {
		close(fd);
		return explain_bind(s, err);
	}
	close(fd);
	return 0;
}

static int
open_place(struct listen_set *l, struct place *p, const struct listener_settings *s, uint32_t slots,
           struct pst_err *err)
{
	if (p->n == 0 && probe(l, p, s, err) != 0)
		return -1;
	while (p->n < slots && !p->is_systemd) {
		int fd = bound_socket(p, true, err);

		if (fd < 0)
			return explain_bind(s, err);
		add_fd(p, fd);
	}
	return 0;
}

/* Closes all but the first keep(place) sockets of each place, and forgets places without any. */
static void
cut_back(struct listen_set *l, uint32_t (*keep)(const struct place *p))
{
	size_t i = 0;

	while (i < l->n) {
		struct place *p = &l->v[i];

		place_close(p, keep(p));
		if (p->n > 0)
			i++;
		else
			*p = l->v[--l->n];
	}
}

static uint32_t
keep_committed(const struct place *p)
{
	return p->is_systemd ? p->n : p->committed;
}

static uint32_t
keep_had(const struct place *p)
{
	return p->had;
}

static int
check_doubles(const struct settings *s, struct pst_err *err)
{
	size_t i, k;

	for (i = 0; i < s->listener_count; i++)
		for (k = 0; k < i; k++) {
			const struct listener_settings *a = &s->listeners[k], *b = &s->listeners[i];

			if (a->port == b->port && strcmp(a->address, b->address) == 0)
				return pst_err_set(
					err, PST_E_PERM,
					"listener.%s and listener.%s are both %s port %d", a->name,
					b->name, a->address, (int)a->port);
		}
	return 0;
}

int
listen_open(struct listen_set *l, const struct settings *s, uint32_t slots, struct pst_err *err)
{
	size_t i;

	if (check_doubles(s, err) != 0)
		return -1;
	for (i = 0; i < l->n; i++)
		l->v[i].had = l->v[i].n;
	for (i = 0; i < s->listener_count; i++) {
		const struct listener_settings *ls = &s->listeners[i];
		struct sockaddr_storage addr;
		socklen_t addr_len;
		struct place *p;

		if (pst_addr_parse(ls->address, (uint16_t)ls->port, &addr, &addr_len, err) != 0)
			goto failed;
		p = find_place(l, &addr);
		if (p == NULL)
			p = add_place(l, &addr, addr_len);
		if (open_place(l, p, ls, slots, err) != 0)
			goto failed;
	}
	return 0;
failed:
	cut_back(l, keep_had);
	return -1;
}

void
listen_commit(struct listen_set *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		l->v[i].committed = l->v[i].n;
}

void
listen_rollback(struct listen_set *l)
{
	cut_back(l, keep_committed);
}

static const struct place *
place_of(const struct listen_set *l, const struct listener_settings *s)
{
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct pst_err err;

	if (pst_addr_parse(s->address, (uint16_t)s->port, &addr, &addr_len, &err) != 0)
		return NULL;
	return find_place(l, &addr);
}

/* So that a client that has vanished without a word is noticed, and its maildrop free, long before a
 * session may be ended for its silence. What is accepted inherits it: no call for each client. */
static int
notice_the_vanished(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 }, /* seconds */
		{ IPPROTO_TCP, TCP_KEEPINTVL, 30 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 180 * 1000 },
	};
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		               sizeof(options[i].value)) != 0)
			return -1;
	return 0;
}

int
listen_start(struct listen_set *l, const struct settings *s, struct pst_err *err)
{
	size_t i;
	uint32_t f;

	for (i = 0; i < s->listener_count; i++) {
		const struct place *p = place_of(l, &s->listeners[i]);

		/* Also those that listen already: the backlog may be a new one. */
		for (f = 0; p != NULL && f < p->n; f++)
			if (notice_the_vanished(p->fds[f]) != 0 ||
			    listen(p->fds[f], (int)s->listeners[i].backlog) != 0)
				return explain_bind(&s->listeners[i], err);
	}
	return 0;
}

size_t
listen_of_slot(const struct listen_set *l, const struct settings *s, uint32_t idx, uint32_t slots,
               struct env_listener *out, size_t cap)
{
	size_t n = 0, i;
	uint32_t f;

	for (i = 0; i < s->listener_count; i++) {
		const struct place *p = place_of(l, &s->listeners[i]);

		for (f = 0; p != NULL && f < p->n; f++) {
			/* Fewer sockets than slots, as systemd may give: all slots poll them. */
			if (p->n >= slots && f % slots != idx)
				continue;
			if (n < cap)
				out[n] = (struct env_listener){ p->fds[f], (uint32_t)i };
			n++;
		}
	}
	return n < cap ? n : cap;
}

static bool
is_named(const struct place *p, const struct settings *s)
{
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct pst_err err;
	size_t i;

	for (i = 0; s != NULL && i < s->listener_count; i++)
		if (pst_addr_parse(s->listeners[i].address, (uint16_t)s->listeners[i].port, &addr,
		                   &addr_len, &err) == 0 &&
		    is_same_addr(&addr, &p->addr))
			return true;
	return false;
}

void
listen_close_others(struct listen_set *l, const struct settings *s)
{
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++) {
		struct place *p = &l->v[i];

		if (p->is_systemd || is_named(p, s)) {
			l->v[kept++] = *p;
			continue;
		}
		place_close(p, 0);
	}
	l->n = kept;
}

void
listen_describe(const struct settings *s, char *out, size_t cap)
{
	size_t used = 0, i;

	out[0] = '\0';
	for (i = 0; i < s->listener_count && used < cap; i++) {
		const struct listener_settings *ls = &s->listeners[i];
		bool is_v6 = strchr(ls->address, ':') != NULL;
		int n = snprintf(out + used, cap - used, "%s%s=%s%s%s:%d", i > 0 ? " " : "",
		                 ls->name, is_v6 ? "[" : "", ls->address, is_v6 ? "]" : "",
		                 (int)ls->port);

		if (n < 0)
			break;
		used += (size_t)n;
	}
}
