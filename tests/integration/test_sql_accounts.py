# SPDX-License-Identifier: MIT
"""Accounts in SQLite and in PostgreSQL: limits, aliases, app passwords, what is written of logins,
names that mean something in SQL, and many users."""
import statistics
import time
import unittest

import sqlbed
from bed import eventually, stopwatch

APP = "k7mw-abcd-efgh-ijkl"
LOCAL = "192.0.2.0/24"  # not where the tests are


class Tables:
    """Rows as an admin writes them."""

    def put(self, table, **columns):
        self.sql("INSERT INTO %s (%s) VALUES (%s)" % (
            table, ", ".join(columns), ", ".join("?" * len(columns))), *columns.values())

    def add(self, name, password="secret", **columns):
        local, _, domain = name.rpartition("@")
        self.sql("INSERT INTO domains (name) VALUES (?) ON CONFLICT DO NOTHING", domain)
        self.put("users", domain=domain, local_part=local, password="{PLAIN}" + password, **columns)

    def value(self, text, *values):
        rows = self.sql(text, *values)
        return rows[0][0] if rows else None


class Accounts(Tables):
    options = ("--users", "2")

    def say(self, table, where, **columns):
        self.sql("UPDATE %s SET %s WHERE %s" % (
            table, ", ".join("%s = ?" % c for c in columns), where), *columns.values())

    def test_what_the_user_does_not_say_the_domain_does(self):
        self.add("a@terms.test")
        self.add("b@terms.test")
        domain, user = ("domains", "name = 'terms.test'"), ("users", "domain = 'terms.test' AND "
                                                                     "local_part = 'b'")
        for column, strict, lax, refusal in (
                ("allow_nets", LOCAL, "127.0.0.0/8", "AUTH"),
                ("pop3_enabled", False, True, "SYS/PERM"),
                ("min_tls", "any", "", "SYS/PERM")):
            with self.subTest(column):
                self.say(*domain, **{column: strict})
                self.assertEqual(self.outcome("a@terms.test"), refusal)
                self.assertEqual(self.outcome("b@terms.test"), refusal)
                if lax != "":
                    self.say(*user, **{column: lax})
                    self.assertEqual(self.outcome("a@terms.test"), refusal)
                    self.assertEqual(self.outcome("b@terms.test"), "OK")
                self.say(*domain, **{column: None})
                self.assertEqual(self.outcome("a@terms.test"), "OK")
        self.say(*domain, min_tls="1.2")
        self.assertEqual(self.outcome("a@terms.test", tls=True), "OK")
        self.say(*domain, min_tls=None, enabled=False, reason="closed")
        self.assertEqual(self.outcome("b@terms.test"), "SYS/PERM")
        self.say(*domain, enabled=True, reason=None)
        self.assertEqual(self.outcome("b@terms.test"), "OK")

    def test_limits_of_a_session(self):
        mail = ["maildir:" + self.bed.maildrop("user%d@example.test" % n) for n in (1, 2)]
        self.add("c@limits.test", maildrop=mail[0])
        for number in range(3):
            self.bed.deliver(b"Subject: %d\n\nx\n" % number, "user1@example.test")
        where = ("domains", "name = 'limits.test'")
        self.say(*where, max_listed=2, read_only=True)
        with self.bed.login("c@limits.test", "secret") as client:
            self.assertEqual(client.stat()[0], 2)
            client.err("DELE 1", "SYS/PERM")
            client.quit()
        self.say("users", "local_part = 'c'", max_listed=3, read_only=False)
        with self.bed.login("c@limits.test", "secret") as client:
            self.assertEqual(client.stat()[0], 3)
            client.ok("DELE 1")
            client.ok("RSET")
            client.quit()
        self.say(*where, max_sessions=1)
        with self.bed.login("c@limits.test", "secret") as client:
            self.say("users", "local_part = 'c'", maildrop=mail[1])
            self.assertEqual(self.outcome("c@limits.test"), "IN-USE")
            self.bed.wait_event("session.refused", lambda e: e.get("reason") == "max-sessions")
            client.quit()
        self.say(*where, max_sessions=None, min_poll=600)
        self.assertEqual(self.outcome("c@limits.test"), "OK")  # from here on
        self.assertEqual(self.outcome("c@limits.test"), "LOGIN-DELAY")
        self.say("users", "local_part = 'c'", min_poll=1)
        self.assertTrue(eventually(lambda: self.outcome("c@limits.test") == "OK"))

    def test_aliases_of_users_and_domains(self):
        self.add("real@alias.test", "one")
        self.add("other@alias.test", "two")
        self.put("aliases", domain="alias.test", local_part="info", user_domain="alias.test",
                 user_local_part="real")
        self.put("aliases", domain="alias.test", local_part="other", user_domain="alias.test",
                 user_local_part="real")
        self.put("domain_aliases", name="also.test", domain="alias.test")
        for name in ("real@alias.test", "info@alias.test", "real@also.test", "info@also.test"):
            with self.subTest(name):
                self.assertEqual(self.outcome(name, "one"), "OK")
                self.assertEqual(self.outcome(name, "two"), "AUTH")
        self.assertEqual(self.outcome("other@alias.test", "two"), "OK")  # the user, not the alias
        self.assertEqual(self.outcome("other@alias.test", "one"), "AUTH")
        self.assertTrue(eventually(lambda: self.value(
            "SELECT logins FROM activity WHERE local_part = 'real' AND domain = 'alias.test'") == "4"))
        self.say("aliases", "local_part = 'info'", enabled=False)
        self.assertEqual(self.outcome("info@alias.test", "one"), "AUTH")
        self.assertEqual(self.outcome("info@also.test", "one"), "AUTH")
        self.say("domain_aliases", "name = 'also.test'", enabled=False)
        self.assertEqual(self.outcome("real@also.test", "one"), "AUTH")
        self.assertEqual(self.outcome("real@alias.test", "one"), "OK")

    def test_an_app_password_counts_until_it_is_removed_or_too_far_away_or_too_old(self):
        user = "user1@example.test"
        self.assertEqual(self.outcome(user, APP), "AUTH")
        self.put("app_passwords", domain="example.test", local_part="user1", prefix="k7mw",
                 label="phone", password="{PLAIN}" + APP)
        self.assertEqual(self.outcome(user, APP), "OK")
        self.assertEqual(self.outcome(user, APP[:-1] + "x"), "AUTH")
        self.assertEqual(self.outcome("user2@example.test", APP), "AUTH")
        self.assertEqual(self.outcome(user), "OK")
        self.assertTrue(eventually(
            lambda: self.value("SELECT last_used FROM app_passwords") not in (None, "")))
        for column, bad, good in (("allow_nets", LOCAL, "127.0.0.0/8"),
                                  ("expires", int(time.time()) - 1, int(time.time()) + 3600)):
            with self.subTest(column):
                self.say("app_passwords", "prefix = 'k7mw'", **{column: bad})
                self.assertEqual(self.outcome(user, APP), "AUTH")
                self.assertEqual(self.outcome(user), "OK")
                self.say("app_passwords", "prefix = 'k7mw'", **{column: good})
                self.assertEqual(self.outcome(user, APP), "OK")
        self.sql("DELETE FROM app_passwords")
        self.assertEqual(self.outcome(user, APP), "AUTH")
        self.assertEqual(self.outcome(user), "OK")

    def test_a_user_with_app_passwords_alone(self):
        self.add("apps@only.test")
        self.say("users", "local_part = 'apps'", password=None)
        self.put("app_passwords", domain="only.test", local_part="apps", prefix="k7mw",
                 label="phone", password="{PLAIN}" + APP)
        self.assertEqual(self.outcome("apps@only.test", APP), "OK")
        self.assertEqual(self.outcome("apps@only.test", ""), "AUTH")
        self.assertNotEqual(self.outcome("apps@only.test", "secret"), "OK")
        self.sql("DELETE FROM app_passwords WHERE local_part = 'apps'")
        self.assertNotEqual(self.outcome("apps@only.test", APP), "OK")

    def test_logins_and_sessions_are_written_down(self):
        self.put("domain_aliases", name="noted.test", domain="example.test")
        before = int(time.time())
        for _ in range(3):
            self.assertEqual(self.outcome("user2@noted.test"), "OK")
        self.bed.deliver(b"Subject: x\n\nx\n", "user2@example.test")
        with self.bed.login("user2@example.test") as client:
            count, _ = client.stat()
            client.multi("RETR %d" % count)
            client.ok("DELE %d" % count)
            client.quit()
        self.assertTrue(eventually(lambda: self.sql(
            "SELECT logins, sessions, retrieved, deleted, last_ip, last_mechanism FROM activity "
            "WHERE local_part = 'user2'") == [["4", "4", "1", "1", "127.0.0.1", "USER"]]))
        at = int(self.value("SELECT last_login FROM activity WHERE local_part = 'user2'"))
        self.assertTrue(before <= at <= time.time() + 1)


class Shown(Tables):
    """posternctl user show, and user set."""
    options = ("--users", "1")

    # The option, a value of the domain, one of the user's own, and what holds where nothing is said.
    FIELDS = (("maildrop", "maildir:/d/%{local}", "maildir:/o", None),
              ("uid", "2001", "2002", "none"), ("gid", "2003", "2004", "none"),
              ("pop3", "no", "yes", "yes"), ("allow-nets", "127.0.0.0/8", "::1, 127.0.0.1", "all"),
              ("max-sessions", "3", "4", "no limit"), ("min-poll", "60s", "120s", "no limit"),
              ("max-listed", "5", "6", "no limit"), ("min-tls", "1.2", "1.3", "as the listener asks"),
              ("rehash", "report", "on", None), ("read-only", "yes", "no", "no"))

    def show(self, name):
        """Field: (value, who says so)."""
        found = {}
        for line in self.ctl("show", name).splitlines():
            field, rest = line.split(None, 1)
            value, place = rest.rsplit("  (", 1)
            found[field] = (value, place.rstrip(")"))
        return found

    def column(self, option):
        return {"pop3": "pop3_enabled"}.get(option, option.replace("-", "_"))

    def test_who_says_what(self):
        name = "all@show.test"
        self.add(name)
        shown = self.show(name)
        self.assertEqual(list(shown)[:3], ["user", "password", "enabled"])
        self.assertEqual(shown["user"], (name, "the user's own"))
        self.assertEqual(shown["password"], ("PLAIN", "the user's own"))
        self.assertEqual(shown["home"], ("none", "nothing else is said"))
        self.assertRegex(shown["maildrop"][1], r"^mail\.location: .*:\d+$")
        self.assertEqual(shown["rehash"], ("off", "auth.rehash: the default"))
        for option, of_domain, own, otherwise in self.FIELDS:
            with self.subTest(option):
                column = self.column(option)
                value = {"yes": True, "no": False}.get(of_domain, of_domain)
                if option == "min-poll":
                    value = 60
                if otherwise is not None:
                    self.assertEqual(shown[option], (otherwise, "nothing else is said"))
                self.sql("UPDATE domains SET %s = ? WHERE name = 'show.test'" % column, value)
                self.assertEqual(self.show(name)[option], (of_domain, "the domain's"))
                self.ctl("set", name, "--%s=%s" % (option, own))
                self.assertEqual(self.show(name)[option], (own, "the user's own"))
                self.ctl("set", "--unset", option, name)
                self.assertEqual(self.show(name)[option], (of_domain, "the domain's"))
                self.assertEqual(self.value("SELECT %s FROM users WHERE local_part = 'all'" % column),
                                 "")
                self.sql("UPDATE domains SET %s = NULL WHERE name = 'show.test'" % column)
        self.assertEqual(self.show(name), shown)

    def test_what_is_not_named_stays(self):
        name = "many@show.test"
        self.add(name)
        given = {option: own for option, _, own, _ in self.FIELDS}
        self.ctl("set", name, "--home=/h", *("--%s=%s" % pair for pair in given.items()))
        given["home"] = "/h"
        for option in list(given):
            with self.subTest(option):
                self.ctl("set", name, "--unset", option)
                del given[option]
                self.assertEqual({f: v for f, (v, place) in self.show(name).items()
                                  if place == "the user's own" and
                                  f not in ("user", "password", "enabled")}, given)
        self.ctl("set", name, "--uid=7", "--unset=uid", "--unset=gid", "--gid=8")
        self.assertEqual(self.show(name)["uid"][0], "none")
        self.assertEqual(self.show(name)["gid"][0], "8")
        self.assertEqual(self.outcome(name), "OK")

    def test_no_hash_and_no_control_character_is_shown(self):
        name = "hash@show.test"
        self.ctl("add", "--password-stdin", "--scheme", "SSHA512", name, text="secret\n")
        stored = self.value("SELECT password FROM users WHERE local_part = 'hash'")
        self.sql("UPDATE users SET reason = ?, enabled = ? WHERE local_part = 'hash'",
                 "over\x1b[2J", False)
        said = self.ctl("show", name)
        self.assertNotIn(stored.split("}")[1][:10], said)
        self.assertNotIn("\x1b", said)
        self.assertEqual(self.show(name)["password"][0], "SSHA512")
        self.assertEqual(self.show(name)["enabled"], ("no: over?[2J", "the user's own"))
        self.sql("UPDATE users SET password = NULL, enabled = ? WHERE local_part = 'hash'", True)
        self.assertEqual(self.show(name)["password"][0], "none")
        self.add("other@closed.test")
        self.sql("UPDATE domains SET enabled = ?, reason = 'unpaid' WHERE name = 'closed.test'",
                 False)
        self.assertEqual(self.show("other@closed.test")["enabled"], ("no: unpaid", "the domain's"))

    def test_what_cannot_be(self):
        name = "user1@example.test"
        before = self.sql("SELECT * FROM users WHERE local_part = 'user1'")
        for words in (("set", "nobody@example.test", "--uid=5"), ("show", "nobody@example.test"),
                      ("set", name, "--unset=password"), ("set", name, "--max-sessions=0"),
                      ("set", name, "--allow-nets=here"), ("set", name, "--maildrop=%{x}"),
                      ("set", name, "--uid=0")):
            with self.subTest(words):
                self.ctl(*words, status=1)
        self.ctl("set", name, status=2)
        self.ctl("set", "--uid=5", status=2)
        self.ctl("show", status=2)
        self.assertEqual(self.sql("SELECT * FROM users WHERE local_part = 'user1'"), before)

    def test_metacharacters(self):
        for text in sqlbed.NASTY:
            with self.subTest(text):
                name = "%s@example.test" % text
                self.add(name)
                self.ctl("set", name, "--home=/" + text, "--maildrop=maildir:/%s" % (
                    text.replace("%", "")))
                shown = self.show(name)
                self.assertEqual(shown["user"][0], name)
                self.assertEqual(shown["home"][0], "/" + text)
                self.ctl("set", name, "--unset=home")
                self.assertEqual(self.show(name)["home"][0], "none")
                self.sql("DELETE FROM users WHERE local_part = ?", text)
        self.assertEqual(self.sql("SELECT count(*) FROM users WHERE home IS NOT NULL"), [["0"]])

    def test_a_running_session_of_a_user_who_is_kept_out_ends(self):
        name = "user1@example.test"
        self.addCleanup(self.ctl, "set", name, "--unset=pop3")
        with self.bed.login(name, "secret") as client:
            self.ctl("set", name, "--pop3=no")
            self.assertTrue(eventually(lambda: not client.cmd("NOOP").startswith(b"+OK")))
            client.expect_end()


class Rehash(Tables):
    options = ("--users", "1", "--set", "auth.rehash=on", "--set", "auth.default_scheme=SSHA512")

    def stored(self, local):
        return self.value("SELECT password FROM users WHERE local_part = ?", local)

    def test_old_schemes_are_stored_anew_where_that_is_wanted(self):
        self.add("old@re.test")
        self.add("kept@re.test", rehash="off")
        for _ in range(2):
            self.assertEqual(self.outcome("old@re.test", "wrong"), "AUTH")
            self.assertEqual(self.outcome("kept@re.test"), "OK")
        self.assertEqual(self.stored("old"), "{PLAIN}secret")
        self.assertEqual(self.outcome("old@re.test"), "OK")
        self.assertTrue(eventually(lambda: self.stored("old").startswith("{SSHA512}")))
        new = self.stored("old")
        self.assertEqual(self.outcome("old@re.test"), "OK")
        self.assertEqual(self.outcome("old@re.test", "wrong"), "AUTH")
        self.assertEqual(self.stored("old"), new)
        self.assertEqual(self.stored("kept"), "{PLAIN}secret")


class Hostile(Tables):
    """Whatever a field holds, it is a value."""
    options = ("--users", "1")

    def counts(self):
        return self.sql("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM domains)")

    def add_account(self, text, local, domain):
        """With text wherever it may stand."""
        name, password = "%s@%s" % (local, domain), "p " + text
        self.ctl("add", "--password-stdin", "--scheme", "PLAIN", "--home", "/home/" + text,
                 "--max-sessions", "3", "--rehash", "off", "--pop3", "yes", name,
                 text=password + "\n")
        self.assertEqual(
            self.sql("SELECT password, home, max_sessions, rehash FROM users WHERE local_part = ? "
                     "AND domain = ?", local, domain),
            [["{PLAIN}" + password, "/home/" + text, "3", "off"]])
        self.put("app_passwords", domain=domain, local_part=local, prefix="k7mw", label=text,
                 password="{PLAIN}" + APP)
        self.assertEqual(self.outcome(name, password), "OK")
        self.assertEqual(self.outcome(name, password + "'"), "AUTH")
        self.assertEqual(self.outcome("'" + name, password), "AUTH")
        self.assertEqual(self.outcome(name, APP), "OK")

    def was_noted(self, local, domain):
        return self.sql("SELECT a.logins, p.last_used > 0 FROM activity a JOIN app_passwords p ON "
                        "p.domain = a.domain AND p.local_part = a.local_part WHERE "
                        "a.local_part = ? AND a.domain = ?", local, domain) in (
                            [["2", "1"]], [["2", "t"]])

    def end_account(self, text, local, domain):
        name = "%s@%s" % (local, domain)
        self.ctl("disable", name, "--reason", text)
        self.assertEqual(self.value("SELECT reason FROM users WHERE local_part = ? AND domain = ?",
                                    local, domain), text)
        self.assertEqual(self.outcome(name, "p " + text), "SYS/PERM")
        self.assertIn(text, self.ctl("list", domain))
        self.ctl("enable", name)
        self.ctl("passwd", "--password-stdin", "--scheme", "PLAIN", name, text=text + "\n")
        self.assertEqual(self.outcome(name, text), "OK")
        self.ctl("delete", name)
        self.assertEqual(self.outcome(name, text), "AUTH")
        self.sql("DELETE FROM domains WHERE name = ? AND name <> 'example.test'", domain)

    def live(self, *accounts):
        """The whole lives of accounts (text, local part, domain), and nothing else is touched."""
        before = self.counts()
        for account in accounts:
            with self.subTest(account):
                self.add_account(*account)
        for account in accounts:
            with self.subTest(account):
                self.assertTrue(eventually(lambda: self.was_noted(*account[1:])))
                self.end_account(*account)
        self.assertEqual(self.counts(), before)

    def test_metacharacters(self):
        self.live(*((text, text, "example.test") for text in sqlbed.NASTY))

    def test_metacharacters_in_the_domain(self):
        self.live(*((text, "user", text) for text in sqlbed.NASTY))

    def test_long_names(self):
        self.live(("long", "x" * (255 - len("@example.test")), "example.test"),
                  ("'" * 200, "user", "y" * 250))

    def test_what_looks_like_an_app_password_is_none(self):
        for password in ("k7mw-abcd-efgh-ij'l", "k7m'-abcd-efgh-ijkl", "a'--abcd-efgh-ijkl",
                         "k7mw-abcd-efgh-ijkl' or '1'='1", "%%%%-abcd-efgh-ijkl", "-" * 19):
            with self.subTest(password):
                self.assertEqual(self.outcome("user1@example.test", password), "AUTH")
        self.assertEqual(self.outcome("user1@example.test"), "OK")


class Many(Tables):
    options = ("--users", "1")

    def insert(self, first, last):
        """Domains are as many as a hundredth of the users."""
        numbers = ("WITH RECURSIVE n (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM n WHERE n < %d) "
                   % (first, last))
        self.sql("INSERT INTO domains (name) " + numbers +
                 "SELECT DISTINCT 'd' || (n / 100) || '.test' FROM n WHERE true "
                 "ON CONFLICT DO NOTHING")
        self.sql("INSERT INTO users (domain, local_part, password) " + numbers +
                 "SELECT 'd' || (n / 100) || '.test', 'u' || n, '{PLAIN}secret' FROM n")
        self.sql("ANALYZE")  # as autovacuum does after a while

    def median(self, users):
        """Of five, the one that was least disturbed."""
        took = [[] for _ in range(5)]
        for n in range(300):
            number = n * 37 % users
            watch = stopwatch()
            self.assertEqual(self.outcome("u%d@d%d.test" % (number, number // 100)), "OK")
            took[n // 60].append(watch())
        return min(statistics.median(each) for each in took)

    def test_ten_thousand_users_cost_no_more_than_a_hundred(self):
        took = []
        for first, last in ((0, 99), (100, 9999)):
            self.insert(first, last)
            self.median(last)  # makes the maildrops
            took.append(self.median(last))
        few, many = took
        print("login of one of 100 users %.3f ms, of 10,000 %.3f ms" % (few * 1e3, many * 1e3))
        self.assertLess(many, few * 2 + 0.002)


for each in (Accounts, Shown, Rehash, Hostile, Many):
    globals().update(sqlbed.both(each))
del each

if __name__ == "__main__":
    unittest.main()
