# SPDX-License-Identifier: MIT
"""What backends are told of logins and sessions, what they tell of changes, and what an account's
contract holds sessions to. The backend is tests/support/ledger.c: files of one folder."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from bed import IS_ROOT, TESTS, Bed, BedCase, code_of, eventually, stopwatch

INCLUDE = os.path.join(os.path.dirname(TESTS), "core", "include")
GOODBYE = b"-ERR [SYS/PERM] this account may not be used any more, goodbye"
USERS = ["user%d@example.test" % n for n in range(1, 9)]


def all_slots(bed):
    """Of every generation."""
    return json.loads(bed.ctl("status", "--json", check=True).stdout)["slots"]


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

    def ends(self, client, command="NOOP"):
        """The answer that is not +OK."""
        answer = eventually(lambda: (lambda a: None if a.startswith(b"+OK") else a)(
            client.cmd(command)))
        client.expect_end()
        return answer


class Notes(LedgerCase):
    def test_logins_and_sessions_come_in_batches(self):
        before = int(time.time())
        clients = [self.bed.login(user) for user in USERS[:4]]
        self.bed.deliver(b"Subject: x\n\nx\n", USERS[0])
        for client in clients:
            client.quit()
        self.assertTrue(eventually(lambda: len(self.notes("session")) == 4))
        logins = self.notes("login")
        self.assertEqual(sorted(n[1] for n in logins), USERS[:4])
        for note in logins:
            self.assertEqual(note[2:5], ["example.test", "127.0.0.1", "USER"])
            self.assertTrue(before <= int(note[5]) <= time.time() + 1)
        self.assertEqual(sorted(n[1] for n in self.notes("session")), USERS[:4])
        self.assertLess(len(self.notes("batch")), 6, "a call for each is no batch")

    def test_totals_and_tls(self):
        self.bed.deliver(b"Subject: x\n\nx\n", USERS[1])
        with self.bed.login(USERS[1], tls=True) as client:
            count, _ = client.stat()
            client.multi("RETR %d" % count)
            client.ok("DELE %d" % count)
            client.quit()
        self.assertTrue(eventually(lambda: self.notes("session")))
        self.assertEqual(self.notes("session")[0][1:4], [USERS[1], "1", "1"])

    def test_a_backend_that_is_away_costs_no_login_and_loses_nothing(self):
        self.flag("away")
        for _ in range(3):
            for user in USERS:
                watch = stopwatch()
                self.session(user)
                self.assertLess(watch(), 5)
        self.bed.wait_event("clerk.backend_away")
        self.assertEqual(self.read("notes"), [])
        self.clear("away")
        self.assertTrue(eventually(lambda: len(self.notes("session")) == 24 and
                                   len(self.notes("login")) == 24, 30))
        self.bed.wait_event("clerk.backend_back")
        self.assertEqual(len(self.bed.events("clerk.backend_away")), 1, "once, not each time")

    def test_a_note_that_is_refused_for_good_holds_up_no_other(self):
        self.bed.allow("clerk.note_refused")
        self.flag("poison", USERS[2])
        clients = [self.bed.login(user) for user in USERS[:5]]
        for client in clients:
            client.quit()
        good = sorted(set(USERS[:5]) - {USERS[2]})
        self.assertTrue(eventually(lambda: sorted(n[1] for n in self.notes("session")) == good))
        self.bed.wait_event("clerk.note_refused", lambda e: e.get("user") == USERS[2])

    def test_a_clerk_that_hangs_is_replaced(self):
        self.bed.allow("worker.died", "auth.timeout")
        self.bed.configure({"auth.timeout": "1s"})
        self.bed.ctl("reload", check=True)
        self.flag("hang")
        self.session(USERS[0])
        self.bed.wait_event("auth.timeout", lambda e: "clerk: ledger: notes" in e["text"])
        self.session(USERS[1])
        self.clear("hang")
        self.session(USERS[3])
        self.assertTrue(eventually(lambda: USERS[3] in [n[1] for n in self.notes("session")]))

    def test_what_came_last_is_written_at_the_stop(self):
        clients = [self.bed.login(user) for user in USERS[:3]]
        self.session(USERS[4])
        self.bed.ctl("stop", check=True)
        for client in clients[1:]:
            client.ok("NOOP")
            client.quit()
        os.kill(self.bed.pid, signal.SIGTERM)  # again: at once, and one is still there
        self.assertTrue(eventually(lambda: self.bed.events("server.end")))
        self.assertEqual(sorted(n[1] for n in self.notes("session")),
                         sorted([USERS[0], USERS[1], USERS[2], USERS[4]]))
        clients[0].close()


class Rehash(LedgerCase):
    settings = ("auth.rehash=on", "auth.default_scheme=SSHA512")

    def test_a_password_is_stored_anew_at_once_or_later(self):
        self.flag("away")
        self.session(USERS[0])
        self.bed.wait_event("clerk.backend_away")
        self.assertEqual(self.read("rehashes"), [])
        self.clear("away")
        self.assertTrue(eventually(lambda: self.read("rehashes")))
        user, was, now = self.read("rehashes")[0].split(" ")
        self.assertEqual((user, was), (USERS[0], "{PLAIN}secret"))
        self.assertTrue(now.startswith("{SSHA512}"), now)
        self.assertNotIn(now, self.bed.log_text())


class Changes(LedgerCase):
    def test_a_changed_user_is_out_with_the_next_command(self):
        for tls in (False, True):
            for what in ("enabled=0", None):
                with self.subTest(tls=tls, what=what):
                    user = USERS[4]
                    self.set_user(user, "")
                    self.bed.deliver(b"Subject: keep\n\nx\n", user)
                    mail = self.bed.names(user)
                    client, other = self.bed.login(user, tls=tls), self.bed.login(USERS[1])
                    client.ok("DELE 1")
                    self.tell("user " + user)  # nothing is wrong with it
                    client.ok("NOOP")
                    self.set_user(user, what)
                    self.tell("user " + user)
                    self.assertEqual(self.ends(client), GOODBYE)
                    self.assertEqual(len(self.bed.names(user)), len(mail))
                    self.bed.wait_event("session.end", lambda e: e.get("user") == user and
                                        e.get("reason") == "suspended")
                    other.quit()

    def test_a_quit_after_dele_deletes_nothing(self):
        self.bed.deliver(b"Subject: keep\n\nx\n", USERS[0])
        mail = self.bed.names(USERS[0])
        with self.bed.login(USERS[0]) as client:
            client.ok("DELE 1")
            before = len(self.read("lookups"))
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            self.assertTrue(eventually(lambda: len(self.read("lookups")) > before))
            # The look-up was made; a change is told within its next microseconds.
            self.assertTrue(eventually(lambda: self.doomed(USERS[1:2])))
            self.assertEqual(client.cmd("QUIT"), GOODBYE)
            client.expect_end()
        self.assertEqual(len(self.bed.names(USERS[0])), len(mail))

    def doomed(self, users):
        """A second user's end comes after the first one's: when it is there, that is too."""
        for user in users:
            with self.bed.login(user) as client:
                self.set_user(user, "enabled=0")
                self.tell("user " + user)
                self.ends(client)
        return True

    def test_a_domain_is_looked_up_once_a_user(self):
        clients = {user: self.bed.login(user) for user in USERS}
        self.set_user(USERS[7], self.place("second"))
        second = self.bed.login(USERS[7])
        for user in USERS[:4]:
            self.set_user(user, "enabled=0")
        before = len(self.read("lookups"))
        self.tell("domain other.test", "domain example.test")
        for user in USERS[:4]:
            self.assertEqual(self.ends(clients[user]), GOODBYE)
        for client in [clients[user] for user in USERS[4:]] + [second]:
            client.quit()
        self.assertEqual(sorted(self.read("lookups")[before:]), USERS)

    def test_what_was_missed_is_asked_for(self):
        with self.bed.login(USERS[0]) as client, self.bed.login(USERS[1]) as other:
            self.flag("watch_away")
            self.tell("user nobody@example.test")
            self.bed.wait_event("clerk.watch_away")
            self.set_user(USERS[0], "enabled=0")
            client.ok("NOOP")
            self.clear("watch_away")
            self.bed.wait_event("clerk.watch_back")
            self.assertEqual(self.ends(client), GOODBYE)
            other.quit()
        self.assertEqual(len(self.bed.events("clerk.watch_away")), 1)

    def test_who_cannot_be_looked_up_stays_until_it_can(self):
        with self.bed.login(USERS[0]) as client:
            self.flag("lookup_away")
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            self.bed.wait_event("clerk.lookup_failed")
            client.ok("NOOP")
            self.clear("lookup_away")
            self.assertEqual(self.ends(client), GOODBYE)
        self.assertEqual(len(self.bed.events("clerk.lookup_failed")), 1)

    def test_a_user_that_changed_again_may_come_back(self):
        with self.bed.login(USERS[0]) as client:
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            self.ends(client)
        self.set_user(USERS[0], "")
        self.session(USERS[0])

    def test_a_message_is_sent_to_its_end(self):
        body = b"Subject: long\n\n" + b"0123456789\n" * 1_000_000
        self.bed.deliver(body, USERS[0])
        with self.bed.login(USERS[0]) as client:
            count, _ = client.stat()
            client.send(b"RETR %d\r\nNOOP\r\n" % count)
            client.line()
            before = len(self.read("lookups"))
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            self.assertTrue(eventually(lambda: len(self.read("lookups")) > before))
            self.assertEqual(len(client.rest()), len(body.replace(b"\n", b"\r\n")) + 3)
            self.assertEqual(client.line(), GOODBYE)
            client.expect_end()

    def test_an_idle_session_is_let_go_by_itself(self):
        with self.bed.login(USERS[0]) as client:
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            client.sock.settimeout(30)
            self.assertEqual(client.line(), GOODBYE)
            client.expect_end()

    def test_a_killed_clerk_is_replaced_and_misses_nothing(self):
        self.bed.allow("worker.died")
        with self.bed.login(USERS[0]) as client, self.bed.login(USERS[1]) as other:
            for _ in range(3):
                clerk = self.clerk()
                os.kill(clerk, signal.SIGKILL)
                self.session(USERS[2])  # nobody waits for it
                self.assertTrue(eventually(lambda: self.clerk() not in (0, clerk)))
            clerk = self.clerk()
            os.kill(clerk, signal.SIGSTOP)
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            os.kill(clerk, signal.SIGKILL)  # with the news unread
            self.assertEqual(self.ends(client), GOODBYE)
            other.quit()
        self.session(USERS[3])
        self.assertTrue(eventually(lambda: USERS[3] in [n[1] for n in self.notes("session")]))


class Posternctl(BedCase):
    """SQLite's users have the same, by posternctl."""
    options = ("--users", "4")

    def test_disable_and_delete_end_sessions(self):
        for verb, user, tls in (("disable", "user1@example.test", False),
                                ("delete", "user2@example.test", True)):
            with self.subTest(verb), self.bed.login(user, tls=tls) as client, \
                    self.bed.login("user3@example.test") as other:
                client.ok("NOOP")
                run = self.bed.ctl("user", verb, user, check=True)
                self.assertEqual(run.stderr, "")
                self.addCleanup(self.bed.ctl, "user", "enable", user)
                answer = eventually(lambda: (lambda a: None if a.startswith(b"+OK") else a)(
                    client.cmd("NOOP")), 5)
                self.assertEqual(answer, GOODBYE)
                client.expect_end()
                other.ok("NOOP")
                other.quit()

    def test_a_session_from_before_a_reload_ends_too(self):
        with self.bed.login("user1@example.test") as client:
            client.ok("NOOP")
            self.bed.ctl("reload", check=True)
            client.ok("NOOP")
            self.assertEqual(len({w["generation"] for w in all_slots(self.bed) if w["pid"]}), 2)
            self.bed.ctl("user", "disable", "user1@example.test", check=True)
            answer = eventually(lambda: (lambda a: None if a.startswith(b"+OK") else a)(
                client.cmd("NOOP")), 5)
            self.assertEqual(answer, GOODBYE)
            client.expect_end()
        self.bed.ctl("user", "enable", "user1@example.test", check=True)

    def test_a_new_password_ends_nobody(self):
        with self.bed.login("user4@example.test") as client:
            self.bed.ctl("user", "passwd", "user4@example.test", "--password-stdin", text="new\n",
                         check=True)
            with self.bed.connect() as late:
                late.ok("USER user4@example.test")
                self.assertEqual(code_of(late.cmd("PASS secret")), "AUTH")
            client.ok("NOOP")
            client.quit()

    def test_without_a_server_nothing_is_said(self):
        with tempfile.TemporaryDirectory() as empty:
            run = self.bed.ctl("-s", "server.runtime_dir=" + os.path.join(empty, "none"),
                               "user", "disable", "user3@example.test")
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.bed.ctl("user", "enable", "user3@example.test", check=True)


class Contract(LedgerCase):
    settings = ("mail.workers=2",)

    def attempt(self, user, **how):
        client = self.bed.connect(**how)
        client.ok("USER " + user)
        return client, client.cmd("PASS secret")

    def test_so_many_sessions_and_no_more(self):
        user, held = USERS[0], []
        for number in range(3):
            self.set_user(user, "max_sessions=3 " + self.place("a%d" % number))
            held.append(self.attempt(user, tls=number == 1)[0])
            held[-1].ok("NOOP")
        self.set_user(user, "max_sessions=3 " + self.place("b"))
        client, answer = self.attempt(user)
        self.assertEqual(code_of(answer), "IN-USE")
        client.expect_end()
        self.bed.wait_event("session.refused", lambda e: e.get("reason") == "max-sessions")
        held[0].quit()
        client, answer = self.attempt(user)  # at once
        self.assertTrue(answer.startswith(b"+OK"), answer)
        client.quit()
        for one in held[1:]:
            one.quit()

    def test_the_sessions_of_a_killed_worker_do_not_count_and_a_reload_forgets_none(self):
        self.bed.allow("worker.died")
        user = USERS[0]
        self.set_user(user, "max_sessions=1 " + self.place("c"))
        first, answer = self.attempt(user)
        self.assertTrue(answer.startswith(b"+OK"), answer)
        self.bed.ctl("reload", check=True)
        self.set_user(user, "max_sessions=1 " + self.place("d"))
        self.assertEqual(code_of(self.attempt(user)[1]), "IN-USE")
        for worker in [w["pid"] for w in all_slots(self.bed) if w["kind"] == "mail" and w["pid"]]:
            os.kill(worker, signal.SIGKILL)

        def is_in():
            client, answer = self.attempt(user)
            client.close()
            return answer.startswith(b"+OK")
        self.assertTrue(eventually(is_in))
        first.close()

    def test_login_delay(self):
        self.set_user(USERS[0], "min_poll_ms=2500")
        watch = stopwatch()
        with self.bed.login(USERS[0]) as client:
            self.assertIn("LOGIN-DELAY 3", client.lines("CAPA"))
            client.quit()
        client, answer = self.attempt(USERS[0])
        if watch() < 2:
            self.assertEqual(code_of(answer), "LOGIN-DELAY")
            client.expect_end()
        self.session(USERS[1])
        with self.bed.login(USERS[1]) as other:
            self.assertNotIn("LOGIN-DELAY", " ".join(other.lines("CAPA")))
            other.quit()

        def is_in():
            one, answer = self.attempt(USERS[0])
            one.close()
            return answer.startswith(b"+OK")
        self.assertTrue(eventually(is_in))
        self.assertGreaterEqual(watch(), 2.5)

    def test_only_the_oldest_are_listed_and_uidls_stay(self):
        user = USERS[0]
        for number in range(5):
            self.bed.deliver(b"Subject: %d\n\nx\n" % number, user,
                             name="%d.M%dP1.host" % (1000000000 + number, number))
        with self.bed.login(user) as client:
            total, _ = client.stat()
            everything = client.lines("UIDL")
            octets = [int(line.split(" ")[1]) for line in client.lines("LIST")]
            client.quit()
        self.assertGreaterEqual(total, 5)
        self.set_user(user, "max_listed=2")
        with self.bed.login(user) as client:
            self.assertEqual(client.stat(), (2, sum(octets[:2])))
            self.assertEqual(client.lines("UIDL"), everything[:2])
            client.err("RETR 3", "")
            client.ok("DELE 1")
            client.ok("DELE 2")
            client.quit()
        with self.bed.login(user) as client:
            self.assertEqual([line.split(" ")[1] for line in client.lines("UIDL")],
                             [line.split(" ")[1] for line in everything[2:4]])
            client.quit()
        self.set_user(user, "")
        with self.bed.login(user) as client:
            self.assertEqual(client.stat()[0], total - 2)
            client.quit()

    def test_read_only(self):
        user = USERS[0]
        self.bed.deliver(b"Subject: x\n\nx\n", user)
        before = len(self.bed.names(user))
        self.set_user(user, "read_only=1")
        with self.bed.login(user) as client:
            client.multi("RETR 1")
            client.err("DELE 1", "SYS/PERM")
            client.ok("NOOP")
            client.quit()
        self.assertEqual(len(self.bed.names(user)), before)


if __name__ == "__main__":
    unittest.main()
