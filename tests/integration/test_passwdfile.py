# SPDX-License-Identifier: MIT
"""Users in a file of Dovecot's passwd-file format, and in static templates."""
import os
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT, SANITIZED, TESTBED, Bed, code_of, eventually

DOVEADM = shutil.which("doveadm")
# What doveadm makes and Postern checks without being told to allow it.
SCHEMES = ["PLAIN", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "SSHA", "SSHA256", "SSHA512",
           "ARGON2I", "ARGON2ID", "PBKDF2", "SCRAM-SHA-1", "SCRAM-SHA-256"]


class WithFile(unittest.TestCase):
    options = ("--auth", "passwdfile", "--users", "3")

    def setUp(self):
        self.bed = Bed(*self.options)
        self.addCleanup(self.bed.stop)
        self.file = self.bed.settings["auth.passwdfile.file"]

    def put(self, text, mode=0o600):
        """Another file in its place, by a rename."""
        with open(self.file + ".new", "w", encoding="utf-8", newline="") as f:
            f.write(text)
        os.chmod(self.file + ".new", mode)
        if IS_ROOT:
            st = os.stat(os.path.dirname(self.file))
            os.chown(self.file + ".new", st.st_uid, st.st_gid)
        os.rename(self.file + ".new", self.file)

    def answer(self, user, password):
        with self.bed.connect() as client:
            client.ok("USER " + user)
            reply = client.cmd("PASS " + password)
            if reply.startswith(b"+OK"):
                client.quit()
            return reply

    def assert_in(self, user, password):
        reply = self.answer(user, password)
        self.assertTrue(reply.startswith(b"+OK"), reply)

    def assert_out(self, user, password, code="AUTH"):
        reply = self.answer(user, password)
        self.assertEqual(code_of(reply), code, reply)


class PasswordFile(WithFile):
    SECRET = "geheim, ä"  # a colon would end the field of {PLAIN}

    def test_right_wrong_unknown_and_case(self):
        self.assert_in("user1@example.test", "secret")
        self.assert_in("User1@Example.TEST", "secret")
        self.assert_out("user1@example.test", "Secret")
        self.assert_out("nobody@example.test", "secret")

    def test_a_new_file_counts_at_once(self):
        self.put("user1@example.test:{PLAIN}other\r\n# nobody else\r\n")
        self.assert_in("user1@example.test", "other")
        self.assert_out("user1@example.test", "secret")
        self.assert_out("user2@example.test", "secret")

    def test_a_file_written_in_place_counts_soon(self):
        self.assert_in("user1@example.test", "secret")
        with open(self.file, "w", encoding="utf-8") as f:
            f.write("user1@example.test:{PLAIN}other\n")
        self.assertTrue(eventually(
            lambda: self.answer("user1@example.test", "other").startswith(b"+OK"), 10))

    def test_a_broken_file_leaves_the_users_in_force_and_is_told_of_once(self):
        self.assert_in("user1@example.test", "secret")
        self.put("user1@example.test:{PLAIN}other\nuser2@exam")
        self.wait_refused()
        for _ in range(8):
            self.assert_in("user1@example.test", "secret")
        told = self.bed.wait_event("passwdfile.kept")
        self.assertIn("users:2: no colon", told["text"])
        pids = [e["pid"] for e in self.bed.events("passwdfile.kept")]
        self.assertEqual(len(pids), len(set(pids)), "a worker says it again and again")
        self.put("user1@example.test:{PLAIN}other\n")
        self.assert_in("user1@example.test", "other")

    def wait_refused(self):
        """A file that may be half of one is looked at for a moment first."""
        def is_told():
            self.assert_in("user1@example.test", "secret")
            return self.bed.events("passwdfile.kept")
        self.assertTrue(eventually(is_told, 10))

    def test_fields(self):
        self.put("out:{PLAIN}x::::::nologin reason=moved\n"
                 "net:{PLAIN}x::::::allow_nets=192.0.2.0/24\n"
                 "here:{PLAIN}x::::::allow_nets=127.0.0.0/8,local\n"
                 "any:{PLAIN}x::::::nopassword\n"
                 "far:{PLAIN}x::::::proxy=y host=old.example.test\n"
                 "none::::::\n")
        self.assert_out("out", "x", "SYS/PERM")
        self.assert_out("out", "y")
        self.assert_out("net", "x")
        self.assert_in("here", "x")
        self.assert_out("any", "x", "SYS/PERM")
        self.assert_out("far", "y")
        self.assertNotEqual(self.answer("far", "x")[:3], b"+OK")
        self.assert_out("none", "")
        text = self.bed.log_text()
        self.assertIn("moved", text)
        self.assertIn("users:4: field nopassword", text)
        self.assertIn("old.example.test", text)
        self.bed.allow("auth.broken")

    def test_mail_and_home_of_a_line(self):
        home = os.path.join(self.bed.bed_dir, "mail", "user2@example.test")
        self.put("user1@example.test:{PLAIN}x:::Al:%s::userdb_mail=maildir:~/Maildir:LAYOUT=fs\n"
                 % home)
        self.bed.deliver(b"Subject: two\r\n\r\nx\r\n", "user2@example.test")
        with self.bed.login("user1@example.test", "x") as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()

    def test_posternctl_names_the_line(self):
        good = self.bed.ctl("config", "check", "--connect")
        self.assertEqual(good.returncode, 0, good.stderr)
        self.put("a:b\nc:d:e\n")
        bad = self.bed.ctl("config", "check", "--connect")
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("users:2: uid", bad.stdout + bad.stderr)
        self.put("a:b\nc:d::::::nologin\n")
        listed = self.bed.ctl("user", "list")
        self.assertEqual([x.split("\t")[0] for x in listed.stdout.splitlines()], ["a", "c"],
                         listed.stderr)

    @unittest.skipUnless(DOVEADM, "needs doveadm")
    def test_hashes_of_dovecot(self):
        lines = []
        for number, scheme in enumerate(SCHEMES):
            made = subprocess.run([DOVEADM, "pw", "-s", scheme, "-p", self.SECRET],
                                  capture_output=True, text=True, check=True).stdout.strip()
            lines.append("u%d@example.test:%s:5000:5000::/nowhere::" % (number, made))
        self.put("\n".join(lines))
        for number, scheme in enumerate(SCHEMES):
            with self.subTest(scheme):
                self.bed_user("u%d@example.test" % number)
                self.assert_in("u%d@example.test" % number, self.SECRET)
                self.assert_out("u%d@example.test" % number, self.SECRET + " ")

    def bed_user(self, name):
        path = os.path.join(self.bed.bed_dir, "mail", name, "Maildir")
        for box in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, box), exist_ok=True)
        if IS_ROOT:
            for at, _, _ in os.walk(os.path.dirname(path)):
                os.chown(at, self.bed.uid, self.bed.gid)


@unittest.skipIf(SANITIZED, "measures memory")
class Many(WithFile):
    COUNT = 100000

    def test_a_hundred_thousand_users(self):
        self.put("".join("user%d@example.test:{PLAIN}p%d:5000:5000::/srv/mail/%d::\n" % (i, i, i)
                         for i in range(1, self.COUNT + 1)))
        self.assertTrue(eventually(
            lambda: self.answer("user1@example.test", "p1").startswith(b"+OK"), 20))
        self.assert_out("user%d@example.test" % self.COUNT, "p1")
        size = os.stat(self.file).st_size
        for pid in self.bed.workers("auth"):
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                rss = next(int(x.split()[1]) * 1024 for x in f if x.startswith("RssAnon"))
            self.assertLess(rss, 2 * size + (16 << 20), "of worker %d" % pid)


class Static(unittest.TestCase):
    def bed_with(self, **settings):
        bed = Bed("--users", "2", *["--set=%s=%s" % (k.replace("__", "."), v)
                                    for k, v in settings.items()])
        self.addCleanup(bed.stop)
        return bed

    def test_one_password_for_all(self):
        bed = self.bed_with(auth__backends="static", auth__static__password="{PLAIN}common",
                            auth__static__domains="example.test")
        for user in ("user1@example.test", "user2@example.test"):
            with bed.login(user, "common") as client:
                client.quit()
        with bed.connect() as client:
            client.ok("USER user1@example.test")
            client.err("PASS secret", "AUTH")
            client.ok("USER user1@example.org")
            client.err("PASS common", "AUTH")

    def test_any_password_only_from_its_networks(self):
        bed = self.bed_with(auth__backends="static_any", auth__static_any__allow_any="true",
                            auth__static_any__allow_nets="127.0.0.0/8")
        with bed.login("user1@example.test", "whatever") as client:
            client.quit()
        bed.renew({"auth.static_any.allow_nets": "192.0.2.0/24"})
        with bed.connect() as client:
            client.ok("USER user1@example.test")
            client.err("PASS whatever", "AUTH")

    def test_nothing_starts_open(self):
        for more in ({}, {"auth.static_any.allow_any": "true"}):
            with tempfile.TemporaryDirectory() as home, self.subTest(more):
                os.chmod(home, 0o755)
                got = subprocess.run(
                    [TESTBED, "start", "--dir", os.path.join(home, "bed"), "--users", "1",
                     "--set=auth.backends=static_any",
                     *["--set=%s=%s" % x for x in more.items()]],
                    capture_output=True, text=True, timeout=60, check=False)
                self.assertNotEqual(got.returncode, 0)
                self.assertIn("allow_", got.stderr)


if __name__ == "__main__":
    unittest.main()
