// SPDX-License-Identifier: Apache-2.0
/*
 * http_url.c - URLs of one origin
 */
#include "mcp/http_url.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void free_part(char **part)
{
	curl_free(*part);
}

#define autourl	 cleanup(free_url)
#define autopart cleanup(free_part)

static bool is_http(CURLU *u)
{
	autopart char *scheme = NULL;

	return curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	       (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
}

bool http_url_is_good(const char *url)
{
	autourl CURLU *u = curl_url();

	return u != NULL &&
	       curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	       is_http(u);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	autopart char *x = NULL, *y = NULL;

	return curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       strcasecmp(x, y) == 0;
}

int http_url_resolve(const char *base, const char *ref, char **out)
{
	autourl CURLU *from = curl_url(), *to = curl_url();
	autopart char *url = NULL;

	if (from == NULL || to == NULL)
		return -ENOMEM;
	if (curl_url_set(from, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(to, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(to, CURLUPART_URL, ref, 0) != CURLUE_OK ||
	    curl_url_get(to, CURLUPART_URL, &url, 0) != CURLUE_OK)
		return -EINVAL;
	if (!same_part(from, to, CURLUPART_SCHEME) ||
	    !same_part(from, to, CURLUPART_HOST) ||
	    !same_part(from, to, CURLUPART_PORT))
		return -EXDEV;
	*out = strdup(url);
	return *out == NULL ? -ENOMEM : 0;
}
