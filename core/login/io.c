/* SPDX-License-Identifier: MIT */
/* A client's octets, with and without TLS. */
#include <errno.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "login/client.h"

static enum io
write_plain(struct client *c, const char *data, size_t n, size_t *n_out)
{
	*n_out = 0;
	while (*n_out < n) {
		ssize_t rc = send(c->fd, data + *n_out, n - *n_out, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (rc >= 0)
			*n_out += (size_t)rc;
		else if (errno == EAGAIN)
			return IO_BLOCKED;
		else if (errno != EINTR)
			return IO_DEAD;
	}
	return IO_OK;
}

/* On IO_BLOCKED the octets from *n_out on must be given again, the same ones (tls/stream.h). */
static enum io
write_some(struct client *c, const char *data, size_t n, size_t *n_out)
{
	struct pst_err err;

	if (c->tls == NULL)
		return write_plain(c, data, n, n_out);
	switch (tls_stream_write(c->tls, data, n, n_out, &err)) {
	case TLS_IO_DONE:
		return IO_OK;
	case TLS_IO_WANT_READ:
	case TLS_IO_WANT_WRITE:
		return IO_BLOCKED;
	default:
		return IO_DEAD;
	}
}

/* The socket takes nothing any more. */
static enum io
die(struct client *c)
{
	c->is_dead = true;
	pst_buf_clear(&c->out);
	c->out_at = 0;
	return IO_DEAD;
}

static enum io
keep(struct client *c, struct pst_str rest)
{
	struct pst_err err;

	/* The ceiling is above what a relay reads at once, and a dialog stops when something waits. */
	return pst_buf_add(&c->out, rest, &err) == 0 ? IO_BLOCKED : IO_DEAD;
}

enum io
client_send(struct client *c, struct pst_str data)
{
	size_t n = 0;
	enum io io = IO_OK;

	if (c->is_dead)
		return IO_DEAD;
	if (c->out.len > 0)
		io = IO_BLOCKED;
	else if (data.n > 0)
		io = write_some(c, data.p, data.n, &n);
	if (io == IO_BLOCKED)
		io = keep(c, (struct pst_str){ data.p + n, data.n - n });
	return io == IO_DEAD ? die(c) : io;
}

enum io
client_flush(struct client *c)
{
	enum io io = IO_OK;
	size_t n = 0;

	if (c->is_dead)
		return IO_DEAD;
	if (c->out.len > 0) {
		io = write_some(c, c->out.data + c->out_at, c->out.len - c->out_at, &n);
		c->out_at += n;
	}
	if (io == IO_BLOCKED)
		return io;
	if (io == IO_DEAD)
		return die(c);
	pst_buf_clear(&c->out);
	c->out_at = 0;
	return io;
}

/* One record, and all that are out of the socket by then. */
static enum io
read_tls(struct client *c, size_t *n_out)
{
	char *scratch = c->login->scratch;
	struct pst_err err;
	enum tls_io io;
	size_t n;

	do {
		io = tls_stream_read(c->tls, scratch + *n_out, LOGIN_TLS_OCTETS - *n_out, &n, &err);
		*n_out += n;
	} while (io == TLS_IO_DONE && tls_stream_pending(c->tls));
	switch (io) {
	case TLS_IO_DONE:
	case TLS_IO_WANT_READ:
	case TLS_IO_WANT_WRITE:
		return *n_out > 0 ? IO_OK : IO_BLOCKED;
	case TLS_IO_CLOSED:
		return IO_END;
	case TLS_IO_FAILED:
		break;
	}
	if (err.kind != PST_E_CLOSED) {
		const struct pst_log log = client_log(c);

		pst_log_debug(&log, "login.tls", "reason=\"%s\"", err.text);
	}
	return IO_DEAD;
}

/* An end behind octets has come out of the socket with them: no event will tell of it. */
static enum io
read_all_tls(struct client *c, size_t *n_out)
{
	enum io io = c->ended != 0 ? (enum io)c->ended : read_tls(c, n_out);

	if ((io == IO_END || io == IO_DEAD) && *n_out > 0) {
		c->ended = (uint8_t)io;
		io = IO_OK;
	}
	return io;
}

enum io
client_read(struct client *c, size_t *n_out)
{
	ssize_t rc;

	*n_out = 0;
	if (c->tls != NULL)
		return read_all_tls(c, n_out);
	do {
		rc = recv(c->fd, c->login->scratch, LOGIN_READ_OCTETS, MSG_DONTWAIT);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno == EAGAIN ? IO_BLOCKED : IO_DEAD;
	*n_out = (size_t)rc;
	return rc == 0 ? IO_END : IO_OK;
}
