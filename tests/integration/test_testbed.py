# SPDX-License-Identifier: MIT
"""tests/testbed does what its manual says: other tests and measurements stand on it."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT, SANITIZED, TESTBED, Client, lenient, stopwatch
from support import processes

KEYS = {"host", "port", "tls_port", "strict_port", "ca", "pid", "dir", "config", "log", "owner",
        "maildrops", "user", "password"}


class Testbed(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="postern-testbed-")
        self.addCleanup(home.cleanup)
        self.home = home.name
        os.chmod(self.home, 0o755)
        self.dir = os.path.join(self.home, "bed")

    def run_testbed(self, *arguments, status=0):
        run = subprocess.run([TESTBED, *arguments], capture_output=True, text=True, timeout=120,
                             check=False)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def start(self, *options):
        run = self.run_testbed("start", "--dir", self.dir, "--scheme", "PLAIN", *options)
        self.addCleanup(lambda: os.path.exists(os.path.join(self.dir, "testbed.json")) and
                        self.stop())
        self.assertEqual(run.stdout.count("\n"), 1)
        facts = json.loads(run.stdout)
        self.assertEqual(set(facts), KEYS)
        return facts

    def stop(self):
        self.run_testbed("stop", "--dir", self.dir)

    def mail(self):
        """A folder for --mail."""
        path = os.path.join(self.home, "mail")
        for number, box in enumerate(("cur", "new", "new")):
            os.makedirs(os.path.join(path, box), exist_ok=True)
            name = "%d.given.test%s" % (number, ":2,S" if box == "cur" else "")
            with open(os.path.join(path, box, name), "wb") as f:
                f.write(b"Subject: given %d\n\nbody\n" % number)
        return path

    def session(self, facts, user=None, password="secret", tls=False):
        client = Client(facts["host"], facts["tls_port" if tls else "port"], tls=tls,
                        context=lenient(ca=facts["ca"]) if tls else None)
        client.login(user or facts["user"], password)
        return client

    def test_defaults(self):
        facts = self.start()
        self.assertEqual(len(facts["maildrops"]), 10)
        self.assertEqual((facts["user"], facts["password"]), ("user1@example.test", "secret"))
        self.assertIsNone(facts["strict_port"])
        self.assertTrue(facts["dir"].startswith(self.home))
        for tls in (False, True):
            with self.session(facts, tls=tls) as client:
                self.assertEqual(client.stat(), (0, 0))
                client.quit()
        with open("/proc/%d/cmdline" % facts["pid"], "rb") as f:
            self.assertIn(b"postern", f.read())
        self.stop()
        self.assertEqual(processes.in_session(facts["pid"]), [])

    def test_what_this_tree_has_not_is_status_2(self):
        for options in (("--storage", "mbox", "--mail", "/nonexistent"), ("--policy", "nosuch"),
                        ("--tls", "none", "--strict-port")):
            run = self.run_testbed("start", "--dir", self.dir, *options, status=2)
            self.assertTrue(any(word in run.stderr for word in options if word != "none"),
                            run.stderr)
            self.assertFalse(os.path.exists(self.dir), "something was made")

    def test_a_folder_that_is_not_empty(self):
        os.makedirs(os.path.join(self.dir, "x"))
        self.run_testbed("start", "--dir", self.dir, status=2)

    def test_a_server_that_does_not_start_says_why(self):
        run = self.run_testbed("start", "--dir", self.dir, "--set", "login.workerz=1", status=1)
        self.assertIn("login.workerz", run.stderr)
        self.assertFalse(os.path.exists(self.dir))

    def test_users_of_any_name_and_password(self):
        odd = {"with space@example.test": " a  b ", "jörg@example.test": "ü☃=x",
               "nodomain": "plain=ish", "o'hara@example.test": "'"}
        facts = self.start("--users", "1", *("--user=%s=%s" % pair for pair in odd.items()))
        from bed import b64
        for user, password in odd.items():
            with self.subTest(user), Client(facts["host"], facts["port"]) as client:
                client.ok(b"AUTH PLAIN " + b64(b"\0%s\0%s" % (user.encode(), password.encode())))
                client.quit()
            self.assertTrue(os.path.isdir(facts["maildrops"][user]))

    def test_users_from_a_file(self):
        path = os.path.join(self.home, "users.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("anna@one.test\nberta@two.test\n\n")
        facts = self.start("--users", path, "--password", "other words")
        self.assertEqual(list(facts["maildrops"]), ["anna@one.test", "berta@two.test"])
        with self.session(facts, "berta@two.test", "other words") as client:
            client.quit()

    def test_eleven_hundred_users_at_once(self):
        watch = stopwatch()
        facts = self.start("--users", "1100")
        self.assertLess(watch(), 30 if SANITIZED else 8)
        with self.session(facts, "user1100@example.test") as client:
            client.quit()

    def test_mail_and_reset(self):
        facts = self.start("--users", "2", "--mail", self.mail())
        uid, gid = (int(x) for x in facts["owner"].split(":"))
        for path in facts["maildrops"].values():
            for at, _, files in os.walk(path):
                for name in files:
                    st = os.stat(os.path.join(at, name))
                    self.assertEqual((st.st_uid, st.st_gid), (uid, gid))
        with self.session(facts) as client:
            before = client.lines("UIDL"), client.lines("LIST")
            client.ok("DELE 1")
            client.ok("DELE 2")
            client.quit()
        with self.session(facts) as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()
        self.run_testbed("reset", "--dir", self.dir)
        with self.session(facts) as client:  # the same server, the same mail as at start
            self.assertEqual((client.lines("UIDL"), client.lines("LIST")), before)
            client.quit()

    def test_location_in_place_and_reset(self):
        tree = os.path.join(self.home, "tree")
        shutil.copytree(self.mail(), os.path.join(tree, "user1", "Maildir"))
        os.makedirs(os.path.join(tree, "user1", "Maildir", "tmp"))
        facts = self.start("--users", "1", "--location", "maildir:%s/%%{local}/Maildir" % tree)
        self.assertEqual(facts["maildrops"],
                         {"user1@example.test": os.path.join(tree, "user1", "Maildir")})
        with self.session(facts) as client:
            self.assertEqual(client.stat()[0], 3)
            for number in (1, 2, 3):
                client.ok("DELE %d" % number)
            client.quit()
        self.run_testbed("reset", "--dir", self.dir)
        with self.session(facts) as client:
            self.assertEqual(client.stat()[0], 3)
            client.quit()
        self.stop()
        self.assertTrue(os.path.isdir(tree))

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_location_of_an_owner_without_a_name(self):
        tree = os.path.join(self.home, "tree")
        home = os.path.join(tree, "user1", "Maildir")
        shutil.copytree(self.mail(), home)
        for at, folders, files in os.walk(tree):
            for name in folders + files:
                os.chown(os.path.join(at, name), 61234, 61235)
        facts = self.start("--users", "1", "--location", "maildir:%s/%%{local}/Maildir" % tree)
        self.assertEqual(facts["owner"], "61234:61235")
        with self.session(facts) as client:
            client.ok("DELE 1")
            client.quit()
        self.assertEqual(os.stat(home).st_uid, 61234)

    def test_ports_names_and_settings(self):
        facts = self.start("--users", "1", "--sni", "extra.example.test", "--strict-port",
                           "--plaintext-login", "no", "--set", "login.greeting=set by hand")
        for name in ("localhost", "mail.example.test", "extra.example.test"):
            with Client(facts["host"], facts["tls_port"], tls=True, name=name,
                        context=lenient(ca=facts["ca"])) as client:
                self.assertIn(b"set by hand", client.greeting)
        for port in (facts["port"], facts["strict_port"]):
            with Client(facts["host"], port) as client:
                client.err("USER user1@example.test")


if __name__ == "__main__":
    unittest.main()
