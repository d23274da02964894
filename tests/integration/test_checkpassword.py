# SPDX-License-Identifier: MIT
"""Programs that check passwords: in shell and in C, good ones and bad ones."""
import os
import shutil
import subprocess
import unittest

from bed import IS_ROOT, TESTS, WAIT, Bed, code_of, eventually, stopwatch
from support import processes

CC = shutil.which("cc") or shutil.which("gcc")

# Reads the three strings; dash has no NUL in its variables.
SCRIPT = """#!/bin/sh
{ tr '\\000' '\\n' <&3; } | {
  read -r user
  read -r password
  echo "noise on the standard output"
  case $user:$password in
  user1@example.test:secret) HOME=%(home)s USER=user2@example.test; export HOME USER; exec "$@" ;;
  user1@example.test:away) exit 111 ;;
  user1@example.test:misused) exit 2 ;;
  user1@example.test:odd) exit 77 ;;
  user1@example.test:killed) kill -9 $$ ; sleep 1000 ;;
  user1@example.test:zero) exit 0 ;;
  user1@example.test:slow) sleep 1000 & echo $! >%(state)s/slow; wait ;;
  user1@example.test:left) sleep 1000 & echo $! >%(state)s/left; HOME=/x exec "$@" ;;
  user1@example.test:bad_id) userdb_uid=root; export userdb_uid; exec "$@" ;;
  nobody@example.test:*) exit 3 ;;
  *) exit 1 ;;
  esac
}
"""


class Programs(unittest.TestCase):
    def setUp(self):
        self.options = ["--users", "3", "--set=auth.backends=checkpassword",
                        "--set=auth.checkpassword.timeout=2s"]

    def start(self, *options, build=None):
        """Bed and program are in each other's settings: the folder comes first."""
        bed = Bed(*self.options, "--set=auth.checkpassword.program=/bin/false", *options)
        self.addCleanup(bed.stop)
        self.tools = os.path.join(bed.home, "tools")
        self.state = os.path.join(bed.home, "state")
        for folder in (self.tools, self.state):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
        if IS_ROOT:
            shutil.chown(self.state, "postern-auth")
        self.program = os.path.join(self.tools, "check")
        (build or self.write_script)(bed)
        self.renew(bed)
        self.bed = bed
        return bed

    def renew(self, bed):
        bed.renew({"auth.checkpassword.program": self.program,
                   "auth.checkpassword.arguments": getattr(self, "arguments", ""),
                   "auth.checkpassword.state": self.state, **getattr(self, "more", {})})

    def write_script(self, bed):
        home = os.path.join(bed.bed_dir, "mail", "user3@example.test")
        with open(self.program, "w", encoding="ascii") as f:
            f.write(SCRIPT % {"home": home, "state": self.state})
        os.chmod(self.program, 0o755)

    def compile_c(self, _):
        subprocess.run([CC, "-D_GNU_SOURCE", "-o", self.program, os.path.join(TESTS, "support", "checkpw.c")],
                       check=True)

    def answer(self, user, password):
        with self.bed.connect(timeout=WAIT) as client:
            client.ok("USER " + user)
            reply = client.cmd("PASS " + password)
            if reply.startswith(b"+OK"):
                client.quit()
            return reply

    def read_state(self, name):
        path = os.path.join(self.state, name)
        with open(path, encoding="ascii") as f:
            return f.read()

    def test_a_shell_script(self):
        self.start()
        self.assertTrue(self.answer("user1@example.test", "secret").startswith(b"+OK"))
        self.assertEqual(code_of(self.answer("user1@example.test", "wrong")), "AUTH")
        self.assertEqual(self.answer("nobody@example.test", "secret"),
                         self.answer("user1@example.test", "wrong"))

    def test_its_statuses(self):
        bed = self.start()
        bed.allow("auth.")
        for password, says in (("away", "status 111"), ("misused", "misused"), ("odd", "status 77"),
                               ("zero", "no proof"), ("bad_id", "userdb_uid")):
            with self.subTest(password):
                at = len(bed.log_text())
                self.assertEqual(code_of(self.answer("user1@example.test", password)), "SYS/TEMP")
                self.assertIn(says, bed.log_text()[at:] or bed.log_text())
                self.assertTrue(self.answer("user1@example.test", "secret").startswith(b"+OK"))
            self.renew(bed)  # what went away and came back is told of once in a while only

    def gone(self, name):
        pid = int(self.read_state(name))
        return eventually(lambda: not os.path.exists("/proc/%d" % pid), 5)

    def test_one_that_hangs_is_killed_with_its_children(self):
        bed = self.start("--set=auth.hash_workers=1")
        bed.allow("auth.")
        watch = stopwatch()
        self.assertEqual(code_of(self.answer("user1@example.test", "slow")), "SYS/TEMP")
        self.assertLess(watch(), 8)
        self.assertTrue(self.gone("slow"))
        self.assertTrue(self.answer("user1@example.test", "secret").startswith(b"+OK"))
        self.assertEqual(sum(s["deaths"] for s in bed.slots()), 0)

    def test_what_it_leaves_behind_ends_with_it(self):
        bed = self.start("--set=auth.hash_workers=1")
        self.assertTrue(self.answer("user1@example.test", "left").startswith(b"+OK"))
        self.assertTrue(self.gone("left"))
        for pid in bed.workers("auth"):
            self.assertEqual(processes.children(pid), [])

    def test_home_and_name(self):
        self.more = {"mail.location": "maildir:%{home}/Maildir", "mail.roots": "/tmp"}
        bed = self.start()
        bed.deliver(b"Subject: three\r\n\r\nx\r\n", "user3@example.test")
        with bed.login("user1@example.test", "secret") as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()
        self.assertNotIn("user=user2@example.test", bed.log_text())
        bed.renew({"auth.checkpassword.program": self.program,
                   "auth.checkpassword.rename": "true"})
        bed.deliver(b"Subject: two\r\n\r\nx\r\n", "user2@example.test")
        with bed.login("user1@example.test", "secret") as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()
        self.assertIn("user=user2@example.test", bed.log_text())

    @unittest.skipUnless(CC, "needs a compiler")
    def test_a_program_in_c_and_what_it_is_given(self):
        self.options += ["--user", "al@example.test=x"]
        self.start_c()
        self.assertTrue(self.answer("al@example.test", "secret").startswith(b"+OK"))
        self.assertEqual(code_of(self.answer("al@example.test", "Secret")), "AUTH")
        seen = self.read_state("seen").splitlines()
        self.assertEqual([x for x in seen if x.startswith("fd")], ["fd 0", "fd 1", "fd 2", "fd 4"])
        self.assertEqual(sorted(x.split("=")[0] for x in seen if x.startswith("env")),
                         ["env PATH", "env PROTO", "env TCPLOCALIP", "env TCPREMOTEIP"])
        self.assertIn("env TCPREMOTEIP=127.0.0.1", seen)
        self.assertIn("setuid 0", seen)
        self.assertIn("unshare 0", seen)
        if all("landlock" in s["sandbox"] for s in self.bed.slots() if s["kind"] == "auth"):
            self.assertIn("outside 0", seen)
        self.assertIn("group 1", seen)
        self.assertEqual(code_of(self.answer("nobody@example.test", "secret")), "AUTH")
        # 512 octets with the three NULs and ten digits go through, one more does not.
        os.unlink(os.path.join(self.state, "seen"))
        room = 512 - 13 - len("al@example.test")
        self.assertEqual(code_of(self.answer("al@example.test", "x" * room)), "AUTH")
        self.assertTrue(os.path.exists(os.path.join(self.state, "seen")))
        os.unlink(os.path.join(self.state, "seen"))
        self.assertEqual(code_of(self.answer("al@example.test", "x" * (room + 1))), "AUTH")
        self.assertFalse(os.path.exists(os.path.join(self.state, "seen")))

    def start_c(self):
        def build(bed):
            self.compile_c(bed)
            self.arguments = self.state
        return self.start(build=build)

    def test_one_that_is_not_there(self):
        bed = self.start()
        bed.allow("auth.")
        os.unlink(self.program)
        self.assertEqual(code_of(self.answer("user1@example.test", "secret")), "SYS/TEMP")
        bad = bed.ctl("-s", "auth.checkpassword.program=" + self.program, "config", "check",
                      "--connect")
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("No such file", bad.stdout + bad.stderr)


if __name__ == "__main__":
    unittest.main()
