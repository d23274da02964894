/* SPDX-License-Identifier: MIT */
/* The storage plugin maildir: a folder with new/ and cur/, one file a message. */
#include <stdlib.h>
#include <string.h>

#include <postern/storage.h>

#include "storage/maildir/drop.h"
#include "storage/maildir/foreign.h"
#include "storage/maildir/hold.h"

#define KEEP_NS INT64_C(60000000000) /* longer than NFS believes its caches */

static const struct pst_conf_key keys[] = {
	{ "index_dir", PST_CONF_WRITE_PATH(struct maildir_conf, index_dir), "", 0, 0, NULL,
	  "Folder for the index files, which hold sizes and UIDLs, so that a message is read for its "
	  "size once; it may be on another disk or a tmpfs. Empty: postern.index and "
	  "postern.index.spare in each Maildir. A lost index is made again from the mail." },
	{ "ledger_dir", PST_CONF_WRITE_PATH(struct maildir_conf, ledger_dir), "", 0, 0, NULL,
	  "Folder for the ledgers: the UIDLs that were shown and that the mail itself cannot tell, "
	  "as numbers, those of duplicates, and those of an old server. Unlike the index they are "
	  "lost for good if they are lost: a disk that is kept and backed up with the mail. Empty: "
	  "postern.uidls in each Maildir. A Maildir whose UIDLs are base names or digests has none." },
	{ "uidl", PST_CONF_TEXT(struct maildir_conf, uidl), "basename", 1, 200, NULL,
	  "The UIDL of a message that never had one. A name: basename (the file's name before the "
	  "flags, also called qmail or tpop3d_qmail), digest (of the whole message), tpop3d (the MD5 "
	  "sum of the name), popa3d, dovecot_md5 (sums of some header lines), mailutils or x_uidl (the "
	  "X-UIDL header, else basename), and with numbers dovecot, uw, cyrus, cyrus_uid, "
	  "cyrus_courier, cyrus_dovecot, courier. Or a format as Dovecot's pop3_uidl_format, with uid "
	  "(u), uidvalidity (v), filename (f, as %Mf its MD5 sum), guid (g, which is the file name) and "
	  "md5 (m): %08Xu%08Xv or %{uid | hex(8)}%{uidvalidity | hex(8)}. A UIDL that was shown stays, "
	  "whatever is set later." },
	{ "guard_share", PST_CONF_INT(struct maildir_conf, guard_share), "20", 0, 100, "percent",
	  "If more than this share of the UIDLs that were shown would be replaced by new ones (a "
	  "program renamed or rewrote the files), so that clients fetched the mail again, the "
	  "maildrop is refused with [SYS/TEMP] until an admin runs posternctl uidl accept. Mail that "
	  "is simply gone, and new mail, are no reason. 100: never." },
	{ "guard_min", PST_CONF_INT(struct maildir_conf, guard_min), "10", 1, 1000000, "messages",
	  "Fewer changed UIDLs than this are no reason for guard_share to refuse." },
	{ "max_messages", PST_CONF_INT(struct maildir_conf, max_messages), "1000000", 1, 100000000,
	  "messages", "A Maildir with more is refused: it would take all of a worker's memory." },
	{ "old_server", PST_CONF_CHOICE(struct maildir_conf, old_server), "auto", 0, 0,
	  "auto|dovecot|courier|none",
	  "Whose UIDLs and order are taken over, from the list that it left in the Maildir: Dovecot's "
	  "dovecot-uidlist or Courier's courierpop3dsizelist; auto: the one that is there, Dovecot's "
	  "where both are; none: none. They count for messages that the index "
	  "does not know, so that what was once shown stays. While the index knows no message, a list that cannot be read refuses "
	  "the session, because all mail would be fetched again." },
	{ "old_server_write", PST_CONF_BOOL(struct maildir_conf, old_server_write), "yes", 0, 0,
	  NULL,
	  "Whether a list that is taken over is told of new mail, so that the old server knows it by the "
	  "same UIDL, after a way back or at work on the same Maildir. New mail gets the UIDL that the old "
	  "server would give it: for Dovecot by dovecot_uidl_format, from a number that is written into "
	  "dovecot-uidlist under Dovecot's lock; for Courier UID<n>-<uidvalidity>. Where the list cannot be "
	  "written, new mail has the UIDL that it would have without a list, and it is tried again." },
	{ "dovecot_uidl_format", PST_CONF_TEXT(struct maildir_conf, dovecot_uidl_format),
	  "%08Xu%08Xv", 1, 200, "octets",
	  "Dovecot's pop3_uidl_format: the UIDL of a message in dovecot-uidlist that has none of its own "
	  "there. In either syntax, %08Xu%08Xv or %{uid | hex(8)}%{uidvalidity | hex(8)}, with uid (u), "
	  "uidvalidity (v), filename (f), guid (g). It must be what Dovecot had." },
	{ "dovecot_control", PST_CONF_WRITE_PATH(struct maildir_conf, dovecot_control), "", 0, 0,
	  NULL,
	  "Dovecot's control folder of a user, where its mail_location has CONTROL= (mail_control_path): "
	  "a path with %{user}, %{local} and %{domain}. Then dovecot-uidlist lies in .INBOX in it. Empty: "
	  "in the Maildir." },
	{ .key = NULL },
};

static void
no_md5(const void *data, size_t n, uint8_t out[16])
{
	(void)data, (void)n;
	memset(out, 0, 16);
}

static int
check(const void *conf, struct pst_err *err)
{
	const struct maildir_conf *c = conf;
	const struct foreign_values sample = {
		.uid = 1, .validity = 1, .base = PST_LIT("b"), .guid = PST_LIT("g"), .md5 = no_md5
	};
	struct uidl_policy policy;
	char out[INDEX_UIDL_MAX];
	int n = foreign_render(c->dovecot_uidl_format, &sample, out, sizeof(out), err);
	struct mem control = { NULL, 0 };
	int rc = drop_control(c->dovecot_control, PST_LIT("u@d"), &control, err);

	mem_drop(&control);
	if (n < 0 || rc != 0)
		return -1;
	if (*c->index_dir != '\0' && *c->index_dir != '/')
		return pst_err_set(err, PST_E_CLIENT, "index_dir must be an absolute path");
	if (*c->ledger_dir != '\0' && *c->ledger_dir != '/')
		return pst_err_set(err, PST_E_CLIENT, "ledger_dir must be an absolute path");
	if (uidl_policy_parse(&policy, c->uidl, UIDL_FOR_MAILDIR, err) != 0)
		return -1;
	if (n == 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "dovecot_uidl_format gives no UIDL of 1 to 70 octets");
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct maildir *self = mem_new(sizeof(*self));

	self->host = host;
	self->conf = host->conf;
	if (uidl_policy_parse(&self->policy, self->conf->uidl, UIDL_FOR_MAILDIR, err) != 0) {
		free(self);
		return -1;
	}
	self->margin_ns = MAILDIR_MARGIN_NS;
	self->keep_ns = KEEP_NS;
	host->random(&self->seed, sizeof(self->seed));
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
	.open = drop_open,
	.count = drop_count,
	.message = drop_message,
	.fetch = drop_fetch,
	.commit = drop_commit,
	.close = drop_close,
	.open_now = drop_open_now,
	.closes_now = drop_closes_now,
	.add = drop_add,
	.received = drop_received,
	.rearrange = drop_rearrange,
	.mark_seen = drop_mark_seen,
	.hold = drop_hold,
	.bring_back = drop_bring_back,
	.let_go = drop_let_go,
	.held = drop_held,
	.note = drop_note,
	.notes = drop_notes,
	.envelope = drop_envelope,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "maildir",
	.keys = keys,
	.conf_size = sizeof(struct maildir_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.storage = &storage,
};
