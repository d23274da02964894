/* SPDX-License-Identifier: MIT */
/* Certificates for tests; see certs.h. */
#include "tests/unit/tls/certs.h"

#include <dirent.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

char *
certs_folder(void)
{
	char *path = pst_strdup("/tmp/postern-certs-XXXXXX");

	pst_assert(mkdtemp(path) != NULL);
	return path;
}

static void
remove_tree(const char *path)
{
	struct dirent *e;
	DIR *d = opendir(path);

	while (d != NULL && (e = readdir(d)) != NULL) {
		char below[4096];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		remove_tree(below);
	}
	if (d != NULL)
		closedir(d);
	(void)remove(path);
}

void
certs_remove(char *path)
{
	remove_tree(path);
	free(path);
}

void
certs_write(const char *dir, const char *folder, const char *file, const char *text, size_t n)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, folder);
	(void)mkdir(path, 0700);
	/* Under another name first: as an administrator's tool would, and a new file in any case. */
	(void)snprintf(path, sizeof(path), "%s/%s/%s.new", dir, folder, file);
	f = fopen(path, "w");
	pst_assert(f != NULL && fwrite(text, 1, n, f) == n && fclose(f) == 0);
	{
		char to[4096];

		(void)snprintf(to, sizeof(to), "%s/%s/%s", dir, folder, file);
		pst_assert(rename(path, to) == 0);
	}
}

void
certs_copy(const char *dir, const char *from, const char *to, const char *file)
{
	char path[4096];
	char text[65536];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, from, file);
	f = fopen(path, "r");
	pst_assert(f != NULL);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	certs_write(dir, to, file, text, n);
}

static void
make_key(gnutls_x509_privkey_t key, enum cert_kind kind)
{
	int rc;

	if (kind == CERT_RSA)
		rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, 2048, 0);
	else if (kind == CERT_ED25519)
		rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0);
	else
		rc = gnutls_x509_privkey_generate(
			key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	pst_assert(rc == 0);
}

/* All but the signature. */
static void
fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *host, int days, bool is_ca)
{
	const unsigned n = (unsigned)strlen(host);
	const time_t now = time(NULL);
	unsigned char serial[8];

	pst_assert(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)) == 0);
	serial[0] &= 0x7f;
	pst_assert(gnutls_x509_crt_set_version(crt, 3) == 0);
	pst_assert(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)) == 0);
	pst_assert(gnutls_x509_crt_set_activation_time(crt, now - 86400 * 100) == 0);
	pst_assert(gnutls_x509_crt_set_expiration_time(crt, now + 86400 * (time_t)days) == 0);
	pst_assert(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, host, n) ==
	           0);
	if (is_ca)
		pst_assert(gnutls_x509_crt_set_basic_constraints(crt, 1, -1) == 0);
	else
		pst_assert(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host, n,
		                                                0) == 0);
	pst_assert(gnutls_x509_crt_set_key(crt, key) == 0);
}

static void
write_key(const char *dir, const char *folder, const char *file, gnutls_x509_privkey_t key)
{
	gnutls_datum_t pem = { NULL, 0 };

	pst_assert(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
	                                             GNUTLS_PKCS_PLAIN, &pem) == 0);
	certs_write(dir, folder, file, (const char *)pem.data, pem.size);
	gnutls_free(pem.data);
}

#define MAX_CHAIN 32

void
certs_make_chain(const char *dir, const char *folder, const char *host, unsigned count, bool mixed)
{
	static char text[MAX_CHAIN * 2048];
	gnutls_x509_privkey_t keys[MAX_CHAIN];
	gnutls_x509_crt_t crts[MAX_CHAIN];
	size_t n = 0;
	unsigned i;

	pst_assert(count > 0 && count <= MAX_CHAIN);
	for (i = 0; i < count; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "Authority %u of %s", i, host);
		pst_assert(gnutls_x509_privkey_init(&keys[i]) == 0 &&
		           gnutls_x509_crt_init(&crts[i]) == 0);
		make_key(keys[i], CERT_EC);
		fill(crts[i], keys[i], i == 0 ? host : name, 30, i > 0);
	}
	for (i = count; i-- > 0;) {
		const unsigned signer = i + 1 < count ? i + 1 : i;

		pst_assert(gnutls_x509_crt_sign2(crts[i], crts[signer], keys[signer],
		                                 GNUTLS_DIG_SHA256, 0) == 0);
	}
	for (i = 0; i < count; i++) {
		gnutls_datum_t pem = { NULL, 0 };

		pst_assert(gnutls_x509_crt_export2(crts[mixed && i > 0 ? count - i : i],
		                                   GNUTLS_X509_FMT_PEM, &pem) == 0);
		pst_assert(pem.size <= sizeof(text) - n);
		memcpy(text + n, pem.data, pem.size);
		n += pem.size;
		gnutls_free(pem.data);
	}
	certs_write(dir, folder, "fullchain.pem", text, n);
	write_key(dir, folder, "privkey.pem", keys[0]);
	for (i = 0; i < count; i++) {
		gnutls_x509_crt_deinit(crts[i]);
		gnutls_x509_privkey_deinit(keys[i]);
	}
}

void
certs_make(const char *dir, const char *folder, const char *suffix, const char *host,
           enum cert_kind kind, int days)
{
	gnutls_datum_t pem = { NULL, 0 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	char file[64];

	pst_assert(gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_crt_init(&crt) == 0);
	make_key(key, kind);
	fill(crt, key, host, days, false);
	pst_assert(gnutls_x509_crt_sign2(
			   crt, crt, key,
			   kind == CERT_ED25519 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256, 0) == 0);
	pst_assert(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
	(void)snprintf(file, sizeof(file), "fullchain%s.pem", suffix);
	certs_write(dir, folder, file, (const char *)pem.data, pem.size);
	gnutls_free(pem.data);
	(void)snprintf(file, sizeof(file), "privkey%s.pem", suffix);
	write_key(dir, folder, file, key);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}
