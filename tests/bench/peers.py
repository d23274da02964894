# SPDX-License-Identifier: MIT
"""The servers that tests/bench/maildrops measures, each in a cgroup that counts its processor time; and
a client that does what a mail program does."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, TESTS)

from support import processes  # noqa: E402

USER, DOMAIN, PASSWORD = "big", "example.test", "password"
LOOPBACK = "127.0.0.1"


class Cgroup:
    """The processor time of everything that was put into it, and of its children."""

    def __init__(self, name):
        for root, file, unit in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage", 1e-9),
                                 ("/sys/fs/cgroup", "cpu.stat", 1e-6)):
            self.path = os.path.join(root, "postern-bench-" + name)
            self.file, self.unit = os.path.join(self.path, file), unit
            with contextlib.suppress(OSError):
                os.makedirs(self.path, exist_ok=True)
                if os.path.exists(self.file):
                    return
        sys.exit("bench: no cgroup that counts processor time")

    def add(self, pid):
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(pid))

    def cpu(self):
        with open(self.file, encoding="ascii") as f:
            text = f.read()
        m = re.search(r"usage_usec (\d+)", text)
        return float(m.group(1) if m else text) * self.unit

    def settled(self):
        """Once the server does nothing more: what it has used."""
        last = self.cpu()
        while True:
            time.sleep(0.15)
            now = self.cpu()
            if now - last < 0.0005:
                return now
            last = now

    def remove(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.path)


class Client:
    def __init__(self, port, user):
        self.sock = socket.create_connection((LOOPBACK, port), timeout=600)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rwb", buffering=1 << 20)
        self.expect(self.stream.readline())
        self.say("USER " + user)
        self.say("PASS " + PASSWORD)

    @staticmethod
    def expect(line):
        if not line.startswith(b"+OK"):
            raise RuntimeError("bench: the server says %r" % line)
        return line

    def say(self, line):
        self.stream.write(line.encode() + b"\r\n")
        self.stream.flush()
        return self.expect(self.stream.readline())

    def count(self):
        return int(self.say("STAT").split()[1])

    def listing(self, command):
        self.say(command)
        found = []
        while (line := self.stream.readline()) != b".\r\n":
            found.append(line)
        return found

    def delete(self, numbers):
        """Without waiting for each answer."""
        numbers = list(numbers)
        for at in range(0, len(numbers), 100):
            part = numbers[at:at + 100]
            self.stream.write(b"".join(b"DELE %d\r\n" % n for n in part))
            self.stream.flush()
            for _ in part:
                self.expect(self.stream.readline())

    def quit(self):
        self.say("QUIT")
        self.sock.close()


class Server:
    """name, port, user, cgroup; mail: its own copy."""
    is_mbox = False

    def session(self, *steps):
        """Logs in, does the steps, leaves; the processor time that the server took."""
        before = self.cgroup.settled()
        client = Client(self.port, self.user)
        for step in steps:
            step(client)
        client.quit()
        return self.cgroup.settled() - before

    def own(self, path):
        os.chown(path, *self.owner)


class Postern(Server):
    name = "postern"

    def __init__(self, work, storage, mail, settings):
        self.dir, self.is_mbox, self.mail = os.path.join(work, "postern"), storage == "mbox", mail
        self.user = "%s@%s" % (USER, DOMAIN)
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        users = os.path.join(work, "users")
        with open(users, "w", encoding="ascii") as f:
            f.write(self.user + "\n")
        run = subprocess.run(
            [os.path.join(TESTS, "testbed"), "start", "--dir", self.dir, "--scheme", "PLAIN",
             "--tls", "none", "--users", users, "--password", PASSWORD, "--storage", storage,
             "--location", "%s:%s/%%{local}" % (storage, os.path.dirname(mail)), *["--set=" + s for s in settings]],
            stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            sys.exit("bench: the server did not start")
        facts = json.loads(run.stdout)
        self.port, self.pid = facts["port"], facts["pid"]
        self.owner = tuple(int(x) for x in facts["owner"].split(":"))
        self.cgroup = Cgroup(self.name)
        for pid in self.pids():
            self.cgroup.add(pid)

    def pids(self):
        return processes.in_session(self.pid)

    def forget(self):
        """All that it knows of its mail."""
        folder = os.path.dirname(self.mail) if self.is_mbox else self.mail
        for name in os.listdir(folder):
            if "postern" in name:
                os.unlink(os.path.join(folder, name))

    def stop(self):
        if os.path.exists(os.path.join(self.dir, "testbed.json")):
            subprocess.run([os.path.join(TESTS, "testbed"), "stop", "--dir", self.dir],
                           check=False)
        if hasattr(self, "cgroup"):
            self.cgroup.remove()


DOVECOT = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = {location}
first_valid_uid = 1
service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
  service_count = 0
  client_limit = 10000
  process_min_avail = 2
  process_limit = 2
}}
service pop3 {{
  service_count = 1000
  process_min_avail = 4
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {dir}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {dir}/users
}}
service auth {{
  client_limit = 2000
}}
auth_cache_size = 100 M
auth_cache_ttl = 1 hour
auth_cache_negative_ttl = 1 hour
pop3_no_flag_updates = yes
maildir_very_dirty_syncs = yes
"""


def free_port():
    with socket.socket() as s:
        s.bind((LOOPBACK, 0))
        return s.getsockname()[1]


def wait_port(port):
    def is_open():
        with socket.socket() as s:
            return s.connect_ex((LOOPBACK, port)) == 0
    if not processes.wait_until(is_open, 20, 0.05):
        sys.exit("bench: nothing listens on port %d" % port)


class Dovecot(Server):
    """Tuned: long-lived processes, its caches on, no flags written."""
    name = "dovecot"

    def __init__(self, work, storage, mail, owner):
        self.dir, self.is_mbox, self.mail = os.path.join(work, "dovecot"), storage == "mbox", mail
        self.user, self.owner, self.port = "%s@%s" % (USER, DOMAIN), owner, free_port()
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(os.path.join(self.dir, "home"))
        os.chmod(self.dir, 0o755)
        self.own(os.path.join(self.dir, "home"))
        self.control = os.path.join(self.dir, "home", "mail")
        location = "mbox:%s:INBOX=%s" % (self.control, mail) if self.is_mbox else "maildir:" + mail
        with open(os.path.join(self.dir, "users"), "w", encoding="ascii") as f:
            f.write("%s:{PLAIN}%s:%d:%d::%s/home::\n" % (self.user, PASSWORD, *owner, self.dir))
        conf = os.path.join(self.dir, "dovecot.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(DOVECOT.format(dir=self.dir, port=self.port, location=location))
        self.cgroup = Cgroup(self.name)
        subprocess.run(["dovecot", "-c", conf], check=True,
                       preexec_fn=lambda: self.cgroup.add(os.getpid()))
        wait_port(self.port)

    def forget(self):
        """All that it knows of its mail; what it moved to cur/ is in new/ again."""
        shutil.rmtree(self.control, ignore_errors=True)
        if self.is_mbox:
            return
        for name in os.listdir(self.mail):
            path = os.path.join(self.mail, name)
            if name not in ("cur", "new", "tmp"):
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def stop(self):
        path = os.path.join(self.dir, "run", "master.pid")
        if os.path.exists(path):
            with open(path, encoding="ascii") as f, contextlib.suppress(OSError, ValueError):
                pid = int(f.read())
                os.kill(pid, signal.SIGTERM)
                processes.wait_until(lambda: processes.started(pid) is None, 10)
        if hasattr(self, "cgroup"):
            self.cgroup.remove()


# popa3d takes system users and the port of POP3. So it runs where /etc/passwd, PAM and /var/mail are
# other ones, one process a connection, started by this.
INETD = """
import os, socket, subprocess, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c, _ = s.accept()
    if os.fork() == 0:
        os.dup2(c.fileno(), 0), os.dup2(c.fileno(), 1)
        os.execv(sys.argv[2], [sys.argv[2]])
    c.close()
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
SPACE = """set -e
mount --bind {dir}/passwd /etc/passwd
mount --bind {dir}/shadow /etc/shadow
mount -t tmpfs none /etc/pam.d
printf 'auth required pam_unix.so\\naccount required pam_unix.so\\n' > /etc/pam.d/popa3d
mount --bind {dir}/spool /var/mail
mount -t tmpfs none /var/lib
mkdir -p /var/lib/popa3d
exec python3 {dir}/inetd.py {port} {binary}
"""


class Popa3d(Server):
    """Has no index: it reads all of its mail each time."""
    name, is_mbox = "popa3d", True

    def __init__(self, work, binary, owner):
        self.dir, self.user, self.port = os.path.join(work, "popa3d"), USER, free_port()
        self.owner = owner
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(os.path.join(self.dir, "spool"))
        os.chmod(self.dir, 0o755)
        os.chmod(os.path.join(self.dir, "spool"), 0o1777)
        self.mail = os.path.join(self.dir, "spool", USER)
        secret = subprocess.run(["openssl", "passwd", "-5", PASSWORD], capture_output=True,
                                text=True, check=True).stdout.strip()
        self.write("passwd", "root:x:0:0::/:/bin/sh\npopa3d:x:65530:65534::/var/lib/popa3d:/bin/sh\n"
                   "%s:x:%d:%d::/tmp:/bin/sh\n" % (USER, *owner))
        self.write("shadow", "root:*:20000::::::\npopa3d:*:20000::::::\n%s:%s:20000::::::\n" % (
            USER, secret))
        self.write("inetd.py", INETD)
        self.cgroup = Cgroup(self.name)
        self.run = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", SPACE.format(dir=self.dir, port=self.port,
                                                       binary=binary)],
            preexec_fn=lambda: self.cgroup.add(os.getpid()))
        wait_port(self.port)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="ascii") as f:
            f.write(text)

    def forget(self):
        pass

    def stop(self):
        self.run.kill()
        self.run.wait()
        self.cgroup.remove()
