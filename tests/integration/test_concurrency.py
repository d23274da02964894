# SPDX-License-Identifier: MIT
"""500 clients over 100 maildrops that delete, while mail comes in and workers are killed.

At the end every message was delivered whole to a client that said QUIT, or it is still there.
POSTERN_CONCURRENCY_SECONDS sets how long (default 20).
"""
import hashlib
import multiprocessing
import os
import random
import re
import signal
import threading
import time
import unittest
from collections import Counter

from bed import BedCase, Client, Closed, code_of, eventually, lenient
from support import processes
from zoo import stuffed, wire

CLIENTS, DROPS = 500, 100
SECONDS = float(os.environ.get("POSTERN_CONCURRENCY_SECONDS", "20"))
KILL_EVERY = 0.2
DELIVERIES = 150  # a second


class Ledger:
    """What became of each message, by its UIDL, which is its file's name."""

    def __init__(self):
        self.lock = threading.Lock()
        self.delivered = {}    # name: SHA-256 of what RETR must send
        self.quit_said = set()  # read whole, deleted, QUIT sent
        self.quit_ok = set()    # and answered with +OK
        self.count = Counter()
        self.wrong = []

    def note(self, what, text=None):
        with self.lock:
            self.count[what] += 1
            if text is not None:
                self.wrong.append(text)


def kill_workers(master, killed, stop):
    """A process of its own: five hundred threads of Python would make it late."""
    rng = random.Random(2)
    while not stop.wait(KILL_EVERY):
        pids = processes.children(master)
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                killed.value += 1
            except ProcessLookupError:
                pass


class Storm(BedCase):
    options = ("--users", str(DROPS), "--set", "auth.timeout=5s")
    # Killing is what this test does; what the master says of it is no complaint.
    allowed = ("worker.", "keys.", "tls.", "auth.", "login.", "maildrop.", "session.")

    def deliver_mail(self, ledger, stop):
        rng = random.Random(1)
        users = list(self.bed.maildrops)
        number = 0
        while not stop.is_set():
            number += 1
            body = b"x%d\n" % number * rng.choice((1, 20, 300, 4000))
            octets = b"Subject: storm %d\n\n.%s" % (number, body)
            name = "%d.storm%d.test" % (1700000000 + number, number)
            with ledger.lock:
                ledger.delivered[name] = hashlib.sha256(stuffed(wire(octets))).digest()
            self.bed.deliver(octets, rng.choice(users), name=name)
            stop.wait(1 / DELIVERIES)

    def session(self, user, rng, ledger, context):
        """One client's visit: reads some, deletes what it read, and mostly says QUIT."""
        tls = rng.random() < 0.4
        with Client(self.bed.host, self.bed.tls_port if tls else self.bed.port, tls=tls,
                    context=context, timeout=30) as client:
            client.ok("USER " + user)
            answer = client.cmd("PASS " + self.bed.password)
            if not answer.startswith(b"+OK"):
                code = code_of(answer)
                ledger.note(code, None if code in ("IN-USE", "SYS/TEMP") else
                            "login: %r" % answer)
                return
            taken = set()
            for line in client.lines("UIDL")[:rng.choice((1, 5, 50))]:
                number, uidl = line.split(" ")
                answer = client.cmd("RETR " + number)
                if not answer.startswith(b"+OK"):
                    ledger.note("no RETR", "RETR %s: %r" % (uidl, answer))
                    continue
                if hashlib.sha256(client.rest()).digest() != ledger.delivered.get(uidl):
                    ledger.note("octets", "other octets in " + uidl)
                client.ok("DELE " + number)
                taken.add(uidl)
            if rng.random() < 0.25:
                ledger.note("left without QUIT")
                return
            with ledger.lock:
                ledger.quit_said |= taken
            answer = client.cmd("QUIT")
            if answer.startswith(b"+OK"):
                with ledger.lock:
                    ledger.quit_ok |= taken
                ledger.note("QUIT")
            else:
                ledger.note("no QUIT", "QUIT: %r" % answer)

    def client(self, number, ledger, stop):
        rng = random.Random(number)
        users = list(self.bed.maildrops)
        context = lenient()
        while not stop.is_set():
            try:
                self.session(rng.choice(users), rng, ledger, context)
            except (Closed, ConnectionError, TimeoutError, OSError):
                ledger.note("connection lost")
            except AssertionError as e:
                ledger.note("odd", str(e)[:300])
            stop.wait(rng.random() * 0.5)

    def test_every_message_is_delivered_or_still_there(self):
        ledger, stop = Ledger(), threading.Event()
        threading.stack_size(512 * 1024)
        killer = multiprocessing.get_context("fork")
        killed, stop_killing = killer.Value("i", 0), killer.Event()
        killer = killer.Process(target=kill_workers, args=(self.bed.pid, killed, stop_killing))
        killer.start()  # before there are threads
        threads = [threading.Thread(target=self.deliver_mail, args=(ledger, stop))]
        threads += [threading.Thread(target=self.client, args=(n, ledger, stop))
                    for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS)
        stop.set()
        for thread in threads:
            thread.join()
        threading.stack_size(0)
        stop_killing.set()
        killer.join()
        ledger.count["killed"] = killed.value
        self.judge(ledger)

    def judge(self, ledger):
        self.assertEqual(ledger.wrong[:10], [], dict(ledger.count))
        there = set()
        for user in self.bed.maildrops:
            there |= set(self.bed.names(user))
        gone = set(ledger.delivered) - there
        self.assertEqual(there - set(ledger.delivered), set(), "messages that nobody delivered")
        self.assertEqual(gone - ledger.quit_said, set(), "lost: gone without a QUIT")
        self.assertEqual(there & ledger.quit_ok, set(), "+OK to QUIT, and still there")
        # It was a storm at all:
        self.assertGreater(ledger.count["killed"], SECONDS / KILL_EVERY / 2)
        self.assertGreater(ledger.count["QUIT"], SECONDS * 5, dict(ledger.count))
        self.assertGreater(len(gone), SECONDS * 10, dict(ledger.count))
        self.all_maildrops_open()

    def all_maildrops_open(self):
        """No lock was left behind, and what is listed is what is there."""
        for user in self.bed.maildrops:
            def listed(user=user):
                try:
                    with self.bed.login(user) as client:
                        found = sorted(x.split(" ")[1] for x in client.lines("UIDL"))
                        client.quit()
                    return found == self.bed.names(user)
                except (AssertionError, OSError):
                    return False
            self.assertTrue(eventually(listed, 10, 0.1), user)


class Crowd(BedCase):
    """Many at once without anybody being killed: everyone is served."""
    options = ("--users", "300")

    def test_three_hundred_sessions_at_once(self):
        context = lenient()
        clients = {}
        for number, user in enumerate(self.bed.maildrops):
            tls = number % 2 == 1
            clients[user] = self.bed.login(user, tls=tls, context=context)
        for client in clients.values():
            client.send(b"STAT\r\n")
        for client in clients.values():
            self.assertRegex(client.line(), rb"^\+OK 0 0$")
        for client in clients.values():
            client.send(b"QUIT\r\n")
        for client in clients.values():
            self.assertTrue(client.line().startswith(b"+OK"))
            client.expect_end()

    def test_connections_that_never_log_in(self):
        idle = [self.bed.connect() for _ in range(500)]
        idle += [self.bed.connect(tls=True, context=lenient()) for _ in range(100)]
        with self.bed.login() as client:
            self.assertTrue(re.match(rb"\+OK", client.ok("STAT")))
            client.quit()
        for client in idle:
            client.close()


if __name__ == "__main__":
    unittest.main()
