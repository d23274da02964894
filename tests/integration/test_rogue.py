# SPDX-License-Identifier: MIT
"""Auth plugins that crash, hang and leave: each costs its own request, and no other login."""
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

from bed import SANITIZED, TESTS, Bed, code_of, eventually, stopwatch

INCLUDE = os.path.join(os.path.dirname(TESTS), "core", "include")
CLIENTS = 4


def build_plugins(bed_plugins, home):
    """A folder with the server's plugins, and rogue beside them."""
    folder = os.path.join(home, "plugins")
    os.makedirs(folder)
    for name in os.listdir(bed_plugins):
        if name.endswith(".so"):
            os.symlink(os.path.realpath(os.path.join(bed_plugins, name)),
                       os.path.join(folder, name))
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-I", INCLUDE, "-fPIC", "-shared", "-g",
                    "-fvisibility=hidden", "-o", os.path.join(folder, "rogue.so"),
                    os.path.join(TESTS, "support", "rogue.c")], check=True, timeout=120)
    return folder


class RogueCase(unittest.TestCase):
    """Beds whose chain has rogue before sqlite."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="postern-rogue-")
        os.chmod(cls.home, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        build = os.environ.get("POSTERN_BUILD", os.path.dirname(TESTS))
        cls.plugins = build_plugins(os.path.join(build, "plugins.d"), cls.home)

    def bed(self, *settings, backends="rogue sqlite"):
        options = ["--users", "8", "--tls", "none"]
        for text in ("server.plugin_dir=" + self.plugins, "auth.backends=" + backends,
                     "auth.rogue.when=rogue", "auth.timeout=2s", "login.max_auth_failures=100",
                     *settings):
            options += ["--set", text]
        bed = Bed(*options)
        self.addCleanup(bed.stop)
        bed.allow("worker.", "auth.", "plugin.", "reload.")
        return bed


def answer_of(bed, user, password="secret"):
    with bed.connect() as client:
        client.ok("USER " + user)
        return client.cmd("PASS " + password)


class Load:
    """Good users who log in again and again while something else goes wrong."""

    def __init__(self, bed):
        self.bed, self.done, self.failed = bed, 0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(CLIENTS)]

    def work(self, number):
        while not self.stop.is_set():
            try:
                with self.bed.login("user%d@example.test" % (number + 1)) as client:
                    client.quit()
                self.done += 1
            except (AssertionError, OSError) as e:
                self.failed.append(repr(e))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Requests(RogueCase):
    """A fault in a look-up."""

    def try_fault(self, fault, count):
        bed = self.bed("auth.rogue.fault=" + fault)
        with Load(bed) as load:
            self.assertTrue(eventually(lambda: load.done > 20 or load.failed))
            for number in range(count):
                answer = answer_of(bed, "rogue%d@example.test" % number)
                self.assertEqual(code_of(answer), "SYS/TEMP", answer)
            before = load.done
            self.assertTrue(eventually(lambda: load.done > before + 20 or load.failed))
        self.assertEqual(load.failed, [])
        told = [e for e in bed.events() if e["event"] in ("worker.died", "auth.timeout")
                and "rogue: rogue0@example.test" in e.get("doing", "")]
        self.assertTrue(told, "the log does not name the plugin and the user")
        self.assertEqual(code_of(answer_of(bed, "nobody@example.test")), "AUTH")

    def test_crash(self):
        self.try_fault("crash", 20)

    def test_abort(self):
        self.try_fault("abort", 5)

    def test_exit(self):
        self.try_fault("leave", 20)

    def test_exit_at_once(self):
        self.try_fault("leave_fast", 5)

    def test_hang(self):
        self.try_fault("hang", 2)

    def test_spin(self):
        self.try_fault("spin", 1)


class Answers(RogueCase):
    """Answers that are none cost their request, and the worker lives."""

    def test_each(self):
        for fault in ("no_reason", "no_result", "wrong_from_lookup", "no_credential",
                      "nul_in_record", "long_record", "null_record"):
            with self.subTest(fault):
                bed = self.bed("auth.rogue.fault=" + fault)
                answer = answer_of(bed, "rogue@example.test")
                self.assertTrue(code_of(answer).startswith("SYS/"), answer)
                self.assertTrue(answer_of(bed, "user1@example.test").startswith(b"+OK"))
                self.assertEqual(bed.events("worker.died"), [])


@unittest.skipIf(SANITIZED, "a crash there is a report")
class Starts(RogueCase):
    """A plugin that ends workers at their start."""

    def setUp(self):
        self.marker = os.path.join(self.home, "marker")
        self.addCleanup(self.unmark)

    def mark(self):
        with open(self.marker, "w", encoding="utf-8"):
            pass

    def unmark(self):
        if os.path.exists(self.marker):
            os.unlink(self.marker)

    def started(self, fault):
        return self.bed("auth.rogue.fault=" + fault, "auth.rogue.marker=" + self.marker,
                        "auth.workers=2", "auth.hash_workers=1",
                        backends="sqlite rogue")

    def kill_all(self, bed):
        for pid in bed.workers("auth"):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass

    def logs_in(self, bed, user):
        try:
            return answer_of(bed, user).startswith(b"+OK")
        except (AssertionError, OSError):
            return False

    def is_left_out(self, fault):
        """A server whose new auth workers do without it, as long as the marker is there."""
        bed = self.started(fault)
        self.assertTrue(self.logs_in(bed, "user1@example.test"))
        self.mark()
        self.kill_all(bed)
        watch = stopwatch()
        bed.wait_event("plugin.left_out", lambda e: "plugin rogue" in e["doing"])
        self.assertTrue(eventually(lambda: self.logs_in(bed, "user1@example.test"), 10))
        self.assertLess(watch(), 10)
        # Who is not known to the others might be rogue's: nobody is told that there is no such user.
        self.assertEqual(code_of(answer_of(bed, "nobody@example.test")), "SYS/TEMP")
        self.assertTrue(self.logs_in(bed, "user2@example.test"))
        return bed

    def comes_back(self, bed):
        self.unmark()
        with Load(bed) as load:
            bed.wait_event("plugin.back", seconds=30)
            self.assertTrue(eventually(
                lambda: code_of(answer_of(bed, "nobody@example.test")) == "AUTH", 20))
        self.assertEqual(load.failed, [])

    def test_crashes(self):
        bed = self.is_left_out("start_crashes")
        # It fails again when it is tried again, and nobody notices.
        with Load(bed) as load:
            bed.wait_event("plugin.left_out", lambda e: e["for_ms"] == "10000", 20)
        self.assertEqual(load.failed, [])
        self.comes_back(bed)

    def test_leaves(self):
        self.comes_back(self.is_left_out("start_leaves"))

    def test_a_reload_with_it_fails_and_nothing_changes(self):
        bed = self.started("start_fails")
        self.mark()
        run = bed.ctl("reload")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("the test wants it so", run.stdout + run.stderr)
        self.assertTrue(self.logs_in(bed, "user1@example.test"))
        self.unmark()
        self.assertEqual(bed.ctl("reload").returncode, 0)
        self.assertTrue(self.logs_in(bed, "user1@example.test"))
