# SPDX-License-Identifier: MIT
"""Users in a real PostgreSQL: logins, administration, what a wrong query is told, hostile input."""
import os
import subprocess
import unittest

import bed
import openssl
import sqlbed
from support import layout, postgres

HAS_POSTGRES = postgres.find_programs() is not None
USER = "user1@example.test"


@unittest.skipUnless(HAS_POSTGRES, "PostgreSQL's server is not installed")
class PgsqlCase(bed.BedCase):
    options = ("--auth", "pgsql", "--users", "3")

    def add_user(self, name, password, **columns):
        local, _, domain = name.rpartition("@") if "@" in name else (name, "", "")
        names = ["domain", "local_part", "password", *columns]
        self.bed.postgres.sql("INSERT INTO domains (name) VALUES (?) ON CONFLICT DO NOTHING", domain)
        self.bed.postgres.sql("INSERT INTO users (%s) VALUES (%s)" % (
            ", ".join(names), ", ".join("?" * len(names))),
            domain, local, "{PLAIN}" + password, *columns.values())

    def outcome(self, user=USER, password="secret"):
        """"" for a login, also where the maildrop is still in use, else the code of the refusal. PLAIN
        takes spaces, which USER does not."""
        with self.bed.connect() as c:
            answer = c.cmd(b"AUTH PLAIN " + bed.b64(b"\0%s\0%s" % (
                bed.to_octets(user), bed.to_octets(password))))
            is_in = answer.startswith(b"+OK") or bed.code_of(answer) == "IN-USE"
            return "" if is_in else bed.code_of(answer) or answer


class Logins(PgsqlCase):
    def test_right_and_wrong_password_and_unknown_user(self):
        self.assertEqual(self.outcome(), "")
        self.assertEqual(self.outcome(password="wrong"), "AUTH")
        self.assertEqual(self.outcome(user="nobody@example.test"), "AUTH")

    def test_a_changed_password_is_in_force_at_once(self):
        self.add_user("changing@example.test", "old")
        self.assertEqual(self.outcome("changing@example.test", "old"), "")
        self.bed.postgres.sql("UPDATE users SET password = ? WHERE local_part = 'changing'",
                              "{PLAIN}new")
        clock = bed.stopwatch()
        self.assertEqual(self.outcome("changing@example.test", "old"), "AUTH")
        self.assertEqual(self.outcome("changing@example.test", "new"), "")
        self.assertLess(clock(), 1)

    def test_disabled_users_and_domains_stay_out(self):
        self.add_user("off@example.test", "secret", enabled=False, reason="left")
        self.assertEqual(self.outcome("off@example.test"), "SYS/PERM")
        self.add_user("in@off.test", "secret")
        self.bed.postgres.sql("UPDATE domains SET enabled = false WHERE name = 'off.test'")
        self.assertEqual(self.outcome("in@off.test"), "SYS/PERM")

    def test_metacharacters_stand_for_themselves(self):
        for text in sqlbed.NASTY:
            with self.subTest(text=text):
                user = "%s@example.test" % text
                self.add_user(user, text)
                self.assertEqual(self.outcome(user, text), "")
                self.assertEqual(self.outcome(user, text + "'"), "AUTH")
                self.assertEqual(self.outcome(user + "'", text), "AUTH")
                self.assertEqual(self.outcome("%s@%s" % (text, text), text), "AUTH")
        self.assertEqual(self.outcome(), "")

    def test_octets_that_are_no_utf_8_are_an_unknown_user(self):
        for user in (b"\xff\xfe@example.test", b"user1@example.test\xc3", b"\xed\xa0\x80@a.test",
                     b"\xc0\x80@example.test", b"\xf4\x90\x80\x80"):
            with self.subTest(user=user):
                self.assertEqual(self.outcome(user), "AUTH")
        self.assertEqual(self.outcome(password=b"\xff\xfe"), "AUTH")
        self.assertEqual(self.bed.events("auth.backend_away"), [])


class Notes(PgsqlCase):
    def test_logins_and_sessions_are_written_off_the_logins_path(self):
        self.add_user("noted@example.test", "secret")
        for _ in range(3):
            with self.bed.login("noted@example.test", "secret") as c:
                c.quit()
        row = "SELECT logins, sessions, last_ip FROM activity WHERE local_part = 'noted'"
        self.assertTrue(bed.eventually(lambda: self.bed.postgres.sql(row) == [["3", "3", "127.0.0.1"]],
                                       step=0.1), self.bed.postgres.sql(row))

    def test_tables_that_cannot_be_written_cost_no_login(self):
        self.bed.postgres.sql("ALTER TABLE activity RENAME TO gone")
        self.addCleanup(self.bed.postgres.sql, "ALTER TABLE gone RENAME TO activity")
        for _ in range(5):
            self.assertEqual(self.outcome(), "")


class Settings(PgsqlCase):
    """Each test has its own strings, and puts the bed's back."""
    allowed = ("auth.backend_away",)

    def setUp(self):
        self.addCleanup(self.use, {})

    def use(self, changes):
        """The configuration with these settings of auth.pgsql, in force."""
        count = len(self.bed.events("server.ready"))
        self.bed.configure({"auth.pgsql." + k: v for k, v in changes.items()})
        self.bed.reload()
        self.assertTrue(bed.eventually(lambda: len(self.bed.events("server.ready")) > count))

    def secret_file(self, text, mode=0o600):
        path = os.path.join(self.bed.dir, "auth", "password")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        if bed.IS_ROOT:
            st = os.stat(os.path.dirname(path))
            os.chown(path, st.st_uid, st.st_gid)
        return path

    def string(self, host, port=None):
        return "host=%s port=%d user=%s dbname=%s" % (host, port or self.bed.postgres.port,
                                                      postgres.OWNER, postgres.NAME)

    def check(self, *sets, connect=True):
        with_sets = [a for s in sets for a in ("-s", "auth.pgsql." + s)]
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", self.bed.ctl_config,
                              *with_sets, "config", "check", *["--connect"][:connect]],
                             capture_output=True, text=True, timeout=60, check=False)
        return run.returncode, run.stdout + run.stderr

    def test_tcp_by_name_with_a_password_from_a_file(self):
        self.use({"read": self.string("localhost"),
                  "password_file": self.secret_file(postgres.PASSWORD + "\nrest\n")})
        self.assertEqual(self.outcome(), "")
        self.assertEqual(self.outcome(password="wrong"), "AUTH")
        self.use({"read": self.string("127.0.0.1"),
                  "password_file": self.secret_file(postgres.PASSWORD)})
        self.assertEqual(self.outcome(), "")

    def test_tcp_with_libpqs_own_file(self):
        escaped = postgres.PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        self.use({"read": self.string("localhost"),
                  "passfile": self.secret_file("*:*:*:*:%s\n" % escaped)})
        self.assertEqual(self.outcome(), "")

    def test_a_name_without_an_address_is_passed_over(self):
        self.use({"read": self.string("nosuch.invalid,localhost"),
                  "password_file": self.secret_file(postgres.PASSWORD)})
        self.assertEqual(self.outcome(), "")

    def test_a_wrong_password_of_ours_is_no_fault_of_the_client_and_not_logged(self):
        self.use({"read": self.string("127.0.0.1"), "password_file": self.secret_file("Hu5h!word")})
        self.assertEqual(self.outcome(), "SYS/TEMP")
        text = self.bed.log_text()
        self.assertIn("password authentication failed", text)
        self.assertNotIn("Hu5h!word", text)
        self.assertNotIn(postgres.PASSWORD, text)

    def test_a_password_file_for_everybody_is_refused(self):
        status, said = self.check("read=" + self.string("127.0.0.1"),
                                  "password_file=" + self.secret_file("x", 0o644))
        self.assertEqual(status, 1)
        self.assertIn("everybody may read it", said)

    def test_server_names_are_bound_too(self):
        self.use({"lookup_query": "SELECT CASE :sni WHEN 'odd-$1.test' THEN '{PLAIN}no' WHEN "
                                  "'odd.test' THEN '{PLAIN}odd' ELSE '{PLAIN}plain' END AS password "
                                  "WHERE :user = :user"})
        for name, password in (("odd.test", "odd"), ("even.test", "plain")):
            with self.subTest(name=name):
                said = openssl.s_client(self.bed, "-servername", name, script=(
                    "USER user1@example.test\r\nPASS %s\r\nQUIT\r\n" % password).encode())
                self.assertEqual(said.count("+OK"), 4, said)
        for name in ("a'b\"c", "$1::int", "x'; drop table users; --"):  # TLS takes none of these
            with self.subTest(name=name):
                said = openssl.s_client(self.bed, "-servername", name, expect_failure=True)
                self.assertNotIn("+OK", said)

    def test_dollar_quotes_and_casts_in_a_query(self):
        self.use({"lookup_query": "SELECT $$:user$$ /* :x /* :y */ */ || E'\\'' AS reason, "
                                  "'{PLAIN}secret'::text AS password WHERE :user = :user::text"})
        self.assertEqual(self.outcome(), "")

    def test_a_string_with_a_password_is_refused_and_not_repeated(self):
        for string in ("host=a user=b password=Hu5h", "host=a user=b password = 'Hu5h x",
                       "postgresql://b:Hu5h@a/mail", "postgresql://a/mail?user=b&password=Hu5h%zz"):
            with self.subTest(string=string):
                status, said = self.check("read=" + string, connect=False)
                self.assertEqual(status, 1)
                self.assertIn("password_file", said)
                self.assertNotIn("Hu5h", said)

    def test_what_a_string_must_and_must_not_say(self):
        for string, word in (("host=a", "user"), ("host=a user=b sslrootcert=/x", "ca_file"),
                             ("host=a,b hostaddr=127.0.0.1 user=c", "hostaddr"),
                             ("host=a user=b target_session_attrs=best", "target_session_attrs"),
                             ("host=a user=b nonsense=1", "nonsense"), ("host=a user", "user"),
                             ("host=a user=b connect_timeout=1", "connect_timeout")):
            with self.subTest(string=string):
                status, said = self.check("read=" + string, connect=False)
                self.assertEqual(status, 1)
                self.assertIn("auth.pgsql: read: ", said)
                self.assertIn(word, said)

    def test_no_prepared_statements_without_a_word_on_listening(self):
        status, said = self.check("prepared=no", connect=False)
        self.assertEqual(status, 1)
        self.assertIn("listen", said)

    def test_a_wrong_query_is_told_in_the_databases_words(self):
        for query, words in (
                ("SELECT pasword AS password FROM users WHERE domain = :domain",
                 ["42703", "pasword", "lookup_query"]),
                ("SELEC 1", ["42601", "SELEC"]),
                ("SELECT password FROM nosuch WHERE x = :user", ["42P01", "nosuch"]),
                ("SELECT password, 1 AS extra FROM users WHERE domain = :domain", ["extra"]),
                ("SELECT password FROM users WHERE domain = :user; SELECT 1", ["42601"]),
                ("SELECT 1 AS enabled WHERE :user = :user", ["no column password"])):
            with self.subTest(query=query):
                status, said = self.check("lookup_query=" + query)
                self.assertEqual(status, 1)
                for word in words:
                    self.assertIn(word, said)

    def test_a_wrong_query_is_told_with_its_line(self):
        path = os.path.join(self.bed.home, "wrong.conf")
        with open(self.bed.ctl_config, encoding="ascii") as f:
            lines = f.read().split("\n")
        at = next(i for i, line in enumerate(lines) if line.strip().startswith("read = "))
        lines.insert(at + 1, 'lookup_query = "SELECT nix";')
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(lines))
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", path, "config",
                              "check", "--connect"], capture_output=True, text=True, timeout=60,
                             check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("%s:%d: auth.pgsql" % (path, at + 2), run.stderr)
        self.assertIn("42703", run.stderr)

    def test_tables_that_may_not_be_read_are_found_by_the_check(self):
        self.bed.postgres.sql("CREATE ROLE reader LOGIN")
        self.addCleanup(self.bed.postgres.sql, "DROP ROLE reader")
        status, said = self.check("read=" + self.bed.postgres.string(user="reader"))
        self.assertEqual(status, 1)
        self.assertIn("42501", said)

    def test_a_database_that_is_away_is_told_by_the_check(self):
        status, said = self.check("read=" + self.string("127.0.0.1", 1))
        self.assertEqual(status, 1)
        self.assertIn("onnection refused", said)


class Changes(PgsqlCase):
    """NOTIFY reaches sessions that are open."""

    def setUp(self):
        self.name = "someone@%s.test" % self._testMethodName[5:].replace("_", "-")
        self.add_user(self.name, "secret")
        os.makedirs(self.maildrop())
        for box in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.maildrop(), box))
        with open(os.path.join(self.maildrop(), "new", "1700000000.M1P1.x"), "w",
                  encoding="ascii") as f:
            f.write("Subject: x\n\ntext\n")
        if bed.IS_ROOT:
            layout.chown_tree(os.path.dirname(self.maildrop()), self.bed.uid, self.bed.gid)

    def maildrop(self):
        return self.bed.settings["mail.location"].split(":", 1)[1].replace("%{user}", self.name)

    def session(self):
        c = self.bed.login(self.name, "secret")
        self.assertEqual(c.stat()[0], 1)
        c.ok("DELE 1")
        return c

    def expect_goodbye(self, c, seconds=1.0):
        clock = bed.stopwatch()
        answer = b"+OK"
        while answer.startswith(b"+OK") and clock() < seconds + 10:
            answer = c.cmd("NOOP")
        self.assertEqual(bed.code_of(answer), "SYS/PERM", answer)
        self.assertLess(clock(), seconds)
        c.expect_end()
        self.assertEqual(len(os.listdir(os.path.join(self.maildrop(), "new")) +
                             os.listdir(os.path.join(self.maildrop(), "cur"))), 1)

    def change(self, text):
        local, _, domain = self.name.partition("@")
        self.bed.postgres.sql(text.replace("LOCAL", postgres.literal(local)).replace(
            "DOMAIN", postgres.literal(domain)))

    def test_suspended_user(self):
        with self.session() as c:
            self.change("UPDATE users SET enabled = false WHERE local_part = LOCAL AND domain = DOMAIN")
            self.expect_goodbye(c)
        self.assertEqual(self.outcome(self.name), "SYS/PERM")
        self.change("UPDATE users SET enabled = true WHERE local_part = LOCAL AND domain = DOMAIN")
        for _ in range(6):  # whatever worker serves it
            self.assertEqual(self.outcome(self.name), "")

    def test_deleted_user(self):
        with self.session() as c:
            self.change("DELETE FROM users WHERE local_part = LOCAL AND domain = DOMAIN")
            self.expect_goodbye(c)

    def test_suspended_domain(self):
        with self.session() as c:
            self.change("UPDATE domains SET enabled = false WHERE name = DOMAIN")
            self.expect_goodbye(c, 5)  # who is of it is asked about once a second

    def test_other_changes_end_nothing(self):
        with self.session() as c:
            self.change("UPDATE users SET password = '{PLAIN}new' WHERE domain = DOMAIN")
            for _ in range(20):
                c.ok("NOOP")
            c.ok("RSET")
            c.quit()

    def test_heard_again_after_the_connection_was_lost(self):
        ended = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE query = 'LISTEN postern'")
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN postern'"
        self.assertTrue(bed.eventually(lambda: self.bed.postgres.sql(listening) == [["1"]]))
        with self.session() as c:
            self.bed.postgres.sql("BEGIN; %s; UPDATE users SET enabled = false WHERE domain = ?; "
                                  "COMMIT" % ended, self.name.partition("@")[2])
            self.expect_goodbye(c, 10)
        self.assertTrue(bed.eventually(lambda: self.bed.postgres.sql(listening) == [["1"]]))


class Administration(PgsqlCase):
    def test_users_are_added_changed_listed_and_deleted(self):
        name = "it's \"new\"@other.test"
        add = self.bed.ctl("user", "add", "--password-stdin", "--scheme", "PLAIN", name, text="one\n")
        self.assertEqual(add.returncode, 0, add.stderr)
        self.assertEqual(self.outcome(name, "one"), "")
        again = self.bed.ctl("user", "add", "--password-stdin", name, text="one\n")
        self.assertEqual(again.returncode, 1)
        self.assertIn("there is such a user already", again.stderr)
        self.bed.ctl("user", "passwd", "--password-stdin", "--scheme", "PLAIN", name, text="two\n",
                     check=True)
        self.assertEqual(self.outcome(name, "one"), "AUTH")
        self.assertEqual(self.outcome(name, "two"), "")
        self.bed.ctl("user", "disable", name, "--reason", "it's over", check=True)
        self.assertEqual(self.outcome(name, "two"), "SYS/PERM")
        self.assertIn("it's over", self.bed.ctl("user", "list", check=True).stdout)
        self.bed.ctl("user", "enable", name, check=True)
        self.assertEqual(self.outcome(name, "two"), "")
        self.bed.ctl("user", "delete", name, check=True)
        self.assertEqual(self.outcome(name, "two"), "AUTH")
        self.assertEqual(self.bed.ctl("user", "passwd", "--password-stdin", name, text="x\n").returncode,
                         1)

    def test_a_domain_that_is_there_without_on_conflict_is_no_hindrance(self):
        self.bed.postgres.sql("INSERT INTO domains (name) VALUES ('there.test')")
        run = subprocess.run([os.path.join(self.bed.build, "posternctl"), "-c", self.bed.ctl_config,
                              "-s", "auth.pgsql.domain_insert=INSERT INTO domains (name) "
                              "VALUES (:domain)", "user", "add", "--password-stdin", "--scheme",
                              "PLAIN", "a@there.test"], input="x\n", capture_output=True, text=True,
                             timeout=60, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.outcome("a@there.test", "x"), "")

    def test_a_constraint_of_the_schema_is_told(self):
        self.bed.postgres.sql("ALTER TABLE users ADD CONSTRAINT short CHECK "
                              "(length(local_part) < 60)")
        run = self.bed.ctl("user", "add", "--password-stdin", "--scheme", "PLAIN",
                           "x" * 60 + "@example.test", text="x\n")
        self.assertEqual(run.returncode, 1)
        self.assertIn("23514", run.stderr)


del PgsqlCase

if __name__ == "__main__":
    unittest.main()
