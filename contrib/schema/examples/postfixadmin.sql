-- SPDX-License-Identifier: MIT
-- What the queries of postfixadmin.conf read of Postfixadmin's tables: for the test, and to try it.
CREATE TABLE domain (
	domain VARCHAR(255) NOT NULL PRIMARY KEY,
	description VARCHAR(255) NOT NULL DEFAULT '',
	active BOOLEAN NOT NULL DEFAULT TRUE
);
CREATE TABLE mailbox (
	username VARCHAR(255) NOT NULL PRIMARY KEY,
	password VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL DEFAULT '',
	maildir VARCHAR(255) NOT NULL,
	quota BIGINT NOT NULL DEFAULT 0,
	local_part VARCHAR(255) NOT NULL,
	domain VARCHAR(255) NOT NULL REFERENCES domain (domain),
	active BOOLEAN NOT NULL DEFAULT TRUE
);
CREATE TABLE alias (
	address VARCHAR(255) NOT NULL PRIMARY KEY,
	goto TEXT NOT NULL,
	domain VARCHAR(255) NOT NULL REFERENCES domain (domain),
	active BOOLEAN NOT NULL DEFAULT TRUE
);
CREATE TABLE alias_domain (
	alias_domain VARCHAR(255) NOT NULL PRIMARY KEY,
	target_domain VARCHAR(255) NOT NULL,
	active BOOLEAN NOT NULL DEFAULT TRUE
);
INSERT INTO domain (domain) VALUES ('example.test'), ('other.test');
INSERT INTO domain (domain, active) VALUES ('closed.test', FALSE);
INSERT INTO mailbox (username, password, maildir, local_part, domain, active) VALUES
	('alice@example.test', '{PLAIN}secret', 'example.test/alice/', 'alice', 'example.test', TRUE),
	('bob@example.test', '{PLAIN}secret', 'example.test/bob/', 'bob', 'example.test', FALSE),
	('eve@closed.test', '{PLAIN}secret', 'closed.test/eve/', 'eve', 'closed.test', TRUE);
INSERT INTO alias (address, goto, domain) VALUES
	('alice@example.test', 'alice@example.test', 'example.test'),
	('info@example.test', 'alice@example.test', 'example.test'),
	('all@example.test', 'alice@example.test,bob@example.test', 'example.test');
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('other.test', 'example.test');
