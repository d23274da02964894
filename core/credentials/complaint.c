/* SPDX-License-Identifier: MIT */
/* Marks of users; see complaint.h. */
#include "credentials/complaint.h"

#include <string.h>

#include "base/crypto.h"

bool
complaint_is_new(struct complaints *c, struct pst_str user)
{
	uint8_t digest[32];
	uint64_t word[2];

	pst_sha256(user.p, user.n, digest);
	memcpy(word, digest, sizeof(word));
	word[1] |= 1; /* never 0 */
	if (c->mark[word[0] % COMPLAINT_PLACES] == word[1])
		return false;
	c->mark[word[0] % COMPLAINT_PLACES] = word[1];
	return true;
}
