/* SPDX-License-Identifier: MIT */
/* Addresses and socket options; see net.h. */
#include "base/net.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

void
pst_addr_text(const struct sockaddr_storage *ss, char out[PST_ADDR_TEXT])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;

	(void)snprintf(out, PST_ADDR_TEXT, "local");
	if (ss->ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, out, PST_ADDR_TEXT);
	else if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		(void)inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, PST_ADDR_TEXT);
	else if (ss->ss_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, out, PST_ADDR_TEXT);
}

uint16_t
pst_addr_port(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)ss)->sin_port);
	if (ss->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)ss)->sin6_port);
	return 0;
}

int
pst_addr_parse(const char *text, uint16_t port, struct sockaddr_storage *ss_out, socklen_t *n_out,
               struct pst_err *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss_out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss_out;

	memset(ss_out, 0, sizeof(*ss_out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*n_out = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*n_out = sizeof(*v6);
		return 0;
	}
	return pst_err_set(err, PST_E_CLIENT, "\"%.60s\" is not a numeric IPv4 or IPv6 address",
	                   text);
}

void
pst_socket_nodelay(int fd)
{
	int one = 1;

	/* It fails on AF_UNIX only. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}
