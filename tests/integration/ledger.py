# SPDX-License-Identifier: MIT
"""For tests of what the server tells auth backends and hears from them: beds whose backend is
tests/support/ledger.c, files of one folder."""
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import unittest

from bed import IS_ROOT, TESTS, Bed, eventually

INCLUDE = os.path.join(os.path.dirname(TESTS), "core", "include")
GOODBYE = b"-ERR [SYS/PERM] this account may not be used any more, goodbye"
USERS = ["user%d@example.test" % n for n in range(1, 9)]


def all_slots(bed):
    """Of every generation."""
    return json.loads(bed.ctl("status", "--json", check=True).stdout)["slots"]


def refusal(client):
    """The answer to a NOOP, where that is not +OK."""
    answer = client.cmd("NOOP")
    return None if answer.startswith(b"+OK") else answer


def assert_ends(client):
    """One of the next commands is answered with goodbye."""
    answer = eventually(lambda: refusal(client))
    if answer != GOODBYE:
        raise AssertionError("%r is no goodbye" % answer)
    client.expect_end()


class LedgerCase(unittest.TestCase):
    """Each test has a bed of its own, whose first backend is a ledger."""
    backends = "ledger"
    settings = ()

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="postern-ledger-")
        os.chmod(self.home, 0o755)
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.dir = os.path.join(self.home, "ledger")
        os.makedirs(self.dir)
        os.mkfifo(self.path("news"))
        self.people = {name: "" for name in USERS}
        self.write_users()
        if IS_ROOT:
            entry = pwd.getpwnam("postern-auth")
            for name in ("", "news"):
                os.chown(self.path(name), entry.pw_uid, entry.pw_gid)
        options = ["--users", str(len(USERS))]
        for text in ("server.plugin_dir=" + self.build_plugins(), "auth.backends=" + self.backends,
                     "auth.ledger.dir=" + self.dir, *self.settings):
            options += ["--set", text]
        self.bed = Bed(*options)
        self.addCleanup(self.bed.stop)

    def build_plugins(self):
        """A folder with the server's plugins, and the ledger beside them."""
        build = os.environ.get("POSTERN_BUILD", os.path.dirname(TESTS))
        folder = os.path.join(self.home, "plugins")
        os.makedirs(folder)
        for name in os.listdir(os.path.join(build, "plugins.d")):
            if name.endswith(".so"):
                os.symlink(os.path.realpath(os.path.join(build, "plugins.d", name)),
                           os.path.join(folder, name))
        subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-I", INCLUDE, "-fPIC", "-shared",
                        "-g", "-fvisibility=hidden", "-o", os.path.join(folder, "ledger.so"),
                        os.path.join(TESTS, "support", "ledger.c")], check=True, timeout=120)
        return folder

    def path(self, name):
        return os.path.join(self.dir, name)

    def write_users(self):
        text = "".join("%s {PLAIN}secret %s\n" % item for item in self.people.items())
        with open(self.path("users.new"), "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.path("users.new"), self.path("users"))

    def set_user(self, user, what):
        """None: the user is gone."""
        if what is None:
            self.people.pop(user, None)
        else:
            self.people[user] = what
        self.write_users()

    def tell(self, *lines):
        with open(self.path("news"), "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))

    def flag(self, name, text=""):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def clear(self, name):
        os.unlink(self.path(name))

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def notes(self, word):
        return [line.split(" ") for line in self.read("notes") if line.startswith(word + " ")]

    def clerk(self):
        """Its pid: the last auth slot's."""
        return [s["pid"] for s in self.bed.slots() if s["kind"] == "auth"][-1]

    def place(self, name):
        """A maildrop that no other session has locked."""
        path = os.path.join(self.bed.bed_dir, "mail", "place-" + name)
        if not os.path.isdir(path):
            for box in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(path, box))
            for folder, _, _ in os.walk(path):
                os.chown(folder, self.bed.uid, self.bed.gid)
        return "location=maildir:" + path

    def session(self, user, **how):
        client = self.bed.login(user, **how)
        client.quit()
