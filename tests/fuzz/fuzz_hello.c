/* SPDX-License-Identifier: MIT */
/* A ClientHello's body, as login looks into it before GnuTLS does. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = pst_alloc(size); /* a step beyond it is seen */

	if (size > 0)
		memcpy(exact, data, size);
	(void)tls_hello_offers_ecdsa((struct pst_str){ exact, size });
	free(exact);
	return 0;
}
