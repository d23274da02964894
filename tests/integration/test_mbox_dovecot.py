# SPDX-License-Identifier: MIT
"""An mbox that Dovecot served: the same messages, octets and UIDLs, whatever dialect it is written in."""
import os
import shutil
import unittest

import oldservers
from bed import IS_ROOT, BedCase, unstuff

DATES = (b"Thu Nov  9 22:06:57 2023", b"Thu Nov  9 22:06 2023", b"Thu Nov  9 22:06:57 MET 2023",
         b"Thu Nov  9 22:06:57 2023 +0100", b"Thu Nov  9 22:06:57 +0100 2023",
         b"Thu, 9 Nov 2023 22:06:57", b"Thu Nov 09 22:06:57 2023",
         b"Thu Nov  9 22:06:57 2023 remote from gate")
FROM = b"From a@example.test Thu Nov  9 22:06:57 2023\n"


def message(number, headers=b"", body=None, begin=FROM):
    return begin + headers + b"Subject: number %d\n\n" % number + \
        (b"body %d\n" % number if body is None else body) + b"\n"


def with_length(number, length_of=0):
    """A From_ line in the body, and a Content-Length that is right, or wrong by so much."""
    body = b"first\n\n" + FROM + b"\ninner\n"
    return message(number, b"Content-Length: %d\n" % (len(body) + length_of), body)


PSEUDO = (b"From MAILER-DAEMON Thu Nov  9 22:06:57 2023\nDate: Thu, 9 Nov 2023 22:06:57 +0000\n"
          b"From: Mail System Internal Data <MAILER-DAEMON@example.test>\n"
          b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
          b"X-IMAP: 1700000000 0000000007\nStatus: RO\n\n"
          b"This text is part of the internal format of your mail folder.\n\n")

MBOXES = {
    "dialects": b"".join(message(n, begin=b"From a@example.test " + date + b"\n")
                         for n, date in enumerate(DATES)) +
    message(90, begin=b"From \"a b\"@example.test Thu Nov  9 22:06:57 2023\n"),
    "length right": message(1) + with_length(2) + message(3),
    "length wrong": message(1) + with_length(2, 3) + message(3) + with_length(4, 100000),
    "quoted": message(1, body=b">From me\n\n>>From you\n") + message(2),
    "pseudo": PSEUDO + message(1, b"X-UID: 3\nStatus: RO\n") + message(2, b"X-UID: 7\n") +
    message(3),
    "private": message(1, b"X-IMAPbase: 1700000000 0000000009\nX-UID: 4\nStatus: O\n"
                          b"X-Keywords: a\n") + message(2, b"X-UID: 9\nX-Status: A\n"),
    "forged": message(1, b"X-IMAPbase: 1700000000 0000000009\nX-UID: 5\n") +
    message(2, b"X-UID: 4000000000\n") + message(3, b"X-UID: 7\n") + message(4, b"X-UID: 2\n"),
    "no end": message(1) + FROM + b"Subject: last\n\nwithout a line end",
    "equal": message(1) * 3,
}


@oldservers.needs_dovecot
class AfterDovecot(BedCase):
    options = ("--storage", "mbox", "--users", str(len(MBOXES)), "--tls", "none",
               "--set", "storage.mbox.uidl=dovecot")

    def setUp(self):
        super().setUp()
        self.old = oldservers.Dovecot()
        self.addCleanup(self.old.remove)
        self.mbox = os.path.join(self.old.home, "mbox")
        self.old.configure(mail_location="mbox:%s/mail:INBOX=%s" % (self.old.home, self.mbox),
                           mbox_write_locks="fcntl", pop3_uidl_format="%08Xu%08Xv")

    def from_dovecot(self, octets):
        """UIDL, LIST and messages; the file is then as Dovecot left it."""
        with open(self.mbox, "wb") as f:
            f.write(octets)
        uidls, sizes = self.old.show()
        retr = b"".join(b"RETR %d\r\n" % n for n in range(1, len(sizes) + 1))
        parts = self.old.session(retr).split(b"\r\n.\r\n")[:len(sizes)]
        texts = [unstuff(part.split(b"octets\r\n", 1)[1] + b"\r\n.\r\n") for part in parts]
        return oldservers.uidls_of(uidls), oldservers.uidls_of(sizes), texts

    def test_all_dialects(self):
        for (name, octets), user in zip(MBOXES.items(), self.bed.maildrops):
            with self.subTest(name):
                uidls, sizes, texts = self.from_dovecot(octets)
                path = self.bed.maildrop(user)
                shutil.copyfile(self.mbox, path)
                if IS_ROOT:
                    os.chown(path, self.bed.uid, self.bed.gid)
                with self.bed.login(user) as client:
                    ours = [unstuff(client.multi("RETR %d" % n))
                            for n in range(1, client.stat()[0] + 1)]
                    self.assertEqual(ours, texts)
                    self.assertEqual(oldservers.uidls_of(client.lines("UIDL")), uidls)
                    self.assertEqual([int(x) for x in oldservers.uidls_of(client.lines("LIST"))],
                                     [len(text) for text in ours])
                    client.quit()

    def test_what_each_must_hold(self):
        """So that the comparison is not of two empty lists."""
        counts = {"dialects": 9, "length right": 3, "length wrong": 6, "quoted": 2, "pseudo": 3,
                  "private": 2, "forged": 4, "no end": 2, "equal": 3}
        for name, octets in MBOXES.items():
            with self.subTest(name):
                self.assertEqual(len(self.from_dovecot(octets)[0]), counts[name])


if __name__ == "__main__":
    unittest.main()
