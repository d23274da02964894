# SPDX-License-Identifier: MIT
"""QUIT pipelined behind fifty RETR: every octet arrives before the connection closes.

POSTERN_DRAIN_SESSIONS sets how many sessions (default 200); 16000 is the full measure.
"""
import hashlib
import os
import socket
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
        """TCP_NODELAY: where Nagle's algorithm meets a delayed ACK, a second small answer waits
        for 40 ms. Commands in segments of their own, from a client in no hurry to acknowledge."""
        for what in ("before login", "after login", "TLS", "TLS after login"):
            tls = what.startswith("TLS")
            client = self.bed.login(tls=tls) if "after" in what else self.bed.connect(tls=tls)
            with self.subTest(what), client:
                late = 0
                for _ in range(40):
                    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
                    start = time.monotonic()
                    for _ in range(6):
                        client.send(b"CAPA\r\n")
                    for _ in range(6):
                        client.line()
                        client.rest()
                    late += time.monotonic() - start > 0.03
                self.assertLess(late, 10, "of 40")
                client.quit()


if __name__ == "__main__":
    unittest.main()
