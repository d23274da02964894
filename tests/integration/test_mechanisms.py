# SPDX-License-Identifier: MIT
"""The ways to log in beside a password in clear: what is offered when, that each works with real
clients, and what each must refuse. sasl.py speaks the client's side."""
import base64
import json
import os
import poplib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest

import sasl
from bed import IS_ROOT, WAIT, Bed, BedCase, b64, lenient

ALL = ("USER APOP SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER "
       "XOAUTH2 CRAM-MD5 PLAIN LOGIN ANONYMOUS")
SECRET = b"a key that only the issuer and the server have"
MAIL = b"Subject: one\r\n\r\nbody\r\n"


def offered(client):
    """What CAPA says of SASL, and whether it says USER."""
    lines = client.lines("CAPA")
    found = [line.split(" ")[1:] for line in lines if line.startswith("SASL ")]
    return (found[0] if found else []), "USER" in lines


def openssl(*args, text=None):
    subprocess.run(["openssl", *args], check=True, input=text, text=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)


class ClientCA:
    """An authority for clients' certificates, in a folder of its own."""

    def __init__(self, folder, name="Clients"):
        self.folder, self.name = folder, name
        self.ca = self._path(".pem")
        openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-days", "3650", "-subj", "/CN=" + name, "-out", self.ca,
                "-keyout", self._path(".key"), "-addext", "keyUsage=critical,keyCertSign")
        os.chmod(self.ca, 0o644)

    def _path(self, ending):
        return os.path.join(self.folder, self.name + ending)

    def issue(self, email, cn="Somebody", use="clientAuth", days=30):
        """The paths of a certificate and its key."""
        stem = self._path("-%d" % len(os.listdir(self.folder)))
        openssl("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj",
                "/CN=" + cn, "-out", stem + ".csr", "-keyout", stem + ".key")
        with open(stem + ".ext", "w", encoding="ascii") as f:
            f.write("extendedKeyUsage=%s\n" % use)
            if email:
                f.write("subjectAltName=%s\n" % ",".join("email:" + e for e in email.split()))
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", self.ca, "-CAkey",
                self._path(".key"), "-days", str(days), "-set_serial",
                str(len(os.listdir(self.folder))), "-extfile", stem + ".ext", "-out",
                stem + ".crt")
        return stem + ".crt", stem + ".key"


def showing(pair, **how):
    context = lenient(**how)
    context.load_cert_chain(*pair)
    return context


class Mechanisms(BedCase):
    """Everything is on."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="postern-clients-")
        os.chmod(folder, 0o755)
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", folder], check=True)
        cls.clients = ClientCA(folder)
        cls.others = ClientCA(folder, "Others")
        keys = os.path.join(folder, "keys.json")
        with open(keys, "w", encoding="ascii") as f:
            secret = base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()
            json.dump({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": secret}]}, f)
        os.chmod(keys, 0o644)
        cls.options = (
            "--users", "3", "--strict-port", "--set=auth.mechanisms=" + ALL,
            "--set=auth.backends=oauth2 sqlite", "--set=auth.oauth2.keys=" + keys,
            "--set=auth.oauth2.audience=*", "--set=auth.oauth2.issuer=https://id.example.test",
            "--set=tls.client_ca=" + cls.clients.ca, "--set=auth.workers=2",
            "--set=auth.anonymous=user3@example.test", "--set=log.level=debug",
            "--set=login.max_bad_commands=1000")
        super().setUpClass()
        for scheme in ("SCRAM-SHA-256", "SCRAM-SHA-1", "ARGON2ID", "PLAIN"):
            cls.bed.ctl("-s", "auth.backends=sqlite", "user", "add", "--password-stdin", "--scheme", scheme,
                        cls.stored(scheme), text="secret\n", check=True)
        cls.bed.ctl("-s", "auth.backends=sqlite", "user", "add", "--password-stdin", "--scheme", "SCRAM-SHA-256",
                    "off@example.test", text="secret\n", check=True)
        cls.bed.ctl("-s", "auth.backends=sqlite", "user", "disable", "off@example.test", check=True)
        cls.bed.deliver(MAIL)

    @staticmethod
    def stored(scheme):
        return "%s@example.test" % scheme.lower()

    def assert_in(self, line, client):
        self.assertTrue(line.startswith(b"+OK"), line)
        client.stat()

    def assert_wrong(self, line):
        self.assertEqual(line, b"-ERR [AUTH] authentication failed")

    # -- what is offered -------------------------------------------------------------------------

    TLS_ONLY = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "OAUTHBEARER", "XOAUTH2"}

    def test_capa_shows_what_would_work_now(self):
        everywhere = [m for m in ALL.split() if m not in self.TLS_ONLY
                      | {"USER", "APOP", "EXTERNAL", "ANONYMOUS"}]
        tls = [m for m in ALL.split() if m not in ("USER", "APOP", "EXTERNAL", "ANONYMOUS")]
        with self.bed.connect() as c:
            self.assertEqual(offered(c), (everywhere, True))
            self.assertIn(b"@postern>", c.greeting)
            c.ok("STLS")
            c.start_tls()
            self.assertEqual(offered(c), (tls, True))
            self.assertEqual(c.lines("AUTH"), tls)
        with self.bed.connect(tls=True, name="mail.example.test") as c:
            self.assertEqual(offered(c)[0], tls + ["ANONYMOUS"])
        pair = self.clients.issue(self.bed.user)
        with self.bed.connect(tls=True, context=showing(pair)) as c:
            self.assertEqual(offered(c)[0], [m for m in ALL.split()
                                             if m not in ("USER", "APOP", "ANONYMOUS")])
            line = sasl.start(c, "EXTERNAL", b"")
            self.assert_in(line, c)
            self.assertEqual(offered(c)[0], [m for m in ALL.split()
                                             if m not in ("USER", "APOP", "ANONYMOUS")])

    def test_without_tls_a_strict_listener_offers_nothing(self):
        with self.bed.connect(strict=True) as c:
            self.assertEqual(offered(c), ([], False))
            self.assertNotIn(b"<", c.greeting)
            for mechanism in ALL.split()[2:]:
                c.err("AUTH " + mechanism, "SYS/PERM")
            c.err("APOP %s %032d" % (self.bed.user, 0), "SYS/PERM")
            c.ok("STLS")
            c.start_tls()
            self.assertIn("PLAIN", offered(c)[0])

    def test_what_is_not_offered_is_refused(self):
        with self.bed.connect() as c:
            for mechanism in sorted(self.TLS_ONLY | {"EXTERNAL", "ANONYMOUS"}):
                self.assertIn(b"not offered here", c.err("AUTH " + mechanism, ""))
            for name in ("USER", "APOP", "SCRAM-SHA-512", "DIGEST-MD5", "X" * 200):
                self.assertEqual(c.err("AUTH " + name, ""), b"-ERR unknown mechanism")

    def test_the_greeting_is_forgotten_with_stls(self):
        with self.bed.connect() as c:
            c.ok("STLS")
            c.start_tls()
            self.assertIn(b"not offered", sasl.apop(c, self.bed.user, "secret"))

    # -- APOP and CRAM-MD5 -------------------------------------------------------------------------

    def test_apop(self):
        for tls in (False, True):
            with self.bed.connect(tls=tls) as c:
                self.assert_wrong(sasl.apop(c, self.bed.user, "wrong"))
                self.assert_wrong(sasl.apop(c, "nobody@example.test", "secret"))
                self.assert_wrong(sasl.apop(c, self.stored("ARGON2ID"), "secret"))
                self.assert_in(sasl.apop(c, self.bed.user, "secret"), c)

    def test_no_two_greetings_are_alike(self):
        stamps = set()
        for _ in range(50):
            with self.bed.connect() as c:
                stamps.add(re.search(rb"<(.*)>", c.greeting).group(1))
        self.assertEqual(len(stamps), 50)
        self.assertTrue(all(len(s) > 40 for s in stamps))

    def test_an_apop_digest_of_another_connection_is_wrong(self):
        with self.bed.connect() as one, self.bed.connect() as other:
            other.greeting = one.greeting
            self.assert_wrong(sasl.apop(other, self.bed.user, "secret"))

    def test_cram_md5(self):
        with self.bed.connect() as c:
            self.assert_wrong(sasl.cram_md5(c, self.bed.user, "wrong"))
            self.assert_wrong(sasl.cram_md5(c, "nobody@example.test", "secret"))
            self.assert_wrong(sasl.cram_md5(c, self.stored("SCRAM-SHA-256"), "secret"))
            sasl.challenge(sasl.start(c, "CRAM-MD5"))
            self.assertEqual(sasl.respond(c, b"nospace"), b"-ERR not a CRAM-MD5 response")
            self.assertTrue(sasl.start(c, "CRAM-MD5", b"x y").startswith(b"-ERR CRAM-MD5 has no"))
            one = sasl.challenge(sasl.start(c, "CRAM-MD5"))
            c.err("*", "")
            self.assertNotEqual(one, sasl.challenge(sasl.start(c, "CRAM-MD5")))
            c.err("*", "")
            self.assert_in(sasl.cram_md5(c, self.bed.user, "secret"), c)

    # -- SCRAM ---------------------------------------------------------------------------------------

    def test_scram(self):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
            for user in (self.bed.user, self.stored(mechanism)):
                for initial in (True, False):
                    with self.subTest(mechanism, user=user, initial=initial), \
                            self.bed.connect(tls=not initial) as c:
                        self.assert_in(sasl.Scram(user, "secret", mechanism).run(c, initial), c)

    def test_scram_refuses_who_does_not_know_the_password(self):
        with self.bed.connect() as c:
            for user, password in ((self.bed.user, "wrong"), ("nobody@example.test", "secret"),
                                   (self.stored("ARGON2ID"), "secret"),
                                   (self.stored("SCRAM-SHA-1"), "secret"),
                                   (self.stored("SCRAM-SHA-256"), "wrong")):
                self.assert_wrong(sasl.Scram(user, password).run(c))
            self.assert_wrong(sasl.Scram("off@example.test", "wrong").run(c))
            line = sasl.Scram("off@example.test", "secret").run(c)
            self.assertTrue(line.startswith(b"-ERR [SYS/PERM]"), line)

    def test_a_user_who_is_not_there_has_a_salt_that_stays(self):
        """Over workers, connections and a reload; another name has another."""
        def ask(user, mechanism="SCRAM-SHA-256"):
            with self.bed.connect() as c:
                x = sasl.Scram(user, "secret", mechanism)
                self.assertIsNone(x.begin(c))
                c.err("*", "")
                return x.salt, x.iterations
        first = ask("nobody@example.test")
        self.assertEqual({ask("nobody@example.test") for _ in range(12)}, {first})
        self.assertNotEqual(first, ask("nobodi@example.test"))
        self.assertNotEqual(first, ask("nobody@example.test", "SCRAM-SHA-1"))
        self.assertEqual(len(base64.b64decode(first[0])), 16)
        self.assertEqual(first[1], ask(self.bed.user)[1])
        done = len(self.bed.events("reload.done"))
        self.bed.ctl("reload", check=True)
        self.assertEqual(ask("nobody@example.test"), first, done)

    def test_scram_refuses_changed_messages(self):
        def changed(change):
            x = sasl.Scram(self.bed.user, "secret")
            with self.bed.connect() as c:
                self.assertIsNone(x.begin(c))
                x.make_final()
                x.final = change(x)
                return sasl.respond(c, x.final)
        for change in (lambda x: x.final + b"x", lambda x: x.final.replace(b",r=", b",r=a"),
                       lambda x: x.final.replace(b"c=biws", b"c=eSws"), lambda x: b"",
                       lambda x: x.final + b"\0", lambda x: b"p=" + b64(bytes(32)),
                       lambda x: x.final[:-4] + (b"AAA=" if x.final[-4:] != b"AAA=" else b"BBA=")):
            self.assert_wrong(changed(change))
        for first in (b"n,,m=x,n=user,r=abc", b"n,,n=,r=abc", b"n,,n=a=b,r=abc", b"x,,n=a,r=b",
                      b"", b"n,,n=a\0b,r=abc", b"n,,n=" + b"a" * 256 + b",r=b", b"n,,n=a",
                      b"n,a=bob,n=user1@example.test,r=abc"):
            with self.subTest(first), self.bed.connect() as c:
                x = sasl.Scram(self.bed.user, "secret")
                x.first = first
                self.assert_wrong(x.begin(c))

    def test_scram_guards_the_channel_binding(self):
        """A binding under the plain name; "y" where one was offered; -PLUS without one."""
        user = self.bed.user
        with self.bed.connect(tls=True) as c:
            for gs2 in (b"p=tls-exporter,,", b"p=tls-unique,,", b"y,,"):
                self.assert_wrong(sasl.Scram(user, "secret", gs2=gs2).run(c))
            for gs2 in (b"n,,", b"y,,", b"p=tls-unique,,", b"p=tls-server-end-point,,", b"p=,,"):
                self.assert_wrong(sasl.Scram(user, "secret", "SCRAM-SHA-256-PLUS", gs2).run(c))
            for binding in (b"", bytes(32)):
                self.assert_wrong(sasl.Scram(user, "secret", "SCRAM-SHA-256-PLUS",
                                             b"p=tls-exporter,,", binding).run(c))
            self.assert_in(sasl.Scram(user, "secret").run(c), c)
        with self.bed.connect() as c:  # without TLS there is none that could have been offered
            self.assert_in(sasl.Scram(user, "secret", gs2=b"y,,").run(c), c)

    def test_scram_ends_with_the_servers_proof(self):
        with self.bed.connect() as c:
            x = sasl.Scram(self.bed.user, "secret")
            self.assertIsNone(x.begin(c))
            x.make_final()
            self.assertEqual(sasl.challenge(sasl.respond(c, x.final)), b"v=" + b64(x.signature))
            self.assertEqual(c.cmd("*"), b"-ERR authentication cancelled")
            c.err("STAT", "")
            self.assert_in(sasl.Scram(self.bed.user, "secret").run(c), c)

    def test_scram_in_one_piece(self):
        """Nothing waits for the greeting or for an answer that it need not know."""
        with self.bed.connect() as c:
            x = sasl.Scram(self.bed.user, "secret")
            self.assertIsNone(x.begin(c))
            x.make_final()
            c.send(b64(x.final) + b"\r\n\r\nSTAT\r\nQUIT\r\n")
            self.assertTrue(c.line().startswith(b"+ "))
            self.assertEqual([c.line()[:3] for _ in range(3)], [b"+OK"] * 3)

    def test_an_exchange_is_for_its_own_connection(self):
        with self.bed.connect() as one, self.bed.connect() as other:
            a, b = (sasl.Scram(self.bed.user, "secret") for _ in range(2))
            self.assertIsNone(a.begin(one))
            self.assertIsNone(b.begin(other))
            a.make_final()
            self.assert_wrong(sasl.respond(other, a.final))
            self.assert_in(a.finish(one), one)

    # -- EXTERNAL --------------------------------------------------------------------------------------

    def test_external(self):
        pair = self.clients.issue(self.bed.user.upper())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for authzid in (b"", self.bed.user.encode()):
                context = showing(pair, minimum=version, maximum=version)
                with self.bed.connect(tls=True, context=context) as c:
                    self.assert_wrong(sasl.start(c, "EXTERNAL", b"user2@example.test"))
                    self.assert_in(sasl.start(c, "EXTERNAL", authzid), c)
        with self.bed.connect(tls=True, context=showing(pair)) as c:
            self.assertEqual(sasl.challenge(c.cmd("AUTH EXTERNAL")), b"")
            self.assert_in(c.cmd(""), c)

    def test_certificates_that_do_not_count(self):
        for pair in (self.others.issue(self.bed.user), self.clients.issue(""),
                     self.clients.issue(self.bed.user, use="serverAuth")):
            with self.subTest(pair[0]):
                with self.bed.connect(tls=True, context=showing(pair)) as c:
                    self.assertNotIn("EXTERNAL", offered(c)[0])
                    c.err("AUTH EXTERNAL =", "")
                    c.login(self.bed.user, "secret")  # a password is still a password
        self.assertTrue(self.bed.events("login.certificate"))

    def test_a_certificate_for_nobody_is_a_wrong_password(self):
        for name in ("nobody@example.test", "../x@example.test"):
            pair = self.clients.issue(name)
            with self.bed.connect(tls=True, context=showing(pair)) as c:
                self.assert_wrong(sasl.start(c, "EXTERNAL", b""))

    def test_a_resumed_session_has_its_certificate(self):
        context = showing(self.clients.issue(self.bed.user), maximum=ssl.TLSVersion.TLSv1_2)
        with self.bed.connect(tls=True, context=context) as c:
            session = c.sock.session
            self.assertIn("EXTERNAL", offered(c)[0])
        other = self.bed.connect()
        try:
            other.ok("STLS")
            other.sock = context.wrap_socket(other.sock, server_hostname="localhost",
                                             session=session)
            resumed = other.sock.session_reused
            if "EXTERNAL" in offered(other)[0]:
                self.assert_in(sasl.start(other, "EXTERNAL", b""), other)
            self.assertTrue(resumed)
        finally:
            other.close()

    # -- tokens ------------------------------------------------------------------------------------------

    def token(self, user, **more):
        claims = {"iss": "https://id.example.test", "aud": "mail", "email": user,
                  "email_verified": True, "exp": int(time.time()) + 300}
        return sasl.jwt(SECRET, dict(claims, **more))

    def test_tokens(self):
        user = self.bed.user
        for mechanism in ("OAUTHBEARER", "XOAUTH2"):
            good = sasl.bearer(user, self.token(user), mechanism)
            for initial in (True, False):
                with self.bed.connect(tls=True) as c:
                    if initial and len(b64(good)) < 900:
                        line = sasl.start(c, mechanism, good)
                    else:
                        self.assertEqual(sasl.challenge(sasl.start(c, mechanism)), b"")
                        line = sasl.respond(c, good)
                    self.assert_in(line, c)
        with self.bed.connect(tls=True) as c:  # the token alone says who it is
            self.assertEqual(sasl.challenge(sasl.start(c, "OAUTHBEARER")), b"")
            self.assert_in(sasl.respond(c, sasl.bearer("", self.token(user))), c)

    def test_a_token_that_does_not_count(self):
        user = self.bed.user
        for mechanism in ("OAUTHBEARER", "XOAUTH2"):
            for message in (sasl.bearer(user, "not.a.token", mechanism),
                            sasl.bearer(user, self.token("user2@example.test"), mechanism),
                            sasl.bearer(user, self.token(user, exp=1), mechanism),
                            sasl.bearer("nobody@example.test", self.token("nobody@example.test"),
                                        mechanism),
                            b"nonsense", b"", b"n,,\x01auth=\x01\x01", b"p=tls-exporter,,\x01\x01"):
                with self.subTest(mechanism, message=message), self.bed.connect(tls=True) as c:
                    sasl.start(c, mechanism)
                    said = json.loads(sasl.challenge(sasl.respond(c, message)))
                    self.assertIn("status", said)
                    self.assert_wrong(sasl.respond(c, b"\x01"))
                    c.login(user, "secret")

    def test_after_a_refused_token_whatever_the_client_says(self):
        for answer in (b"*", b"", b"!!", b"x" * 20000, b"QUIT"):
            with self.subTest(answer[:10]), self.bed.connect(tls=True) as c:
                sasl.start(c, "XOAUTH2")
                sasl.challenge(sasl.respond(c, sasl.bearer(self.bed.user, "x.y.z", "XOAUTH2")))
                self.assert_wrong(c.cmd(answer))
                c.ok("CAPA")
                c.rest()

    # -- ANONYMOUS ---------------------------------------------------------------------------------------

    def test_anonymous_reads_and_deletes_nothing(self):
        self.bed.deliver(MAIL, user="user3@example.test")
        for name in ("example.test", "mail.example.test"):
            with self.bed.connect(tls=True, name=name) as c:
                self.assert_in(sasl.start(c, "ANONYMOUS", b"somebody"), c)
                self.assertEqual(c.lines("RETR 1"), ["Subject: one", "", "body"])
                c.err("DELE 1", "SYS/PERM")
                c.quit()
        self.assertEqual(len(self.bed.names("user3@example.test")), 1)
        self.bed.clear("user3@example.test")

    def test_anonymous_is_for_its_domain_alone(self):
        for name in ("localhost", "badexample.test", "example.test.org"):
            with self.bed.connect(tls=True, name=name) as c:
                self.assertNotIn("ANONYMOUS", offered(c)[0])
                c.err("AUTH ANONYMOUS =", "")

    # -- all of them ------------------------------------------------------------------------------------

    def test_the_log_says_who_and_how(self):
        with self.bed.connect() as c:
            sasl.Scram("logged@example.test", "x").run(c)
        e = self.bed.wait_event("login.failed", lambda e: e.get("user") == "logged@example.test")
        self.assertEqual(e["mech"], "SCRAM-SHA-256")
        self.assertNotIn("secret", self.bed.log_text())


    # -- real clients --------------------------------------------------------------------------------------

    def run_client(self, *command, ok=(0,), text=None, **more):
        env = {"HOME": self.home, "PATH": os.environ["PATH"], "LC_ALL": "C", "USER": "nobody"}
        run = subprocess.run(command, env=dict(env, **more), input=text, capture_output=True,
                             timeout=60, check=False, cwd=self.home)
        self.assertIn(run.returncode, ok, (command, run.stdout[-2000:], run.stderr[-2000:]))
        return run.stdout

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="postern-client-")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.home], check=True)

    def last_mechanism(self, before):
        seen = self.bed.events("login.ok")[before:]
        return [e["mech"] for e in seen]

    def curl(self, *options, tls=True, user=None, ok=(0,)):
        where = "pop3s://localhost:%d/1" % self.bed.tls_port if tls else (
            "pop3://localhost:%d/1" % self.bed.port)
        return self.run_client("curl", "-sS", "--cacert", self.bed.ca, "--user",
                               user or "%s:secret" % self.bed.user, *options, where, ok=ok)

    @unittest.skipUnless(shutil.which("curl"), "no curl")
    def test_curl(self):
        pair = self.clients.issue(self.bed.user)
        token = self.token(self.bed.user)
        ways = {
            "APOP": (["--login-options", "AUTH=+APOP"], False),
            "CRAM-MD5": (["--login-options", "AUTH=CRAM-MD5"], False),
            "PLAIN": (["--login-options", "AUTH=PLAIN"], True),
            "LOGIN": (["--login-options", "AUTH=LOGIN"], True),
            "OAUTHBEARER": (["--login-options", "AUTH=OAUTHBEARER", "--oauth2-bearer", token],
                            True),
        }
        for mechanism, (options, tls) in ways.items():
            for initial in ([], ["--sasl-ir"]):
                with self.subTest(mechanism, initial=initial):
                    before = len(self.bed.events("login.ok"))
                    self.assertEqual(self.curl(*options, *initial, tls=tls), MAIL)
                    self.assertEqual(self.last_mechanism(before), [mechanism])
        with self.subTest("EXTERNAL"):
            before = len(self.bed.events("login.ok"))
            self.assertEqual(self.curl("--login-options", "AUTH=EXTERNAL", "--cert", pair[0],
                                       "--key", pair[1], user=self.bed.user + ":"), MAIL)
            self.assertEqual(self.last_mechanism(before), ["EXTERNAL"])
        with self.subTest("refused"):
            self.curl("--oauth2-bearer", "wrong", ok=(67,))
        with self.subTest("XOAUTH2"):  # which it takes only where OAUTHBEARER is not offered
            bed = Bed(*[o.replace(ALL, "XOAUTH2") for o in self.options])
            self.addCleanup(bed.stop)
            bed.deliver(MAIL)
            for options in ([], ["--sasl-ir"]):
                self.assertEqual(
                    self.run_client("curl", "-sS", "--cacert", bed.ca, "--user", bed.user + ":",
                                    "--oauth2-bearer", token, *options,
                                    "pop3s://localhost:%d/1" % bed.tls_port), MAIL)
            self.assertEqual({e["mech"] for e in bed.events("login.ok")}, {"XOAUTH2"})

    @unittest.skipUnless(shutil.which("mpop"), "no mpop")
    def test_mpop(self):
        pair = self.clients.issue(self.bed.user)
        for auth, mechanism in (("scram-sha-256", "SCRAM-SHA-256"), ("scram-sha-1", "SCRAM-SHA-1"),
                                ("cram-md5", "CRAM-MD5"), ("apop", "APOP"), ("plain", "PLAIN"),
                                ("login", "LOGIN"), ("user", "USER"), ("external", "EXTERNAL")):
            with self.subTest(auth):
                box = os.path.join(self.home, auth)
                for part in ("cur", "new", "tmp"):
                    os.makedirs(os.path.join(box, part))
                rc = os.path.join(self.home, "rc")
                with open(rc, "w", opener=lambda p, f: os.open(p, f, 0o600), encoding="ascii") as f:
                    f.write("account a\nhost localhost\nport %d\nuser %s\npassword secret\n"
                            "tls on\ntls_starttls off\ntls_trust_file %s\nauth %s\n"
                            "tls_cert_file %s\ntls_key_file %s\nuidls_file %s/uidls-%s\n"
                            "delivery maildir %s\nkeep on\naccount default : a\n" % (
                                self.bed.tls_port, self.bed.user, self.bed.ca, auth, *pair,
                                self.home, auth, box))
                before = len(self.bed.events("login.ok"))
                self.run_client("mpop", "-C", rc)
                self.assertEqual(self.last_mechanism(before), [mechanism])
                self.assertEqual(len(os.listdir(os.path.join(box, "new"))), 1)

    def test_poplib(self):
        before = len(self.bed.events("login.ok"))
        client = poplib.POP3("localhost", self.bed.port, timeout=WAIT)
        client.apop(self.bed.user, "secret")
        self.assertEqual(client.stat()[0], 1)
        client.quit()
        client = poplib.POP3("localhost", self.bed.port, timeout=WAIT)
        with self.assertRaises(poplib.error_proto):
            client.apop(self.bed.user, "wrong")
        client.quit()
        self.assertEqual(self.last_mechanism(before), ["APOP"])

    @unittest.skipUnless(shutil.which("fetchmail"), "no fetchmail")
    def test_fetchmail(self):
        for protocol, auth, mechanism in (("APOP", "any", "APOP"), ("POP3", "cram-md5", "CRAM-MD5"),
                                          ("POP3", "password", "USER")):
            with self.subTest(protocol, auth=auth):
                rc = os.path.join(self.home, "fetchmailrc")
                with open(rc, "w", opener=lambda p, f: os.open(p, f, 0o600), encoding="ascii") as f:
                    f.write("poll localhost protocol %s port %d auth %s user '%s' password "
                            "'secret' keep sslproto '' mda 'cat >> %s/got'\n" % (
                                protocol, self.bed.port, auth, self.bed.user, self.home))
                before = len(self.bed.events("login.ok"))
                self.run_client("fetchmail", "-f", rc, "--nodetach", "-N", "-d0", "--idfile",
                                os.path.join(self.home, "ids"), "--fetchall",
                                FETCHMAILHOME=self.home)
                self.assertEqual(self.last_mechanism(before), [mechanism])

    @unittest.skipUnless(shutil.which("getmail"), "no getmail")
    def test_getmail(self):
        rc = os.path.join(self.home, "getmailrc")
        with open(rc, "w", encoding="ascii") as f:
            f.write("[retriever]\ntype = SimplePOP3Retriever\nserver = localhost\nport = %d\n"
                    "username = %s\npassword = secret\nuse_apop = true\n[destination]\n"
                    "type = MDA_external\npath = /usr/bin/tee\narguments = ('%s/got',)\n"
                    "allow_root_commands = true\n" % (
                        self.bed.port, self.bed.user, self.home))
        before = len(self.bed.events("login.ok"))
        self.run_client("getmail", "--getmaildir", self.home, "--rcfile", rc)
        self.assertEqual(self.last_mechanism(before), ["APOP"])
        with open(os.path.join(self.home, "got"), "rb") as f:
            self.assertIn(b"Subject: one", f.read())

    def gsasl(self, mechanism, *options, password="secret", ok=(0,)):
        """tests/support/sasl_client, GNU SASL's own client over GnuTLS."""
        program = os.path.join(self.bed.build, "tests/support/sasl_client")
        return self.run_client(program, str(self.bed.tls_port), mechanism, self.bed.user, password,
                               *options, ok=ok).decode()

    def test_gsasl(self):
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1",
                          "CRAM-MD5", "PLAIN", "LOGIN"):
            for version in ("1.3", "1.2"):
                with self.subTest(mechanism, version=version):
                    before = len(self.bed.events("login.ok"))
                    said = self.gsasl(mechanism, "--tls=" + version)
                    self.assertIn("+OK 1 ", said.splitlines()[-1])
                    self.assertEqual(self.last_mechanism(before), [mechanism])
                    self.assertIn("-ERR [AUTH]", self.gsasl(mechanism, "--tls=" + version,
                                                            password="wrong", ok=(1,)))
        with self.subTest("ANONYMOUS"):
            self.bed.deliver(MAIL, user="user3@example.test")
            self.assertIn("+OK 1 ", self.gsasl("ANONYMOUS", "--name=example.test"))
            self.bed.clear("user3@example.test")
        with self.subTest("EXTERNAL"):
            pair = self.clients.issue(self.bed.user)
            self.assertIn("+OK 1 ", self.gsasl("EXTERNAL", "--cert=" + pair[0],
                                               "--key=" + pair[1]))

    def test_a_binding_to_another_session_is_refused(self):
        """As whoever sits between would have it: each end has a session of its own."""
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"):
            said = self.gsasl(mechanism, "--other-binding", ok=(1,))
            self.assertIn("-ERR [AUTH]", said)

    def test_plus_is_offered_where_there_is_a_binding(self):
        """TLS 1.2 without the extended master secret has none (RFC 9266 section 2)."""
        self.assertIn("PLUS", self.gsasl("CAPA", "--tls=1.2"))
        self.assertNotIn("PLUS", self.gsasl("CAPA", "--tls=1.2-no-ems"))
        self.assertIn("SCRAM-SHA-256", self.gsasl("CAPA", "--tls=1.2-no-ems"))
        self.assertIn("not offered", self.gsasl("SCRAM-SHA-256-PLUS", "--tls=1.2-no-ems",
                                                "--other-binding", ok=(1,)))


class Times(unittest.TestCase):
    """A wrong password and a user who is not there: the same messages in the same time."""

    DELAY = 0.4

    def test_each_mechanism(self):
        bed = Bed("--users", "1", "--set=auth.mechanisms=APOP CRAM-MD5 SCRAM-SHA-256 PLAIN",
                  "--set=auth.failure_delay=400ms")
        self.addCleanup(bed.stop)
        bed.ctl("user", "add", "--password-stdin", "--scheme", "SCRAM-SHA-256", "s@example.test",
                text="secret\n", check=True)

        def shape(user, attempt):
            with bed.connect() as c:
                began = time.monotonic()
                steps = attempt(c, user)
                return steps, time.monotonic() - began

        def scram(c, user):
            x = sasl.Scram(user, "wrong")
            self.assertIsNone(x.begin(c))
            return [len(x.server_first) - len(x.iterations), x.finish(c)]
        for attempt in (scram, lambda c, u: [sasl.apop(c, u, "wrong")],
                        lambda c, u: [sasl.cram_md5(c, u, "wrong")]):
            seen = [shape(u, attempt) for u in (bed.user, "nobody@example.test", "s@example.test")]
            self.assertEqual(len({repr(s) for s, _ in seen}), 1, seen)
            for _, took in seen:
                self.assertGreaterEqual(took, self.DELAY - 0.02)
                self.assertLess(took, self.DELAY + 1.0)


class Lost(unittest.TestCase):
    """A worker that dies between two steps."""

    def test_a_lost_exchange_is_a_temporary_failure(self):
        bed = Bed("--users", "1", "--set=auth.mechanisms=USER SCRAM-SHA-256")
        self.addCleanup(bed.stop)
        bed.allow("worker.died")
        with bed.connect() as c:
            x = sasl.Scram(bed.user, "secret")
            self.assertIsNone(x.begin(c))
            old = bed.workers("auth")
            for pid in old:
                os.kill(pid, 9)
            deadline = time.monotonic() + WAIT
            while set(bed.workers("auth")) & set(old) or len(bed.workers("auth")) < len(old):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            x.make_final()
            self.assertTrue(sasl.respond(c, x.final).startswith(b"-ERR [SYS/TEMP]"))
            self.assertTrue(sasl.Scram(bed.user, "secret").run(c).startswith(b"+OK"))


if __name__ == "__main__":
    unittest.main()
