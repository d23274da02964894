# SPDX-License-Identifier: MIT
"""What backends are told of logins and sessions, and of passwords to be stored anew."""
import os
import signal
import time
import unittest

from bed import eventually, stopwatch
from ledger import USERS, LedgerCase


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


if __name__ == "__main__":
    unittest.main()
