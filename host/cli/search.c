// SPDX-License-Identifier: Apache-2.0
/*
 * search.c - hib search
 *
 * Read from the store itself: with every daemon off, and what is not in the
 * index yet as well.  On a terminal what was found is marked; the marks are
 * characters of the private use area until control bytes of strangers are out
 * of the text.
 */
#include "core/search.h"

#include <string.h>

#include "host/cli/commands.h"

#define MARK_ON	 "\xee\x80\x80" /* U+E000 */
#define MARK_OFF "\xee\x80\x81" /* U+E001 */

struct search_options {
	const char *session;
	int64_t limit;
	bool json;
};

static void print_marked(const char *text, size_t len)
{
	bool color = getenv("NO_COLOR") == NULL;

	for (size_t i = 0; i < len;) {
		bool on = strncmp(text + i, MARK_ON, 3) == 0;

		if (on || strncmp(text + i, MARK_OFF, 3) == 0) {
			if (color)
				fputs(on ? "\033[1m" : "\033[0m", stdout);
			i += 3;
		} else {
			putchar(text[i++]);
		}
	}
}

/* SES  SEQ ROLE  snippet */
static void print_hit(struct jv hit)
{
	char session[ID_MAX] = "", role[16] = "";
	size_t len = 0;
	autofree char *snippet = jv_strdup(jv_get(hit, "snippet"), &len);
	autojw struct jw line = {0};

	(void)jv_strcpy(jv_get(hit, "session"), session, sizeof(session));
	(void)jv_strcpy(jv_get(hit, "role"), role, sizeof(role));
	if (snippet != NULL)
		cli_put_line(&line, snippet, len, SIZE_MAX);
	printf("%s %6lld %-5s  ", session,
	       (long long)jv_int(jv_get(hit, "seq"), 0), role);
	print_marked(line.buf ? line.buf : "", line.len);
	putchar('\n');
}

/* The arguments as one query: what the shell kept together is a phrase. */
static int join(int argc, char **argv, struct jw *w)
{
	for (int i = 0; i < argc; i++) {
		bool phrase = argc > 1 && strchr(argv[i], ' ') != NULL &&
			      strchr(argv[i], '"') == NULL;

		jw_lit(w, phrase ? " \"" : " ", phrase ? 2 : 1);
		jw_lit(w, argv[i], strlen(argv[i]));
		jw_lit(w, "\"", phrase);
	}
	return w->failed ? -ENOMEM : 0;
}

static int find(struct cli *c, const struct search_options *o)
{
	bool marks = !o->json && cli_width() > 0;
	autojw struct jw text = {0}, out = {0};
	autojson struct json j = {0};
	struct search_query q = {
		.session = o->session,
		.limit = (unsigned)o->limit,
		.mark_on = marks ? MARK_ON : NULL,
		.mark_off = marks ? MARK_OFF : NULL,
	};
	struct err e = {0};
	int n = 0;

	if (join(c->argc, c->argv, &text) < 0)
		n = err_set(&e, -ENOMEM, "out of memory");
	q.text = text.buf;
	jw_arr(&out);
	if (n == 0 && c->reader != NULL)
		n = search_find(c->reader, &q, &out, &e);
	jw_arr_end(&out);
	if (n < 0)
		return cli_fail(&e);
	if (o->json)
		return cli_print_json(&out);
	if (json_parse(&j, out.buf, out.len, &e) < 0)
		return cli_fail(&e);
	for (struct jv h = jv_first(json_root(&j)); jv_has(h);
	     h = jv_next(json_root(&j), h))
		print_hit(h);
	return n > 0 ? 0 : EXIT_NEGATIVE;
}

int search_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_NUMBER, search_options, limit, "limit"),
		OPT(OPT_TEXT, search_options, session, "session"),
		OPT(OPT_FLAG, search_options, json, "json"),
		OPT_END,
	};
	struct search_options o = {0};
	int r = cli_options(c, argc, argv, opts, &o, 1, SEARCH_WORDS_MAX);

	if (r < 0 && o.limit > SEARCH_LIMIT_MAX)
		r = cli_usage(c, "--limit: at most %d", SEARCH_LIMIT_MAX);
	if (r < 0)
		r = o.session ? cli_session_reader(c, o.session)
			      : cli_reader(c);
	return r >= 0 ? r : find(c, &o);
}
