# SPDX-License-Identifier: MIT
"""Clients that keep a server busy while a test does something to it."""
import threading
import time

from bed import lenient


class Load:
    """Clients that log in, look and leave, one after the other, until told to stop."""

    def __init__(self, bed, clients, tolerate=False):
        self.bed, self.tolerate = bed, tolerate
        self.stop, self.failures, self.sessions = threading.Event(), [], 0
        users = list(bed.maildrops)
        self.threads = [threading.Thread(target=self.run, args=(users[n % len(users)], n % 2 == 1))
                        for n in range(clients)]

    def run(self, user, tls):
        context = lenient()
        while not self.stop.is_set():
            try:
                with self.bed.login(user, tls=tls, context=context) as client:
                    client.stat()
                    client.lines("UIDL")
                    client.quit()
                self.sessions += 1
            except (AssertionError, OSError) as e:
                if not self.tolerate:
                    self.failures.append("%s tls=%s: %s" % (user, tls, e))
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
