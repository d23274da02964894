/* SPDX-License-Identifier: MIT */
/* The storage plugin mbox: one file, all messages in it. */
#include <stdlib.h>

#include "storage/mbox/hold.h"
#include "storage/mbox/mbox.h"

static const struct pst_conf_key keys[] = {
	{ "index_dir", PST_CONF_WRITE_PATH(struct mbox_conf, index_dir), "", 0, 0, NULL,
	  "Folder for our own files: the index, which holds places, sizes and UIDLs, and the session's "
	  "lock. Empty: beside each mbox, as .NAME.postern.*. To be set where users may not make "
	  "files there, as in /var/mail with mail.run_as = \"user\": then a folder with mode 1777. "
	  "Without a place for them messages can be read, and removed from the end." },
	{ "locks", PST_CONF_TEXT(struct mbox_conf, locks), "fcntl dotlock_try", 1, 60, NULL,
	  "Which locks are taken, in which order: fcntl, flock, dotlock, and dotlock_try, which is "
	  "passed over where the folder does not let us make the file. All programs that write to "
	  "the mbox must share one of them, and should share the order. The default is the order of "
	  "Debian's policy." },
	{ "lock_timeout", PST_CONF_TIME(struct mbox_conf, lock_timeout_ms), "10s", 0, 600000, NULL,
	  "How long to wait for a lock that another program has, before the client is told "
	  "[IN-USE]." },
	{ "dotlock_stale", PST_CONF_TIME(struct mbox_conf, dotlock_stale_ms), "5m", 10000, 86400000,
	  NULL,
	  "A dotlock of this age is removed if the mbox was not touched for as long. One that a killed "
	  "session of this server left is removed at once." },
	{ "ledger_dir", PST_CONF_WRITE_PATH(struct mbox_conf, ledger_dir), "", 0, 0, NULL,
	  "Folder for the ledgers: the UIDLs that were shown and that the mail itself cannot tell, "
	  "as numbers and those of duplicates. Unlike the index they are lost for good if they are "
	  "lost: a disk that is kept and backed up with the mail. Empty: beside each mbox as "
	  ".NAME.postern.uidls, or in index_dir where we may not make files there." },
	{ "uidl", PST_CONF_TEXT(struct mbox_conf, uidl), "digest", 1, 200, NULL,
	  "The UIDL of a message that never had one: digest (of its header, size and first lines), or "
	  "what another server showed: x_uidl or mailutils (the X-UIDL header), or X-UID with "
	  "X-IMAPbase as dovecot (%08Xu%08Xv), uw (UW ipop3d, %08Xv%08Xu) or cyrus (%v.%u) print "
	  "them; where the headers are not there it is the digest. popa3d, tpop3d and dovecot_md5 "
	  "make the sums that these servers make. cyrus_uid, cyrus_courier, cyrus_dovecot, courier, and "
	  "any format as Dovecot's pop3_uidl_format with uid (u), uidvalidity (v) and md5 (m), number "
	  "messages that have no X-UID. A UIDL that was shown stays, whatever is set later." },
	{ "guard_share", PST_CONF_INT(struct mbox_conf, guard_share), "20", 0, 100, "percent",
	  "If more than this share of the UIDLs that were shown would be replaced by new ones (a "
	  "program rewrote the mbox), so that clients fetched the mail again, the mbox is refused "
	  "with [SYS/TEMP] until an admin runs posternctl uidl accept. Mail that is simply gone, and "
	  "new mail, are no reason. 100: never." },
	{ "guard_min", PST_CONF_INT(struct mbox_conf, guard_min), "10", 1, 1000000, "messages",
	  "Fewer changed UIDLs than this are no reason for guard_share to refuse." },
	{ "max_messages", PST_CONF_INT(struct mbox_conf, max_messages), "1000000", 1, 100000000,
	  "messages", "An mbox with more is refused: it would take all of a worker's memory." },
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct mbox_conf *c = conf;
	struct uidl_policy policy;
	struct lock_plan plan;

	if (*c->ledger_dir != '\0' && *c->ledger_dir != '/')
		return pst_err_set(err, PST_E_CLIENT, "ledger_dir must be an absolute path");
	if (uidl_policy_parse(&policy, c->uidl, UIDL_FOR_MBOX, err) != 0)
		return -1;
	if (*c->index_dir != '\0' && *c->index_dir != '/')
		return pst_err_set(err, PST_E_CLIENT, "index_dir must be an absolute path");
	return lock_parse(c->locks, &plan, err);
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct mbox *self = mem_new(sizeof(*self));

	self->host = host;
	self->conf = host->conf;
	self->margin_ns = MBOX_MARGIN_NS;
	self->plan.timeout_ms = self->conf->lock_timeout_ms;
	self->plan.stale_ms = self->conf->dotlock_stale_ms;
	if (lock_parse(self->conf->locks, &self->plan, err) != 0 ||
	    uidl_policy_parse(&self->policy, self->conf->uidl, UIDL_FOR_MBOX, err) != 0) {
		free(self);
		return -1;
	}
	*self_out = self;
	return 0;
}

static void
stop(void *self)
{
	free(self);
}

static const struct pst_storage storage = {
	.size = sizeof(struct pst_storage),
	.open = mbox_open,
	.count = mbox_count,
	.message = mbox_message_of,
	.fetch = mbox_fetch,
	.commit = mbox_commit,
	.close = mbox_close,
	.open_now = mbox_open_now,
	.closes_now = mbox_closes_now,
	.add = mbox_add,
	.rearrange = mbox_rearrange,
	.received = mbox_received,
	.hold = mbox_hold,
	.bring_back = mbox_bring_back,
	.let_go = mbox_let_go,
	.held = mbox_held,
	.note = mbox_note,
	.notes = mbox_notes,
	.envelope = mbox_envelope,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "mbox",
	.keys = keys,
	.conf_size = sizeof(struct mbox_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.storage = &storage,
};
