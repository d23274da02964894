# SPDX-License-Identifier: MIT
"""Two figures that the benchmark folder does not take: 10,000 idle connections, and what a message
of a large maildrop costs in memory."""
import os
import re
import socket
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, TESTS)

from support import processes  # noqa: E402

CONNECTIONS = 10_000
BIG = "big1@example.test"


def pss_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
        except OSError:
            pass  # it has just ended
    return total


def everybody(bed):
    return processes.in_session(bed["pid"])


def idle_connections(bench, bed):
    """popload says "ready N" once all are there."""
    for name, port, tls in (("plain", bed["port"], "none"), ("TLS", bed["tls_port"], "implicit")):
        before = pss_kb(everybody(bed))
        command = [os.path.join(bench, "popload"), "--json", "--host", bed["host"], "--port",
                   str(port), "--tls", tls, "--mode", "idle-preauth", "--concurrency",
                   str(CONNECTIONS), "--hold", "5", "--timeout", "30", "--ramp", "2000",
                   "--src-ips", "1000"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as run:
            held = 0
            for line in run.stderr:
                if line.startswith("ready"):
                    held = int(line.split()[1])
                    break
            now = pss_kb(everybody(bed))
            run.stderr.read()
        print("| %s of %d idle %s connections held, %.1f KiB PSS each |" % (
            held, CONNECTIONS, name, (now - before) / max(held, 1)))


def memory_per_message(bed):
    """The whole server's memory with the large maildrop open, and without."""
    def talk(stream, line):
        stream.write(line + b"\r\n")
        stream.flush()
        return stream.readline()

    def session(hold):
        with socket.create_connection((bed["host"], bed["port"]), timeout=300) as s, \
                s.makefile("rwb") as stream:
            stream.readline()
            talk(stream, b"USER " + BIG.encode())
            answer = talk(stream, b"PASS password")
            count = int(talk(stream, b"STAT").split()[1])
            held = hold() if hold else 0
            talk(stream, b"QUIT")
            return answer, count, held

    session(None)  # the index is there, and whatever the first session leaves
    before = pss_kb(everybody(bed))
    answer, count, now = session(lambda: pss_kb(everybody(bed)))
    if not answer.startswith(b"+OK") or count == 0:
        print("| the large maildrop could not be opened: %r |" % answer)
        return
    print("| %d messages open: %.0f octets of memory each (goal 100) |" % (
        count, (now - before) * 1024 / count))
