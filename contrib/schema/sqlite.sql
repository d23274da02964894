-- SPDX-License-Identifier: MIT
-- Domains and users of a Postern server, for SQLite 3.34 and later:
--
--     sqlite3 /var/lib/postern/users.db < sqlite.sql
--
-- `posternctl user add` makes a database that is not there with this text. contrib/schema/README.md
-- says what the columns mean and how to use tables of your own instead.

-- Readers do not wait for a writer, nor a writer for readers.
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;

BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS domains (
	name TEXT NOT NULL PRIMARY KEY  -- lower case; '' holds the users without a domain
		CHECK (name = lower(name)),
	enabled INTEGER NOT NULL DEFAULT 1  -- 0: none of its users may log in
		CHECK (enabled IN (0, 1)),
	reason TEXT,  -- why it is disabled, for the log
	created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP  -- UTC
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS users (
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE,
	local_part TEXT NOT NULL  -- before the '@', lower case
		CHECK (local_part = lower(local_part) AND local_part <> ''),
	password TEXT,  -- '{SCHEME}…', as posternctl stores it; NULL: cannot log in
	enabled INTEGER NOT NULL DEFAULT 1
		CHECK (enabled IN (0, 1)),
	reason TEXT,  -- why the user is disabled, for the log
	maildrop TEXT,  -- as mail.location, which counts where this is NULL
	uid INTEGER CHECK (uid BETWEEN 1 AND 4294967294),  -- for mail.run_as = "user"
	gid INTEGER CHECK (gid BETWEEN 1 AND 4294967294),
	created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,  -- UTC
	PRIMARY KEY (domain, local_part)
) WITHOUT ROWID;

PRAGMA user_version = 1;  -- of this schema

COMMIT;
