-- SPDX-License-Identifier: MIT
-- Domains and users of a Postern server, for SQLite 3.34 and later:
--
--     sqlite3 /var/lib/postern/users.db < sqlite.sql
--
-- `posternctl user add` makes a database that is not there with this text; `posternctl user upgrade`
-- brings one of an older version up to it. contrib/schema/README.md says what the columns mean and
-- how to use tables of your own instead. postgresql.sql has the same tables and columns.
--
-- Times are seconds since 1970. NULL means "not said": what the domain says counts, and where that is
-- NULL too, the server's setting.

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
	created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,  -- UTC
	-- For its users who do not say otherwise.
	pop3_enabled INTEGER CHECK (pop3_enabled IN (0, 1)),
	allow_nets TEXT,  -- '192.0.2.0/24, 2001:db8::/32': who may log in from where
	max_sessions INTEGER CHECK (max_sessions BETWEEN 1 AND 1000000),  -- of one user at a time
	min_poll INTEGER CHECK (min_poll BETWEEN 1 AND 604800),  -- seconds between two logins
	max_listed INTEGER CHECK (max_listed BETWEEN 1 AND 2147483647),  -- messages in a session
	min_tls TEXT CHECK (min_tls IN ('any', '1.2', '1.3')),
	maildrop TEXT,  -- as mail.location, which counts where this is NULL: with %{local}
	uid INTEGER CHECK (uid BETWEEN 1 AND 4294967294),  -- for mail.run_as = "user"
	gid INTEGER CHECK (gid BETWEEN 1 AND 4294967294),
	rehash TEXT CHECK (rehash IN ('off', 'report', 'on')),
	read_only INTEGER CHECK (read_only IN (0, 1)),  -- 1: nothing can be deleted by POP3
	expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500),  -- mail goes by itself; 0: never
	hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500)  -- what is deleted is kept; 0: not
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS users (
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE,
	local_part TEXT NOT NULL  -- before the '@', lower case
		CHECK (local_part = lower(local_part) AND local_part <> ''),
	password TEXT,  -- '{SCHEME}…', as posternctl stores it; NULL: app passwords only
	enabled INTEGER NOT NULL DEFAULT 1
		CHECK (enabled IN (0, 1)),
	reason TEXT,  -- why the user is disabled, for the log
	maildrop TEXT,  -- as mail.location
	uid INTEGER CHECK (uid BETWEEN 1 AND 4294967294),
	gid INTEGER CHECK (gid BETWEEN 1 AND 4294967294),
	created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,  -- UTC
	pop3_enabled INTEGER CHECK (pop3_enabled IN (0, 1)),
	allow_nets TEXT,
	max_sessions INTEGER CHECK (max_sessions BETWEEN 1 AND 1000000),
	min_poll INTEGER CHECK (min_poll BETWEEN 1 AND 604800),
	max_listed INTEGER CHECK (max_listed BETWEEN 1 AND 2147483647),
	min_tls TEXT CHECK (min_tls IN ('any', '1.2', '1.3')),
	home TEXT CHECK (home LIKE '/%'),  -- what %{home} in a location stands for
	rehash TEXT CHECK (rehash IN ('off', 'report', 'on')),
	read_only INTEGER CHECK (read_only IN (0, 1)),
	expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500),
	hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500),
	PRIMARY KEY (domain, local_part)
) WITHOUT ROWID;

-- Another name for a domain: alice@name logs in as alice@domain.
CREATE TABLE IF NOT EXISTS domain_aliases (
	name TEXT NOT NULL PRIMARY KEY
		CHECK (name = lower(name)),
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE ON DELETE CASCADE,
	enabled INTEGER NOT NULL DEFAULT 1
		CHECK (enabled IN (0, 1))
) WITHOUT ROWID;

-- Another name for a user. A user of that very name comes first.
CREATE TABLE IF NOT EXISTS aliases (
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE ON DELETE CASCADE,
	local_part TEXT NOT NULL
		CHECK (local_part = lower(local_part) AND local_part <> ''),
	user_domain TEXT NOT NULL,
	user_local_part TEXT NOT NULL,
	enabled INTEGER NOT NULL DEFAULT 1  -- 0: one cannot log in by it
		CHECK (enabled IN (0, 1)),
	PRIMARY KEY (domain, local_part),
	FOREIGN KEY (user_domain, user_local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aliases_of_user ON aliases (user_domain, user_local_part);

-- Passwords for one program each, beside the user's own: 'prefix-xxxx-xxxx-xxxx'.
CREATE TABLE IF NOT EXISTS app_passwords (
	domain TEXT NOT NULL,
	local_part TEXT NOT NULL,
	prefix TEXT NOT NULL  -- what stands before the first '-': no secret
		CHECK (length(prefix) BETWEEN 4 AND 8 AND prefix NOT GLOB '*[^a-z0-9]*'),
	label TEXT NOT NULL,  -- for the user and the log: 'phone'
	password TEXT NOT NULL,  -- '{SCHEME}…' of the whole, with the prefix
	allow_nets TEXT,  -- where it may be used from; the user's count as well
	expires INTEGER,
	last_used INTEGER,
	created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,  -- UTC
	PRIMARY KEY (domain, local_part, prefix),
	FOREIGN KEY (domain, local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;

-- What the server writes of each user, now and then.
CREATE TABLE IF NOT EXISTS activity (
	domain TEXT NOT NULL,
	local_part TEXT NOT NULL,
	last_login INTEGER,
	last_ip TEXT,
	last_mechanism TEXT,
	logins INTEGER NOT NULL DEFAULT 0,
	sessions INTEGER NOT NULL DEFAULT 0,  -- that have ended, and what was done in them:
	retrieved INTEGER NOT NULL DEFAULT 0,
	deleted INTEGER NOT NULL DEFAULT 0,
	octets INTEGER NOT NULL DEFAULT 0,
	seconds INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (domain, local_part),
	FOREIGN KEY (domain, local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;

PRAGMA user_version = 3;  -- of this schema

COMMIT;
