/* SPDX-License-Identifier: MIT */
/* base/net.h - addresses as text, and sockets set as the server wants them. */
#ifndef BASE_NET_H
#define BASE_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <postern/err.h>

#define PST_ADDR_TEXT 64 /* room for any address with its port, and a NUL */

/* "192.0.2.1" or "2001:db8::1"; an IPv4-mapped address as IPv4, a Unix socket as "local". */
void pst_addr_text(const struct sockaddr_storage *ss, char out[PST_ADDR_TEXT]);
uint16_t pst_addr_port(const struct sockaddr_storage *ss);

/* Reads a numeric address. -1 (PST_E_CLIENT) where it is none. */
int pst_addr_parse(const char *text, uint16_t port, struct sockaddr_storage *ss_out,
                   socklen_t *n_out, struct pst_err *err);

/* TCP_NODELAY: a reply never waits for the client's delayed acknowledgement. */
void pst_socket_nodelay(int fd);

#endif
