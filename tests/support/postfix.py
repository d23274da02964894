# SPDX-License-Identifier: MIT
"""The real Postfix as a delivery agent: its queue, and its local(8) and virtual(8), which write the mbox.

It runs with accounts of its own (a mount namespace: needs root), as the only programs of a process
namespace: nothing of it outlives the shell that is told what to deliver. It listens on no port and
locks as it does by default. Mail is queued at once and delivered when it can be: see flush().
"""
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from . import unpacked

POSTFIX = unpacked.find("postfix", "usr/lib/postfix/sbin/master")
ROOT = POSTFIX and POSTFIX[:-len("/usr/lib/postfix/sbin/master")]
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
DOMAIN = {"local": "test.example", "virtual": "virtual.example"}
SENDER = "sender@example.test"
IN_QUEUE = 20  # messages that may wait at a time
MAIN = """
compatibility_level = 3.6
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={root}/usr/lib/postfix
export_environment = MAIL_CONFIG LD_LIBRARY_PATH={root}/usr/lib/postfix
meta_directory = {dir}/conf
queue_directory = {dir}/spool
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
mail_owner = pst-postfix
setgid_group = pst-postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = test.example
mydestination = test.example
biff = no
alias_maps =
alias_database =
home_mailbox = {name}
virtual_mailbox_domains = virtual.example
virtual_mailbox_base = /
virtual_mailbox_maps = texthash:{dir}/places
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
header_checks = regexp:{{ {{/^Received:/ IGNORE}} }}
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
MASTER = """
pickup    unix       n - n 60  1 pickup
cleanup   unix       n - n -   0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - n -   - trivial-rewrite
bounce    unix       - - n -   0 bounce
defer     unix       - - n -   0 bounce
trace     unix       - - n -   0 bounce
proxymap  unix       - - n -   - proxymap
error     unix       - - n -   - error
retry     unix       - - n -   - error
local     unix       - n n -   - local
virtual   unix       - n n -   - virtual
postlog   unix-dgram n - n -   1 postlogd
"""
SPACE = """set -e
cd {dir}
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount -t tmpfs -o mode=755 none spool
cd spool
mkdir pid
mkdir -m 700 active bounce corrupt defer deferred flush hold incoming private saved trace
mkdir -m 710 public
mkdir -m 1730 maildrop
chown pst-postfix active bounce corrupt defer deferred flush hold incoming private saved trace ../data
chown pst-postfix:pst-postdrop public maildrop
export MAIL_CONFIG={dir}/conf LD_LIBRARY_PATH={root}/usr/lib/postfix
{root}/usr/lib/postfix/sbin/master -d </dev/null >../master 2>&1 &
master=$!
until [ -S public/pickup ] && [ -S public/qmgr ]; do
    kill -0 $master
    sleep 0.02
done
echo ready
while read -r place file; do
    {root}/usr/sbin/sendmail -i -f {sender} "$place" < "$file" >>../master 2>&1 && echo ok || echo failed
done
kill $master
wait $master || true
"""


def why_not():
    """Why it cannot run here, or None."""
    if not POSTFIX:
        return "no Postfix: contrib/install-deps --test"
    if os.geteuid() != 0:
        return "Postfix needs root"
    probe = "mount -t tmpfs none %s && LD_LIBRARY_PATH=%s %s -c / -d mail_version"
    run = subprocess.run(NAMESPACES + ["sh", "-c", probe % (
        tempfile.gettempdir(), ROOT + "/usr/lib/postfix", ROOT + "/usr/sbin/postconf")],
        capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else "Postfix cannot run here: " + run.stderr.strip()


class Postfix:
    """One that delivers; places: the paths of mbox files by name, all in folders of their own."""

    def __init__(self, places, uid, gid):
        self.dir = tempfile.mkdtemp(prefix="postern-postfix-")
        self.names = {path: name for name, path in places.items()}
        self.lock, self.given = threading.Lock(), 0
        self.log_at, self.sent = 0, {"local": 0, "virtual": 0}
        os.chmod(self.dir, 0o755)
        for name in ("conf", "data", "spool"):
            os.mkdir(os.path.join(self.dir, name))
        facts = {"dir": self.dir, "root": ROOT, "uid": uid, "gid": gid, "sender": SENDER,
                 "name": os.path.basename(next(iter(places.values())))}
        self.write("conf/main.cf", MAIN.format(**facts))
        self.write("conf/master.cf", MASTER)
        self.write("places", "".join("%s@%s %s\n" % (name, DOMAIN["virtual"], path)
                                     for name, path in places.items()))
        users = "".join("%s:x:%d:%d::%s:/bin/false\n" % (name, uid, gid, os.path.dirname(path))
                        for name, path in places.items())
        self.add_to("passwd", "pst-postfix:x:65521:65521::/:/bin/false\n" + users)
        self.add_to("group", "pst-postfix:x:65521:\npst-postdrop:x:65522:\n")
        self.run = subprocess.Popen(
            NAMESPACES + ["sh", "-c", SPACE.format(**facts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.run.stdout.readline() != "ready\n":
            said = self.run.communicate()[1]
            said += self.read("master") + self.read("log")
            shutil.rmtree(self.dir, ignore_errors=True)
            raise AssertionError("postfix does not start: " + said)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def add_to(self, name, more):
        with open("/etc/" + name, encoding="utf-8") as f:
            self.write(name, f.read() + more)

    def read(self, name, offset=0):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8") as f:
                f.seek(offset)
                return f.read()
        except OSError:
            return ""

    def told(self):
        """The end of what it logged, for who wonders."""
        return self.read("master")[-1000:] + self.read("log")[-3000:]

    def waiting(self):
        """How many messages are queued and not delivered yet."""
        more = self.read("log", self.log_at)
        more = more[:more.rfind("\n") + 1]
        self.log_at += len(more.encode())
        for agent in re.findall(r" postfix/(local|virtual)\[\d+\]: .* status=sent ", more):
            self.sent[agent] += 1
        return self.given - sum(self.sent.values())

    def headers(self, agent, path):
        """What the agent sets before a message that it writes to this mbox."""
        to = "%s@%s" % (self.names[path], DOMAIN[agent])
        return ("Return-Path: <%s>\nX-Original-To: %s\nDelivered-To: %s\n" % (SENDER, to, to)).encode()

    def give(self, agent, path, octets):
        """Queues a message for the agent, "local" or "virtual"; waits while too many wait already."""
        with self.lock:
            self.wait_for(IN_QUEUE)
            message = os.path.join(self.dir, "message")
            with open(message, "wb") as f:
                f.write(octets)
            self.run.stdin.write("%s@%s %s\n" % (self.names[path], DOMAIN[agent], message))
            self.run.stdin.flush()
            said = self.run.stdout.readline().strip()
            if said != "ok":
                raise AssertionError("postfix: %s\n%s" % (said, self.told()))
            self.given += 1

    def wait_for(self, count):
        until = time.monotonic() + 60
        while self.waiting() > count:
            if time.monotonic() > until:
                raise AssertionError("postfix does not deliver:\n" + self.told())
            time.sleep(0.02)

    def flush(self):
        """Waits till all is delivered."""
        with self.lock:
            self.wait_for(0)

    def close(self):
        self.run.stdin.close()
        try:
            self.run.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.run.kill()  # and all in the namespace
            self.run.wait()
        self.run.stdout.close()
        self.run.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)
