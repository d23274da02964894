# SPDX-License-Identifier: MIT
"""From Dovecot or Courier to Postern and back: all clients keep what they fetched.

The real servers make the Maildirs, and show them again after Postern has served them for a while."""
import os
import re
import shutil
import subprocess
import time
import unittest

import oldservers
from bed import IS_ROOT, BedCase, eventually
from oldservers import mail, needs_courier, needs_dovecot, uidls_of


# Of one second, with and without microseconds, of other alphabets, and none of a delivery agent.
ODD_NAMES = ("1700000000.M5P1.h", "1700000000", "1700000000.12.h", "1700000000.~.h",
             "1700000000.\u00fctf8.h", "1700000000.V801I5f3M12.h", "1700000000.M99.h",
             "1700000000.a-b", "1700000000.a", "no-number", "01699999999.M1.h", "1700000000.xM5.h",
             "1700000000.aM9.h", "1700000000.M.h", "1700000000.h.M3", "1700000000.x,S=1x",
             "1700000000.M12P3.h", "1700000000.M5P1.h.b")


class Case(BedCase):
    options = ("--users", "60", "--set", "log.level=debug")
    next_user = 0

    def setUp(self):
        type(self).next_user += 1
        self.user = "user%d@example.test" % self.next_user

    def on_maildrop(self, kind, **settings):
        """The old server on the Maildir that Postern serves."""
        old = kind(self.bed.maildrop(self.user), self.bed.uid, self.bed.gid, **settings)
        self.addCleanup(old.remove)
        return old

    def show(self):
        with self.bed.login(self.user) as client:
            found = client.lines("UIDL"), client.lines("LIST")
            client.quit()
        return found

    def delete(self, *numbers):
        with self.bed.login(self.user) as client:
            for number in numbers:
                client.ok("DELE %d" % number)
            self.assertTrue(client.quit().startswith(b"+OK"))

    def forget(self):
        for name in os.listdir(self.bed.maildrop(self.user)):
            if name.startswith("postern."):
                os.unlink(os.path.join(self.bed.maildrop(self.user), name))

    def deliver(self, *names, octets=None):
        for name in names:
            self.bed.deliver(mail(len(name)) if octets is None else octets, self.user, name=name)

    def there_and_back(self, old):
        """Mail comes and goes in both places; in the end both show the same."""
        old.fill(5)
        first = old.show()
        self.assertEqual(self.show(), first)
        # Not in the order of their names, and one before all that are there.
        self.deliver("1800000002.M9P1.h", "1800000001.M7P1.h", "1600000000.M1P1.early",
                     "1800000001.M12P1.h", "1800000001.x'y+z \u00e9")
        shown = self.show()
        self.assertEqual(len(shown[0]), 10)
        self.assertEqual(old.show(), shown, "back, and nothing is new")
        self.assertEqual(self.show(), shown, "and here again")
        self.deliver("1900000000.M1P1.h")
        self.delete(2, 7)
        shown = self.show()
        self.assertEqual(len(shown[0]), 9)
        self.assertEqual(old.show(b"DELE 1\r\n"), shown)
        self.deliver("1900000001.M1P1.h")
        self.assertEqual(uidls_of(old.show()[0])[:-1], uidls_of(shown[0])[1:])
        last = self.show()
        self.assertEqual(uidls_of(last[0])[:-1], uidls_of(shown[0])[1:])
        self.assertEqual(old.show(), last)
        self.forget()
        self.assertEqual(self.show(), last, "without what Postern remembers")


@needs_dovecot
class Dovecot(Case):
    SETTINGS = ({}, {"pop3_uidl_format": "%f"}, {"pop3_uidl_format": "%v-%u"},
                {"pop3_uidl_format": "%g"}, {"pop3_uidl_format": "%u"},
                {"pop3_save_uidl": "yes"}, {"pop3_save_uidl": "yes", "pop3_uidl_format": "%f"},
                {"pop3_reuse_xuidl": "yes", "pop3_uidl_duplicates": "rename"})

    def test_there_and_back(self):
        for settings in self.SETTINGS:
            with self.subTest(**settings):
                self.setUp()
                text = settings.get("pop3_uidl_format", "%08Xu%08Xv")
                self.bed.renew({"storage.maildir.dovecot_uidl_format": text})
                old = self.on_maildrop(oldservers.Dovecot, **settings)
                self.there_and_back(old)
                self.assertEqual(old.log_text(), "")
        self.bed.renew({})

    def test_the_control_folder(self):
        control = os.path.join(self.bed.bed_dir, "mail", "control")
        for name in ("here", "%{user}", "%{domain}/%{local}"):
            with self.subTest(name):
                self.setUp()
                template = os.path.join(control, name)
                place = template
                for key, value in (("user", self.user), ("local", self.user.split("@")[0]),
                                   ("domain", self.user.split("@")[1])):
                    place = place.replace("%%{%s}" % key, value)
                os.makedirs(place)
                if IS_ROOT:
                    subprocess.run(["chown", "-R", "%d:%d" % (self.bed.uid, self.bed.gid), control],
                                   check=True)
                self.bed.renew({"storage.maildir.dovecot_control": template})
                old = self.on_maildrop(oldservers.Dovecot)
                old.configure(mail_location="maildir:%s:CONTROL=%s:INDEX=%s/index" % (
                    old.path, place, old.home))
                self.there_and_back(old)
                self.assertFalse(os.path.exists(old.list_path()), "in the Maildir")
                self.assertTrue(os.path.exists(place + "/.INBOX/dovecot-uidlist"))
        self.bed.renew({})

    def test_new_mail_is_numbered_as_dovecot_numbers(self):
        """The same names, once numbered by the one and once by the other."""
        for number, name in enumerate(ODD_NAMES):
            self.deliver(name, octets=mail(number))
        fresh = oldservers.Dovecot()
        self.addCleanup(fresh.remove)
        old = self.on_maildrop(oldservers.Dovecot)
        shutil.rmtree(fresh.path)
        shutil.copytree(old.path, fresh.path)
        fresh.show()
        old.write_list(re.sub(rb"N\d+", b"N1", fresh.read_list().split(b"\n")[0]) + b"\n")
        shown = self.show()
        self.assertEqual(len(shown[0]), len(ODD_NAMES))
        self.assertEqual(self.numbers(old), self.numbers(fresh))
        self.assertEqual(old.show(), shown)

    @staticmethod
    def numbers(old):
        found = {}
        for line in old.read_list().split(b"\n")[1:-1]:
            found[line.split(b":", 1)[1].split(b":")[0]] = int(line.split(b" ")[0])
        return found

    def test_a_file_that_comes_back_is_what_dovecot_says(self):
        old = self.on_maildrop(oldservers.Dovecot)
        old.fill(3)
        first = uidls_of(old.show()[0])
        box = os.path.join(old.path, "cur")
        name = sorted(os.listdir(box))[1]
        os.rename(os.path.join(box, name), os.path.join(old.home, "aside"))
        old.show()  # it notices
        os.rename(os.path.join(old.home, "aside"), os.path.join(box, name))
        expected = old.show()
        self.assertNotIn(first[1], uidls_of(expected[0]))
        self.assertEqual(self.show(), expected)

    def test_odd_flags_and_other_lists(self):
        old = self.on_maildrop(oldservers.Dovecot)
        for number, name in enumerate(("1700000001.a:2,ST", "1700000002.b:2,S,extra",
                                       "1700000003.c:2,abS", "1700000004.d:2,")):
            old.put(name, mail(number), box="cur")
        expected = old.show()
        old.put("../courierimapuiddb", b"1 99 100\n50 1700000001.a\n")
        old.put("../courierpop3dsizelist", b"/3 9 77\n1700000001.a:2, 5 8:77:0\n")
        self.assertEqual(self.show(), expected)
        self.deliver("1900000000.M1P1.h")
        shown = self.show()
        self.assertEqual(old.show(), shown)
        with open(old.path + "/courierpop3dsizelist", "rb") as f:
            self.assertEqual(f.read().count(b"\n"), 2, "of two lists the one that counts")

    def test_a_damaged_list_is_whole_after_a_way_back(self):
        old = self.on_maildrop(oldservers.Dovecot)
        old.fill(6)
        expected = uidls_of(old.show()[0])
        lines = old.read_list().split(b"\n")
        lines[3] = lines[3][:9] + b"\n" + lines[3][9:]  # a UIDL with a line break was saved
        old.write_list(b"\n".join(lines))
        shown = self.show()
        uidls = uidls_of(shown[0])
        self.assertEqual(uidls[:-1], expected[:2] + expected[3:])
        self.assertEqual(old.show(), shown)
        self.assertEqual(old.show(), shown)
        self.assertEqual(old.log_text(), "")

    def test_equal_uidls_of_the_list_come_back_as_shown(self):
        old = self.on_maildrop(oldservers.Dovecot, pop3_save_uidl="yes")
        old.fill(3)
        old.show()
        lines = [line.replace(line.split(b" P")[1].split(b" ")[0], b"same") if b" P" in line
                 else line for line in old.read_list().split(b"\n")]
        old.write_list(b"\n".join(lines))
        shown = self.show()
        self.assertEqual(uidls_of(shown[0])[0], "same")
        self.assertEqual(len(set(uidls_of(shown[0]))), 3)
        self.assertEqual(old.show(), shown)

    def test_off_it_only_reads(self):
        self.bed.renew({"storage.maildir.old_server_write": "no"})
        old = self.on_maildrop(oldservers.Dovecot)
        old.fill(3)
        old.show()
        self.deliver("1900000000.M1P1.h")
        before = old.read_list()
        self.assertEqual(uidls_of(self.show()[0])[-1], "1900000000.M1P1.h")
        self.assertEqual(old.read_list(), before)
        self.bed.renew({})
        self.deliver("1900000001.M1P1.h")  # and on again: what was shown is told, too
        shown = self.show()
        self.assertEqual(uidls_of(shown[0])[-2], "1900000000.M1P1.h")
        self.assertEqual(old.show(), shown)

    def test_lines_of_mail_that_is_gone_are_left_out_in_the_end(self):
        old = self.on_maildrop(oldservers.Dovecot)
        old.fill(3)
        old.show()
        with open(old.list_path(), "ab") as f:
            f.write(b"".join(b"%d Xkept :1500000000.gone%d\n" % (n, n) for n in range(10, 400)))
        self.deliver("1900000000.M1P1.h")
        # Nothing moves there for longer than time stamps are coarse: then what is not seen is gone.
        self.assertTrue(eventually(lambda: time.time() - 2.1 > max(
            os.stat(os.path.join(old.path, name)).st_ctime for name in ("new", "cur"))))
        shown = self.show()
        self.assertEqual(uidls_of(shown[0])[-1][:8], "%08x" % 400)
        self.assertLess(old.read_list().count(b"\n"), 6)
        self.assertEqual(old.show(), shown)


@needs_courier
class Courier(Case):
    def test_the_order_of_odd_names(self):
        old = self.on_maildrop(oldservers.Courier)
        for number, name in enumerate(ODD_NAMES):
            self.deliver(name, octets=mail(number))
        self.assertEqual(old.show(), self.show(), "a list is made, and taken over")
        for round_ in range(2):
            for number, name in enumerate(ODD_NAMES):
                self.deliver(name.replace("17", "18", 1) + str(round_), octets=mail(number))
            shown = self.show()
            self.assertEqual(len(shown[0]), (round_ + 2) * len(ODD_NAMES))
            self.assertEqual(old.show(), shown)

    def test_there_and_back(self):
        self.there_and_back(self.on_maildrop(oldservers.Courier))

    def test_what_is_written_is_what_courier_would_write(self):
        """Sizes and the utf8 field too, octet by octet."""
        zoo = (b"", b"Subject: a\n\nx", b"Subject: a\r\n\r\nx\r\n", b"Subject: \xc3\xa4\n\nx\n",
               b"Subject: a\n\n\xc3\xa4\n", b"Subject: a\r\n\r\n\xc3\xa4\r\n", b"\n\xc3\xa4\n",
               b"Subject: a\n", b"x" * 70000 + b"\n\n\xff", b"a: b\n c\n\n" + b"d\n" * 9000)
        old = self.on_maildrop(oldservers.Courier)
        old.fill(2)
        old.show()
        for number, octets in enumerate(zoo):
            self.deliver("18000000%02d.M1P1.h" % number, octets=octets)
        shown = self.show()
        written = old.read_list().split(b"\n")
        self.assertEqual(uidls_of(old.show()[0]), uidls_of(shown[0]))
        # Courier believes what it reads there; without it, it measures.
        old.write_list(b"\n".join(line for line in written if not line.startswith(b"18")))
        old.show()
        measured = {line.split(b" ")[0]: line for line in old.read_list().split(b"\n") if line}
        for line in written:
            if line.startswith(b"18"):
                name, size, numbers = line.split(b" ")
                as_measured = measured[name].split(b" ")
                self.assertEqual(size, as_measured[1], line)
                self.assertEqual(numbers.split(b":")[2], as_measured[2].split(b":")[2], line)

    def test_older_versions_become_one_that_courier_reads(self):
        record = {0: "%s 35", 1: "%s 35 %d", 2: "%s 35 %d:1690000000"}
        head = {0: "", 1: "/1 9\n", 2: "/2 9 1690000000\n"}
        for version, form in record.items():
            with self.subTest(version):
                self.setUp()
                old = self.on_maildrop(oldservers.Courier)
                names = ["17000000%02d.M1P1.h" % n for n in range(1, 5)]
                self.deliver(*names)
                lines = [form % ((name, n) if version else name)  # without flags: it ignores it
                         for n, name in enumerate(names, 1)]
                old.write_list((head[version] + "\n".join(lines) + "\n").encode())
                before = self.show()
                self.deliver("1800000000.M1P1.h")
                shown = self.show()
                self.assertEqual(shown[0][:-1], before[0])
                self.assertEqual(old.show(), shown)

    def test_what_was_shown_by_its_name_is_told_by_its_name(self):
        self.bed.renew({"storage.maildir.old_server_write": "no"})
        old = self.on_maildrop(oldservers.Courier)
        old.fill(3)
        old.show()
        self.deliver("1900000000.M1P1.h")
        self.show()
        self.bed.renew({})
        self.deliver("1900000001.M1P1.h")
        shown = self.show()
        self.assertEqual(uidls_of(shown[0])[-2], "1900000000.M1P1.h")
        self.assertEqual(old.show(), shown)

    def test_broken_lines_cost_nobody_else(self):
        old = self.on_maildrop(oldservers.Courier)
        old.fill(4)
        expected = uidls_of(old.show()[0])
        lines = old.read_list().split(b"\n")
        lines[2] = b"garbage"
        old.write_list(b"\n".join(lines))
        shown = self.show()
        uidls = uidls_of(shown[0])
        self.assertEqual([u for u in uidls if u in expected], [expected[0], *expected[2:]])
        self.assertEqual(old.show(), shown)


@needs_dovecot
@needs_courier
class Both(Case):
    def test_from_courier_over_postern_to_dovecot(self):
        """A list of Dovecot's that its converter would make."""
        courier = self.on_maildrop(oldservers.Courier)
        courier.fill(4)
        courier.show()
        lines = courier.read_list().decode().split("\n")
        validity = lines[0].split(" ")[2]
        records = ["%d PUID%s-%s :%s" % (n, line.split(" ")[2].split(":")[0], validity,
                                         line.split(":2,")[0])
                   for n, line in enumerate(lines[1:-1], 1)]
        dovecot = self.on_maildrop(oldservers.Dovecot)
        dovecot.write_list("\n".join(["3 V7 N5", *records, ""]).encode())
        self.deliver("1900000000.M1P1.h")
        shown = self.show()
        self.assertTrue(uidls_of(shown[0])[0].startswith("UID"))
        self.assertEqual(dovecot.show(), shown)


if __name__ == "__main__":
    unittest.main()
