# SPDX-License-Identifier: MIT
"""What an intruder inside a worker could reach.

In a build with --enable-hostile each worker, when its sandbox is closed, tries a list of steps and
logs how each one ended. As root the server runs with its own users, and once more, as a user
without rights. In mail.run_as = "user" (root only) the steps are tried before a process knows whom
it serves, and after it became that user. The memory of workers is searched for what they must not
have, which needs no hostile build but root.
"""
import os
import pwd
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TOP = os.path.dirname(TESTS)
sys.path.insert(0, TESTS)

from support import certs, conf  # noqa: E402

BUILD = os.path.realpath(os.environ.get("POSTERN_BUILD") or TOP)
IS_ROOT = os.geteuid() == 0
WAIT = float(os.environ.get("POSTERN_TEST_WAIT", "20"))
USERS = {"login": "daemon", "keys": "bin", "auth": "sys", "mail": "mail"}  # every system has them
PLAIN_USER = "nobody"
FIRST_UID = 61000
AUTH_WORKERS = 4  # two for queries, one for hashes, the clerk
SECRET = "k0mme-nicht-heraus"  # stands in the path of the database: part of an auth section

# What each kind must be refused. All kinds: the steps that nobody may take.
NOBODY = {"passwd", "memory", "write_tmp", "connect", "signal", "thread_signal", "ptrace", "peek",
          "mount", "chroot", "setuid", "setresuid", "unshare", "fork", "io_uring", "execve"}
REFUSED = {
    "login": NOBODY | {"maildrop", "key", "database"},
    "keys": NOBODY | {"maildrop", "database"},
    "auth": NOBODY | {"maildrop", "key"},
    "mail": NOBODY | {"key", "database"},
}
STEP = re.compile(r"hostile\.step .*kind=(\w+) slot=(\d+) step=(\w+) result=(\w+)")
DONE = re.compile(r"hostile\.done .*kind=(\w+) slot=(\d+) stage=(\w+)")


def is_hostile_build():
    with open(os.path.join(BUILD, "postern"), "rb") as f:
        return b"POSTERN_HOSTILE_TARGETS" in f.read()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server of its own, in a folder that every user can reach. run_as: a user's name, or None
    for whoever runs the test."""

    def __init__(self, run_as=None, pooled=False):
        self.run_as, self.pooled = run_as, pooled
        self.dir = tempfile.mkdtemp(prefix="postern-hostile-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.listener = socket.socket()  # somebody whom a worker could connect to
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.log = self.path("log")
        self._copy_build()
        self._make_users()
        self._make_tls()
        self._configure()
        self.process = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def _copy_build(self):
        """The build tree may be where only its owner can look."""
        os.makedirs(self.path("bin", "plugins"))
        shutil.copy(os.path.join(BUILD, "postern"), self.path("bin"))
        for name in os.listdir(os.path.join(BUILD, "plugins.d")):
            if name.endswith(".so"):
                shutil.copy(os.path.join(BUILD, "plugins.d", name), self.path("bin", "plugins"))
        subprocess.run(["chmod", "-R", "a+rX", self.path("bin")], check=True)

    def owner(self, kind):
        """uid and gid of who owns what a kind of worker works on."""
        if not IS_ROOT:
            return os.geteuid(), os.getegid()
        entry = pwd.getpwnam(self.run_as or USERS[kind])
        return entry.pw_uid, entry.pw_gid

    def _give(self, top, ids):
        for folder, _, files in os.walk(top):
            os.chown(folder, *ids)
            for name in files:
                os.chown(os.path.join(folder, name), *ids)

    def _make_users(self):
        self.database = self.path(SECRET, "users.db")
        os.makedirs(self.path(SECRET), 0o700)
        self.messages = {}
        with open(os.path.join(TOP, "contrib", "schema", "sqlite.sql"), encoding="utf-8") as f:
            schema = f.read()
        db = sqlite3.connect(self.database)
        db.executescript(schema)
        db.execute("insert into domains (name) values ('example.test')")
        for number in (1, 2):
            uid = FIRST_UID + number
            db.execute("insert into users (domain, local_part, password, uid, gid) values "
                       "('example.test', ?, '{PLAIN}secret', ?, ?)", ("user%d" % number, uid, uid))
            drop = self.path("mail", "user%d@example.test" % number)
            for box in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(drop, "Maildir", box), 0o700)
            self.messages[number] = os.path.join(drop, "Maildir", "new", "1.M1P1.host")
            with open(self.messages[number], "wb") as f:
                f.write(b"Subject: %d\n\nto user%d alone\n" % (number, number))
            os.chmod(self.messages[number], 0o600)
            self._give(drop, (uid, uid) if self.pooled else self.owner("mail"))
        db.commit()
        db.close()
        self._give(self.path(SECRET), self.owner("auth"))

    def _make_tls(self):
        certs.make_ca(self.path("ca"))
        certs.issue(self.path("ca"), self.path("tls"), "localhost", "ecdsa", [])
        self.key = self.path("tls", "localhost", "privkey.pem")
        self._give(self.path("tls"), self.owner("keys"))

    def _configure(self):
        os.makedirs(self.path("run"))
        os.chown(self.path("run"), *((0, 0) if IS_ROOT and not self.run_as
                                     else self.owner("mail")))
        settings = {
            "server.plugin_dir": self.path("bin", "plugins"),
            "server.runtime_dir": self.path("run"),
            "log.level": "debug",
            "listener.pop3.address": "127.0.0.1", "listener.pop3.port": self.port,
            "listener.pop3.plaintext_login": "true",
            "login.workers": 2, "auth.workers": 2, "auth.hash_workers": 1, "mail.workers": 2,
            "login.max_connections": 100, "mail.max_sessions": 100,
            "tls.directory": self.path("tls"), "tls.default_name": "localhost",
            "auth.backends": ["sqlite"], "auth.sqlite.database": self.database,
            "mail.location": "maildir:%s/%%{user}/Maildir" % self.path("mail"),
        }
        for kind, user in USERS.items():
            settings["server.%s_user" % kind] = user
        if self.pooled:
            settings.update({"mail.run_as": "user", "mail.spare_processes": 2,
                             "mail.max_processes": 8})
        conf.write(self.path("postern.conf"), settings)

    def targets(self):
        return "maildrop=%s key=%s database=%s other=%s port=%d" % (
            self.messages[1], self.key, self.database, self.messages[2],
            self.listener.getsockname()[1])

    def start(self, hostile=True):
        command = [self.path("bin", "postern"), "-c", self.path("postern.conf")]
        if self.run_as:
            ids = self.owner("mail")
            command = ["setpriv", "--reuid", str(ids[0]), "--regid", str(ids[1]),
                       "--clear-groups"] + command
        extra = {"POSTERN_HOSTILE_TARGETS": self.targets()} if hostile else {}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **extra))
        self.wait(lambda: "server.ready" in self.text())

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, condition):
        end = time.monotonic() + WAIT
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError("not in time:\n" + self.text()[-6000:])
            time.sleep(0.02)

    def workers(self, kind):
        name = "postern-" + kind
        with open("/proc/%d/task/%d/children" % ((self.process.pid,) * 2), encoding="ascii") as f:
            pids = [int(p) for p in f.read().split()]
        found = []
        for pid in pids:
            with open("/proc/%d/comm" % pid, encoding="ascii") as f:
                if f.read().strip() == name[:15]:
                    found.append(pid)
        return found

    def log_in(self, user):
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT) as s:
            s.sendall(b"USER %s\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n" % user)
            got = b""
            while True:
                more = s.recv(65536)
                if not more:
                    return got
                got += more

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.terminate()
            self.process.wait(WAIT)
        self.listener.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class HostileCase(unittest.TestCase):
    """Subclasses: start self.server in setUpClass."""
    server = None

    @classmethod
    def begin(cls, **options):
        if not is_hostile_build():
            raise unittest.SkipTest("not a build with --enable-hostile")
        cls.server = Server(**options)
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()

    def steps(self, kind, stage=None):
        """{step: set of results} of all workers of the kind, and how many were done."""
        text = self.server.text()
        found, done = {}, 0
        for line in text.splitlines():
            step = STEP.search(line)
            if step and step[1] == kind:
                found.setdefault(step[3], set()).add(step[4])
            end = DONE.search(line)
            if end and end[1] == kind and stage in (None, end[3]):
                done += 1
        return found, done

    def check_kind(self, kind, stage="closed", but=()):
        found, done = self.steps(kind, stage)
        self.assertEqual(done, AUTH_WORKERS if kind == "auth" else 2,
                         "%s workers that tried everything" % kind)
        self.assertEqual(set(found), REFUSED[kind] - set(but), kind)
        for step, results in found.items():
            self.assertEqual(results, {"refused"}, "%s: %s" % (kind, step))

    def check_all(self):
        for kind in REFUSED:
            with self.subTest(kind):
                self.check_kind(kind)

    def check_mail_comes(self):
        """Refusing everything would be easy."""
        got = self.server.log_in(b"user1@example.test")
        self.assertIn(b"to user1 alone", got)
        self.assertNotIn("worker.died", self.server.text())


@unittest.skipUnless(IS_ROOT, "needs root")
class AsRoot(HostileCase):
    @classmethod
    def setUpClass(cls):
        cls.begin()

    def test_every_step_is_refused(self):
        self.check_all()

    def test_mail_comes_all_the_same(self):
        self.check_mail_comes()

    def test_sandbox_is_whole(self):
        self.assertNotIn("sandbox.", self.server.text())


class AsPlainUser(HostileCase):
    @classmethod
    def setUpClass(cls):
        cls.begin(run_as=PLAIN_USER if IS_ROOT else None)

    def test_every_step_is_refused(self):
        self.check_all()

    def test_mail_comes_all_the_same(self):
        self.check_mail_comes()

    def test_what_is_missing_is_said(self):
        self.assertIn("sandbox.partial", self.server.text())


@unittest.skipUnless(IS_ROOT, "needs root")
class AsTheUsersThemselves(HostileCase):
    """mail.run_as = "user"."""

    @classmethod
    def setUpClass(cls):
        cls.begin(pooled=True)

    def test_a_waiting_process(self):
        found, done = self.steps("mail", "waiting")
        self.assertGreaterEqual(done, 2)
        tried = (REFUSED["mail"] | {"other"}) - {"setuid", "setresuid"}
        for step in tried:
            self.assertIn("refused", found.get(step, ()), step)
        if "own" not in found:  # nobody has logged in yet
            self.assertFalse([s for s, r in found.items() if r != {"refused"}])

    def test_a_process_that_serves_a_user(self):
        got = self.server.log_in(b"user1@example.test")
        self.assertIn(b"to user1 alone", got)
        self.server.wait(lambda: self.steps("mail", "confined")[1] > 0)
        lines = self.server.text().splitlines()
        end = next(i for i, line in enumerate(lines)
                   if DONE.search(line) and DONE.search(line)[3] == "confined")
        pid = re.search(r" pid=(\d+) ", lines[end])[1]
        mine = [line for line in lines[:end] if " pid=%s " % pid in line]
        begin = max(i for i, line in enumerate(mine) if "stage=waiting" in line)
        results = {STEP.search(line)[3]: STEP.search(line)[4]
                   for line in mine[begin:] if STEP.search(line)}
        self.assertEqual(results.pop("own"), "ALLOWED")
        self.assertEqual(set(results), REFUSED["mail"] | {"other"})
        self.assertEqual(set(results.values()), {"refused"}, results)


@unittest.skipUnless(IS_ROOT, "only root may look into the workers")
class Memory(unittest.TestCase):
    """What a memory bug could give away."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.server.start(hostile=False)
        got = cls.server.log_in(b"user1@example.test")
        assert b"to user1 alone" in got, got

    def holds(self, pid, needle):
        with open("/proc/%d/maps" % pid, encoding="ascii") as maps, \
                open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
            for line in maps:
                addresses, rights = line.split()[:2]
                begin, end = (int(a, 16) for a in addresses.split("-"))
                if "r" not in rights or "[v" in line:
                    continue
                rest = b""
                for at in range(begin, end, 1 << 22):
                    memory.seek(at)
                    try:
                        piece = memory.read(min(1 << 22, end - at))
                    except OSError:
                        break
                    if needle in rest + piece:
                        return True
                    rest = piece[-len(needle):]
        return False

    def who_holds(self, needle):
        return {kind for kind in REFUSED for pid in self.server.workers(kind)
                if self.holds(pid, needle)}

    def test_only_auth_knows_of_the_database(self):
        workers = {k: len(self.server.workers(k)) for k in REFUSED}
        self.assertEqual(workers, dict(dict.fromkeys(REFUSED, 2), auth=AUTH_WORKERS))
        self.assertEqual(self.who_holds(SECRET.encode()), {"auth"})

    def test_only_keys_has_the_private_key(self):
        der = subprocess.run(["openssl", "ec", "-in", self.server.key, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        at = der.index(b"\x04\x20") + 2
        self.assertEqual(self.who_holds(der[at:at + 32]), {"keys"})
        with open(self.server.key, encoding="ascii") as f:
            line = f.read().splitlines()[2]
        self.assertLessEqual(self.who_holds(line.encode()), {"keys"})


if __name__ == "__main__":
    unittest.main()
