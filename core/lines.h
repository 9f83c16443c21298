/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.h - Cut a byte stream into newline-terminated messages
 *
 * The framing of every JSON-RPC peer we speak with over pipes, and of the event
 * lines on the guest channel.  Input is untrusted: a line is never longer than
 * the limit given to lines_init().
 */
#ifndef CORE_LINES_H
#define CORE_LINES_H

#include "core/base.h"

/* Called for each complete line, without its newline and NUL-terminated.  The
 * text is valid, and may be changed, during the call only.  A non-zero return
 * stops the feed, and then nothing touches the splitter any more: a callback
 * that ends it returns so. */
typedef int (*lines_cb)(char *line, size_t len, void *arg);

struct lines {
	char *buf;
	size_t len;   /* Bytes held, all of one unfinished line. */
	size_t cap;   /* Bytes allocated; always > len once allocated. */
	size_t limit; /* Longest line accepted. */
};

void lines_init(struct lines *l, size_t limit);
void lines_done(struct lines *l);

/**
 * lines_feed() - Add bytes read from the peer
 * @l:    Splitter
 * @data: Bytes; scratch space of the call: newlines in it become NUL, so that
 *        a line that lies whole in it is handed on without a copy
 * @n:    Number of bytes
 * @cb:   Called once per line completed by these bytes, in order
 * @arg:  Passed to @cb
 *
 * Return: 0; -EMSGSIZE when a line outgrows the limit, after which the stream
 * cannot be resynchronised and the peer should be closed; or what @cb returned.
 */
int lines_feed(struct lines *l, char *data, size_t n, lines_cb cb, void *arg);

#endif
