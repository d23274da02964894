# SPDX-License-Identifier: MIT
"""Dovecot and Postern on the same Maildirs at the same time.

Mail is delivered, flagged, moved, copied and deleted through Dovecot's IMAP, and fetched and deleted
through Postern, all at once. Each message bears a token. In the end nothing is lost, no UIDL was ever
two messages', and Dovecot's POP3 shows what Postern shows.

POSTERN_SHARED_SECONDS makes it longer than a few seconds."""
import collections
import os
import random
import re
import threading
import time
import unittest

import oldservers
from bed import BedCase
from oldservers import needs_dovecot, needs_imap, uidls_of

SECONDS = float(os.environ.get("POSTERN_SHARED_SECONDS", "2"))
TOKEN = re.compile(rb"X-Token: (\d+)")
PROBLEM = re.compile(r"Broken|Corrupt|Duplicate|reappeared|Panic|Timeout|Error")


class Ledger:
    """Which messages there were and which were deleted; which UIDL was shown for which of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = 0
        self.doubtful = set()  # it was asked for, and not heard of whether it was done
        self.deleted = set()
        self.shown = {}
        self.faults = []

    def message(self):
        with self.lock:
            self.last += 1
            return self.last, b"X-Token: %d\nSubject: s\n\n%s\n" % (self.last,
                                                                   b"x" * (self.last % 90))

    def show(self, uidl, token):
        with self.lock:
            if self.shown.setdefault(uidl, token) != token:
                self.faults.append("%s was %d and is %d" % (uidl, self.shown[uidl], token))

    def delete(self, tokens):
        with self.lock:
            self.deleted.update(tokens)

    def fault(self, text):
        with self.lock:
            self.faults.append(text)


@needs_dovecot
@needs_imap
class SharedUse(BedCase):
    options = ("--users", "20", "--set", "log.level=debug")
    next_user = 0

    def start(self, **settings):
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user
        text = settings.get("pop3_uidl_format", "%08Xu%08Xv")
        self.bed.renew({"storage.maildir.dovecot_uidl_format": text})
        self.old = oldservers.Dovecot(self.bed.maildrop(self.user), self.bed.uid, self.bed.gid,
                                      **settings)
        self.addCleanup(self.old.remove)
        self.old.show()  # its list is there
        self.ledger = Ledger()
        self.until = time.monotonic() + SECONDS

    # -- who works on it ---------------------------------------------------------------------

    def guarded(self, work):
        """Again and again, until the time is over."""
        def run():
            rng = random.Random(work.__name__)
            try:
                while time.monotonic() < self.until:
                    work(rng)
            except Exception as e:  # pylint: disable=broad-except
                self.ledger.fault("%s: %r" % (work.__name__, e))
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def deliver(self, rng):
        token, octets = self.ledger.message()
        self.bed.deliver(octets, self.user, name="%d.M%dP%d.h" % (
            time.time() + rng.randrange(10), rng.randrange(1000000), token))
        time.sleep(rng.random() * 0.01)

    def imap(self, rng):
        with self.old.imap() as imap:
            for _ in range(10):
                imap.select("INBOX")
                self.imap_once(imap, rng)

    def tokens(self, imap, numbers):
        """Of messages by their UIDs."""
        if not numbers:
            return {}
        answer = imap.uid("FETCH", b",".join(numbers), "(UID BODY.PEEK[HEADER])")[1]
        found = {}
        for part in answer:
            if isinstance(part, tuple):
                found[re.search(rb"UID (\d+)", part[0]).group(1)] = int(
                    TOKEN.search(part[1]).group(1))
        return found

    def imap_once(self, imap, rng):
        what = rng.choice(("append", "flag", "copy", "move", "move", "delete"))
        if what == "append":
            imap.append("INBOX", None, None, self.ledger.message()[1].replace(b"\n", b"\r\n"))
            return
        box = rng.choice(("INBOX", "Other")) if what == "move" else "INBOX"
        if box == "Other":
            imap.create("Other")
            imap.select(box)
        there = imap.uid("SEARCH", "ALL")[1][0].split()
        some = sorted(rng.sample(there, min(len(there), rng.randrange(1, 4))), key=int)
        if not some:
            return
        uids = b",".join(some)
        if what == "flag":
            imap.uid("STORE", uids, rng.choice(("+FLAGS", "-FLAGS")), r"(\Seen)")
        elif what == "copy":
            imap.uid("COPY", uids, "INBOX")
        elif what == "move":
            imap.create("Other")
            imap.uid("MOVE", uids, "INBOX" if box == "Other" else "Other")
        else:
            tokens = self.tokens(imap, some)
            self.ledger.delete(tokens.values())
            imap.uid("STORE", b",".join(tokens) or b"1", "+FLAGS", r"(\Deleted)")
            imap.expunge()

    def pop3(self, rng):
        with self.bed.login(self.user) as client:
            uidls = uidls_of(client.lines("UIDL"))
            if len(set(uidls)) != len(uidls):
                self.ledger.fault("twice: %r" % [
                    u for u, n in collections.Counter(uidls).items() if n > 1])
            for number in rng.sample(range(1, len(uidls) + 1), min(len(uidls), 12)):
                if client.cmd("RETR %d" % number).startswith(b"-ERR"):
                    continue  # IMAP took it away meanwhile
                token = int(TOKEN.search(client.rest()).group(1))
                self.ledger.show(uidls[number - 1], token)
                if rng.random() < 0.2:
                    self.ledger.delete([token])
                    client.ok("DELE %d" % number)
            client.quit()

    # -- the end -----------------------------------------------------------------------------

    def run_all(self):
        threads = [self.guarded(w) for w in (self.deliver, self.imap, self.pop3)]
        for thread in threads:
            thread.join()
        self.assertEqual(self.ledger.faults, [])

    def final(self):
        """All of Postern's: UIDL to token."""
        found = collections.OrderedDict()
        with self.bed.login(self.user) as client:
            for number, uidl in enumerate(uidls_of(client.lines("UIDL")), 1):
                found[uidl] = int(TOKEN.search(client.multi("TOP %d 0" % number)).group(1))
                self.ledger.show(uidl, found[uidl])
            client.quit()
        return found

    def by_dovecot(self):
        uidls = uidls_of(self.old.show()[0])
        answer = self.old.session(b"".join(b"TOP %d 0\r\n" % n
                                           for n in range(1, len(uidls) + 1)))
        return collections.OrderedDict(zip(uidls, (int(t) for t in TOKEN.findall(answer))))

    def elsewhere(self):
        with self.old.imap() as imap:
            imap.create("Other")
            imap.select("Other")
            there = imap.uid("SEARCH", "ALL")[1][0].split()
            return set(self.tokens(imap, there).values())

    def check(self):
        mine = self.final()
        theirs = self.by_dovecot()
        self.assertEqual(dict(mine), dict(theirs))
        self.assertEqual(list(mine), list(theirs), "the order")
        self.assertEqual(self.final(), mine)
        there = set(mine.values()) | self.elsewhere()
        lost = set(range(1, self.ledger.last + 1)) - there - self.ledger.deleted
        self.assertEqual(lost, set())
        self.assertEqual(self.ledger.faults, [])
        uids = [int(line.split(b" ")[0]) for line in self.old.read_list().split(b"\n")[1:-1]]
        self.assertEqual(uids, sorted(set(uids)))
        self.assertIsNone(PROBLEM.search(self.old.log_text()), self.old.log_text()[-2000:])
        self.assertGreater(len(self.ledger.shown), 10)

    def one(self, **settings):
        self.start(**settings)
        self.run_all()
        self.check()

    def test_the_default_format(self):
        self.one()

    def test_file_names(self):
        self.one(pop3_uidl_format="%f")

    def test_uidvalidity_and_uid(self):
        self.one(pop3_uidl_format="%v.%u")

    def test_the_default_format_saved(self):
        self.one(pop3_save_uidl="yes")

    def test_file_names_saved(self):
        self.one(pop3_uidl_format="%f", pop3_save_uidl="yes")


if __name__ == "__main__":
    unittest.main()
