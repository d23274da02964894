/* SPDX-License-Identifier: MIT */
/* A header of any octets: its surrogate has no field left that needs one, ends where a header ends and
 * nowhere before, and has no long line that was not there. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "pop3/surrogate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_lines(struct pst_str made, struct pst_str header)
{
	while (made.n > 0) {
		const char *lf = memchr(made.p, '\n', made.n);
		const size_t n = lf == NULL ? made.n : (size_t)(lf - made.p) + 1;

		pst_assert(n <= 1000 || memmem(header.p, header.n, made.p, n) != NULL);
		made = (struct pst_str){ made.p + n, made.n - n };
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pst_realloc(NULL, size + 1);
	struct pst_str header = { text, size };
	struct pst_buf made, again;
	size_t n;

	if (size > 0)
		memcpy(text, data, size);
	text = pst_realloc(text, size == 0 ? 1 : size); /* nothing behind the last octet */
	header.p = text;
	n = pop3_header_octets(header);
	pst_assert(n <= size);
	header.n = n > 0 ? n : size;
	pst_buf_init(&made, POP3_SURROGATE_MAX);
	pst_buf_init(&again, POP3_SURROGATE_MAX);
	if (pop3_surrogate(header, &made)) {
		struct pst_str view = pst_buf_view(&made);

		pst_assert(pop3_has_8bit(header));
		pst_assert(!pop3_surrogate(view, &again));
		pst_assert(pop3_header_octets(view) == (n > 0 ? view.n : 0));
		pst_assert(header.p[header.n - 1] != '\n' || view.p[view.n - 1] == '\n');
		check_lines(view, header);
	}
	pst_assert(again.len == 0);
	pst_buf_clear(&made);
	pst_buf_clear(&again);
	free(text);
	return 0;
}
