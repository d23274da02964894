# SPDX-License-Identifier: MIT
"""Workers that are killed, reloads, draining, and what a second start says."""
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from bed import (SANITIZED, Bed, BedCase, Client, Closed, IS_ROOT, code_of, eventually, lenient,
                 stopwatch)
from support import conf, processes

KINDS = ("login", "keys", "auth", "mail")
REPLACED_WITHIN = 3.0 if SANITIZED else 1.0  # seconds
RELOADS = 20


def mail(number):
    return b"Subject: message %d\n\nbody %d\n" % (number, number)


class Load:
    """Clients that log in, look and leave, one after the other, until told to stop."""

    def __init__(self, bed, clients, tolerate=False):
        self.bed, self.tolerate = bed, tolerate
        self.stop, self.failures, self.sessions = threading.Event(), [], 0
        users = list(bed.maildrops)
        self.threads = [threading.Thread(target=self.run, args=(users[n % len(users)], n % 2 == 1))
                        for n in range(clients)]

    def run(self, user, tls):
        context = lenient()
        while not self.stop.is_set():
            try:
                with self.bed.login(user, tls=tls, context=context) as client:
                    client.stat()
                    client.lines("UIDL")
                    client.quit()
                self.sessions += 1
            except (AssertionError, OSError) as e:
                if not self.tolerate:
                    self.failures.append("%s tls=%s: %s" % (user, tls, e))
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Killed(BedCase):
    options = ("--users", "40", "--set", "login.workers=2", "--set", "mail.workers=2",
               "--set", "auth.workers=3")
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
                self.assertEqual(code_of(answer), "IN-USE")
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
            len(self.bed.workers(k)) == n for k, n in (("login", 2), ("keys", 2), ("auth", 3),
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
                self.bed.configure({"login.greeting": "generation %d" % number})
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

    def test_old_generations_go(self):
        count = len(processes.children(self.bed.pid))
        for number in range(3):
            self.bed.configure({"login.greeting": "gone %d" % number})
            self.reload_and_wait("gone %d" % number)
        self.assertTrue(eventually(
            lambda: len(processes.children(self.bed.pid)) == count, 10, 0.05),
            "old workers stay without a session")

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
        import pwd
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

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_login_sees_an_empty_folder_as_root(self):
        for pid in self.bed.workers("login"):
            self.assertEqual(os.listdir("/proc/%d/root" % pid), [])
            self.assertNotEqual(os.readlink("/proc/%d/root" % pid), "/")

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
