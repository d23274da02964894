# SPDX-License-Identifier: MIT
"""UIDLs that never change, and the index of sizes: lost, broken, foreign, or without room."""
import contextlib
import os
import pwd
import subprocess
import tempfile
import time
import unittest

from bed import IS_ROOT, Bed, BedCase, needs_root
from support import layout


def mail(number, extra=b""):
    return b"Subject: message %d\n\nbody %d\n" % (number, number) + extra


class Index(BedCase):
    options = ("--users", "80")
    allowed = ("maildrop.update.failed", "maildrop.refused")
    next_user = 0

    def setUp(self):
        """A maildrop of its own for each test."""
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user

    def fill(self, count):
        return [self.bed.deliver(mail(n), self.user) for n in range(1, count + 1)]

    def numbers(self, client):
        """Name to message number."""
        return {uidl: int(n) for n, uidl in (x.split(" ") for x in client.lines("UIDL"))}

    def login(self, **how):
        return self.bed.login(self.user, **how)

    # -- UIDL ------------------------------------------------------------------------------------

    def uidls(self):
        with self.login() as client:
            found = client.lines("UIDL")
            client.quit()
        return found

    def test_uidl_is_the_base_name(self):
        names = self.fill(3)
        self.assertEqual(sorted(x.split(" ")[1] for x in self.uidls()), sorted(names))

    def test_uidl_is_stable(self):
        """Over new/ to cur/, flags, the loss of the index, a reload and a restart."""
        names = self.fill(5)
        home = self.bed.maildrop(self.user)
        first = self.uidls()
        for number, name in enumerate(names[:3]):
            os.rename(os.path.join(home, "new", name),
                      os.path.join(home, "cur", name + (":2,S", ":2,", ":2,FRS")[number]))
        self.assertEqual(self.uidls(), first, "new/ to cur/")
        os.rename(os.path.join(home, "cur", names[0] + ":2,S"),
                  os.path.join(home, "cur", names[0] + ":2,RST,a=b"))
        self.assertEqual(self.uidls(), first, "flags")
        for path in self.index_files():
            os.unlink(path)
        self.assertEqual(self.uidls(), first, "without the index")
        self.bed.ctl("reload", check=True)
        self.assertEqual(self.uidls(), first, "after a reload")

    def index_files(self, user=None):
        """What the server itself keeps beside the messages, the lock left out."""
        home = self.bed.maildrop(user or self.user)
        found = []
        for at, folders, files in os.walk(home):
            if at == home:
                folders[:] = [f for f in folders if f not in ("cur", "new", "tmp")]
            found += [os.path.join(at, f) for f in files if "lock" not in f]
        return found

    def test_a_name_of_any_octets_gets_a_valid_uidl(self):
        names = ["with space.1.test", "16.tab\there", "umlaut-ä.test", "16.\udcff\udcfe.bytes",
                 "x" * 200, "16.new\nline", "16.\x7f", "%", "16.:colon", "16.test:1,old", "=?",
                 "~", "16.S=5", "16,,", "16.x,S=abc,W=", "." * 5 + "hidden"]
        kept = [n for n in names if not n.startswith(".")]
        for number, name in enumerate(names):
            self.bed.deliver(mail(number), self.user, name=name)
        first = self.uidls()
        self.assertEqual(len(first), len(kept), "a name that begins with a dot is no message")
        values = [x.split(" ", 1)[1] for x in first]
        self.assertEqual(len(set(values)), len(values), "unique")
        for value in values:
            self.assertRegex(value, r"^[!-~]{1,70}$")
        self.assertIn("~", values)
        self.assertEqual(self.uidls(), first)
        with self.login() as client:
            bodies = set()
            for number in range(1, len(values) + 1):
                bodies.add(client.multi("RETR %d" % number))
                client.ok("DELE %d" % number)
            self.assertEqual(len(bodies), len(values))
            self.assertTrue(client.quit().startswith(b"+OK"))
        self.assertEqual(self.uidls(), [])

    def test_06_20_21_a_uidl_never_comes_back_for_other_mail(self):
        self.fill(5)
        before = {x.split(" ")[1] for x in self.uidls()}
        subprocess.run(["rm", "-rf", self.bed.maildrop(self.user)], check=True)
        self.assertEqual(self.uidls(), [], "a maildrop that is not there is an empty one")
        layout.make_maildir(self.bed.maildrop(self.user), (self.bed.uid, self.bed.gid))
        self.fill(5)
        self.assertFalse(before & {x.split(" ")[1] for x in self.uidls()})

    def test_the_order_is_that_of_arrival_and_stays(self):
        for number in (3, 1, 2, 12, 10):
            name = "%d.M1P1.test" % (1700000000 + number)
            self.bed.deliver(mail(number), self.user, name=name)
        first = self.uidls()
        self.assertEqual([int(x.split(" ")[1][8:10]) for x in first], [1, 2, 3, 10, 12])
        self.bed.deliver(mail(13), self.user, name="1700000013.M1P1.test")
        self.assertEqual(self.uidls()[:5], first)

    # -- the index -------------------------------------------------------------------------------

    def test_sizes_are_read_once(self):
        """The second session does not read the messages again."""
        for number in range(50):
            self.bed.deliver(mail(number, b"x" * 1000 + b"\n"), self.user)
        self.uidls()
        self.assertTrue(self.index_files(), "there is no index")
        home = os.path.join(self.bed.maildrop(self.user), "new")
        past = time.time() - 5000
        for name in os.listdir(home):
            os.utime(os.path.join(home, name), (past, os.stat(os.path.join(home, name)).st_mtime))
        with self.login() as client:
            client.lines("LIST")
            client.quit()
        for name in os.listdir(home):
            # relatime would bring the time of access up to date if anybody read the file
            self.assertLess(os.stat(os.path.join(home, name)).st_atime, past + 1000)

    def test_an_index_that_is_broken_in_any_way(self):
        names = self.fill(20)
        want = self.uidls()
        with self.login() as client:
            sizes = client.lines("LIST")
            client.quit()
        for path in self.index_files():
            good = open(path, "rb").read()
            self.assertTrue(good)
            middle = len(good) // 2
            broken = (b"", b"\0" * len(good), good[:-1], good[:middle], good + b"more", b"junk" * 50,
                      good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1:],
                      bytes([good[0] ^ 1]) + good[1:], good[:8] + b"\xff" * 16 + good[24:],
                      os.urandom(len(good)))
            for octets in broken:
                with self.subTest(os.path.basename(path), octets=octets[:20]):
                    with open(path, "wb") as f:
                        f.write(octets)
                    with self.login() as client:
                        self.assertEqual(client.lines("UIDL"), want)
                        self.assertEqual(client.lines("LIST"), sizes)
                        client.quit()
        self.assertEqual(self.bed.names(self.user), sorted(names))

    def test_an_index_of_another_maildrop(self):
        """Copied with a whole Maildir, it must not lend its sizes to other messages."""
        names = self.fill(3)
        self.uidls()
        other = "user79@example.test"
        for number, name in enumerate(names):
            self.bed.deliver(mail(number + 50, b"longer\n" * 9), other, name=name)
        for path in self.index_files():
            target = path.replace(self.bed.maildrop(self.user), self.bed.maildrop(other))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(path, "rb") as f, open(target, "wb") as g:
                g.write(f.read())
            if IS_ROOT:
                os.chown(target, self.bed.uid, self.bed.gid)
        refused = 0
        for _ in range(3):
            with self.bed.login(other) as client:
                for line in client.lines("LIST"):
                    number, size = line.split(" ")
                    answer = client.cmd("RETR " + number)
                    if answer.startswith(b"-ERR"):
                        refused += 1  # noticed: the next session measures it anew
                        continue
                    self.assertEqual(len(client.rest()) - 3, int(size))
                client.quit()
        self.assertLessEqual(refused, len(names))

    def test_an_index_that_cannot_be_written(self):
        """A maildrop where nothing can be made: listing, reading and deleting go on."""
        self.fill(3)
        home = self.bed.maildrop(self.user)
        os.chmod(home, 0o555)
        if IS_ROOT:
            os.chown(home, 0, 0)
        try:
            for _ in range(2):
                with self.login() as client:
                    self.assertGreater(client.stat()[0], 0)
                    client.multi("RETR 1")
                    client.ok("DELE 1")
                    self.assertTrue(client.quit().startswith(b"+OK"))
            self.assertEqual(len(self.bed.names(self.user)), 1)
        finally:
            os.chmod(home, 0o755)
            if IS_ROOT:
                os.chown(home, self.bed.uid, self.bed.gid)


@needs_root
class FullDisk(unittest.TestCase):
    """06_28: no room for an index. A small file system of its own, so root only."""

    def test_06_28_read_and_delete_on_a_full_disk(self):
        with tempfile.TemporaryDirectory(prefix="postern-full-") as home:
            os.chmod(home, 0o755)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k,mode=755", "tmpfs", home],
                           check=True)
            try:
                self.on_a_full_disk(home)
            finally:
                subprocess.run(["umount", "-l", home], check=True)

    def on_a_full_disk(self, home):
        layout.make_system_users()
        owner = pwd.getpwnam("vmail")
        ids = (owner.pw_uid, owner.pw_gid)
        os.chown(home, *ids)
        drop = os.path.join(home, "user1", "Maildir")
        layout.make_maildir(drop, ids)
        os.chown(os.path.dirname(drop), *ids)
        for number in range(5):
            path = os.path.join(drop, "new", "17%d.full.test" % number)
            with open(path, "wb") as f:
                f.write(mail(number))
            os.chown(path, *ids)
        with open(os.path.join(home, "filler"), "wb", 0) as f, \
                contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 4096)
        bed = Bed("--users", "1", "--location", "maildir:%s/%%{local}/Maildir" % home)
        bed.allow("maildir.index", "storage.maildir")
        try:
            for left in (5, 3):
                with bed.login() as client:
                    self.assertEqual(client.stat()[0], left)
                    for number in range(1, left + 1):
                        client.multi("RETR %d" % number)
                    client.ok("DELE 1")
                    client.ok("DELE 2")
                    self.assertTrue(client.quit().startswith(b"+OK"))
        finally:
            bed.stop()


class Restart(unittest.TestCase):
    """The same mail served by a second server: UIDLs and sizes are those of the first."""

    def test_uidl_and_sizes_over_a_restart(self):
        with tempfile.TemporaryDirectory(prefix="postern-restart-") as home:
            os.chmod(home, 0o755)
            drop = os.path.join(home, "user1", "Maildir")
            for box in ("new", "cur", "tmp"):
                os.makedirs(os.path.join(drop, box))
            for number in range(20):
                with open(os.path.join(drop, "new", "17%d x.test" % number), "wb") as f:
                    f.write(mail(number, b"x\n" * number))
            seen = []
            for _ in range(2):
                bed = Bed("--users", "1", "--location", "maildir:%s/%%{local}/Maildir" % home)
                try:
                    with bed.login() as client:
                        seen.append((client.lines("UIDL"), client.lines("LIST")))
                        client.quit()
                finally:
                    bed.stop()
            self.assertEqual(seen[0], seen[1])
            self.assertEqual(len(seen[0][0]), 20)

if __name__ == "__main__":
    unittest.main()
