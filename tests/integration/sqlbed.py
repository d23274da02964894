# SPDX-License-Identifier: MIT
"""Beds whose users are in an SQL database, and the same words for SQLite and PostgreSQL.

A class of tests is written once, without a database; both() makes a class for each of them.
"""
import os
import sqlite3
import unittest

from bed import IS_ROOT, BedCase, b64, code_of, to_octets
from support import postgres

HAS_POSTGRES = postgres.find_programs() is not None

# What stands for itself in SQL, in libpq, in our own queries and in C.
NASTY = ["o'hara", 'two"quotes', "semi;colon--", "back\\slash\\'", "$1", ":user", "%s%n", "a$$b$$c",
         "null", "x' or '1'='1", "'; drop table users; --", "tab\\t", "?1", "ünïcödé", "日本語", "🐘"]


class SqlCase(BedCase):
    def outcome(self, user, password="secret", **how):
        """"OK", or the code of the refusal. PLAIN takes spaces, which USER does not."""
        with self.bed.connect(**how) as client:
            answer = client.cmd(b"AUTH PLAIN " + b64(
                b"\0%s\0%s" % (to_octets(user), to_octets(password))))
            if not answer.startswith(b"+OK"):
                return code_of(answer)
            client.quit()
            return "OK"

    def ctl(self, *args, text=None, status=0):
        run = self.bed.ctl("user", *args, text=text)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def sql(self, text, *values):
        """Runs it, each ? a value; the rows of its answer as lists of texts, "" for NULL."""
        raise NotImplementedError

    def make(self, name, script):
        """A database with that script's tables; the settings with which the server reads it."""
        raise NotImplementedError


class OnSqlite(SqlCase):
    plugin = "sqlite"
    base_options = ()

    def sql(self, text, *values):
        with sqlite3.connect(os.path.join(self.bed.dir, "auth", "users.db"), timeout=10) as db:
            db.execute("PRAGMA foreign_keys = ON")
            rows = db.execute(text, values).fetchall()
        db.close()
        return [["" if v is None else str(v) for v in row] for row in rows]

    def make(self, name, script):
        path = os.path.join(self.bed.dir, "auth", name + ".db")
        with sqlite3.connect(path) as db:
            db.executescript(script)
        db.close()
        if IS_ROOT:
            folder = os.stat(os.path.dirname(path))
            os.chown(path, folder.st_uid, folder.st_gid)
        return {"auth.sqlite.database": path}


class OnPgsql(SqlCase):
    plugin = "pgsql"
    base_options = ("--auth", "pgsql")

    def sql(self, text, *values):
        return [row or [""] for row in self.bed.postgres.sql(text, *values)]  # NULL alone

    def make(self, name, script):
        pg = self.bed.postgres
        pg.sql("CREATE DATABASE %s OWNER %s" % (name, postgres.OWNER), name="postgres")
        pg.script(script, user=postgres.OWNER, name=name)
        return {"auth.pgsql.read": pg.string(name=name)}


def both(tests):
    """The classes NameOnSqlite and NameOnPgsql for tests, into its module's namespace (a dict)."""
    found = {}
    for place in (OnSqlite, OnPgsql):
        name = tests.__name__ + place.__name__
        made = type(name, (tests, place), {
            "__doc__": tests.__doc__, "__module__": tests.__module__,
            "options": (*place.base_options, *tests.options)})
        if place is OnPgsql:
            made = unittest.skipUnless(HAS_POSTGRES, "PostgreSQL's server is not installed")(made)
        found[name] = made
    return found
