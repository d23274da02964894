# SPDX-License-Identifier: MIT
"""Maildir: what is deleted and when, locks, names, sizes that change, and an index that fails."""
import contextlib
import os
import unittest

from bed import IS_ROOT, BedCase, code_of, eventually
from zoo import stuffed, wire


def mail(number, extra=b""):
    return b"Subject: message %d\n\nbody %d\n" % (number, number) + extra


class Maildrop(BedCase):
    options = ("--users", "80")
    allowed = ("maildrop.update.failed", "maildrop.refused")
    next_user = 0

    def setUp(self):
        """A maildrop of its own for each test."""
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user

    def fill(self, count):
        return [self.bed.deliver(mail(n), self.user) for n in range(1, count + 1)]

    def numbers(self, client):
        """Name to message number."""
        return {uidl: int(n) for n, uidl in (x.split(" ") for x in client.lines("UIDL"))}

    def login(self, **how):
        return self.bed.login(self.user, **how)

    # -- DELE and QUIT ---------------------------------------------------------------------------

    def test_dele_is_carried_out_at_quit(self):
        for tls in (False, True):
            names = self.fill(4)
            with self.login(tls=tls) as client:
                numbers = self.numbers(client)
                client.ok("DELE %d" % numbers[names[1]])
                client.ok("DELE %d" % numbers[names[3]])
                self.assertEqual(len(self.bed.names(self.user)), 4, "gone before QUIT")
                self.assertTrue(client.quit().startswith(b"+OK"))
            self.assertEqual(self.bed.names(self.user), sorted([names[0], names[2]]))
            self.bed.clear(self.user)

    def test_the_files_are_gone_when_quit_is_answered(self):
        for round_ in range(20):
            self.fill(5)
            with self.login(tls=bool(round_ % 2)) as client:
                client.send(b"DELE 1\r\nDELE 2\r\nDELE 3\r\nDELE 4\r\nDELE 5\r\nQUIT\r\n")
                for _ in range(6):
                    self.assertTrue(client.line().startswith(b"+OK"))
                self.assertEqual(self.bed.names(self.user), [])

    def test_06_12_without_quit_nothing_is_deleted(self):
        names = sorted(self.fill(3))
        for how in ("close", "reset", "half"):
            for tls in (False, True):
                with self.subTest(how, tls=tls):
                    client = self.login(tls=tls)
                    client.multi("RETR 1")
                    client.ok("DELE 1")
                    client.ok("DELE 2")
                    if how == "reset":
                        # SO_LINGER with time 0: the connection ends with RST
                        client.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
                    elif how == "half":
                        client.send(b"QUI")
                    client.close()
                    self.assertTrue(eventually(self.is_free, 5))
                    self.assertEqual(self.bed.names(self.user), names)

    def is_free(self):
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            answer = client.cmd("PASS " + self.bed.password)
            if answer.startswith(b"+OK"):
                client.quit()
                return True
            self.assertEqual(code_of(answer), "IN-USE")
            return False

    def test_06_11_quit_and_close_at_once(self):
        """Outlook does not wait for the answer: what it deleted is deleted all the same."""
        for tls in (False, True):
            for _ in range(10):
                self.fill(3)
                client = self.login(tls=tls)
                client.send(b"DELE 1\r\nDELE 2\r\nDELE 3\r\nQUIT\r\n")
                client.close()
                self.assertTrue(eventually(lambda: self.bed.names(self.user) == [], 10),
                                "not deleted")

    def test_rset_then_quit(self):
        names = sorted(self.fill(3))
        with self.login() as client:
            client.ok("DELE 1")
            client.ok("RSET")
            client.quit()
        self.assertEqual(self.bed.names(self.user), names)

    @contextlib.contextmanager
    def undeletable(self):
        """The maildrop's folders let nothing be removed."""
        home = self.bed.maildrop(self.user)
        folders = [os.path.join(home, box) for box in ("new", "cur")]
        for folder in folders:
            if IS_ROOT:
                os.chown(folder, 0, 0)
            os.chmod(folder, 0o555)
        try:
            yield
        finally:
            for folder in folders:
                os.chmod(folder, 0o755)
                if IS_ROOT:
                    os.chown(folder, self.bed.uid, self.bed.gid)

    def test_06_10_quit_that_fails_says_so(self):
        names = sorted(self.fill(3))
        for tls in (False, True):
            with self.undeletable(), self.login(tls=tls) as client:
                client.ok("DELE 1")
                client.ok("DELE 3")
                answer = client.quit()
                self.assertTrue(answer.startswith(b"-ERR"), answer)
                self.assertIn(code_of(answer), ("SYS/TEMP", "SYS/PERM"))
            self.assertEqual(self.bed.names(self.user), names)
        with self.login() as client:
            self.assertEqual(client.stat()[0], 3)
            client.ok("DELE 1")
            self.assertTrue(client.quit().startswith(b"+OK"))
        self.assertEqual(len(self.bed.names(self.user)), 2)

    def test_a_message_that_is_gone_already_counts_as_deleted(self):
        names = self.fill(3)
        with self.login() as client:
            number = self.numbers(client)[names[1]]
            client.ok("DELE %d" % number)
            os.unlink(os.path.join(self.bed.maildrop(self.user), "new", names[1]))
            self.assertTrue(client.quit().startswith(b"+OK"))
        self.assertEqual(self.bed.names(self.user), sorted([names[0], names[2]]))

    def test_a_message_whose_flags_change_meanwhile_is_deleted_all_the_same(self):
        names = self.fill(3)
        home = self.bed.maildrop(self.user)
        with self.login() as client:
            client.ok("DELE %d" % self.numbers(client)[names[1]])
            os.rename(os.path.join(home, "new", names[1]),
                      os.path.join(home, "cur", names[1] + ":2,S"))
            self.assertTrue(client.quit().startswith(b"+OK"))
        self.assertEqual(self.bed.names(self.user), sorted([names[0], names[2]]))

    def test_a_thousand_deletions(self):
        self.fill(1000)
        with self.login() as client:
            client.send(b"".join(b"DELE %d\r\n" % n for n in range(1, 1001)) + b"QUIT\r\n")
            for _ in range(1001):
                self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()
        self.assertEqual(self.bed.names(self.user), [])

    # -- what happens beside the session ---------------------------------------------------------

    def test_new_mail_does_not_appear_in_a_session(self):
        self.fill(2)
        with self.login() as client:
            before = client.lines("UIDL")
            extra = self.bed.deliver(mail(99), self.user)
            self.assertEqual(client.lines("UIDL"), before)
            client.err("RETR 3")
            client.ok("DELE 1")
            client.ok("DELE 2")
            client.quit()
        self.assertEqual(self.bed.names(self.user), [extra])

    def test_06_25_a_message_that_vanishes(self):
        names = self.fill(3)
        for tls in (False, True):
            with self.login(tls=tls) as client:
                number = self.numbers(client)[names[1]]
                path = os.path.join(self.bed.maildrop(self.user), "new", names[1])
                os.rename(path, path + ".away")
                try:
                    for line in ("RETR %d", "RETR %d", "TOP %d 0"):
                        client.err(line % number)
                    client.multi("RETR %d" % self.numbers(client)[names[2]])
                    self.assertEqual(client.stat()[0], 3)
                    client.quit()
                finally:
                    os.rename(path + ".away", path)

    def test_06_25_a_message_that_moves_is_found(self):
        names = self.fill(3)
        home = self.bed.maildrop(self.user)
        with self.login() as client:
            os.rename(os.path.join(home, "new", names[0]),
                      os.path.join(home, "cur", names[0] + ":2,RS"))
            self.assertEqual(client.multi("RETR %d" % self.numbers(client)[names[0]]),
                             stuffed(wire(mail(1))))
            client.quit()

    def test_06_26_a_message_that_grows_or_shrinks(self):
        """Never a wrong number of octets inside a reply: -ERR before it, or an end within it."""
        for change in (b"more\n" * 1000, None):
            for tls in (False, True):
                with self.subTest(grows=change is not None, tls=tls):
                    self.bed.clear(self.user)
                    name = self.bed.deliver(mail(1, b"line\n" * 50_000), self.user)
                    path = os.path.join(self.bed.maildrop(self.user), "new", name)
                    with self.login(tls=tls) as client:
                        listed = client.stat()[1]
                        if change:
                            with open(path, "ab") as f:
                                f.write(change)
                        else:
                            os.truncate(path, 1000)
                        client.send(b"RETR 1\r\nNOOP\r\n")
                        first = client.line()
                        if first.startswith(b"-ERR"):
                            self.assertTrue(client.line().startswith(b"+OK"))
                            client.quit()
                            continue
                        got = client.read_all()
                        self.assertLessEqual(len(got), listed + 8)
                        self.assertNotIn(b"\r\n.\r\n", got, "a whole reply of another size")

    def test_06_27_two_sessions_at_once(self):
        names = sorted(self.fill(2))
        for tls in (False, True):
            with self.login(tls=tls) as first:
                for other in (False, True):
                    with self.bed.connect(tls=other) as second:
                        second.ok("USER " + self.user)
                        second.err("PASS " + self.bed.password, "IN-USE")
                first.ok("DELE 1")
                first.ok("RSET")
                first.quit()
        self.assertEqual(self.bed.names(self.user), names)
        with self.login() as client:
            client.quit()

    def test_other_users_are_not_locked_out(self):
        with self.login(), self.bed.login("user80@example.test") as other:
            other.stat()
            other.quit()

    # -- the folder itself -----------------------------------------------------------------------

    def test_a_maildrop_that_cannot_be_read(self):
        self.fill(1)
        home = self.bed.maildrop(self.user)
        os.chmod(home, 0)
        if IS_ROOT:
            os.chown(home, 0, 0)
        try:
            with self.bed.connect() as client:
                client.ok("USER " + self.user)
                answer = client.cmd("PASS " + self.bed.password)
                self.assertIn(code_of(answer), ("SYS/PERM", "SYS/TEMP"), answer)
        finally:
            os.chmod(home, 0o755)
            if IS_ROOT:
                os.chown(home, self.bed.uid, self.bed.gid)
        with self.login() as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()

    def test_links_and_odd_files_are_no_messages(self):
        """Another user's mail, a FIFO and a folder, put where messages are."""
        good = self.bed.deliver(mail(1), self.user)
        other = self.bed.deliver(mail(2), "user78@example.test")
        home = os.path.join(self.bed.maildrop(self.user), "new")
        os.symlink(os.path.join(self.bed.maildrop("user78@example.test"), "new", other),
                   os.path.join(home, "1.link.test"))
        os.symlink("/etc/passwd", os.path.join(home, "2.link.test"))
        os.symlink("nowhere", os.path.join(home, "3.link.test"))
        os.mkfifo(os.path.join(home, "4.fifo.test"))
        os.mkdir(os.path.join(home, "5.folder.test"))
        with self.login() as client:
            for line in client.lines("UIDL"):
                number, uidl = line.split(" ")
                if uidl != good:
                    client.err("RETR " + number)
                    client.err("TOP %s 0" % number)
            client.ok("NOOP")
            client.quit()

    def test_deep_names_stay_in_their_place(self):
        """The lock and the index of one user are not another's: two names that differ little."""
        with self.login() as one, self.bed.login("user77@example.test") as two:
            one.stat()
            two.stat()
            one.quit()
            two.quit()

    def test_many_sessions_one_after_the_other(self):
        self.fill(2)
        for number in range(60):
            with self.login(tls=bool(number % 3)) as client:
                self.assertEqual(client.stat()[0], 2)
                client.quit()

if __name__ == "__main__":
    unittest.main()
