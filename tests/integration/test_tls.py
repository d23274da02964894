# SPDX-License-Identifier: MIT
"""TLS: versions, STLS and what may not follow it, resumption."""
import socket
import ssl
import subprocess
import time
import unittest

from bed import BedCase, Client, Closed, WAIT, eventually, lenient, to_octets
from openssl import s_client


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

if __name__ == "__main__":
    unittest.main()
