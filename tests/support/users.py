# SPDX-License-Identifier: MIT
"""The users of a bed in a database of the product's own schema.

A thousand users must not take a thousand runs of posternctl, nor as many argon2 hashes: each
password is hashed once, by posternctl, and the rows are then written here.
"""
import contextlib
import os
import sqlite3
import subprocess

from support import pam, postgres

SCHEMA = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "contrib", "schema",
                      "%s.sql")
PROBE = "hash.of.a.password@testbed.invalid"
ADD_DOMAIN = "INSERT INTO domains (name) VALUES (?) ON CONFLICT DO NOTHING"
ADD_USER = ("INSERT INTO users (domain, local_part, password) VALUES (?, ?, ?) "
            "ON CONFLICT (domain, local_part) DO UPDATE SET password = excluded.password")


class Sqlite:
    def __init__(self, bed):
        self.db = sqlite3.connect(bed.path("auth", "users.db"))
        with open(SCHEMA % "sqlite", encoding="utf-8") as f:
            self.db.executescript(f.read())
        self.db.commit()

    def run(self, text, *values):
        return self.db.execute(text, values).fetchall()

    def close(self):
        self.settle()
        self.db.close()

    def settle(self):
        self.db.commit()


class Postgres:
    """The schema is there already. What gives no rows is written all at once."""

    def __init__(self, bed):
        self.db = bed.postgres
        self.waiting = []

    def run(self, text, *values):
        if text.startswith("SELECT"):
            return self.db.sql(text, *values)
        parts = text.split("?")
        values = [postgres.literal(v) for v in values] + [""]
        self.waiting.append("".join(p + v for p, v in zip(parts, values)) + ";\n")
        return []

    def close(self):
        self.settle()

    def settle(self):
        if self.waiting:
            self.db.script("BEGIN;\n%sCOMMIT;\n" % "".join(self.waiting), user="postern")
        self.waiting = []


def fill(bed, names, extra):
    """names all have bed.options.password; extra are (name, password)."""
    if bed.options.auth == "pam":
        pam.write(bed.path("auth", "pam"),
                  [(n, bed.options.password) for n in names] + list(extra))
        return
    stored = {}
    with contextlib.closing(Postgres(bed) if bed.postgres else Sqlite(bed)) as db:
        for name, password in [(n, bed.options.password) for n in names] + list(extra):
            if password not in stored:
                stored[password] = _stored_form(bed, db, password)
            _insert(db, name, stored[password])
    if bed.options.auth == "passwdfile":
        _write_file(bed)


def _write_file(bed):
    """The rows as lines, in the order of their names; the database was only for posternctl."""
    path = bed.path("auth", "users.db")
    db = sqlite3.connect(path)
    rows = db.execute("SELECT CASE domain WHEN '' THEN local_part ELSE local_part || '@' || domain "
                      "END, password FROM users ORDER BY 1").fetchall()
    db.close()
    os.unlink(path)
    with open(bed.path("auth", "users"), "w", encoding="utf-8") as f:
        f.writelines("%s:%s\n" % row for row in rows)


def _insert(db, name, stored):
    local, at, domain = name.rpartition("@")
    if not at:
        local, domain = name, ""
    fold = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
    local, domain = local.translate(fold), domain.translate(fold)
    db.run(ADD_DOMAIN, domain)
    db.run(ADD_USER, domain, local, stored)


def _stored_form(bed, db, password):
    """What posternctl stores for it."""
    scheme = bed.options.scheme.upper()
    if scheme == "PLAIN":
        return "{PLAIN}" + password
    from support import layout
    command = [os.path.join(bed.build, "posternctl"), "-c", bed.config,
               *(["-s", "auth.backends=sqlite",
                  "-s", "auth.sqlite.database=" + bed.path("auth", "users.db")]
                 if bed.options.auth == "passwdfile" else []), "user", "add",
               "--password-stdin", "--scheme", scheme, PROBE]
    db.settle()
    run = subprocess.run(command, input=password + "\n", capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        raise layout.Error("posternctl user add --scheme %s: %s" % (scheme, run.stderr.strip()))
    domain = PROBE.split("@")[1]
    ((form,),) = db.run("SELECT password FROM users WHERE domain = ?", domain)
    db.run("DELETE FROM users WHERE domain = ?", domain)
    db.run("DELETE FROM domains WHERE name = ?", domain)
    return form
