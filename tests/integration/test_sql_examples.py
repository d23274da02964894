# SPDX-License-Identifier: MIT
"""Other people's tables by the shipped examples, in SQLite and in PostgreSQL; and wrong queries."""
import os
import re
import subprocess
import unittest

import sqlbed
from bed import TESTS

EXAMPLES = os.path.join(os.path.dirname(TESTS), "contrib", "schema", "examples")


def read(name):
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
        return f.read()


def check(bed):
    return subprocess.run([os.path.join(bed.build, "posternctl"), "-c", bed.config, "config",
                           "check", "--connect"], capture_output=True, text=True, check=False)


class Examples:
    options = ("--users", "2")

    def take(self, name, changes):
        """The example's settings, with these texts changed, in force."""
        mail = os.path.join(self.bed.dir, "mail")
        settings = {}
        for key, value in re.findall(r'^\t\t(\w+) = "((?:[^"\\]|\\.)*)";$', read(name + ".conf"),
                                     re.M):
            value = re.sub(r"\\(.)", r"\1", value)
            for old, new in changes.items():
                value = value.replace(old, new % mail if "%s" in new else new)
            if key != "database":
                settings["auth.%s.%s" % (self.plugin, key)] = value
        self.assertIn("auth.%s.lookup_query" % self.plugin, settings)
        settings.update(self.make(name, read(name + ".sql").replace("@MAIL@", mail)))
        self.bed.renew(settings)
        self.addCleanup(self.bed.renew, {})
        run = check(self.bed)
        self.assertEqual(run.returncode, 0, run.stderr)

    def administer(self, *words, text=None):
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", self.bed.config,
                              "user", *words], input=text, capture_output=True, text=True,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

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
        self.live("alice@example.test")

    def test_dovecot(self):
        self.take("dovecot", {})
        for user, outcome in (("alice@example.test", "OK"), ("bob@example.test", "SYS/PERM"),
                              ("far@example.test", "AUTH"), ("nobody@example.test", "AUTH")):
            with self.subTest(user):
                self.assertEqual(self.outcome(user), outcome)
                self.assertEqual(self.outcome(user, "wrong"), "AUTH")
        self.live("alice@example.test")

    def live(self, user):
        """What the example has for the administration."""
        self.administer("passwd", "--password-stdin", "--scheme", "PLAIN", user, text="new\n")
        self.assertEqual(self.outcome(user), "AUTH")
        self.assertEqual(self.outcome(user, "new"), "OK")
        self.administer("disable", user)
        self.assertEqual(self.outcome(user, "new"), "SYS/PERM")
        self.administer("enable", user)
        self.assertEqual(self.outcome(user, "new"), "OK")
        self.assertIn(user, self.administer("list"))


class WrongQueries:
    options = ("--users", "1")

    def test_a_wrong_query_is_found_with_its_line(self):
        words = self.words
        wrong = {"lookup_query": ("SELECT pasword FROM users", words["column"]),
                 "user_list": ("SELECT name FROM usrs", words["table"]),
                 "user_delete": ("DELETE FROM users WHERE x = :usr", "no parameter :usr")}
        self.addCleanup(self.bed.configure, {})
        for key, (text, said) in wrong.items():
            with self.subTest(key):
                self.bed.configure({"auth.%s.%s" % (self.plugin, key): text})
                run = check(self.bed)
                self.assertEqual(run.returncode, 1)
                with open(self.bed.config, encoding="utf-8") as f:
                    line = [i for i, t in enumerate(f, 1) if key in t][0]
                self.assertIn("%s:%d: " % (self.bed.config, line), run.stderr)
                self.assertIn(said, run.stderr)

    @property
    def words(self):
        return {"sqlite": {"column": "no such column: pasword", "table": "no such table: usrs"},
                "pgsql": {"column": "column 'pasword' does not exist",
                          "table": "relation 'usrs' does not exist"}}[self.plugin]


globals().update(sqlbed.both(Examples))
globals().update(sqlbed.both(WrongQueries))

if __name__ == "__main__":
    unittest.main()
