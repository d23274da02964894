# SPDX-License-Identifier: MIT
"""Other people's tables by the shipped examples, app passwords, last logins, and wrong queries."""
import os
import re
import sqlite3
import subprocess

from bed import IS_ROOT, TESTS, BedCase, code_of, eventually

EXAMPLES = os.path.join(os.path.dirname(TESTS), "contrib", "schema", "examples")
APP = "k7mw-abcd-efgh-ijkl"


def read(name):
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
        return f.read()


class SqlCase(BedCase):
    options = ("--users", "2")

    def outcome(self, user, password="secret", **how):
        """"OK", or the code of the refusal."""
        with self.bed.connect(**how) as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + password)
            if not answer.startswith(b"+OK"):
                return code_of(answer)
            client.quit()
            return "OK"

    def database(self, name):
        return os.path.join(self.bed.dir, "auth", name)

    def make(self, name, script):
        path = self.database(name)
        with sqlite3.connect(path) as db:
            db.executescript(script)
        db.close()
        if IS_ROOT:
            folder = os.stat(os.path.dirname(path))
            os.chown(path, folder.st_uid, folder.st_gid)
        return path


class Examples(SqlCase):
    def take(self, name, changes):
        """The example's settings, with these texts changed, in force."""
        mail = os.path.join(self.bed.dir, "mail")
        path = self.make(name + ".db", read(name + ".sql").replace("@MAIL@", mail))
        settings = {}
        for key, value in re.findall(r'^\t\t(\w+) = "((?:[^"\\]|\\.)*)";$', read(name + ".conf"),
                                     re.M):
            value = re.sub(r"\\(.)", r"\1", value)
            for old, new in changes.items():
                value = value.replace(old, new % mail if "%s" in new else new)
            settings["auth.sqlite." + key] = value
        settings["auth.sqlite.database"] = path
        self.assertIn("auth.sqlite.lookup_query", settings)
        self.bed.renew(settings)
        self.addCleanup(self.bed.renew, {})
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", self.bed.config,
                              "config", "check", "--connect"], capture_output=True, text=True,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_postfixadmin(self):
        self.take("postfixadmin", {"/var/vmail": "%s"})
        for user, outcome in (("alice@example.test", "OK"), ("info@example.test", "OK"),
                              ("alice@other.test", "OK"), ("all@example.test", "AUTH"),
                              ("bob@example.test", "SYS/PERM"), ("eve@closed.test", "SYS/PERM"),
                              ("nobody@example.test", "AUTH"), ("alice@closed.test", "AUTH"),
                              ("'OR''='@example.test", "AUTH")):
            with self.subTest(user):
                self.assertEqual(self.outcome(user), outcome)
                self.assertEqual(self.outcome(user, "wrong"), "AUTH")

    def test_dovecot(self):
        self.take("dovecot", {})
        for user, outcome in (("alice@example.test", "OK"), ("bob@example.test", "SYS/PERM"),
                              ("far@example.test", "AUTH"), ("nobody@example.test", "AUTH")):
            with self.subTest(user):
                self.assertEqual(self.outcome(user), outcome)
                self.assertEqual(self.outcome(user, "wrong"), "AUTH")


class Accounts(SqlCase):
    def sql(self, text, *values):
        with sqlite3.connect(self.database("users.db"), timeout=10) as db:
            db.execute("PRAGMA foreign_keys = ON")
            rows = db.execute(text, values).fetchall()
        db.close()
        return rows

    def test_an_app_password_counts_until_it_is_removed_or_too_far_away(self):
        user = "user1@example.test"
        self.assertEqual(self.outcome(user, APP), "AUTH")
        self.sql("INSERT INTO app_passwords (domain, local_part, prefix, label, password) "
                 "VALUES ('example.test', 'user1', 'k7mw', 'phone', ?)", "{PLAIN}" + APP)
        self.assertEqual(self.outcome(user, APP), "OK")
        self.assertEqual(self.outcome(user, APP[:-1] + "x"), "AUTH")
        self.assertEqual(self.outcome(user), "OK")
        self.assertTrue(eventually(
            lambda: self.sql("SELECT last_used FROM app_passwords")[0][0] is not None))
        self.sql("UPDATE app_passwords SET allow_nets = '192.0.2.0/24'")
        self.assertEqual(self.outcome(user, APP), "AUTH")
        self.assertEqual(self.outcome(user), "OK")
        self.sql("UPDATE app_passwords SET allow_nets = '127.0.0.0/8'")
        self.assertEqual(self.outcome(user, APP), "OK")
        self.sql("DELETE FROM app_passwords")
        self.assertEqual(self.outcome(user, APP), "AUTH")

    def test_logins_and_sessions_are_written_down(self):
        self.sql("INSERT OR IGNORE INTO domain_aliases (name, domain) "
                 "VALUES ('alias.test', 'example.test')")
        for _ in range(3):
            self.assertEqual(self.outcome("user2@alias.test"), "OK")
        self.assertTrue(eventually(lambda: self.sql(
            "SELECT logins, sessions, last_ip FROM activity WHERE local_part = 'user2'") == [
                (3, 3, "127.0.0.1")]))

    def test_a_wrong_query_is_found_with_its_line(self):
        wrong = {"lookup_query": ("SELECT pasword FROM users", "no such column: pasword"),
                 "user_list": ("SELECT name FROM usrs", "no such table: usrs"),
                 "user_delete": ("DELETE FROM users WHERE x = :usr", "no parameter :usr")}
        for key, (text, words) in wrong.items():
            with self.subTest(key):
                self.bed.configure({"auth.sqlite." + key: text})
                self.addCleanup(self.bed.configure, {})
                run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c",
                                      self.bed.config, "config", "check", "--connect"],
                                     capture_output=True, text=True, check=False)
                self.assertEqual(run.returncode, 1)
                with open(self.bed.config, encoding="utf-8") as f:
                    line = [i for i, t in enumerate(f, 1) if key in t][0]
                self.assertIn("%s:%d: " % (self.bed.config, line), run.stderr)
                self.assertIn(words, run.stderr)
