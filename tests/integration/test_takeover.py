# SPDX-License-Identifier: MIT
"""A user comes back while an old session still holds the maildrop: it gives way where its client has
gone, and only there; nothing that it had marked is deleted."""
import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

from bed import BedCase, IS_ROOT, code_of, eventually, needs_root, stopwatch
from support import layout

AFTER = 5  # seconds: the least that mail.takeover_after takes
MAIL = [b"Subject: %d\n\nbody\n" % n for n in range(3)]


def attempt(bed, user=None, password="secret", **how):
    """A login without a second try. Gives the client and the answer to its PASS."""
    client = bed.connect(**how)
    client.ok("USER " + (user or bed.user))
    return client, client.cmd("PASS " + password)


class Rules:
    """The same for every kind of bed; self.bed is one, with AFTER."""

    def setUp(self):
        self.user = self.bed.user
        self.fill()

    def fill(self):
        self.bed.clear(self.user)
        for octets in MAIL:
            self.deliver(octets)

    def deliver(self, octets):
        self.bed.deliver(octets, self.user)

    def login(self, **how):
        client, answer = attempt(self.bed, self.user, **how)
        self.assertTrue(answer.startswith(b"+OK"), answer)
        self.addCleanup(client.close)
        return client

    def refused(self, **how):
        watch = stopwatch()
        client, answer = attempt(self.bed, self.user, **how)
        self.assertEqual(code_of(answer), "IN-USE", answer)
        client.expect_end()
        return watch()

    def test_a_session_in_use_stays_and_the_newcomer_is_told_at_once(self):
        for tls in (False, True):
            with self.login(tls=tls) as old:
                old.ok("DELE 1")
                self.assertLess(self.refused(tls=not tls), 2)
                event = self.bed.wait_event("maildrop.refused",
                                            lambda e: "held by" in e["text"])
                self.assertRegex(event["text"], r"held by 127\.0\.0\.1 for \d+ s, silent for \d+ s")
                old.ok("NOOP")
                old.ok("RSET")
                old.quit()

    def test_a_silent_session_gives_way_and_deletes_nothing(self):
        for tls in (False, True):
            old = self.login(tls=tls)
            old.ok("DELE 1")
            old.ok("DELE 2")
            silent = stopwatch()
            while silent() < AFTER - 1:
                self.refused(tls=tls)
                time.sleep(0.3)
            time.sleep(max(0, AFTER + 0.3 - silent()))
            watch = stopwatch()
            new = self.login(tls=tls)
            self.assertLess(watch(), 2)
            self.assertEqual(new.stat()[0], 3)
            # The old client hears why, and is out.
            self.assertEqual(code_of(old.line()), "IN-USE")
            old.expect_end()
            self.bed.wait_event("session.end", lambda e: e.get("reason") == "taken-over")
            # It does not get its maildrop back from somebody who is there.
            self.refused(tls=tls)
            self.assertTrue(new.quit().startswith(b"+OK"))
            self.assertEqual(len(self.bed.names(self.user)), 3)

    def test_one_that_says_something_now_and_then_is_not_silent(self):
        with self.login() as old:
            for _ in range(3):
                time.sleep(AFTER * 0.6)
                self.assertLess(self.refused(), 2)
                old.ok("NOOP")
            old.quit()

    def test_of_two_newcomers_one_gets_in(self):
        old = self.login()
        time.sleep(AFTER + 0.3)
        answers, clients = [], []
        start = threading.Barrier(6)

        def come():
            start.wait()
            client, answer = attempt(self.bed, self.user)
            clients.append(client)
            answers.append(code_of(answer) or answer[:3].decode())
        threads = [threading.Thread(target=come) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(answers), ["+OK"] + ["IN-USE"] * 5)
        for client in clients:
            client.close()
        old.close()

    def test_a_client_that_has_just_gone_is_no_hindrance(self):
        """However it goes: the next login at once is let in."""
        for tls in (False, True):
            for number in range(30):
                client = self.login(tls=tls)
                if number % 3 == 0:
                    self.assertTrue(client.quit().startswith(b"+OK"))
                elif number % 3 == 1:
                    client.ok("DELE 1")
                    client.close()
                else:
                    client.ok("DELE 1")
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           b"\1\0\0\0\0\0\0\0")  # a reset
                    client.close()
            self.login(tls=tls).quit()
        self.assertEqual(len(self.bed.names(self.user)), 3)

    def test_a_quit_that_is_being_worked_on_is_waited_for(self):
        """The client has hung up behind its QUIT and comes back: what it has deleted is gone."""
        for number in range(10):
            client = self.login()
            client.send(b"DELE 1\r\nQUIT\r\n")
            client.close()
            new = self.login()
            self.assertEqual(new.stat()[0], 2, number)
            new.quit()
            self.deliver(MAIL[0])


class Workers(Rules, BedCase):
    """Old and new session in any of several workers."""
    options = ("--users", "2", "--set", "mail.workers=3", "--set", "login.workers=2", "--set",
               "mail.takeover_after=%ds" % AFTER)

    def test_over_a_reload(self):
        old = self.login(tls=True)
        old.ok("DELE 1")
        before = self.bed.workers("mail")
        self.bed.ctl("reload", check=True)
        self.assertTrue(eventually(lambda: not set(self.bed.workers("mail")) & set(before)))
        time.sleep(AFTER + 0.3)
        watch = stopwatch()
        new = self.login()
        self.assertLess(watch(), 2)
        self.assertEqual(new.stat()[0], 3)
        new.quit()
        self.assertEqual(code_of(old.line()), "IN-USE")

    def test_a_download_that_nobody_takes(self):
        self.deliver(b"Subject: big\n\n" + b"x" * 78 + b"\n" * 1 + (b"y" * 78 + b"\n") * 400000)
        for tls in (False, True):
            old = self.login(tls=tls)
            old.ok("DELE 1")
            old.send(b"RETR 4\r\nQUIT\r\n")  # and reads no more: the QUIT waits for it
            time.sleep(AFTER + 1)
            watch = stopwatch()
            new = self.login()
            self.assertLess(watch(), 2)
            self.assertEqual(new.stat()[0], 4)
            new.quit()
            old.close()

    def test_a_download_that_goes_on_slowly_is_not_silent(self):
        self.deliver(b"Subject: big\n\n" + (b"y" * 78 + b"\n") * 400000)
        old = self.login()
        old.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        old.send(b"RETR 4\r\n")
        until = time.monotonic() + AFTER + 2
        while time.monotonic() < until:
            old.sock.recv(200000)
            self.refused()
            time.sleep(0.1)
        old.close()

    def test_another_user_is_not_concerned(self):
        other = list(self.bed.maildrops)[1]
        client, answer = attempt(self.bed, other)
        self.assertTrue(answer.startswith(b"+OK"))
        time.sleep(AFTER + 0.2)
        self.login().quit()
        client.ok("NOOP")
        client.quit()

    def test_at_most_one_session_by_contract_is_no_hindrance(self):
        self.bed.ctl("user", "set", self.user, "--max-sessions", "1", check=True)
        self.addCleanup(self.bed.ctl, "user", "set", self.user, "--unset", "max-sessions")
        old = self.login()
        old.ok("DELE 1")
        self.refused()
        time.sleep(AFTER + 0.3)
        new = self.login(tls=True)
        self.assertEqual(new.stat()[0], 3)
        new.close()
        self.login().quit()
        old.close()

    def test_a_worker_that_is_killed_leaves_nothing_behind(self):
        self.bed.allow("worker.died", "order.failed")
        old = self.login()
        for pid in self.bed.workers("mail"):
            os.kill(pid, 9)
        old.expect_end()
        self.assertTrue(eventually(lambda: len(self.bed.workers("mail")) == 3))
        self.login().quit()


class Mbox(Rules, BedCase):
    options = ("--storage", "mbox", "--users", "1", "--set", "mail.workers=2", "--set",
               "mail.takeover_after=%ds" % AFTER)

    def fill(self):
        path = self.bed.maildrop(self.user)
        with open(path, "wb") as f:
            for octets in MAIL:
                f.write(b"From a@example.test Thu Nov 30 00:00:00 2023\n" + octets + b"\n")
        self.own(path)

    def own(self, path):
        if IS_ROOT:
            os.chown(path, self.bed.uid, self.bed.gid)

    def deliver(self, octets):
        with open(self.bed.maildrop(self.user), "ab") as f:
            f.write(b"From a@example.test Thu Nov 30 00:00:00 2023\n" + octets + b"\n")

    def test_a_silent_session_gives_way_and_deletes_nothing(self):
        old = self.login(tls=True)
        old.ok("DELE 1")
        time.sleep(AFTER + 0.3)
        new = self.login()
        self.assertEqual(new.stat()[0], 3)
        new.quit()
        self.assertEqual(code_of(old.line()), "IN-USE")

    def test_a_client_that_has_just_gone_is_no_hindrance(self):
        for tls in (False, True):
            for _ in range(15):
                client = self.login(tls=tls)
                client.ok("DELE 1")
                client.close()
            new = self.login(tls=tls)
            self.assertEqual(new.stat()[0], 3)
            new.quit()


@needs_root
class AsUser(Rules, BedCase):
    """Every session in a process of its own."""
    UID = 61300
    options = ("--users", "1", "--set", "mail.run_as=user", "--set", "mail.first_uid=%d" % UID,
               "--set", "mail.spare_processes=3", "--set", "mail.takeover_after=%ds" % AFTER)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = "owner@example.test"
        place = os.path.join(cls.bed.bed_dir, "mail", cls.name, "Maildir")
        cls.bed.ctl("user", "add", "--password-stdin", "--uid", str(cls.UID), "--gid",
                    str(cls.UID), cls.name, text="secret\n", check=True)
        layout.make_maildir(place, (cls.UID, cls.UID))
        os.chown(os.path.dirname(place), cls.UID, cls.UID)
        cls.bed.maildrops[cls.name] = place

    def setUp(self):
        self.user = self.name
        self.fill()

    def deliver(self, octets):
        name = self.bed.deliver(octets, self.user)
        os.chown(os.path.join(self.bed.maildrop(self.user), "new", name), self.UID, self.UID)


class Off(BedCase):
    options = ("--users", "1", "--set", "mail.takeover=false", "--set",
               "mail.takeover_after=%ds" % AFTER)

    def test_nobody_gives_way(self):
        self.bed.clear()
        with self.bed.login() as old:
            time.sleep(AFTER + 0.5)
            client, answer = attempt(self.bed)
            self.assertEqual(code_of(answer), "IN-USE")
            client.close()
            old.ok("NOOP")
            old.close()
        client, answer = attempt(self.bed)  # one that goes is waited for all the same
        self.assertTrue(answer.startswith(b"+OK"), answer)
        client.quit()


class Foreign(BedCase):
    """A lock that no session of the server has: for a moment, it is waited for."""
    options = ("--users", "1")

    def test_a_short_lock_of_another_program(self):
        self.bed.clear()
        with contextlib.ExitStack() as stack:
            fd = os.open(self.bed.maildrop(), os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
            watch = stopwatch()
            client, answer = attempt(self.bed)
            self.assertEqual(code_of(answer), "IN-USE")
            self.assertLess(watch(), 3)
            client.close()
            timer = threading.Timer(0.15, fcntl.flock, (fd, fcntl.LOCK_UN))
            timer.start()
            client, answer = attempt(self.bed)
            timer.join()
            self.assertTrue(answer.startswith(b"+OK"), answer)
            client.quit()


@unittest.skipUnless(IS_ROOT and shutil.which("ip"), "needs root and ip(8), to cut a link")
class Vanished(BedCase):
    """The client's link is cut: no FIN, no reset, nothing arrives there any more."""
    options = ("--users", "1", "--set", "mail.workers=2", "--set",
               "mail.takeover_after=%ds" % AFTER)
    ADDRESS = "127.%d.%d.77" % (os.getpid() >> 8 & 255, os.getpid() & 255)

    def setUp(self):
        self.bed.clear()
        for octets in MAIL:
            self.bed.deliver(octets)

    def cut(self):
        route = ("blackhole", self.ADDRESS + "/32", "table", "local")
        run = subprocess.run(["ip", "route", "add", *route], capture_output=True, text=True,
                             check=False)
        if run.returncode != 0:
            self.skipTest("no route can be added: " + run.stderr.strip())
        self.addCleanup(self.mend)

    def mend(self):
        subprocess.run(["ip", "route", "del", "blackhole", self.ADDRESS + "/32", "table", "local"],
                       capture_output=True, check=False)

    def vanish(self, tls):
        client, answer = attempt(self.bed, tls=tls, source=(self.ADDRESS, 0))
        self.addCleanup(client.close)
        self.assertTrue(answer.startswith(b"+OK"), answer)
        client.ok("DELE 1")
        self.cut()
        client.send(b"RETR 2\r\n")  # this way the link still is
        return stopwatch()

    def test_reconnect_within_two_seconds_of_the_limit(self):
        for tls in (False, True):
            silent = self.vanish(tls)
            while True:
                watch = stopwatch()
                client, answer = attempt(self.bed, tls=tls)
                if answer.startswith(b"+OK"):
                    break
                self.assertEqual(code_of(answer), "IN-USE")
                client.close()
                self.assertLess(silent(), AFTER + 2)
            self.assertGreater(silent(), AFTER - 0.5)
            self.assertLess(silent(), AFTER + 2)
            self.assertLess(watch(), 2)
            self.assertEqual(client.stat()[0], 3)
            client.quit()
            self.mend()

    def test_octets_that_nobody_acknowledges_are_enough(self):
        """Though the limit is far away."""
        self.bed.renew({"mail.takeover_after": "1h"})
        self.addCleanup(self.bed.renew, {})
        silent = self.vanish(False)
        client, answer = attempt(self.bed)
        self.assertEqual(code_of(answer), "IN-USE")
        client.close()

        def come():
            client, answer = attempt(self.bed)
            client.close()
            return answer.startswith(b"+OK")
        self.assertTrue(eventually(come, 30, 0.2))
        self.assertGreater(silent(), 9)
        self.assertLess(silent(), 20)
        self.assertEqual(len(self.bed.names()), 3)

    @unittest.skipUnless(shutil.which("ss"), "needs ss(8)")
    def test_connections_are_watched_by_the_kernel(self):
        for tls in (False, True):
            with self.bed.login(tls=tls) as client:
                query = ["ss", "-tnoH", "state", "established", "sport", "=",
                         ":%d" % client.sock.getpeername()[1], "dport", "=",
                         ":%d" % client.sock.getsockname()[1]]

                def is_watched():
                    run = subprocess.run(query, capture_output=True, text=True, check=True)
                    return re.search(r"timer:\(keepalive,(5\d|1min)", run.stdout)
                self.assertTrue(eventually(is_watched, 5, 0.05))
                client.quit()


if __name__ == "__main__":
    unittest.main()
