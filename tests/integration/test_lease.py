# SPDX-License-Identifier: MIT
"""mail.locks = "lease": a row in PostgreSQL keeps other servers with the same mail out of a maildrop.

The other server is a row that says so: that is all that one server sees of another.
"""
import unittest

import bed
import sqlbed

TIME_S = 15  # the shortest that may be set
USER = "user1@example.test"


@unittest.skipUnless(sqlbed.HAS_POSTGRES, "PostgreSQL's server is not installed")
class Lease(bed.BedCase):
    options = ("--auth", "pgsql", "--users", "8", "--set", "mail.locks=lease",
               "--set", "mail.lease_time=%ds" % TIME_S, "--set", "mail.lease_holder=here")

    def user(self, number):
        return "user%d@example.test" % number

    def location(self, user):
        return "maildir:" + self.bed.maildrop(user)

    def row(self, user):
        """holder, taker and the seconds that are left, or None."""
        rows = self.bed.postgres.sql(
            "SELECT holder, taker, extract(epoch FROM until - clock_timestamp()) FROM leases "
            "WHERE maildrop = ?", self.location(user))
        return (rows[0][0], rows[0][1], float(rows[0][2])) if rows else None

    def give_away(self, user, seconds):
        self.bed.postgres.sql(
            "INSERT INTO leases VALUES (?, 'there', 'x', now() + make_interval(secs => %d)) "
            "ON CONFLICT (maildrop) DO UPDATE SET holder = 'there', until = excluded.until" % seconds,
            self.location(user))

    def answer(self, user):
        with self.bed.connect() as c:
            c.ok(b"USER " + user.encode())
            answer = c.cmd(b"PASS " + self.bed.password.encode())
            if answer.startswith(b"+OK"):
                c.quit()
            return answer

    def test_a_session_takes_one_and_gives_it_back(self):
        user = self.user(1)
        self.bed.deliver(b"Subject: x\n\n", user)
        with self.bed.login(user) as c:
            holder, taker, left = self.row(user)
            self.assertEqual((holder, len(taker) > 0), ("here", True))
            self.assertTrue(TIME_S - 5 < left <= TIME_S, left)
            c.ok(b"DELE 1")
            c.quit()
        self.assertTrue(bed.eventually(lambda: self.row(user) is None))
        self.assertEqual(self.bed.names(user), [])

    def test_a_maildrop_that_another_server_has_is_in_use(self):
        user = self.user(2)
        self.give_away(user, 3600)
        self.assertEqual(bed.code_of(self.answer(user)), "IN-USE")
        self.assertTrue(self.bed.wait_event("lease.held"))
        self.assertEqual(self.row(user)[0], "there")
        self.give_away(user, -1)  # its server has died
        self.assertTrue(self.answer(user).startswith(b"+OK"))

    def test_it_holds_as_long_as_the_session(self):
        user = self.user(3)
        with self.bed.login(user) as c:
            clock = bed.stopwatch()
            self.assertTrue(bed.eventually(lambda: clock() > TIME_S / 3 and self.row(user)[2] > TIME_S - 3,
                                           seconds=TIME_S, step=0.2), self.row(user))
            # Past the first one's end it still serves, and removes.
            self.bed.deliver(b"Subject: x\n\n", user)
            self.assertTrue(bed.eventually(lambda: clock() > TIME_S + 1, seconds=TIME_S + 5, step=0.2))
            c.ok(b"NOOP")
            self.assertGreater(self.row(user)[2], 0)
            c.quit()
        self.assertTrue(bed.eventually(lambda: self.row(user) is None))

    def test_a_second_session_here_costs_the_first_nothing(self):
        user = self.user(4)
        self.bed.deliver(b"Subject: x\n\n", user)
        with self.bed.login(user) as c:
            self.assertEqual(bed.code_of(self.answer(user)), "IN-USE")
            self.assertEqual(self.row(user)[0], "here")
            c.ok(b"DELE 1")
            c.quit()
        self.assertEqual(self.bed.names(user), [])

    def test_a_session_that_has_lost_it_deletes_nothing(self):
        self.bed.allow("lease.lost")
        user = self.user(5)
        self.bed.deliver(b"Subject: x\n\n", user)
        with self.bed.login(user) as c:
            c.ok(b"DELE 1")
            self.give_away(user, 3600)
            self.assertEqual(bed.code_of(c.line()), "SYS/TEMP")
            c.expect_end()
        self.assertEqual(len(self.bed.names(user)), 1)
        self.assertEqual(self.row(user)[0], "there")

    def test_config_check_misses_the_table_where_leases_are_given(self):
        check = ("config", "check", "--connect")
        self.assertEqual(self.bed.ctl(*check).returncode, 0)
        self.bed.postgres.sql("ALTER TABLE leases RENAME TO elsewhere")
        try:
            run = self.bed.ctl(*check)
            kernel = self.bed.ctl("-s", "mail.locks=kernel", *check)
            own = self.bed.ctl("-s", "mail.locks=kernel", "-s",
                               "auth.pgsql.lease_query=UPDATE leases SET taker = :taker", *check)
        finally:
            self.bed.postgres.sql("ALTER TABLE elsewhere RENAME TO leases")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("auth.pgsql: lease_end_query: ", run.stderr)
        self.assertEqual(kernel.returncode, 0, kernel.stderr)
        self.assertEqual(own.returncode, 1, own.stderr)
        self.assertIn("lease_query: ", own.stderr)

    def test_without_the_database_sessions_end_before_their_leases(self):
        self.bed.allow("lease.lost", "lease.away", "lease.broken")
        user, other = self.user(6), self.user(7)
        self.bed.deliver(b"Subject: x\n\n", user)
        with self.bed.login(user) as c:
            clock = bed.stopwatch()
            c.ok(b"DELE 1")
            self.bed.postgres.sql("ALTER TABLE leases RENAME TO gone")
            self.addCleanup(self.bed.postgres.sql, "DROP TABLE gone")
            try:
                self.assertEqual(bed.code_of(self.answer(other)), "SYS/TEMP")
                self.assertEqual(bed.code_of(c.line()), "SYS/TEMP")
                self.assertTrue(TIME_S / 2 < clock() < TIME_S, clock())
                c.expect_end()
            finally:
                self.bed.postgres.sql("CREATE TABLE leases (LIKE gone INCLUDING ALL)")
                self.bed.postgres.sql("ALTER TABLE leases OWNER TO postern")
        self.assertEqual(len(self.bed.names(user)), 1)
        self.assertTrue(self.answer(other).startswith(b"+OK"))


class WithoutLeases(bed.BedCase):
    options = ("--users", "1", "--set", "mail.locks=lease")
    allowed = ("lease.broken",)

    def test_a_backend_that_gives_none_lets_nobody_in(self):
        with self.bed.connect() as c:
            c.ok(b"USER " + USER.encode())
            c.err(b"PASS " + self.bed.password.encode(), "SYS/PERM")
        self.assertTrue(self.bed.wait_event("lease.broken"))
