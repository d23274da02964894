# SPDX-License-Identifier: MIT
"""Bad commands without end, silence, slow readers: what a client costs is bounded, and it ends."""
import concurrent.futures
import time
import unittest

from bed import BedCase, Client, Closed, stopwatch


def mail(number):
    return b"Subject: message %d\n\nline 1\nline 2\nline 3\n" % number


def side_by_side(what, rows):
    """Calls what for each row in a thread of its own: tests that wait for a time-out wait once."""
    with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:
        for wait in [pool.submit(what, *row) for row in rows]:
            wait.result()


class Limits(BedCase):
    """Bad commands and silence, with limits that a test can wait for."""
    options = ("--users", "4", "--set", "login.timeout=2s", "--set", "login.handshake_timeout=2s",
               "--set", "login.max_bad_commands=5", "--set", "mail.max_bad_commands=7")

    def assert_goodbye(self, client, tolerated):
        """A few bad commands are answered, then one last -ERR and the end."""
        for number in range(1, 100):
            try:
                answer = client.cmd("XYZZY")
            except Closed:
                self.fail("closed without a word after %d bad commands" % (number - 1))
            self.assertTrue(answer.startswith(b"-ERR"), answer)
            client.sock.settimeout(0.3)
            try:
                ended = client.sock.recv(1) == b""
            except TimeoutError:
                ended = False
            client.sock.settimeout(20)
            if ended:
                self.assertIn(number, (tolerated, tolerated + 1))
                return
        self.fail("a hundred bad commands were taken")

    def test_goodbye_before_login(self):
        for tls in (False, True):
            with self.subTest(tls=tls), self.bed.connect(tls=tls) as client:
                self.assert_goodbye(client, 5)

    def test_goodbye_after_login(self):
        # A user each: the goodbye is out a moment before the maildrop is free again.
        for tls, user in ((False, "user2@example.test"), (True, "user4@example.test")):
            self.bed.deliver(mail(1), user)
            with self.subTest(tls=tls), self.bed.login(user, tls=tls) as client:
                client.ok("DELE 1")
                self.assert_goodbye(client, 7)
            self.assertEqual(len(self.bed.names(user)), 1, "a session that was ended deletes nothing")

    def assert_ends_in_time(self, client):
        watch = stopwatch()
        got = client.read_all()
        self.assertTrue(1.5 < watch() < 6, "%.1f s" % watch())
        return got

    def test_silence_before_login_ends_in_time(self):
        def one(octets):
            with self.bed.connect() as client:
                client.send(octets)
                for line in self.assert_ends_in_time(client).split(b"\r\n")[:-1]:
                    self.assertRegex(line, rb"^(\+OK|-ERR)", octets)

        side_by_side(one, ((b"",), (b"USER x\r\n",), (b"CAP",), (b"USER x\r\nPAS",)))

    def test_silence_in_the_handshake_ends_in_time(self):
        def none_at_all():
            with Client(self.bed.host, self.bed.tls_port, greeting=False) as client:
                self.assert_ends_in_time(client)

        def half_a_record():
            with self.bed.connect() as client:
                client.ok("STLS")
                client.send(b"\x16\x03\x01")  # the beginning of a record that never ends
                self.assert_ends_in_time(client)

        side_by_side(lambda what: what(), ((none_at_all,), (half_a_record,)))

    def test_any_command_puts_the_end_off(self):
        with self.bed.connect() as client:
            for _ in range(6):
                time.sleep(0.7)  # in all twice the limit
                client.ok("CAPA")
                client.rest()

    def test_octets_that_make_no_line_put_nothing_off(self):
        """A client that sends one octet now and then does not hold its place for ever."""
        with self.bed.connect() as client:
            watch = stopwatch()
            with self.assertRaises(OSError):
                while watch() < 10:
                    client.send(b"x")
                    time.sleep(0.2)
            self.assertLess(watch(), 8)

    def test_06_19_silence_after_login_is_borne_longer(self):
        """The time before login does not count after it."""
        with self.bed.login("user1@example.test") as plain, \
                self.bed.login("user3@example.test", tls=True) as tls:
            time.sleep(5)
            for client in (plain, tls):
                self.assertEqual(client.stat(), (0, 0))
                client.quit()

    def test_06_19_ten_minutes_after_login_by_default(self):
        shown = self.bed.ctl("config", "show", "mail.timeout", check=True).stdout
        self.assertRegex(shown, r'^mail\.timeout = "10m"')


class Idle(BedCase):
    options = ("--users", "2", "--set", "mail.timeout=2s")

    def test_06_19_the_end_of_the_idle_time_deletes_nothing(self):
        def one(tls, user):
            self.bed.deliver(mail(1), user)
            with self.bed.login(user, tls=tls) as client:
                client.ok("DELE 1")
                watch = stopwatch()
                for _ in range(4):
                    time.sleep(1)  # any command puts it off
                    client.ok("NOOP")
                self.assertEqual(client.read_all(), b"", "RFC 1939: closed without a reply")
                self.assertTrue(5.5 < watch() < 9, "%.1f s" % watch())
            self.assertEqual(len(self.bed.names(user)), 1)

        side_by_side(one, ((False, "user1@example.test"), (True, "user2@example.test")))

    def test_a_reader_that_stops_is_given_up(self):
        """A client that asks for much and reads nothing ends at the same time-out."""
        user = "user1@example.test"
        self.bed.deliver(b"Subject: big\n\n" + b"x" * 70 + b"\n" * 8_000_000, user)
        for tls in (False, True):
            with self.subTest(tls=tls), self.bed.login(user, tls=tls) as client:
                count = client.stat()[0]
                client.send(b"RETR %d\r\n" % count * 4)
                self.bed.wait_event("session.end", lambda e, n=len(self.bed.events("session.end")):
                                    len(self.bed.events("session.end")) > n, 15)


if __name__ == "__main__":
    unittest.main()
