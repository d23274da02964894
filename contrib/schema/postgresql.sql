-- SPDX-License-Identifier: MIT
-- Domains and users of a Postern server, for PostgreSQL 13 and later:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -d postern -f postgresql.sql
--
-- As often as you like: what is there is left alone. contrib/schema/README.md says what the columns
-- mean and how to use tables of your own instead. sqlite.sql has the same tables and columns.
--
-- Times are seconds since 1970. NULL means "not said": what the domain says counts, and where that is
-- NULL too, the server's setting.

CREATE TABLE IF NOT EXISTS domains (
	name TEXT NOT NULL PRIMARY KEY  -- lower case; '' holds the users without a domain
		CHECK (name = lower(name)),
	enabled BOOLEAN NOT NULL DEFAULT TRUE,  -- false: none of its users may log in
	reason TEXT,  -- why it is disabled, for the log
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	-- For its users who do not say otherwise.
	pop3_enabled BOOLEAN,
	allow_nets TEXT,  -- '192.0.2.0/24, 2001:db8::/32': who may log in from where
	max_sessions INTEGER CHECK (max_sessions BETWEEN 1 AND 1000000),  -- of one user at a time
	min_poll INTEGER CHECK (min_poll BETWEEN 1 AND 604800),  -- seconds between two logins
	max_listed INTEGER CHECK (max_listed BETWEEN 1 AND 2147483647),  -- messages in a session
	min_tls TEXT CHECK (min_tls IN ('any', '1.2', '1.3')),
	maildrop TEXT,  -- as mail.location, which counts where this is NULL: with %{local}
	uid BIGINT CHECK (uid BETWEEN 1 AND 4294967294),  -- for mail.run_as = "user"
	gid BIGINT CHECK (gid BETWEEN 1 AND 4294967294),
	rehash TEXT CHECK (rehash IN ('off', 'report', 'on')),
	read_only BOOLEAN,  -- true: nothing can be deleted by POP3
	expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500),  -- mail goes by itself; 0: never
	hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500)  -- what is deleted is kept; 0: not
);

CREATE TABLE IF NOT EXISTS users (
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE,
	local_part TEXT NOT NULL  -- before the '@', lower case
		CHECK (local_part = lower(local_part) AND local_part <> ''),
	password TEXT,  -- '{SCHEME}…', as posternctl stores it; NULL: app passwords only
	enabled BOOLEAN NOT NULL DEFAULT TRUE,
	reason TEXT,  -- why the user is disabled, for the log
	maildrop TEXT,  -- as mail.location
	uid BIGINT CHECK (uid BETWEEN 1 AND 4294967294),
	gid BIGINT CHECK (gid BETWEEN 1 AND 4294967294),
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	pop3_enabled BOOLEAN,
	allow_nets TEXT,
	max_sessions INTEGER CHECK (max_sessions BETWEEN 1 AND 1000000),
	min_poll INTEGER CHECK (min_poll BETWEEN 1 AND 604800),
	max_listed INTEGER CHECK (max_listed BETWEEN 1 AND 2147483647),
	min_tls TEXT CHECK (min_tls IN ('any', '1.2', '1.3')),
	home TEXT CHECK (home LIKE '/%'),  -- what %{home} in a location stands for
	rehash TEXT CHECK (rehash IN ('off', 'report', 'on')),
	read_only BOOLEAN,
	expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500),
	hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500),
	PRIMARY KEY (domain, local_part)
);

-- Tables that are older.
ALTER TABLE domains ADD COLUMN IF NOT EXISTS expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500);
ALTER TABLE domains ADD COLUMN IF NOT EXISTS hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500);
ALTER TABLE users ADD COLUMN IF NOT EXISTS expire_days INTEGER CHECK (expire_days BETWEEN 0 AND 36500);
ALTER TABLE users ADD COLUMN IF NOT EXISTS hold_days INTEGER CHECK (hold_days BETWEEN 0 AND 36500);

-- Another name for a domain: alice@name logs in as alice@domain.
CREATE TABLE IF NOT EXISTS domain_aliases (
	name TEXT NOT NULL PRIMARY KEY
		CHECK (name = lower(name)),
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE ON DELETE CASCADE,
	enabled BOOLEAN NOT NULL DEFAULT TRUE
);

-- Another name for a user. A user of that very name comes first.
CREATE TABLE IF NOT EXISTS aliases (
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE ON DELETE CASCADE,
	local_part TEXT NOT NULL
		CHECK (local_part = lower(local_part) AND local_part <> ''),
	user_domain TEXT NOT NULL,
	user_local_part TEXT NOT NULL,
	enabled BOOLEAN NOT NULL DEFAULT TRUE,  -- false: one cannot log in by it
	PRIMARY KEY (domain, local_part),
	FOREIGN KEY (user_domain, user_local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS aliases_of_user ON aliases (user_domain, user_local_part);

-- Passwords for one program each, beside the user's own: 'prefix-xxxx-xxxx-xxxx'.
CREATE TABLE IF NOT EXISTS app_passwords (
	domain TEXT NOT NULL,
	local_part TEXT NOT NULL,
	prefix TEXT NOT NULL  -- what stands before the first '-': no secret
		CHECK (prefix ~ '^[a-z0-9]{4,8}$'),
	label TEXT NOT NULL,  -- for the user and the log: 'phone'
	password TEXT NOT NULL,  -- '{SCHEME}…' of the whole, with the prefix
	allow_nets TEXT,  -- where it may be used from; the user's count as well
	expires BIGINT,
	last_used BIGINT,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (domain, local_part, prefix),
	FOREIGN KEY (domain, local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
);

-- What the server writes of each user, now and then.
CREATE TABLE IF NOT EXISTS activity (
	domain TEXT NOT NULL,
	local_part TEXT NOT NULL,
	last_login BIGINT,
	last_ip TEXT,
	last_mechanism TEXT,
	logins BIGINT NOT NULL DEFAULT 0,
	sessions BIGINT NOT NULL DEFAULT 0,  -- that have ended, and what was done in them:
	retrieved BIGINT NOT NULL DEFAULT 0,
	deleted BIGINT NOT NULL DEFAULT 0,
	octets BIGINT NOT NULL DEFAULT 0,
	seconds BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (domain, local_part),
	FOREIGN KEY (domain, local_part) REFERENCES users (domain, local_part)
		ON UPDATE CASCADE ON DELETE CASCADE
);

-- Which of several servers with the same mail may open a maildrop (mail.locks = "lease"), and until when.
CREATE TABLE IF NOT EXISTS leases (
	maildrop TEXT NOT NULL PRIMARY KEY,  -- its location
	holder TEXT NOT NULL,  -- mail.lease_holder of the server
	taker TEXT NOT NULL,  -- the id of the session that came last
	until TIMESTAMPTZ NOT NULL
);

-- What changes is told to the server at once (NOTIFY postern), which then looks again at sessions that
-- are open: 'user NAME', 'domain NAME' or, of anybody, 'all'. Nobody hears of a transaction that fails.
CREATE OR REPLACE FUNCTION postern_tell(what TEXT, local_part TEXT, domain TEXT) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	name TEXT := concat_ws('@', local_part, nullif(domain, ''));
BEGIN
	-- A notification has room for 8000 octets, and must not make a change fail.
	PERFORM pg_notify('postern', CASE WHEN octet_length(name) > 7000 THEN 'all'
	                                  ELSE what || ' ' || name END);
END
$$;

CREATE OR REPLACE FUNCTION postern_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM pg_notify('postern', 'all');
		RETURN NULL;
	END IF;
	CASE TG_TABLE_NAME
	WHEN 'domains' THEN
		PERFORM postern_tell('domain', NULL, OLD.name);
	WHEN 'domain_aliases' THEN
		PERFORM postern_tell('domain', NULL, OLD.name);
		PERFORM postern_tell('domain', NULL, OLD.domain);
	WHEN 'aliases' THEN
		PERFORM postern_tell('user', OLD.local_part, OLD.domain);
		PERFORM postern_tell('user', OLD.user_local_part, OLD.user_domain);
	ELSE
		PERFORM postern_tell('user', OLD.local_part, OLD.domain);
	END CASE;
	RETURN NULL;
END
$$;

DO $$
DECLARE
	tab TEXT;
BEGIN
	PERFORM set_config('client_min_messages', 'warning', TRUE);  -- not of what is not there yet
	FOREACH tab IN ARRAY ARRAY['domains', 'users', 'domain_aliases', 'aliases', 'app_passwords'] LOOP
		EXECUTE format('DROP TRIGGER IF EXISTS postern_updated ON %I', tab);
		EXECUTE format('DROP TRIGGER IF EXISTS postern_deleted ON %I', tab);
		EXECUTE format('DROP TRIGGER IF EXISTS postern_emptied ON %I', tab);
		EXECUTE format('CREATE TRIGGER postern_deleted AFTER DELETE ON %I FOR EACH ROW '
		               'EXECUTE FUNCTION postern_changed()', tab);
		EXECUTE format('CREATE TRIGGER postern_emptied AFTER TRUNCATE ON %I '
		               'EXECUTE FUNCTION postern_changed()', tab);
		-- The server itself writes last_used, which is no news.
		EXECUTE format('CREATE TRIGGER postern_updated AFTER UPDATE %s ON %I FOR EACH ROW '
		               'WHEN (OLD.* IS DISTINCT FROM NEW.*) '
		               'EXECUTE FUNCTION postern_changed()',
		               CASE tab WHEN 'app_passwords' THEN
		                       'OF domain, local_part, prefix, password, allow_nets, expires'
		               ELSE '' END, tab);
	END LOOP;
END
$$;
