# SPDX-License-Identifier: MIT
"""Mail that may stay for so many days: gone before a session sees it, announced as it is applied; and
what a session shows at most, and LAST."""
import os
import time
import unittest

from bed import BedCase, IS_ROOT

DAY = 86400


def mail(number):
    return b"Subject: message %d\n\nbody\n" % number


class Expire(BedCase):
    options = ("--users", "6", "--set", "mail.expire_days=30", "--set", "mail.expire_least=20")

    def setUp(self):
        Expire.used = getattr(Expire, "used", -1) + 1
        self.user = list(self.bed.maildrops)[self.used]  # each is looked through once a day
        self.bed.clear(self.user)
        self.place = self.bed.maildrop(self.user)

    def fill(self, *days):
        for number, age in enumerate(days):
            name = self.bed.deliver(mail(number), self.user)
            at = time.time() - age * DAY - 100
            os.utime(os.path.join(self.place, "new", name), (at, at))

    def capa(self, client):
        return [line for line in client.lines("CAPA") if line.startswith("EXPIRE")]

    def test_old_mail_is_gone_before_it_is_seen(self):
        self.fill(31, 29, 400, 0)
        with self.bed.connect() as client:
            self.assertEqual(self.capa(client), ["EXPIRE 20 USER"])
            client.login(self.user, "secret")
            self.assertEqual(self.capa(client), ["EXPIRE 30"])
            self.assertEqual(client.stat()[0], 2)
            self.assertIn(b"message 1", client.multi("RETR 1"))
            client.close()  # no QUIT is needed for it
        self.assertEqual(len(self.bed.names(self.user)), 2)
        event = self.bed.wait_event("maildrop.expire", lambda e: self.user in e["text"])
        self.assertEqual((event["removed"], event["days"]), ("2", "30"))
        self.fill(99)  # once a day is enough
        with self.bed.login(self.user) as client:
            self.assertEqual(client.stat()[0], 3)
            client.quit()
        self.bed.ctl("maildrop", "expire", self.user, check=True)
        self.assertEqual(len(self.bed.names(self.user)), 2)

    def test_the_account_counts(self):
        self.fill(31, 50, 70)
        self.bed.ctl("user", "set", self.user, "--expire-days", "60", check=True)
        shown = self.bed.ctl("user", "show", self.user, check=True).stdout
        self.assertRegex(shown, r"expire-days\s+60")
        with self.bed.login(self.user) as client:
            self.assertEqual(self.capa(client), ["EXPIRE 60"])
            self.assertEqual(client.stat()[0], 2)
            client.quit()
        self.bed.ctl("user", "set", self.user, "--expire-days", "1", check=True)
        with self.bed.login(self.user) as client:  # less than what everybody was told
            self.assertEqual(self.capa(client), ["EXPIRE 20"])
            client.quit()

    def test_an_account_whose_mail_stays(self):
        self.fill(31, 5000)
        self.bed.ctl("user", "set", self.user, "--expire-days", "0", check=True)
        with self.bed.login(self.user) as client:
            self.assertEqual(self.capa(client), ["EXPIRE NEVER"])
            self.assertEqual(client.stat()[0], 2)
            client.quit()
        self.bed.ctl("user", "set", self.user, "--unset", "expire-days", check=True)
        with self.bed.login(self.user) as client:
            self.assertEqual(client.stat()[0], 0)
            client.quit()

    def test_it_can_be_held(self):
        self.fill(31, 1)
        self.bed.ctl("user", "set", self.user, "--hold-days", "7", check=True)
        with self.bed.login(self.user) as client:
            self.assertEqual(client.stat()[0], 1)
            client.quit()
        self.bed.ctl("undelete", self.user, check=True)
        with self.bed.login(self.user) as client:
            self.assertEqual(client.stat()[0], 2)
            client.quit()

    def test_nobody_sees_it_twice(self):
        """UIDLs of what stays are what they were."""
        self.bed.ctl("user", "set", self.user, "--expire-days", "0", check=True)
        self.fill(40, 3, 2)
        with self.bed.login(self.user) as client:
            before = client.lines("UIDL")
            client.quit()
        self.bed.ctl("user", "set", self.user, "--unset", "expire-days", check=True)
        with self.bed.login(self.user) as client:
            after = client.lines("UIDL")
            client.quit()
        self.assertEqual([x.split()[1] for x in after], [x.split()[1] for x in before[1:]])


class ExpireMbox(BedCase):
    options = ("--storage", "mbox", "--users", "1", "--set", "mail.expire_days=30")

    def test_the_date_of_the_from_line_counts(self):
        path = self.bed.maildrop()
        with open(path, "wb") as f:
            for number, age in enumerate((31, 2, 90)):
                date = time.asctime(time.gmtime(time.time() - age * DAY - 100)).encode()
                f.write(b"From a@example.test " + date + b"\n" + mail(number) + b"\n")
        if IS_ROOT:
            os.chown(path, self.bed.uid, self.bed.gid)
        with self.bed.login() as client:
            self.assertEqual(client.stat()[0], 1)
            self.assertIn(b"message 1", client.multi("RETR 1"))
            client.quit()
        with open(path, "rb") as f:
            self.assertEqual(f.read().count(b"Subject:"), 1)


class Bounds(BedCase):
    options = ("--users", "1", "--set", "mail.max_listed=3", "--set", "mail.last=true")

    def setUp(self):
        self.bed.clear()
        for number in range(5):
            self.bed.deliver(mail(number))

    def test_the_rest_shows_up_later_and_keeps_its_uidl(self):
        seen = []
        self.bed.ctl("user", "set", self.bed.user, "--max-listed", "9", check=True)
        for count in (3, 2):
            with self.bed.login() as client:
                octets = [int(x.split()[1]) for x in client.lines("LIST")]
                uidls = [x.split()[1] for x in client.lines("UIDL")]
                self.assertEqual(client.stat(), (count, sum(octets)))
                self.assertEqual((len(octets), len(uidls)), (count, count))
                client.err("RETR 4")
                seen += uidls
                for number in range(count):
                    client.ok("DELE %d" % (number + 1))
                client.quit()
        self.assertEqual(len(set(seen)), 5)
        self.assertEqual(self.bed.names(), [])

    def test_last(self):
        with self.bed.login() as client:
            self.assertEqual(client.ok("LAST"), b"+OK 0")
            client.multi("RETR 2")
            client.multi("RETR 1")
            client.multi("TOP 3 0")
            self.assertEqual(client.ok("LAST"), b"+OK 2")
            client.ok("DELE 3")
            self.assertEqual(client.ok("LAST"), b"+OK 3")
            client.ok("RSET")
            self.assertEqual(client.ok("LAST"), b"+OK 0")
            client.quit()


if __name__ == "__main__":
    unittest.main()
