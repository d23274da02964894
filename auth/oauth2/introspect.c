/* SPDX-License-Identifier: MIT */
/* Asking the issuer (RFC 7662); see oauth2.h. One connection is kept open between questions. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "auth/oauth2/oauth2.h"

#define ANSWER_MAX 65536
#define SECRET_MAX 1024

struct oauth2_client {
	CURL *curl;
	const struct oauth2_conf *conf;
	char secret[SECRET_MAX];
	char error[CURL_ERROR_SIZE];
	char answer[ANSWER_MAX];
	size_t n;
};

static size_t
on_data(char *data, size_t size, size_t count, void *arg)
{
	struct oauth2_client *c = arg;
	const size_t n = size * count;

	if (n > sizeof(c->answer) - c->n)
		return 0; /* ends the transfer with an error */
	memcpy(c->answer + c->n, data, n);
	c->n += n;
	return n;
}

/* The first line of the file. */
static int
read_secret(struct oauth2_client *c, struct pst_err *err)
{
	const char *path = c->conf->client_secret_file;
	FILE *f;

	if (path[0] == '\0')
		return 0;
	f = fopen(path, "re");
	if (f == NULL)
		return pst_err_sys(err, PST_E_TEMP, "client_secret_file: %s", path);
	setbuf(f, NULL); /* so that no copy stays */
	if (fgets(c->secret, sizeof(c->secret), f) == NULL)
		c->secret[0] = '\0';
	(void)fclose(f);
	c->secret[strcspn(c->secret, "\r\n")] = '\0';
	if (c->secret[0] == '\0')
		return pst_err_set(err, PST_E_TEMP, "client_secret_file: %s: it is empty", path);
	return 0;
}

static int
set_up(struct oauth2_client *c, struct pst_err *err)
{
	const struct oauth2_conf *conf = c->conf;
	CURL *h = c->curl;
	unsigned bad = 0; /* CURLE_OK is 0 */

	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_URL, conf->introspection_url);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION,
	                                  0L); /* nobody else sees a token */
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_PROXY, "");
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)conf->timeout);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->timeout);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	bad |= (unsigned)curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
	if (conf->ca_file[0] != '\0')
		bad |= (unsigned)curl_easy_setopt(h, CURLOPT_CAINFO, conf->ca_file);
	if (conf->client_id[0] != '\0') {
		bad |= (unsigned)curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		bad |= (unsigned)curl_easy_setopt(h, CURLOPT_USERNAME, conf->client_id);
		bad |= (unsigned)curl_easy_setopt(h, CURLOPT_PASSWORD, c->secret);
	}
	return bad == 0 ? 0 : pst_err_set(err, PST_E_TEMP, "libcurl refuses an option");
}

struct oauth2_client *
oauth2_client_create(const struct oauth2_conf *conf, struct pst_err *err)
{
	struct oauth2_client *c = calloc(1, sizeof(*c));

	if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
	    (c->curl = curl_easy_init()) == NULL) {
		free(c);
		(void)pst_err_set(err, PST_E_TEMP, "libcurl: no memory");
		return NULL;
	}
	c->conf = conf;
	if (read_secret(c, err) != 0 || set_up(c, err) != 0) {
		oauth2_client_destroy(c);
		return NULL;
	}
	return c;
}

void
oauth2_client_destroy(struct oauth2_client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

/* What stands before the token is a form's (RFC 7662 section 2.1); a token's characters (RFC 6750
 * section 2.1) but for '+', '/' and '=' stand for themselves. */
static char *
make_form(struct pst_str token)
{
	static const char start[] = "token_type_hint=access_token&token=";
	static const char hex[] = "0123456789ABCDEF";
	char *form = malloc(sizeof(start) + 3 * token.n);
	char *at;
	size_t i;

	if (form == NULL)
		return NULL;
	memcpy(form, start, sizeof(start) - 1);
	at = form + sizeof(start) - 1;
	for (i = 0; i < token.n; i++) {
		const unsigned char c = (unsigned char)token.p[i];

		if (pst_is_digit((char)c) ||
		    (pst_lower((char)c) >= 'a' && pst_lower((char)c) <= 'z') ||
		    (c != '\0' && strchr("-._~", c) != NULL)) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	*at = '\0';
	return form;
}

static json_t *
read_answer(struct oauth2_client *c, CURLcode rc, struct pst_err *err)
{
	long status = 0;
	json_t *answer;

	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK) {
		pst_err_set(err, PST_E_TEMP, "%s: %.160s", c->conf->introspection_url,
		            c->error[0] != '\0' ? c->error : curl_easy_strerror(rc));
		return NULL;
	}
	if (status != 200) {
		pst_err_set(err, PST_E_TEMP, "%s: HTTP status %ld%s", c->conf->introspection_url,
		            status,
		            status == 401 ? " (client_id or client_secret_file is wrong)" : "");
		return NULL;
	}
	answer = json_loadb(c->answer, c->n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(answer) || !json_is_boolean(json_object_get(answer, "active"))) {
		json_decref(answer);
		pst_err_set(err, PST_E_TEMP, "%s: the answer is none of RFC 7662",
		            c->conf->introspection_url);
		return NULL;
	}
	return answer;
}

json_t *
oauth2_introspect(struct oauth2_client *c, struct pst_str token, struct pst_err *err)
{
	char *form = make_form(token);
	json_t *answer;
	CURLcode rc;

	if (form == NULL) {
		pst_err_set(err, PST_E_TEMP, "no memory");
		return NULL;
	}
	c->n = 0;
	c->error[0] = '\0';
	rc = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, form);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(form));
	if (rc == CURLE_OK)
		rc = curl_easy_perform(c->curl);
	answer = read_answer(c, rc, err);
	(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
	explicit_bzero(form, strlen(form));
	explicit_bzero(c->answer, c->n);
	free(form);
	return answer;
}
