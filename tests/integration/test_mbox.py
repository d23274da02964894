# SPDX-License-Identifier: MIT
"""Maildrops in mbox files: octets, sessions, and delivery agents that write all the time.

Delivery agents here are a small one for each kind of lock, and real ones. At the end every message was
read whole by a client that said QUIT, or is still in the file.
"""
import fcntl
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from collections import Counter

import zoo
from bed import IS_ROOT, Bed, BedCase, Closed, eventually, lenient
from support import exim, postfix, processes, unpacked

DOTLOCKFILE = shutil.which("dotlockfile") or unpacked.find("exim", "usr/bin/dotlockfile")
NO_POSTFIX = postfix.why_not()
SECONDS = float(os.environ.get("POSTERN_MBOX_SECONDS", "10"))
FROM = b"From sender@example.test Thu Nov  9 22:06:57 2023\n"


def as_user(bed):
    """For subprocess: the mail's owner, where we are root."""
    return {"user": bed.uid, "group": bed.gid, "extra_groups": []} if IS_ROOT else {}


def open_as(bed, path, flags):
    """Opens as the mail's owner would make it: the owner is set at once."""
    fd = os.open(path, flags, 0o600)
    if IS_ROOT:
        os.fchown(fd, bed.uid, bed.gid)
    return fd


class DotLock:
    def __init__(self, path):
        self.path = path + ".lock"

    def __enter__(self):
        while True:
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                return self
            except FileExistsError:
                time.sleep(0.001)

    def __exit__(self, *_):
        os.unlink(self.path)


def append(bed, path, octets, kind):
    """One delivery, as agents do it: open, lock, append, unlock."""
    fd = open_as(bed, path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        if kind == "dotlock":
            with DotLock(path):
                os.write(fd, octets)
            return
        (fcntl.lockf if kind == "fcntl" else fcntl.flock)(fd, fcntl.LOCK_EX)
        os.write(fd, octets)
    finally:
        os.close(fd)


def message(number, size=1):
    return b"Subject: storm %d\nMessage-ID: <%d@test>\nFrom: a@example.test\n" \
        b"To: b@example.test\nDate: Thu, 9 Nov 2023 22:06:57 +0000\n\n" % (number, number) + \
        b"line %d\n" % number * size


class Mbox(BedCase):
    options = ("--storage", "mbox", "--users", "8", "--set", "mail.surrogates=false")
    allowed = ("maildrop.update.failed",)  # of the file that may not be written

    def path(self, user):
        return self.bed.maildrops[user]

    def put(self, user, octets):
        with open(self.path(user), "wb") as f:
            f.write(octets)
        if IS_ROOT:
            os.chown(self.path(user), self.bed.uid, self.bed.gid)

    def test_a_session(self):
        user = "user1@example.test"
        self.assertFalse(os.path.exists(self.path(user)))
        with self.bed.login(user) as client:
            self.assertEqual(client.stat(), (0, 0))
            client.quit()
        self.assertFalse(os.path.exists(self.path(user)))
        self.put(user, b"".join(FROM + b"Status: RO\n" + message(n) + b"\n" for n in range(3)))
        with self.bed.login(user) as client:
            self.assertEqual(client.stat()[0], 3)
            uidls = [x.split(" ")[1] for x in client.lines("UIDL")]
            self.assertEqual(client.multi("RETR 2"), zoo.stuffed(zoo.wire(message(1))))
            self.assertEqual(client.multi("TOP 2 0"), zoo.stuffed(zoo.top(message(1), 0)))
            with self.bed.connect() as other:
                other.ok("USER " + user)
                other.err("PASS " + self.bed.password, "IN-USE")
            client.ok("DELE 2")
            client.quit()
        with self.bed.login(user) as client:
            self.assertEqual([x.split(" ")[1] for x in client.lines("UIDL")],
                             [uidls[0], uidls[2]])
            client.quit()
        with open(self.path(user), "rb") as f:
            self.assertEqual(f.read(), b"".join(FROM + b"Status: RO\n" + message(n) + b"\n"
                                                for n in (0, 2)))

    def test_large_message_with_hidden_headers(self):
        user = "user2@example.test"
        body = b"".join(b"%d .x\n.y\n" % n for n in range(300000))
        head = b"Subject: large\n"
        self.put(user, FROM + b"X-UID: 1\n" + head + b"X-Keywords: a\n b\n\n" + body + b"\n")
        with self.bed.login(user) as client:
            self.assertEqual(client.multi("RETR 1"), zoo.stuffed(zoo.wire(head + b"\n" + body)))
            client.quit()

    def test_read_only(self):
        user = "user3@example.test"
        self.put(user, FROM + message(1) + b"\n" + FROM + message(2) + b"\n")
        os.chmod(self.path(user), 0o400)
        with self.bed.login(user) as client:
            self.assertEqual(client.multi("RETR 2"), zoo.stuffed(zoo.wire(message(2))))
            client.ok("DELE 1")
            client.err("QUIT")
        with self.bed.login(user) as client:
            self.assertEqual(client.stat()[0], 2)
            client.quit()
        os.chmod(self.path(user), 0o600)

    def check_files(self, user, files):
        """Each file's octets as one message, if it can be one."""
        wanted, text = [], []
        for octets in files:
            octets = octets if octets.endswith(b"\n") else octets + b"\n"
            quoted = b"\n".join(b">" + line if line.startswith(b"From ") else line
                                for line in octets.split(b"\n"))
            text.append(FROM + quoted + b"\n")
            wanted.append(zoo.wire(hide(quoted)))
        self.put(user, b"".join(text))
        with self.bed.login(user) as client:
            sizes = [int(x.split(" ")[1]) for x in client.lines("LIST")]
            self.assertEqual(sizes, [len(w) for w in wanted])
            for number, want in enumerate(wanted, 1):
                self.assertEqual(client.multi("RETR %d" % number), zoo.stuffed(want), number)
            client.quit()

    @unittest.skipUnless(zoo.corpus_files(), "no corpus folder: set POSTERN_CORPUS")
    def test_real_messages(self):
        files = []
        for path in zoo.corpus_files():
            with open(path, "rb") as f:
                files.append(f.read())
        self.check_files("user4@example.test", files)
        self.check_files("user5@example.test", [zoo.wire(f) for f in files])


HIDDEN = (b"content-length", b"status", b"x-imap", b"x-imapbase", b"x-keywords", b"x-status",
          b"x-uid")


def hide(octets):
    """Without the headers that mbox files keep for themselves."""
    out, hidden, lines = [], False, octets.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line in (b"\n", b"\r\n"):
            return b"".join(out + lines[at:])
        if line[:1] not in b" \t":
            hidden = line.split(b":")[0].strip().lower() in HIDDEN and b":" in line
        if not hidden:
            out.append(line)
    return b"".join(out)


def number_of(octets):
    found = re.search(rb"^Subject: storm (\d+)\r$", octets, re.M)
    if not found:
        raise AssertionError("a message of nobody: %r" % octets[:200])
    return int(found.group(1))


class StormCase(BedCase):
    """Sessions delete, agents deliver, workers are killed."""
    options = ("--storage", "mbox", "--users", "6", "--set", "auth.timeout=5s",
               "--set", "storage.mbox.lock_timeout=3s")
    allowed = ("worker.", "keys.", "tls.", "auth.", "login.", "maildrop.", "session.")

    def setUp(self):
        super().setUp()
        for path in self.bed.maildrops.values():
            if os.path.exists(path):
                os.unlink(path)

    def deliver_mail(self, agent, number, ledger, stop):
        rng = random.Random(number)
        users = list(self.bed.maildrops)
        while not stop.is_set():
            number += 100
            octets = message(number, rng.choice((1, 30, 2000)))
            path = self.bed.maildrops[rng.choice(users)]
            lies = zoo.stuffed(zoo.wire(self.headers(agent, path) + octets))
            with ledger["lock"]:
                ledger["delivered"][number] = hashlib.sha256(lies).digest()
            self.give(agent, path, octets)
            stop.wait(0.01)

    def headers(self, agent, path):
        """What the agent sets before a message."""
        return self.postfix.headers(agent, path) if agent in postfix.DOMAIN else b""

    def give(self, agent, path, octets):
        if agent in postfix.DOMAIN:
            self.postfix.give(agent, path, octets)
            return
        if agent == "exim":
            self.exim.give(path, octets)
            return
        if agent == "dotlockfile":
            subprocess.run([DOTLOCKFILE, "-l", "-r", "20", path + ".lock"], check=True,
                           **as_user(self.bed))
            append(self.bed, path, FROM + octets + b"\n", "flock")
            subprocess.run([DOTLOCKFILE, "-u", path + ".lock"], check=True, **as_user(self.bed))
            return
        if agent != "procmail":
            append(self.bed, path, FROM + octets + b"\n", agent)
            return
        run = subprocess.run(["procmail", "-m", "DEFAULT=" + path, "LOCKTIMEOUT=60",
                              "LOCKSLEEP=1", "/dev/null"],
                             input=FROM + octets, capture_output=True, cwd="/", check=False,
                             env={"PATH": os.environ["PATH"], "HOME": "/", "LOGNAME": "vmail"},
                             **as_user(self.bed))
        if run.returncode != 0:
            raise AssertionError("procmail: %r" % run.stderr)

    def session(self, user, rng, ledger):
        with self.bed.connect(timeout=30) as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + self.bed.password)
            if not answer.startswith(b"+OK"):
                ledger["count"][answer.split(b"]")[0]] += 1
                return
            taken = set()
            count = client.stat()[0]
            for msg in rng.sample(range(1, count + 1), min(count, rng.choice((1, 5, 50)))):
                octets = client.multi("RETR %d" % msg)
                number = number_of(octets)
                if hashlib.sha256(octets).digest() != ledger["delivered"].get(number):
                    ledger["wrong"].append("other octets in %d: %d %r … %r" % (
                        number, len(octets), octets[:200], octets[-100:]))
                client.ok("DELE %d" % msg)
                taken.add(number)
            if rng.random() < 0.2:
                return
            with ledger["lock"]:
                ledger["quit_said"] |= taken
            if client.cmd("QUIT").startswith(b"+OK"):
                with ledger["lock"]:
                    ledger["quit_ok"] |= taken
                    ledger["count"]["QUIT"] += 1

    def client(self, seed, ledger, stop):
        rng = random.Random(seed)
        users = list(self.bed.maildrops)
        while not stop.is_set():
            try:
                self.session(rng.choice(users), rng, ledger)
            except (Closed, OSError):
                ledger["count"]["connection lost"] += 1
            except AssertionError as e:
                ledger["wrong"].append(str(e)[:300])
            stop.wait(rng.random() * 0.1)

    def run_storm(self, agents, kill, flush=None):
        ledger = {"lock": threading.Lock(), "delivered": {}, "quit_said": set(),
                  "quit_ok": set(), "count": Counter(), "wrong": []}
        stop = threading.Event()
        threads = [threading.Thread(target=self.deliver_mail, args=(a, n, ledger, stop))
                   for n, a in enumerate(agents)]
        threads += [threading.Thread(target=self.client, args=(n, ledger, stop))
                    for n in range(12)]
        for thread in threads:
            thread.start()
        rng, until = random.Random(3), time.monotonic() + SECONDS
        while time.monotonic() < until:
            stop.wait(0.3)
            mail = self.mail_workers() if kill else []
            if mail:
                os.kill(rng.choice(mail), signal.SIGKILL)
                ledger["count"]["killed"] += 1
        stop.set()
        for thread in threads:
            thread.join()
        if flush:
            flush()
        self.judge(ledger, kill)

    def mail_workers(self):
        try:
            return self.bed.workers("mail")
        except (AssertionError, ValueError):
            return []

    def left(self, user):
        """Numbers of the messages that a client is shown; their octets are right."""
        with self.bed.login(user) as client:
            count = client.stat()[0]
            found = [client.multi("RETR %d" % n) for n in range(1, count + 1)]
            client.quit()
        return found

    def judge(self, ledger, kill):
        self.assertEqual(ledger["wrong"][:5], [], dict(ledger["count"]))
        there = Counter()
        for user in self.bed.maildrops:
            shown = []

            def look(user=user, shown=shown):
                try:
                    shown[:] = self.left(user)
                    return True
                except (AssertionError, OSError):
                    return False
            self.assertTrue(eventually(look, 30, 0.2), user)
            for octets in shown:
                number = number_of(octets)
                self.assertEqual(hashlib.sha256(octets).digest(), ledger["delivered"][number])
                there[number] += 1
        gone = set(ledger["delivered"]) - set(there)
        self.assertEqual(gone - ledger["quit_said"], set(), "lost: gone without a QUIT")
        self.assertEqual(set(there) & ledger["quit_ok"], set(), "+OK to QUIT, and still there")
        self.assertEqual([n for n, times in there.items() if times > 1], [], "there twice")
        self.assertGreater(ledger["count"]["QUIT"], SECONDS, dict(ledger["count"]))
        self.assertGreater(len(gone), SECONDS * 5, dict(ledger["count"]))
        if kill:
            self.assertGreater(ledger["count"]["killed"], SECONDS / 3, dict(ledger["count"]))


class Storm(StormCase):
    options = StormCase.options + ("--set", "storage.mbox.locks=fcntl flock dotlock")

    def test_agents_with_every_kind_of_lock(self):
        self.run_storm(("fcntl", "flock", "dotlock"), kill=False)

    def test_workers_are_killed(self):
        self.run_storm(("fcntl", "flock"), kill=True)

    @unittest.skipUnless(shutil.which("procmail"), "no procmail")
    def test_procmail(self):
        self.run_storm(("procmail", "procmail", "fcntl"), kill=False)

    @unittest.skipUnless(exim.EXIM, "no Exim: contrib/install-deps --test")
    @unittest.skipUnless(IS_ROOT, "Exim needs root")
    def test_exim(self):
        places = {user.split("@")[0]: path for user, path in self.bed.maildrops.items()}
        self.exim = exim.Exim(places, self.bed.uid, self.bed.gid)
        try:
            self.run_storm(("exim", "fcntl"), kill=False)
            self.assertGreater(self.exim.log().count("Completed"), SECONDS, self.exim.log()[-500:])
            self.assertTrue(self.exim.flush(), self.exim.log()[-2000:])
        finally:
            self.exim.close()

    @unittest.skipUnless(DOTLOCKFILE, "no dotlockfile: contrib/install-deps --test")
    def test_dotlockfile(self):
        self.run_storm(("dotlockfile", "dotlockfile", "fcntl"), kill=False)


@unittest.skipIf(NO_POSTFIX, NO_POSTFIX)
class StormOfDefaults(StormCase):
    """The locks that are taken where nothing is set, here and there."""

    def test_postfix(self):
        places = {user.split("@")[0]: path for user, path in self.bed.maildrops.items()}
        self.postfix = postfix.Postfix(places, self.bed.uid, self.bed.gid)
        self.addCleanup(self.postfix.close)
        self.run_storm(("local", "virtual", "fcntl"), kill=False, flush=self.postfix.flush)
        for agent, count in self.postfix.sent.items():
            self.assertGreater(count, SECONDS, agent + "\n" + self.postfix.told())


if __name__ == "__main__":
    unittest.main()


@unittest.skipUnless(IS_ROOT, "needs root")
class AsTheUser(unittest.TestCase):
    """Files of system users, each served with the user's own uid: in the home, or all in one folder
    where users may write to their own file and make no other."""
    uid = 61900

    def bed_of(self, location, roots, *more):
        bed = Bed("--users", "1", "--tls", "none", "--set", "mail.run_as=user",
                  "--set", "mail.first_uid=61000", "--set", "mail.location=" + location,
                  "--set", "mail.roots=" + roots, "--set", "storage.mbox.lock_timeout=5s", *more)
        self.addCleanup(bed.stop)
        bed.ctl("user", "add", "--password-stdin", "--uid", str(self.uid), "--gid", str(self.uid),
                "--home", os.path.join(roots.split()[0], "ann"), "ann@example.test",
                text="secret\n", check=True)
        return bed

    def folder(self):
        folder = tempfile.mkdtemp(prefix="postern-mbox-")
        os.chmod(folder, 0o755)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def put(self, path, count):
        with open(path, "wb") as f:
            for n in range(count):
                f.write(b"From a@example.test Sun Nov 22 06:00:0%d 2026\n"
                        b"Subject: number %d\n\nbody %d\n\n" % (n, n, n))
        os.chown(path, self.uid, self.uid)
        os.chmod(path, 0o600)

    def try_it(self, bed, path):
        with bed.login("ann@example.test", "secret") as client:
            self.assertEqual(client.stat()[0], 3)
            uidls = client.multi("UIDL").splitlines()[:-1]
            self.assertIn(b"Subject: number 1", client.multi("RETR 2"))
            owners = set()
            for pid in processes.children(bed.pid):
                try:
                    owners.add(os.stat("/proc/%d" % pid).st_uid)
                    with open("/proc/%d/status" % pid, encoding="ascii") as f:
                        if "Uid:\t%d\t%d\t%d\t%d" % ((self.uid,) * 4) in f.read():
                            owners.add(self.uid)
                except OSError:
                    pass
            self.assertIn(self.uid, owners)
            client.ok("DELE 2")
            self.assertTrue(client.quit().startswith(b"+OK"))
        with bed.login("ann@example.test", "secret") as client:
            self.assertEqual(client.stat()[0], 2)
            after = client.multi("UIDL").splitlines()[:-1]
            self.assertEqual([line.split()[1] for line in after],
                             [uidls[0].split()[1], uidls[2].split()[1]])
            self.assertIn(b"Subject: number 2", client.multi("RETR 2"))
            client.quit()
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777), (self.uid, self.uid, 0o600))

    def test_in_the_home(self):
        homes = self.folder()
        home = os.path.join(homes, "ann")
        os.mkdir(home, 0o700)
        os.chown(home, self.uid, self.uid)
        self.put(os.path.join(home, "mbox"), 3)
        bed = self.bed_of("mbox:%{home}/mbox", homes)
        self.try_it(bed, os.path.join(home, "mbox"))

    def test_in_a_folder_of_all(self):
        """As /var/mail, but that nobody but root may make files in it; the index elsewhere."""
        spool, index = self.folder(), self.folder()
        os.chmod(index, 0o1777)
        path = os.path.join(spool, "ann")
        self.put(path, 3)
        bed = self.bed_of("mbox:%s/%%{local}" % spool, "%s %s" % (spool, index),
                          "--set", "storage.mbox.index_dir=" + index)
        self.try_it(bed, path)
