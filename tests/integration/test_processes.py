# SPDX-License-Identifier: MIT
"""Workers that are killed, who they are, what they log, and what a second start says."""
import os
import pwd
import signal
import socket
import subprocess
import unittest

from bed import (SANITIZED, Bed, BedCase, Closed, IS_ROOT, code_of, eventually, lenient,
                 needs_root, stopwatch)
from load import Load
from support import conf, processes

KINDS = ("login", "keys", "auth", "mail")
REPLACED_WITHIN = 3.0 if SANITIZED else 1.0  # seconds


def mail(number):
    return b"Subject: message %d\n\nbody %d\n" % (number, number)


class Killed(BedCase):
    options = ("--users", "40", "--set", "login.workers=2", "--set", "mail.workers=2",
               "--set", "auth.workers=3", "--set", "auth.hash_workers=1")
    allowed = ("worker.",)

    def replaced(self, kind, victim, before):
        """Seconds until as many workers of the kind are ready as there were."""
        watch = stopwatch()
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(eventually(lambda: (lambda now: victim not in now and len(now) == before)(
            self.bed.workers(kind)), 10, 0.005), "%s was not replaced" % kind)
        return watch()

    def test_each_kind_is_replaced_in_under_a_second_under_load(self):
        for kind in KINDS:
            for round_ in range(3):
                with self.subTest(kind, round=round_), Load(self.bed, 8, tolerate=True):
                    workers = self.bed.workers(kind)
                    took = self.replaced(kind, workers[round_ % len(workers)], len(workers))
                    self.assertLess(took, REPLACED_WITHIN)
        with self.bed.login() as client:
            client.quit()

    def sessions(self):
        """Logged-in sessions, half of them over TLS."""
        return {user: self.bed.login(user, tls=n % 2 == 1, context=lenient())
                for n, user in enumerate(list(self.bed.maildrops)[10:40])}

    @staticmethod
    def alive(client):
        try:
            return client.cmd("NOOP").startswith(b"+OK")
        except (Closed, OSError):
            return False

    def test_nothing_but_its_own_sessions_notices(self):
        for kind in KINDS:
            with self.subTest(kind):
                clients = self.sessions()
                workers = self.bed.workers(kind)
                victim = workers[0]
                served = self.bed.served(victim)
                self.replaced(kind, victim, len(workers))
                ended = sum(not self.alive(c) for c in clients.values())
                if kind in ("keys", "auth"):
                    self.assertEqual(ended, 0)
                else:
                    self.assertEqual(ended, served)
                    self.assertTrue(0 < ended < len(clients))
                for client in clients.values():
                    client.close()
                for user in clients:  # and each maildrop's lock is gone with its session
                    self.assertTrue(eventually(lambda u=user: self.opens(u), 5), user)

    def opens(self, user):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + self.bed.password)
            if not answer.startswith(b"+OK"):
                # SYS/TEMP: for a moment there is no mail worker at all.
                self.assertIn(code_of(answer), ("IN-USE", "SYS/TEMP"))
                return False
            client.quit()
            return True

    def test_a_mail_worker_killed_between_dele_and_quit_deletes_nothing(self):
        user = "user5@example.test"
        names = sorted(self.bed.deliver(mail(n), user) for n in range(3))
        for tls in (False, True):
            with self.bed.login(user, tls=tls) as client:
                for number in (1, 2, 3):
                    client.ok("DELE %d" % number)
                for pid in self.bed.workers("mail"):
                    os.kill(pid, signal.SIGKILL)
                self.assertFalse(self.alive(client))
            self.assertEqual(self.bed.names(user), names)
            self.assertTrue(eventually(lambda: self.opens(user), 5))

    def test_the_log_says_what_died(self):
        pid = self.bed.workers("auth")[0]
        os.kill(pid, signal.SIGKILL)
        found = eventually(lambda: [e for e in self.bed.events() if e["event"].startswith("worker.")
                                    and str(pid) in e["text"]])
        self.assertTrue(found)
        self.assertTrue(any("auth" in e["text"] for e in found))

    def test_every_kind_killed_many_times(self):
        for round_ in range(10):
            for kind in KINDS:
                workers = self.bed.workers(kind)
                if workers:
                    os.kill(workers[round_ % len(workers)], signal.SIGKILL)
        self.assertTrue(eventually(lambda: all(
            len(self.bed.workers(k)) == n for k, n in (("login", 2), ("keys", 2), ("auth", 5),
                                                       ("mail", 2))), 15, 0.05))
        self.assertTrue(eventually(lambda: self.opens("user1@example.test"), 5))

    def test_workers_go_with_their_master(self):
        bed = Bed("--users", "1")
        try:
            with bed.login() as client:
                workers = processes.children(bed.pid)
                self.assertGreater(len(workers), 3)
                os.kill(bed.pid, signal.SIGKILL)
                self.assertTrue(eventually(
                    lambda: not [p for p in workers if processes.started(p)], 5),
                    "workers outlive the master")
                self.assertFalse(self.alive(client))
        finally:
            bed.stop()

    @needs_root  # nobody else may look: workers are not dumpable
    def test_nothing_leaks(self):
        """Descriptors of every process before and after some hundred sessions of all kinds."""
        def descriptors():
            return {pid: len(os.listdir("/proc/%d/fd" % pid))
                    for pid in [self.bed.pid] + processes.children(self.bed.pid)}

        def work(count):
            for number in range(count):
                user = "user%d@example.test" % (number % 10 + 1)
                with self.bed.connect(tls=number % 2 == 0) as client:
                    if number % 7 == 0:
                        client.send(b"USER x\r\nPASS y\r\n")
                    elif number % 7 == 1:
                        client.login(user, self.bed.password)
                        client.send(b"RETR 1\r\nLIST\r\n")
                    elif number % 7 == 2:
                        client.send(b"STLS\r\njunk")
                    else:
                        client.login(user, self.bed.password)
                        client.quit()
                eventually(lambda u=user: self.opens(u), 5)

        work(30)
        before = descriptors()
        work(300)
        self.assertTrue(eventually(
            # An auth worker opens its database at its first request: three files.
            lambda: all(n <= before.get(pid, 10 ** 6) + 5 for pid, n in descriptors().items()), 5),
            "%s then %s" % (before, descriptors()))


class Stuck(BedCase):
    """A worker that is there but does nothing."""
    options = ("--users", "3", "--set", "auth.workers=1", "--set", "auth.timeout=1s")
    allowed = ("worker.", "auth.", "login.")

    def test_an_auth_worker_that_hangs(self):
        pid = self.bed.workers("auth")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            watch = stopwatch()
            with self.bed.connect() as client:
                client.ok("USER user1@example.test")
                answer = client.cmd("PASS secret")
                self.assertEqual(code_of(answer), "SYS/TEMP", answer)
            self.assertLess(watch(), 6)
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # the master has ended it
        self.assertTrue(eventually(self.logs_in, 10))

    def logs_in(self):
        try:
            with self.bed.login() as client:
                client.quit()
            return True
        except AssertionError:
            return False


class Second(BedCase):
    options = ("--users", "1")

    def second(self, changes):
        path = os.path.join(self.bed.home, "second.conf")
        settings = dict(self.bed.settings, **{"log.destination": "stderr"}, **changes)
        conf.write(path, settings)
        return subprocess.run([os.path.join(self.bed.build, "postern"), "-c", path],
                              capture_output=True, text=True, timeout=20, check=False,
                              stdin=subprocess.DEVNULL)

    def still_well(self):
        for _ in range(10):  # SO_REUSEPORT would give some connections to a second server
            with self.bed.login() as client:
                client.quit()

    def test_started_twice(self):
        run = self.second({})
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stdout + run.stderr, r"(?i)running|already")
        self.still_well()
        self.assertEqual(self.bed.ctl("status").returncode, 0, "the control socket was taken")

    def test_a_port_that_is_taken(self):
        """By another Postern, and by any other program."""
        run = self.second({"server.runtime_dir": os.path.join(self.bed.home, "run2")})
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(str(self.bed.port), run.stdout + run.stderr)
        self.still_well()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            run = self.second({"server.runtime_dir": os.path.join(self.bed.home, "run3"),
                               "listener.pop3.port": str(port), "listener.pop3s.port":
                               str(port + 1 if port < 65535 else port - 1)})
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(str(port), run.stdout + run.stderr)

    def test_a_bad_configuration_at_start(self):
        run = self.second({"login.workerz": "1", "mail.location": "nonsense"})
        self.assertNotEqual(run.returncode, 0)
        said = run.stdout + run.stderr
        self.assertIn("login.workerz", said)
        self.assertIn("login.workers", said)  # the nearest known name
        self.assertIn("mail.location", said)
        self.assertRegex(said, r"second\.conf:\d+")

    def test_a_plugin_that_is_not_there(self):
        run = self.second({"auth.backends": "nosuch",
                           "server.runtime_dir": os.path.join(self.bed.home, "run4")})
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("nosuch", run.stdout + run.stderr)


class Log(BedCase):
    options = ("--users", "3")

    def test_the_lines_of_a_session_share_its_id(self):
        for tls in (False, True):
            user = "user%d@example.test" % (2 + tls)
            self.bed.deliver(mail(1), user)
            with self.bed.login(user, tls=tls) as client:
                client.ok("DELE 1")
                client.quit()
            end = self.bed.wait_event("session.end", lambda e, u=user: e.get("user") == u)
            lines = [e for e in self.bed.events() if e.get("sid") == end["sid"]]
            self.assertEqual([e["event"] for e in lines],
                             ["login.ok", "maildrop.update", "session.end"])
            self.assertGreaterEqual(len({e["pid"] for e in lines}), 2, "login's line and mail's")
            self.assertTrue(all(e.get("user") == user for e in lines))

    def test_ids_differ(self):
        for _ in range(20):
            with self.bed.login() as client:
                client.quit()
        eventually(lambda: len(self.bed.events("session.end")) >= 20)
        sids = [e["sid"] for e in self.bed.events("login.ok")]
        self.assertEqual(len(sids), len(set(sids)))

    def test_a_log_line_cannot_be_forged(self):
        with self.bed.connect() as client:
            client.cmd(b"USER x\r2026-01-01T00:00:00Z error forged.line pid=1")
            client.cmd(b"AUTH PLAIN AHgKMjAyNiBlcnJvciBmb3JnZWQubGluZSBwaWQ9MQB4")
            client.quit()
        self.assertFalse(self.bed.events("forged.line"))


class Users(BedCase):
    """As whom the workers run."""
    options = ("--users", "1")

    def test_ids_and_capabilities(self):
        users = {"login": "postern-login", "keys": "postern-keys", "auth": "postern-auth",
                 "mail": "vmail"}
        for kind in KINDS:
            for pid in self.bed.workers(kind):
                with open("/proc/%d/status" % pid, encoding="ascii") as f:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
                uid = pwd.getpwnam(users[kind]).pw_uid if IS_ROOT else os.geteuid()
                self.assertEqual(set(status["Uid"].split()), {str(uid)}, kind)
                self.assertEqual(status["NoNewPrivs"], "1", kind)
                self.assertEqual(status["Seccomp"], "2", kind)
                for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                    self.assertEqual(int(status[name], 16), 0, "%s %s" % (kind, name))

    @needs_root
    def test_login_sees_an_empty_folder_as_root(self):
        for pid in self.bed.workers("login"):
            self.assertEqual(os.listdir("/proc/%d/root" % pid), [])
            self.assertNotEqual(os.readlink("/proc/%d/root" % pid), "/")

    @needs_root
    def test_no_descriptor_that_is_not_needed(self):
        """A worker holds no listening socket but login, and no file of another kind."""
        for kind in KINDS:
            for pid in self.bed.workers(kind):
                opened = []
                for name in os.listdir("/proc/%d/fd" % pid):
                    try:
                        opened.append(os.readlink("/proc/%d/fd/%s" % (pid, name)))
                    except OSError:
                        continue
                files = [p for p in opened if p.startswith("/") and not p.startswith("/dev/")
                         and p not in (self.bed.log, os.path.join(self.bed.bed_dir, "stderr"))]
                if kind == "auth":
                    files = [p for p in files if "/auth/" not in p]
                if kind == "keys":
                    files = [p for p in files if "/tls" not in p]
                self.assertEqual(files, [], kind)


if __name__ == "__main__":
    unittest.main()
