# SPDX-License-Identifier: MIT
"""Who comes in besides the plain case: several backends, networks of a record, masters, a listener's
own domain; and that `posternctl auth explain` says the same as the server does."""
import os
import shutil
import statistics
import tempfile

from bed import BedCase, b64, code_of, stopwatch, to_octets

HERE, ELSEWHERE = ("127.0.0.1", 0), ("127.0.0.2", 0)


class ChainCase(BedCase):
    """A bed whose further backends read files, which are made before it starts."""
    files = {}
    users = ("--users", "3", "--user", "carol@example.test=sql")

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="postern-test-chain-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)
        cls.options = cls.users
        for name, text in cls.files.items():
            path = os.path.join(cls.folder, name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(path, 0o644)
            cls.options += ("--set", "auth.%s.plugin=passwdfile" % name,
                            "--set", "auth.%s.file=%s" % (name, path))
        cls.options += cls.settings()
        super().setUpClass()

    @classmethod
    def settings(cls):
        return ()

    def attempt(self, user, password, source=HERE, tls=False):
        """The answer to PASS."""
        with self.bed.connect(source=source, tls=tls) as client:
            client.ok(b"USER " + to_octets(user))
            return client.cmd(b"PASS " + to_octets(password))

    def refused(self, code, *args, **how):
        answer = self.attempt(*args, **how)
        self.assertTrue(answer.startswith(b"-ERR"), answer)
        self.assertEqual(code_of(answer), code, answer)
        return answer

    def let_in(self, *args, **how):
        answer = self.attempt(*args, **how)
        self.assertTrue(answer.startswith(b"+OK"), answer)

    def explain(self, user, *args, text=None, status=0):
        run = self.bed.ctl("auth", "explain", user, *args, text=text)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout


class Networks(ChainCase):
    files = {"files": "near@example.test:{PLAIN}secret::::::allow_nets=127.0.0.1,10.0.0.0/8\n"
                      "typo@example.test:{PLAIN}secret::::::allow_nets=127.0.0.1,nonsense\n"
                      "far@example.test:{PLAIN}secret::::::proxy=y host=pop.other.test\n"}
    allowed = ("auth.broken",)

    @classmethod
    def settings(cls):
        return ("--set", "auth.backends=files sqlite", "--set", "auth.failure_delay=200ms")

    def test_who_comes_from_elsewhere_reads_what_a_wrong_password_gets(self):
        self.let_in("near@example.test", "secret")
        outside = self.refused("AUTH", "near@example.test", "secret", source=ELSEWHERE)
        wrong = self.refused("AUTH", "near@example.test", "wrong")
        nobody = self.refused("AUTH", "nobody@example.test", "secret")
        self.assertEqual({outside, wrong, nobody}, {wrong})
        told = self.bed.wait_event("auth.refused", lambda e: e["user"] == "near@example.test")
        self.assertEqual((told["rule"], told["backend"]), ("allow_nets", "files"))
        self.assertIn("10.0.0.0/8", told["nets"])

    def test_at_the_same_time(self):
        def seconds(*args, **how):
            took = []
            for _ in range(7):
                watch = stopwatch()
                self.attempt(*args, **how)
                took.append(watch())
            return statistics.median(took)

        outside = seconds("near@example.test", "secret", source=ELSEWHERE)
        wrong = seconds("near@example.test", "wrong")
        self.assertLess(abs(outside - wrong), 0.05, (outside, wrong))
        self.assertGreater(outside, 0.19)

    def test_a_bad_network_lets_nobody_in_and_is_named(self):
        self.refused("SYS/PERM", "typo@example.test", "secret")
        self.refused("AUTH", "typo@example.test", "wrong")
        told = self.bed.wait_event("auth.broken", lambda e: e["user"] == "typo@example.test")
        self.assertIn("nonsense", told["text"])

    def test_a_user_of_another_server_is_refused_with_its_name_in_the_log(self):
        self.refused("SYS/PERM", "far@example.test", "secret")
        told = self.bed.wait_event("auth.broken", lambda e: e["user"] == "far@example.test")
        self.assertIn("pop.other.test", told["text"])

    def test_explain_says_so(self):
        said = self.explain("near@example.test", "--ip", "10.1.2.3")
        self.assertRegex(said, r"allow_nets +is met")
        self.assertRegex(said, r"password +stored as PLAIN")
        self.assertNotIn("secret", said)
        said = self.explain("near@example.test", "--ip", "192.0.2.1", status=1)
        self.assertRegex(said, r"allow_nets +is NOT met")
        self.assertRegex(said, r"result +no: -ERR \[AUTH\]")
        said = self.explain("typo@example.test", status=1)
        self.assertIn("nonsense", said)
        self.assertRegex(said, r"result +no: -ERR \[SYS/PERM\]")
        said = self.explain("far@example.test", status=1)
        self.assertIn("pop.other.test", said)


class Rules(ChainCase):
    files = {"first": "user1@example.test:{PLAIN}other\nalone@example.test:{PLAIN}x\n",
             "strict": "user2@example.test:{PLAIN}other\n"}
    allowed = ("auth.backend_away", "auth.broken")

    @classmethod
    def settings(cls):
        return ("--set", "auth.backends=first strict sqlite", "--set", "auth.first.on_wrong=next",
                "--set", "auth.failure_delay=0s")

    def test_a_wrong_password_passes_on_only_where_it_is_told_to(self):
        self.let_in("user1@example.test", "other")
        self.let_in("user1@example.test", "secret")
        told = self.bed.wait_event("auth.passed_on")
        self.assertEqual((told["wrong"], told["right"]), ("first", "sqlite"))
        self.refused("AUTH", "user1@example.test", "neither")
        self.let_in("user2@example.test", "other")
        self.refused("AUTH", "user2@example.test", "secret")
        self.let_in("user3@example.test", "secret")

    def test_refusals_say_the_same_of_everybody(self):
        answers = {self.attempt(user, "wrong") for user in (
            "user1@example.test", "user2@example.test", "user3@example.test",
            "alone@example.test", "nobody@example.test")}
        self.assertEqual(len(answers), 1, answers)

    def test_explain_names_the_rule_and_its_line(self):
        said = self.explain("user1@example.test", "--password-from", "-", text="secret\n")
        self.assertRegex(said, r"where the password is wrong: the next backend is asked "
                               r" \(auth\.first\.on_wrong: \S+:\d+\)")
        self.assertIn("first had found it wrong", said)
        self.assertRegex(said, r"backend +sqlite knows the user")
        self.assertRegex(said, r"result +yes\n")
        said = self.explain("user1@example.test", "--password-from", "-", text="no\n", status=1)
        self.assertRegex(said, r"password +wrong")
        for user in ("nobody@example.test", "../x"):
            self.assertRegex(self.explain(user, status=1), r"result +no: -ERR \[AUTH\]")


class Away(ChainCase):
    """The first backend's file was never there: it cannot tell."""
    files = {"gone": ""}
    allowed = ("auth.backend_away", "passwdfile.")

    @classmethod
    def settings(cls):
        os.unlink(os.path.join(cls.folder, "gone"))
        return ("--set", "auth.backends=gone sqlite", "--set", "auth.gone.on_temp=next",
                "--set", "auth.failure_delay=0s")

    def test_others_are_let_in_and_nobody_is_told_auth(self):
        self.let_in("user1@example.test", "secret")
        answers = {self.refused("SYS/TEMP", user, "wrong")
                   for user in ("user1@example.test", "nobody@example.test")}
        self.assertEqual(len(answers), 1, answers)

    def test_explain_ends_with_a_status_of_its_own(self):
        said = self.explain("nobody@example.test", status=3)
        self.assertRegex(said, r"where it cannot tell: the next backend is asked")
        self.assertRegex(said, r"result +later: -ERR \[SYS/TEMP\]")
        self.explain("user1@example.test")


class Masters(ChainCase):
    files = {"staff": "boss:{PLAIN}mighty\nhome:{PLAIN}mighty::::::allow_nets=10.0.0.0/8\n"
                      "gone:{PLAIN}mighty::::::nologin reason=left\n"}

    @classmethod
    def settings(cls):
        return ("--set", "auth.master_backends=staff", "--set", "auth.master_separator=*",
                "--set", "auth.failure_delay=0s")

    def as_master(self, client):
        self.bed.clear()
        self.bed.deliver(b"Subject: x\n\nx\n")
        client()
        names = self.bed.names()
        self.assertEqual(len(names), 1)

    def test_a_master_reads_the_owners_mail_and_deletes_nothing(self):
        def session():
            with self.bed.connect() as client:
                client.login("user1@example.test*boss", "mighty")
                self.assertEqual(client.stat()[0], 1)
                self.assertIn(b"Subject: x", client.multi("RETR 1"))
                self.assertEqual(code_of(client.cmd("DELE 1")), "SYS/PERM")
                client.quit()

        self.as_master(session)
        told = self.bed.wait_event("login.ok", lambda e: e.get("master") == "boss")
        self.assertEqual(told["user"], "user1@example.test")

    def test_plain_names_the_owner_as_authorization_identity(self):
        def session():
            with self.bed.connect(tls=True) as client:
                client.ok(b"AUTH PLAIN " + b64(b"user1@example.test\0boss\0mighty"))
                self.assertEqual(code_of(client.cmd("DELE 1")), "SYS/PERM")
                client.quit()

        self.as_master(session)
        with self.bed.connect() as client:
            answer = client.cmd(b"AUTH PLAIN " + b64(b"user1@example.test\0boss\0wrong"))
            self.assertEqual(code_of(answer), "AUTH")
            answer = client.cmd(
                b"AUTH PLAIN " + b64(b"user1@example.test\0user2@example.test\0secret"))
            self.assertEqual(code_of(answer), "AUTH")  # who is no master

    def test_the_owner_is_who_it_was(self):
        with self.bed.login() as client:
            self.bed.deliver(b"Subject: y\n\ny\n")
            client.quit()
        with self.bed.login() as client:
            client.ok("DELE 1")
            client.quit()

    def test_strangers_learn_nothing(self):
        answers = {self.attempt(user, password) for user in (
            "user1@example.test*boss", "nobody@example.test*boss", "user1@example.test*nobody",
            "user1@example.test*home", "user1@example.test*gone", "user1@example.test*")
            for password in ("wrong", "secret")}
        answers.add(self.attempt("user1@example.test*home", "mighty"))  # from elsewhere
        self.assertEqual(len(answers), 1, answers)
        self.assertEqual(code_of(answers.pop()), "AUTH")

    def test_masters_are_told(self):
        self.refused("AUTH", "nobody@example.test*boss", "mighty")
        told = self.bed.wait_event("auth.refused", lambda e: e.get("rule") == "owner")
        self.assertEqual((told["user"], told["master"]), ("nobody@example.test", "boss"))
        self.refused("SYS/PERM", "user1@example.test*gone", "mighty")

    def test_explain_has_both(self):
        said = self.explain("user1@example.test*boss", "--password-from", "-", text="mighty\n")
        self.assertRegex(said, r"backend +staff knows the user +\(auth\.master_backends: ")
        self.assertRegex(said, r"backend +sqlite knows the user +\(auth\.backends: ")
        self.assertRegex(said, r"read-only +DELE is refused +\(auth\.master_read_only: the default")
        self.assertRegex(said, r"result +yes")
        self.explain("nobody@example.test*boss", status=1)


class Domains(ChainCase):
    users = ("--users", "1", "--user", "ann@one.test=secret", "--user", "ann@example.test=secret",
             "--sni", "pop.one.test")

    @classmethod
    def settings(cls):
        return ("--set", "auth.default_domain=example.test",
                "--set", "listener.pop3s.default_domain=%{sni_domain}")

    def session_user(self, **how):
        with self.bed.connect(**how) as client:
            client.login("ann", "secret")
            client.quit()
        return self.bed.events("login.ok")[-1]["user"]

    def test_the_domain_is_the_listeners_or_the_clients(self):
        self.assertEqual(self.session_user(), "ann@example.test")
        self.assertEqual(self.session_user(tls=True, name="pop.one.test"), "ann@one.test")

    def test_explain_says_which(self):
        said = self.explain("ann")
        self.assertRegex(said, r"example\.test was added.*\(auth\.default_domain: \S+:\d+\)")
        said = self.explain("ann", "--listener", "pop3s", "--sni", "pop.one.test")
        self.assertRegex(said, r"one\.test was added.*\(listener\.pop3s\.default_domain: \S+:\d+\)")
        run = self.bed.ctl("auth", "explain", "ann", "--listener", "none")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no listener", run.stderr)
        for wrong in (("--tls", "2"), ("--password-from", "x"), ("--nothing",), ("b",)):
            self.assertEqual(self.bed.ctl("auth", "explain", "ann", *wrong).returncode, 2, wrong)
