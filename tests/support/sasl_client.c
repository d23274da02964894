/* SPDX-License-Identifier: MIT */
/* sasl_client PORT MECHANISM USER PASSWORD [--tls=1.3|1.2|1.2-no-ems] [--name=HOST] [--other-binding]
 * [--cert=FILE --key=FILE]: logs in over TLS with GNU SASL's client, which knows channel bindings, says STAT
 * and writes what the server says. MECHANISM CAPA only asks for that. 0: logged in; 1: refused. */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gsasl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct options {
	const char *mechanism, *user, *password;
	const char *priority, *name, *cert, *key;
	bool other_binding;
};

static gnutls_session_t tls;
static gnutls_certificate_credentials_t credentials;
static struct options opt = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3", .name = "localhost" };

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "sasl_client: %s\n", what);
	exit(2);
}

static void
read_option(const char *o)
{
	if (strcmp(o, "--tls=1.3") == 0)
		return;
	if (strcmp(o, "--tls=1.2") == 0)
		opt.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
	else if (strcmp(o, "--tls=1.2-no-ems") == 0)
		opt.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH";
	else if (strncmp(o, "--name=", 7) == 0)
		opt.name = o + 7;
	else if (strncmp(o, "--cert=", 7) == 0)
		opt.cert = o + 7;
	else if (strncmp(o, "--key=", 6) == 0)
		opt.key = o + 6;
	else
		opt.other_binding = strcmp(o, "--other-binding") == 0;
}

static void
connect_tls(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	need(gnutls_init(&tls, GNUTLS_CLIENT) == 0, "gnutls_init");
	need(gnutls_priority_set_direct(tls, opt.priority, NULL) == 0, "priority");
	need(gnutls_certificate_allocate_credentials(&credentials) == 0, "credentials");
	if (opt.cert != NULL)
		need(gnutls_certificate_set_x509_key_file(credentials, opt.cert, opt.key,
		                                          GNUTLS_X509_FMT_PEM) == 0,
		     "certificate");
	need(gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials) == 0, "credentials");
	need(gnutls_server_name_set(tls, GNUTLS_NAME_DNS, opt.name, strlen(opt.name)) == 0, "name");
	gnutls_transport_set_int(tls, fd);
	need(gnutls_handshake(tls) == 0, "handshake");
}

/* A session ticket that comes in is no octet. */
static bool
hear_octet(char *out)
{
	ssize_t rc;

	do {
		rc = gnutls_record_recv(tls, out, 1);
	} while (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED);
	return rc == 1;
}

/* One line, without its end; it is written out too. */
static void
hear(char *line, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap && hear_octet(line + n) && line[n] != '\n')
		n++;
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	need(n > 0, "the server closed");
	(void)printf("%s\n", line);
}

static void
say(const char *text)
{
	const size_t n = strlen(text);

	need(n == 0 || gnutls_record_send(tls, text, n) == (ssize_t)n, "send");
	need(gnutls_record_send(tls, "\r\n", 2) == 2, "send");
}

static int
set_binding(Gsasl_session *s)
{
	gnutls_datum_t binding;
	char *text;
	size_t n;
	int rc;

	if (gnutls_session_channel_binding(tls, GNUTLS_CB_TLS_EXPORTER, &binding) != 0) {
		binding.data = gnutls_calloc(1, 32);
		binding.size = 32;
	}
	if (opt.other_binding)
		binding.data[0] ^= 1;
	need(gsasl_base64_to((char *)binding.data, binding.size, &text, &n) == GSASL_OK, "base64");
	rc = gsasl_property_set(s, GSASL_CB_TLS_EXPORTER, text);
	gsasl_free(text);
	gnutls_free(binding.data);
	return rc;
}

static int
on_asked(Gsasl *g, Gsasl_session *s, Gsasl_property property)
{
	(void)g;
	switch (property) {
	case GSASL_AUTHID:
		return gsasl_property_set(s, property, opt.user);
	case GSASL_PASSWORD:
		return gsasl_property_set(s, property, opt.password);
	case GSASL_ANONYMOUS_TOKEN:
		return gsasl_property_set(s, property, "guest");
	case GSASL_CB_TLS_EXPORTER:
		/* Under a plain name the client would say "y", as if none had been offered. */
		return strstr(opt.mechanism, "-PLUS") != NULL ? set_binding(s) : GSASL_NO_CALLBACK;
	default:
		return GSASL_NO_CALLBACK;
	}
}

static void
show_capa(void)
{
	char line[1024];

	say("CAPA");
	do {
		hear(line, sizeof(line));
	} while (strcmp(line, ".") != 0);
}

/* Challenges and responses up to the server's last word, in line. */
static void
authenticate(Gsasl_session *s, char *line, size_t cap)
{
	bool is_done = false;

	(void)snprintf(line, cap, "AUTH %s", opt.mechanism);
	say(line);
	for (hear(line, cap); line[0] == '+' && line[1] == ' '; hear(line, cap)) {
		char *response = NULL;
		int rc;

		if (is_done) { /* only the server's proof was left */
			say("");
			continue;
		}
		rc = gsasl_step64(s, line + 2, &response);
		need(rc == GSASL_OK || rc == GSASL_NEEDS_MORE, gsasl_strerror(rc));
		is_done = rc == GSASL_OK;
		say(response);
		gsasl_free(response);
	}
	need(is_done || line[0] == '-', "the server is content too early");
}

/* Whether the server let it in. */
static bool
log_in(char *line, size_t cap)
{
	Gsasl *gsasl;
	Gsasl_session *s;

	need(gsasl_init(&gsasl) == GSASL_OK, "gsasl_init");
	gsasl_callback_set(gsasl, on_asked);
	need(gsasl_client_start(gsasl, opt.mechanism, &s) == GSASL_OK, "mechanism");
	authenticate(s, line, cap);
	gsasl_finish(s);
	gsasl_done(gsasl);
	return line[0] != '-';
}

int
main(int argc, char **argv)
{
	char line[16384];
	int status = 0;
	int i;

	need(argc >= 5, "arguments");
	opt.mechanism = argv[2];
	opt.user = argv[3];
	opt.password = argv[4];
	for (i = 5; i < argc; i++)
		read_option(argv[i]);
	connect_tls((int)strtol(argv[1], NULL, 10));
	hear(line, sizeof(line));
	if (strcmp(opt.mechanism, "CAPA") == 0) {
		show_capa();
	} else if (log_in(line, sizeof(line))) {
		say("STAT");
		hear(line, sizeof(line));
	} else {
		status = 1;
	}
	gnutls_deinit(tls);
	gnutls_certificate_free_credentials(credentials);
	return status;
}
