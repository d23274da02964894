# SPDX-License-Identifier: MIT
"""What contrib/check does once the packages are there: builds, and every test on them.

    build/src      a copy of the files that git knows, so that no file but those is relied on
    build/normal   warnings are errors                build/asan   AddressSanitizer and UBSan
    build/hostile  workers that try forbidden steps   build/fuzz   clang and libFuzzer
"""
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from support import runner  # noqa: E402

CORES = os.cpu_count() or 1
STEP_SECONDS = 900

CONFIGURE = {
    "normal": ["--enable-werror"],
    "asan": ["--enable-werror", "--enable-sanitize", "CFLAGS=-O1 -g"],
    "hostile": ["--enable-werror", "--enable-hostile", "CFLAGS=-O1 -g"],
    "fuzz": ["CC=clang", "--enable-werror", "--enable-fuzz", "CFLAGS=-O1 -g"],
}
# Under the sanitizers: what shows memory errors. The others measure, or need nothing from us.
UNDER_SANITIZERS = ["octets", "protocol", "tls", "auth", "maildrop", "processes", "ctl",
                    "index", "run_as_user", "reload", "limits", "concurrency", "clients",
                    "changes", "chain", "checkpassword", "mechanisms", "notes", "oauth2", "passwdfile",
                    "pgsql", "schemes", "contract", "sql_accounts", "mbox", "uidl", "undo", "history",
                    "expire", "utf8", "ctl_maildrop", "migrate_ctl", "migration", "way_back",
                    "shared_use", "takeover", "lease"]
LEAKS = ["auth.Passwords", "protocol.Protocol.test_06_15_odd_lines_before_login",
         "protocol.Protocol.test_06_29_a_thousand_commands_in_one_segment_or_one_octet_at_a_time",
         "tls.Versions", "tls.Tickets"]
NOBODY = 65534
FUZZ_RUNS = 20_000  # of each target: the corpus, and so many inputs made from it
FUZZ_SECONDS = 20   # or as many as that allows


class Check:
    def __init__(self, top, quick):
        self.top, self.quick = top, quick
        self.build = os.path.join(top, "build")
        self.src = os.path.join(self.build, "src")
        self.logs = os.path.join(self.build, "logs")
        self.printer = runner.Printer()
        self.began = time.monotonic()

    # -- results ---------------------------------------------------------------------------------

    def result(self, name, ok, seconds, text=""):
        self.printer.add(runner.Result(name, "passed" if ok else "failed", seconds, text))
        return ok

    def say(self, text):
        print("---- %s (%d s)" % (text, time.monotonic() - self.began), flush=True)

    def run(self, log, *command, cwd=None, env=None):
        """Runs one command with its output in logs/LOG.log. True where it gave status 0."""
        path = os.path.join(self.logs, log + ".log")
        with open(path, "ab") as out:
            out.write((" ".join(command) + "\n").encode())
            out.flush()
            # In a session of its own: a test that signals its whole group ends its step, not us.
            process = subprocess.Popen(command, cwd=cwd or self.build, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=out, start_new_session=True,
                                       env=dict(os.environ, **(env or {})))
            try:
                return process.wait(STEP_SECONDS) == 0
            except subprocess.TimeoutExpired:
                out.write(b"\nno end after %d s\n" % STEP_SECONDS)
                return False
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # what it left, and all of it at Ctrl-C
                process.wait()

    def tail(self, log, lines=30):
        with open(os.path.join(self.logs, log + ".log"), encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def step(self, name, log, *command, **how):
        start = time.monotonic()
        ok = self.run(log, *command, **how)
        return self.result(name, ok, time.monotonic() - start, "" if ok else self.tail(log))

    # -- the tree --------------------------------------------------------------------------------

    def files(self):
        """What git knows or would add; without git, all that is not built."""
        run = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached",
                              "--others", "--exclude-standard"], cwd=self.top,
                             capture_output=True, check=False)
        if run.returncode == 0:
            return [os.fsdecode(n) for n in run.stdout.split(b"\0") if n]
        found = []
        for at, folders, names in os.walk(self.top):
            folders[:] = [f for f in folders if f not in (
                "build", "demo", ".git", "__pycache__", ".deps", ".libs", "autom4te.cache")]
            found += [os.path.relpath(os.path.join(at, n), self.top) for n in names
                      if not n.endswith((".o", ".lo", ".la", ".a", ".log", ".trs"))]
        return found

    def copy_sources(self):
        """build/src like the tree; a file that did not change keeps its time, for make's sake."""
        wanted = {f for f in self.files() if os.path.lexists(os.path.join(self.top, f))}
        record = os.path.join(self.build, "files")
        before = set()
        if os.path.exists(record):
            with open(record, encoding="utf-8", errors="surrogateescape") as f:
                before = set(f.read().split("\0")) - {""}
        for name in before - wanted:
            path = os.path.join(self.src, name)
            if os.path.lexists(path):
                os.unlink(path)
        for name in wanted:
            old, new = os.path.join(self.top, name), os.path.join(self.src, name)
            os.makedirs(os.path.dirname(new), exist_ok=True)
            a = os.lstat(old)
            if os.path.lexists(new):
                b = os.lstat(new)
                if (a.st_mtime_ns, a.st_size, a.st_mode) == (b.st_mtime_ns, b.st_size, b.st_mode):
                    continue
            shutil.copy2(old, new, follow_symlinks=False)
        with open(record, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write("\0".join(sorted(wanted)))

    # -- building --------------------------------------------------------------------------------

    def configure(self, kind):
        where = os.path.join(self.build, kind)
        os.makedirs(where, exist_ok=True)
        log = "configure-" + kind
        if os.path.exists(os.path.join(where, "config.status")):
            ok = self.run(log, "./config.status", "--recheck", cwd=where) and \
                self.run(log, "./config.status", cwd=where)
        else:
            ok = self.run(log, os.path.join(self.src, "configure"), *CONFIGURE[kind], cwd=where)
        if not ok:
            self.result("configure " + kind, False, 0, self.tail(log))
        return ok

    def make(self, kind, *targets):
        return self.step("build %s" % kind, "make-" + kind, "make", "-k", "-j%d" % CORES, *targets,
                         cwd=os.path.join(self.build, kind))

    # -- tests -----------------------------------------------------------------------------------

    def unit_tests(self, kind):
        """Every program of `make check`; each of its cases that the log names counts."""
        where = os.path.join(self.build, kind)
        start = time.monotonic()
        self.run("unit-" + kind, "make", "-k", "-j%d" % CORES, "check", cwd=where,
                 env={"CMOCKA_MESSAGE_OUTPUT": "TAP"})
        found = 0
        for top in ("doc", "tests"):
            for at, _, names in sorted(os.walk(os.path.join(where, top))):
                for name in sorted(n for n in names if n.endswith(".trs")):
                    found += 1
                    self.unit_program(kind, os.path.join(at, name))
        if not found:
            self.result("unit tests, %s" % kind, False, time.monotonic() - start,
                        self.tail("unit-" + kind))

    def unit_program(self, kind, trs):
        with open(trs, encoding="utf-8") as f:
            passed = re.search(r"^:test-result: (\w+)", f.read(), re.M).group(1) in ("PASS", "SKIP")
        with open(trs[:-4] + ".log", encoding="utf-8", errors="replace") as f:
            text = f.read()
        name = os.path.relpath(trs[:-4], os.path.join(self.build, kind))
        cases = re.findall(r"^(ok|not ok) \d+ - (\S+)", text, re.M)
        for word, case in cases:
            if word == "not ok":
                self.result("%s %s: %s" % (kind, name, case), False, 0, text[-3000:])
        good = sum(word == "ok" for word, _ in cases)
        if not passed and good == len(cases):  # a crash, a leak, or a script
            self.result("%s %s" % (kind, name), False, 0, text[-3000:])
        elif passed:
            print("ok   %s %s (%d cases)" % (kind, name, max(good, 1)), flush=True)
            self.printer.count["passed"] += max(good, 1) - 1
            self.printer.count["passed"] += 1
        else:
            self.printer.count["passed"] += good

    def integration(self, kind, names, **env):
        build = os.path.join(self.build, kind)
        if not os.path.exists(os.path.join(build, "postern")):
            self.result("integration, %s" % kind, False, 0, "there is no server to test")
            return
        self.printer.label = "" if kind == "normal" else kind + " "
        runner.run(names, build, CORES, os.path.join(self.logs, kind), self.printer,
                   dict({"POSTERN_CORPUS": self.corpus()} if self.corpus() else {}, **env))
        self.printer.label = ""

    def leaks(self):
        """As root a chroot without /proc keeps LeakSanitizer from looking at login workers: so once
        more as a plain user without a sandbox, in a place that such a user can reach."""
        self.say("without a sandbox, for leaks in login")
        how = {"POSTERN_SANITIZED": "1", "POSTERN_TEST_WAIT": "60", "POSTERN_LEAKS": "1",
               "POSTERN_TEST_SET": "server.sandbox=off"}
        if os.geteuid() != 0:
            self.integration("asan", LEAKS, **how)
            return
        with tempfile.TemporaryDirectory(prefix="postern-leaks-") as home:
            os.chmod(home, 0o755)
            asan = os.path.join(self.build, "asan")
            for name in ("postern", "posternctl"):
                shutil.copy(os.path.join(asan, name), home)
            shutil.copytree(os.path.join(asan, "plugins.d"), os.path.join(home, "plugins.d"))
            for part in ("tests/support", "tests/integration", "contrib/schema"):
                shutil.copytree(os.path.join(self.src, part), os.path.join(home, part))
            for name in ("tests/run", "tests/testbed"):
                shutil.copy(os.path.join(self.src, name), os.path.join(home, name))
            logs = os.path.join(home, "logs")
            os.mkdir(logs)
            os.chown(logs, NOBODY, NOBODY)
            start = time.monotonic()
            ok = self.run("leaks", "setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
                          "--clear-groups", os.path.join(home, "tests", "run"), "--build", home,
                          "--logs", logs, *LEAKS, cwd=home,
                          env=dict(how, HOME=home, PYTHONDONTWRITEBYTECODE="1"))
            self.result("no leaks in any kind of worker", ok, time.monotonic() - start,
                        "" if ok else self.tail("leaks", 60))

    def corpus(self):
        given = os.environ.get("POSTERN_CORPUS")
        near = os.path.join(self.top, "..", "shared", "corpus")
        return given or (near if os.path.isdir(near) else None)

    def fuzz(self):
        where = os.path.join(self.build, "fuzz")
        corpora = os.path.join(self.src, "tests", "fuzz", "corpus")
        names = sorted(n for n in os.listdir(os.path.join(where, "tests", "fuzz"))
                       if n.startswith("fuzz_") and not n.endswith(("_replay", ".o")))
        if not names:
            self.result("fuzz targets", False, 0, "none was built")

        def one(name):
            new = os.path.join(where, "found", name)
            os.makedirs(new, exist_ok=True)
            self.step("fuzz %s" % name, name, os.path.join(where, "tests", "fuzz", name),
                      "-runs=%d" % FUZZ_RUNS, "-max_total_time=%d" % FUZZ_SECONDS, "-seed=1",
                      "-timeout=10", "-rss_limit_mb=1024",
                      "-artifact_prefix=%s-" % new, new, os.path.join(corpora, name[5:]),
                      cwd=where)
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            list(pool.map(one, names))

    def static(self):
        self.step("lint finds what it looks for", "lint", "contrib/lint", "--self-test",
                  cwd=self.top)
        self.step("lint", "lint", "contrib/lint", cwd=self.top)
        self.step("the example plugins, out of tree", "example-plugin",
                  "contrib/example-plugin/test", os.path.join(self.build, "normal"), cwd=self.src)

    # -- all of it -------------------------------------------------------------------------------

    def all(self):
        os.makedirs(self.logs, exist_ok=True)
        for name in os.listdir(self.logs):
            if name.endswith(".log"):
                os.unlink(os.path.join(self.logs, name))
        self.copy_sources()
        self.say("building")
        kinds = ["normal"] if self.quick else list(CONFIGURE)
        if not self.step("autoreconf", "autoreconf", "autoreconf", "-fi", cwd=self.src):
            return
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            ready = [k for k, ok in zip(kinds, pool.map(self.configure, kinds)) if ok]
        for kind in ready:
            self.make(kind, *(["all"] if kind == "hostile" else
                              ["libpostern.a"] if kind == "fuzz" else ["all"]))
        if "normal" in ready:
            self.say("unit tests")
            self.unit_tests("normal")
            self.static()
            self.say("integration tests")
            self.integration("normal", [])
        if "asan" in ready:
            self.say("under AddressSanitizer and UndefinedBehaviorSanitizer")
            self.unit_tests("asan")
            self.integration("asan", [n for n in runner.all_files() if n in UNDER_SANITIZERS],
                             POSTERN_SANITIZED="1", POSTERN_TEST_WAIT="60",
                             POSTERN_CONCURRENCY_SECONDS="10", POSTERN_DRAIN_SESSIONS="32")
            self.leaks()
        if "hostile" in ready:
            self.say("hostile workers")
            self.integration("hostile", ["hostile"])
        if "fuzz" in ready:
            self.say("fuzz targets")
            where = os.path.join(self.build, "fuzz")
            if self.step("build of the fuzz targets", "make-fuzz", "make", "-k", "-j%d" % CORES,
                         "fuzz-targets", cwd=where):
                self.fuzz()


def main():
    check = Check(os.path.realpath(sys.argv[1]), "--quick" in sys.argv)
    try:
        check.all()
    finally:
        count = check.printer.count
        check.say("done; %d skipped" % count["skipped"])
        print("%d passed, %d failed" % (count["passed"], count["failed"]), flush=True)
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
