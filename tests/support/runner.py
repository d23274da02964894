# SPDX-License-Identifier: MIT
"""Runs files of integration tests side by side and tells of each test as it ends."""
import collections
import concurrent.futures
import glob
import json
import os
import signal
import subprocess
import sys
import threading

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
FILE_SECONDS = int(os.environ.get("POSTERN_TEST_FILE_SECONDS", "420"))  # longer is a hang

# The longest first, so that none of them runs alone at the end.
LONG = ("takeover", "polls", "sql_accounts", "rogue", "mbox", "limits", "protocol", "schemes",
        "migrate_ctl", "lease", "pgsql_away", "concurrency", "passwdfile", "pam", "changes", "notes",
        "way_back", "mechanisms")

Result = collections.namedtuple("Result", "test status seconds text")


def all_files():
    """Name to path: "octets" is integration/test_octets.py."""
    found = {os.path.basename(p)[5:-3]: p
             for p in glob.glob(os.path.join(TESTS, "integration", "test_*.py"))}
    order = {name: n for n, name in enumerate(LONG)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 99), item[0])))


class Printer:
    """One line a test; what failed is told at once, with its text."""

    def __init__(self, label="", quiet=False):
        self.label, self.quiet, self.lock = label, quiet, threading.Lock()
        self.count = collections.Counter()

    def add(self, result):
        with self.lock:
            self.count[result.status] += 1
            word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[result.status]
            line = "%s %s%s (%.1f s)" % (word, self.label, result.test, result.seconds)
            if result.status == "skipped":
                line += ": " + result.text
            if not (self.quiet and result.status == "passed"):
                print(line, flush=True)
            if result.status == "failed":
                print("    " + result.text.rstrip().replace("\n", "\n    "), flush=True)


def run_file(name, path, names, env, log, printer):
    """Runs one file in a session of its own; its results go to the printer."""
    command = [sys.executable, "-m", "support.report", path, *names]
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, cwd=TESTS, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        timer = threading.Timer(FILE_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        seen = 0
        try:
            for line in process.stdout:
                seen += 1
                result = Result(**json.loads(line))
                printer.add(result._replace(test="%s: %s" % (name, result.test)))
        finally:
            status = process.wait()
            timed_out = not timer.is_alive()
            timer.cancel()
    if status not in (0, 1) or not seen:
        with open(log, encoding="utf-8", errors="replace") as f:
            tail = f.read()[-2000:]
        text = "no end after %d s" % FILE_SECONDS if timed_out else "status %d" % status
        printer.add(Result("%s: the file itself" % name, "failed", 0, text + "\n" + tail))


def run(wanted, build, jobs, log_dir, printer, extra_env=None):
    """wanted: names as "octets", "octets.Octets" or "octets.Octets.test_zoo_plain"; empty: all."""
    files = all_files()
    chosen = collections.OrderedDict()
    for text in wanted or files:
        name, _, inner = text.partition(".")
        if name not in files:
            raise SystemExit("there is no %s; there are: %s" % (name, " ".join(files)))
        chosen.setdefault(name, [])
        if inner:
            chosen[name].append(inner)
    os.makedirs(log_dir, exist_ok=True)
    env = dict(os.environ, POSTERN_BUILD=build, PYTHONDONTWRITEBYTECODE="1", **(extra_env or {}))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waits = [pool.submit(run_file, name, files[name], names, env,
                             os.path.join(log_dir, name + ".log"), printer)
                 for name, names in chosen.items()]
        for wait in waits:
            wait.result()
