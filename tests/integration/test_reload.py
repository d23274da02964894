# SPDX-License-Identifier: MIT
"""A new configuration while clients are there, and the end of a server."""
import json
import os
import signal
import socket
import time
import unittest

from bed import Bed, BedCase, Client, eventually, lenient, stopwatch
from load import Load
from support import processes

RELOADS = 20


def mail(number):
    return b"Subject: message %d\n\nbody %d\n" % (number, number)


class Reload(BedCase):
    options = ("--users", "40", "--set", "server.max_generations=64")
    allowed = ("reload.",)

    def setUp(self):
        self.addCleanup(self.back)

    def back(self):
        self.bed.configure({})
        self.reload_and_wait("ready")

    def greeting(self):
        with self.bed.connect() as client:
            client.quit()
            return client.greeting.decode()

    def reload_and_wait(self, text):
        self.bed.reload()
        self.assertTrue(eventually(lambda: text in self.greeting(), 10, 0.02), text)

    def test_a_setting_is_taken_up(self):
        self.bed.configure({"login.greeting": "hello again"})
        self.reload_and_wait("hello again")
        with self.bed.login() as client:
            client.quit()

    def test_a_bad_configuration_is_reported_and_the_old_one_stays(self):
        pids = sorted(self.bed.workers())
        with self.bed.login() as client:
            before = len(self.bed.events())
            self.bed.configure({"login.workerz": "2", "mail.timeout": "never",
                                "login.greeting": "never shown"})
            self.bed.reload()
            found = eventually(lambda: [
                e for e in self.bed.events()[before:] if "login.workerz" in e["text"]])
            self.assertTrue(found, self.bed.log_text()[-2000:])
            text = self.bed.log_text()
            self.assertRegex(text, r"postern\.conf:\d+")
            self.assertIn("mail.timeout", text)  # all of what is wrong, not the first of it
            client.ok("NOOP")
            client.quit()
        self.assertEqual(sorted(self.bed.workers()), pids, "workers were replaced")
        self.assertNotIn("never shown", self.greeting())
        with open(self.bed.config, "w", encoding="ascii") as f:
            f.write("login = {{{ syntax")
        before = len(self.bed.events())
        self.bed.reload()
        self.assertTrue(eventually(lambda: [
            e for e in self.bed.events()[before:] if e["level"] == "error"]))
        os.rename(self.bed.config, self.bed.config + ".gone")
        before = len(self.bed.events())
        self.bed.reload()
        self.assertTrue(eventually(lambda: [
            e for e in self.bed.events()[before:] if e["level"] == "error"]))
        with self.bed.login() as client:
            client.quit()

    def test_no_connection_is_dropped_during_twenty_reloads(self):
        """A storm of short sessions, and long ones from before that go on."""
        long_ones = [self.bed.login(user, tls=n % 2 == 1, context=lenient())
                     for n, user in enumerate(list(self.bed.maildrops)[30:40])]
        waiting = [self.bed.connect(tls=n % 2 == 1, context=lenient()) for n in range(10)]
        with Load(self.bed, 16) as load:
            # Each thread has a user of its own: nobody is ever in anybody's way.
            for number in range(RELOADS):
                # The number of listening sockets changes as well, which is where connections that
                # wait in one of them are easily lost.
                self.bed.configure({"login.greeting": "generation %d" % number,
                                    "login.workers": str(1 + number % 3)})
                self.reload_and_wait("generation %d" % number)
                time.sleep(0.1)
        self.assertEqual(load.failures[:5], [])
        self.assertGreater(load.sessions, RELOADS * 5)
        for client in long_ones:
            client.ok("STAT")
            client.quit()
        for number, client in enumerate(waiting):  # from before all of it; they may still log in
            client.login("user%d@example.test" % (number + 1), self.bed.password)
            client.quit()

    def generations(self):
        return len(json.loads(self.bed.ctl("status", "--json").stdout)["generations"])

    def test_old_generations_go(self):
        self.assertTrue(eventually(lambda: self.generations() == 1, 30, 0.05))
        count = len(processes.children(self.bed.pid))
        for number in range(3):
            self.bed.configure({"login.greeting": "gone %d" % number})
            self.reload_and_wait("gone %d" % number)
        self.assertTrue(eventually(
            lambda: self.generations() == 1 and len(processes.children(self.bed.pid)) == count,
            30, 0.05), "old workers stay without a session")

    def test_a_new_listener_and_one_less(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        extra = {"listener.extra.address": "127.0.0.1", "listener.extra.port": str(port),
                 "listener.extra.tls": "stls", "login.greeting": "with one more"}
        self.bed.configure(extra)
        self.reload_and_wait("with one more")
        with Client(self.bed.host, port) as client:
            client.quit()
        self.bed.configure({"login.greeting": "with one less"})
        self.reload_and_wait("with one less")

        def refused():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) != 0
        self.assertTrue(eventually(refused, 5))

    def test_too_many_generations_end_the_oldest(self):
        self.bed.configure({"server.max_generations": "2", "login.greeting": "few"})
        self.reload_and_wait("few")
        oldest = self.bed.login("user1@example.test")
        oldest.ok("STAT")
        for number in range(2):
            self.bed.configure({"server.max_generations": "2", "login.greeting": "few %d" % number})
            self.reload_and_wait("few %d" % number)
        got = oldest.read_all()
        self.assertRegex(got, rb"^(-ERR [^\r]*\r\n)?$")


class Stop(unittest.TestCase):
    def setUp(self):
        self.bed = None

    def start(self, *options):
        self.bed = Bed("--users", "4", *options)
        self.addCleanup(self.bed.stop)

    def gone(self):
        return not processes.in_session(self.bed.pid)

    def refuses(self):
        with socket.socket() as s:
            return s.connect_ex((self.bed.host, self.bed.port)) != 0

    def test_sigterm_drains(self):
        """Nobody new, but who is there may finish, deletions and all."""
        self.start()
        names = [self.bed.deliver(mail(n)) for n in range(3)]
        other = "user2@example.test"


        self.bed.deliver(mail(9), other)
        with self.bed.login() as plain, self.bed.login(other, tls=True) as tls:
            os.kill(self.bed.pid, signal.SIGTERM)
            self.assertTrue(eventually(self.refuses, 5), "still accepting")
            time.sleep(0.3)
            self.assertEqual(plain.stat()[0], 3)
            plain.multi("RETR 1")
            plain.ok("DELE 1")
            self.assertTrue(plain.quit().startswith(b"+OK"))
            self.assertFalse(self.gone(), "a session is still open")
            tls.multi("RETR 1")
            tls.ok("DELE 1")
            self.assertTrue(tls.quit().startswith(b"+OK"))
            self.assertTrue(eventually(self.gone, 10), "sessions are over, the server stays")
        self.assertEqual(len(self.bed.names()), len(names) - 1)
        self.assertEqual(self.bed.names(other), [])

    def test_06_18_after_the_drain_timeout_sessions_end(self):
        self.start("--set", "server.drain_timeout=1s")
        user = "user2@example.test"
        self.bed.deliver(mail(1), user)
        self.bed.deliver(mail(2))
        with self.bed.login() as plain, self.bed.login(user, tls=True) as tls:
            plain.ok("DELE 1")
            tls.ok("DELE 1")
            watch = stopwatch()
            os.kill(self.bed.pid, signal.SIGTERM)
            for client in (plain, tls):
                self.assertRegex(client.read_all(), rb"^(-ERR [^\r]*\r\n)?$")
            self.assertTrue(0.8 < watch() < 6, "%.1f s" % watch())
            self.assertTrue(eventually(self.gone, 5))
        self.assertEqual(len(self.bed.names()), 1, "a session that is ended deletes nothing")
        self.assertEqual(len(self.bed.names(user)), 1)

    def test_nothing_to_wait_for(self):
        self.start()
        watch = stopwatch()
        os.kill(self.bed.pid, signal.SIGTERM)
        self.assertTrue(eventually(self.gone, 10))
        self.assertLess(watch(), 3)

if __name__ == "__main__":
    unittest.main()
