# SPDX-License-Identifier: MIT
"""mail.run_as = "user": each session in a process of the mail's own owner."""
import os
import signal
import unittest

from bed import Bed, IS_ROOT, code_of, eventually, lenient
from support import layout, processes
from zoo import stuffed, wire

FIRST = 61000
COUNT = 12


def mail(number):
    return b"Subject: mine %d\n\nbody %d\n" % (number, number)


@unittest.skipUnless(IS_ROOT, "needs root")
class RunAsUser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bed = Bed("--users", "1", "--set", "mail.run_as=user", "--set",
                      "mail.first_uid=%d" % FIRST, "--set", "mail.spare_processes=3")
        cls.addClassCleanup(cls.bed.stop)
        cls.bed.allow("worker.died", "handoff.refused")
        for number in range(COUNT):
            cls.add("owner%d@example.test" % number, FIRST + number)

    @classmethod
    def add(cls, name, uid):
        place = os.path.join(cls.bed.bed_dir, "mail", name, "Maildir")
        cls.bed.ctl("user", "add", "--password-stdin", "--uid", str(uid), "--gid", str(uid), name,
                    text="secret\n", check=True)
        layout.make_maildir(place, (uid, uid))
        os.chown(os.path.dirname(place), uid, uid)
        os.chmod(os.path.dirname(place), 0o700)
        cls.bed.maildrops[name] = place

    def deliver(self, number, octets):
        name = self.bed.deliver(octets, "owner%d@example.test" % number)
        path = os.path.join(self.bed.maildrop("owner%d@example.test" % number), "new", name)
        os.chown(path, FIRST + number, FIRST + number)
        os.chmod(path, 0o600)
        return name

    def uids(self):
        """Of every process of the server."""
        found = {}
        for pid in processes.children(self.bed.pid):
            try:
                with open("/proc/%d/status" % pid, encoding="ascii") as f:
                    line = next(x for x in f if x.startswith("Uid:"))
            except OSError:
                continue  # it has just ended
            found[pid] = {int(x) for x in line.split()[1:]}
        return found

    def test_mail_is_read_and_deleted_as_its_owner(self):
        for tls in (False, True):
            self.deliver(1, mail(1))
            with self.bed.login("owner1@example.test", "secret", tls=tls) as client:
                self.assertEqual(client.stat(), (1, len(wire(mail(1)))))
                self.assertEqual(client.multi("RETR 1"), stuffed(wire(mail(1))))
                self.assertIn({FIRST + 1}, self.uids().values())
                client.ok("DELE 1")
                self.assertTrue(client.quit().startswith(b"+OK"))
            self.assertEqual(self.bed.names("owner1@example.test"), [])
            self.assertTrue(eventually(lambda: {FIRST + 1} not in self.uids().values(), 5),
                            "the process stays after its session")

    def test_a_process_can_do_nothing_else(self):
        with self.bed.login("owner2@example.test", "secret") as client:
            client.stat()
            (pid,) = [p for p, ids in self.uids().items() if ids == {FIRST + 2}]
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], "2")
            self.assertEqual(int(status["CapEff"], 16), 0)
            self.assertLessEqual(set(status["Groups"].split()), {str(FIRST + 2)})
            client.quit()

    def test_more_sessions_than_spare_processes(self):
        clients = {}
        for number in range(COUNT):
            self.deliver(number, mail(number))
            clients[number] = self.bed.login("owner%d@example.test" % number, "secret",
                                             tls=number % 2 == 1, context=lenient())
        for number, client in clients.items():
            self.assertEqual(client.multi("RETR 1"), stuffed(wire(mail(number))))
        self.assertLessEqual({FIRST + n for n in range(COUNT)},
                             {x for ids in self.uids().values() for x in ids})
        for client in clients.values():
            client.ok("DELE 1")
            self.assertTrue(client.quit().startswith(b"+OK"))

    def test_a_second_session(self):
        with self.bed.login("owner3@example.test", "secret") as first, \
                self.bed.connect() as second:
            second.ok("USER owner3@example.test")
            second.err("PASS secret", "IN-USE")
            first.quit()

    def test_users_without_an_id_or_with_a_system_s_are_refused(self):
        self.add("low@example.test", 1000)  # below mail.first_uid
        for user in ("user1@example.test", "low@example.test"):
            with self.subTest(user), self.bed.connect() as client:
                client.ok("USER " + user)
                answer = client.cmd("PASS secret")
                self.assertEqual(code_of(answer), "SYS/PERM", answer)

    def test_one_killed_takes_only_its_session(self):
        with self.bed.login("owner4@example.test", "secret") as one, \
                self.bed.login("owner5@example.test", "secret", tls=True) as two:
            one.ok("STAT")
            (pid,) = [p for p, ids in self.uids().items() if ids == {FIRST + 4}]
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(one.read_all(), b"")
            two.ok("STAT")
            two.quit()
        self.assertTrue(eventually(self.serves, 5))

    def serves(self):
        try:
            with self.bed.login("owner4@example.test", "secret") as client:
                client.quit()
            return True
        except (AssertionError, OSError):
            return False

    def test_sessions_one_after_the_other(self):
        for _ in range(40):
            self.assertTrue(eventually(self.serves, 5))


if __name__ == "__main__":
    unittest.main()
