/* SPDX-License-Identifier: MIT */
/* ctl/pop3link.h - the connection of a POP3 client: lines and octets, in the clear or by TLS, blocking,
 * with limits on time and on length. It knows nothing of commands. */
#ifndef CTL_POP3LINK_H
#define CTL_POP3LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

struct pop3link;
struct tls_client_settings;

/* Connects by name or address; each of the name's addresses is tried. timeout_ms is for this and for every
 * wait that follows; session_ms for the whole connection. NULL: PST_E_TEMP. */
struct pop3link *pop3link_open(const char *host, uint16_t port, int64_t timeout_ms,
                               int64_t session_ms, struct pst_err *err);
void pop3link_close(struct pop3link *l); /* accepts NULL */

/* From now on by TLS. Octets that came before the handshake are refused: somebody put them there. */
int pop3link_start_tls(struct pop3link *l, const struct tls_client_settings *settings,
                       struct pst_err *err);
bool pop3link_is_tls(const struct pop3link *l);
bool pop3link_is_loopback(const struct pop3link *l);

int pop3link_write(struct pop3link *l, struct pst_str octets, struct pst_err *err);

/* The next line without its line end; valid until the next call. -1: PST_E_LIMIT where it is longer than
 * any line should be, PST_E_CLOSED where the server ended, PST_E_TEMP. */
int pop3link_line(struct pop3link *l, struct pst_str *line_out, struct pst_err *err);

/* What has come and was not taken yet, at least one octet. The caller takes what it used. */
int pop3link_peek(struct pop3link *l, struct pst_str *octets_out, struct pst_err *err);
void pop3link_take(struct pop3link *l, size_t n);

#endif
