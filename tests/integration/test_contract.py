# SPDX-License-Identifier: MIT
"""What an account's record holds its sessions to: how many, how often, how much, and read only."""
import contextlib
import os
import signal
import unittest

from bed import code_of, eventually, stopwatch
from ledger import USERS, LedgerCase, all_slots


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
            with contextlib.suppress(ProcessLookupError):  # the old ones without a session leave
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
