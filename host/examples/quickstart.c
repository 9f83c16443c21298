// SPDX-License-Identifier: Apache-2.0
/*
 * quickstart.c - One question to an agent in a sandbox of its own
 *
 *	quickstart AGENT TEXT
 *
 * Build:  cc quickstart.c $(pkg-config --cflags --libs hib)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HIB_VERSION
#include "host/hib.h" /* In the source tree. */
#else
#include <hib.h>
#endif

static int print_text(const char *text, size_t len, void *arg)
{
	(void)arg;
	return fwrite(text, 1, len, stdout) == len ? 0 : -1;
}

static int fail(const struct hib_error *e)
{
	fprintf(stderr, "quickstart: %s: %s\n", e->name, e->message);
	return hib_exit_code(e);
}

static int ask(struct hib *h, const char *session, const char *text)
{
	struct hib_prompt p = {.size = sizeof(p), .text = text};
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_error e;
	int status = 1;

	if (hib_prompt_stream(h, session, &p, print_text, NULL, NULL, &reply,
			      &e) < 0)
		status = fail(&e);
	else if (strcmp(reply.stop_reason, "end_turn") == 0)
		status = 0;
	putchar('\n');
	hib_reply_done(&reply);
	return status;
}

int main(int argc, char **argv)
{
	struct hib_session_options o = {.size = sizeof(o)};
	char session[HIB_ID_MAX];
	struct hib_error e;
	struct hib *h;
	int status;

	if (argc != 3) {
		fputs("usage: quickstart AGENT TEXT\n", stderr);
		return 5;
	}
	o.agent = argv[1];
	if (hib_open(NULL, &h, &e) < 0)
		return fail(&e);
	if (hib_create_session(h, &o, session, NULL, &e) < 0) {
		hib_close(h);
		return fail(&e);
	}
	status = ask(h, session, argv[2]);
	if (hib_close_session(h, session, false, NULL, &e) < 0)
		status = fail(&e);
	hib_close(h);
	return status;
}
