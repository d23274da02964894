# SPDX-License-Identifier: MIT
"""Maildirs that another server served until now: UIDLs, order and sizes stay.

Dovecot's lists are made by the real Dovecot, whose pop3 program speaks on its standard input. What
it shows for a Maildir is compared with what Postern shows for a copy of it."""
import os
import shutil
import subprocess
import unittest

from bed import IS_ROOT, BedCase, code_of
from oldservers import LIST, mail, needs_dovecot
from oldservers import Dovecot as OldDovecot


class Case(BedCase):
    options = ("--users", "60")
    next_user = 0

    def setUp(self):
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user

    def move_in(self, path):
        """A copy becomes the user's Maildir."""
        home = self.bed.maildrop(self.user)
        shutil.rmtree(home)
        shutil.copytree(path, home)
        if IS_ROOT:
            subprocess.run(["chown", "-R", "%d:%d" % (self.bed.uid, self.bed.gid), home],
                           check=True)
        return home

    def show(self):
        with self.bed.login(self.user) as client:
            found = client.lines("UIDL"), client.lines("LIST")
            client.quit()
        return found

    def forget(self):
        for name in ("postern.index", "postern.index.spare"):
            path = os.path.join(self.bed.maildrop(self.user), name)
            if os.path.exists(path):
                os.unlink(path)


@needs_dovecot
class Dovecot(Case):
    FORMATS = (  # Dovecot's own default is the first
        "%08Xu%08Xv", "%08Xv%08Xu", "%v.%u", "%v-%u", "UID%u-%v", "%u", "%f", "%g",
        "%Xu.%05u.%3v.%UXv", "a%%%Lf")

    def maildir(self, **settings):
        old = OldDovecot(**settings)
        self.addCleanup(old.remove)
        return old

    def served(self, **settings):
        """With three deliveries, so that the order is not that of the names; some seen, some gone."""
        old = self.maildir(**settings)
        old.fill(6)
        old.show(b"RETR 1\r\nDELE 2\r\n")
        old.fill(5)
        old.show()
        old.fill(3)
        return old

    def check(self, old):
        """The same here, also without our index; and nothing of Dovecot's is touched."""
        expected = old.show()
        home = self.move_in(old.path)
        before = sorted((n, os.stat(os.path.join(home, n)).st_mtime_ns) for n in os.listdir(home)
                        if n.startswith("dovecot"))
        self.assertEqual(self.show(), expected)
        self.forget()
        self.assertEqual(self.show(), expected, "without the index")
        self.assertEqual(self.show(), expected, "from the index")
        after = sorted((n, os.stat(os.path.join(home, n)).st_mtime_ns) for n in os.listdir(home)
                       if n.startswith("dovecot"))
        self.assertEqual(after, before)
        return expected

    def test_every_format(self):
        for text in self.FORMATS:
            with self.subTest(text):
                self.setUp()
                old = self.served(pop3_uidl_format=text)
                self.bed.renew({"storage.maildir.dovecot_uidl_format": text})
                uidls = self.check(old)[0]
                self.assertEqual(len(uidls), 13)
        self.bed.renew({})

    def test_the_newer_syntax_gives_the_same(self):
        self.bed.renew({"storage.maildir.dovecot_uidl_format":
                        "%{uid | hex(8)}%{uidvalidity | hex(8)}"})
        self.check(self.served())
        self.bed.renew({})

    def test_the_order_is_dovecots_and_not_that_of_the_names(self):
        old = self.served()
        uidls = [u.split(" ")[1] for u in self.check(old)[0]]
        self.assertEqual(uidls, sorted(uidls), "its numbers grow")
        self.bed.renew({"storage.maildir.old_server": "none"})
        self.setUp()
        self.move_in(old.path)
        names = [u.split(" ")[1] for u in self.show()[0]]
        self.assertIn("P7.host", names[0])
        self.bed.renew({})

    def test_names_of_one_second_and_odd_ones(self):
        old = self.maildir(pop3_no_flag_updates="no")
        for number, name in enumerate((
                "1700000000.M5P1.h", "1700000000", "1700000000.12.h", "1700000000.~.h",
                "1700000000.\u00fctf8.h", "1700000000.V801I5f3M12.h", "1700000000.M99.h",
                "1700000000.a-b", "1700000000.a", "no-number", "01699999999.M1.h",
                "1700000000.x,S=1x")):
            old.put(name, mail(number))
        self.check(old)
        old.fill(2)
        self.check(old)

    def test_stored_uidls(self):
        for settings in ({"pop3_save_uidl": "yes"},
                         {"pop3_save_uidl": "yes", "pop3_uidl_format": "%f"},
                         {"pop3_save_uidl": "yes", "pop3_uidl_format": "%v-%u"}):
            with self.subTest(**settings):
                self.setUp()
                old = self.served(**settings)
                old.show()
                self.assertIn(b" P", old.read_list())
                old.configure(pop3_uidl_format="%u")  # what is stored stays
                self.check(old)

    def test_reused_and_renamed_uidls(self):
        old = self.maildir(pop3_save_uidl="yes", pop3_reuse_xuidl="yes",
                           pop3_uidl_duplicates="rename")
        old.fill(3, b"X-UIDL: same\n")
        old.fill(2, b"X-UIDL: other\n")
        old.fill(2)
        old.show()
        uidls = [u.split(" ")[1] for u in self.check(old)[0]]
        self.assertIn("same-2", uidls)

    def test_the_order_that_is_written_down(self):
        old = self.served()
        old.show()
        lines = old.read_list().split(b"\n")
        for at, number in ((3, 9), (7, 2), (9, 5)):
            uid, rest = lines[at].split(b" ", 1)
            lines[at] = b"%s O%d %s" % (uid, number, rest)
        old.write_list(b"\n".join(lines))
        for name in os.listdir(old.path):
            if name.startswith("dovecot.index"):
                os.unlink(os.path.join(old.path, name))
        uidls = [u.split(" ")[1] for u in self.check(old)[0]]
        self.assertNotEqual(uidls, sorted(uidls))

    def test_version_1(self):
        old = self.served()
        old.show()
        lines = old.read_list().split(b"\n")
        validity, following = (w[1:] for w in lines[0].split(b" ")[1:3])
        records = [r.split(b" ", 1)[0] + b" " + r.split(b":", 1)[1] for r in lines[1:] if r]
        old.write_list(b"\n".join([b"1 %s %s" % (validity, following), *records, b""]))
        self.check(old)

    def test_one_more_message_is_one_more_uidl_at_the_end(self):
        old = self.served()
        before = self.check(old)[0]
        self.bed.deliver(mail(99), self.user, name="1600000000.M1P1.early")
        after = self.show()[0]
        self.assertEqual(after[:-1], before)
        self.assertEqual(after[-1].split(" ")[1][:8], "0000000f", "its next number")
        os.unlink(os.path.join(self.bed.maildrop(self.user), LIST))
        self.assertEqual(self.show()[0], after, "the list was removed")
        self.bed.deliver(mail(98), self.user, name="1900000000.M1P1.late")
        self.assertEqual(self.show()[0][:-1], after, "and new mail came")

    def test_what_we_have_shown_stays_when_dovecot_lists_it(self):
        old = self.served()
        self.check(old)
        self.bed.deliver(mail(99), self.user, name="1800000000.M1P1.new")
        shown = self.show()[0]
        home = self.bed.maildrop(self.user)
        with open(os.path.join(home, LIST), "ab") as f:
            f.write(b"4000 :1800000000.M1P1.new\n4001 :1800000001.M1P1.newer\n")
        self.bed.deliver(mail(98), self.user, name="1800000001.M1P1.newer")
        now = self.show()[0]
        self.assertEqual(now[:-1], shown)
        self.assertEqual(now[-1].split(" ")[1][:8], "00000fa1")

    def test_after_deletion_here_the_old_server_shows_the_rest_unchanged(self):
        old = self.served()
        uidls, sizes = self.check(old)
        with self.bed.login(self.user) as client:
            for number in (2, 5, 13):
                client.ok("DELE %d" % number)
            self.assertTrue(client.quit().startswith(b"+OK"))
        shutil.rmtree(old.path)
        shutil.copytree(self.bed.maildrop(self.user), old.path)
        left = [u.split(" ")[1] for i, u in enumerate(uidls, 1) if i not in (2, 5, 13)]
        self.assertEqual([u.split(" ")[1] for u in old.show()[0]], left)
        self.assertEqual([u.split(" ")[1] for u in self.show()[0]], left)

    def test_a_damaged_line_costs_its_message_and_no_other(self):
        old = self.served()
        expected = old.show()
        lines = old.read_list().split(b"\n")
        lines[4] = b"#garbage"
        old.write_list(b"\n".join(lines))
        self.move_in(old.path)
        uidls = [u.split(" ")[1] for u in self.show()[0]]
        wanted = [u.split(" ")[1] for u in expected[0]]
        self.assertEqual(uidls[:-1], wanted[:3] + wanted[4:])
        self.assertNotIn(uidls[-1], wanted)
        event = self.bed.wait_event("maildir.list_damaged")
        self.assertEqual((event["file"], event["line"]), (LIST, "5"))

    def test_a_list_that_says_nothing_refuses_instead_of_renaming_all(self):
        self.bed.allow("maildrop.refused", "maildrop.open.failed")
        old = self.served()
        expected = old.show()
        good = old.read_list()
        old.write_list(b"\0" * 100)
        home = self.move_in(old.path)
        with self.bed.connect() as client:
            client.ok("USER " + self.user)
            self.assertEqual(code_of(client.cmd("PASS " + self.bed.password)), "SYS/TEMP")
        self.assertFalse(os.path.exists(os.path.join(home, "postern.index")))
        with open(os.path.join(home, LIST), "wb") as f:
            f.write(good)
        self.assertEqual(self.show(), expected)


class Courier(Case):
    """Its file as its documentation and its own output have it."""

    NAMES = ("1700000001.M5P1.h", "1700000001.M12P1.h", "1700000000.M1P1.h", "nonumber",
             "1700000002.with blank+'q'", "01700000001.\u00e9")

    def fill(self, head, record):
        """Every name but the last is in the list."""
        home = self.bed.maildrop(self.user)
        lines = [head] if head else []
        for number, name in enumerate(self.NAMES, 1):
            self.bed.deliver(mail(number), self.user, name=name + ":2,S", box="cur")
            if number < len(self.NAMES):
                lines.append(record % {"name": name + ":2,", "uid": number})
        path = os.path.join(home, "courierpop3dsizelist")
        with open(path, "wb") as f:
            f.write("".join(line + "\n" for line in lines).encode())
        if IS_ROOT:
            os.chown(path, self.bed.uid, self.bed.gid)

    def check(self, head, record, uidl):
        """In the order of the leading number, then of the octets, as signed ones."""
        self.fill(head, record)
        order = ("nonumber", "1700000000.M1P1.h", "01700000001.\u00e9", "1700000001.M12P1.h",
                 "1700000001.M5P1.h", "1700000002.with blank+'q'")
        expected = [uidl(self.NAMES.index(n) + 1, n) for n in order]
        for again in range(2):
            found = [u.split(" ")[1] for u in self.show()[0]]
            self.assertNotIn(found.pop(2), expected[:2] + expected[3:], "not in the list")
            self.assertEqual(found, expected[:2] + expected[3:], again)
            self.forget()

    def test_version_3(self):
        self.check("/3 9 1700000000", "%(name)s 30 %(uid)d:1700000000:0",
                   lambda uid, name: "UID%d-1700000000" % uid)

    def test_version_2(self):
        self.check("/2 9 1700000000", "%(name)s 30 %(uid)d:1690000000",
                   lambda uid, name: "UID%d-1690000000" % uid)

    def test_version_1(self):
        self.check("/1 9", "%(name)s 30 %(uid)d", lambda uid, name: "UID%d" % uid)

    def test_version_0(self):
        self.check("", "%(name)s 30", lambda uid, name: name.replace("+", "+2B").replace(
            " ", "+20").replace("'", "+27"))

    def test_number_0_is_the_name(self):
        self.check("/3 9 1700000000", "%(name)s 30 0:0:0", lambda uid, name: name.replace(
            "+", "+2B").replace(" ", "+20").replace("'", "+27"))

    def test_new_mail_has_the_next_number(self):
        self.fill("/3 9 1700000000", "%(name)s 30 %(uid)d:1700000000:0")
        before = self.show()[0]
        self.bed.deliver(mail(50), self.user, name="1700000009.M1P1.new")
        after = self.show()[0]
        self.assertEqual(after[:-1], before)
        self.assertEqual(after[-1], "%d UID10-1700000000" % len(after))


if __name__ == "__main__":
    unittest.main()
