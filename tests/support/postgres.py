# SPDX-License-Identifier: MIT
"""Private PostgreSQL servers for test beds: each in a folder of its own, on loopback and a socket.

PostgreSQL does not run as root: as root it runs as postgres, or as nobody where there is no such user.
Nothing is fast about a database that survives a power cut, so these would not.
"""
import csv
import glob
import io
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

from support import processes

NAME = "mail"           # database
OWNER = "postern"       # role that the server logs in as; its password:
PASSWORD = "pg'se\"cret\\ 1"
START_SECONDS = 60
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    "max_connections": "60", "shared_buffers": "16MB", "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0777", "logging_collector": "off", "wal_level": "replica",
    "max_wal_senders": "4", "hot_standby": "on", "log_min_messages": "warning",
    "password_encryption": "scram-sha-256", "autovacuum": "off", "lc_messages": "C",
}
# Local connections are the test's own, and it is whoever it says; TCP takes a password.
ACCESS = """local all all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 trust
"""


class Error(Exception):
    """Why there is no server."""


def find_programs():
    """The folder of the newest PostgreSQL's programs, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4])))
    there = shutil.which("initdb")
    return os.path.dirname(os.path.realpath(there)) if there else None


def plain_user():
    """Whom a server runs as: (uid, gid), or None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            continue
    raise Error("there is no user postgres or nobody that PostgreSQL could run as")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_in(folder):
    try:
        with open(os.path.join(folder, "data", "postgresql.conf"), encoding="ascii") as f:
            return int(re.search(r"^port = '(\d+)'", f.read(), re.M).group(1))
    except OSError:
        return None


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}


class Postgres:
    """One server under folder. It is made, started, stopped, and gone with stop()."""

    def __init__(self, folder, port=None):
        """port: None for any; a folder of one that was made keeps its own."""
        self.folder, self.port = folder, port or port_in(folder) or free_port()
        self.data = os.path.join(folder, "data")
        self.sockets = os.path.join(folder, "s")
        self.log = os.path.join(folder, "log")
        self.programs = find_programs()
        self.user = plain_user()
        self.process = None  # if it is our child
        if self.programs is None:
            raise Error("PostgreSQL's server programs are not installed (postgresql)")
        if len(os.path.join(self.sockets, ".s.PGSQL.%d" % self.port)) > 100:
            raise Error("%s: the name is too long for a socket" % folder)

    # -- The folder --------------------------------------------------------------------------

    def _make_folders(self):
        os.makedirs(self.sockets)
        if self.user:
            for path in (self.folder, self.sockets):
                os.chown(path, *self.user)
        os.chmod(self.folder, 0o755)
        os.chmod(self.sockets, 0o755)

    def _program(self, name, *args, script=False, **how):
        user = {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}
        return subprocess.Popen([os.path.join(self.programs, name), *args], cwd="/",
                                env=clean_environment(), **user, **how,
                                stdin=subprocess.PIPE if script else subprocess.DEVNULL)

    def _run(self, name, *args):
        run = self._program(name, *args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = run.communicate(timeout=120)
        if run.returncode != 0:
            raise Error("%s: %s" % (name, said.strip()))

    def create(self):
        self._make_folders()
        self._run("initdb", "-D", self.data, "-U", "admin", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")
        self._configure()
        return self

    def copy_of(self, primary):
        """Becomes a standby that follows primary, which is running."""
        self._make_folders()
        self._run("pg_basebackup", "-D", self.data, "-h", primary.sockets, "-p",
                  str(primary.port), "-U", "admin", "-c", "fast", "--no-sync", "-X", "stream", "-R")
        self._configure()
        return self

    def _configure(self):
        settings = dict(SETTINGS, port=self.port, unix_socket_directories=self.sockets)
        with open(os.path.join(self.data, "postgresql.conf"), "w", encoding="ascii") as f:
            f.writelines("%s = '%s'\n" % pair for pair in settings.items())
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as f:
            f.write("local replication all trust\n" + ACCESS)

    # -- Running -----------------------------------------------------------------------------

    def pid(self):
        """Of the postmaster; None where none runs."""
        try:
            with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as f:
                pid = int(f.readline())
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                is_ours = self.data.encode() in f.read().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if is_ours and processes.started(pid) else None

    def start(self):
        with open(self.log, "ab") as log:
            process = self._program("postgres", "-D", self.data, stdout=log, stderr=log,
                                    start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while not self._accepts():
            if process.poll() is not None or time.monotonic() > end:
                with open(self.log, encoding="utf-8", errors="replace") as f:
                    said = f.read()[-2000:]
                self.stop()
                raise Error("PostgreSQL did not start: " + said)
            time.sleep(0.02)
        self.process = process
        return self

    def _accepts(self):
        ready = self._program("pg_isready", "-q", "-h", self.sockets, "-p", str(self.port))
        return ready.wait(timeout=30) == 0

    def stop(self, how=signal.SIGINT):
        """SIGINT ends it at once and in order, SIGQUIT without order. True if it went so."""
        pid = self.pid()
        if pid is None:
            return True
        self.wake()
        send(pid, how)
        in_order = processes.wait_until(lambda: processes.started(pid) is None, 30)
        if not in_order:
            for each in [pid, *processes.children(pid)]:
                send(each, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(timeout=10)
            self.process = None
        return bool(in_order)

    def wake(self):
        """Whoever was stopped goes on."""
        pid = self.pid()
        for each in [*processes.children(pid), pid] if pid else []:
            send(each, signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    # -- Its processes -----------------------------------------------------------------------

    def backends(self):
        """Pids of the processes that serve connections of the role OWNER."""
        found = []
        for pid in processes.children(self.pid()):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    if f.read().startswith(b"postgres: %s " % OWNER.encode()):
                        found.append(pid)
            except OSError:
                continue
        return found

    # -- Talking to it -----------------------------------------------------------------------

    def string(self, user=OWNER, name=NAME, tcp=False):
        """A connection string of libpq."""
        where = "127.0.0.1" if tcp else self.sockets
        return "host=%s port=%d user=%s dbname=%s" % (where, self.port, user, name)

    def psql(self, *args, user="admin", name=NAME, **how):
        """A psql that stops at the first error."""
        return self._program("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.sockets, "-p",
                             str(self.port), "-U", user, *args, name, **how)

    def sql(self, text, *values, user="admin", name=NAME):
        """Runs it, each ? a value; the rows of its answer as lists of texts."""
        parts = text.split("?")
        assert len(parts) == len(values) + 1, text
        values = [literal(v) for v in values] + [""]
        return self.script("".join(p + v for p, v in zip(parts, values)), user, name)

    def script(self, text, user="admin", name=NAME):
        run = self.psql("--csv", "-t", "-f", "-", user=user, name=name, script=True,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said, wrong = run.communicate(text.encode(), timeout=120)
        if run.returncode != 0:
            raise Error("psql: " + wrong.decode("utf-8", "replace").strip())
        return list(csv.reader(io.StringIO(said.decode())))

    def make_database(self, schema):
        """The database, the role and the schema's tables, which the role owns."""
        self.sql("CREATE ROLE %s LOGIN PASSWORD ?" % OWNER, PASSWORD, name="postgres")
        self.sql("CREATE DATABASE %s OWNER %s" % (NAME, OWNER), name="postgres")
        self.script(schema, user=OWNER)


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int)):
        return str(value).lower()
    return "'%s'" % value.replace("'", "''")


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
