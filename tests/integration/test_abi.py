# SPDX-License-Identifier: MIT
"""The promise to those who build plugins: one built against the first headers of this ABI loads and
serves after members were appended. tests/support/abi1 holds those headers; they never change."""
import os
import shutil
import subprocess
import tempfile
import unittest

from bed import TESTS, Bed, code_of
from test_rogue import INCLUDE, answer_of, build_plugins

FROZEN = os.path.join(TESTS, "support", "abi1")
EXAMPLES = os.path.join(os.path.dirname(TESTS), "contrib", "example-plugin")
BUILD = os.environ.get("POSTERN_BUILD", os.path.dirname(TESTS))


def cc(*args):
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", *args], check=True, timeout=120)


class Abi(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="postern-abi-")
        os.chmod(self.home, 0o755)
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.home, *parts)

    def offsets(self, include):
        program = self.path("offsets")
        cc("-I", include, "-o", program, os.path.join(TESTS, "support", "abi_offsets.c"))
        return subprocess.run([program], capture_output=True, text=True, check=True,
                              timeout=20).stdout.splitlines()

    def test_no_member_and_no_number_has_moved(self):
        then = self.offsets(FROZEN)
        self.assertGreater(len(then), 100)
        self.assertEqual(then, self.offsets(INCLUDE))

    def build_old(self, source, name, folder):
        target = os.path.join(folder, name + ".so")
        if os.path.exists(target):
            os.unlink(target)
        cc("-I", FROZEN, "-fPIC", "-shared", "-fvisibility=hidden", "-o", target, source)
        return target

    def test_old_plugins_load_and_serve(self):
        plugins = build_plugins(os.path.join(BUILD, "plugins.d"), self.home)
        users = self.path("users.d")
        os.makedirs(users)
        with open(os.path.join(users, "example.org"), "w", encoding="utf-8") as f:
            f.write("ann:{PLAIN}Gr33n-horse\n")
        for name in ("example_users", "example_token"):
            self.build_old(os.path.join(EXAMPLES, name + ".c"), name, plugins)
        rogue = self.build_old(os.path.join(TESTS, "support", "rogue.c"), "rogue", plugins)
        check = subprocess.run([os.path.join(BUILD, "posternctl"), "plugin", "check",
                                "--no-valgrind", "--user", "good@example.test", rogue],
                               capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        bed = Bed("--users", "1", "--tls", "none", "--set", "server.plugin_dir=" + plugins,
                  "--set", "auth.backends=sqlite rogue example_token example_users",
                  "--set", "auth.example_token.secret=0123456789abcdef",
                  "--set", "auth.example_users.directory=" + users)
        self.addCleanup(bed.stop)
        for user, password in (("user1@example.test", "secret"), ("good@example.test", "secret"),
                               ("ann@example.org", "Gr33n-horse")):
            with self.subTest(user):
                self.assertTrue(answer_of(bed, user, password).startswith(b"+OK"))
                self.assertEqual(code_of(answer_of(bed, user, "wrong")), "AUTH")
        self.assertEqual(code_of(answer_of(bed, "nobody@example.test")), "AUTH")
