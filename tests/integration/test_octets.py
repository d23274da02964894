# SPDX-License-Identifier: MIT
"""Octet counts and octets: every message comes out exactly as RFC 1939 says it looks on the wire."""
import hashlib
import os
import random
import time
import unittest

import zoo
from bed import BedCase

TOP_LINES = (0, 1, 2, 3, 10, 1000, 2**32, 2**64 + 5)


class Octets(BedCase):
    # Octet for octet: headers with UTF-8 too, which test_utf8.py looks at.
    options = ("--users", "3", "--set", "mail.surrogates=false")
    messages = zoo.messages()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The numbers must follow the order of the names: mtime and name both rise.
        for number, octets in enumerate(cls.messages.values()):
            cls.bed.deliver(octets, name="%d.z%04d.test" % (1600000000 + number, number))

    def by_uidl(self, client):
        """Zoo name to message number: the UIDL tells which file it is."""
        places = {}
        for line in client.lines("UIDL"):
            number, uidl = line.split(" ")
            places[uidl] = int(number)
        names = {}
        for number, name in enumerate(self.messages):
            names[name] = places["%d.z%04d.test" % (1600000000 + number, number)]
        return names

    def check_all(self, client):
        sizes = dict(line.split(" ") for line in client.lines("LIST"))
        total = 0
        for name, number in self.by_uidl(client).items():
            stored = self.messages[name]
            with self.subTest(message=name):
                want = zoo.wire(stored)
                self.assertEqual(int(sizes[str(number)]), len(want), "LIST")
                self.assertEqual(client.ok("LIST %d" % number), b"+OK %d %d" % (number, len(want)))
                first = client.ok("RETR %d" % number)
                self.assertIn(b"%d" % len(want), first)
                self.assertEqual(client.rest(), zoo.stuffed(want))
            total += len(want)
        self.assertEqual(client.stat(), (len(self.messages), total))

    def test_zoo_plain(self):
        with self.bed.login() as client:
            self.check_all(client)
            client.quit()

    def test_zoo_tls(self):
        with self.bed.login(tls=True) as client:
            self.check_all(client)
            client.quit()

    def test_zoo_again_from_the_index(self):
        """Sizes that were worked out in an earlier session are the same ones."""
        for _ in range(2):
            with self.bed.login() as client:
                for line in client.lines("LIST"):
                    number, size = (int(x) for x in line.split(" "))
                    client.ok("RETR %d" % number)
                    got = client.rest()
                    plain = len(got) - 3 - got.count(b"\r\n..") - got.startswith(b"..")
                    self.assertEqual(plain, size)
                client.quit()

    def test_06_05_top(self):
        with self.bed.login() as client:
            for name, number in self.by_uidl(client).items():
                for lines in TOP_LINES:
                    with self.subTest(message=name, lines=lines):
                        self.assertEqual(client.multi("TOP %d %d" % (number, lines)),
                                         zoo.stuffed(zoo.top(self.messages[name], lines)))
            client.quit()

    def test_06_01_first_octet_a_dot(self):
        with self.bed.login() as client:
            number = self.by_uidl(client)["first-octet-dot"]
            self.assertTrue(client.multi("RETR %d" % number).startswith(b"..Subject"))
            self.assertTrue(client.multi("TOP %d 0" % number).startswith(b"..Subject"))
            client.quit()

    def test_06_07_crlf_files_get_no_second_cr(self):
        with self.bed.login() as client:
            got = client.multi("RETR %d" % self.by_uidl(client)["crlf"])
            self.assertNotIn(b"\r\r\n", got)
            client.quit()

    def test_06_08_nul_inside_a_line(self):
        with self.bed.login() as client:
            got = client.multi("RETR %d" % self.by_uidl(client)["nul"])
            self.assertIn(b"a\0b\r\n\0\r\n..\0.\r\n", got)
            client.quit()

    def test_06_17_utf8_headers_are_sent_as_stored(self):
        with self.bed.login() as client:
            got = client.multi("RETR %d" % self.by_uidl(client)["utf8-header"])
            self.assertIn("Grüße aus Köln".encode(), got)
            client.quit()

    def test_everything_in_one_pipeline(self):
        with self.bed.login(tls=True) as client:
            numbers = self.by_uidl(client)
            client.send(b"".join(b"RETR %d\r\nTOP %d 1\r\n" % (n, n) for n in numbers.values())
                        + b"QUIT\r\n")
            for name in numbers:
                with self.subTest(message=name):
                    self.assertTrue(client.line().startswith(b"+OK"))
                    self.assertEqual(client.rest(), zoo.stuffed(zoo.wire(self.messages[name])))
                    self.assertTrue(client.line().startswith(b"+OK"))
                    self.assertEqual(client.rest(), zoo.stuffed(zoo.top(self.messages[name], 1)))
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()

    def test_a_reader_that_stops_and_goes(self):
        """Back pressure: the server waits with its buffers full, and nothing is lost."""
        user = "user2@example.test"
        octets = b"Subject: big\n\n" + b"".join(b".%07d and some more text\n" % i
                                                for i in range(600_000))
        self.bed.deliver(octets, user)
        for tls in (False, True):
            with self.subTest(tls=tls), self.bed.login(user, tls=tls) as client:
                client.send(b"RETR 1\r\nRETR 1\r\nNOOP\r\nQUIT\r\n")
                time.sleep(0.5)  # not for luck: so long it must not send more than fits
                want = zoo.stuffed(zoo.wire(octets))
                for _ in range(2):
                    self.assertTrue(client.line().startswith(b"+OK"))
                    self.assertEqual(hashlib.sha256(client.rest()).digest(),
                                     hashlib.sha256(want).digest())
                self.assertTrue(client.line().startswith(b"+OK"))
                self.assertTrue(client.line().startswith(b"+OK"))
                client.expect_end()

    def test_claimed_sizes_that_are_wrong(self):
        """,S= and ,W= of a name are somebody's claim: LIST still counts what RETR sends."""
        user = "user3@example.test"
        stored = zoo.head("claims") + b"one\ntwo\n.three\n"
        size, octets = len(stored), len(zoo.wire(stored))
        claims = (",S=%d,W=%d" % (size, octets), ",S=%d" % size, ",S=%d" % (size + 1),
                  ",S=%d,W=%d" % (size, octets + 1), ",S=%d,W=%d" % (size + 1, octets),
                  ",W=%d" % octets, ",W=%d" % (octets - 1), ",S=1,W=1", ",S=,W=", ",S=-1,W=x",
                  ",S=99999999999999999999,W=99999999999999999999", ",W=%dx" % octets)
        for number, claim in enumerate(claims):
            self.bed.deliver(stored, user, name="17%d.c%d.test%s:2,S" % (number, number, claim),
                             box="cur")
        for _ in range(2):  # worked out, then from the index
            with self.bed.login(user) as client:
                self.assertEqual(client.stat(), (len(claims), octets * len(claims)))
                for line in client.lines("LIST"):
                    number, listed = line.split(" ")
                    self.assertEqual(int(listed), octets)
                    self.assertEqual(client.multi("RETR " + number),
                                     zoo.stuffed(zoo.wire(stored)))
                client.quit()


class HeadersAlone(BedCase):
    """Messages without an empty line among the others, and what mail.end_headers makes of them."""
    odd = {
        "utf8-alone": "Subject: Grüße\n".encode(),
        "utf8-alone-crlf": "Subject: Grüße\r\nX: y\r\n".encode(),
        "utf8-alone-no-end": "Subject: Grüße".encode(),
        "utf8-no-field": "Grüße\nund mehr".encode(),
        "utf8-ended": "Subject: Grüße\n\n".encode(),
        "cr-at-end": b"Subject: a\r\n\r",
        "large-alone": b"X: y\n" * 60_000,
        "large-utf8-alone": "X: ä\n".encode() * 20_000,
    }
    messages = {**zoo.messages(), **odd}

    def fill(self, user):
        for octets in self.messages.values():
            self.bed.deliver(octets, user)

    def client(self, user, utf8):
        client = self.bed.connect()
        if utf8:
            client.ok("UTF8")
        client.login(user, self.bed.password)
        return client

    def received(self, user, utf8):
        """Each message, as the size that LIST says, RETR and TOP agree on."""
        got = []
        with self.client(user, utf8) as client:
            sizes = [int(line.split(" ")[1]) for line in client.lines("LIST")]
            self.assertEqual(client.stat(), (len(sizes), sum(sizes)))
            for number, size in enumerate(sizes, 1):
                self.assertEqual(client.ok("LIST %d" % number), b"+OK %d %d" % (number, size))
                self.assertIn(b" %d " % size, client.ok("RETR %d" % number))
                sent = client.rest()
                octets = b"\n".join(line[line.startswith(b"."):] for line in sent.split(b"\n"))
                octets = octets[:-2]  # what the ending dot's line left
                self.assertEqual(zoo.stuffed(octets), sent)
                self.assertEqual(len(octets), size)
                for lines in (0, 1, 3, 10**9):
                    self.assertEqual(client.multi("TOP %d %d" % (number, lines)),
                                     zoo.stuffed(zoo.top(octets, lines)))
                got.append(octets)
            client.quit()
        return got

    def check(self, user, stored):
        """Measured, then from the index; with UTF8 and without."""
        for utf8 in (True, False, True):
            got = self.received(user, utf8)
            self.assertEqual(len(got), len(stored))
            for (name, octets), sent in zip(stored.items(), got):
                with self.subTest(message=name, utf8=utf8):
                    self.assertEqual(zoo.ended(sent), sent)
                    if utf8 or octets.isascii():
                        self.assertEqual(sent, zoo.ended(zoo.wire(octets)))
                    elif name.startswith("utf8"):
                        self.assertTrue(sent.split(b"\r\n\r\n")[0].isascii(), sent)


class HeadersEnded(HeadersAlone):
    """No message without an empty line, and the sizes say so."""
    options = ("--users", "3", "--set", "mail.end_headers=true")

    def test_zoo_in_both_modes(self):
        self.fill("user1@example.test")
        self.check("user1@example.test", self.messages)

    def test_dele_counts_the_same_octets(self):
        user = "user2@example.test"
        for _ in range(2):
            self.bed.deliver(b"Subject: a\n", user)
        with self.bed.login(user) as client:
            self.assertEqual(client.stat(), (2, 28))
            client.ok("DELE 1")
            self.assertEqual(client.stat(), (1, 14))
            client.ok("RSET")
            self.assertEqual(client.stat(), (2, 28))
            client.quit()

    def test_pipeline(self):
        user = "user3@example.test"
        self.fill(user)
        with self.client(user, True) as client:
            client.send(b"".join(b"RETR %d\r\nTOP %d 0\r\n" % (n, n)
                                 for n in range(1, len(self.messages) + 1)) + b"QUIT\r\n")
            for name, octets in self.messages.items():
                with self.subTest(message=name):
                    want = zoo.ended(zoo.wire(octets))
                    self.assertTrue(client.line().startswith(b"+OK"))
                    self.assertEqual(client.rest(), zoo.stuffed(want))
                    self.assertTrue(client.line().startswith(b"+OK"))
                    self.assertEqual(client.rest(), zoo.stuffed(zoo.top(want, 0)))
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()


class HeadersEndedMbox(HeadersAlone):
    """There only the last message of the file can be without an empty line."""
    options = ("--storage", "mbox", "--users", "1", "--set", "mail.end_headers=true")

    def test_last_message_in_both_modes(self):
        for octets in (b"Subject: b\n", b"Subject: b", b"", "Subject: ü\n".encode(),
                       b"X: y\n" * 50_000):
            with self.subTest(last=octets[:20]):
                user = "user1@example.test"
                with open(self.bed.maildrop(user), "wb") as f:
                    f.write(b"From a@b.example Mon Jan  5 10:00:00 2026\nSubject: a\n\n"
                            b"From a@b.example Mon Jan  5 10:00:00 2026\nX-UID: 7\n" + octets)
                self.check(user, {"first": b"Subject: a\n\n", "utf8-last": octets})


class HeadersNotEnded(HeadersAlone):
    """Nobody gets one who did not ask for it."""
    options = ("--users", "1")

    def test_zoo_is_sent_as_stored(self):
        self.fill("user1@example.test")
        for name, octets in zip(self.messages, self.received("user1@example.test", True)):
            with self.subTest(message=name):
                self.assertEqual(octets, zoo.wire(self.messages[name]))


class Generated(BedCase):
    """Octets at random from the few that matter, so that every pair and triple comes up."""
    options = ("--users", "1")

    def test_random_messages(self):
        rng = random.Random(1939)
        stored = {}
        for number in range(400):
            length = rng.choice((1, 2, 3, 5, 8, 13, 40, 200, 4095, 4097))
            octets = bytes(rng.choice(b"\r\n\n.. xA\0\xe4") for _ in range(length))
            name = "%d.r%d.test" % (1600000000 + number, number)
            stored[name] = octets
            self.bed.deliver(octets, name=name)
        with self.bed.login() as client:
            sizes = dict(line.split(" ") for line in client.lines("LIST"))
            for line in client.lines("UIDL"):
                number, uidl = line.split(" ")
                with self.subTest(octets=stored[uidl][:60]):
                    want = zoo.wire(stored[uidl])
                    self.assertEqual(int(sizes[number]), len(want))
                    self.assertEqual(client.multi("RETR " + number), zoo.stuffed(want))
                    lines = rng.randrange(4)
                    self.assertEqual(client.multi("TOP %s %d" % (number, lines)),
                                     zoo.stuffed(zoo.top(stored[uidl], lines)))
            client.quit()


@unittest.skipUnless(zoo.corpus_files(), "no corpus folder: set POSTERN_CORPUS")
class Corpus(BedCase):
    """A folder of messages as they came, stored as they are and with CRLF line ends."""
    options = ("--users", "2", "--set", "mail.surrogates=false")

    def check(self, user, change):
        stored = {}
        for path in zoo.corpus_files():
            with open(path, "rb") as f:
                octets = change(f.read())
            name = "16.%s.test" % os.path.basename(path)
            stored[name] = octets
            self.bed.deliver(octets, user, name=name)
        with self.bed.login(user) as client:
            sizes = dict(line.split(" ") for line in client.lines("LIST"))
            self.assertEqual(len(sizes), len(stored))
            for line in client.lines("UIDL"):
                number, uidl = line.split(" ")
                with self.subTest(file=uidl):
                    want = zoo.wire(stored[uidl])
                    self.assertEqual(int(sizes[number]), len(want))
                    self.assertEqual(client.multi("RETR " + number), zoo.stuffed(want))
                    self.assertEqual(client.multi("TOP %s 0" % number),
                                     zoo.stuffed(zoo.top(stored[uidl], 0)))
            client.quit()

    def test_as_stored(self):
        self.check("user1@example.test", lambda octets: octets)

    def test_with_crlf(self):
        self.check("user2@example.test", zoo.wire)


if __name__ == "__main__":
    unittest.main()
