# SPDX-License-Identifier: MIT
"""contrib/demo: the commands that it prints, as they stand, in a folder and on ports of their own."""
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from bed import IS_ROOT, WAIT, eventually
from support import processes

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
DEMO = os.path.join(TOP, "contrib", "demo")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Demo(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="postern-demo-")
        self.addCleanup(home.cleanup)
        self.home = home.name
        os.chmod(self.home, 0o755)
        self.dir = os.path.join(self.home, "demo")
        self.ports = free_ports(2)
        self.started = []

    def command(self, ports=None, directory=None):
        ports = ports or self.ports
        return [DEMO, "--dir", directory or self.dir, "--port", str(ports[0]), "--tls-port",
                str(ports[1])]

    def start(self):
        """The running demo and what it printed."""
        process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        self.addCleanup(self.kill, process)
        said = b""
        end = time.monotonic() + 60
        while b"What follows is its log." not in said:
            ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
            got = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not got:
                self.fail("the demo did not start:\n" + said.decode("utf-8", "replace"))
            said += got
        return process, said.decode()

    @staticmethod
    def kill(process):
        for pid in processes.in_session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()

    def shell(self, line):
        return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=WAIT,
                              check=False, cwd="/")

    def commands(self, said):
        return dict(re.findall(r"(?m)^  ([a-z ]+?): +(\S.*)$", said))

    def test_the_three_commands(self):
        process, said = self.start()
        commands = self.commands(said)
        self.assertEqual(set(commands), {"list the mail", "add a user", "stop"})
        run = self.shell(commands["list the mail"])
        self.assertEqual(run.returncode, 0, run.stderr)
        listed = [line.split() for line in run.stdout.splitlines() if line]
        self.assertEqual([n for n, _ in listed], [str(n) for n in range(1, 13)])

        self.assertEqual(self.shell(commands["add a user"]).returncode, 0)
        as_bob = re.sub(r"-u \S+", "-u bob@example.test:secret", commands["list the mail"])
        run = self.shell(as_bob)
        self.assertEqual((run.returncode, run.stdout.strip()), (0, ""))
        wrong = re.sub(r"-u \S+", "-u bob@example.test:wrong", commands["list the mail"])
        self.assertEqual(self.shell(wrong).returncode, 67)

        # Deleted for good, with STLS this time.
        stls = re.sub(r"pop3s://localhost:\d+/", "pop3://localhost:%d/12" % self.ports[0],
                      commands["list the mail"]) + " --ssl-reqd -X DELE --head"
        self.assertEqual(self.shell(stls).returncode, 0)

        self.assertEqual(self.shell(commands["stop"]).returncode, 0)
        self.assertEqual(process.wait(WAIT), 0)
        self.assertFalse(processes.in_session(process.pid))

        # Kept and used again: bob is there, message 12 is not.
        process, said = self.start()
        commands = self.commands(said)
        self.assertEqual(self.shell(as_bob).returncode, 0)
        run = self.shell(commands["list the mail"])
        self.assertEqual(len(run.stdout.split()), 2 * 11)
        self.shell(commands["stop"])
        process.wait(WAIT)

    def test_ctrl_c(self):
        """The terminal sends SIGINT to every process of the group."""
        process, _ = self.start()
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(WAIT), 0)
        self.assertTrue(eventually(lambda: not processes.in_session(process.pid), 5))

    def test_sigterm_to_the_script(self):
        process, _ = self.start()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(WAIT), 0)
        self.assertTrue(eventually(lambda: not processes.in_session(process.pid), 5))

    def test_started_twice(self):
        process, said = self.start()
        before = self.tree()
        run = subprocess.run(self.command(), capture_output=True, text=True, timeout=WAIT,
                             check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("running already", run.stderr)
        self.assertEqual(self.tree(), before, "something was touched")
        self.assertEqual(self.shell(self.commands(said)["list the mail"]).returncode, 0)
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)

    def tree(self):
        """Names and times of everything but what a running server writes."""
        found = {}
        for at, folders, files in os.walk(self.dir):
            for name in folders + files:
                st = os.lstat(os.path.join(at, name))
                found[os.path.join(at, name)] = (st.st_mtime_ns, st.st_size, st.st_uid)
        return found

    def test_a_port_that_is_taken(self):
        for place in (0, 1):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                s.listen()
                ports = list(self.ports)
                ports[place] = s.getsockname()[1]
                run = subprocess.run(self.command(ports), capture_output=True, text=True,
                                     timeout=WAIT, check=False)
            self.assertEqual(run.returncode, 1)
            self.assertIn("port %d is taken" % ports[place], run.stderr)
            self.assertFalse(os.path.exists(self.dir), "something was touched")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_as_root_in_a_folder_that_is_root_s_alone(self):
        """Out of /root, say: the workers are other users, and still it works."""
        os.chmod(self.home, 0o700)
        process, said = self.start()
        self.addCleanup(lambda: shutil.rmtree(os.path.realpath(self.dir), ignore_errors=True))
        run = self.shell(self.commands(said)["list the mail"])
        self.assertEqual(len(run.stdout.split()), 2 * 12, run.stderr)
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)


if __name__ == "__main__":
    unittest.main()
