/* SPDX-License-Identifier: MIT */
/* Hand-offs; see handoff.h. With run_as = "user" this runs as root until the ticket is open: it
 * reads the message and the ticket, and nothing from the client. */
#include "mail/handoff.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "plugin/registry.h"
#include "pop3/language.h"

struct handoff_desk {
	struct ticket_desk *tickets;
	uint8_t scratch[WIRE_TICKET]; /* of the ticket that is open */
	char path[WIRE_TICKET];
};

struct handoff_desk *
handoff_desk_create(const struct worker_env *env)
{
	struct handoff_desk *d = pst_new(struct handoff_desk);

	d->tickets = ticket_desk_create(env->tickets);
	return d;
}

void
handoff_desk_destroy(struct handoff_desk *d)
{
	if (d == NULL)
		return;
	ticket_desk_destroy(d->tickets);
	free(d);
}

/* "maildir:/srv/x" */
static int
split_location(struct handoff_desk *d, struct handoff *h, struct pst_err *err)
{
	struct pst_str l = h->ticket.location;
	const char *colon = l.n == 0 ? NULL : memchr(l.p, ':', l.n);
	struct pst_str path;

	if (colon == NULL || pst_str_has_nul(l))
		return pst_err_set(err, PST_E_PERM, "location \"%.*s\" is not PLUGIN:PATH",
		                   PST_ARG(l));
	h->driver = (struct pst_str){ l.p, (size_t)(colon - l.p) };
	path = (struct pst_str){ colon + 1, l.n - h->driver.n - 1 };
	pst_assert(path.n < sizeof(d->path)); /* it came in a ticket */
	memcpy(d->path, path.p, path.n);
	d->path[path.n] = '\0';
	h->path = d->path;
	return 0;
}

int
handoff_read(struct handoff_desk *d, struct pst_str message, int fd, struct handoff *h_out,
             struct pst_err *err)
{
	struct handoff *h = h_out;
	struct msg_head head;

	*h = (struct handoff){ .fd = fd };
	if (fd < 0) { /* what is no socket shows itself in the sending */
		pst_err_set(err, PST_E_PERM, "hand-off without a socket");
		goto bad;
	}
	if (wire_handoff_decode(message, &head, &h->wire, err) != 0)
		goto bad;
	if (ticket_open(d->tickets, h->wire.ticket, h->wire.sid, d->scratch, &h->ticket, &h->why) !=
	    0)
		h->why.kind = PST_E_TEMP; /* the client did nothing wrong, and may try again */
	else
		h->is_good = split_location(d, h, &h->why) == 0;
	return 0;
bad:
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct mail_start
describe(const struct handoff *h)
{
	return (struct mail_start){
		.fd = h->fd,
		.row = h->wire.row,
		.is_tls = h->wire.tls,
		.sid = h->wire.sid,
		.user = h->is_good ? h->ticket.user : h->wire.user,
		.peer = h->wire.remote_ip,
		.input = h->wire.input,
		.ticket = h->is_good ? &h->ticket : NULL,
		.offered = h->wire.offered,
		.read_only = h->is_good && h->ticket.read_only,
		.utf8 = h->wire.utf8,
		.language = h->wire.language < POP3_LANGUAGES ? h->wire.language : POP3_DEFAULT,
	};
}

void
handoff_log(const struct handoff *h, const struct pst_err *why)
{
	char sid[WIRE_SID + 1], peer[WIRE_ADDR + 1];
	const struct pst_log log = { sid, peer, h->wire.user };

	(void)snprintf(sid, sizeof(sid), "%.*s", PST_ARG(h->wire.sid));
	(void)snprintf(peer, sizeof(peer), "%.*s", PST_ARG(h->wire.remote_ip));
	pst_log_error(&log, "handoff.refused", "reason=\"%s\"", why->text);
}

void
handoff_refuse(struct mail *m, const struct handoff *h, const struct pst_err *why)
{
	struct mail_start how = describe(h);

	handoff_log(h, why);
	how.refusal = why;
	mail_session_start(m, &how);
}

void
handoff_start(const struct worker_env *env, struct mail *m, const struct handoff *h)
{
	struct mail_start how = describe(h);
	struct plugin *plugin;
	struct pst_err err;

	if (!h->is_good) {
		handoff_refuse(m, h, &h->why);
		return;
	}
	plugin = registry_find(env->plugins, PST_STORAGE, h->driver);
	if (plugin == NULL) {
		pst_err_set(&err, PST_E_PERM, "no storage plugin \"%.*s\" is configured",
		            PST_ARG(h->driver));
		handoff_refuse(m, h, &err);
		return;
	}
	how.storage = plugin_descriptor(plugin)->storage;
	how.storage_self = plugin_self(plugin);
	how.path = h->path;
	how.location = h->ticket.location;
	mail_session_start(m, &how);
}
