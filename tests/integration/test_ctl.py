# SPDX-License-Identifier: MIT
"""posternctl: users, the configuration, and a running server, as an admin uses it."""
import json
import os
import re
import subprocess
import unittest

from bed import BedCase, IS_ROOT, code_of, eventually
from support import conf


class Users(BedCase):
    options = ("--users", "2", "--scheme", "ARGON2ID")

    def logs_in(self, user, password):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + password)
            if answer.startswith(b"+OK"):
                client.quit()
                return "OK"
            return code_of(answer)

    def ctl(self, *args, text=None, status=0):
        run = self.bed.ctl(*args, text=text)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def test_the_life_of_a_user(self):
        """Each step counts at once, with no word to the server."""
        name = "new@new.example.test"
        self.assertEqual(self.logs_in(name, "first"), "AUTH")
        self.ctl("user", "add", "--password-stdin", name, text="first\n")
        self.assertEqual(self.logs_in(name, "first"), "OK")
        self.assertIn(name, self.ctl("user", "list"))
        self.ctl("user", "add", "--password-stdin", name, text="other\n", status=1)
        self.assertEqual(self.logs_in(name, "first"), "OK")
        self.ctl("user", "passwd", "--password-stdin", name, text="second word\n")
        self.assertEqual(self.logs_in(name, "first"), "AUTH")
        self.assertEqual(self.logs_in(name, "second word"), "OK")
        self.ctl("user", "disable", name)
        self.assertEqual(self.logs_in(name, "second word"), "SYS/PERM")
        self.assertRegex(self.ctl("user", "list"), re.escape(name) + r".*disabled")
        self.ctl("user", "enable", name)
        self.assertEqual(self.logs_in(name, "second word"), "OK")
        self.ctl("user", "delete", name)
        self.assertEqual(self.logs_in(name, "second word"), "AUTH")
        self.assertNotIn(name, self.ctl("user", "list"))

    def test_a_user_that_is_not_there(self):
        for words in (("passwd", "--password-stdin"), ("disable",), ("enable",), ("delete",)):
            said = self.ctl("user", *words, "nobody@example.test", text="x\n", status=1)
            self.assertIn("nobody@example.test", said)

    def test_names_that_are_none(self):
        for name in ("", "@", "a@", "../x@example.test", "a/b@example.test", ".@example.test",
                     "x" * 300 + "@example.test", "a\nb@example.test", "..@.."):
            with self.subTest(name):
                self.ctl("user", "add", "--password-stdin", name, text="secret\n", status=1)

    def test_argon2id_is_what_is_stored(self):
        import sqlite3
        self.ctl("user", "add", "--password-stdin", "hash@example.test", text="secret\n")
        with sqlite3.connect(os.path.join(self.bed.bed_dir, "auth", "users.db")) as db:
            (stored,) = db.execute("SELECT password FROM users WHERE local_part = 'hash'").fetchone()
        db.close()
        self.assertRegex(stored, r"^\{ARGON2ID\}\$argon2id\$v=19\$m=19456,t=2,p=1\$")
        self.assertNotIn("secret", self.ctl("user", "list"))
        self.ctl("user", "delete", "hash@example.test")

    def test_schemes(self):
        for scheme in ("PLAIN", "ARGON2ID", "SHA512-CRYPT", "BLF-CRYPT", "SSHA256"):
            with self.subTest(scheme):
                name = scheme.lower() + "@example.test"
                self.ctl("user", "add", "--password-stdin", "--scheme", scheme, name,
                         text="pass word\n")
                self.assertEqual(self.logs_in(name, "pass word"), "OK")
                self.assertEqual(self.logs_in(name, "pass"), "AUTH")
        self.ctl("user", "add", "--password-stdin", "--scheme", "ROT13", "x@example.test",
                 text="x\n", status=1)

    def test_a_maildrop_of_its_own(self):
        place = os.path.join(self.bed.bed_dir, "mail", "elsewhere", "Maildir")
        name = "own@example.test"
        self.ctl("user", "add", "--password-stdin", "--maildrop", "maildir:" + place, name,
                 text="secret\n")
        from support import layout
        layout.make_maildir(place, (self.bed.uid, self.bed.gid))
        self.bed.maildrops[name] = place
        self.bed.deliver(b"Subject: own\n\nmail\n", name)
        with self.bed.login(name) as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()

    def test_auth_test(self):
        good = self.bed.ctl("auth", "test", "--password-stdin", "user1@example.test",
                            text="secret\n")
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        self.assertIn(self.bed.maildrop("user1@example.test"), good.stdout)
        bad = self.bed.ctl("auth", "test", "--password-stdin", "user1@example.test", text="no\n")
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("[AUTH]", bad.stdout + bad.stderr)
        unknown = self.bed.ctl("auth", "test", "nobody@example.test")
        self.assertNotEqual(unknown.returncode, 0)

    def test_a_thousand_users_are_listed_in_order(self):
        said = self.ctl("user", "list").splitlines()
        names = [line.split("\t")[0] for line in said if "@example.test" in line]
        self.assertEqual(names, sorted(names))


class Configuration(BedCase):
    options = ("--users", "1")

    def check(self, text, *options):
        path = os.path.join(self.bed.home, "check.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", path, *options,
                               "config", "check"], capture_output=True, text=True, timeout=20,
                              check=False)

    def test_the_bed_itself_is_good(self):
        run = self.bed.ctl("config", "check")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        run = self.bed.ctl("config", "check", "--connect")
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_all_errors_at_once_with_file_and_line(self):
        run = self.check(
            'server: { plugin_dir = "%s"; };\n'
            'login: { workerz = 2; timeout = "soon"; };\n'
            'mail: { location = "nonsense"; max_sessions = -1; };\n'
            'lisener: { pop3: { port = 110; }; };\n'
            'listener: { a: { port = 99999; tls = "sometimes"; }; };\n'
            'auth: { backends = [ "sqlite" ]; sqlite: { databaze = "/x"; }; };\n' % self.bed.settings["server.plugin_dir"])
        self.assertEqual(run.returncode, 1)
        for line, words in ((2, "login.workerz"), (2, "login.workers"), (2, "login.timeout"),
                            (3, "mail.location"), (3, "mail.max_sessions"), (4, "lisener"),
                            (4, "listener"), (5, "listener.a.port"), (5, "listener.a.tls"),
                            (6, "databaze"), (6, "database")):
            with self.subTest(words):
                self.assertRegex(run.stderr, r"(?m)^\S*check\.conf:%d: .*%s" % (
                    line, re.escape(words)))

    def test_a_syntax_error_names_its_line(self):
        run = self.check('login: {\n\tworkers = 2\n\ttimeout 30;\n};\n')
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"check\.conf:3: ")

    def test_integers_that_libconfig_would_cut(self):
        run = self.check('auth: { argon2_memory = 5000000000; };\n')
        self.assertEqual(run.returncode, 1)
        self.assertIn("auth.argon2_memory", run.stderr)

    def test_a_certificate_folder_and_a_database_are_looked_at_with_connect(self):
        run = self.bed.ctl("-s", "auth.sqlite.database=/nonexistent/users.db", "config", "check",
                           "--connect")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("/nonexistent", run.stdout + run.stderr)

    def test_show_has_every_setting_with_default_and_meaning(self):
        said = self.bed.ctl("config", "show", check=True).stdout
        for path in ("server.drain_timeout", "login.workers", "login.timeout", "tls.directory",
                     "auth.workers", "mail.location", "listener.pop3.port",
                     "auth.sqlite.database"):
            self.assertRegex(said, r'(?m)^%s = .*\(' % re.escape(path))
        self.assertRegex(said, r'(?m)^auth\.failure_delay = "0s"  \(default "2s"')
        one = self.bed.ctl("config", "show", "login.workers", check=True).stdout
        self.assertEqual(len(re.findall(r"(?m)^[a-z]", one)), 1)

    def test_the_sample_file_is_a_good_configuration(self):
        """As it stands, and with any one of its settings taken out of the comment."""
        sample = self.bed.ctl("config", "sample", check=True).stdout
        run = self.check(sample, "-s", "server.plugin_dir=" +
                         self.bed.settings["server.plugin_dir"],
                         "-s", "tls.directory=" + self.bed.settings["tls.directory"],
                         "-s", "auth.sqlite.database=/var/lib/postern/users.db")
        self.assertEqual(run.returncode, 0, run.stderr)
        shown = self.bed.ctl("config", "show", check=True).stdout
        for path in re.findall(r"(?m)^((?:login|mail|tls)\.\w+) = ", shown):
            self.assertRegex(sample, r"(?m)^\s*#?%s = " % path.split(".")[1])

    def test_the_manual_page_is_a_manual_page(self):
        page = self.bed.ctl("config", "man", check=True).stdout
        self.assertIn("max_bad_commands", page)
        self.assertTrue(page.lstrip().startswith((".\\\"", ".Dd", ".TH")))

    def test_unknown_commands_name_the_nearest(self):
        run = self.bed.ctl("config", "chek")
        self.assertEqual(run.returncode, 2)
        self.assertIn("config check", run.stderr)

    def test_what_the_writer_of_tests_makes_is_read_back(self):
        """The tests' own configuration writer: any octets in a value."""
        path = os.path.join(self.bed.home, "odd.conf")
        greeting = 'a "quoted" back\\slash, ü and {braces}; # no comment'
        conf.write(path, dict(self.bed.settings, **{"login.greeting": greeting}))
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", path, "config",
                              "show", "login.greeting"], capture_output=True, text=True,
                             check=True)
        self.assertIn("ü", run.stdout)
        self.assertIn("{braces}; # no comment", run.stdout)


class Running(BedCase):
    options = ("--users", "3")

    def test_status_shows_the_sandbox(self):
        said = self.bed.ctl("status", check=True).stdout
        rows = {}
        for line in said.splitlines():
            words = line.split()
            if len(words) > 5 and words[1] in ("login", "keys", "auth", "mail"):
                rows.setdefault(words[1], []).append(line)
        self.assertEqual(set(rows), {"login", "keys", "auth", "mail"})
        for kind, lines in rows.items():
            for line in lines:
                for word in ("nnp", "seccomp", "landlock", *(["user"] if IS_ROOT else [])):
                    self.assertIn(word, line, kind)
                if kind == "login" and IS_ROOT:
                    self.assertIn("chroot", line)

    def test_status_as_json_agrees_with_the_kernel(self):
        status = json.loads(self.bed.ctl("status", "--json", check=True).stdout)
        self.assertEqual(status["pid"], self.bed.pid)
        for slot in status["slots"]:
            with open("/proc/%d/status" % slot["pid"], encoding="ascii") as f:
                self.assertIn("PPid:\t%d\n" % self.bed.pid, f.read())

    def test_sessions_are_counted(self):
        with self.bed.login("user1@example.test"), \
                self.bed.login("user2@example.test", tls=True), self.bed.connect():
            def counted():
                s = json.loads(self.bed.ctl("status", "--json").stdout)["sessions"]
                return s["mail"] == 2 and s["login"] == 1
            self.assertTrue(eventually(counted, 5, 0.02))
            who = json.loads(self.bed.ctl("who", "--json", check=True).stdout)
            self.assertEqual(sorted(s["user"] for s in who if s["user"]),
                             ["user1@example.test", "user2@example.test"])
            self.assertEqual({s["user"]: s["tls"] for s in who if s["user"]},
                             {"user1@example.test": False, "user2@example.test": True})
        self.assertTrue(eventually(
            lambda: json.loads(self.bed.ctl("who", "--json").stdout) == [], 5, 0.02))

    def test_kick_ends_a_session_and_deletes_nothing(self):
        user = "user3@example.test"
        for tls in (False, True):
            self.bed.deliver(b"Subject: kept\n\nkept\n", user)
            count = len(self.bed.names(user))
            with self.bed.login(user, tls=tls) as client:
                client.ok("DELE 1")
                sid = eventually(lambda: [
                    s["sid"] for s in json.loads(self.bed.ctl("who", "--json").stdout)
                    if s["user"] == user], 5)[0]
                self.bed.ctl("kick", sid, check=True)
                self.assertRegex(client.read_all(), rb"^(-ERR [^\r]*\r\n)?$")
            self.assertEqual(len(self.bed.names(user)), count)
        run = self.bed.ctl("kick", "0123456789abcdef")
        self.assertNotEqual(run.returncode, 0)

    def test_reload_waits_and_tells(self):
        self.bed.configure({"login.greeting": "by posternctl"})
        try:
            self.bed.ctl("reload", check=True)
            with self.bed.connect() as client:  # at once: the command has waited for it
                self.assertIn(b"by posternctl", client.greeting)
            self.bed.configure({"login.workerz": "1"})
            run = self.bed.ctl("reload")
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("login.workerz", run.stdout + run.stderr)
        finally:
            self.bed.configure({})
            self.bed.ctl("reload", check=True)
        self.bed.allow("reload.")

    def test_without_a_server(self):
        for words in (("status",), ("who",), ("stop",), ("reload",)):
            run = self.bed.ctl("-s", "server.runtime_dir=/nonexistent", *words)
            self.assertEqual(run.returncode, 1)
            self.assertIn("/nonexistent", run.stderr)

    def test_a_broken_file_does_not_keep_an_admin_out(self):
        path = os.path.join(self.bed.home, "broken.conf")
        conf.write(path, dict(self.bed.settings, **{"login.workerz": "1"}))
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", path, "status"],
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_the_control_socket_is_root_s(self):
        run = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             "python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); s.connect(%r); "
             "s.sendall(b'status\\n'); print(s.recv(100))" % os.path.join(
                 self.bed.bed_dir, "run", "control")],
            capture_output=True, text=True, check=False)
        self.assertTrue(run.returncode != 0 or "b''" in run.stdout or "b'failed" in run.stdout,
                        run.stdout)


class Stop(unittest.TestCase):
    def test_stop(self):
        from bed import Bed
        from support import processes
        bed = Bed("--users", "1")
        try:
            bed.ctl("stop", check=True)
            self.assertTrue(eventually(lambda: not processes.in_session(bed.pid), 10))
        finally:
            bed.stop()


if __name__ == "__main__":
    unittest.main()
