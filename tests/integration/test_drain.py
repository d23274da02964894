# SPDX-License-Identifier: MIT
"""QUIT pipelined behind fifty RETR: every octet arrives before the connection closes.

POSTERN_DRAIN_SESSIONS sets how many sessions (default 200); 16000 is the full measure.
"""
import hashlib
import os
import threading
import time
import unittest

from bed import BedCase, lenient
from zoo import stuffed, wire

CLIENTS = 16
SESSIONS = int(os.environ.get("POSTERN_DRAIN_SESSIONS", "200"))
MESSAGES = 50


def mail(number):
    """About 8 KB, with dots, each its own."""
    lines = [b"Subject: drain %d" % number, b""]
    lines += [b"%s%d of message %d, some text to fill the line up a bit" % (
        b"." if n % 7 == 0 else b"", n, number) for n in range(150)]
    return b"\n".join(lines) + b"\n"


class Drain(BedCase):
    options = ("--users", str(CLIENTS))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for user in cls.bed.maildrops:
            for number in range(MESSAGES):
                cls.bed.deliver(mail(number), user,
                                name="%d.drain.test" % (1700000000 + number))
        cls.want = b"".join(stuffed(wire(mail(n))) for n in range(MESSAGES))

    def session(self, user, tls, context, window):
        """What came between +OK of PASS and the end, the +OK lines of RETR left out."""
        with self.bed.login(user, tls=tls, context=context) as client:
            commands = [b"RETR %d\r\n" % (n + 1) for n in range(MESSAGES)] + [b"QUIT\r\n"]
            ahead = 0
            digest = hashlib.sha256()
            for done in range(MESSAGES):
                if ahead < len(commands):
                    client.send(b"".join(commands[ahead:done + window]))
                    ahead = max(ahead, min(len(commands), done + window))
                first = client.line()
                assert first.startswith(b"+OK"), first
                digest.update(client.rest())
            last = client.line()
            assert last.startswith(b"+OK"), last
            client.expect_end()
            return digest.digest()

    def storm(self, tls, window, sessions):
        want = hashlib.sha256(self.want).digest()
        failures = []
        left = [sessions]
        lock = threading.Lock()

        def run(user):
            context = lenient()
            while not failures:
                with lock:
                    if left[0] == 0:
                        return
                    left[0] -= 1
                try:
                    if self.session(user, tls, context, window) != want:
                        failures.append("%s: other octets" % user)
                except (AssertionError, OSError) as e:
                    failures.append("%s: %s" % (user, e))

        threads = [threading.Thread(target=run, args=(user,)) for user in self.bed.maildrops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(left[0], 0)

    def test_over_tls_in_one_window(self):
        self.storm(True, MESSAGES + 1, SESSIONS // 2)

    def test_over_tls_in_a_window_of_32(self):
        self.storm(True, 32, SESSIONS - SESSIONS // 2)

    def test_in_clear_text(self):
        self.storm(False, MESSAGES + 1, max(SESSIONS // 4, CLIENTS))

    def test_nothing_waits_for_an_acknowledgement(self):
        """TCP_NODELAY: RETR one at a time costs no 40 ms each, as it does where Nagle's algorithm
        meets a delayed ACK."""
        for tls in (False, True):
            with self.subTest(tls=tls), self.bed.login(tls=tls) as client:
                took = []
                for number in range(1, MESSAGES + 1):
                    start = time.monotonic()
                    client.multi("RETR %d" % number)
                    took.append(time.monotonic() - start)
                took.sort()
                self.assertLess(took[len(took) // 2], 0.02)
                client.quit()


if __name__ == "__main__":
    unittest.main()
