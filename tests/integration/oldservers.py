# SPDX-License-Identifier: MIT
"""The real Dovecot and Courier from Debian, on Maildirs of the tests.

Their POP3 and IMAP programs speak on standard input, without their own login servers. Courier's
packages conflict with Dovecot's: contrib/install-deps --test unpacks them into a folder of their own."""
import imaplib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT

DOVECOT_POP3 = "/usr/lib/dovecot/pop3"
DOVECOT_IMAP = "/usr/lib/dovecot/imap"
LIST = "dovecot-uidlist"
COURIER_LIST = "courierpop3dsizelist"


def find_courier():
    """The folder into which Courier's packages were unpacked, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in (os.environ.get("POSTERN_COURIER"), "/var/cache/postern-tests/courier",
                   cache + "/postern-tests/courier"):
        if folder and os.access(folder + "/usr/lib/courier/courier/courierpop3d", os.X_OK):
            return folder
    return None


COURIER = find_courier()
needs_dovecot = unittest.skipUnless(os.path.exists(DOVECOT_POP3), "needs dovecot-pop3d")
needs_imap = unittest.skipUnless(os.path.exists(DOVECOT_IMAP), "needs dovecot-imapd")
needs_courier = unittest.skipUnless(
    COURIER, "needs Courier, unpacked by contrib/install-deps --test")


def mail(number, headers=b""):
    return b"Subject: message %d\n%s\nbody %d\n.\n" % (number, headers, number)


def uidls_of(lines):
    return [line.split(" ", 1)[1] for line in lines]


class Server:
    """An old server and a Maildir: its own, or one that is there."""
    list_name = None

    def __init__(self, path=None, uid=None, gid=None):
        self.home = tempfile.mkdtemp(prefix="postern-old-")
        self.path = path or os.path.join(self.home, "Maildir")
        self.serial = 0
        self.owner = (uid, gid)
        if uid is None:
            nobody = pwd.getpwnam("nobody")
            self.owner = (nobody.pw_uid, nobody.pw_gid)
        self.ids = {}
        if IS_ROOT:  # these servers serve no mail as root
            self.ids = {"user": self.owner[0], "group": self.owner[1], "extra_groups": []}
        os.makedirs(self.home + "/run")
        for folder in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(self.path, folder), exist_ok=True)
        if IS_ROOT:
            os.chown(self.home, *self.owner)
            os.chown(self.home + "/run", *self.owner)

    def put(self, name, octets, box="new"):
        with open(os.path.join(os.fsencode(self.path), box.encode(), os.fsencode(name)), "wb") as f:
            f.write(octets)

    def fill(self, count, headers=b""):
        for _ in range(count):
            self.serial += 1
            # Not in the order of the numbers.
            name = "%d.M%dP7.host" % (1700000000 + self.serial * 7 % 10, 1000 - self.serial)
            self.put(name, mail(self.serial, headers))

    def list_path(self):
        return os.path.join(self.path, self.list_name)

    def read_list(self):
        with open(self.list_path(), "rb") as f:
            return f.read()

    def write_list(self, octets):
        with open(self.list_path(), "wb") as f:
            f.write(octets)
        if IS_ROOT:
            os.chown(self.list_path(), *self.owner)

    def command(self):
        raise NotImplementedError

    def show(self, commands=b""):
        """UIDL and LIST as it answers them."""
        if IS_ROOT:
            for folder in (self.home, self.path):
                subprocess.run(["chown", "-R", "%d:%d" % self.owner, folder], check=True)
        parts = self.session(b"UIDL\r\nLIST\r\n" + commands).split(b"\r\n.\r\n")
        if len(parts) < 3:
            raise AssertionError("%s: %r" % (type(self).__name__, parts))
        return tuple([line for line in part.decode("latin-1").split("\r\n")
                      if not line.startswith("+OK")] for part in parts[:2])

    def session(self, commands):
        arguments, env = self.command()
        run = subprocess.run(arguments, input=commands + b"QUIT\r\n", capture_output=True,
                             timeout=60, check=False, cwd=self.home, **self.ids,
                             env={"HOME": self.home, "PATH": os.environ["PATH"], **env})
        if run.returncode != 0:
            raise AssertionError("%s: %r %r" % (arguments[0], run.stdout, run.stderr))
        return run.stdout

    def remove(self):
        shutil.rmtree(self.home)


class Dovecot(Server):
    list_name = LIST

    def __init__(self, path=None, uid=None, gid=None, **settings):
        super().__init__(path, uid, gid)
        self.configure(**settings)

    def configure(self, **settings):
        settings = {"base_dir": self.home + "/run", "state_dir": self.home + "/run",
                    "log_path": self.home + "/run/log", "mail_location": "maildir:" + self.path,
                    "ssl": "no", "protocols": "pop3 imap", "first_valid_uid": "1", **settings}
        with open(self.home + "/dovecot.conf", "w", encoding="ascii") as f:
            for key, value in settings.items():
                f.write("%s = %s\n" % (key, value))

    def command(self):
        return [DOVECOT_POP3, "-c", self.home + "/dovecot.conf"], {"USER": "nobody"}

    def log_text(self):
        try:
            with open(self.home + "/run/log", encoding="latin-1") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def imap(self):
        """A session, logged in."""
        command = ["env", "HOME=" + self.home, "USER=nobody", DOVECOT_IMAP, "-c",
                   self.home + "/dovecot.conf"]
        if IS_ROOT:
            command = ["setpriv", "--reuid", str(self.owner[0]), "--regid", str(self.owner[1]),
                       "--clear-groups", *command]
        return imaplib.IMAP4_stream(shlex.join(command) + " 2>>%s/run/stderr" % self.home)


class Courier(Server):
    list_name = COURIER_LIST

    def command(self):
        return ([COURIER + "/usr/lib/courier/courier/courierpop3d", self.path],
                {"AUTHENTICATED": "nobody", "AUTHADDR": "nobody", "TCPREMOTEIP": "127.0.0.1",
                 "LD_LIBRARY_PATH": ":".join([
                     COURIER + "/usr/lib", COURIER + "/usr/lib/%s-linux-gnu" % os.uname().machine])
                 })
