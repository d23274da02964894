/* SPDX-License-Identifier: MIT */
/* Every decoder of messages between processes.
 *
 * What a decoder takes must be what its encoder writes: encoded again it gives the same octets. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect_same(struct pst_str in, const uint8_t *out, size_t n)
{
	if (n != in.n || memcmp(in.p, out, n) != 0)
		abort();
}

#define TRY(name)                                                                                  \
	do {                                                                                       \
		struct wire_##name m;                                                              \
		struct msg_head head;                                                              \
		struct pst_err err;                                                                \
                                                                                                   \
		if (wire_##name##_decode(in, &head, &m, &err) == 0)                                \
			expect_same(                                                               \
				in, out,                                                           \
				wire_##name##_encode(&m, head.incarnation, head.request, out));    \
	} while (0)

/* An order's head has no asker: the encoder writes zeros there. */
static void
try_order(struct pst_str in, uint8_t *out)
{
	struct wire_order_msg m;
	struct msg_head head;
	struct pst_err err;

	if (wire_order_decode(in, &head, &m, &err) == 0 && head.incarnation == 0 &&
	    head.request == 0)
		expect_same(in, out, wire_order_encode(&m, out));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[MSG_MAX_OCTETS];
	struct pst_str in = { (const char *)data, size };

	(void)wire_type(in);
	TRY(auth_request);
	TRY(auth_reply);
	TRY(handoff);
	TRY(chain_request);
	TRY(chain_reply);
	TRY(sign_request);
	TRY(sign_reply);
	try_order(in, out);
	return 0;
}
