-- SPDX-License-Identifier: MIT
-- The table that dovecot.conf reads: for the test, and to try it.
CREATE TABLE users (
	username VARCHAR(128) NOT NULL,
	domain VARCHAR(128) NOT NULL,
	password VARCHAR(128) NOT NULL,
	home VARCHAR(255) NOT NULL,
	uid INTEGER NOT NULL,
	gid INTEGER NOT NULL,
	quota BIGINT NOT NULL DEFAULT 0,
	allow_nets VARCHAR(255),
	active CHAR(1) NOT NULL DEFAULT 'Y',
	PRIMARY KEY (username, domain)
);
INSERT INTO users (username, domain, password, home, uid, gid, allow_nets, active) VALUES
	('alice', 'example.test', '{PLAIN}secret', '@MAIL@/example.test/alice', 5000, 5000, NULL, 'Y'),
	('bob', 'example.test', '{PLAIN}secret', '@MAIL@/example.test/bob', 5000, 5000, NULL, 'N'),
	('far', 'example.test', '{PLAIN}secret', '@MAIL@/example.test/far', 5000, 5000, '192.0.2.0/24', 'Y');
