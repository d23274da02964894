# SPDX-License-Identifier: MIT
"""RFC 1939, 2449 and 3206 on raw sockets: every command in every state, bad input, pipelining.

A number in a test's name is that of a fault in our list of those that other servers show: 06_03 is
the third of them.
"""
import os
import re
import unittest

from bed import BedCase, stopwatch, to_octets, unstuff

# What CAPA must say, exactly: in clear text where login is allowed, where it is not, and so on.
ALWAYS = {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER",
          "UTF8 USER", "LANG"}
LOGIN = {"USER", "SASL PLAIN LOGIN"}

COMMANDS = {  # command: arguments that are right with one message there
    "CAPA": "", "STLS": "", "USER": " u", "PASS": " p", "AUTH": "", "QUIT": "",
    "STAT": "", "LIST": "", "RETR": " 1", "DELE": " 1", "NOOP": "", "RSET": "", "TOP": " 1 0",
    "UIDL": "", "UTF8": "", "LANG": "",
}
BEFORE = {"CAPA", "STLS", "USER", "PASS", "AUTH", "QUIT", "UTF8", "LANG"}
AFTER = {"CAPA", "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL", "QUIT",
         "UTF8", "LANG"}
MULTI = {"CAPA", "LIST", "UIDL", "RETR", "TOP", "AUTH", "LANG"}


def mail(number):
    return b"Subject: message %d\n\nline 1\nline 2\nline 3\n" % number


class Protocol(BedCase):
    options = ("--users", "8", "--strict-port", "--set", "mail.max_bad_commands=1000",
               "--set", "login.max_bad_commands=1000")
    user = "user1@example.test"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number in range(1, 4):
            cls.bed.deliver(mail(number), cls.user)

    # -- greeting and CAPA -------------------------------------------------------------------

    def test_greeting(self):
        for tls in (False, True):
            with self.bed.connect(tls=tls) as client:
                self.assertTrue(client.greeting.startswith(b"+OK "))
                self.assertLessEqual(len(client.greeting), 510)
                self.assertNotIn(b"[", client.greeting[4:5])  # RFC 2449: no stray response code
                self.assertNotIn(b"<", client.greeting)       # no APOP is offered
                client.quit()

    def capa(self, client):
        lines = client.lines("CAPA")
        self.assertEqual(len(lines), len(set(lines)), "listed twice")
        return set(lines)

    def test_06_24_capa_exact_sets(self):
        implementation = re.compile(r"IMPLEMENTATION \S")
        with self.subTest("plain, login allowed"), self.bed.connect() as client:
            self.assertEqual(self.capa(client), ALWAYS | LOGIN | {"STLS"})
            client.ok("STLS")
            client.start_tls()
            self.assertEqual(self.capa(client), ALWAYS | LOGIN)
        with self.subTest("plain, login refused"), self.bed.connect(strict=True) as client:
            self.assertEqual(self.capa(client), ALWAYS | {"STLS"})
            client.ok("STLS")
            client.start_tls()
            self.assertEqual(self.capa(client), ALWAYS | LOGIN)
        with self.subTest("implicit TLS"), self.bed.connect(tls=True) as client:
            self.assertEqual(self.capa(client), ALWAYS | LOGIN)
        for tls in (False, True):
            with self.subTest("after login", tls=tls), self.bed.login(tls=tls) as client:
                found = self.capa(client)
                hidden = {line for line in found if implementation.match(line)}
                self.assertEqual(len(hidden), 1, "IMPLEMENTATION after login")
                self.assertLessEqual(found - hidden, ALWAYS | LOGIN)
                self.assertLessEqual(ALWAYS, found)
                self.assertNotIn("STLS", found)
                client.quit()

    # -- every command in every state ---------------------------------------------------------

    def test_commands_before_login(self):
        for word, arguments in COMMANDS.items():
            if word in BEFORE:
                continue
            for form in (word, word.lower(), word.capitalize()):
                with self.subTest(form), self.bed.connect() as client:
                    client.err(form + arguments, "")
                    client.ok("CAPA")

    def test_commands_after_login(self):
        user = "user2@example.test"
        self.bed.deliver(mail(1), user)
        for word, arguments in COMMANDS.items():
            with self.subTest(word), self.bed.login(user) as client:
                if word not in AFTER:
                    client.err(word + arguments, "")
                    client.ok("NOOP")
                    continue
                for form in (word.lower(), word.capitalize(), word):
                    if word == "QUIT" and form != word:
                        continue
                    if word == "DELE":
                        client.ok("RSET")
                    client.ok(form + arguments)
                    if word in MULTI:
                        client.rest()
                if word == "DELE":
                    client.ok("RSET")
                if word == "QUIT":
                    client.expect_end()
                else:
                    client.quit()
        self.assertEqual(len(self.bed.names(user)), 1)

    def test_arguments_that_are_wrong(self):
        wrong = ("STAT 1", "NOOP x", "RSET 1", "QUIT now", "RETR", "RETR 1 2", "RETR  1", "DELE",
                 "DELE 1 1", "TOP 1", "TOP", "TOP 1 -1", "TOP 1 x", "TOP 1 1 1", "TOP 1 0x1",
                 "LIST 1 1", "UIDL 1 1", "UIDL x", "RETR 1x", "RETR 0", "RETR 4", "DELE 4",
                 "TOP 4 0", "TOP 0 0", "UIDL 4", "LIST 4", "CAPA x", "RETR\t1", "RETR one")
        with self.bed.login(self.user) as client:
            for line in wrong:
                with self.subTest(line):
                    client.err(line, "")
                    client.ok("NOOP")
            self.assertEqual(client.stat()[0], 3)
            client.quit()

    def test_06_16_numbers_that_wrap(self):
        numbers = ("4294967297", "18446744073709551617", "-1", "+1", "1x", "0", "0x1", "1.0", "¹",
                   "-4294967295", "99999999999999999999999999999999", "1\0")
        with self.bed.login(self.user) as client:
            for number in numbers:
                for form in ("LIST %s", "RETR %s", "DELE %s", "UIDL %s", "TOP %s 0"):
                    with self.subTest(form % number):
                        client.err(form % number, "")
            self.assertEqual(client.stat()[0], 3)
            client.quit()

    def test_user_then_something_else(self):
        with self.bed.connect() as client:
            client.err("PASS secret")  # no USER before
            client.ok("USER " + self.user)
            client.lines("CAPA")       # CAPA between the two forgets nothing
            client.ok("PASS " + self.bed.password)
            client.quit()
        with self.bed.connect() as client:
            client.err("USER", "")
            client.err("USER a b", "")
            client.ok("USER someone")
            client.ok("USER " + self.user)  # the last one counts
            client.ok("PASS " + self.bed.password)
            client.quit()

    def test_quit_before_login(self):
        for tls in (False, True):
            with self.bed.connect(tls=tls) as client:
                self.assertTrue(client.quit().startswith(b"+OK"))

    # -- TRANSACTION ---------------------------------------------------------------------------

    def test_replies_in_their_exact_form(self):
        sizes = [len(mail(n)) + mail(n).count(b"\n") for n in (1, 2, 3)]
        with self.bed.login(self.user) as client:
            self.assertEqual(client.cmd("STAT"), b"+OK 3 %d" % sum(sizes))
            self.assertEqual(client.lines("LIST"), ["%d %d" % (n + 1, s)
                                                    for n, s in enumerate(sizes)])
            self.assertEqual(client.cmd("LIST 2"), b"+OK 2 %d" % sizes[1])
            uidl = [line.split(" ") for line in client.lines("UIDL")]
            self.assertEqual([n for n, _ in uidl], ["1", "2", "3"])
            for number, value in uidl:
                self.assertRegex(value, r"^[!-~]{1,70}$")
                self.assertEqual(client.cmd("UIDL " + number), b"+OK %s %s" % (
                    number.encode(), value.encode()))
            client.quit()

    def test_06_02_dele_keeps_the_numbers(self):
        with self.bed.login(self.user) as client:
            before = client.lines("UIDL")
            client.ok("DELE 1")
            self.assertEqual([x.split(" ")[0] for x in client.lines("LIST")], ["2", "3"])
            self.assertEqual(client.lines("UIDL"), before[1:])
            client.ok("DELE 3")
            self.assertEqual([x.split(" ")[0] for x in client.lines("LIST")], ["2"])
            client.ok("DELE 2")
            self.assertEqual(client.multi("LIST"), b".\r\n")
            self.assertEqual(client.multi("UIDL"), b".\r\n")
            self.assertEqual(client.stat(), (0, 0))
            client.ok("RSET")
            client.quit()

    def test_06_03_a_deleted_message_is_refused(self):
        with self.bed.login(self.user) as client:
            client.ok("DELE 1")
            for line in ("RETR 1", "TOP 1 0", "UIDL 1", "LIST 1", "DELE 1"):
                with self.subTest(line):
                    client.err(line, "")
            client.ok("RSET")
            client.quit()
        self.assertEqual(len(self.bed.names(self.user)), 3)

    def test_06_04_rset_brings_them_back(self):
        with self.bed.login(self.user) as client:
            before = client.stat()
            client.ok("DELE 2")
            count, octets = client.stat()
            self.assertEqual(count, before[0] - 1)
            self.assertLess(octets, before[1])
            client.ok("RSET")
            self.assertEqual(client.stat(), before)
            client.multi("RETR 2")
            client.quit()

    def test_an_empty_maildrop(self):
        with self.bed.login("user3@example.test") as client:
            self.assertEqual(client.stat(), (0, 0))
            self.assertEqual(client.multi("LIST"), b".\r\n")
            self.assertEqual(client.multi("UIDL"), b".\r\n")
            for line in ("LIST 1", "RETR 1", "DELE 1", "TOP 1 0", "UIDL 1"):
                client.err(line, "")
            client.quit()

    def test_top_without_marking(self):
        """TOP changes nothing on disk, and neither does RETR's absence."""
        with self.bed.login(self.user) as client:
            client.multi("TOP 1 0")
            client.quit()
        self.assertEqual(len(self.bed.names(self.user)), 3)

    # -- bad input -----------------------------------------------------------------------------

    ODD = (b"", b":", b"\r", b"\0", b"X", b"ABCDEFGHI", b" ", b"  STAT", b"\xff\xfe\xc3", b"STAT\0",
           b"NOOP\0", b"\0NOOP", b"ST\0AT", "ÜSER x".encode(), b"A" * 600, b"USER " + b"x" * 600,
           b"LAST", b"XTND XMIT", b"APOP a b", b"UTF8 x", b"LANG x", b"LANG de x", b"EHLO x",
           b"GET / HTTP/1.1", b"* BYE", b"+OK", b"-ERR", b".", b"%s%n", b"'; DROP TABLE users; --")

    def test_06_15_odd_lines_before_login(self):
        for line in self.ODD:
            with self.subTest(line=line[:40]), self.bed.connect() as client:
                if line.startswith(b"USER"):
                    client.cmd(line)  # 600 octets may be within the limit: any answer will do
                else:
                    client.err(line, "")
                client.ok("CAPA")
                client.rest()
                client.quit()

    def test_06_15_odd_lines_after_login(self):
        with self.bed.login(self.user) as client:
            for line in self.ODD:
                with self.subTest(line=line[:40]):
                    client.err(line, "")
                    client.ok("NOOP")
            client.quit()

    def test_replies_never_echo_what_the_client_sent(self):
        """A line of ours cannot be made to look like two, or like a response code."""
        for line in (b"[AUTH] x", b"a\r-ERR", b"USER [IN-USE]\x1b[2J", b"\x1b[31m"):
            with self.subTest(line), self.bed.connect() as client:
                answer = client.cmd(line)
                self.assertNotIn(b"\x1b", answer)
                self.assertNotIn(b"\r", answer)
                client.ok("CAPA")

    def test_bare_lf_is_a_line_end(self):
        with self.bed.connect() as client:
            client.send(b"CAPA\nQUIT\n")
            self.assertTrue(client.line().startswith(b"+OK"))
            client.rest()
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()

    def test_lines_over_the_limit(self):
        """One answer for the whole line, however long, and the next command is understood."""
        for login in (False, True):
            for octets in (1025, 5000, 70_000, 1_000_000):
                with self.subTest(octets=octets, login=login):
                    client = self.bed.login(self.user) if login else self.bed.connect()
                    with client:
                        client.send(b"x" * (octets - 2) + b"\r\nCAPA\r\n")
                        self.assertTrue(client.line().startswith(b"-ERR"))
                        self.assertTrue(client.line().startswith(b"+OK"))
                        client.rest()
                        client.quit()

    def test_a_line_of_255_octets_is_taken(self):
        """RFC 2449 section 4."""
        with self.bed.connect() as client:
            client.ok("USER " + "u" * (255 - 7))
            client.quit()

    def test_one_octet_at_a_time(self):
        with self.bed.connect() as client:
            for octet in b"USER %s\r\nPASS %s\r\nSTAT\r\nQUIT\r\n" % (
                    to_octets(self.user), to_octets(self.bed.password)):
                client.send(bytes([octet]))
            got = client.read_all().split(b"\r\n")
            self.assertEqual([line[:3] for line in got], [b"+OK"] * 4 + [b""])

    # -- pipelining ----------------------------------------------------------------------------

    def script(self, user):
        """A thousand commands with every kind of answer."""
        lines = [b"USER " + to_octets(user), b"PASS " + to_octets(self.bed.password)]
        body = [b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 2 1", b"NOOP", b"DELE 2", b"RETR 2",
                b"LIST 3", b"RSET", b"XYZZY", b"TOP 1 x", b"UIDL 3", b"CAPA", b"LIST 9",
                b"RETR 3", b"DELE 9", b"", b"noop", b"RETR 1 "]
        while len(lines) < 999:
            lines += body
        return b"\r\n".join(lines[:999] + [b"QUIT", b""])

    def test_06_29_a_thousand_commands_in_one_segment_or_one_octet_at_a_time(self):
        script = self.script(self.user)
        self.assertEqual(script.count(b"\r\n"), 1000)
        answers = []
        for tls in (False, True):
            for step in (len(script), 1, 7, 1460):
                with self.bed.connect(tls=tls) as client:
                    for at in range(0, len(script), step):
                        client.send(script[at:at + step])
                    answers.append(client.read_all())
        self.assertGreater(answers[0].count(b"+OK"), 700)
        self.assertTrue(answers[0].split(b"\r\n")[-2].startswith(b"+OK"))
        for answer in answers[1:]:
            self.assertEqual(answer, answers[0])

    def test_06_29_the_whole_session_in_one_segment(self):
        script = b"USER %s\r\nPASS %s\r\nSTAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nQUIT\r\n" % (
            to_octets(self.user), to_octets(self.bed.password))
        whole = []
        for step in (len(script), 1):
            with self.bed.connect() as client:
                for at in range(0, len(script), step):
                    client.send(script[at:at + step])
                whole.append(client.read_all())
        self.assertEqual(whole[0], whole[1])
        self.assertIn(b"Subject: message", whole[0])

    def test_pipelined_past_a_failed_login(self):
        """What follows a refused PASS is answered in AUTHORIZATION, not thrown away."""
        with self.bed.connect() as client:
            client.send(b"USER %s\r\nPASS wrong\r\nSTAT\r\nUSER %s\r\nPASS %s\r\nSTAT\r\nQUIT\r\n" % (
                (to_octets(self.user),) * 2 + (to_octets(self.bed.password),)))
            got = [line[:4] for line in client.read_all().split(b"\r\n")[:-1]]
            self.assertEqual(got, [b"+OK ", b"-ERR", b"-ERR", b"+OK ", b"+OK ", b"+OK ", b"+OK "])

    def test_a_pipeline_without_end_is_answered_in_bounded_memory(self):
        """A client that sends and never reads is not read from for ever."""
        with self.bed.login("user4@example.test") as client:
            client.sock.settimeout(1)
            sent = 0
            with self.assertRaises(TimeoutError):
                while sent < 64 << 20:
                    sent += client.sock.send(b"CAPA\r\n" * 4096)
            self.assertLess(sent, 32 << 20)

    # -- many ----------------------------------------------------------------------------------

    def test_06_22_fifty_thousand_deles_then_list(self):
        """Linear time: five times the messages may cost little more than five times as much."""
        user = "user5@example.test"
        home = self.bed.maildrop(user)
        took = {}
        for count in (10_000, 50_000):
            for number in range(count):
                path = os.path.join(home, "new", "%d.x%d.test" % (1600000000 + number, number))
                if not os.path.exists(path):
                    with open(path, "wb"):
                        pass
            with self.bed.login(user) as client:
                self.assertEqual(client.stat(), (count, 0))
                watch = stopwatch()
                for at in range(0, count - 1, 1000):
                    numbers = range(at + 1, min(at + 1001, count))
                    client.send(b"".join(b"DELE %d\r\n" % n for n in numbers))
                    for _ in numbers:
                        self.assertTrue(client.line().startswith(b"+OK"))
                self.assertEqual(client.lines("LIST"), ["%d 0" % count])
                self.assertEqual(len(client.lines("UIDL")), 1)
                self.assertEqual(client.stat(), (1, 0))
                took[count] = watch()
        self.assertLess(took[50_000], 12 * took[10_000] + 1)
        self.bed.clear(user)

    def test_06_09_a_maildrop_of_five_gib(self):
        user = "user6@example.test"
        octets = 0
        for number in range(5):
            name = self.bed.deliver(mail(number), user)
            # The rest of the file is a hole: NUL octets, one endless line.
            path = os.path.join(self.bed.maildrop(user), "new", name)
            os.truncate(path, 1 << 30)
            octets += (1 << 30) + mail(number).count(b"\n") + 2
        with self.bed.connect(timeout=180) as client:
            client.login(user, self.bed.password)
            self.assertEqual(client.stat(), (5, octets))
            self.assertGreater(octets, 1 << 32)
            self.assertEqual(sum(int(x.split(" ")[1]) for x in client.lines("LIST")), octets)
            self.assertTrue(client.multi("TOP 5 2").startswith(b"Subject: message 4\r\n"))
            client.quit()
        self.bed.clear(user)


class Harness(unittest.TestCase):
    def test_unstuffing(self):
        """The tests' own tool, by RFC 1939 section 3."""
        self.assertEqual(unstuff(b"..a\r\n..\r\nb\r\n.\r\n"), b".a\r\n.\r\nb\r\n")


if __name__ == "__main__":
    unittest.main()
