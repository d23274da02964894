# SPDX-License-Identifier: MIT
"""Everything as one plain user: no root, the same processes, what sandbox is left."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT, TESTS, Client, lenient

PLAIN = 65534  # nobody; nothing of the system belongs to it


@unittest.skipUnless(IS_ROOT, "needs root: for anybody else, every other test is this one")
class PlainUser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """A copy of the built server in a place that a plain user can reach."""
        cls.home = tempfile.mkdtemp(prefix="postern-plain-")
        cls.addClassCleanup(shutil.rmtree, cls.home, True)
        os.chmod(cls.home, 0o755)
        build = os.environ["POSTERN_BUILD"]
        os.makedirs(os.path.join(cls.home, "build", "plugins.d"))
        for name in ("postern", "posternctl"):
            shutil.copy(os.path.join(build, name), os.path.join(cls.home, "build", name))
        for name in os.listdir(os.path.join(build, "plugins.d")):
            if name.endswith(".so"):
                shutil.copy(os.path.join(build, "plugins.d", name),
                            os.path.join(cls.home, "build", "plugins.d", name))
        top = os.path.dirname(TESTS)
        for path in ("tests/testbed", "tests/support", "contrib/schema"):
            target = os.path.join(cls.home, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(os.path.join(top, path)):
                shutil.copytree(os.path.join(top, path), target,
                                ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(os.path.join(top, path), target)
        cls.work = os.path.join(cls.home, "work")
        os.mkdir(cls.work)
        os.chown(cls.work, PLAIN, PLAIN)
        cls.dir = os.path.join(cls.work, "bed")
        run = cls.run_testbed("start", "--dir", cls.dir, "--users", "3", "--scheme", "ARGON2ID")
        if run.returncode != 0:
            raise AssertionError(run.stderr)
        cls.facts = json.loads(run.stdout)
        cls.addClassCleanup(cls.run_testbed, "stop", "--dir", cls.dir)

    @classmethod
    def as_plain(cls, *command, **how):
        return subprocess.run(["setpriv", "--reuid=%d" % PLAIN, "--regid=%d" % PLAIN,
                               "--clear-groups", *command], capture_output=True, text=True,
                              timeout=60, check=False, cwd="/",
                              env=dict(os.environ, POSTERN_BUILD=os.path.join(cls.home, "build"),
                                       HOME=cls.work, PYTHONDONTWRITEBYTECODE="1"), **how)

    @classmethod
    def run_testbed(cls, *arguments):
        return cls.as_plain(os.path.join(cls.home, "tests", "testbed"), *arguments)

    def ctl(self, *arguments, **how):
        run = self.as_plain(os.path.join(self.home, "build", "posternctl"), "-c",
                            self.facts["config"], *arguments, **how)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout

    def test_mail_is_read_and_deleted(self):
        for number, tls in enumerate((False, True)):
            user = "user%d@example.test" % (number + 1)
            path = os.path.join(self.facts["maildrops"][user], "new", "1.plain.test")
            with open(path, "wb") as f:
                f.write(b"Subject: plain\n\nmail\n")
            os.chown(path, PLAIN, PLAIN)
            with Client("127.0.0.1", self.facts["tls_port" if tls else "port"], tls=tls,
                        context=lenient()) as client:
                client.login(user, "secret")
                self.assertEqual(client.stat(), (1, 24))
                client.multi("RETR 1")
                client.ok("DELE 1")
                client.quit()
            self.assertFalse(os.path.exists(path))

    def test_every_process_is_that_user_s(self):
        status = json.loads(self.ctl("status", "--json"))
        self.assertFalse(status["root"])
        for slot in status["slots"]:
            self.assertEqual(os.stat("/proc/%d" % slot["pid"]).st_uid in (PLAIN, 0), True)
            with open("/proc/%d/status" % slot["pid"], encoding="ascii") as f:
                text = f.read()
            self.assertIn("Uid:\t%d\t%d\t%d\t%d\n" % ((PLAIN,) * 4), text)
            self.assertIn("NoNewPrivs:\t1\n", text)
            self.assertIn("Seccomp:\t2\n", text)
            self.assertIn("landlock", slot["sandbox"])

    def test_the_log_says_what_is_less(self):
        with open(self.facts["log"], encoding="utf-8") as f:
            self.assertRegex(f.read(), r"warn \S+ .*root")

    def test_users_are_added(self):
        self.ctl("user", "add", "--password-stdin", "late@example.test", input="late\n")
        with Client("127.0.0.1", self.facts["port"]) as client:
            client.login("late@example.test", "late")
            self.assertEqual(client.stat(), (0, 0))
            client.quit()

    def test_reload(self):
        self.ctl("reload")
        with Client("127.0.0.1", self.facts["tls_port"], tls=True) as client:
            client.login("user3@example.test", "secret")
            client.quit()


if __name__ == "__main__":
    unittest.main()
