# SPDX-License-Identifier: MIT
"""Logging in: what is taken, what is refused with which code, and that answers tell nothing more."""
import os
import sqlite3
import statistics
import unittest

from bed import BedCase, Client, b64, code_of, eventually, stopwatch, to_octets

LONG = "p" * 200
PASSWORDS = {  # name: password, each taken whole
    "spaces@example.test": " two  inner and outer ",
    "utf8@example.test": "pässwörd ☃",
    "long@example.test": LONG,
    "odd@example.test": "a'b\"c\\d;--%s%n${x}`y`|&<>",
    "colon@example.test": "a:b=c,d",
    "jörg@example.test": "secret",
    "o'brien@example.test": "secret",
    "brace@example.test": "{PLAIN}x",
}
METACHARACTERS = ("' OR '1'='1", "x' OR 1=1 --", "'; DROP TABLE users; --", "%", "_", "*",
                  "user1@example.test' --", "user1@example.test\\", "\\' OR 1=1 --", '" OR ""="',
                  "user1@example.test'||'", "user_@example.test", "user%@example.test",
                  "USER1@example.test/**/", "user1@example.test;")


def plain(user, password, authzid=b""):
    return b64(to_octets(authzid) + b"\0" + to_octets(user) + b"\0" + to_octets(password))


class Passwords(BedCase):
    options = ("--users", "4", "--set", "login.max_bad_commands=1000",
               *("--user=%s=%s" % pair for pair in PASSWORDS.items()))
    user = "user1@example.test"

    def ways(self, user, password):
        """Each way to log in, as a function of a client that gives the last answer."""
        user, password = to_octets(user), to_octets(password)

        def user_pass(c):
            c.cmd(b"USER " + user)
            return c.cmd(b"PASS " + password)

        def plain_initial(c):
            return c.cmd(b"AUTH PLAIN " + plain(user, password))

        def plain_late(c):
            assert c.cmd("AUTH PLAIN") == b"+ "
            return c.cmd(plain(user, password))

        def login(c):
            for prompt, answer in ((b"AUTH LOGIN", user), (None, password)):
                if prompt:
                    first = c.cmd(prompt)
                    assert first.startswith(b"+ "), first
                first = c.cmd(b64(answer))
                if prompt:
                    assert first.startswith(b"+ "), first
            return first

        def login_initial(c):
            first = c.cmd(b"AUTH LOGIN " + b64(user))
            assert first.startswith(b"+ "), first
            return c.cmd(b64(password))

        return {f.__name__: f for f in (user_pass, plain_initial, plain_late, login,
                                        login_initial)}

    def attempt(self, user, password, way, tls=False):
        with self.bed.connect(tls=tls) as client:
            answer = self.ways(user, password)[way](client)
            if answer.startswith(b"+OK"):
                client.stat()
                client.quit()
            return answer

    WAYS = ("user_pass", "plain_initial", "plain_late", "login", "login_initial")

    def test_every_way_with_the_right_password(self):
        for way in self.WAYS:
            for tls in (False, True):
                with self.subTest(way, tls=tls):
                    self.assertTrue(self.attempt(self.user, "secret", way, tls).startswith(b"+OK"))

    def test_every_way_with_a_wrong_password(self):
        for way in self.WAYS:
            for password in ("wrong", "secret ", " secret", "Secret", "secre", "secretx"):
                with self.subTest(way, password=password):
                    answer = self.attempt(self.user, password, way)
                    self.assertEqual(code_of(answer), "AUTH", answer)

    def test_unknown_and_wrong_get_the_same_answer(self):
        for way in self.WAYS:
            with self.subTest(way):
                answers = {self.attempt(user, "wrong", way) for user in (
                    self.user, "nobody@example.test", "nobody", "user1@nowhere.test", "@", "a@b@c")}
                self.assertEqual(len(answers), 1, answers)

    def test_user_tells_nothing(self):
        with self.bed.connect() as client:
            self.assertEqual(len({client.ok("USER " + u) for u in (
                self.user, "nobody@example.test", "x")}), 1)

    def test_06_06_passwords_are_taken_whole(self):
        for user, password in PASSWORDS.items():
            for way in self.WAYS:
                with self.subTest(way, user=user):
                    answer = self.attempt(user, password, way)
                    self.assertTrue(answer.startswith(b"+OK"), answer)
                    for other in (password.strip() + "x", password[:-1], password + " "):
                        self.assertTrue(self.attempt(user, other, way).startswith(b"-ERR"))

    def test_an_empty_password(self):
        for way in self.WAYS:
            with self.subTest(way):
                self.assertTrue(self.attempt(self.user, "", way).startswith(b"-ERR"))
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            client.err("PASS")
            client.ok("CAPA")

    def test_the_name_in_another_case_of_the_domain(self):
        self.assertTrue(self.attempt("user1@EXAMPLE.test", "secret", "user_pass").startswith(b"+OK"))

    def test_nul_is_refused_and_cuts_nothing(self):
        """Also where what stands before the NUL would be right."""
        with self.bed.connect() as client:
            client.err(b"USER %s\0x" % to_octets(self.user))
            client.ok("USER " + self.user)
            client.err(b"PASS secret\0")
            client.ok("USER " + self.user)
            client.err(b"PASS secret\0x")
        for octets in (b"\0%s\0secret\0" % to_octets(self.user),
                       b"\0%s\0secret\0x" % to_octets(self.user),
                       b"\0%s\0x\0secret" % to_octets(self.user),
                       b"\0\0%s\0secret" % to_octets(self.user)):
            with self.subTest(octets), self.bed.connect() as client:
                client.err(b"AUTH PLAIN " + b64(octets))
        for user, password in ((b"user1@example.test\0", b"secret"),
                               (b"user1@example.test\0x", b"secret"),
                               (b"user1@example.test", b"secret\0"),
                               (b"user1@example.test", b"secret\0x")):
            with self.subTest("LOGIN", user=user, password=password), \
                    self.bed.connect() as client:
                client.send(b"AUTH LOGIN\r\n")
                client.line()
                answer = client.cmd(b64(user))
                if answer.startswith(b"+ "):
                    answer = client.cmd(b64(password))
                self.assertTrue(answer.startswith(b"-ERR"), answer)

    def test_octets_that_are_no_utf8(self):
        """Latin-1 in a password is an ordinary wrong password, and the session goes on."""
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            client.err(b"PASS \xe4\xf6\xfc\xff", "AUTH")
            client.err(b"AUTH PLAIN " + plain(self.user, b"\xff\xfe"), "AUTH")
            client.login(self.user, "secret")
            client.quit()

    def test_sql_metacharacters(self):
        for name in METACHARACTERS:
            for way in ("user_pass", "plain_initial"):
                for password in ("secret", name):
                    with self.subTest(way, name=name, password=password):
                        answer = self.attempt(name, password, way)
                        self.assertTrue(answer.startswith(b"-ERR"), answer)
                        self.assertIn(code_of(answer), ("AUTH", ""), answer)
        self.assertTrue(self.attempt(self.user, "secret", "user_pass").startswith(b"+OK"))

    # -- the forms of AUTH ---------------------------------------------------------------------

    def test_06_30_bare_auth_lists(self):
        for tls in (False, True):
            with self.bed.connect(tls=tls) as client:
                self.assertEqual(client.lines("AUTH"), ["PLAIN", "LOGIN"])
                client.login(self.user, "secret")
                client.quit()

    def test_06_30_cancelled(self):
        with self.bed.connect() as client:
            self.assertEqual(client.cmd("AUTH PLAIN"), b"+ ")
            client.err("*")
            client.cmd("AUTH LOGIN")
            client.err("*")
            client.cmd("AUTH LOGIN")
            client.cmd(b64(b"user1@example.test"))
            client.err("*")
            client.ok(b"AUTH PLAIN " + plain(self.user, "secret"))
            client.quit()

    def test_06_30_equals_sign_is_an_empty_initial_response(self):
        with self.bed.connect() as client:
            client.err("AUTH PLAIN =")
            client.ok("CAPA")
            client.rest()

    def test_06_30_what_is_no_base64(self):
        good = plain(self.user, "secret")
        bad = (b"!!!!", b"AAA", good[:-1], good + b"=", b"=" + good, good[:8] + b" " + good[8:],
               good[:8] + b"\t" + good[8:], b"====", b"A=BC", "ä".encode(), good + b"!")
        for text in bad:
            with self.subTest(text), self.bed.connect() as client:
                client.err(b"AUTH PLAIN " + text)
                self.assertEqual(client.cmd("AUTH PLAIN"), b"+ ")
                client.err(text)
                client.ok("CAPA")

    def test_06_30_a_token_of_twelve_kib(self):
        with self.bed.connect() as client:
            self.assertEqual(client.cmd("AUTH PLAIN"), b"+ ")
            client.err(plain(self.user, "x" * 9000))
            client.ok(b"AUTH PLAIN " + plain(self.user, "secret"))
            client.quit()

    def test_a_sasl_line_over_every_limit(self):
        with self.bed.connect() as client:
            self.assertEqual(client.cmd("AUTH PLAIN"), b"+ ")
            client.send(b"A" * 100_000 + b"\r\n")
            self.assertTrue(client.line().startswith(b"-ERR"))

    def test_unknown_mechanisms(self):
        with self.bed.connect() as client:
            for name in ("CRAM-MD5", "SCRAM-SHA-256", "NTLM", "plainx", "EXTERNAL", "X" * 60, "="):
                client.err("AUTH " + name)
            client.ok(b"auth plain " + plain(self.user, "secret"))
            client.quit()

    def test_an_authorization_identity(self):
        """Empty or the same is taken; another one is not granted."""
        for authzid, good in (("", True), (self.user, True), ("user2@example.test", False)):
            with self.subTest(authzid), self.bed.connect() as client:
                answer = client.cmd(b"AUTH PLAIN " + plain(self.user, "secret", authzid))
                self.assertEqual(answer.startswith(b"+OK"), good, answer)

    def test_auth_after_login(self):
        with self.bed.login() as client:
            client.err(b"AUTH PLAIN " + plain(self.user, "secret"))
            client.err("AUTH")
            client.ok("NOOP")
            client.quit()

    def test_nothing_secret_in_the_log(self):
        marked = "secret-word-7f31"
        with self.bed.connect() as client:
            client.cmd("USER " + self.user)
            client.cmd("PASS " + marked)
            client.cmd(b"AUTH PLAIN " + plain(self.user, marked))
            client.cmd("PASS " + marked)
            client.cmd(marked)
            client.quit()
        text = self.bed.log_text()
        self.assertNotIn(marked, text)
        self.assertNotIn(plain(self.user, marked).decode(), text)
        self.assertIn("login.failed", text)

    def test_the_log_of_a_login(self):
        with self.bed.login("user4@example.test", tls=True) as client:
            client.quit()
        event = self.bed.wait_event("login.ok", lambda e: e.get("user") == "user4@example.test")
        self.assertRegex(event["sid"], r"^[0-9a-f]{16}$")
        self.bed.wait_event("session.end", lambda e: e.get("sid") == event["sid"])


class Codes(BedCase):
    """06_23: one code for each reason, so that a client knows what to tell its user."""
    options = ("--users", "6", "--set", "login.max_bad_commands=1000")
    allowed = ("auth.backend_away",)

    def test_06_23_five_reasons_five_codes(self):
        codes = {}
        with self.bed.connect() as client:
            client.ok("USER user1@example.test")
            codes["wrong"] = code_of(client.cmd("PASS wrong"))
        with self.bed.login("user1@example.test") as first, self.bed.connect() as client:
            client.ok("USER user1@example.test")
            codes["in use"] = code_of(client.cmd("PASS secret"))
            first.quit()
        self.bed.ctl("user", "disable", "user2@example.test", check=True)
        with self.bed.connect() as client:
            client.ok("USER user2@example.test")
            codes["disabled"] = code_of(client.cmd("PASS secret"))
        codes["database away"] = self.without_database(lambda: self.code("user3@example.test"))
        self.assertEqual(codes, {"wrong": "AUTH", "in use": "IN-USE", "disabled": "SYS/PERM",
                                 "database away": "SYS/TEMP"})

    def code(self, user, password="secret"):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + password)
            return code_of(answer) if answer.startswith(b"-ERR") else "OK"

    def without_database(self, test):
        path = os.path.join(self.bed.bed_dir, "auth", "users.db")
        moved = {p: p + ".away" for p in (path, path + "-wal", path + "-shm") if os.path.exists(p)}
        for old, new in moved.items():
            os.rename(old, new)
        try:
            return eventually(lambda: test() if self.code("user5@example.test") != "OK" else None)
        finally:
            for old, new in moved.items():
                if os.path.exists(old):
                    os.unlink(old)
                os.rename(new, old)

    def test_the_database_goes_and_comes_back(self):
        self.assertEqual(self.code("user4@example.test"), "OK")
        found = self.without_database(lambda: {
            self.code("user4@example.test"), self.code("user4@example.test", "wrong"),
            self.code("nobody@example.test")})
        self.assertEqual(found, {"SYS/TEMP"}, "without a database nobody's password is wrong")
        self.assertEqual(eventually(lambda: self.code("user4@example.test") == "OK"), True)
        self.assertEqual(self.code("user4@example.test", "wrong"), "AUTH")

    def test_disabled_with_a_wrong_password_looks_like_anybody(self):
        """Only who knows the password learns that the account is disabled."""
        self.bed.ctl("user", "disable", "user6@example.test", check=True)
        self.assertEqual(self.code("user6@example.test", "wrong"), "AUTH")
        self.assertEqual(self.code("user6@example.test"), "SYS/PERM")

    def test_in_use_then_free(self):
        first = self.bed.login("user1@example.test")
        self.assertEqual(self.code("user1@example.test"), "IN-USE")
        self.assertEqual(self.code("user1@example.test", "wrong"), "AUTH")
        first.close()  # without QUIT: the lock goes with the connection
        self.assertTrue(eventually(lambda: self.code("user1@example.test") == "OK", 5))


class OwnTables(BedCase):
    """An admin's own tables and query, and the domains' flags of ours."""
    options = ("--users", "2")

    def database(self):
        return sqlite3.connect(os.path.join(self.bed.bed_dir, "auth", "users.db"))

    def answer(self, user, password):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + password)
            return "OK" if answer.startswith(b"+OK") else code_of(answer)

    def test_a_disabled_domain(self):
        for enabled, want in ((0, "SYS/PERM"), (1, "OK")):
            with self.database() as db:
                db.execute("UPDATE domains SET enabled = ?", (enabled,))
            db.close()
            self.assertEqual(self.answer("user1@example.test", "secret"), want)

    def test_a_query_of_the_admin_s_own(self):
        place = os.path.join(self.bed.bed_dir, "mail", "panel")
        with self.database() as db:
            db.execute("CREATE TABLE accounts (email TEXT, crypt TEXT, maildir TEXT, active INT)")
            db.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?)", [
                ("ann@panel.test", "{PLAIN}one", place, 1),
                ("eve@panel.test", "{PLAIN}two", place, 0)])
        db.close()
        self.bed.configure({"auth.sqlite.lookup_query":
                            "SELECT crypt AS password, 'maildir:' || maildir AS maildrop, "
                            "active AS enabled FROM accounts WHERE email = :user"})
        self.bed.ctl("reload", check=True)
        try:
            self.assertEqual(self.answer("ann@panel.test", "one"), "OK")
            self.assertEqual(self.answer("ann@panel.test", "two"), "AUTH")
            self.assertEqual(self.answer("eve@panel.test", "two"), "SYS/PERM")
            self.assertEqual(self.answer("user1@example.test", "secret"), "AUTH")
            self.assertEqual(self.answer("x'OR(1=1)--", "one"), "AUTH")
        finally:
            self.bed.configure({})
            self.bed.ctl("reload", check=True)


class Refusals(BedCase):
    """The product's own limits: a delay, and an end after a few tries."""
    options = ("--users", "1", "--set", "auth.failure_delay=1s",
               "--set", "login.max_auth_failures=3")

    def test_delay_and_end(self):
        with self.bed.connect() as client:
            watch = stopwatch()
            for _ in range(3):
                client.send(b"USER user1@example.test\r\nPASS wrong\r\n")
                self.assertTrue(client.line().startswith(b"+OK"))
                self.assertEqual(code_of(client.line()), "AUTH")
            self.assertGreater(watch(), 2.5)
            client.expect_end(5)

    def test_a_delay_costs_nobody_else(self):
        slow = [self.bed.connect() for _ in range(20)]
        for client in slow:
            client.send(b"USER user1@example.test\r\nPASS wrong\r\n")
        watch = stopwatch()
        with self.bed.login() as client:
            client.quit()
        self.assertLess(watch(), 0.9)
        for client in slow:
            client.line()
            self.assertEqual(code_of(client.line()), "AUTH")
            client.close()


class DelayHidesWork(BedCase):
    """The delay after a failure counts from its beginning: a hash that takes long does not show."""
    options = ("--users", "1", "--scheme", "ARGON2ID", "--set", "auth.argon2_passes=20",
               "--set", "auth.failure_delay=3s")

    def test_a_costly_hash_takes_no_longer(self):
        with self.bed.connect() as client:
            client.send(b"USER user1@example.test\r\n")
            client.line()
            watch = stopwatch()
            client.send(b"PASS wrong\r\n")
            self.assertEqual(code_of(client.line()), "AUTH")
            took = watch()
        self.assertGreater(took, 2.9)
        self.assertLess(took, 3.2)  # the hash alone takes half a second


class Timing(BedCase):
    """The same time for a wrong password and an unknown user, with real hashes."""
    options = ("--users", "2", "--scheme", "ARGON2ID")

    def took(self, user):
        with Client(self.bed.host, self.bed.port) as client:
            client.ok("USER " + user)
            watch = stopwatch()
            self.assertEqual(code_of(client.cmd("PASS wrong")), "AUTH")
            return watch()

    def test_unknown_takes_as_long_as_wrong(self):
        self.took("user1@example.test")
        known, unknown = [], []
        for number in range(15):
            known.append(self.took("user1@example.test"))
            unknown.append(self.took("nobody%d@example.test" % number))
        known, unknown = statistics.median(known), statistics.median(unknown)
        self.assertGreater(min(known, unknown), 0.005, "no hash was worked out at all")
        self.assertLess(max(known, unknown) / min(known, unknown), 1.5)


if __name__ == "__main__":
    unittest.main()
