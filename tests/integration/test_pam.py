# SPDX-License-Identifier: MIT
"""PAM: stacks behind libpam_wrapper, and as root the system's own pam_unix with a user who is made
for the test and removed after it."""
import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import unittest

from bed import IS_ROOT, SANITIZED, TESTS, Bed, code_of, eventually, stopwatch
from support import layout, pam, processes

CC = shutil.which("cc") or shutil.which("gcc")
HAS_HEADERS = os.path.exists("/usr/include/security/pam_modules.h")
# Of _pam_types.h.
AUTH_ERR, AUTHINFO_UNAVAIL, USER_UNKNOWN, MAXTRIES = 7, 9, 10, 11
PERM_DENIED, NEW_AUTHTOK_REQD, ACCT_EXPIRED, ABORT = 6, 12, 13, 26


def answer(bed, user, password):
    with bed.connect() as client:
        client.ok("USER " + user)
        reply = client.cmd("PASS " + password)
        if reply.startswith(b"+OK"):
            client.quit()
        return reply


@unittest.skipUnless(pam.is_there(), "needs libpam-wrapper")
@unittest.skipIf(SANITIZED, "two libraries that want to be preloaded first")
class Wrapped(unittest.TestCase):
    """Without root, or with."""

    def bed(self, *options):
        bed = Bed("--auth", "pam", "--users", "3", *options)
        self.addCleanup(bed.stop)
        return bed

    def stack(self, bed, *arguments, **settings):
        """The bed's service has one module from now on, in all its phases."""
        folder = os.path.join(bed.bed_dir, "auth", "pam")
        module = os.path.join(folder, "pam_odd.so")
        if not os.path.exists(module):
            subprocess.run([CC, "-shared", "-fPIC", "-o", module,
                            os.path.join(TESTS, "support", "pam_odd.c"), "-lpam"], check=True)
        with open(os.path.join(folder, "new"), "w", encoding="utf-8") as f:
            for phase in ("auth", "account", "session"):
                f.write("%s required %s password=secret %s\n" % (phase, module,
                                                                 " ".join(arguments)))
        os.chmod(os.path.join(folder, "new"), 0o644)
        os.rename(os.path.join(folder, "new"), os.path.join(folder, pam.SERVICE))
        bed.renew(settings)  # libpam_wrapper copies the rules at its process's first use of PAM

    def test_right_wrong_and_unknown(self):
        bed = self.bed()
        self.assertTrue(answer(bed, "user1@example.test", "secret").startswith(b"+OK"))
        wrong = answer(bed, "user1@example.test", "wrong")
        self.assertEqual(code_of(wrong), "AUTH")
        self.assertEqual(wrong, answer(bed, "nobody@example.test", "secret"))

    def test_workers_are_replaced_after_so_many_requests(self):
        bed = self.bed("--set=auth.pam.max_requests=5", "--set=auth.hash_workers=1")
        before = {s["slot"]: s["pid"] for s in bed.slots() if s["kind"] == "auth"}
        for _ in range(30):
            self.assertTrue(answer(bed, "user1@example.test", "secret").startswith(b"+OK"))
        after = [s for s in bed.slots() if s["kind"] == "auth"]
        self.assertEqual(sum(s["deaths"] for s in after), 0)
        self.assertEqual(len([s for s in after if s["pid"] != before[s["slot"]]]), 1)

    @unittest.skipUnless(CC and HAS_HEADERS, "needs a compiler and libpam0g-dev")
    def test_what_modules_say(self):
        bed = self.bed()
        bed.allow("auth.")  # backends that are away
        rows = [
            ("auth=%d" % AUTH_ERR, "AUTH", None),
            ("auth=%d" % USER_UNKNOWN, "AUTH", None),
            ("auth=%d" % MAXTRIES, "AUTH", None),
            ("auth=%d" % AUTHINFO_UNAVAIL, "SYS/TEMP", "authenticate"),
            ("auth=%d" % ABORT, "SYS/TEMP", "authenticate"),
            ("account=%d" % ACCT_EXPIRED, "SYS/PERM", "the account has expired"),
            ("account=%d" % NEW_AUTHTOK_REQD, "SYS/PERM", "the password has expired"),
            ("account=%d" % PERM_DENIED, "SYS/PERM", "may not log in now"),
            ("account=%d" % AUTHINFO_UNAVAIL, "SYS/TEMP", "account"),
            ("ask", "SYS/TEMP", "Token: "),
            ("rhost=192.0.2.1", "SYS/TEMP", "authenticate"),
        ]
        for argument, code, logged in rows:
            with self.subTest(argument):
                self.stack(bed, argument)
                at = len(bed.log_text())
                self.assertEqual(code_of(answer(bed, "user1@example.test", "secret")), code)
                if logged:
                    self.assertIn(logged, bed.log_text()[at:])
        self.stack(bed, "rhost=127.0.0.1")
        self.assertTrue(answer(bed, "user1@example.test", "secret").startswith(b"+OK"))
        self.stack(bed, "session=14")
        self.assertTrue(answer(bed, "user1@example.test", "secret").startswith(b"+OK"))
        self.stack(bed, "session=14", **{"auth.pam.session": "true"})
        self.assertEqual(code_of(answer(bed, "user1@example.test", "secret")), "SYS/TEMP")

    @unittest.skipUnless(CC and HAS_HEADERS, "needs a compiler and libpam0g-dev")
    def test_a_module_names_the_user(self):
        bed = self.bed()
        bed.deliver(b"Subject: two\r\n\r\nx\r\n", "user2@example.test")
        self.stack(bed, "user=user2@example.test")
        with bed.login("user1@example.test") as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()

    @unittest.skipUnless(CC and HAS_HEADERS, "needs a compiler and libpam0g-dev")
    def test_modules_delays_are_not_waited_out(self):
        bed = self.bed("--set=auth.failure_delay=100ms")
        self.stack(bed, "delay=8000000")
        watch = stopwatch()
        self.assertEqual(code_of(answer(bed, "user1@example.test", "wrong")), "AUTH")
        self.assertLess(watch(), 4)

    @unittest.skipUnless(CC and HAS_HEADERS, "needs a compiler and libpam0g-dev")
    def test_a_module_that_hangs_costs_its_request(self):
        bed = self.bed("--set=auth.timeout=1s", "--set=auth.hash_workers=1")
        bed.allow("auth.timeout", "auth.broken")
        self.stack(bed, "hang")
        self.assertEqual(code_of(answer(bed, "user1@example.test", "secret")), "SYS/TEMP")
        self.assertIn("pam", bed.wait_event("auth.timeout")["text"])
        self.stack(bed)
        self.assertTrue(eventually(
            lambda: answer(bed, "user1@example.test", "secret").startswith(b"+OK"), 10))


@unittest.skipUnless(IS_ROOT, "makes a system user")
class System(unittest.TestCase):
    """pam_unix, the user's home, and a process with the user's own uid."""

    PASSWORD = "Geheim und lang 1"

    @classmethod
    def setUpClass(cls):
        cls.name = "pstt" + secrets.token_hex(3)
        cls.home = "/tmp/postern-home-" + cls.name
        cls.service = "postern-test-" + cls.name
        cls.rules = "/etc/pam.d/" + cls.service
        subprocess.run(["useradd", "-m", "-d", cls.home, "-s", "/bin/false", cls.name], check=True,
                       capture_output=True)
        cls.addClassCleanup(cls.remove)
        subprocess.run(["chpasswd"], input="%s:%s\n" % (cls.name, cls.PASSWORD), text=True,
                       check=True, capture_output=True)
        with open(cls.rules, "w", encoding="ascii") as f:
            f.write("auth required pam_unix.so\naccount required pam_unix.so\n"
                    "session required pam_permit.so\n")
        entry = pwd.getpwnam(cls.name)
        cls.uid, cls.gid = entry.pw_uid, entry.pw_gid
        layout.make_maildir(cls.home + "/Maildir", (cls.uid, cls.gid))
        os.chmod(cls.home, 0o700)
        with open(cls.home + "/Maildir/new/1700000000.1.test", "wb") as f:
            f.write(b"Subject: home\n\nx\n")
        os.chown(cls.home + "/Maildir/new/1700000000.1.test", cls.uid, cls.gid)

    @classmethod
    def remove(cls):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(cls.rules)
        subprocess.run(["userdel", "-r", cls.name], check=False, capture_output=True)
        shutil.rmtree(cls.home, ignore_errors=True)

    def bed(self, *options):
        bed = Bed("--users", "1", "--set=auth.backends=pam", "--set=auth.pam.service=" + self.service,
                  "--set=mail.run_as=user", "--set=mail.location=maildir:%{home}/Maildir",
                  "--set=mail.roots=/tmp", "--set=mail.first_gid=1", *options)
        self.addCleanup(bed.stop)
        return bed

    def log_in(self, bed, password=None):
        client = bed.connect()
        self.addCleanup(client.close)
        client.ok("USER " + self.name)
        return client, client.cmd("PASS " + (password or self.PASSWORD))

    def check_mail(self, bed):
        client, reply = self.log_in(bed)
        self.assertTrue(reply.startswith(b"+OK"), (reply, bed.log_text()))
        self.assertEqual(client.stat()[0], 1)
        served = []
        for pid in processes.children(bed.pid):
            with contextlib.suppress(OSError), open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = dict(x.rstrip("\n").split(":\t", 1) for x in f if ":\t" in x)
                if status["Uid"].split()[0] == str(self.uid):
                    served.append(status)
        self.assertEqual(len(served), 1)
        self.assertEqual(set(served[0]["Uid"].split()), {str(self.uid)})
        self.assertEqual(set(served[0]["Gid"].split()), {str(self.gid)})
        self.assertLessEqual(set(served[0]["Groups"].split()), {str(self.gid)})
        for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(served[0][caps], 16), 0, caps)
        self.assertEqual(served[0]["NoNewPrivs"], "1")
        client.quit()
        self.assertEqual(code_of(self.log_in(bed, "wrong")[1]), "AUTH")

    def test_group_shadow_is_enough(self):
        bed = self.bed("--set=server.auth_user=postern-auth:shadow")
        self.check_mail(bed)
        auth = pwd.getpwnam("postern-auth").pw_uid
        for pid in bed.workers("auth"):
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                self.assertIn("Uid:\t%d\t%d\t%d" % (auth, auth, auth), f.read())

    def test_root_with_two_capabilities(self):
        bed = self.bed("--set=server.auth_user=root")
        self.check_mail(bed)
        for pid in bed.workers("auth"):
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = dict(x.rstrip("\n").split(":\t", 1) for x in f if ":\t" in x)
            self.assertEqual(int(status["CapEff"], 16) & ~(1 << 2 | 1 << 29), 0)
            self.assertEqual(int(status["CapBnd"], 16), 0)
            self.assertEqual(status["NoNewPrivs"], "1")

    def test_root_is_refused_without_pam(self):
        bed = self.bed("--set=server.auth_user=postern-auth:shadow")
        run = bed.ctl("-s", "server.auth_user=root", "-s", "auth.backends=sqlite", "config", "check")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("is root", run.stdout + run.stderr)
        run = bed.ctl("-s", "server.auth_user=root", "config", "check")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("postern-auth:shadow", run.stdout + run.stderr)

    def test_expired_and_locked_accounts(self):
        bed = self.bed("--set=server.auth_user=postern-auth:shadow")
        self.addCleanup(subprocess.run, ["chage", "-E", "-1", "-d", "20000", self.name], check=True)
        subprocess.run(["chage", "-E", "1", self.name], check=True)
        self.assertEqual(code_of(self.log_in(bed)[1]), "SYS/PERM")
        self.assertIn("the account has expired", bed.log_text())
        self.assertEqual(code_of(self.log_in(bed, "wrong")[1]), "AUTH")
        subprocess.run(["chage", "-E", "-1", "-d", "0", self.name], check=True)
        self.assertEqual(code_of(self.log_in(bed)[1]), "SYS/PERM")
        self.assertIn("the password has expired", bed.log_text())
        subprocess.run(["chage", "-d", "20000", self.name], check=True)
        subprocess.run(["usermod", "-L", self.name], check=True)
        self.addCleanup(subprocess.run, ["usermod", "-U", self.name], check=True)
        self.assertEqual(code_of(self.log_in(bed)[1]), "AUTH")


if __name__ == "__main__":
    unittest.main()
