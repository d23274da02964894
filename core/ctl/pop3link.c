/* SPDX-License-Identifier: MIT */
/* Connections of the POP3 client; see pop3link.h. */
#include "ctl/pop3link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "tls/client.h"

#define ROOM ((size_t)64 * 1024)
#define LINE_MAX_OCTETS 4096 /* RFC 2449 section 4 has 512 */

struct pop3link {
	int fd;
	struct tls_client *tls;
	int64_t timeout_ms, end_ms;
	bool is_loopback;
	size_t at, n; /* octets[at … n-1] came and were not taken */
	char octets[ROOM];
};

static int64_t
deadline(const struct pop3link *l)
{
	int64_t next = pst_now_ms() + l->timeout_ms;

	return next < l->end_ms ? next : l->end_ms;
}

static bool
is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)sa;

		return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
	}
	return false;
}

static int
connect_one(struct pop3link *l, const struct addrinfo *to, struct pst_err *err)
{
	socklen_t n = sizeof(int);
	int broken = 0;

	l->fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	               to->ai_protocol);
	if (l->fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "socket");
	if (connect(l->fd, to->ai_addr, to->ai_addrlen) != 0) {
		if (errno != EINPROGRESS)
			return pst_err_sys(err, PST_E_TEMP, "connect");
		if (tls_client_wait(l->fd, true, deadline(l), err) != 0)
			return -1;
		if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &broken, &n) != 0 || broken != 0)
			return pst_err_set(err, PST_E_TEMP, "connect: %s", strerror(broken));
	}
	l->is_loopback = is_loopback(to->ai_addr);
	pst_socket_nodelay(l->fd);
	return 0;
}

static int
connect_any(struct pop3link *l, const char *host, uint16_t port, struct pst_err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL, *to;
	char service[8];
	int rc;

	(void)snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0)
		return pst_err_set(err, PST_E_TEMP, "%s", gai_strerror(rc));
	rc = -1;
	for (to = found; to != NULL && rc != 0; to = to->ai_next) {
		rc = connect_one(l, to, err);
		if (rc != 0 && l->fd >= 0) {
			close(l->fd);
			l->fd = -1;
		}
	}
	freeaddrinfo(found);
	return rc;
}

struct pop3link *
pop3link_open(const char *host, uint16_t port, int64_t timeout_ms, int64_t session_ms,
              struct pst_err *err)
{
	struct pop3link *l = pst_new(struct pop3link);

	l->fd = -1;
	l->timeout_ms = timeout_ms;
	l->end_ms = pst_now_ms() + session_ms;
	if (connect_any(l, host, port, err) == 0)
		return l;
	pop3link_close(l);
	return NULL;
}

void
pop3link_close(struct pop3link *l)
{
	if (l == NULL)
		return;
	tls_client_close(l->tls);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

int
pop3link_start_tls(struct pop3link *l, const struct tls_client_settings *settings,
                   struct pst_err *err)
{
	if (l->n > l->at)
		return pst_err_set(err, PST_E_PERM, "octets came before the TLS handshake");
	l->tls = tls_client_open(l->fd, settings, deadline(l), err);
	return l->tls == NULL ? -1 : 0;
}

bool
pop3link_is_tls(const struct pop3link *l)
{
	return l->tls != NULL;
}

bool
pop3link_is_loopback(const struct pop3link *l)
{
	return l->is_loopback;
}

int
pop3link_write(struct pop3link *l, struct pst_str s, struct pst_err *err)
{
	int64_t until = deadline(l);

	if (l->tls != NULL)
		return tls_client_write(l->tls, s.p, s.n, until, err);
	while (s.n > 0) {
		ssize_t n = send(l->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n >= 0) {
			s = (struct pst_str){ s.p + n, s.n - (size_t)n };
		} else if (errno == EAGAIN) {
			if (tls_client_wait(l->fd, true, until, err) != 0)
				return -1;
		} else if (errno != EINTR) {
			return pst_err_sys(err, PST_E_TEMP, "send");
		}
	}
	return 0;
}

static ssize_t
receive(struct pop3link *l, char *to, size_t n, struct pst_err *err)
{
	int64_t until = deadline(l);

	if (l->tls != NULL)
		return tls_client_read(l->tls, to, n, until, err);
	for (;;) {
		ssize_t got = recv(l->fd, to, n, 0);

		if (got >= 0)
			return got;
		if (errno == EAGAIN) {
			if (tls_client_wait(l->fd, false, until, err) != 0)
				return -1;
		} else if (errno != EINTR) {
			return pst_err_sys(err, PST_E_TEMP, "recv");
		}
	}
}

/* More octets behind those that are there. */
static int
read_more(struct pop3link *l, struct pst_err *err)
{
	ssize_t got;

	if (l->at > 0) {
		memmove(l->octets, l->octets + l->at, l->n - l->at);
		l->n -= l->at;
		l->at = 0;
	}
	got = receive(l, l->octets + l->n, sizeof(l->octets) - l->n, err);
	if (got < 0)
		return -1;
	if (got == 0)
		return pst_err_set(err, PST_E_CLOSED, "the server closed the connection");
	l->n += (size_t)got;
	return 0;
}

int
pop3link_line(struct pop3link *l, struct pst_str *line_out, struct pst_err *err)
{
	const char *end;
	size_t n;

	while ((end = memchr(l->octets + l->at, '\n', l->n - l->at)) == NULL) {
		if (l->n - l->at > LINE_MAX_OCTETS)
			break;
		if (read_more(l, err) != 0)
			return -1;
	}
	n = end == NULL ? l->n - l->at : (size_t)(end - (l->octets + l->at));
	if (n > LINE_MAX_OCTETS)
		return pst_err_set(err, PST_E_LIMIT, "a line of more than %d octets",
		                   LINE_MAX_OCTETS);
	*line_out = (struct pst_str){ l->octets + l->at, n };
	l->at += n + 1;
	if (n > 0 && line_out->p[n - 1] == '\r')
		line_out->n--;
	return 0;
}

int
pop3link_peek(struct pop3link *l, struct pst_str *octets_out, struct pst_err *err)
{
	if (l->at == l->n && read_more(l, err) != 0)
		return -1;
	*octets_out = (struct pst_str){ l->octets + l->at, l->n - l->at };
	return 0;
}

void
pop3link_take(struct pop3link *l, size_t n)
{
	l->at += n;
}
