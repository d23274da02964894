/* SPDX-License-Identifier: MIT */
/* Certificates made while a test runs, in a folder of folders that is removed after it. */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <stdbool.h>
#include <stddef.h>

enum cert_kind { CERT_EC, CERT_ED25519, CERT_RSA };

/* A new folder under /tmp; the caller frees the path. */
char *certs_folder(void);
void certs_remove(char *path); /* with all that is in it; frees path */

/* DIR/FOLDER/{fullchain,privkey}SUFFIX.pem, self-signed for host, valid for days from now (negative:
 * its time is over already). */
void certs_make(const char *dir, const char *folder, const char *suffix, const char *host,
                enum cert_kind kind, int days);

/* The same by a chain of so many certificates, each signed by the next; mixed: those behind
 * the first stand in the wrong order. */
void certs_make_chain(const char *dir, const char *folder, const char *host, unsigned count,
                      bool mixed);

/* Writes a file below dir. */
void certs_write(const char *dir, const char *folder, const char *file, const char *text, size_t n);

/* Copies a file of one folder into another. */
void certs_copy(const char *dir, const char *from, const char *to, const char *file);

#endif
