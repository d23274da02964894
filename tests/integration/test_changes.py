# SPDX-License-Identifier: MIT
"""Users who may not be in any more: their sessions end, whatever is killed or away meanwhile."""
import os
import signal
import tempfile
import unittest

from bed import IS_ROOT, BedCase, code_of, eventually
from ledger import GOODBYE, USERS, LedgerCase, all_slots, assert_ends


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
                    assert_ends(client)
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
                assert_ends(client)
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
            assert_ends(clients[user])
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
            assert_ends(client)
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
            assert_ends(client)
        self.assertEqual(len(self.bed.events("clerk.lookup_failed")), 1)

    def test_a_user_that_changed_again_may_come_back(self):
        with self.bed.login(USERS[0]) as client:
            self.set_user(USERS[0], "enabled=0")
            self.tell("user " + USERS[0])
            assert_ends(client)
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
            assert_ends(client)
            other.quit()
        self.session(USERS[3])
        self.assertTrue(eventually(lambda: USERS[3] in [n[1] for n in self.notes("session")]))


@unittest.skipUnless(IS_ROOT, "needs root")
class AsUser(LedgerCase):
    """A process for each session, with the rights of the mail's owner: the same holds."""
    settings = ("mail.run_as=user", "mail.first_uid=1", "mail.spare_processes=2")

    def setUp(self):
        super().setUp()
        self.ids = "uid=%d gid=%d " % (self.bed.uid, self.bed.gid)
        for user in USERS:
            self.set_user(user, self.ids)

    def test_a_changed_user_is_out_and_deletes_nothing(self):
        for user, tls in ((USERS[0], False), (USERS[1], True)):
            self.bed.deliver(b"Subject: keep\n\nx\n", user)
            mail = self.bed.names(user)
            with self.subTest(tls=tls), self.bed.login(user, tls=tls) as client, \
                    self.bed.login(USERS[3]) as other:
                client.ok("DELE 1")
                self.set_user(user, self.ids + "enabled=0")
                self.tell("user " + user)
                assert_ends(client)
                other.ok("NOOP")
                other.quit()
            self.assertEqual(self.bed.names(user), mail)
            self.bed.wait_event("session.end", lambda e, u=user: e.get("user") == u and
                                e.get("reason") == "suspended")

    def test_a_domain_is_asked_about(self):
        with self.bed.login(USERS[0]) as client, self.bed.login(USERS[1]) as other:
            self.set_user(USERS[0], self.ids + "enabled=0")
            self.tell("domain example.test")
            assert_ends(client)
            other.quit()
        self.assertTrue(eventually(lambda: USERS[1] in [n[1] for n in self.notes("session")]))

    def test_a_killed_process_does_not_count(self):
        self.bed.allow("worker.died")
        self.set_user(USERS[0], self.ids + "max_sessions=1 " + self.place("a"))
        with self.bed.login(USERS[0]) as held:
            held.ok("NOOP")
            busy = [w["pid"] for w in self.bed.slots() if w["kind"] == "mail" and w["sessions"]]
            self.set_user(USERS[0], self.ids + "max_sessions=1 " + self.place("b"))
            with self.bed.connect() as client:
                client.ok("USER " + USERS[0])
                self.assertEqual(code_of(client.cmd("PASS secret")), "IN-USE")
            os.kill(busy[0], signal.SIGKILL)

            def is_in():
                with self.bed.connect() as client:
                    client.ok("USER " + USERS[0])
                    return client.cmd("PASS secret").startswith(b"+OK")
            self.assertTrue(eventually(is_in))


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
                assert_ends(client)
                other.ok("NOOP")
                other.quit()

    def test_a_session_from_before_a_reload_ends_too(self):
        with self.bed.login("user1@example.test") as client:
            client.ok("NOOP")
            self.bed.ctl("reload", check=True)
            client.ok("NOOP")
            self.assertEqual(len({w["generation"] for w in all_slots(self.bed) if w["pid"]}), 2)
            self.bed.ctl("user", "disable", "user1@example.test", check=True)
            assert_ends(client)
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


if __name__ == "__main__":
    unittest.main()
