# SPDX-License-Identifier: MIT
"""posternctl history: what sessions did to a maildrop, and what is not written down."""
import os
import re
import unittest

from bed import BedCase, eventually

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


class History(BedCase):
    options = ("--users=3",)

    def history(self, user, *args):
        return self.bed.ctl("history", user, *args, check=True).stdout.splitlines()

    def file(self, user):
        return os.path.join(self.bed.maildrop(user), "postern.history")

    def test_sessions_that_read_or_remove_are_told(self):
        user = "user1@example.test"
        names = [self.bed.deliver(MESSAGE, user) for _ in range(3)]
        with self.bed.login(user) as c:
            c.multi("RETR 1")
            c.multi("TOP 2 0")
            c.ok("DELE 1")
            c.ok("DELE 3")
            c.quit()
        with self.bed.login(user, tls=True) as c:
            c.multi("RETR 1")
            c.ok("DELE 1")
            c.close()  # without QUIT
        self.bed.wait_event("session.end", lambda e: e["reason"] == "closed")
        lines = self.history(user)
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  127\.0\.0\.1  USER  "
                         r"retr=1 top=1 octets=\d+ took_ms=\d+ end=quit session=\w+$")
        self.assertEqual(lines[1:4], ["  removed 2 of 2:", "    " + names[0], "    " + names[2]])
        self.assertRegex(lines[4], r"  USER over TLS  retr=1 top=0 .* end=closed ")
        self.assertEqual(lines[5:], ["2 sessions"])
        self.assertEqual(self.history(user, "--until", "1 hour"), ["0 sessions"])
        self.assertEqual(self.history(user, "--since", "1 hour"), lines)

    def test_polls_leave_nothing(self):
        user = "user2@example.test"
        self.bed.deliver(MESSAGE, user)
        for _ in range(2):
            with self.bed.login(user) as c:
                c.lines("UIDL")
                c.quit()
        self.assertFalse(os.path.exists(self.file(user)))
        self.assertEqual(self.history(user), ["0 sessions"])

    def test_torn_and_forged_lines_are_passed_over(self):
        user = "user3@example.test"
        for _ in range(2):
            self.bed.deliver(MESSAGE, user)
        for tail in (b"v=1 at=5 retr=99", b""):  # a torn line, then the rest of the file
            with self.bed.login(user) as c:
                c.ok("DELE 1")
                c.quit()
            with open(self.file(user), "ab") as f:
                f.write(tail)
        with open(self.file(user), "rb") as f:
            self.assertEqual(f.read().count(b"\n"), 3)
        lines = self.history(user)
        self.assertEqual(lines[-1], "2 sessions")
        self.assertNotIn("retr=99", "".join(lines))


class Small(BedCase):
    options = ("--users=1", "--set=mail.history_size=16K", "--set=mail.history=all")

    def test_it_is_bounded_and_the_oldest_goes(self):
        folder = self.bed.maildrop()
        for _ in range(250):
            with self.bed.login() as c:
                c.quit()
        self.assertTrue(eventually(lambda: len(self.bed.events("session.end")) == 250))
        ids = [event["sid"] for event in self.bed.events("session.end")]
        sizes = [os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)
                 if n.startswith("postern.history")]
        self.assertEqual(len(sizes), 2)
        self.assertLessEqual(max(sizes), 8192)
        told = [re.search(r"session=(\w+)", line).group(1) for line in
                self.bed.ctl("history", self.bed.user, check=True).stdout.splitlines()[:-1]]
        self.assertTrue(50 < len(told) < 200, len(told))
        self.assertEqual(told, ids[-len(told):])


class Off(BedCase):
    options = ("--users=1", "--set=mail.history=off")

    def test_no_file_is_made(self):
        self.bed.deliver(MESSAGE)
        with self.bed.login() as c:
            c.multi("RETR 1")
            c.ok("DELE 1")
            c.quit()
        self.assertEqual([n for n in os.listdir(self.bed.maildrop()) if "history" in n], [])


if __name__ == "__main__":
    unittest.main()
