# SPDX-License-Identifier: MIT
"""A whole Dovecot that serves POP3 on loopback, with STLS and with TLS, from Maildirs under a folder of its
own. It is the old server that mail is moved away from."""
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from . import certs
from .processes import wait_until

PROGRAM = "/usr/sbin/dovecot"
POP3 = "/usr/lib/dovecot/pop3"
IS_THERE = os.path.exists(PROGRAM) and os.path.exists(POP3)
IS_ROOT = os.geteuid() == 0

CONFIG = """
base_dir = %(home)s/run
state_dir = %(home)s/state
log_path = %(home)s/log
protocols = pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <%(cert)s/fullchain.pem
ssl_key = <%(cert)s/privkey.pem
auth_mechanisms = plain
auth_master_user_separator = *
mail_location = maildir:%(home)s/mail/%%u
first_valid_uid = 1
service pop3-login {
  inet_listener pop3 {
    port = %(port)d
  }
  inet_listener pop3s {
    port = %(tls_port)d
    ssl = yes
  }
}
passdb {
  driver = passwd-file
  master = yes
  args = %(home)s/masters
}
passdb {
  driver = passwd-file
  args = username_format=%%u %(home)s/users
}
userdb {
  driver = static
  args = uid=%(uid)d gid=%(gid)d home=%(home)s/mail/%%u
}
"""

# As a plain user all processes are that user's.
PLAIN_USER = """
default_internal_user = %(user)s
default_internal_group = %(group)s
default_login_user = %(user)s
service anvil {
  chroot =
}
service pop3-login {
  chroot =
}
"""


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Dovecot:
    """start() after put(); mail lies in maildir(user)."""

    def __init__(self, users, password="secret", **settings):
        self.home = tempfile.mkdtemp(prefix="postern-dovecot-")
        os.chmod(self.home, 0o755)
        self.users, self.password, self.settings = list(users), password, dict(settings)
        self.port, self.tls_port = _free_port(), _free_port()
        self.uid, self.gid = os.getuid(), os.getgid()
        if IS_ROOT:  # it serves no mail as root
            nobody = pwd.getpwnam("nobody")
            self.uid, self.gid = nobody.pw_uid, nobody.pw_gid
        self.ca = None
        self.process = None
        self.serial = 0
        for user in self.users:
            for box in ("new", "cur", "tmp"):
                os.makedirs(os.path.join(self.maildir(user), box))

    def maildir(self, user):
        return os.path.join(self.home, "mail", user)

    def put(self, user, octets, name=None):
        self.serial += 1
        name = name or "%d.M%dP1.old" % (1600000000 + self.serial, self.serial)
        with open(os.path.join(self.maildir(user), "new", name), "wb") as f:
            f.write(octets)

    def _configure(self):
        folder = os.path.join(self.home, "certs")
        self.ca = certs.make_ca(folder)
        certs.issue(folder, folder, "localhost")
        facts = {"home": self.home, "port": self.port, "tls_port": self.tls_port, "uid": self.uid,
                 "gid": self.gid, "cert": os.path.join(folder, "localhost"),
                 "user": pwd.getpwuid(self.uid).pw_name, "group": grp.getgrgid(self.gid).gr_name}
        text = CONFIG + ("" if IS_ROOT else PLAIN_USER)
        with open(self.home + "/dovecot.conf", "w", encoding="ascii") as f:
            f.write(text % facts)
            f.writelines("%s = %s\n" % pair for pair in self.settings.items())
        for name, entries in (("users", self.users), ("masters", ["admin"])):
            with open(os.path.join(self.home, name), "w", encoding="ascii") as f:
                f.writelines("%s:{PLAIN}%s\n" % (entry, self.password) for entry in entries)

    def start(self):
        self._configure()
        os.makedirs(self.home + "/state", exist_ok=True)
        if IS_ROOT:
            subprocess.run(["chown", "-R", "%d:%d" % (self.uid, self.gid), self.home + "/mail"],
                           check=True)
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([PROGRAM, "-F", "-c", self.home + "/dovecot.conf"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        if not wait_until(self._answers, 30, 0.05):
            raise AssertionError("dovecot does not start: %s" % self.log_text())

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                return s.recv(100).startswith(b"+OK")
        except OSError:
            return False

    def log_text(self):
        try:
            with open(self.home + "/log", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process.stderr.close()
        shutil.rmtree(self.home, ignore_errors=True)
