# SPDX-License-Identifier: MIT
"""Certificates by server name: chosen, changed, broken, of two kinds, or none at all."""
import os
import re
import subprocess
import time
import unittest

from bed import BedCase, Client, Closed, eventually, lenient
from openssl import s_client
from support import certs


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


class SmallCache(BedCase):
    """More names than the keys processes keep."""
    options = ("--users", "1", "--set", "tls.cache=2", "--set", "tls.check_interval=1s",
               *("--sni=n%d.example.test" % n for n in range(5)))

    def test_every_name_is_served_again_and_again(self):
        context = lenient(ca=self.bed.ca)
        for _ in range(3):
            for number in range(5):
                name = "n%d.example.test" % number
                with Client(self.bed.host, self.bed.tls_port, tls=True, context=context,
                            name=name) as client:  # the name is verified
                    client.ok("CAPA")

    def test_names_that_nobody_has(self):
        """A client that makes names up pushes nothing out, and fills nothing."""
        for number in range(200):
            with Client(self.bed.host, self.bed.tls_port, tls=True,
                        name="made-up-%d.example.test" % number) as client:
                client.quit()
        self.test_every_name_is_served_again_and_again()


class ManyNames(BedCase):
    """Folders cost nothing before somebody asks for them."""
    options = ("--users", "1")

    def test_three_thousand_names_cost_nothing_at_start(self):
        home = os.path.join(self.bed.bed_dir, "tls")
        source = os.path.join(home, "localhost")
        for number in range(3_000):
            folder = os.path.join(home, "bulk-%d.example.test" % number)
            os.mkdir(folder)
            for name in ("fullchain.pem", "privkey.pem"):
                os.symlink(os.path.join(source, name), os.path.join(folder, name))
        before = self.memory()
        start = time.monotonic()
        self.bed.ctl("reload", check=True)
        self.assertLess(time.monotonic() - start, 5)
        with Client(self.bed.host, self.bed.tls_port, tls=True, name="localhost") as client:
            client.quit()
        self.assertLess(self.memory(), before + 2000)

    def memory(self):
        """KiB that the keys processes have to themselves."""
        total = 0
        for pid in self.bed.workers("keys"):
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                total += int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        return total


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

if __name__ == "__main__":
    unittest.main()
