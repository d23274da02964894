# SPDX-License-Identifier: MIT
"""What is in a worker's memory, read as root while it runs: no process holds what is not its own."""
import os
import re
import subprocess
import time
import unittest

import sasl
from bed import BedCase, needs_root


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


@needs_root
class StoredSecrets(Memory):
    """Mechanisms for which the stored password itself is taken out of the database in an auth worker."""
    options = (*Memory.options, "--set=auth.mechanisms=USER APOP CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1",
               "--set=auth.workers=1")
    user, password = "canary@example.test", "pw-canary-1x"

    def use(self):
        super().use()
        for attempt in (sasl.apop, sasl.cram_md5,
                        lambda c, u, p: sasl.Scram(u, p).run(c),
                        lambda c, u, p: sasl.Scram(u, p, "SCRAM-SHA-1").run(c)):
            for password in (self.password, "wrong"):
                # The session before may hold the maildrop for a moment after its client has gone.
                for _ in range(100):
                    with self.bed.connect() as client:
                        answer = attempt(client, self.user, password)
                    if b"[IN-USE]" not in answer:
                        break
                    time.sleep(0.02)
                self.assertEqual(answer[:3] == b"+OK", password == self.password, answer)

    def test_the_stored_password_is_wiped_in_auth(self):
        """SQLite keeps pages and rows, where other columns stand right beside it without a NUL between;
        nothing else may have it."""
        self.use()
        seen = 0
        for pid in self.bed.workers("auth"):
            for found in self.around(pid, self.password.encode()):
                seen += 1
                self.assertRegex(found, b"(?s)canary\\{PLAIN\\}PASSWORD|\\{PLAIN\\}PASSWORDcanary@")
        self.assertGreater(seen, 0, "this test cannot find it even where it is")

    def around(self, pid, needle):
        for part in self.memory(pid):
            at = part.find(needle)
            while at >= 0:
                end = at + len(needle)
                yield part[max(0, at - 13):at] + b"PASSWORD" + part[end:end + 7]
                at = part.find(needle, end)


if __name__ == "__main__":
    unittest.main()
