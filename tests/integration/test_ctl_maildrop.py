# SPDX-License-Identifier: MIT
"""posternctl on maildrops: as their owner, many at once, and what one of them may do to the others."""
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import zoo
from bed import IS_ROOT, SANITIZED, WAIT, Bed, BedCase, eventually, needs_root
from support import conf, layout, processes

MANY = 1000 if not SANITIZED else 100
DAY = 86400


class CtlCase(BedCase):
    """Each test begins with empty maildrops, and leaves the users as they were."""

    def setUp(self):
        for user in self.bed.maildrops:
            self.bed.clear(user)

    def ctl(self, *args, status=0, sets=()):
        words = [w for s in sets for w in ("-s", s)]
        run = self.bed.ctl(*words, *args)
        self.assertEqual(run.returncode, status, "%r: %s%s" % (args, run.stdout, run.stderr))
        return run.stdout + run.stderr

    def start(self, *args):
        """posternctl, while it works."""
        run = subprocess.Popen([os.path.join(self.bed.build, "posternctl"), "-c",
                                self.bed.ctl_config, *args], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)

        def end():
            if run.poll() is None:
                run.kill()
            run.communicate()
        self.addCleanup(end)
        return run

    def finish(self, run):
        out, err = run.communicate(timeout=WAIT * 3)
        return run.returncode, out + err

    def listing(self, user):
        """UIDL and octets by POP3."""
        with self.bed.login(user) as c:
            uidls = [line.split(" ")[1] for line in c.lines("UIDL")]
            sizes = [int(line.split(" ")[1]) for line in c.lines("LIST")]
            c.quit()
        return list(zip(uidls, sizes))

    def contents(self, user):
        with self.bed.login(user) as c:
            count = c.stat()[0]
            found = [c.multi("RETR %d" % i) for i in range(1, count + 1)]
            c.quit()
        return found

    def index(self, user):
        return os.path.join(self.bed.maildrop(user), "postern.index")

    def is_owners(self, path):
        st = os.stat(path)
        return (st.st_uid, st.st_gid) == (self.bed.uid, self.bed.gid)

    def worker_of(self, run):
        """The worker that tries to open a maildrop in use."""
        found = eventually(lambda: [p for p in processes.children(run.pid) if sleeps(p)])
        self.assertTrue(found, "no worker waits")
        return found[0]

    def users(self, count):
        return ["user%d@example.test" % i for i in range(1, count + 1)]


class Many(CtlCase):
    options = ("--users", str(MANY))

    def test_all_maildrops_are_indexed_as_their_owner(self):
        some = self.users(20)
        for user in some:
            self.bed.deliver(b"Subject: x\n\nyz\n", user)
        said = self.ctl("maildrop", "index", "--all", "--jobs", "4")
        self.assertEqual(said, "%d maildrops, 20 messages, %d octets\n"
                         % (MANY, 20 * len(zoo.wire(b"Subject: x\n\nyz\n"))))
        for user in some:
            self.assertTrue(self.is_owners(self.index(user)), user)
        before = os.stat(self.index(some[0])).st_mtime_ns
        begun = time.monotonic()
        self.ctl("maildrop", "index", "--domain", "EXAMPLE.test")
        self.assertLess(time.monotonic() - begun, WAIT)
        self.ctl("maildrop", "index", "--domain", "elsewhere.test")
        self.assertEqual(self.listing(some[0])[0][1], len(zoo.wire(b"Subject: x\n\nyz\n")))
        self.assertGreaterEqual(os.stat(self.index(some[0])).st_mtime_ns, before)

    def test_a_list_of_names_in_a_file(self):
        path = os.path.join(self.bed.home, "names")
        with open(path, "w", encoding="ascii") as f:
            f.write("# two\nuser7@example.test\n\nuser9@example.test  \n")
        self.assertIn("2 maildrops", self.ctl("maildrop", "index", "--from", path))
        self.ctl("maildrop", "index", "--from", path + ".none", status=1)

    def test_an_interrupt_ends_it_after_what_is_in_hand(self):
        with self.bed.login("user3@example.test"):
            run = self.start("maildrop", "index", "user3@example.test", "--wait", "3000")
            self.worker_of(run)
            run.send_signal(signal.SIGINT)
            self.assertFalse(eventually(lambda: run.poll() is not None, 0.5))
            run.send_signal(signal.SIGINT)
            status, said = self.finish(run)
        self.assertEqual(status, 1, said)
        self.assertIn("once more: at once", said)
        self.assertFalse(processes.children(run.pid))


def sleeps(pid):
    """Between two attempts at a lock."""
    try:
        with open("/proc/%d/syscall" % pid, encoding="ascii") as f:
            return f.read().split()[0] in ("35", "230")  # nanosleep, clock_nanosleep
    except OSError:
        return False


class One(CtlCase):
    options = ("--users", "6", "--set", "storage.mbox.lock_timeout=5s")
    allowed = ("worker.died",)

    # -- whom and how ------------------------------------------------------------------------

    def test_words_that_make_no_sense(self):
        for words in (("index",), ("index", "--all", "user1@example.test"), ("show",),
                      ("show", "user1@example.test", "user2@example.test"), ("index", "--jobs"),
                      ("convert", "user1@example.test"), ("index", "--all", "--domain", "x")):
            with self.subTest(words):
                self.assertIn("usage", self.ctl("maildrop", *words, status=2))
        self.ctl("maildrop", "index", "--all", "--jobs", "0", status=1)

    def test_an_unknown_user_costs_the_others_nothing(self):
        said = self.ctl("maildrop", "index", "nobody@example.test", "user1@example.test", status=1)
        self.assertIn("nobody@example.test: there is no such user", said)
        self.assertIn("1 maildrops", said)

    def test_a_disabled_user_has_mail_all_the_same(self):
        user = "user6@example.test"
        self.bed.deliver(b"a\n", user)
        self.ctl("user", "disable", user)
        self.addCleanup(self.ctl, "user", "enable", user)
        self.assertIn("1 messages", self.ctl("maildrop", "index", user))
        self.assertIn("(disabled)", self.ctl("maildrop", "show", user))

    def test_a_maildrop_in_use_is_told_as_such_and_waited_for(self):
        user = "user1@example.test"
        with self.bed.login(user) as c:
            said = self.ctl("maildrop", "index", user, status=3)
            self.assertIn("user1@example.test: in use", said)
            self.assertIn("a session has it", self.ctl("maildrop", "show", user, status=3))
            run = self.start("maildrop", "index", user, "--wait", "60")
            self.worker_of(run)
            c.quit()
        status, said = self.finish(run)
        self.assertEqual(status, 0, said)

    def test_a_crash_costs_one_user(self):
        user = "user1@example.test"
        with self.bed.login(user):
            run = self.start("maildrop", "index", "--all", "--wait", "60")
            os.kill(self.worker_of(run), signal.SIGSEGV)
            status, said = self.finish(run)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"user1@example.test: the work on it (crashed: signal|ended)")
        self.assertIn("5 maildrops", said)

    def test_a_hang_costs_one_user(self):
        user = "user1@example.test"
        with self.bed.login(user):
            run = self.start("maildrop", "index", "--all", "--wait", "3", "--limit", "1")
            pid = self.worker_of(run)
            os.kill(pid, signal.SIGSTOP)
            status, said = self.finish(run)
        self.assertEqual(status, 3, said)
        self.assertIn("user1@example.test: took longer than 1 seconds", said)
        self.assertIn("5 maildrops", said)
        self.assertFalse(os.path.exists("/proc/%d" % pid))

    @needs_root
    def test_workers_are_the_owner_and_know_no_database(self):
        secret = b"hunter2-is-no-password"
        path = os.path.join(self.bed.home, "secret.conf")
        conf.write(path, dict(self.bed.settings, **{"auth.pgsql.conninfo":
                                                    "password=" + secret.decode()}))
        with self.bed.login("user1@example.test"):
            run = subprocess.Popen([os.path.join(self.bed.build, "posternctl"), "-c", path,
                                    "maildrop", "index", "user1@example.test", "--wait", "60"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(run.communicate)
            self.addCleanup(run.kill)
            pid = self.worker_of(run)
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = f.read()
            self.assertIn("Uid:" + ("\t%d" % self.bed.uid) * 4, status)
            self.assertIn("Gid:" + ("\t%d" % self.bed.gid) * 4, status)
            self.assertEqual(re.search(r"Groups:\t(.*)", status).group(1).split(),
                             [str(self.bed.gid)])
            self.assertIn("NoNewPrivs:\t1", status)
            self.assertIn("CapPrm:\t0000000000000000", status)
            for who in (pid, run.pid):
                self.assertFalse(has_in_memory(who, secret), who)
            names = {os.readlink("/proc/%d/fd/%s" % (pid, fd))
                     for fd in os.listdir("/proc/%d/fd" % pid)}
            self.assertFalse([n for n in names if "users.db" in n], names)

    # -- show, uidl --------------------------------------------------------------------------

    def test_show_and_uidl_list_say_what_a_client_sees(self):
        user = "user2@example.test"
        for name, text in list(zoo.messages().items())[:12]:
            self.bed.deliver(text, user, name="1700000000.M1." + name)
        seen = self.listing(user)
        listed = [line.split("\t") for line in self.ctl("uidl", "list", user).splitlines()]
        self.assertEqual(listed, [[str(i + 1), u, str(s)] for i, (u, s) in enumerate(seen)])
        said = self.ctl("maildrop", "show", user)
        self.assertIn("maildir:" + self.bed.maildrop(user), said)
        self.assertRegex(said, r"messages +12\n")
        self.assertRegex(said, r"octets +%d\n" % sum(s for _, s in seen))
        self.assertIn("postern.index", said)
        self.assertIn("lock       free", said)
        self.assertIn("12 messages, of which 0 have another UIDL", self.ctl("uidl", "accept", user))
        self.assertEqual(self.listing(user), seen)

    # -- convert -----------------------------------------------------------------------------

    def fill(self, user):
        texts = list(zoo.messages().values())
        for path in zoo.corpus_files()[:200]:
            with open(path, "rb") as f:
                texts.append(f.read())
        texts += [b"Status: RO\nX-UID: 7\n\nFrom a Thu Nov  9 22:06:57 2023\n>From b\n",
                  b"From a Thu Nov  9 22:06:57 2023\nSubject: x\n\nFrom b\n",
                  b"X-Postern-Octets: 1 a\n\nb", b" folded\n\nx\n"]
        for number, text in enumerate(texts):
            box = "cur" if number % 3 == 0 else "new"
            name = "%d.M%dP1.test%s" % (1700000000 + number, number,
                                        ":2,S" if box == "cur" else "")
            self.bed.deliver(text, user, name=name, box=box)
            path = os.path.join(self.bed.maildrop(user), box, name)
            os.utime(path, (1500000000 + number, 1500000000 + number))
        return texts

    def test_there_and_back_again(self):
        user = "user3@example.test"
        texts = self.fill(user)
        home = os.path.dirname(self.bed.maildrop(user))
        box, back = os.path.join(home, "box"), os.path.join(home, "Back")
        listing, contents = self.listing(user), self.contents(user)
        self.assertEqual(len(listing), len(texts))
        names = self.bed.names(user)
        self.addCleanup(self.ctl, "user", "set", user, "--unset", "maildrop")
        said = self.ctl("maildrop", "convert", user, "--to", "mbox:" + box)
        self.assertIn("%d messages" % len(texts), said)
        self.assertIn("posternctl user set %s --maildrop mbox:%s" % (user, box), said)
        self.assertEqual(self.listing(user), listing)  # not switched
        self.assertTrue(self.is_owners(box))
        os.unlink(box)
        self.ctl("maildrop", "convert", user, "--switch", "--to", "mbox:" + box)
        self.assertEqual(self.listing(user), listing)
        self.assertEqual(self.contents(user), contents)
        self.assertIn("mbox:" + box, self.ctl("maildrop", "show", user))
        self.assertEqual(self.bed.names(user), names)  # the source is as it was
        self.ctl("maildrop", "convert", user, "--switch", "--to", "maildir:" + back)
        shutil.rmtree(os.path.join(home, "Maildir"))
        self.assertEqual(self.listing(user), listing)
        self.assertEqual(self.contents(user), contents)
        for number in range(len(texts)):
            place = "cur" if number % 3 == 0 else "new"
            name = "%d.M%dP1.test%s" % (1700000000 + number, number,
                                        ":2,S" if place == "cur" else "")
            st = os.stat(os.path.join(back, place, name))
            self.assertEqual(int(st.st_mtime), 1500000000 + number, name)
        for name in ("postern.index", "postern.index.spare"):
            if os.path.exists(os.path.join(back, name)):
                os.unlink(os.path.join(back, name))
        self.assertEqual(self.listing(user), listing)
        layout.make_maildir(os.path.join(home, "Maildir"),
                            (self.bed.uid, self.bed.gid) if IS_ROOT else None)

    def test_what_is_not_converted(self):
        user = "user4@example.test"
        self.bed.deliver(b"Subject: x\n\ny\n", user)
        home = os.path.dirname(self.bed.maildrop(user))
        other = self.bed.maildrop("user5@example.test")
        self.bed.deliver(b"Subject: other\n\ny\n", "user5@example.test")
        before = self.bed.names("user5@example.test")
        for to, word in (("maildir:" + self.bed.maildrop(user), "already"),
                         ("maildir:" + other, "there is mail in"),
                         ("nothing:/tmp/x", "nothing"),
                         ("mbox:relative", "absolute"), ("mbox:/tmp/%{user}", "absolute"),
                         ("mbox:%s/none/box" % home, "none")):
            with self.subTest(to):
                run = self.bed.ctl("maildrop", "convert", user, "--to", to)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(word, run.stderr)
        self.assertEqual(self.bed.names("user5@example.test"), before)
        with self.bed.login(user):
            self.ctl("maildrop", "convert", user, "--to", "mbox:%s/box" % home, status=3)
        self.assertFalse(os.path.exists(home + "/box"))

    # -- expire ------------------------------------------------------------------------------

    def test_old_mail_goes_and_can_be_held(self):
        user = "user5@example.test"
        now = time.time()
        for days in (1, 29, 31, 400):
            name = self.bed.deliver(b"Subject: %d days\n\nx\n" % days, user)
            os.utime(os.path.join(self.bed.maildrop(user), "new", name),
                     (now - days * DAY, now - days * DAY))
        listing = self.listing(user)
        said = self.ctl("maildrop", "expire", "--all")
        self.assertIn("0 messages", said)
        said = self.ctl("maildrop", "expire", "--all", "--days", "30", "--dry-run")
        self.assertIn("2 messages, %d octets would be removed" % sum(s for _, s in listing[2:]),
                      said)
        self.assertEqual(self.listing(user), listing)
        self.ctl("maildrop", "expire", user, "--days", "30", sets=("mail.hold_days=7",))
        self.assertEqual(self.listing(user), listing[:2])
        self.ctl("undelete", user)
        self.assertEqual(self.listing(user), listing)
        said = self.ctl("maildrop", "expire", "--all", sets=("mail.expire_days=30",))
        self.assertIn("2 messages", said)
        self.assertEqual(self.listing(user), listing[:2])

    # -- watch -------------------------------------------------------------------------------

    def test_mail_that_comes_is_indexed_and_new_users_are_found(self):
        user = "user2@example.test"
        self.bed.deliver(b"one\n", user)
        run = self.start("maildrop", "watch", "--all", "--delay", "1", "--refresh", "1")
        self.assertIn("watching 6 maildrops", run.stdout.readline())
        self.assertTrue(eventually(lambda: os.path.exists(self.index(user))))
        size = os.stat(self.index(user)).st_size
        self.bed.deliver(b"two\n" * 50, user)
        self.assertTrue(eventually(lambda: os.stat(self.index(user)).st_size > size))
        self.bed.ctl("user", "add", "late@example.test", "--password-stdin", text="secret\n",
                     check=True)
        self.addCleanup(self.bed.ctl, "user", "delete", "late@example.test")
        self.assertIn("watching 7 maildrops", run.stdout.readline())
        # It appears as a whole: what is watched is worked on at once.
        mail = os.path.join(self.bed.bed_dir, "mail")
        made, home = os.path.join(mail, "late-is-made"), os.path.join(mail, "late@example.test")
        layout.make_maildir(os.path.join(made, "Maildir"),
                            (self.bed.uid, self.bed.gid) if IS_ROOT else None)
        if IS_ROOT:
            layout.chown_tree(made, self.bed.uid, self.bed.gid)
        os.rename(made, home)
        place = os.path.join(home, "Maildir")
        self.assertTrue(eventually(lambda: os.path.exists(os.path.join(place, "postern.index"))))
        run.send_signal(signal.SIGTERM)
        status, said = self.finish(run)
        self.assertEqual(status, 0, said)


def has_in_memory(pid, octets):
    with open("/proc/%d/maps" % pid, encoding="ascii") as maps, \
            open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            if end - begin > 1 << 30:  # a sanitizer's shadow
                continue
            try:
                memory.seek(begin)
                if octets in memory.read(end - begin):
                    return True
            except OSError:
                continue
    return False


class NotServed(CtlCase):
    options = ("--users", "1")

    def test_nobody_is_switched_to_what_the_server_does_not_load(self):
        user = "user1@example.test"
        self.bed.deliver(b"Subject: x\n\n", user)
        before = self.listing(user)
        box = os.path.join(os.path.dirname(self.bed.maildrop(user)), "box")
        run = self.bed.ctl("maildrop", "convert", user, "--switch", "--to", "mbox:" + box)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertIn("storage: { mbox: { }; };", run.stdout)
        self.assertIn("is served from where it was", run.stderr)
        self.assertEqual(self.listing(user), before)


@needs_root
class AsUsers(CtlCase):
    """mail.run_as = "user": each maildrop by its own owner."""
    options = ("--users", "1", "--set", "mail.run_as=user", "--set", "mail.first_uid=61000")
    FIRST = 61000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number in range(4):
            name, uid = "owner%d@example.test" % number, cls.FIRST + number
            place = os.path.join(cls.bed.bed_dir, "mail", name, "Maildir")
            cls.bed.ctl("user", "add", "--password-stdin", "--uid", str(uid), "--gid", str(uid),
                        name, text="secret\n", check=True)
            layout.make_maildir(place, (uid, uid))
            os.chown(os.path.dirname(place), uid, uid)
            os.chmod(os.path.dirname(place), 0o700)
            cls.bed.maildrops[name] = place

    def deliver(self, number, text):
        user = "owner%d@example.test" % number
        name = self.bed.deliver(text, user)
        os.chown(os.path.join(self.bed.maildrop(user), "new", name), self.FIRST + number,
                 self.FIRST + number)

    def test_each_is_indexed_and_converted_by_its_owner(self):
        for number in range(4):
            self.deliver(number, b"Subject: %d\n\nx\n" % number)
        users = ["owner%d@example.test" % n for n in range(4)]
        self.assertIn("4 maildrops, 4 messages", self.ctl("maildrop", "index", *users, "--jobs",
                                                          "2"))
        for number, user in enumerate(users):
            st = os.stat(self.index(user))
            self.assertEqual((st.st_uid, st.st_gid), (self.FIRST + number,) * 2)
        box = os.path.join(os.path.dirname(self.bed.maildrop(users[2])), "box")
        self.ctl("maildrop", "convert", users[2], "--to", "mbox:" + box)
        self.assertEqual(os.stat(box).st_uid, self.FIRST + 2)
        self.assertEqual(os.stat(box).st_mode & 0o777, 0o600)
        run = self.bed.ctl("maildrop", "convert", users[2], "--to",
                           "mbox:%s/stolen" % os.path.dirname(self.bed.maildrop(users[1])))
        self.assertEqual(run.returncode, 1)
        self.assertIn("Permission denied", run.stderr)

    def test_a_user_without_an_id_is_refused(self):
        said = self.ctl("maildrop", "index", "user1@example.test", status=1)
        self.assertIn("below mail.first_uid", said)


if __name__ == "__main__":
    unittest.main()
