# SPDX-License-Identifier: MIT
"""TLS: versions, STLS and what may not follow it, certificates by name, tickets, and who holds keys."""
import os
import re
import socket
import ssl
import subprocess
import time
import unittest

from bed import (BedCase, Client, Closed, WAIT, eventually, lenient, needs_root, to_octets)
from support import certs


def s_client(bed, *options, port=None, script=b"QUIT\r\n", stls=False, expect_failure=False):
    """openssl s_client's report and what the server said."""
    command = ["openssl", "s_client", "-connect", "%s:%d" % (bed.host, port or (
        bed.port if stls else bed.tls_port)), "-CAfile", bed.ca, "-ign_eof",
        *(["-starttls", "pop3"] if stls else []), *options]
    run = subprocess.run(command, input=script, capture_output=True, timeout=WAIT, check=False)
    text = (run.stdout + run.stderr).decode("latin-1")
    if expect_failure != (run.returncode != 0):
        raise AssertionError("%s: status %d\n%s" % (" ".join(command), run.returncode, text))
    return text


class Versions(BedCase):
    options = ("--users", "2", "--strict-port")
    user = "user1@example.test"

    def test_tls_1_2_and_1_3(self):
        for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            for stls in (False, True):
                with self.subTest(version=version, stls=stls):
                    text = s_client(self.bed, option, "-verify_return_error", "-servername",
                                    "localhost", "-verify_hostname", "localhost", stls=stls)
                    self.assertIn(version, text)
                    self.assertIn("Verification: OK", text)
                    self.assertRegex(text, r"AES.?(128|256).?GCM")

    def test_1_1_and_older_are_refused(self):
        """RFC 8996. The client's own policy is lowered, so that it is the server that refuses."""
        for option in ("-tls1_1", "-tls1"):
            for stls in (False, True):
                with self.subTest(option, stls=stls):
                    text = s_client(self.bed, option, "-cipher", "ALL:@SECLEVEL=0", stls=stls,
                                    expect_failure=True)
                    self.assertRegex(text, r"alert protocol version|alert number 70")

    def test_what_a_sound_server_does_not_offer(self):
        for cipher in ("NULL", "RC4", "3DES", "aNULL", "EXPORT", "kRSA"):
            with self.subTest(cipher):
                listed = subprocess.run(["openssl", "ciphers", cipher + ":@SECLEVEL=0"],
                                        capture_output=True, check=False)
                if listed.returncode != 0 or not listed.stdout.strip():
                    continue  # this OpenSSL cannot even offer it
                s_client(self.bed, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0",
                         expect_failure=True)
        self.assertIn("Compression: NONE", s_client(self.bed, "-tls1_2"))

    def test_a_client_cannot_renegotiate(self):
        """"R" alone in a line makes s_client ask for it (TLS 1.2)."""
        command = ["openssl", "s_client", "-connect", "%s:%d" % (self.bed.host, self.bed.tls_port),
                   "-tls1_2"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as run:
            time.sleep(0.3)  # until the handshake is over, s_client does not look for "R"
            run.stdin.write(b"R\n")
            run.stdin.flush()
            try:
                text = run.communicate(timeout=5)[0]
            except subprocess.TimeoutExpired:
                run.kill()
                text = run.communicate()[0]
        self.assertIn(b"RENEGOTIATING", text)
        self.assertEqual(text.count(b"BEGIN CERTIFICATE"), 1, "a second handshake took place")
        with self.bed.connect(tls=True) as client:
            client.ok("CAPA")

    def test_aes_gcm_is_preferred(self):
        """Also where the client names ChaCha20 first."""
        text = s_client(self.bed, "-tls1_3", "-ciphersuites",
                        "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256")
        self.assertIn("Cipher is TLS_AES_128_GCM_SHA256", text)

    def test_alpn(self):
        self.assertIn("ALPN protocol: pop3", s_client(self.bed, "-alpn", "pop3"))
        self.assertIn("ALPN protocol: pop3", s_client(self.bed, "-alpn", "imap,pop3"))

    def test_stls_then_the_same_as_implicit(self):
        with self.bed.connect() as client:
            client.ok("STLS")
            client.start_tls()
            client.err("STLS", "")
            self.assertNotIn("STLS", client.lines("CAPA"))
            client.login(self.user, self.bed.password)
            client.err("STLS", "")
            client.quit()

    def test_stls_takes_no_argument(self):
        with self.bed.connect() as client:
            client.err("STLS now", "")
            client.ok("CAPA")

    def test_stls_forgets_the_user(self):
        """RFC 2595: what was said before the handshake does not count."""
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            client.ok("STLS")
            client.start_tls()
            client.err("PASS " + self.bed.password)
            client.login(self.user, self.bed.password)
            client.quit()

    def test_no_second_greeting_after_stls(self):
        with self.bed.connect() as client:
            client.ok("STLS")
            client.start_tls()
            client.send(b"QUIT\r\n")
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()

    # -- injection -----------------------------------------------------------------------------

    def stls_with(self, tail):
        """STLS and more octets in one segment. Gives what came back, and whether a handshake
        was possible afterwards."""
        client = self.bed.connect()
        client.send(b"STLS\r\n" + tail)
        try:
            answer = client.line()
        except Closed:
            client.close()
            return None, None
        try:
            client.start_tls()
        except OSError:
            client.close()
            return answer, None
        return answer, client

    def test_06_13_what_came_with_stls_is_never_acted_on(self):
        for tail in (b"USER injected\r\n", b"USER inj", b"\r\n", b"CAPA\r\nCAPA\r\n", b"Q", b"\n",
                     b"USER %s\r\nPASS secret\r\n" % to_octets(self.user), b"\0"):
            with self.subTest(tail):
                answer, client = self.stls_with(tail)
                self.assertIsNone(client, "the connection went on after %r" % answer)

    def test_06_13_injection_is_logged(self):
        before = len(self.bed.events())
        self.stls_with(b"USER injected\r\n")
        new = eventually(lambda: [e for e in self.bed.events()[before:] if e["level"] == "warn"])
        self.assertTrue(new, "nothing in the log")
        self.assertNotIn("injected", self.bed.log_text())

    def test_06_13_half_a_line_before_stls(self):
        """A line that was begun before STLS was sent belongs to the plain part: nothing of it is
        left when TLS begins."""
        with self.bed.connect() as client:
            client.send(b"ST")
            time.sleep(0.05)
            client.send(b"LS\r\n")
            self.assertTrue(client.line().startswith(b"+OK"))
            client.start_tls()
            client.send(b"QUIT\r\n")
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()

    def test_06_14_a_failed_handshake_ends_the_connection(self):
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"CAPA\r\n" * 10, b"\x16\x03\x01\xff\xff" + b"x" * 99,
                     b"\0" * 64):
            with self.subTest(junk[:10]):
                with self.bed.connect() as client:
                    client.ok("STLS")
                    client.send(junk)
                    self.assertNotIn(b"+OK", client.read_all())
                with Client(self.bed.host, self.bed.tls_port, greeting=False) as client:
                    client.send(junk)
                    self.assertNotIn(b"+OK", client.read_all())

    def test_a_client_that_hangs_up_in_the_handshake(self):
        for octets in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            with Client(self.bed.host, self.bed.tls_port, greeting=False) as client:
                client.send(octets)
        with self.bed.connect(tls=True) as client:
            client.ok("CAPA")

    # -- login in clear text -------------------------------------------------------------------

    def test_login_in_clear_text_is_refused_with_a_hint(self):
        for line in ("USER " + self.user, "PASS secret", "AUTH PLAIN",
                     "AUTH PLAIN AHUAcA==", "AUTH LOGIN"):
            with self.subTest(line), self.bed.connect(strict=True) as client:
                answer = client.err(line)
                self.assertIn(b"STLS", answer)
                self.assertRegex(answer, rb"^-ERR \[[A-Z/]+\]")
                client.ok("STLS")
                client.start_tls()
                client.login("user2@example.test", self.bed.password)
                client.quit()

    def test_in_clear_text_it_is_refused_by_default(self):
        """The configuration that says nothing about it."""
        shown = self.bed.ctl("config", "show").stdout
        self.assertRegex(shown, r"(?s)plaintext_login.{0,80}(default (no|false))")

    # -- records -------------------------------------------------------------------------------

    def test_close_notify(self):
        """Without it OpenSSL clients never resume, and cannot tell an end from a cut."""
        with self.bed.connect(tls=True) as client:
            client.ok("QUIT")
            self.assertEqual(client.sock.recv(1), b"")  # raises SSLEOFError without close_notify

    def test_many_commands_in_one_record_and_one_command_in_many(self):
        with self.bed.connect(tls=True) as client:
            client.send(b"CAPA\r\n" * 500)
            for _ in range(500):
                self.assertTrue(client.line().startswith(b"+OK"))
                client.rest()
            for octet in b"CAPA\r\n":
                client.send(bytes([octet]))  # a record each
            self.assertTrue(client.line().startswith(b"+OK"))


class Names(BedCase):
    """Certificates by server name."""
    options = ("--users", "1", "--sni", "one.example.test", "--sni", "two.example.test",
               "--set", "tls.check_interval=1s")
    allowed = ("tls.certificate", "keys.broken", "keys.certificate")

    def subject(self, name=None, *options):
        text = s_client(self.bed, *(["-servername", name] if name else ["-noservername"]), *options,
                        "-showcerts")
        return re.search(r"subject=.*CN = (\S+)", text).group(1)

    def serial(self, name):
        context = lenient(ca=self.bed.ca)
        with Client(self.bed.host, self.bed.tls_port, tls=True, context=context, name=name) as c:
            return c.sock.getpeercert()["serialNumber"]

    def refuses(self, name):
        try:
            with Client(self.bed.host, self.bed.tls_port, tls=True, name=name):
                return False
        except (OSError, Closed):
            return True

    def hand_over(self, name):
        if os.geteuid() == 0:
            home = os.path.join(self.bed.bed_dir, "tls")
            owner = os.stat(home)
            for at, _, files in os.walk(os.path.join(home, name)):
                for entry in [at] + [os.path.join(at, f) for f in files]:
                    os.chown(entry, owner.st_uid, owner.st_gid)

    def issue(self, name, kind="ecdsa", suffix=""):
        home = os.path.join(self.bed.bed_dir, "tls")
        certs.issue(os.path.join(self.bed.bed_dir, "ca"), home, name, kind, suffix=suffix)
        self.hand_over(name)

    def test_sni_chooses(self):
        for name in ("one.example.test", "two.example.test", "localhost"):
            self.assertEqual(self.subject(name), name)
        self.assertEqual(self.subject("ONE.example.TEST"), "one.example.test")

    def test_no_name_or_an_unknown_one_gets_the_default(self):
        for name in (None, "nobody.example.test", "x" * 63 + ".test", "a.b.c.d.e.f"):
            with self.subTest(name):
                self.assertEqual(self.subject(name), "localhost")

    def test_names_that_are_paths(self):
        """SNI is the client's text: it must not reach the file system as a path."""
        for name in ("..", "../tls/one.example.test", "one.example.test/../two.example.test",
                     ".", "one.example.test.", "%00", "-rsa"):
            with self.subTest(name):
                try:
                    self.assertIn(self.subject(name), ("localhost", "one.example.test"))
                except AssertionError as e:
                    if "status" not in str(e):  # openssl would not send such a name
                        raise

    def test_a_new_name_needs_no_reload(self):
        self.assertEqual(self.subject("later.example.test"), "localhost")
        self.issue("later.example.test")
        self.assertTrue(eventually(
            lambda: self.subject("later.example.test") == "later.example.test", 10, 0.3))

    def test_a_changed_certificate_is_taken_up_without_a_reload(self):
        with self.bed.connect(tls=True, name="one.example.test") as before:
            old = self.serial("one.example.test")
            self.issue("one.example.test")
            self.assertTrue(eventually(lambda: self.serial("one.example.test") != old, 10, 0.3))
            before.ok("CAPA")  # a session that is there goes on

    def test_a_broken_certificate_disables_only_its_name(self):
        for broken, repair in (("fullchain.pem", b"junk"), ("privkey.pem", b""),
                               ("privkey.pem", None)):
            with self.subTest(broken, content=repair):
                name = "broken-%d.example.test" % time.monotonic_ns()
                self.issue(name)
                self.assertEqual(self.subject(name), name)
                path = os.path.join(self.bed.bed_dir, "tls", name, broken)
                if repair is None:
                    os.unlink(path)
                else:
                    with open(path, "wb") as f:
                        f.write(repair)
                before = len(self.bed.events())
                self.assertTrue(eventually(
                    lambda n=name: self.refuses(n) or self.subject(n) != n, 10, 0.3),
                    "still served")
                self.assertEqual(self.subject("two.example.test"), "two.example.test")
                self.assertEqual(self.subject(), "localhost")
                said = eventually(lambda n=name, b=before: [
                    e for e in self.bed.events()[b:] if n in e["text"]
                    and e["level"] in ("warn", "error")])
                self.assertTrue(said, "nothing in the log")
                self.issue(name)
                self.assertTrue(eventually(
                    lambda n=name: not self.refuses(n) and self.subject(n) == n, 10, 0.3),
                    "not repaired")

    def test_a_key_that_does_not_fit_its_certificate(self):
        self.issue("misfit.example.test")
        self.issue("other.example.test")
        home = os.path.join(self.bed.bed_dir, "tls")
        os.replace(os.path.join(home, "other.example.test", "privkey.pem"),
                   os.path.join(home, "misfit.example.test", "privkey.pem"))
        self.assertTrue(self.refuses("misfit.example.test") or
                        self.subject("misfit.example.test") == "localhost")
        self.assertEqual(self.subject("one.example.test"), "one.example.test")

    def test_rsa_next_to_ecdsa(self):
        self.issue("both.example.test")
        self.issue("both.example.test", "rsa", "-rsa")
        for version in ("-tls1_2", "-tls1_3"):
            for algorithms, kind in ((None, "id-ecPublicKey"), ("ECDSA+SHA256", "id-ecPublicKey"),
                                     ("RSA-PSS+SHA256:RSA+SHA256", "rsaEncryption")):
                with self.subTest(version=version, algorithms=algorithms):
                    text = s_client(self.bed, version, "-servername", "both.example.test",
                                    *(["-sigalgs", algorithms] if algorithms else []))
                    pem = re.search(r"-----BEGIN.*?END CERTIFICATE-----", text, re.S).group(0)
                    shown = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem,
                                           capture_output=True, text=True, check=True).stdout
                    self.assertIn("Public Key Algorithm: " + kind, shown)


class RsaOnly(BedCase):
    options = ("--users", "1", "--tls", "rsa")

    def test_an_rsa_certificate_alone(self):
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("Verification: OK", s_client(self.bed, version))


class NoTls(BedCase):
    options = ("--users", "1", "--tls", "none")

    def test_without_tls(self):
        self.assertIsNone(self.bed.tls_port)
        with self.bed.connect() as client:
            self.assertNotIn("STLS", client.lines("CAPA"))
            client.err("STLS")
            client.login(self.bed.user, self.bed.password)
            client.quit()


class Tickets(BedCase):
    options = ("--users", "1", "--set", "login.workers=4")

    def resumed(self, context, session):
        """One connection that offers session. Whether it was resumed, and the ticket for next."""
        sock = socket.create_connection((self.bed.host, self.bed.tls_port), timeout=WAIT)
        with context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
            self.assertTrue(tls.recv(512).startswith(b"+OK"))  # the ticket came before it
            was, new = tls.session_reused, tls.session
            tls.sendall(b"QUIT\r\n")
            tls.recv(512)
            tls.recv(1)
        return was, new

    def test_20_of_20_resume_on_whichever_worker(self):
        for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            with self.subTest(version):
                context = lenient(minimum=version, maximum=version)
                was, session = self.resumed(context, None)
                self.assertFalse(was)
                for _ in range(20):
                    was, session = self.resumed(context, session)
                    self.assertTrue(was)

    def test_over_a_reload(self):
        context = lenient()
        _, session = self.resumed(context, None)
        before = len(self.bed.events())
        self.bed.reload()
        eventually(lambda: len(self.bed.events()) > before and self.bed.workers("login"))
        for _ in range(5):
            was, session = self.resumed(context, session)
            self.assertTrue(was)

    def test_a_forged_ticket_is_a_full_handshake(self):
        """Tickets of another server: no error, no resumption."""
        foreign = lenient()
        other = type(self.bed)("--users", "1")
        try:
            sock = socket.create_connection((other.host, other.tls_port), timeout=WAIT)
            with foreign.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.recv(512)
                session = tls.session
        finally:
            other.stop()
        was, _ = self.resumed(foreign, session)
        self.assertFalse(was)


@needs_root
class Memory(BedCase):
    """What a login worker's memory holds, read as root: no key, no hash, no mail, no path."""
    options = ("--users", "4", "--user", "canary@example.test=pw-canary-1x")
    secret_subject = b"canary-in-a-message-5d1c"

    def memory(self, pid):
        with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps, \
                open("/proc/%d/mem" % pid, "rb", 0) as mem:
            for line in maps:
                span, access = line.split(" ")[:2]
                if "r" not in access or "[v" in line:
                    continue
                low, high = (int(x, 16) for x in span.split("-"))
                try:
                    mem.seek(low)
                    yield mem.read(high - low)
                except (OSError, ValueError):
                    continue

    def holds(self, pid, needle):
        return any(needle in part for part in self.memory(pid))

    def key_scalar(self):
        """The private number of the certificate's key, as octets."""
        path = os.path.join(self.bed.bed_dir, "tls", "localhost", "privkey.pem")
        text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"],
                              capture_output=True, text=True, check=True).stdout
        hexed = re.search(r"priv:\s*([0-9a-f:\s]+?)\s*pub:", text).group(1)
        return bytes.fromhex(re.sub(r"[\s:]", "", hexed)).lstrip(b"\0")

    def use(self):
        """Every worker has seen handshakes, logins and mail."""
        self.bed.deliver(b"Subject: %s\n\nbody\n" % self.secret_subject, "canary@example.test")
        for tls in (False, True) * 8:
            with self.bed.login("canary@example.test", "pw-canary-1x", tls=tls) as client:
                client.multi("RETR 1")
                client.quit()
        self.bed.clear("canary@example.test")

    def test_no_private_key_in_login(self):
        self.use()
        scalar = self.key_scalar()
        self.assertGreater(len(scalar), 28)
        forms = (scalar, scalar[::-1])
        keys = self.bed.workers("keys")
        self.assertTrue(any(self.holds(pid, form) for pid in keys for form in forms),
                        "this test cannot find the key even where it is")
        pem = open(os.path.join(self.bed.bed_dir, "tls", "localhost", "privkey.pem"), "rb").read()
        body = pem.split(b"\n")[1]
        for pid in self.bed.workers("login"):
            for form in (*forms, body):
                self.assertFalse(self.holds(pid, form), "the key is in login %d" % pid)
        for kind in ("auth", "mail"):
            for pid in self.bed.workers(kind):
                for form in (*forms, body):
                    self.assertFalse(self.holds(pid, form), "the key is in %s %d" % (kind, pid))

    def test_no_database_path_in_login_or_mail(self):
        self.use()
        path = os.path.join(self.bed.bed_dir, "auth", "users.db").encode()
        self.assertTrue(any(self.holds(pid, path) for pid in self.bed.workers("auth")))
        for kind in ("login", "keys", "mail"):
            for pid in self.bed.workers(kind):
                self.assertFalse(self.holds(pid, path), kind)

    def test_no_stored_credential_in_login_or_mail(self):
        """With the scheme PLAIN the stored form is {PLAIN} and the password."""
        self.use()
        for kind in ("login", "keys", "mail"):
            for pid in self.bed.workers(kind):
                self.assertFalse(self.holds(pid, b"{PLAIN}pw-canary-1x"), kind)

    def test_the_password_itself_is_wiped(self):
        """Every process that saw it is done with it when the session is over."""
        self.use()
        needle = b"pw-canary-1x"
        for kind in ("login", "keys", "mail"):
            for pid in self.bed.workers(kind):
                self.assertFalse(self.holds(pid, needle), "the password is in %s" % kind)

    def test_no_mail_in_auth_or_keys(self):
        self.use()
        for kind in ("auth", "keys"):
            for pid in self.bed.workers(kind):
                self.assertFalse(self.holds(pid, self.secret_subject), kind)


if __name__ == "__main__":
    unittest.main()
