# SPDX-License-Identifier: MIT
"""Stored passwords, bit for bit as other tools make and read them: doveadm, htpasswd, openssl,
mkpasswd and argon2. What is not installed is skipped; contrib/install-deps --test brings it."""
import os
import shutil
import subprocess
import tempfile
import unittest

from bed import BedCase, code_of

BUILD = os.environ.get("POSTERN_BUILD") or os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
USER = "alice@example.org"
LONG = "x" * 500 + "y" * 500
PASSWORDS = ["secret", "two words and a \"'$\\", " ", "p\xe4ssw\xf6rd \u65e5\u672c\u8a9e", "{PLAIN}x", LONG]

# All that `doveadm pw` makes and Postern reads; those below are bound to eight octets or cannot hold
# a long password.
DOVEADM = """SHA SHA1 SHA256 SHA512 SMD5 SSHA SSHA256 SSHA512 PLAIN CLEAR CLEARTEXT PLAIN-MD4
    PLAIN-MD5 LDAP-MD5 CRAM-MD5 HMAC-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 PBKDF2 ARGON2I
    ARGON2ID""".split()
DOVEADM_CRYPT = "CRYPT BLF-CRYPT SHA256-CRYPT SHA512-CRYPT MD5 MD5-CRYPT DES-CRYPT".split()
# And what Postern makes for doveadm to read. {CRYPT} is yescrypt: as the system of Dovecot has it.
OURS = [s for s in DOVEADM + DOVEADM_CRYPT if s not in ("DIGEST-MD5",)]
# Half a second each and more, made and checked by two programs: one password has to do.
SLOW = {"PBKDF2", "ARGON2I", "ARGON2ID", "SCRAM-SHA-1", "SCRAM-SHA-256", "CRYPT", "BLF-CRYPT",
        "SHA256-CRYPT", "SHA512-CRYPT"}
ODD = PASSWORDS[3]


def tool(*argv, text=None, binary=False):
    """Standard output of a tool without its line end; skips the test where it is not installed."""
    if shutil.which(argv[0]) is None:
        raise unittest.SkipTest("%s is not installed (contrib/install-deps --test)" % argv[0])
    run = subprocess.run(argv, input=text, capture_output=True, text=not binary, timeout=60,
                         check=False)
    if run.returncode != 0:
        raise AssertionError("%s: %d %s" % (" ".join(argv[:3]), run.returncode, run.stderr))
    return run.stdout.rstrip("\n")


class Schemes(unittest.TestCase):
    """posternctl alone: no server is asked."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="postern-schemes-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.config = os.path.join(cls.dir, "postern.conf")
        with open(cls.config, "w", encoding="utf-8") as f:
            f.write("auth : { allow_weak_schemes = true; };\n")

    def ctl(self, *args, text):
        return subprocess.run([os.path.join(BUILD, "posternctl"), "-c", self.config, "password",
                               *args, "--password-stdin"], input=text.encode(),
                              capture_output=True, timeout=120, check=False)

    def answers(self, stored, password):
        """What posternctl says of each stored form."""
        path = os.path.join(self.dir, "stored")
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in stored))
        run = self.ctl("check", "--user", USER, path, text=password)
        answers = run.stdout.decode().splitlines()
        self.assertEqual(len(answers), len(stored), run.stderr)
        return dict(zip(stored, answers))

    def check(self, stored, password, wrong="another"):
        for line, answer in self.answers(stored, password).items():
            self.assertEqual(answer, "right", "%s for %r" % (line, password))
        for line, answer in self.answers(stored, wrong).items():
            self.assertEqual(answer, "wrong", "%s for %r" % (line, wrong))

    def make(self, scheme, password):
        run = self.ctl("make", "--scheme", scheme, text=password)
        self.assertEqual(run.returncode, 0, "%s: %s" % (scheme, run.stderr))
        return run.stdout.decode().rstrip("\n")

    # -- theirs, read by us ------------------------------------------------------------------

    def test_doveadm(self):
        for password in PASSWORDS:
            with self.subTest(password[:20]):
                schemes = DOVEADM + (DOVEADM_CRYPT if password != LONG else [])
                schemes = [s for s in schemes if password == ODD or s not in SLOW]
                self.check([tool("doveadm", "pw", "-s", scheme, "-u", USER, "-p", password)
                            for scheme in schemes], password)

    def test_doveadm_suffixes(self):
        stored = [tool("doveadm", "pw", "-s", scheme + suffix, "-u", USER, "-p", "two words")
                  for scheme in DOVEADM + DOVEADM_CRYPT for suffix in (".hex", ".b64", ".base64")
                  if scheme not in SLOW or (scheme, suffix) in (
                      ("SHA512-CRYPT", ".hex"), ("BLF-CRYPT", ".b64"), ("ARGON2ID", ".base64"),
                      ("SCRAM-SHA-256", ".b64"), ("PBKDF2", ".hex"))]
        self.check(stored, "two words")

    def test_htpasswd(self):
        for password in PASSWORDS[:-1]:
            with self.subTest(password):
                stored = [tool("htpasswd", "-niB", "-C", "5", "u", text=password).strip()[2:],
                          "{CRYPT}" + tool("htpasswd", "-nid", "u",
                                           text=password[:8]).strip()[2:],
                          tool("htpasswd", "-nis", "u", text=password).strip()[2:]]
                self.assertTrue(stored[2].startswith("{SHA}"))
                # DES sees eight octets of it.
                self.check([stored[0], stored[2]], password)
                if password.isascii():
                    self.check([stored[1]], password[:8])

    def test_htpasswd_bcrypt_of_a_long_password(self):
        """bcrypt looks at 72 octets; htpasswd takes 255."""
        password = "x" * 100
        stored = tool("htpasswd", "-niB", "-C", "5", "u", text=password).strip()[2:]
        self.assertEqual(self.answers([stored], password)[stored], "right")
        self.assertEqual(self.answers([stored], "x" * 72)[stored], "right")
        self.assertEqual(self.answers([stored], "x" * 1000)[stored], "right")
        self.assertEqual(self.answers([stored], "x" * 71)[stored], "wrong")

    def test_openssl(self):
        for password in PASSWORDS[:-1]:
            with self.subTest(password):
                self.check([tool("openssl", "passwd", kind, "-stdin", text=password + "\n")
                            for kind in ("-1", "-5", "-6")], password)

    def test_mkpasswd(self):
        for password in PASSWORDS[1:4]:
            with self.subTest(password):
                stored = [tool("mkpasswd", "-m", method, "-s", text=password + "\n")
                          for method in ("yescrypt", "gost-yescrypt", "scrypt", "bcrypt",
                                         "bcrypt-a", "sha512crypt", "sha256crypt", "sunmd5",
                                         "md5crypt", "nt")]
                stored = ["{CRYPT}" + line for line in stored]
                if not password.isascii():  # NT is of UTF-16
                    stored.pop()
                self.check(stored, password)

    def test_argon2(self):
        for password in PASSWORDS:
            with self.subTest(password[:20]):
                if len(password.encode()) > 127:  # all that the program takes
                    password = password[:127]
                self.check([tool("argon2", "saltsaltsalt", *kind, "-k", "1024", "-e",
                                 text=password)
                            for kind in (("-id",), ("-i",), ("-id", "-p", "3"), ("-i", "-v", "10"),
                                         ("-id", "-t", "4", "-l", "24"))], password)

    # -- ours, read by them ------------------------------------------------------------------

    def test_ours_by_doveadm(self):
        for password in PASSWORDS:
            for scheme in OURS:
                if password == LONG and scheme in DOVEADM_CRYPT:
                    continue
                if password != ODD and scheme in SLOW:
                    continue
                if scheme == "DES-CRYPT" and len(password.encode()) > 8:
                    continue
                with self.subTest(scheme=scheme, password=password[:20]):
                    stored = self.make(scheme, password)
                    said = tool("doveadm", "pw", "-t", stored, "-u", USER, "-p", password)
                    self.assertTrue(said.endswith("(verified)"), said)

    def test_ours_by_htpasswd(self):
        path = os.path.join(self.dir, "htpasswd")
        for scheme in ("BLF-CRYPT", "SHA"):
            for password in PASSWORDS[:-1]:
                with self.subTest(scheme=scheme, password=password):
                    stored = self.make(scheme, password)
                    with open(path, "w", encoding="utf-8") as f:
                        f.write("u:%s\n" % stored.replace("{BLF-CRYPT}", ""))
                    tool("htpasswd", "-vi", path, "u", text=password)

    def test_ours_by_openssl(self):
        for scheme, kind in (("MD5-CRYPT", "-1"), ("SHA256-CRYPT", "-5"), ("SHA512-CRYPT", "-6")):
            for password in PASSWORDS[:-1]:
                with self.subTest(scheme=scheme, password=password):
                    stored = self.make(scheme, password).split("}", 1)[1]
                    salt = stored.split("$", 2)[2].rsplit("$", 1)[0]
                    made = tool("openssl", "passwd", kind, "-salt", salt, "-stdin",
                                text=password + "\n")
                    self.assertEqual(made, stored)

    def test_ours_by_argon2(self):
        """The program has no check, but the same salt and costs make the same hash. It takes the
        salt as text, so only one whose octets are letters would do; Python's own base64 reads ours."""
        import base64
        stored = self.make("ARGON2ID", "two words")
        salt, digest = stored.split("$")[-2:]
        self.assertEqual(len(base64.b64decode(salt + "==")), 16)
        self.assertEqual(len(base64.b64decode(digest + "=")), 32)
        self.assertIn("$argon2id$v=19$m=19456,t=2,p=1$", stored)

    # -- what is refused ---------------------------------------------------------------------

    def test_weak_ones_are_refused_by_default(self):
        with open(self.config, "r+", encoding="utf-8") as f:
            text = f.read()
        self.addCleanup(lambda: open(self.config, "w", encoding="utf-8").write(text))
        with open(self.config, "w", encoding="utf-8") as f:
            f.write("")
        stored = "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69"
        self.assertIn("too weak", self.answers([stored], "secret")[stored])
        self.assertEqual(self.ctl("make", "--scheme", "PLAIN-MD5", text="secret").returncode, 1)

    def test_too_long_for_a_scheme(self):
        for scheme, most in (("BLF-CRYPT", 72), ("CRYPT", 511), ("ARGON2ID", 1024)):
            with self.subTest(scheme):
                self.assertEqual(self.ctl("make", "--scheme", scheme, text="x" * most).returncode,
                                 0)
                run = self.ctl("make", "--scheme", scheme, text="x" * (most + 1))
                self.assertEqual(run.returncode, 1)

    def test_the_list(self):
        run = subprocess.run([os.path.join(BUILD, "posternctl"), "-c", self.config, "password",
                              "schemes"], capture_output=True, text=True, timeout=60, check=True)
        self.assertRegex(run.stdout, r"(?m)^ARGON2ID +\d+\.\d+ ms$")
        self.assertRegex(run.stdout, r"(?m)^PLAIN-MD5 +\d+\.\d+ ms  weak$")


class InTheServer(BedCase):
    """A database of old hashes behind a running server."""
    options = ("--users", "1", "--set", "auth.allow_weak_schemes=true",
               "--set", "auth.failure_delay=0")

    def logs_in(self, user, password):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            client.send(b"PASS " + password.encode() + b"\r\n")
            answer = client.line()
            return "OK" if answer.startswith(b"+OK") else code_of(answer)

    def test_weak_hashes_log_in_and_the_log_complains(self):
        for scheme in ("PLAIN-MD5", "SHA256", "MD5-CRYPT", "DES-CRYPT", "CRAM-MD5"):
            with self.subTest(scheme):
                name = scheme.lower() + "@example.test"
                self.bed.ctl("user", "add", "--password-stdin", "--scheme", scheme, name,
                             text="p\xe4s \xf6\n", check=True)
                self.assertEqual(self.logs_in(name, "p\xe4s \xf6"), "OK")
                self.assertEqual(self.logs_in(name, "pas o"), "AUTH")
                event = self.bed.wait_event("auth.weak_scheme",
                                            lambda e, n=name: e.get("user") == n)
                self.assertEqual(event["scheme"], scheme)

    def test_config_check_notes_it(self):
        run = self.bed.ctl("config", "check")
        self.assertEqual(run.returncode, 0)
        self.assertIn("auth.allow_weak_schemes", run.stdout + run.stderr)

    def test_both_spellings(self):
        self.bed.ctl("user", "add", "--password-stdin", "--scheme", "SSHA512",
                     "spelt@example.test", text="a\u0308 \u212b\n", check=True)
        for password in ("a\u0308 \u212b", "\xe4 \xc5", "\xe4\u3000\xc5", "\xe4 A\u030a"):
            self.assertEqual(self.logs_in("spelt@example.test", password), "OK", ascii(password))
        self.assertEqual(self.logs_in("spelt@example.test", "a \xc5"), "AUTH")


if __name__ == "__main__":
    unittest.main()
