# SPDX-License-Identifier: MIT
"""PostgreSQL stopped, restarted, hung, locked, failed over: what logins are told, and how soon."""
import contextlib
import os
import signal
import threading
import time
import unittest
from collections import Counter

import bed
from support import pgbouncer, postgres, processes

SCHEMA = os.path.join(bed.TESTS, "..", "contrib", "schema", "postgresql.sql")
USER = "user1@example.test"
CONNECT, QUERY = 0.6, 0.9  # the settings, in seconds
WHOLE = CONNECT + QUERY    # a login's limit
SLACK = 5.0 if bed.SANITIZED else 1.5  # for a busy machine
LIMITS = ("--set=auth.pgsql.connect_timeout=600ms", "--set=auth.pgsql.query_timeout=900ms")


@unittest.skipUnless(postgres.find_programs(), "PostgreSQL's server is not installed")
class AwayCase(bed.BedCase):
    options = ("--auth", "pgsql", "--users", "3", *LIMITS)
    allowed = ("auth.backend_away",)

    def setUp(self):
        self.pg = self.bed.postgres
        self.addCleanup(self.restore)

    def restore(self):
        self.pg.wake()
        if self.pg.pid() is None:
            self.pg.start()
        self.assertTrue(bed.eventually(lambda: self.outcome() == "", step=0.1))

    def outcome(self, user=USER, password="secret"):
        """"" for a login, also where the maildrop is in use, else the code of the refusal."""
        with self.bed.connect() as c:
            answer = c.cmd(b"AUTH PLAIN " + bed.b64(b"\0%s\0%s" % (
                bed.to_octets(user), bed.to_octets(password))))
            is_in = answer.startswith(b"+OK") or bed.code_of(answer) == "IN-USE"
            return "" if is_in else bed.code_of(answer) or answer

    def timed(self, **how):
        clock = bed.stopwatch()
        return self.outcome(**how), clock()

    def expect_away(self):
        """The whole limit at most, then at once; never [AUTH], and no line for each login."""
        before = len(self.bed.events("auth.backend_away"))
        took = []
        for n in range(30):
            code, seconds = self.timed(password="secret" if n % 2 else "wrong")
            self.assertEqual(code, "SYS/TEMP")
            self.assertLess(seconds, WHOLE + SLACK)
            took.append(seconds)
        self.assertLess(sorted(took)[len(took) // 2], 1.5 if bed.SANITIZED else 0.6, took)
        self.assertLessEqual(len(self.bed.events("auth.backend_away")) - before, 1)

    def expect_back(self, seconds=10):
        self.assertTrue(bed.eventually(lambda: self.outcome() == "", seconds, 0.1))
        for n in (1, 2, 3):  # by every worker
            for _ in range(5):
                self.assertTrue(bed.eventually(
                    lambda: self.outcome(user="user%d@example.test" % n) == "", 5, 0.1))


class Away(AwayCase):
    def test_stopped_and_started(self):
        with self.bed.login() as there:
            self.pg.stop()
            self.expect_away()
            self.assertTrue(there.cmd("STAT").startswith(b"+OK"))  # open sessions go on
            there.quit()
        self.pg.start()
        self.expect_back()
        self.assertTrue(self.bed.events("auth.backend_back"))

    def test_a_restart_between_two_logins_is_not_noticed(self):
        for how in (signal.SIGINT, signal.SIGQUIT):
            for _ in range(10):
                self.assertEqual(self.outcome(), "")
            self.pg.stop(how)
            self.pg.start()
            for _ in range(20):
                self.assertEqual(self.outcome(), "")

    def test_backends_that_hang_are_left_for_others(self):
        for _ in range(10):
            self.assertEqual(self.outcome(), "")
        hung = self.pg.backends()
        self.assertTrue(hung)
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(5):
            code, seconds = self.timed()
            self.assertEqual(code, "")
            self.assertLess(seconds, WHOLE + SLACK)
        code, seconds = self.timed(user="user2@example.test")
        self.assertEqual(code, "")

    def test_a_server_that_hangs_as_a_whole(self):
        self.assertEqual(self.outcome(), "")
        with self.bed.login() as there:
            pid = self.pg.pid()
            for each in [pid, *processes.children(pid)]:
                os.kill(each, signal.SIGSTOP)
            self.expect_away()
            self.assertTrue(there.cmd("NOOP").startswith(b"+OK"))
            there.quit()
        self.pg.wake()
        self.expect_back()

    def test_a_locked_table(self):
        self.assertEqual(self.outcome(), "")
        lock = self.pg.psql("-f", "-", script=True)
        self.addCleanup(lock.wait, 20)
        self.addCleanup(lock.kill)
        lock.stdin.write(b"BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE;\n")
        lock.stdin.flush()
        held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
        self.assertTrue(bed.eventually(lambda: self.pg.sql(held) != [["0"]]))
        self.expect_away()
        # Those that nobody waits for any more end by themselves: no heap of them.
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postern'"
        self.assertLess(int(self.pg.sql(waiting)[0][0]), 25)
        lock.communicate(b"COMMIT;\n", timeout=20)
        self.expect_back()

    def test_a_table_that_changes_its_shape_is_not_noticed(self):
        for _ in range(10):
            self.assertEqual(self.outcome(), "")
        self.pg.sql("ALTER TABLE users ALTER COLUMN reason TYPE varchar(500)")
        for _ in range(20):
            self.assertEqual(self.outcome(), "")


class Two(AwayCase):
    """A second server. Each test ends with the first one running."""

    def second(self, make):
        pg = postgres.Postgres(os.path.join(self.bed.home, "second%d" % time.monotonic_ns()))
        self.addCleanup(pg.stop)
        make(pg)
        return pg.start()

    def twin(self):
        """A server of its own, with the same users."""
        pg = self.second(lambda pg: pg.create())
        with open(SCHEMA, encoding="utf-8") as f:
            pg.make_database(f.read())
        pg.sql("INSERT INTO domains (name) VALUES ('example.test')")
        pg.sql("INSERT INTO users (domain, local_part, password) SELECT 'example.test', 'user' || n, "
               "'{PLAIN}secret' FROM generate_series(1, 3) n")
        return pg

    def string(self, *servers, more=""):
        return "host=%s port=%s user=%s dbname=%s %s" % (
            ",".join(s.sockets for s in servers), ",".join(str(s.port) for s in servers),
            postgres.OWNER, postgres.NAME, more)

    def use(self, changes):
        count = len(self.bed.events("server.ready"))
        self.bed.configure({"auth.pgsql." + k: v for k, v in changes.items()})
        self.bed.reload()
        self.assertTrue(bed.eventually(lambda: len(self.bed.events("server.ready")) > count))

    def test_fail_over_in_the_middle_of_a_storm(self):
        twin = self.twin()
        self.use({"read": self.string(self.pg, twin)})
        for how in ("stop", "hang"):
            with self.subTest(how=how):
                outcomes, end = [], threading.Event()

                def storm():
                    while not end.is_set():
                        outcomes.append(self.timed(user="user2@example.test"))

                threads = [threading.Thread(target=storm) for _ in range(6)]
                for t in threads:
                    t.start()
                self.assertTrue(bed.eventually(lambda: len(outcomes) > 200))
                if how == "stop":
                    self.pg.stop(signal.SIGQUIT)
                else:
                    pid = self.pg.pid()
                    for each in [pid, *processes.children(pid)]:
                        os.kill(each, signal.SIGSTOP)
                count = len(outcomes)
                self.assertTrue(bed.eventually(lambda: len(outcomes) > count + 500))
                end.set()
                for t in threads:
                    t.join()
                # A look-up is tried on one other host, once. Who meets the first host's end twice, while
                # it still takes connections, is told to try later: one in many.
                codes = Counter(code for code, _ in outcomes)
                self.assertLessEqual(set(codes), {"", "SYS/TEMP"})
                self.assertLessEqual(codes["SYS/TEMP"], len(outcomes) // 100, codes)
                self.assertLess(max(seconds for _, seconds in outcomes), WHOLE + SLACK)
                self.restore()
                self.use({"read": self.string(self.pg, twin)})
        self.use({})

    def test_reads_go_to_the_replica_and_writes_to_the_primary(self):
        replica = self.second(lambda pg: pg.copy_of(self.pg))
        both = self.string(replica, self.pg)
        self.use({"read": both + " target_session_attrs=prefer-standby", "write": both})
        for _ in range(20):
            self.assertEqual(self.outcome(), "")
        self.assertGreater(len(replica.backends()), 0)
        run = self.bed.ctl("-s", "auth.pgsql.read=" + both, "-s", "auth.pgsql.write=" + both,
                           "user", "add", "--password-stdin", "--scheme", "PLAIN",
                           "new@example.test", text="secret\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(bed.eventually(lambda: self.outcome(user="new@example.test") == ""))
        # Without the replica all is asked of the primary, and the other way round.
        replica.stop()
        for _ in range(10):
            self.assertEqual(self.outcome(), "")
        replica.start()
        self.use({"read": both + " target_session_attrs=prefer-standby", "write": both})
        self.pg.stop()
        for _ in range(10):
            self.assertEqual(self.outcome(), "")
        run = self.bed.ctl("-s", "auth.pgsql.read=" + both, "-s", "auth.pgsql.write=" + both,
                           "user", "passwd", "--password-stdin", "new@example.test", text="x\n")
        self.assertEqual(run.returncode, 1)  # a replica is not written
        # It becomes the primary.
        replica.sql("SELECT pg_promote()")
        run = self.bed.ctl("-s", "auth.pgsql.read=" + both, "-s", "auth.pgsql.write=" + both,
                           "user", "passwd", "--password-stdin", "--scheme", "PLAIN",
                           "new@example.test", text="other\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.outcome(user="new@example.test", password="other"), "")
        replica.stop()
        self.pg.start()
        self.use({})


@unittest.skipUnless(pgbouncer.find_program(), "pgbouncer is not installed")
class Pooled(AwayCase):
    """Behind the real pgbouncer in transaction mode, with fewer connections than we have workers."""
    allowed = ("auth.backend_away", "auth.broken")

    def setUp(self):
        super().setUp()
        self.pool = pgbouncer.Pgbouncer(os.path.join(
            self.bed.home, "pool%d" % time.monotonic_ns()), self.pg, pool=1)
        self.addCleanup(self.pool.stop)
        self.pool.start()
        self.addCleanup(self.use, {})

    use = Two.use

    def together(self, count, each=10):
        codes = []

        def work():
            for _ in range(each):
                with contextlib.suppress(bed.Closed):
                    codes.append(self.outcome())

        threads = [threading.Thread(target=work) for _ in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return codes

    def test_without_prepared_statements_all_is_well(self):
        self.use({"read": self.pool.string(), "prepared": "no", "listen": self.pg.string()})
        self.assertEqual(set(self.together(8)), {""})
        self.assertEqual(self.pg.sql("SELECT count(*) FROM pg_prepared_statements"), [["0"]])
        run = self.bed.ctl("-s", "auth.pgsql.read=" + self.pool.string(), "-s",
                           "auth.pgsql.prepared=no", "-s", "auth.pgsql.listen=off", "config", "check",
                           "--connect")
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_with_prepared_statements_the_log_says_what_to_do(self):
        self.use({"read": self.pool.string(), "prepared": "yes", "listen": "off"})
        codes = set(self.together(8))
        self.assertLessEqual(codes, {"", "SYS/TEMP"})
        self.assertIn("SYS/TEMP", codes)
        text = self.bed.log_text()
        self.assertRegex(text, "42P05|26000")
        self.assertIn("prepared must be", text)


del AwayCase

if __name__ == "__main__":
    unittest.main()
