# SPDX-License-Identifier: MIT
"""System calls of a poll that finds nothing new, counted in the mail worker with strace."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT, SANITIZED, Bed, eventually

MOST = 12  # from the ticket to the answer to QUIT, where all commands came at once
WAITS = ("epoll_wait", "epoll_pwait", "recvfrom", "sendto")  # what each exchange costs besides
CALL = re.compile(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)")
FROM = b"From sender@example.test Thu Nov  9 22:06:57 2023\n"
MESSAGE = b"Subject: a\n\nbody\n"


class Tracer:
    """strace on one process while the with block runs; lines: what it wrote."""

    def __init__(self, pid):
        self.out = tempfile.NamedTemporaryFile(prefix="postern-strace-")
        self.run = subprocess.Popen(["strace", "-f", "-s", "2000", "-p", str(pid), "-o", self.out.name],
                                    stderr=subprocess.PIPE, text=True)
        self.said = self.run.stderr.readline()
        self.attached = "attached" in self.said

    def close(self):
        if self.run.poll() is None:
            self.run.terminate()
        self.said += self.run.communicate()[1]
        with open(self.out.name, encoding="utf-8", errors="replace") as f:
            self.lines = f.read().splitlines()
        self.out.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def of_the_poll(lines):
    """The names of the calls from the ticket's arrival to the answer to QUIT."""
    at = next(i for i, line in enumerate(lines) if "SCM_RIGHTS" in line)
    end = next(i for i, line in enumerate(lines) if "messages deleted" in line)
    names = [CALL.match(line) for line in lines[at:end + 1] if " resumed>" not in line]
    return [m.group(1) for m in names if m]


@unittest.skipUnless(shutil.which("strace"), "no strace")
@unittest.skipIf(SANITIZED, "the sanitizers call the kernel too")
class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.beds = {}
        for storage in ("maildir", "mbox"):
            cls.beds[storage] = Bed("--users", "1", "--tls", "none", "--set", "mail.workers=1",
                                    "--storage", storage)

    @classmethod
    def tearDownClass(cls):
        for bed in cls.beds.values():
            bed.stop()

    def settle(self, bed, storage):
        """Mail that has lain there for long enough, and an index that says so."""
        drop = bed.maildrop()
        if storage == "maildir":
            bed.clear()
            bed.deliver(MESSAGE)
            place, index = os.path.join(drop, "new"), os.path.join(drop, "postern.index")
        else:
            with open(drop, "wb") as f:
                f.write(FROM + MESSAGE + b"\n")
            if IS_ROOT:
                os.chown(drop, bed.uid, bed.gid)
            folder, name = os.path.split(drop)
            place, index = drop, os.path.join(folder, ".%s.postern.index" % name)

        def is_settled():
            with bed.login() as client:
                client.quit()
            return os.stat(index).st_mtime > os.stat(place).st_ctime + 2
        self.assertTrue(eventually(is_settled, 20, 0.2))

    def trace(self, storage, talk):
        bed = self.beds[storage]
        self.settle(bed, storage)
        tracer = Tracer(bed.workers("mail")[0])
        with tracer:
            if not tracer.attached:
                self.skipTest("strace cannot attach: " + tracer.said.strip())
            with bed.connect() as client:
                client.ok("USER " + bed.user)
                talk(client, bed.password)
            # The last lines are there when the worker has closed the connection.
            self.assertTrue(eventually(lambda: not bed.served(bed.workers("mail")[0])))
        return of_the_poll(tracer.lines)

    def at_once(self, client, password):
        client.send(b"PASS %s\r\nSTAT\r\nLIST\r\nUIDL\r\nQUIT\r\n" % password.encode())
        said = client.read_all()
        self.assertEqual(said.count(b"+OK"), 5, said)
        self.assertIn(b"+OK 1 ", said)

    def one_by_one(self, client, password):
        client.ok("PASS " + password)
        self.assertEqual(client.stat()[0], 1)
        client.multi("UIDL")
        client.quit()

    def test_all_commands_at_once(self):
        for storage in self.beds:
            with self.subTest(storage):
                calls = self.trace(storage, self.at_once)
                self.assertLessEqual(len(calls), MOST, calls)
                self.assertGreater(len(calls), 5, calls)

    def test_one_command_after_the_other(self):
        """Each exchange takes three more, and waiting for a socket some to begin with."""
        for storage in self.beds:
            with self.subTest(storage):
                calls = self.trace(storage, self.one_by_one)
                waits = [c for c in calls if c in WAITS]
                self.assertLessEqual(len(waits), 3 * 3 + 1, calls)
                self.assertLessEqual(len(calls) - len(waits), MOST + 6, calls)


if __name__ == "__main__":
    unittest.main()
