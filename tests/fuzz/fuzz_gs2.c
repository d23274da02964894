/* SPDX-License-Identifier: MIT */
/* A client's first message in SCRAM, OAUTHBEARER and XOAUTH2: what is read lies inside it, holds no NUL, and
 * is no longer than it may be. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "credentials/gs2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const struct gs2_name *name)
{
	pst_assert(name->n <= GS2_NAME_MAX);
	pst_assert(memchr(name->text, '\0', name->n) == NULL);
}

static void
check_part(struct pst_str whole, struct pst_str part)
{
	pst_assert(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
	pst_assert(!pst_str_has_nul(part));
}

static void
check_bearer(struct pst_str message, const struct bearer *b)
{
	check_name(&b->user);
	check_part(message, b->token);
	pst_assert(b->token.n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In memory of its own, so that a sanitizer sees each step beyond it. */
	char *copy = pst_alloc(size + 1);
	const struct pst_str message = { memcpy(copy, size > 0 ? (const void *)data : "", size),
		                         size };
	struct scram_first first;
	struct bearer bearer;

	if (scram_first_read(message, &first)) {
		check_name(&first.user);
		check_name(&first.gs2.authzid);
		check_part(message, first.gs2.binding);
		pst_assert(first.user.n > 0 &&
		           (first.gs2.flag == 'p') == (first.gs2.binding.n > 0));
	}
	if (bearer_read_rfc7628(message, &bearer))
		check_bearer(message, &bearer);
	if (bearer_read_xoauth2(message, &bearer)) {
		check_bearer(message, &bearer);
		pst_assert(bearer.user.n > 0);
	}
	free(copy);
	return 0;
}
