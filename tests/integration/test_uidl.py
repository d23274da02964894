# SPDX-License-Identifier: MIT
"""UIDLs by settings, through the whole server: numbers that outlive the index, files that a program
renamed, mail that was replaced, and an admin who accepts that."""
import glob
import os

from bed import BedCase


def mail(number):
    return b"Message-ID: <%d@example.test>\nSubject: message %d\n\nbody\n" % (number, number)


class Uidl(BedCase):
    options = ("--users", "10", "--set", "storage.maildir.uidl=%v.%u")
    allowed = ("maildir.uidls_would_change", "maildrop.refused")
    next_user = 0

    def setUp(self):
        """A maildrop of its own for each test."""
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user
        self.home = self.bed.maildrop(self.user)

    def fill(self, first, count):
        for number in range(first, first + count):
            self.bed.deliver(mail(number), self.user)

    def uidls(self):
        with self.bed.login(self.user) as client:
            found = [x.split(" ")[1] for x in client.lines("UIDL")]
            client.quit()
        return found

    def files(self):
        return sorted(glob.glob(os.path.join(self.home, "new", "*")))

    def forget_index(self):
        for path in glob.glob(os.path.join(self.home, "postern.index*")):
            os.unlink(path)

    def test_numbers_outlive_the_index(self):
        self.fill(1, 3)
        first = self.uidls()
        self.assertEqual([x.split(".")[1] for x in first], ["1", "2", "3"])
        self.forget_index()
        self.assertEqual(self.uidls(), first)
        os.unlink(self.files()[-1])
        self.assertEqual(self.uidls(), first[:2])
        self.forget_index()
        self.fill(4, 1)
        self.assertEqual(self.uidls()[:2], first[:2])
        self.assertNotIn(self.uidls()[2], first)

    def test_renamed_files_keep_theirs(self):
        self.fill(1, 30)
        first = self.uidls()
        for number, path in enumerate(self.files()):
            os.rename(path, os.path.join(self.home, "new", "19%08d.renamed" % number))
        self.assertEqual(self.uidls(), first)

    def test_replaced_mail_is_refused_until_accepted(self):
        self.fill(1, 30)
        first = self.uidls()
        for number, path in enumerate(self.files()):
            with open(path, "r+b") as f:
                f.truncate(0)
                f.write(mail(1000 + number))
            os.rename(path, os.path.join(self.home, "new", "1700000000.%d" % number))
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            client.err("PASS secret", "SYS/TEMP")
        self.bed.ctl("uidl", "accept", self.user, check=True)
        self.assertFalse(set(self.uidls()) & set(first))
