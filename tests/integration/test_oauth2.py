# SPDX-License-Identifier: MIT
"""The plugin oauth2 with the mechanisms OAUTHBEARER and XOAUTH2: signed tokens, and an issuer that is
asked over HTTPS."""
import base64
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from bed import Bed, code_of, eventually

BUILD = os.environ.get("POSTERN_BUILD", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__)))))
HAVE = os.path.exists(os.path.join(BUILD, "plugins.d", "oauth2.so"))


def b64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True,
                          timeout=60).stdout


class Issuer:
    """Keys, and tokens signed with them."""

    def __init__(self, home):
        self.home = home
        self.new_keys("one")

    def path(self, name):
        return os.path.join(self.home, name)

    def new_keys(self, kid):
        self.kid = kid
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                self.path("rsa.pem"))
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path("ec.pem"))
        modulus = openssl("rsa", "-in", self.path("rsa.pem"), "-noout", "-modulus")
        n = bytes.fromhex(modulus.decode().split("=")[1].strip())
        der = openssl("ec", "-in", self.path("ec.pem"), "-pubout", "-outform", "DER")
        point = der[-64:]
        jwks = {"keys": [
            {"kty": "RSA", "kid": kid, "use": "sig", "n": b64url(n), "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "kid": "ec-" + kid, "alg": "ES256",
             "x": b64url(point[:32]), "y": b64url(point[32:])}]}
        temporary = self.path("jwks.new")
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(jwks, f)
        os.chmod(temporary, 0o644)
        os.rename(temporary, self.path("jwks.json"))

    def sign(self, alg, text):
        if alg == "RS256":
            return openssl("dgst", "-sha256", "-sign", self.path("rsa.pem"), data=text)
        der = openssl("dgst", "-sha256", "-sign", self.path("ec.pem"), data=text)
        numbers, at = [], 2
        for _ in range(2):
            length = der[at + 1]
            numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big"))
            at += 2 + length
        return b"".join(n.to_bytes(32, "big") for n in numbers)

    def token(self, user, alg="RS256", **claims):
        body = {"iss": "https://id.example.test", "aud": "pop3", "scope": "mail openid",
                "email": user, "exp": int(time.time()) + 600}
        body.update(claims)
        kid = self.kid if alg == "RS256" else "ec-" + self.kid
        text = ".".join(b64url(json.dumps(part).encode()) for part in (
            {"alg": alg, "typ": "JWT", "kid": kid},
            {k: v for k, v in body.items() if v is not None}))
        return text + "." + b64url(self.sign(alg, text.encode()))


def bearer(user, token):
    return base64.b64encode(b"n,a=%s,\x01host=localhost\x01port=995\x01auth=Bearer %s\x01\x01" % (
        user.encode(), token.encode())).decode()


def xoauth2(user, token):
    return base64.b64encode(b"user=%s\x01auth=Bearer %s\x01\x01" % (
        user.encode(), token.encode())).decode()


class OAuth2Case(unittest.TestCase):
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="postern-oauth2-")
        os.chmod(cls.home, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.issuer = Issuer(cls.home)
        cls.prepare()
        options = ["--users", "3"]
        for text in ("auth.backends=oauth2 sqlite",
                     "auth.mechanisms=USER PLAIN OAUTHBEARER XOAUTH2",
                     "auth.oauth2.audience=pop3", "login.max_auth_failures=100", *cls.settings):
            options += ["--set", text]
        cls.bed = Bed(*options)
        cls.addClassCleanup(cls.bed.stop)

    @classmethod
    def prepare(cls):
        pass

    def ask(self, mechanism, response, tls=True):
        """The last answer, and the challenge that came before it or None."""
        with self.bed.connect(tls=tls) as client:
            challenge = None
            client.send(b"AUTH %s\r\n" % mechanism)
            answer = client.line()
            if answer.startswith(b"+ "):
                client.send(response.encode() + b"\r\n")
                answer = client.line()
            if answer.startswith(b"+ "):
                challenge = json.loads(base64.b64decode(answer[2:].strip()))
                client.send(b"AQ==\r\n" if mechanism == b"OAUTHBEARER" else b"\r\n")
                answer = client.line()
            return answer, challenge

    def assert_in(self, user, token):
        for mechanism, make in ((b"OAUTHBEARER", bearer), (b"XOAUTH2", xoauth2)):
            answer, challenge = self.ask(mechanism, make(user, token))
            self.assertTrue(answer.startswith(b"+OK"), answer)
            self.assertIsNone(challenge)

    def assert_out(self, user, token, status="invalid_token"):
        for mechanism, make in ((b"OAUTHBEARER", bearer), (b"XOAUTH2", xoauth2)):
            answer, challenge = self.ask(mechanism, make(user, token))
            self.assertEqual(code_of(answer), "AUTH", answer)
            self.assertEqual(challenge["status"], status)
        return challenge


@unittest.skipUnless(HAVE, "built without oauth2")
class Signed(OAuth2Case):
    """Tokens that a set of keys can judge."""

    @classmethod
    def prepare(cls):
        cls.settings = ("auth.oauth2.keys=" + cls.issuer.path("jwks.json"),
                        "auth.oauth2.issuer=https://id.example.test", "auth.oauth2.scope=mail",
                        "auth.oauth2.openid_configuration=https://id.example.test/.well-known")

    def test_good_tokens(self):
        self.assert_in("user1@example.test", self.issuer.token("user1@example.test"))
        self.assert_in("user2@example.test", self.issuer.token("user2@example.test", "ES256"))

    def test_what_is_wrong_with_a_token(self):
        user, sign = "user1@example.test", self.issuer.token
        now = int(time.time())
        for claims in ({"exp": now - 60}, {"exp": None}, {"nbf": now + 600}, {"aud": "imap"},
                       {"aud": None}, {"iss": "https://other.example"}, {"email": None},
                       {"email_verified": False}):
            with self.subTest(claims):
                self.assert_out(user, sign(user, **claims))
        challenge = self.assert_out(user, sign(user, scope="openid"), "insufficient_scope")
        self.assertEqual(challenge["scope"], "mail")
        self.assertIn("openid-configuration", challenge)

    def test_a_token_that_was_changed(self):
        good = self.issuer.token("user1@example.test")
        head, body, signature = good.split(".")
        other = self.issuer.token("user2@example.test").split(".")
        none = b64url(b'{"alg":"none"}')
        for token in (head + "." + other[1] + "." + signature, head + "." + body + "." + other[2],
                      none + "." + body + ".", none + "." + body + "." + signature, "x", "a.b.c"):
            with self.subTest(token[:20]):
                self.assert_out("user1@example.test", token)

    def test_it_is_for_its_own_user(self):
        token = self.issuer.token("user1@example.test")
        self.assert_out("user2@example.test", token)
        self.assert_out("nobody@example.test", token)
        self.assert_out("nobody@example.test", self.issuer.token("nobody@example.test"))

    def test_passwords_go_on(self):
        with self.bed.login("user1@example.test", tls=True) as client:
            client.quit()

    def test_not_without_tls(self):
        answer, _ = self.ask(b"OAUTHBEARER", bearer("user1@example.test", "x"), tls=False)
        self.assertTrue(answer.startswith(b"-ERR"), answer)

    def test_rubbish(self):
        good = self.issuer.token("user1@example.test")
        for text in (b"", b"n,,", b"n,a=user1@example.test,\x01\x01", b"\x01auth=Bearer x\x01\x01",
                     b"n,,\x01auth=Basic x\x01\x01", b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
                     b"n,,\x01auth=Bearer \x01\x01", b"n,,\x01auth=Bearer " + good.encode(),
                     b"n,,\x01auth\x01\x01", b"\0" * 40):
            with self.subTest(text[:30]):
                answer, _ = self.ask(b"OAUTHBEARER", base64.b64encode(text).decode() or "=")
                self.assertTrue(answer.startswith(b"-ERR"), answer)

    def test_new_keys_are_taken_up(self):
        old = self.issuer.token("user1@example.test")
        with open(self.issuer.path("jwks.json"), "rb") as f:
            saved = f.read()
        with open(self.issuer.path("jwks.json"), "wb") as f:
            f.write(saved[:100])
        self.assert_in("user1@example.test", old)  # a broken file changes nothing
        self.bed.allow("oauth.keys")
        self.assertTrue(self.bed.events("oauth.keys"))
        self.issuer.new_keys("two")
        self.assert_in("user1@example.test", self.issuer.token("user1@example.test"))
        self.assert_out("user1@example.test", old)

    def test_no_token_in_the_log(self):
        token = self.issuer.token("user3@example.test")
        self.assert_in("user3@example.test", token)
        self.assertNotIn(token, self.bed.log_text())
        self.assertNotIn(token.split(".")[2], self.bed.log_text())


class Endpoint(http.server.BaseHTTPRequestHandler):
    """RFC 7662, with answers that a test sets."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        server.asked.append((self.headers.get("Authorization"), form))
        answer = server.answer(form.get("token", [""])[0])
        status = 200
        if isinstance(answer, int):
            status, answer = answer, {}
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@unittest.skipUnless(HAVE, "built without oauth2")
class Asked(OAuth2Case):
    """Tokens that the issuer is asked about."""

    @classmethod
    def prepare(cls):
        ca, key, cert = (os.path.join(cls.home, n) for n in ("ca.pem", "key.pem", "ca.pem"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1")
        os.chmod(ca, 0o644)
        secret = os.path.join(cls.home, "secret")
        with open(secret, "w", encoding="utf-8") as f:
            f.write("s3cret of the client\n")
        os.chmod(secret, 0o644)
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        cls.server.socket = context.wrap_socket(cls.server.socket, server_side=True)
        cls.server.asked = []
        cls.server.answer = lambda token: {"active": False}
        thread = threading.Thread(target=cls.server.serve_forever)
        thread.start()

        def stop():
            cls.server.shutdown()
            thread.join()
            cls.server.server_close()
        cls.addClassCleanup(stop)
        cls.settings = (
            "auth.oauth2.introspection_url=https://127.0.0.1:%d/introspect" % (
                cls.server.server_address[1]),
            "auth.oauth2.ca_file=" + ca, "auth.oauth2.client_id=postern",
            "auth.oauth2.client_secret_file=" + secret, "auth.oauth2.timeout=2s")

    def setUp(self):
        self.server.asked.clear()
        self.server.answer = lambda token: {"active": False}

    def answer(self, **more):
        self.server.answer = lambda token: {"active": True, "email": "user1@example.test",
                                            "aud": "pop3", **more}

    def test_an_active_token(self):
        self.answer()
        self.assert_in("user1@example.test", "opaque+token/with=odd~characters")
        authorization, form = self.server.asked[0]
        self.assertEqual(base64.b64decode(authorization.split()[1]),
                         b"postern:s3cret of the client")
        self.assertEqual(form["token"], ["opaque+token/with=odd~characters"])
        self.assert_out("user2@example.test", "token")

    def test_one_that_is_not(self):
        self.assert_out("user1@example.test", "token")
        self.answer(exp=int(time.time()) - 100)
        self.assert_out("user1@example.test", "token")
        self.answer(aud="imap")
        self.assert_out("user1@example.test", "token")

    def test_an_issuer_that_fails(self):
        self.bed.allow("auth.backend_away")
        for answer in (500, 401, 302, b"no JSON", b"[]", b"{}", b'{"active":"yes"}',
                       b"x" * 100000):
            with self.subTest(answer if isinstance(answer, int) else answer[:10]):
                self.server.answer = lambda token, a=answer: a
                reply, _ = self.ask(b"XOAUTH2", xoauth2("user1@example.test", "token"))
                self.assertEqual(code_of(reply), "SYS/TEMP", reply)
        self.assertEqual(len(self.bed.events("auth.backend_away")) > 0, True)
        self.answer()
        self.assert_in("user1@example.test", "token")

    def test_one_that_does_not_answer(self):
        self.bed.allow("auth.backend_away")
        gate = threading.Event()
        self.server.answer = lambda token: gate.wait(20) and {"active": False}
        try:
            started = time.monotonic()
            reply, _ = self.ask(b"XOAUTH2", xoauth2("user1@example.test", "token"))
            self.assertEqual(code_of(reply), "SYS/TEMP", reply)
            self.assertLess(time.monotonic() - started, 8)
        finally:
            gate.set()
        self.answer()
        self.assertTrue(eventually(lambda: self.ask(
            b"XOAUTH2", xoauth2("user1@example.test", "token"))[0].startswith(b"+OK"), 10))

    def test_config_check_asks(self):
        self.answer()
        run = self.bed.ctl("config", "check", "--connect")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.server.answer = lambda token: 401
        run = self.bed.ctl("config", "check", "--connect")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("client_secret_file", run.stdout + run.stderr)
