# SPDX-License-Identifier: MIT
"""For the integration tests: a server from tests/testbed, and a POP3 client that hides nothing.

The client gives every reply as the octets that came, and fails on a line that does not end with
CRLF. Every wait has a limit. A bed's end checks what the server itself had to say: a worker that
died without being killed, an error line or a sanitizer report fails the test class that saw it.
"""
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, TESTS)

from support import conf, postgres, processes  # noqa: E402

TESTBED = os.path.join(TESTS, "testbed")
WAIT = float(os.environ.get("POSTERN_TEST_WAIT", "20"))  # seconds for any one answer
SANITIZED = os.environ.get("POSTERN_SANITIZED") == "1"   # slower by some factor
IS_ROOT = os.geteuid() == 0


class Closed(AssertionError):
    """The server ended the connection where an answer was due."""


class Client:
    """One POP3 connection. All replies are octets."""

    def __init__(self, host, port, tls=False, context=None, name="localhost", greeting=True,
                 timeout=None, source=None):
        self.sock = socket.create_connection((host, port), timeout=timeout or WAIT,
                                             source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.greeting = None
        if tls:
            self.start_tls(context, name)
        if greeting:
            self.greeting = self.line()
            if not self.greeting.startswith(b"+OK"):
                raise AssertionError("greeting: %r" % self.greeting)

    def start_tls(self, context=None, name="localhost"):
        assert not self.data, "octets before the handshake: %r" % self.data
        self.sock = (context or lenient()).wrap_socket(self.sock, server_hostname=name)

    def send(self, octets):
        self.sock.sendall(octets)

    def _more(self):
        try:
            got = self.sock.recv(1 << 18)
        except (ConnectionResetError, ssl.SSLEOFError) as e:
            raise Closed("connection lost: %s; unread %r" % (e, self.data[-200:])) from e
        except TimeoutError as e:
            raise AssertionError("no answer in time; unread %r" % self.data[-200:]) from e
        if not got:
            raise Closed("closed by the server; unread %r" % self.data[-200:])
        self.data += got

    def _take(self, count):
        out = bytes(self.data[:count])
        del self.data[:count]
        return out

    def line(self):
        """One line without its CRLF."""
        at = 0
        while True:
            end = self.data.find(b"\n", at)
            if end >= 0:
                break
            at = len(self.data)
            self._more()
        line = self._take(end + 1)
        if not line.endswith(b"\r\n"):
            raise AssertionError("a line without CR: %r" % line[-80:])
        return line[:-2]

    def rest(self):
        """The octets up to and with the line of one dot: what follows a multi-line +OK."""
        at = 0
        while True:
            if self.data.startswith(b".\r\n"):
                end = 3
                break
            found = self.data.find(b"\r\n.\r\n", max(0, at - 4))
            if found >= 0:
                end = found + 5
                break
            at = len(self.data)
            self._more()
        return self._take(end)

    def cmd(self, line):
        """Sends one line, gives the first line of the answer."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.line()

    def ok(self, line):
        answer = self.cmd(line)
        if not answer.startswith(b"+OK"):
            raise AssertionError("%r: %r" % (line, answer))
        return answer

    def err(self, line, code=None):
        """-ERR, with exactly this response code ("AUTH") or, for "", with none."""
        answer = self.cmd(line)
        if not answer.startswith(b"-ERR"):
            raise AssertionError("%r: %r, not -ERR" % (line, answer))
        if code is not None and code_of(answer) != code:
            raise AssertionError("%r: %r, not the code [%s]" % (line, answer, code))
        return answer

    def multi(self, line):
        """The octets of a multi-line answer after its +OK line, ending dot included."""
        self.ok(line)
        return self.rest()

    def lines(self, line):
        """The lines of a multi-line answer, dot-stuffing undone, without the last dot."""
        return unstuff(self.multi(line)).decode("latin-1").split("\r\n")[:-1]

    def login(self, user, password):
        self.ok(b"USER " + to_octets(user))
        return self.ok(b"PASS " + to_octets(password))

    def stat(self):
        word, count, octets = self.ok("STAT").split(b" ")
        assert word == b"+OK"
        return int(count), int(octets)

    def quit(self):
        answer = self.cmd("QUIT")
        self.expect_end()
        return answer

    def expect_end(self, seconds=None):
        """The server closes, and says nothing more."""
        self.sock.settimeout(seconds or WAIT)
        try:
            got = bytes(self.data) + self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            got = bytes(self.data)
        except TimeoutError as e:
            raise AssertionError("the server keeps the connection open") from e
        if got:
            raise AssertionError("octets where the end was due: %r" % got[:200])
        self.close()

    def read_all(self):
        """Everything until the server closes."""
        out = [self._take(len(self.data))]
        with contextlib.suppress(ConnectionResetError):
            while True:
                got = self.sock.recv(1 << 18)
                if not got:
                    break
                out.append(got)
        self.close()
        return b"".join(out)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def to_octets(text):
    return text.encode() if isinstance(text, str) else text


def code_of(answer):
    """The response code of a reply line, "" where there is none."""
    m = re.match(rb"(?:-ERR|\+OK) \[([A-Z0-9/-]+)\]", answer)
    return m.group(1).decode() if m else ""


def b64(octets):
    return base64.b64encode(octets)


def unstuff(octets):
    """A multi-line answer as it was before dots were added; the ending line goes."""
    if octets == b".\r\n":
        return b""
    assert octets.endswith(b"\r\n.\r\n"), octets[-20:]
    text = octets[:-3]
    if text.startswith(b"."):
        text = text[1:]
    return text.replace(b"\r\n.", b"\r\n")


def lenient(minimum=ssl.TLSVersion.TLSv1_2, maximum=None, ca=None):
    """A client's TLS settings; without ca nothing is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    return context


class Bed:
    """A running server. Options are those of `tests/testbed start`."""

    def __init__(self, *options, env=None):
        self.home = tempfile.mkdtemp(prefix="postern-test-")
        os.chmod(self.home, 0o755)
        self.dir = os.path.join(self.home, "bed")
        self.allowed = set()
        self._start(options, env)

    def _start(self, options, env):
        more = ["--set=" + text for text in os.environ.get("POSTERN_TEST_SET", "").split()]
        run = subprocess.run([TESTBED, "start", "--dir", self.dir, "--scheme", "PLAIN", *options,
                              *more],
                             capture_output=True, text=True, env=dict(os.environ, **(env or {})),
                             timeout=180, check=False)
        if run.returncode != 0:
            shutil.rmtree(self.home, ignore_errors=True)
            raise AssertionError("testbed start: %s" % run.stderr)
        self.facts = json.loads(run.stdout)
        for key, value in self.facts.items():
            setattr(self, key if key != "dir" else "bed_dir", value)
        self.uid, self.gid = (int(x) for x in self.owner.split(":"))
        with open(os.path.join(self.dir, "testbed.json"), encoding="utf-8") as f:
            state = json.load(f)
        self.build, self.settings = state["build"], state["settings"]
        self.postgres = postgres.Postgres(state["postgres"]) if state["postgres"] else None
        # For posternctl, so that it still finds the server where a test breaks the other file.
        self.ctl_config = os.path.join(self.home, "ctl.conf")
        conf.write(self.ctl_config, self.settings)

    # -- clients -----------------------------------------------------------------------------

    def connect(self, tls=False, strict=False, **how):
        port = self.tls_port if tls else self.strict_port if strict else self.port
        return Client(self.host, port, tls=tls, **how)

    def login(self, user=None, password=None, tls=False, **how):
        """A client that is in."""
        client = self.connect(tls=tls, **how)
        client.login(user or self.user, self.password if password is None else password)
        return client

    # -- mail --------------------------------------------------------------------------------

    def maildrop(self, user=None):
        return self.maildrops[user or self.user]

    def deliver(self, octets, user=None, name=None, box="new"):
        """One message, as a delivery agent does it: tmp/, then a rename. Gives its name."""
        home = os.fsencode(self.maildrop(user))
        Bed.serial = getattr(Bed, "serial", 0) + 1
        if name is None:
            name = "%d.M%dP%d.test" % (1700000000 + Bed.serial, Bed.serial, os.getpid())
        name = os.fsencode(name)
        temporary = os.path.join(home, b"tmp", b"d%d.%d" % (os.getpid(), Bed.serial))
        with open(temporary, "wb") as f:
            f.write(octets)
        if IS_ROOT:
            os.chown(temporary, self.uid, self.gid)
        os.rename(temporary, os.path.join(home, box.encode(), name))
        return name.decode("utf-8", "surrogateescape")

    def names(self, user=None):
        """Base names of the messages there, sorted."""
        home = self.maildrop(user)
        found = [n for box in ("new", "cur") for n in os.listdir(os.path.join(home, box))]
        return sorted(n.split(":2,")[0] for n in found)

    def clear(self, user=None):
        for box in ("new", "cur", "tmp"):
            folder = os.path.join(self.maildrop(user), box)
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.path.isdir(path):
                    self.clear_hold(path)
                else:
                    os.unlink(path)

    @staticmethod
    def clear_hold(path):
        """A session whose client has gone may still be writing where removed messages are kept."""
        def is_gone():
            shutil.rmtree(path, ignore_errors=True)
            return not os.path.exists(path)
        if not eventually(is_gone):
            raise AssertionError("%s stays: %r" % (path, os.listdir(path)))

    def reset(self):
        subprocess.run([TESTBED, "reset", "--dir", self.dir], check=True, timeout=120)

    # -- the server --------------------------------------------------------------------------

    def ctl(self, *args, text=None, check=False):
        """posternctl with this bed's configuration."""
        run = subprocess.run([os.path.join(self.build, "posternctl"), "-c", self.ctl_config,
                              *args],
                             input=text, capture_output=True, text=True, timeout=60, check=False)
        if check and run.returncode != 0:
            raise AssertionError("posternctl %s: %d %s%s" % (" ".join(args), run.returncode,
                                                             run.stdout, run.stderr))
        return run

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def events(self, name=None):
        """The log's lines as dicts: time, level, event and the pairs."""
        found = [parse_event(line) for line in self.log_text().splitlines()]
        return [e for e in found if e and (name is None or e["event"] == name)]

    def wait_event(self, name, test=lambda e: True, seconds=None):
        hits = processes.wait_until(lambda: [e for e in self.events(name) if test(e)],
                                    seconds or WAIT, 0.02)
        if not hits:
            raise AssertionError("no %s in the log:\n%s" % (name, self.log_text()[-3000:]))
        return hits[-1]

    def slots(self):
        """The places of workers in the newest generation, by the master's own account."""
        run = self.ctl("status", "--json", check=True)
        slots = json.loads(run.stdout)["slots"]
        newest = max((s["generation"] for s in slots), default=0)
        return [s for s in slots if s["generation"] == newest]

    def workers(self, kind=None):
        """Pids of the workers of one kind that serve."""
        return [s["pid"] for s in self.slots() if s["pid"] and kind in (None, s["kind"])
                and s["state"] in ("ready", "busy")]

    def served(self, pid):
        """How many sessions the worker has."""
        return sum(s["sessions"] for s in self.slots() if s["pid"] == pid)

    def configure(self, changes):
        """Rewrites the configuration with these settings changed (None: left out). It takes effect
        at the next reload; configure({}) puts the bed's own back."""
        settings = dict(self.settings, **changes)
        conf.write(self.config, {k: v for k, v in settings.items() if v is not None})

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    def _generations(self):
        run = self.ctl("status", "--json", check=True)
        return {s["generation"] for s in json.loads(run.stdout)["slots"]}

    def renew(self, changes):
        """Reloads with these settings changed, and waits until nobody is served by the old ones."""
        before = max(self._generations())
        self.configure(changes)
        self.reload()
        if not processes.wait_until(lambda: min(self._generations()) > before, WAIT, 0.02):
            raise AssertionError("the old generation stays:\n" + self.log_text()[-2000:])

    # -- the end -----------------------------------------------------------------------------

    def allow(self, *events):
        """These events, or those that begin so ("worker."), are no surprise in this bed, though
        their level is error."""
        self.allowed.update(events)

    def is_allowed(self, event):
        return any(event == a or a.endswith(".") and event.startswith(a) for a in self.allowed)

    def problems(self):
        """What the server says went wrong, but for what was allowed."""
        found = ["%(level)s %(event)s: %(text)s" % e for e in self.events()
                 if e["level"] == "error" and not self.is_allowed(e["event"])]
        with open(os.path.join(self.dir, "stderr"), encoding="utf-8", errors="replace") as f:
            for line in f:
                if COMPLAINT.search(line):
                    found.append(line.strip())
        return found

    def stop(self):
        run = subprocess.run([TESTBED, "stop", "--dir", self.dir], capture_output=True, text=True,
                             timeout=60, check=False)
        problems = self.problems()
        if run.returncode != 0:
            problems.append(run.stderr.strip())
        if os.environ.get("POSTERN_KEEP"):
            print("kept: " + self.home, file=sys.stderr)
        else:
            shutil.rmtree(self.home, ignore_errors=True)
        if problems:
            raise AssertionError("the server's own complaints:\n" + "\n".join(problems[:20]))


# Of a sanitizer. That it could not look for leaks counts only where that is what is tested.
COMPLAINT = re.compile(r"ERROR: \w+Sanitizer|runtime error:" + (
    "|LeakSanitizer has encountered" if os.environ.get("POSTERN_LEAKS") else ""))

EVENT = re.compile(r"(?P<time>\S+) (?P<level>error|warn|info|debug) (?P<event>[a-z_.]+)(?P<text>.*)")


def parse_event(line):
    m = EVENT.match(line)
    if not m:
        return None
    event = m.groupdict()
    for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|(\S*))', event["text"]):
        event.setdefault(key, quoted or plain)
    return event


class BedCase(unittest.TestCase):
    """A test class with one bed, started for the first test and stopped after the last."""
    options = ()
    allowed = ()  # events of level error that its tests provoke

    @classmethod
    def setUpClass(cls):
        cls.bed = Bed(*cls.options)
        cls.bed.allow(*cls.allowed)
        cls.addClassCleanup(cls.bed.stop)


def needs_root(test):
    return unittest.skipUnless(IS_ROOT, "needs root")(test)


def eventually(condition, seconds=None, step=0.01):
    return processes.wait_until(condition, seconds or WAIT, step)


def stopwatch():
    start = time.monotonic()
    return lambda: time.monotonic() - start
