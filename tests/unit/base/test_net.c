/* SPDX-License-Identifier: MIT */
/* Addresses: from text, to text, and what is none. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/net.h"

static void
test_numeric_addresses_come_back_as_text(void **state)
{
	static const struct {
		const char *in, *out;
		int family;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", AF_INET },
		{ "0.0.0.0", "0.0.0.0", AF_INET },
		{ "::", "::", AF_INET6 },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1", AF_INET6 },
		{ "::ffff:192.0.2.1", "192.0.2.1", AF_INET6 }, /* mapped: told as IPv4 */
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1", AF_INET6 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage ss;
		char text[PST_ADDR_TEXT];
		struct pst_err err;
		socklen_t n = 0;

		assert_int_equal(pst_addr_parse(rows[i].in, 995, &ss, &n, &err), 0);
		assert_int_equal(ss.ss_family, rows[i].family);
		assert_int_equal(n, rows[i].family == AF_INET ? sizeof(struct sockaddr_in)
		                                              : sizeof(struct sockaddr_in6));
		assert_int_equal(pst_addr_port(&ss), 995);
		pst_addr_text(&ss, text);
		assert_string_equal(text, rows[i].out);
	}
}

static void
test_what_is_no_numeric_address_is_refused(void **state)
{
	static const char *const rows[] = { "",           "localhost", "192.0.2",  "192.0.2.256",
		                            "192.0.2.1 ", "[::1]",     "::1%eth0", "*",
		                            "0x7f.0.0.1", "1:2:3",     "::g" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage ss;
		struct pst_err err;
		socklen_t n;

		if (pst_addr_parse(rows[i], 1, &ss, &n, &err) == 0)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_int_equal(err.kind, PST_E_CLIENT);
	}
}

static void
test_unix_socket_has_a_text_and_no_port(void **state)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNIX };
	char text[PST_ADDR_TEXT];

	(void)state;
	pst_addr_text(&ss, text);
	assert_string_equal(text, "local");
	assert_int_equal(pst_addr_port(&ss), 0);
}

static void
test_nodelay_is_set_and_a_unix_socket_does_not_mind(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0);
	int on = 0;
	socklen_t n = sizeof(on);

	(void)state;
	assert_true(fd >= 0 && local >= 0);
	pst_socket_nodelay(fd);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
	assert_int_not_equal(on, 0);
	pst_socket_nodelay(local);
	close(fd);
	close(local);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numeric_addresses_come_back_as_text),
		cmocka_unit_test(test_what_is_no_numeric_address_is_refused),
		cmocka_unit_test(test_unix_socket_has_a_text_and_no_port),
		cmocka_unit_test(test_nodelay_is_set_and_a_unix_socket_does_not_mind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
