# SPDX-License-Identifier: MIT
"""The users of a bed in an SQLite database of the product's own schema.

A thousand users must not take a thousand runs of posternctl, nor as many argon2 hashes: each
password is hashed once, by posternctl, and the rows are then written here.
"""
import os
import sqlite3
import subprocess

SCHEMA = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "contrib", "schema",
                      "sqlite.sql")
PROBE = "hash.of.a.password@testbed.invalid"


def fill(bed, names, extra):
    """names all have bed.options.password; extra are (name, password)."""
    path = bed.path("auth", "users.db")
    with open(SCHEMA, encoding="utf-8") as f:
        schema = f.read()
    stored = {}
    with sqlite3.connect(path) as db:
        db.executescript(schema)
        db.commit()
        for name, password in [(n, bed.options.password) for n in names] + list(extra):
            if password not in stored:
                stored[password] = _stored_form(bed, db, password)
            _insert(db, name, stored[password])
    db.close()


def _insert(db, name, stored):
    local, at, domain = name.rpartition("@")
    if not at:
        local, domain = name, ""
    fold = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
    local, domain = local.translate(fold), domain.translate(fold)
    db.execute("INSERT OR IGNORE INTO domains (name) VALUES (?)", (domain,))
    db.execute("INSERT OR REPLACE INTO users (domain, local_part, password) VALUES (?, ?, ?)",
               (domain, local, stored))


def _stored_form(bed, db, password):
    """What posternctl stores for it."""
    scheme = bed.options.scheme.upper()
    if scheme == "PLAIN":
        return "{PLAIN}" + password
    from support import layout
    command = [os.path.join(bed.build, "posternctl"), "-c", bed.config, "user", "add",
               "--password-stdin", "--scheme", scheme, PROBE]
    db.commit()
    run = subprocess.run(command, input=password + "\n", capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        raise layout.Error("posternctl user add --scheme %s: %s" % (scheme, run.stderr.strip()))
    domain = PROBE.split("@")[1]
    (form,) = db.execute("SELECT password FROM users WHERE domain = ?", (domain,)).fetchone()
    db.execute("DELETE FROM users WHERE domain = ?", (domain,))
    db.execute("DELETE FROM domains WHERE name = ?", (domain,))
    return form
