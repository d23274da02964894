# SPDX-License-Identifier: MIT
"""What lies under a test bed's directory, and how it is made and put back.

    postern.conf  log  stderr  testbed.json      auth/   the users' database
    tls/NAME/     certificates and keys          mail/   maildrops (unless --location)
    ca/           the private CA                 run/    the server's runtime directory
    start/        what every maildrop held at start, for reset
    pg/           with --auth pgsql: PostgreSQL's data, sockets and log
"""
import os
import pwd
import shutil
import subprocess

from support import certs, conf, pam, postgres, users

SYSTEM_USERS = {"login": "postern-login", "keys": "postern-keys", "auth": "postern-auth",
                "mail": "vmail"}
BOXES = ("cur", "new", "tmp")


class Error(Exception):
    """Why the bed cannot be made."""


class Layout:
    def __init__(self, directory, build, options):
        self.dir, self.build, self.options = directory, build, options
        self.is_root = os.geteuid() == 0
        self.config = self.path("postern.conf")
        self.log = self.path("log")
        self.settings, self.ports = {}, {}
        self.maildrops = {}
        self.owner = (os.geteuid(), os.getegid())
        self.first_user = None
        self.postgres = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def check_reachable(self, fail):
        """As root the workers are other users: each folder above must let them through."""
        at = self.dir
        while self.is_root and at != "/":
            at = os.path.dirname(at)
            if not os.stat(at).st_mode & 0o001:
                fail("%s lets no other user through: as root, choose a --dir that the server's "
                     "own users can reach" % at, 2)

    def make(self, names, extra, ports):
        if self.is_root:
            make_system_users()
            self.owner = ids_of(SYSTEM_USERS["mail"])
            os.chmod(self.dir, 0o755)
        if self.options.auth == "pgsql":
            self._start_postgres()
        self._folder("run")
        self._make_tls()
        everybody = names + [name for name, _ in extra]
        self.first_user = everybody[0]
        self._make_mail(everybody)
        self._describe()
        self.set_ports(ports)
        self._folder("auth", "auth", 0o700)
        users.fill(self, names, extra)
        self._hand_over("auth", "auth")

    def _start_postgres(self):
        if not os.path.exists(os.path.join(self.build, "plugins.d", "pgsql.so")):
            raise Error("--auth pgsql: the plugin was not built (libpq-dev)")
        try:
            self.postgres = postgres.Postgres(self.path("pg")).create().start()
            with open(users.SCHEMA % "postgresql", encoding="utf-8") as f:
                self.postgres.make_database(f.read())
        except postgres.Error as e:
            raise Error("--auth pgsql: %s" % e) from e

    def environment(self):
        """What the server needs beside the tests' own."""
        return pam.environment(self.path("auth", "pam")) if self.options.auth == "pam" else {}

    def give_up(self):
        """Nothing that was started goes on."""
        if self.postgres:
            self.postgres.stop()

    def user_ids(self, worker):
        return ids_of(SYSTEM_USERS[worker]) if self.is_root else (os.geteuid(), os.getegid())

    def _folder(self, name, worker=None, mode=0o755):
        os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path(name), mode)
        if worker and self.is_root:
            os.chown(self.path(name), *self.user_ids(worker))

    def _hand_over(self, name, worker):
        if self.is_root:
            chown_tree(self.path(name), *self.user_ids(worker))

    # -- TLS ---------------------------------------------------------------------------------

    def _make_tls(self):
        self.ca = None
        if self.options.tls == "none":
            return
        self.ca = certs.make_ca(self.path("ca"))
        self._folder("tls", "keys", 0o700)
        for name in ["localhost", *self.options.sni]:
            alt = ["mail.example.test"] if name == "localhost" else []
            certs.issue(self.path("ca"), self.path("tls"), name, self.options.tls, alt)
        self._hand_over("tls", "keys")

    # -- Mail --------------------------------------------------------------------------------

    def maildrop_path(self, template, user):
        local, _, domain = user.rpartition("@") if "@" in user else (user, "", "")
        path = template.split(":", 1)[1]
        for name, value in (("user", user), ("local", local), ("domain", domain)):
            path = path.replace("%%{%s}" % name, value)
        return path

    def _make_mail(self, everybody):
        o = self.options
        place = "mbox" if o.storage == "mbox" else "Maildir"
        self.location = o.location or "%s:%s/%%{user}/%s" % (o.storage, self.path("mail"), place)
        if not self.location.startswith(o.storage + ":"):
            raise Error("--location %s: it begins with the storage plugin's name, %s:"
                        % (self.location, o.storage))
        self.maildrops = {u: self.maildrop_path(self.location, u) for u in everybody}
        os.makedirs(self.path("start"), exist_ok=True)
        if o.location:
            self._take_in_place()
            return
        self._folder("mail", "mail", 0o755)
        if o.storage == "mbox":
            self._make_mboxes()
            return
        if o.mail:
            copy_maildir(o.mail, self.path("start", "every"), self.owner)
        for path in self.maildrops.values():
            if os.path.isdir(path):
                continue  # the same name twice
            if o.mail:
                copy_maildir(self.path("start", "every"), path, self.owner)
            else:
                make_maildir(path, self.owner)
            if self.is_root:
                os.chown(os.path.dirname(path), *self.owner)

    def _make_mboxes(self):
        if self.options.mail:
            shutil.copyfile(self.options.mail, self.path("start", "every"))
        for path in self.maildrops.values():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if self.is_root:
                os.chown(os.path.dirname(path), *self.owner)
            if self.options.mail:
                copy_mbox(self.path("start", "every"), path, self.owner)

    def _take_in_place(self):
        """The tree's owner is the server's mail user; a tree of root's is given to vmail."""
        there = [p for p in self.maildrops.values() if os.path.exists(p)]
        if there:
            st = os.stat(there[0])
            if self.is_root and st.st_uid == 0:
                for path in there:
                    chown_tree(path, *self.owner)
            elif not self.is_root and st.st_uid != os.geteuid():
                raise Error("%s belongs to another user" % there[0])
            else:
                self.owner = (st.st_uid, st.st_gid)
        for number, (user, path) in enumerate(self.maildrops.items()):
            if os.path.isdir(path):
                copy_maildir(path, self.path("start", str(number)), None, link=True)
            elif os.path.exists(path):
                shutil.copyfile(path, self.path("start", str(number)))

    # -- The configuration -------------------------------------------------------------------

    def mail_user(self):
        """The name of the mail's owner, or its ids where the system has no name for it."""
        try:
            return pwd.getpwuid(self.owner[0]).pw_name
        except KeyError:
            return "%d:%d" % self.owner

    def _describe(self):
        o = self.options
        self.settings = {
            "server.plugin_dir": os.path.join(self.build, "plugins.d"),
            "server.runtime_dir": self.path("run"),
            "log.destination": self.log,
            "auth.backends": [o.auth],
            "mail.location": self.location,
            "storage.%s" % o.storage: {},
        }
        if o.auth == "passwdfile":
            self.settings["auth.passwdfile.file"] = self.path("auth", "users")
        elif o.auth == "pam":
            self.settings["auth.pam.state"] = "/tmp"
        elif self.postgres:
            self.settings["auth.pgsql.read"] = self.postgres.string()
        else:
            self.settings["auth.sqlite.database"] = self.path("auth", "users.db")
        if self.is_root:
            for worker, name in SYSTEM_USERS.items():
                self.settings["server.%s_user" % worker] = name
            self.settings["server.mail_user"] = self.mail_user()
        if self.ca:
            self.settings["tls.directory"] = self.path("tls")
            self.settings["tls.default_name"] = "localhost"
        if not o.policy:  # no guessing limit and no delay, so that tests need not wait
            self.settings["auth.failure_delay"] = "0s"
            self.settings["login.max_auth_failures"] = "1000"
        self._describe_policies(o.policy)

    def _describe_policies(self, policies):
        order = []
        for text in policies:
            name, _, pairs = text.partition(":")
            order.append(name)
            self.settings["policy." + name] = {}
            for pair in filter(None, pairs.split(",")):
                key, _, value = pair.partition("=")
                self.settings["policy.%s.%s" % (name, key)] = value
        if order:
            self.settings["policy.order"] = order

    def set_ports(self, ports):
        """Listeners on these ports; the configuration anew."""
        self.ports = ports
        conf.write(self.config, self.all_settings())

    def _listeners(self):
        o = self.options
        mode = "stls" if self.ca else "none"
        found = {"pop3": self._listener(self.ports["port"], mode, o.plaintext_login)}
        if self.ports["tls_port"]:
            found["pop3s"] = self._listener(self.ports["tls_port"], "implicit")
        if self.ports["strict_port"]:
            found["strict"] = self._listener(self.ports["strict_port"], mode, "no")
        return found

    @staticmethod
    def _listener(port, tls, plaintext_login=None):
        listener = {"address": "127.0.0.1", "port": str(port), "tls": tls}
        if plaintext_login:
            listener["plaintext_login"] = plaintext_login
        return listener

    def all_settings(self):
        settings = dict(self.settings)
        for name, listener in self._listeners().items():
            for key, value in listener.items():
                settings["listener.%s.%s" % (name, key)] = value
        for text in self.options.set:
            path, value = text.split("=", 1)
            settings[path] = value
        return settings


# ---- Users of the system, files ---------------------------------------------------------------

def make_system_users():
    helper = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "create-users")
    run = subprocess.run([helper], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Error("contrib/create-users: " + run.stderr.strip())


def ids_of(name):
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def chown_tree(top, uid, gid):
    os.chown(top, uid, gid)
    for at, folders, files in os.walk(top):
        for name in folders + files:
            os.chown(os.path.join(at, name), uid, gid, follow_symlinks=False)


def make_maildir(path, owner=None):
    os.makedirs(path, exist_ok=True)
    for box in BOXES:
        os.makedirs(os.path.join(path, box), exist_ok=True)
    if owner and os.geteuid() == 0:
        for name in ("", *BOXES):
            os.chown(os.path.join(path, name), *owner)


def copy_maildir(source, target, owner, link=False):
    """The messages of source in target: copies that owner owns, or hard links where that is enough
    (nobody writes into a message) and can be had."""
    make_maildir(target, owner)
    for box in ("cur", "new"):
        folder = os.path.join(source, box)
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            old, new = os.path.join(folder, name), os.path.join(target, box, name)
            if link:
                try:
                    os.link(old, new, follow_symlinks=False)
                    continue
                except OSError:  # another file system
                    pass
            shutil.copy2(old, new)
            if owner and os.geteuid() == 0:
                os.chown(new, *owner)


def copy_mbox(source, target, owner):
    """The file's octets; what the server made beside the old ones goes."""
    folder, name = os.path.split(target)
    for entry in os.listdir(folder):
        if entry.startswith(".%s.postern." % name):
            os.unlink(os.path.join(folder, entry))
    shutil.copyfile(source, target)
    os.chmod(target, 0o600)
    if os.geteuid() == 0:
        os.chown(target, *owner)


def reset(state):
    """Every maildrop as it was at start; what the server made beside the messages goes."""
    owner = tuple(int(x) for x in state["owner"].split(":"))
    start = os.path.join(state["dir"], "start")
    for number, path in enumerate(state["maildrops"].values()):
        source = os.path.join(start, str(number) if state["in_place"] else "every")
        if os.path.isfile(source):
            copy_mbox(source, path, owner)
            continue
        if os.path.isfile(path):  # an mbox that was not there
            os.unlink(path)
            continue
        if not os.path.isdir(path) and not os.path.isdir(source):
            continue
        empty_maildir(path)
        if os.path.isdir(source):
            copy_maildir(source, path, owner, link=state["in_place"])
        else:
            make_maildir(path, owner)


def empty_maildir(path):
    for entry in list(os.scandir(path)) if os.path.isdir(path) else ():
        if entry.name in BOXES and entry.is_dir(follow_symlinks=False):
            for inner in os.scandir(entry.path):
                os.unlink(inner.path)
        elif entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
