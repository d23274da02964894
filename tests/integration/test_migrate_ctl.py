# SPDX-License-Identifier: MIT
"""posternctl migrate verify and migrate import: from the real Dovecot, from another Postern, and from
servers that answer as none should."""
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from bed import IS_ROOT, Bed, BedCase, eventually
from support import dovecot

USERS = 40


def mail(number, body=None, headers=b""):
    return (b"From: a@example.org\nSubject: message %d\nMessage-ID: <%d@example.org>\n"
            b"Date: Mon, 1 Jan 2024 00:00:%02d +0000\n%s\n" % (number, number, number % 60, headers)
            + (b"body %d\n.\n" % number if body is None else body))


def odd_mail():
    """What differs in ways that matter: line ends, no end, equal ones, an empty header, long, 8-bit."""
    twin = mail(900)
    return [twin, mail(901, b"no line end"), mail(902).replace(b"\n", b"\r\n"), twin,
            b"\nonly a body\n", mail(903, headers=b"X-Raw: \xc3\xa4\n"), mail(904, b""),
            mail(905, b"x" * 70000 + b"\n"), twin, b"Subject: header alone"]


class Case(BedCase):
    options = ("--users", str(USERS))
    next_user = 0

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-migrate-")
        self.addCleanup(shutil.rmtree, self.folder)

    def take_user(self):
        Case.next_user = type(self).next_user = type(self).next_user + 1
        return "user%d@example.test" % self.next_user

    def file(self, text, mode=0o600, name="users"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def users_file(self, *users):
        return self.file("".join("%s:secret\n" % u for u in users))

    def run_ctl(self, *args, text=None, status=None, bed=None):
        run = (bed or self.bed).ctl("migrate", *args, text=text)
        self.assertNotIn("secret", run.stdout + run.stderr)
        if status is not None:
            self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def lines(self, run):
        return [line.split("\t") for line in run.stdout.splitlines()]

    def fill(self, user, messages, shuffled=None):
        """Delivered here, in an order of its own."""
        self.bed.clear(user)
        messages = list(messages)
        if shuffled:
            random.Random(shuffled).shuffle(messages)
        for octets in messages:
            self.bed.deliver(octets, user)

    def show(self, user, bed=None):
        with (bed or self.bed).login(user) as client:
            found = client.lines("UIDL"), client.lines("LIST")
            client.quit()
        return found

    def forget_index(self, user):
        home = self.bed.maildrop(user)
        gone = [n for n in os.listdir(home) if n.startswith("postern.index")]
        self.assertTrue(gone)
        for name in gone:
            os.unlink(os.path.join(home, name))


@unittest.skipUnless(dovecot.IS_THERE, "needs dovecot-pop3d")
class FromDovecot(Case):
    def server(self, users, messages, **settings):
        old = dovecot.Dovecot(users, **settings)
        self.addCleanup(old.stop)
        for user in users:
            for octets in messages:
                old.put(user, octets)
        old.start()
        return old

    def source(self, old, tls=False):
        port = old.tls_port if tls else old.port
        return ("--from", "localhost:%d" % port, "--tls-ca", old.ca,
                "--from-tls", "tls" if tls else "stls")

    def import_all(self, old, users, *more, status=0):
        return self.run_ctl("import", *self.source(old), "--users", self.users_file(*users), *more,
                            status=status)

    def verify(self, old, users, *more, status=0, tls=False):
        return self.run_ctl("verify", *self.source(old, tls), "--users", self.users_file(*users),
                            *more, status=status)

    def test_what_was_taken_over_in_place_is_the_same(self):
        user = self.take_user()
        old = self.server([user], [mail(i) for i in range(30)])
        self.verify(old, [user], status=1)  # nothing is here yet
        home = self.bed.maildrop(user)
        shutil.rmtree(home)
        shutil.copytree(old.maildir(user), home)
        if IS_ROOT:
            subprocess.run(["chown", "-R", self.bed.owner, home], check=True)
        run = self.verify(old, [user], tls=True)
        self.assertEqual(run.stdout, "")
        self.assertIn("1 of 1 users, 30 messages: 0 differences", run.stderr)
        self.verify(old, [user], "--full")
        os.unlink(os.path.join(home, sorted(
            os.path.join(box, n) for box in ("new", "cur")
            for n in os.listdir(os.path.join(home, box)))[7]))
        lines = self.lines(self.verify(old, [user], status=1))
        self.assertEqual([line[2] for line in lines], ["missing", "count", "stat"])
        self.assertEqual(lines[0][:2], [user, "8"])

    def test_uidls_and_order_come_over_in_every_format(self):
        formats = ("%08Xu%08Xv", "%f", "%g", "UID%u-%v", "%u")
        messages = [mail(i) for i in range(40)] + odd_mail()
        for uidl_format in formats:
            with self.subTest(uidl_format):
                user = self.take_user()
                old = self.server([user], messages, pop3_uidl_format=uidl_format)
                self.fill(user, messages, shuffled=uidl_format)
                self.verify(old, [user], status=1)
                before = self.show(user)
                run = self.import_all(old, [user], "--dry-run")
                self.assertIn("would change", run.stdout)
                self.assertEqual(self.show(user), before)
                run = self.import_all(old, [user])
                self.assertIn("50 of 50 messages found", run.stdout)
                run = self.verify(old, [user], "--full")
                # Sizes that Dovecot counts without the line end that it adds.
                self.assertEqual({line[2] for line in self.lines(run)}, {"size", "stat"})
                self.assertTrue(all("explained" in line[5] for line in self.lines(run)))
                self.verify(old, [user], "--strict", status=1)
                self.check_it_stays(old, user)

    def check_it_stays(self, old, user):
        shown = self.show(user)
        self.assertIn("0 changed their place, 0 their UIDL", self.import_all(old, [user]).stdout)
        self.forget_index(user)
        self.assertEqual(self.show(user), shown, "without the index")
        self.bed.deliver(mail(5000), user, name="%d.M1P1.new" % time.time())
        uidls, sizes = self.show(user)
        self.assertEqual((uidls[:-1], sizes[:-1]), shown, "with a new message")
        self.forget_index(user)
        self.assertEqual(self.show(user), (uidls, sizes), "without the index, and with a new one")
        run = self.import_all(old, [user])
        self.assertIn("1 only here; 0 changed their place, 0 their UIDL", run.stdout)

    def test_a_thousand_messages_and_a_restart(self):
        user = self.take_user()
        messages = [mail(i) for i in range(1000)]
        old = self.server([user], messages)
        self.fill(user, messages, shuffled="thousand")
        self.import_all(old, [user])
        shown = self.show(user)
        self.verify(old, [user])
        self.bed.renew({})
        self.assertEqual(self.show(user), shown)

    def test_uidls_that_senders_wrote_are_taken_only_if_pop3_allows_them(self):
        user = self.take_user()
        messages = [mail(1, headers=b"X-UIDL: plain\n"), mail(2, headers=b"X-UIDL: two words\n"),
                    mail(3, headers=b"X-UIDL: plain\n"), mail(4, headers=b"X-UIDL: last\n")]
        old = self.server([user], messages, pop3_reuse_xuidl="yes")
        self.fill(user, messages, shuffled="x")
        run = self.import_all(old, [user])
        self.assertIn("those keep ours", run.stdout)
        uidls = [line.split()[1] for line in self.show(user)[0]]
        self.assertEqual((uidls[0], uidls[3]), ("plain", "last"))
        self.assertEqual(len(set(uidls)), 4)
        lines = self.lines(self.verify(old, [user]))
        self.assertEqual([(line[1], line[2]) for line in lines], [("2", "uidl"), ("3", "uidl")])
        self.assertIn("none that POP3 allows", lines[0][5])
        self.assertIn("one UIDL for two messages", lines[1][5])

    def test_a_master_logs_in_for_users_whose_passwords_nobody_knows(self):
        user = self.take_user()
        messages = [mail(i) for i in range(3)]
        old = self.server([user], messages, auth_mechanisms="plain")
        self.fill(user, messages)
        names = self.file(user + "\n", mode=0o644, name="names")
        os.chmod(names, 0o600)
        password = self.file("secret\n", name="password")
        how = ("--users", names, "--master", "admin", "--password-file", password)
        self.run_ctl("import", *self.source(old), *how, status=0)
        self.run_ctl("import", *self.source(old), *how, "--master-separator", "*", status=0)
        run = self.run_ctl("import", *self.source(old), "--users", names, "--master", "nobody",
                           "--password-file", password)
        self.assertIn("AUTH PLAIN: the server says: -ERR", run.stderr)
        self.assertEqual(run.returncode, 1)

    def test_too_little_of_the_mail_changes_nothing(self):
        user = self.take_user()
        messages = [mail(i) for i in range(20)]
        old = self.server([user], messages)
        self.fill(user, messages[:15] + [mail(70)])
        before = self.show(user)
        run = self.import_all(old, [user], status=1)
        self.assertIn("only 15 of the old server's 20 messages are here", run.stderr)
        self.assertEqual(self.show(user), before)
        run = self.import_all(old, [user], "--min-share", "75")
        self.assertIn("15 of 20 messages found", run.stdout)
        lines = self.lines(self.verify(old, [user], status=1))
        self.assertEqual([line[2] for line in lines].count("missing"), 4)  # one place is mail(70)'s

    def test_bad_certificates_and_passwords_in_the_clear_are_refused(self):
        user = self.take_user()
        old = self.server([user], [mail(1)])
        users = self.users_file(user)
        run = self.run_ctl("verify", "--from", "localhost:%d" % old.tls_port, "--from-tls", "tls",
                           "--users", users, status=3)
        self.assertIn("the certificate is not good for localhost", run.stdout)
        run = self.run_ctl("verify", "--from", "127.0.0.2:%d" % old.tls_port, "--from-tls", "tls",
                           "--users", users, "--retries", "0", "--tls-ca", old.ca, status=3)
        self.fill(user, [mail(1)])
        run = self.run_ctl("verify", "--from", "localhost:%d" % old.tls_port, "--from-tls", "tls",
                           "--users", users, "--insecure")
        self.assertNotIn("certificate", run.stdout)


class FromPostern(Case):
    """Another Postern is the old server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.old = Bed("--users", str(USERS))
        cls.addClassCleanup(cls.old.stop)

    def source(self):
        return ("--from", "localhost:%d" % self.old.port, "--tls-ca", self.old.ca)

    def put_both(self, count):
        users = [self.take_user() for _ in range(count)]
        for user in users:
            self.old.clear(user)
            self.bed.clear(user)
            for i in range(5):
                name = "17000%05d.M%dP1.x" % (i, i)
                self.old.deliver(mail(i), user, name=name)
                self.bed.deliver(mail(i), user, name=name)
        return users

    def test_the_same_mail_is_the_same_by_several_jobs_and_forms_of_files(self):
        users = self.put_both(5)
        text = "# a comment\n\n" + "".join(
            ("%s:secret\n" if i % 2 else "%s\tsecret\n") % user for i, user in enumerate(users))
        run = self.run_ctl("verify", *self.source(), "--users", "-", "--jobs", "8", text=text,
                           status=0)
        self.assertIn("5 of 5 users, 25 messages", run.stderr)
        run = self.run_ctl("verify", *self.source(), "--users", self.file(text), "--sample", "2",
                           "--top", "1", status=0)
        self.assertIn("2 of 2 users, 10 messages", run.stderr)

    def test_differences_are_lines(self):
        user, = self.put_both(1)
        home = self.bed.maildrop(user)
        with open(os.path.join(home, "new", "1700000002.M2P1.x"), "r+b") as f:
            f.write(b"f")  # another header, the same size
        os.rename(os.path.join(home, "new", "1700000000.M0P1.x"),
                  os.path.join(home, "new", "1800000000.M0P1.x"))
        self.bed.deliver(mail(77), user, name="1900000000.M0P1.x")
        lines = self.lines(self.run_ctl("verify", *self.source(), "--users", self.users_file(user),
                                        status=1))
        self.assertIn([user, "3", "top"], [line[:3] for line in lines])
        self.assertIn([user, "6", "extra", "-", "1900000000.M0P1.x"], lines)
        self.assertIn([user, "-", "count", "5", "6"], lines)
        quiet = self.run_ctl("verify", *self.source(), "--users", self.users_file(user), "--top",
                             "none", status=1)
        self.assertNotIn("\ttop\t", quiet.stdout)

    def test_an_interrupted_run_goes_on_where_it_was(self):
        users = self.put_both(3)
        state = os.path.join(self.folder, "state")
        bad = self.file("%s:secret\n%s:wrong\n%s:secret\n" % tuple(users))
        run = self.run_ctl("verify", *self.source(), "--users", bad, "--state", state, status=3)
        self.assertIn("2 of 3", re.sub("3 of 3", "2 of 3", run.stderr))
        with open(state, "a", encoding="ascii") as f:
            f.write("5\t0\t0\tcut")  # a write that was cut off
        with open(state, encoding="ascii") as f:
            text = f.read()
        self.assertNotIn(users[1], text)
        self.assertNotIn("secret", text)
        for user in (users[0], users[2]):
            self.bed.clear(user)  # they are not looked at again
        self.run_ctl("verify", *self.source(), "--users", self.users_file(*users), "--state", state,
                     status=0)
        run = self.run_ctl("verify", *self.source(), "--users", bad, "--state", state, "--top",
                           "none", status=1)
        self.assertIn("of another comparison", run.stderr)

    def test_differences_found_before_an_interruption_count(self):
        user, = self.put_both(1)
        self.bed.deliver(mail(9), user)
        state = os.path.join(self.folder, "state")
        for _ in range(2):
            run = self.run_ctl("verify", *self.source(), "--users", self.users_file(user),
                               "--state", state, status=1)
        self.assertEqual(run.stdout, "")

    def test_files_that_others_may_read_or_that_make_no_sense_are_refused(self):
        for text, mode, why in (("a:b\n", 0o644, "others may read it"), ("", 0o600, "no user"),
                                ("a b:c\n", 0o600, "a blank"), (":c\n", 0o600, "no user's name")):
            path = self.file(text, mode)
            for command in ("verify", "import"):
                run = self.run_ctl(command, *self.source(), "--users", path, status=1)
                self.assertIn(why, run.stderr)

    def test_a_maildrop_in_use_is_waited_for(self):
        user, = self.put_both(1)
        with self.old.login(user) as client:
            run = self.run_ctl("verify", *self.source(), "--users", self.users_file(user),
                               "--retries", "1", status=3)
            self.assertIn("[IN-USE]", run.stdout)
            timer = threading.Timer(1, client.quit)
            timer.start()
            self.run_ctl("verify", *self.source(), "--users", self.users_file(user), status=0)
            timer.join()

    def test_nothing_is_ever_deleted_and_no_password_is_logged(self):
        user, = self.put_both(1)
        before = self.old.names(user)
        self.run_ctl("verify", *self.source(), "--users", self.users_file(user), "--full", status=0)
        self.run_ctl("import", *self.source(), "--users", self.users_file(user), status=0)
        self.assertEqual(self.old.names(user), before)
        self.assertNotIn("secret", self.old.log_text())

    def test_a_user_who_is_not_here_costs_nobody_else_anything(self):
        user, = self.put_both(1)
        run = self.run_ctl("import", *self.source(), "--users",
                           self.users_file("nobody@example.test", user))
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(user + ": 5 of 5 messages found", run.stdout)
        self.assertIn("nobody@example.test", run.stderr)


class FakeServer:
    """Answers by a table: the command's first word, or the whole line, to octets; b"" closes."""

    def __init__(self, answers, greeting=b"+OK\r\n"):
        self.answers, self.greeting = answers, greeting
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _answer(self, line):
        answer = self.answers.get(line, self.answers.get(line.split(b" ")[0], b"-ERR no\r\n"))
        return answer(line) if callable(answer) else answer

    def _talk(self, sock):
        try:
            with sock, sock.makefile("rb") as lines:
                sock.sendall(self.greeting)
                for line in lines:
                    line = line.rstrip(b"\r\n")
                    self.asked.append(line)
                    answer = self._answer(line)
                    if not answer:
                        return
                    sock.sendall(answer)
        except OSError:
            return  # the client has gone

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


GOOD = {
    b"CAPA": b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nPIPELINING\r\n.\r\n", b"USER": b"+OK\r\n",
    b"PASS": b"+OK\r\n", b"STAT": b"+OK 2 200\r\n", b"LIST": b"+OK\r\n1 100\r\n2 100\r\n.\r\n",
    b"UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n", b"TOP": b"+OK\r\nSubject: x\r\n\r\n.\r\n",
    b"QUIT": b"+OK\r\n",
}


class FromNobodysServer(Case):
    def server(self, changes, **how):
        fake = FakeServer({**GOOD, **changes}, **how)
        self.addCleanup(fake.stop)
        return fake

    def ask(self, fake, *more, command="verify", status=3):
        user = "user%d@example.test" % USERS
        return self.run_ctl(command, "--from", "127.0.0.1:%d" % fake.port, "--users",
                            self.users_file(user), "--retries", "0", "--timeout", "3", *more,
                            status=status)

    def test_each_wrong_answer_is_told_and_ends_nothing_else(self):
        endless = b"x" * 100000
        cases = (
            ({b"STAT": b"+OK many\r\n"}, "not two numbers"),
            ({b"STAT": b"+OK 99999999999 1\r\n"}, "more messages than any"),
            ({b"STAT": endless}, "a line of more than"),
            ({b"STAT": b""}, "closed the connection"),
            ({b"STAT": b"hello\r\n"}, "not POP3"),
            ({b"STAT": b"-ERR [SYS/TEMP] Internal error\r\n"}, "Internal error"),
            ({b"LIST": b"+OK\r\n1 100\r\n.\r\n"}, "only: 1"),
            ({b"LIST": b"+OK\r\n1 100\r\n1 100\r\n.\r\n"}, "a message twice: 1"),
            ({b"LIST": b"+OK\r\n1 100\r\n7 100\r\n.\r\n"}, "that STAT did not count: 7"),
            ({b"LIST": b"+OK\r\n1 x\r\n.\r\n"}, "without two numbers"),
            ({b"LIST": b"+OK\r\n1 100\r\n"}, "no answer in time"),
            ({b"UIDL": b"+OK\r\nx\r\n.\r\n"}, "of no message"),
            ({b"UIDL": b"+OK\r\n" + b"1 a\r\n" * 70000}, "lines without end"),
            ({b"CAPA": b"+OK\r\n" + b"X\r\n" * 500}, "lines without end"),
            ({b"PASS": b"-ERR [IN-USE] \x1b[31mred\r\n"}, "[IN-USE] ?[31mred"),
            ({b"TOP": b"+OK\r\nSubject: x\r\n"}, "no answer in time"),
        )
        for changes, why in cases:
            with self.subTest(why):
                run = self.ask(self.server(changes), "--to", "127.0.0.1:%d" % self.server({}).port)
                self.assertIn(why, run.stdout)
                self.assertEqual(run.stdout.count("\n"), 1)

    def test_no_greeting_is_no_server(self):
        self.assertIn("-ERR busy", self.ask(self.server({}, greeting=b"-ERR busy\r\n")).stdout)
        self.assertIn("a line of more", self.ask(self.server({}, greeting=b"y" * 9000)).stdout)

    def test_no_password_is_sent_in_the_clear_beyond_this_machine(self):
        fake = self.server({b"CAPA": b"+OK\r\nUSER\r\n.\r\n"})
        self.ask(fake, "--from-tls", "stls", "--to", "127.0.0.1:%d" % fake.port, status=None)
        self.assertIn(b"PASS secret", fake.asked)  # loopback
        fake.asked.clear()
        self.ask(self.server({b"CAPA": b"+OK\r\nSTLS\r\n.\r\n", b"STLS": b"+OK\r\n+OK early\r\n"}),
                 "--from-tls", "stls")
        self.assertNotIn(b"PASS secret", fake.asked)

    def test_uidls_as_no_server_should_show_them(self):
        old = self.server({b"UIDL": b"+OK\r\n1 two words\r\n2 a\nb\r\n.\r\n"})
        run = self.ask(old, "--to", "127.0.0.1:%d" % self.server({}).port, status=0)
        lines = self.lines(run)
        self.assertEqual([line[2] for line in lines], ["uidl", "uidl"])
        self.assertEqual(lines[0][3], "two words")

    def test_a_server_without_uidl_or_top(self):
        body = b"+OK\r\nSubject: x\r\n\r\n..\r\n.\r\n"
        old = self.server({b"UIDL": b"-ERR what\r\n", b"TOP": b"-ERR what\r\n", b"RETR": body,
                           b"CAPA": b"-ERR what\r\n"})
        new = self.server({b"RETR": body})
        run = self.ask(old, "--to", "127.0.0.1:%d" % new.port, status=1)
        self.assertIn("the old server has no UIDL", run.stdout)
        self.assertIn("\ttop\trefused\t", run.stdout)
        self.ask(old, "--to", "127.0.0.1:%d" % new.port, "--full", status=0)
        run = self.ask(old, command="import", status=1)
        self.assertIn("has no UIDL command", run.stderr)
        self.assertIn(b"RETR 2", old.asked)

    def test_sizes_are_explained_by_what_is_sent(self):
        def sends(octets, size):
            return {b"STAT": b"+OK 1 %d\r\n" % size, b"LIST": b"+OK\r\n1 %d\r\n.\r\n" % size,
                    b"UIDL": b"+OK\r\n1 a\r\n.\r\n", b"RETR": b"+OK\r\n" + octets + b".\r\n",
                    b"TOP": b"+OK\r\n" + octets.split(b"\n\r")[0] + b"\n\r\n.\r\n"}

        text = b"Subject: x\r\n\r\nbody\r\n"
        new = self.server(sends(text, len(text)))
        cases = (
            (text, len(text) - 2, 0, "does not count the last line end"),
            (text, 9, 0, "size is wrong"),
            (text.replace(b"\r\n", b"\r\r\n"), len(text) + 3, 0, "CR CR LF"),
            (b"\r\n", 12, 1, "less than it lists"),  # the header is gone too, but that is told
            (text.replace(b"body", b"other"), len(text) + 1, 1, None),
        )
        for octets, size, status, why in cases:
            with self.subTest(why):
                run = self.ask(self.server(sends(octets, size)), "--to", "127.0.0.1:%d" % new.port,
                               status=None)
                if why:
                    self.assertIn(why, run.stdout)
                    self.assertEqual(run.returncode, 0, run.stdout)
                else:
                    self.assertEqual(run.returncode, status, run.stdout)
                    self.assertIn("\tsize\t%d\t%d\n" % (size, len(text)), run.stdout)

    def test_a_size_that_this_server_gets_wrong_is_never_explained(self):
        text = b"Subject: x\r\n\r\nbody\r\n"
        old = self.server({b"RETR": b"+OK\r\n" + text + b".\r\n"})
        new = self.server({b"LIST": b"+OK\r\n1 100\r\n2 101\r\n.\r\n",
                           b"RETR": b"+OK\r\n" + text + b".\r\n"})
        run = self.ask(old, "--to", "127.0.0.1:%d" % new.port, status=1)
        self.assertIn("\tsize\t100\t101\n", run.stdout)
        self.assertIn("\tstat-sum\t201\t200\n", run.stdout)


if __name__ == "__main__":
    unittest.main()
