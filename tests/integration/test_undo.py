# SPDX-License-Identifier: MIT
"""What POP3 removes can be brought back: mail.hold_days, posternctl undelete; and mail.mark_seen."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import bed
from bed import BedCase

HOLD = os.path.join("cur", "..postern.hold")


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n.\r\n" % (number, number)


class Undo(BedCase):
    options = ("--set=mail.hold_days=7", "--users=1")

    def setUp(self):
        self.bed.clear()
        self.names = [self.bed.deliver(message(i)) for i in range(5)]

    def uidls(self):
        with self.bed.login() as c:
            return [line.split()[1] for line in c.lines("UIDL")]

    def remove(self, *numbers):
        """Gives the session's id."""
        seen = len(self.bed.events("maildrop.update"))
        c = self.bed.login()
        for number in numbers:
            c.ok("DELE %d" % number)
        self.assertTrue(c.quit().startswith(b"+OK %d " % len(numbers)))
        return self.bed.wait_event("maildrop.update", lambda e: len(
            self.bed.events("maildrop.update")) > seen)["sid"]

    def undelete(self, *args):
        return self.bed.ctl("undelete", self.bed.user, *args, check=True).stdout.splitlines()

    def test_what_was_removed_comes_back_as_it_was(self):
        with self.bed.login() as c:
            before = [c.lines("UIDL"), c.lines("LIST"), [c.multi("RETR %d" % i) for i in range(1, 6)]]
        self.remove(1, 3, 4)
        self.assertEqual(len(self.uidls()), 2)
        self.assertEqual(len(self.bed.names()), 3)  # two messages, and the area's folder
        self.assertEqual(self.undelete(), ["3 messages came back"])
        with self.bed.login() as c:
            self.assertEqual([c.lines("UIDL"), c.lines("LIST"),
                              [c.multi("RETR %d" % i) for i in range(1, 6)]], before)
        self.assertEqual(self.undelete(), ["0 messages came back"])

    def test_one_session_is_undone_after_the_other(self):
        before = self.uidls()
        first = self.remove(1, 2)
        second = self.remove(1)
        self.assertNotEqual(first, second)
        self.assertEqual(self.undelete("--session", second), ["1 messages came back"])
        self.assertEqual(self.uidls(), before[2:])
        self.assertEqual(self.undelete("--session", first), ["2 messages came back"])
        self.assertEqual(self.uidls(), before)

    def test_list_and_dry_run_change_nothing(self):
        before = self.uidls()
        session = self.remove(2)
        for option, last in (("--list", "1 messages are kept"),
                             ("--dry-run", "1 messages would come back, 0 are there already")):
            lines = self.undelete(option)
            self.assertEqual(lines[-1], last)
            self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  %s +\d+  %s$"
                             % (session, re.escape(before[1])))
            self.assertEqual(len(lines), 2)
        self.assertEqual(self.uidls(), before[:1] + before[2:])

    def test_times(self):
        self.remove(1)
        for args, count in ((("--since", "1 hour"), 1), (("--until", "1 hour ago"), 0),
                            (("--since", "2099-01-01T00:00:00Z"), 0), (("--since", "today"), 1),
                            (("--since", "2020-02-29", "--until", "now"), None),
                            (("--until", "2099-01-01"), 1)):
            with self.subTest(args=args):
                last = self.undelete("--list", *args)[-1]
                if count is not None:
                    self.assertEqual(last, "%d messages are kept" % count)
        for wrong in ("2021-02-29", "soon", "3", "-1 day", "2020-01-01T25:00:00Z", ""):
            with self.subTest(wrong=wrong):
                run = self.bed.ctl("undelete", self.bed.user, "--since", wrong)
                self.assertEqual(run.returncode, 2)

    def test_session_without_quit_removes_and_holds_nothing(self):
        before = self.uidls()
        c = self.bed.login()
        c.ok("DELE 1")
        c.close()
        self.assertEqual(self.uidls(), before)
        self.assertEqual(self.undelete("--list"), ["0 messages are kept"])

    def test_what_cannot_be_held_is_not_removed(self):
        before = self.uidls()
        with open(os.path.join(self.bed.maildrop(), HOLD), "w", encoding="ascii"):
            pass  # a file in the area's place
        self.bed.allow("maildrop.update.failed")
        c = self.bed.login()
        c.ok("DELE 1")
        c.err("QUIT", "SYS/PERM")
        c.close()
        os.unlink(os.path.join(self.bed.maildrop(), HOLD))
        self.assertEqual(self.uidls(), before)

    def test_old_ones_go_at_the_end_of_a_session(self):
        self.remove(1)
        area = os.path.join(self.bed.maildrop(), HOLD)
        old, = [n for n in os.listdir(area) if n != "expired"]
        older = "%014d.%s" % (int(old.split(".")[0]) - 8 * 86400, old.split(".", 1)[1])
        os.rename(os.path.join(area, old), os.path.join(area, older))
        os.unlink(os.path.join(area, "expired"))
        self.remove(1)
        self.assertFalse(os.path.exists(os.path.join(area, older)))
        self.assertEqual(self.undelete(), ["1 messages came back"])

    @unittest.skipUnless(shutil.which("doveadm"), "doveadm (dovecot-core) is not installed")
    def test_dovecot_shows_and_counts_nothing_of_it(self):
        self.remove(1, 2)
        home = self.bed.maildrop()
        with open(os.path.join(home, "maildirsize"), "w", encoding="ascii") as f:
            f.write("10000000S\n1 1\n")
        if bed.IS_ROOT:
            os.chown(os.path.join(home, "maildirsize"), self.bed.uid, self.bed.gid)
        for layout in ("", ":LAYOUT=fs"):
            with self.subTest(layout=layout):
                boxes = self.doveadm(home, layout, "mailbox", "list").split("\n")
                self.assertEqual([b for b in boxes if b], ["INBOX"])
                status = self.doveadm(home, layout, "mailbox", "status", "messages", "INBOX")
                self.assertEqual(status.strip(), "INBOX messages=3")
                self.doveadm(home, layout, "quota", "recalc")
                with open(os.path.join(home, "maildirsize"), encoding="ascii") as f:
                    octets = sum(len(message(i)) for i in (2, 3, 4))
                    self.assertEqual(f.read().splitlines()[1], "%d 3" % octets)
        for name in os.listdir(home):
            if name.startswith("dovecot"):
                os.unlink(os.path.join(home, name))
        os.unlink(os.path.join(home, "maildirsize"))

    def doveadm(self, home, layout, *args):
        with tempfile.TemporaryDirectory(dir=self.bed.home) as run:
            config = os.path.join(run, "dovecot.conf")
            with open(config, "w", encoding="ascii") as f:
                f.write("base_dir = %s\nmail_location = maildir:%s%s\nlog_path = /dev/stderr\n"
                        "first_valid_uid = 1\nssl = no\nmail_plugins = quota\n"
                        "plugin {\n  quota = maildir:User quota\n"
                        "  quota_rule = *:storage=1G\n}\n" % (run, home, layout))
            if bed.IS_ROOT:
                for path in (run, config):
                    os.chown(path, self.bed.uid, self.bed.gid)

            def become():
                os.setgroups([])
                os.setgid(self.bed.gid)
                os.setuid(self.bed.uid)

            done = subprocess.run(["doveadm", "-c", config, *args], capture_output=True, text=True,
                                  timeout=60, check=False, env={"HOME": run, "USER": "x",
                                                                "PATH": os.environ["PATH"]},
                                  preexec_fn=become if bed.IS_ROOT else None)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Seen(BedCase):
    options = ("--set=mail.mark_seen=true", "--users=1")

    def test_what_was_retrieved_whole_is_marked(self):
        names = [self.bed.deliver(message(i)) for i in range(4)]
        os.rename(os.path.join(self.bed.maildrop(), "new", names[3]),
                  os.path.join(self.bed.maildrop(), "cur", names[3] + ":2,RT"))
        with self.bed.login() as c:
            before = c.lines("UIDL")
            c.multi("RETR 1")
            c.multi("TOP 2 0")
            c.multi("RETR 4")
            c.quit()
        self.assertEqual(sorted(os.listdir(os.path.join(self.bed.maildrop(), "cur"))),
                         sorted([names[0] + ":2,S", names[3] + ":2,RST"]))
        with self.bed.login() as c:  # and without QUIT
            self.assertEqual(c.lines("UIDL"), before)
            c.multi("RETR 2")
        self.bed.wait_event("session.end", lambda e: e["reason"] == "closed")
        self.assertTrue(bed.eventually(lambda: os.path.exists(
            os.path.join(self.bed.maildrop(), "cur", names[1] + ":2,S"))))
        with self.bed.login() as c:
            self.assertEqual(c.lines("UIDL"), before)


class NotSeen(BedCase):
    options = ("--users=1",)

    def test_nothing_is_renamed_or_held_by_default(self):
        names = [self.bed.deliver(message(i)) for i in range(2)]
        with self.bed.login() as c:
            c.multi("RETR 1")
            c.multi("RETR 2")
            c.ok("DELE 2")
            c.quit()
        self.assertEqual(os.listdir(os.path.join(self.bed.maildrop(), "new")), names[:1])
        self.assertEqual(os.listdir(os.path.join(self.bed.maildrop(), "cur")), [])


if __name__ == "__main__":
    unittest.main()
