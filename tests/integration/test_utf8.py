# SPDX-License-Identifier: MIT
"""RFC 6856: UTF8 and LANG, and what clients see of headers with UTF-8 that did not say UTF8."""
import email
import email.header
import email.policy
import os
import poplib
import random
import shutil
import subprocess
import time
import unittest

import zoo
from bed import BedCase

BODY = "\nGrüße aus dem Rumpf\n.\n..\nmit UTF-8: äöü\n"
LETTER = """Return-Path: <jörg@example.org>
Received: from a by b; Mon, 5 Jan 2026 10:00:00 +0100
From: Jörg Müller <joerg@bücher.example>
To: "Grün, Änne" <änne@example.org>, bob@example.org
Subject: Überraschung: größere Grüße aus Köln an alle, die auf Antwort warten seit Wochen
Date: Mon, 5 Jan 2026 10:00:00 +0100 (Mitteleuropäische Zeit)
X-Plain: nothing to see
Content-Type: text/plain; charset=utf-8; name="Übersicht.txt"
""" + BODY


def as_wire(text):
    return zoo.wire(text.encode() if isinstance(text, str) else text)


def is_ascii(octets):
    return all(o < 0x80 for o in octets)


def head(octets):
    return octets.split(b"\r\n\r\n", 1)[0]


def unstuff(octets):
    """A multi-line reply's octets without dots and end."""
    assert octets.endswith(b".\r\n"), octets[-20:]
    lines = octets[:-3].split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


def random_header(rng):
    """Fields of all kinds, with ASCII, UTF-8, and octets that are neither."""
    words = ["a", "Köln", "=?UTF-8?Q?=C3=BC?=", "\"q\\\"ö\"", "(c ä)", "<x@y.example>", "<ü@y.example>",
             "z@bücher.example", ",", ";", ":", "名前を", "x" * 70, "ü" * 60, "long" * 300, "\t", "=", "@",
             "name=\"ß\"", "filename*0=\"ä\"", "\\", "\"", "(", ")", "[1.2.3.4]", "\u2028", "\x01"]
    names = ["From", "To", "Cc", "Subject", "Date", "Content-Type", "Content-Disposition", "Received",
             "X-" + "n" * rng.choice((3, 60, 90)), "Message-ID", "Junk line", "List-Id", "References"]
    fields = []
    for _ in range(rng.randrange(1, 12)):
        text = rng.choice(names) + rng.choice((":", ": ", " : "))
        for _ in range(rng.randrange(0, 9)):
            text += rng.choice(words) + rng.choice(("", " ", "  ", "\n ", "\n\t"))
        octets = text.rstrip("\n\t ").encode()
        if rng.random() < 0.1:
            octets += b" \xff\xfe"
        fields.append(octets)
    end = rng.choice((b"\n", b"\r\n"))
    header = end.join(fields).replace(b"\n", end).replace(b"\r\r", b"\r")
    return header + rng.choice((b"", end, end + end, end + end + "body ä\n.x".encode()))


class Both(BedCase):
    """The same for both drivers."""

    options = ("--users", "6")

    def drop(self, messages, user):
        for octets in messages:
            self.bed.deliver(octets if isinstance(octets, bytes) else octets.encode(), user)

    def client(self, user, utf8, tls=False):
        until = time.monotonic() + 3
        while True:
            client = self.bed.connect(tls=tls)
            if utf8:
                client.ok("UTF8")
            try:
                client.login(user, self.bed.password)
                return client
            except AssertionError as e:
                client.close()
                if "[IN-USE]" not in str(e) or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def sizes(self, client):
        listed = [int(line.split(" ")[1]) for line in client.lines("LIST")]
        self.assertEqual(client.stat(), (len(listed), sum(listed)))
        return listed

    def check_sizes(self, client):
        """LIST, RETR and TOP agree. Gives the messages as they came."""
        got = []
        for number, size in enumerate(self.sizes(client), 1):
            self.assertIn(b" %d" % size, client.ok("LIST %d" % number))
            self.assertIn(b"%d octets" % size, client.ok("RETR %d" % number))
            message = unstuff(client.rest())
            self.assertEqual(len(message), size, message[:2000])
            for lines in (0, 1, 3, 10**9):
                self.assertEqual(client.multi("TOP %d %d" % (number, lines)),
                                 zoo.stuffed(zoo.top(message, lines)))
            got.append(message)
        return got


class Surrogates(Both):
    def test_utf8_client_gets_what_is_stored(self):
        user = "user1@example.test"
        self.drop([LETTER], user)
        with self.client(user, True) as client:
            self.assertEqual(self.check_sizes(client), [as_wire(LETTER)])
            client.quit()

    def test_other_client_gets_a_readable_surrogate(self):
        user = "user2@example.test"
        self.drop([LETTER, "Subject: plain\n\nbody ü\n"], user)
        with self.client(user, False) as client:
            letter, plain = self.check_sizes(client)
            client.quit()
        self.assertEqual(plain, as_wire("Subject: plain\n\nbody ü\n"))
        self.assertTrue(is_ascii(head(letter)), head(letter))
        self.assertTrue(letter.endswith(as_wire(BODY)))
        self.assertTrue(all(len(line) <= 78 for line in head(letter).split(b"\r\n")))
        m = email.message_from_bytes(letter, policy=email.policy.default)
        self.assertEqual(m["Subject"], LETTER.split("Subject: ")[1].split("\n")[0])
        self.assertEqual(m["From"].addresses[0].display_name, "Jörg Müller")
        self.assertEqual(m["From"].addresses[0].addr_spec, "joerg@xn--bcher-kva.example")
        self.assertEqual([a.addr_spec for a in m["To"].addresses], ["bob@example.org"])
        self.assertIn("änne@example.org", str(email.header.make_header(
            email.header.decode_header(m["To"].groups[0].display_name))))
        self.assertEqual(m["Date"].datetime.isoformat(), "2026-01-05T10:00:00+01:00")
        self.assertEqual(m.get_filename(), "Übersicht.txt")
        self.assertEqual(m["X-Plain"], "nothing to see")
        self.assertNotIn("Return-Path", m)
        self.assertIn("jörg@example.org", str(m["Downgraded-Return-Path"]))

    def test_header_that_is_no_utf8_stays(self):
        user = "user3@example.test"
        stored = b"Subject: Gr\xfc\xdfe\nFrom: J\xc3\xb6rg <a@b.example>\n\nx\n"
        self.drop([stored], user)
        with self.client(user, False) as client:
            got, = self.check_sizes(client)
            client.quit()
        self.assertIn(b"Subject: Gr\xfc\xdfe\r\n", got)
        self.assertTrue(is_ascii(got.split(b"\r\n")[1]))

    def test_parts_of_the_body_stay(self):
        user = "user4@example.test"
        stored = ("Subject: ü\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
                  "Content-Type: text/plain; name=\"ü.txt\"\n\nx\n--b--\n")
        self.drop([stored], user)
        with self.client(user, False) as client:
            got, = self.check_sizes(client)
            client.quit()
        self.assertTrue(got.endswith(as_wire(stored.split("\n\n", 1)[1])))

    def test_large_one_to_a_slow_client(self):
        """Chunk after chunk, with the socket full in between."""
        user = "user5@example.test"
        field = "X-Long: " + "ä " * 20000 + "\n"
        body = "".join("%d .\n" % n for n in range(700000))
        stored = "Subject: ü\n" + field + "\n" + body
        self.drop([stored, LETTER], user)
        with self.client(user, False) as client:
            size = self.sizes(client)[0]
            client.send(b"RETR 1\r\nNOOP\r\nRETR 2\r\nQUIT\r\n")
            time.sleep(0.3)  # the server fills the socket, and blocks
            self.assertIn(b"%d octets" % size, client.line())
            got = unstuff(client.rest())
            self.assertEqual(len(got), size)
            self.assertTrue(got.endswith(as_wire(body)))
            self.assertTrue(is_ascii(head(got)))
            self.assertEqual(client.line()[:3], b"+OK")
            self.assertEqual(client.line()[:3], b"+OK")
            self.assertTrue(unstuff(client.rest()).endswith(as_wire(BODY)))
            self.assertEqual(client.line()[:3], b"+OK")

    def test_random_headers(self):
        """RETR has the octets that LIST says, in both modes, TOP likewise; nothing is lost of the rest."""
        user = "user6@example.test"
        seed = int(os.environ.get("SEED", "6856"))
        rng = random.Random(seed)
        messages = [random_header(rng) for _ in range(300)]
        self.drop(messages, user)
        with self.client(user, True) as client:
            self.assertEqual(self.check_sizes(client), [as_wire(m) for m in messages], seed)
            client.quit()
        with self.client(user, False) as client:
            for stored, got in zip(messages, self.check_sizes(client)):
                if is_ascii(stored):
                    self.assertEqual(got, as_wire(stored))
                if b"\xff" not in stored:
                    self.assertTrue(is_ascii(head(got)), (seed, stored, got))
                self.assertEqual(got.partition(b"\r\n\r\n")[2],
                                 as_wire(stored).partition(b"\r\n\r\n")[2])
            client.quit()


class Mbox(Surrogates):
    options = ("--storage", "mbox", "--users", "6")

    def drop(self, messages, user):
        with open(self.bed.maildrop(user), "ab") as f:
            for number, octets in enumerate(messages):
                octets = octets if isinstance(octets, bytes) else octets.encode()
                f.write(b"From a@b.example Mon Jan  5 10:00:%02d 2026\n" % (number % 60))
                f.write(b"X-UID: %d\nStatus: RO\n" % (number + 1) if number % 2 else b"")
                f.write(octets + (b"\n" if octets.endswith(b"\n") else b"\n\n"))

    def test_random_headers(self):
        """As for Maildir; where a message ends is the mbox's matter, so its UTF-8 form is the measure."""
        user = "user6@example.test"
        rng = random.Random(6856)
        self.drop([random_header(rng) for _ in range(300)], user)
        with self.client(user, True) as client:
            stored = self.check_sizes(client)
            client.quit()
        with self.client(user, False) as client:
            for raw, got in zip(stored, self.check_sizes(client)):
                if is_ascii(raw):
                    self.assertEqual(got, raw)
                if b"\xff" not in raw:
                    self.assertTrue(is_ascii(head(got)), (raw, got))
            client.quit()


class Maildir(Both):
    options = ("--users", "2")

    def test_dele_counts_in_the_form_that_was_listed(self):
        user = "user1@example.test"
        self.drop([LETTER, LETTER], user)
        with self.client(user, False) as client:
            one = self.sizes(client)[0]
            client.ok("DELE 1")
            self.assertEqual(client.stat(), (1, one))
            client.ok("RSET")
            self.assertEqual(client.stat(), (2, 2 * one))
            client.quit()

    def test_message_that_changed_in_place_is_refused(self):
        user = "user2@example.test"
        name = self.bed.deliver(b"Subject: \xc3\xbc\n\nx\n", user)
        with self.client(user, False) as client:
            self.sizes(client)
            path = os.path.join(self.bed.maildrop(user), "new", name)
            with open(path, "r+b") as f:
                f.write(b"Subject: ab\n\nx\n"[:len(b"Subject: ..\n\nx\n")])
            self.assertIn(b"-ERR [SYS/TEMP]", client.cmd("RETR 1"))
            self.assertTrue(client.ok("NOOP"))
            client.quit()


class Off(Both):
    options = ("--users", "1", "--set", "mail.surrogates=false")

    def test_everybody_gets_what_is_stored(self):
        user = "user1@example.test"
        self.drop([LETTER], user)
        for utf8 in (False, True):
            with self.client(user, utf8) as client:
                self.assertEqual(self.check_sizes(client), [as_wire(LETTER)])
                client.quit()


class Session(Both):
    """The two commands (sections 2 and 3)."""

    options = ("--users", "2", "--set", "server.language=de", "--set", "login.max_bad_commands=100")
    user = "user1@example.test"

    def test_capa_in_both_states(self):
        with self.bed.connect() as client:
            self.assertLessEqual({"UTF8 USER", "LANG"}, set(client.lines("CAPA")))
            client.login(self.user, self.bed.password)
            self.assertLessEqual({"UTF8 USER", "LANG"}, set(client.lines("CAPA")))

    def test_utf8_takes_no_argument(self):
        with self.bed.connect() as client:
            self.assertTrue(client.cmd("UTF8 USER").startswith(b"-ERR"))
            client.ok("utf8")
            client.ok("UTF8")

    def test_utf8_after_login_is_harmless(self):
        """Outlook says it there."""
        self.drop([LETTER], self.user)
        with self.client(self.user, False) as client:
            sizes = self.sizes(client)
            client.ok("UTF8")
            self.assertEqual(self.sizes(client), sizes)
            self.assertTrue(is_ascii(head(self.check_sizes(client)[0])))

    def test_stls_forgets_utf8_and_language(self):
        """Who said them before TLS may not have been the client."""
        self.bed.clear(self.user)
        self.drop([LETTER], self.user)
        with self.bed.connect() as client:
            client.ok("UTF8")
            client.ok("LANG de")
            client.ok("STLS")
            client.start_tls()
            self.assertEqual(client.cmd("NONSENSE"), b"-ERR unknown command")
            client.login(self.user, self.bed.password)
            self.assertTrue(is_ascii(head(self.check_sizes(client)[0])))

    def test_utf8_survives_a_failed_login(self):
        self.bed.clear(self.user)
        self.drop([LETTER], self.user)
        with self.bed.connect() as client:
            client.ok("UTF8")
            client.ok("USER " + self.user)
            self.assertIn(b"[AUTH]", client.cmd("PASS wrong"))
            client.login(self.user, self.bed.password)
            self.assertEqual(self.check_sizes(client), [as_wire(LETTER)])

    def test_pipelined(self):
        self.bed.clear(self.user)
        self.drop([LETTER], self.user)
        with self.bed.connect(tls=True) as client:
            client.send(("UTF8\r\nLANG de\r\nUSER %s\r\nPASS %s\r\nRETR 1\r\nLANG en\r\nQUIT\r\n" % (
                self.user, self.bed.password)).encode())
            self.assertTrue(client.line().startswith(b"+OK"))
            self.assertEqual(client.line(), b"+OK de Sprache gewechselt")
            self.assertEqual(client.line(), b"+OK jetzt PASS senden")
            self.assertIn("Nachrichten".encode(), client.line())
            self.assertIn("Oktette".encode(), client.line())
            self.assertEqual(client.rest(), zoo.stuffed(as_wire(LETTER)))
            self.assertEqual(client.line(), b"+OK en language changed")
            self.assertEqual(client.line(), b"+OK 0 messages deleted")

    def test_lang_lists(self):
        for is_in in (False, True):
            with self.bed.connect() as client:
                if is_in:
                    client.login(self.user, self.bed.password)
                self.assertEqual(client.lines("LANG"),
                                 ["i-default Default language", "en English", "de Deutsch"])

    def test_lang_changes_texts_and_nothing_else(self):
        with self.bed.connect() as client:
            self.assertEqual(client.cmd("LANG de-AT"), b"+OK de Sprache gewechselt")
            self.assertEqual(client.cmd("STAT"), "-ERR Befehl in diesem Zustand nicht möglich".encode())
            client.ok("USER " + self.user)
            self.assertEqual(client.cmd("PASS wrong"), b"-ERR [AUTH] Anmeldung gescheitert")
            self.assertEqual(client.cmd("LANG xx"), b"-ERR diese Sprache gibt es nicht")
            client.login(self.user, self.bed.password)
            self.assertEqual(client.cmd("TOP 99 1"), b"-ERR diese Nachricht gibt es nicht")
            with self.bed.connect() as other:
                other.ok("USER " + self.user)
                self.assertEqual(other.cmd("PASS " + self.bed.password),
                                 b"-ERR [IN-USE] maildrop is in use by another session")
            self.assertEqual(client.cmd("LANG i-default"), b"+OK i-default language changed")
            self.assertEqual(client.cmd("TOP 99 1"), b"-ERR no such message")
            self.assertEqual(client.cmd("LANG *"), b"+OK de Sprache gewechselt")
            self.assertEqual(client.cmd("LANG EN"), b"+OK en language changed")
            self.assertEqual(client.cmd("LANG fr"), b"-ERR no such language")
            self.assertTrue(client.cmd("LANG de en").startswith(b"-ERR"))

    def test_default_texts_are_ascii(self):
        with self.bed.connect() as client:
            for line in (b"USER \xc3\xbc", b"AUTH \xc3\xbc", b"\xc3\xbc", b"LANG \xc3\xbc", b"CAPA \xff"):
                self.assertTrue(is_ascii(client.cmd(line)), line)

    def test_names_and_passwords_in_utf8(self):
        """Taken without UTF8 too (section 2.1); what is no UTF-8 is refused."""
        for said in (False, True):
            with self.bed.connect() as client:
                if said:
                    client.ok("UTF8")
                client.ok("USER jörg@example.test".encode())
                self.assertIn(b"[AUTH]", client.cmd("PASS schön".encode()))
                client.ok(b"USER j\xf6rg@example.test")
                self.assertIn(b"[AUTH]", client.cmd(b"PASS \xff"))

    def test_poplib(self):
        self.bed.clear(self.user)
        self.drop([LETTER], self.user)
        for utf8 in (True, False):
            client = poplib.POP3(self.bed.host, self.bed.port, timeout=20)
            if utf8:
                client.utf8()
            client.user(self.user)
            client.pass_(self.bed.password)
            _, lines, octets = client.retr(1)
            self.assertEqual(octets, client.list(1).split()[-1] and int(client.list(1).split()[-1]))
            self.assertEqual("Subject: Überraschung".encode() in b"\r\n".join(lines), utf8)
            client.quit()

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        self.bed.clear(self.user)
        self.drop([LETTER], self.user)
        got = subprocess.run(["curl", "-s", "-u", "%s:%s" % (self.user, self.bed.password),
                              "pop3://%s:%d/1" % (self.bed.host, self.bed.port)],
                             capture_output=True, check=True, timeout=30).stdout
        self.assertTrue(is_ascii(head(got)))
        m = email.message_from_bytes(got, policy=email.policy.default)
        self.assertEqual(m["From"].addresses[0].display_name, "Jörg Müller")


if __name__ == "__main__":
    unittest.main()
