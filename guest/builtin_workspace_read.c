// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_read.c - The server "workspace": contents of files
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "guest/builtin_workspace.h"
#include "guest/fsat.h"
#include "guest/textedit.h"

#define BLOCK (64u << 10)

/*
 * Opening and reading.
 */

int wstool_open(struct wstool_call *c, const struct wstool_path *p,
		const char *syscall, struct stat *st)
{
	autoclose int look = fsat_resolve(c->fs.root, p->at, O_PATH);
	struct err e = {0};
	int fd;

	if (look < 0)
		return wstool_fail_errno(c, -look, syscall, p->at);
	if (fstat(look, st) < 0)
		return wstool_fail_errno(c, errno, syscall, p->at);
	if (S_ISDIR(st->st_mode))
		return wstool_fail_errno(c, EISDIR, "read", NULL);
	fd = fsat_file(c->fs.root, p->at, O_RDONLY, st, &e);
	return fd < 0 ? wstool_fail_err(c, &e, syscall, p->at) : fd;
}

/* Up to @n bytes from an offset.  Return: their number; -1 with errno. */
static ssize_t read_at(int fd, char *buf, size_t n, off_t off)
{
	size_t len = 0;

	while (len < n) {
		ssize_t r = pread(fd, buf + len, n - len, off + (off_t)len);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		len += (size_t)r;
	}
	return (ssize_t)len;
}

static int too_large(struct wstool_call *c, size_t max)
{
	return wstool_fail(c,
			   "There is more than %zu bytes; read a part of "
			   "it, with head or tail",
			   max);
}

/* A whole file, and a NUL behind it. */
static char *read_whole(struct wstool_call *c, const struct wstool_path *p,
			size_t max, size_t *len)
{
	struct stat st;
	autoclose int fd = wstool_open(c, p, "open", &st);
	autofree char *buf = NULL;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (st.st_size > (off_t)max) {
		(void)too_large(c, max);
		return NULL;
	}
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL) {
		(void)wstool_fail_memory(c);
		return NULL;
	}
	n = read_at(fd, buf, (size_t)st.st_size, 0);
	if (n < 0) {
		(void)wstool_fail_errno(c, errno, "read", NULL);
		return NULL;
	}
	buf[n] = '\0';
	*len = (size_t)n;
	return take_ptr(buf);
}

char *wstool_read(struct wstool_call *c, const struct wstool_path *p,
		  size_t *len)
{
	return read_whole(c, p, WSTOOL_TEXT_MAX, len);
}

/*
 * The first and the last lines.
 */

/* Return: whether this was enough. */
static bool take_head(struct jw *text, const char *buf, size_t n,
		      int64_t *lines)
{
	const char *p = buf, *end = buf + n, *nl;

	while (*lines > 0 && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		p = nl + 1;
		--*lines;
	}
	if (*lines == 0)
		end = p;
	jw_lit(text, buf, (size_t)(end - buf));
	return *lines == 0;
}

static int read_head(struct wstool_call *c, const struct wstool_path *p,
		     int64_t lines)
{
	struct stat st;
	autoclose int fd = wstool_open(c, p, "open", &st);
	autofree char *buf = NULL;
	bool done = lines <= 0;
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	buf = malloc(BLOCK);
	if (buf == NULL)
		return wstool_fail_memory(c);
	for (off_t at = 0; !done && n > 0; at += n) {
		n = read_at(fd, buf, BLOCK, at);
		if (n < 0)
			return wstool_fail_errno(c, errno, "read", NULL);
		done = take_head(&c->text, buf, (size_t)n, &lines);
		if (c->text.len > WSTOOL_TEXT_MAX)
			return too_large(c, WSTOOL_TEXT_MAX);
	}
	/* The lines are joined: none behind the last. */
	if (c->text.len > 0 && c->text.buf[c->text.len - 1] == '\n')
		c->text.buf[--c->text.len] = '\0';
	return 0;
}

/* The last newlines of a text.  Return: where the last @lines lines begin; 0
 * when there are no more than that. */
static size_t find_tail(const char *buf, size_t n, int64_t lines)
{
	while (n > 0) {
		if (buf[n - 1] == '\n' && --lines == 0)
			return n;
		n--;
	}
	return 0;
}

/* Read the end of a file, twice as much each time, until it has so many lines.
 * Return: where they begin in it; -1. */
static ssize_t read_end(struct wstool_call *c, int fd, size_t size,
			int64_t lines, struct text *t)
{
	size_t max = size < WSTOOL_TEXT_MAX ? size : WSTOOL_TEXT_MAX;
	size_t want = BLOCK, from = 0;

	for (;; want *= 2) {
		ssize_t n;

		want = want < max ? want : max;
		free(t->s);
		t->s = malloc(want + 1);
		if (t->s == NULL)
			return wstool_fail_memory(c);
		n = read_at(fd, t->s, want, (off_t)(size - want));
		if (n < 0)
			return wstool_fail_errno(c, errno, "read", NULL);
		t->len = (size_t)n;
		from = find_tail(t->s, t->len, lines);
		if (from > 0 || want == max)
			break;
	}
	if (from == 0 && max < size)
		return too_large(c, max);
	return (ssize_t)from;
}

static int read_tail(struct wstool_call *c, const struct wstool_path *p,
		     int64_t lines)
{
	struct stat st;
	autoclose int fd = wstool_open(c, p, "stat", &st);
	struct text t = {0};
	ssize_t from;

	if (fd < 0)
		return -1;
	if (lines == 0)
		return 0;
	from = read_end(c, fd, (size_t)st.st_size, lines, &t);
	if (from >= 0) {
		t.len -= (size_t)from;
		memmove(t.s, t.s + from, t.len);
		textedit_line_ends(&t);
		jw_lit(&c->text, t.s, t.len);
	}
	free(t.s);
	return from < 0 ? -1 : 0;
}

/* A number of lines, that may be any number at all; 0: none was given. */
static double line_count(struct jv v)
{
	const char *raw = jv_raw(v, &(size_t){0});

	return jv_is(v, JV_NUMBER) ? strtod(raw, NULL) : 0;
}

static int64_t whole(double n)
{
	return n > (double)INT32_MAX ? INT32_MAX : n < 0 ? 0 : (int64_t)n;
}

int wstool_read_text_file(struct wstool_call *c)
{
	double head = line_count(jv_get(c->fs.in, "head"));
	double tail = line_count(jv_get(c->fs.in, "tail"));
	struct wstool_path p;
	autofree char *text = NULL;
	size_t len;

	if (wstool_find(c, jv_get(c->fs.in, "path"), &p) < 0)
		return -1;
	if (head != 0 && tail != 0)
		return wstool_fail(c, "Cannot specify both head and tail "
				      "parameters simultaneously");
	if (tail != 0)
		return read_tail(c, &p, whole(tail));
	if (head != 0)
		return read_head(c, &p, whole(ceil(head)));
	text = wstool_read(c, &p, &len);
	if (text == NULL)
		return -1;
	jw_lit(&c->text, text, len);
	return 0;
}

/*
 * Several.
 */

static void read_one(struct wstool_call *c, struct jv path, const char *name)
{
	autofree char *text = NULL;
	struct wstool_path p;
	size_t len = 0;

	if (wstool_find(c, path, &p) == 0)
		text = wstool_read(c, &p, &len);
	jw_lit(&c->text, name, strlen(name));
	if (text != NULL) {
		jw_lit(&c->text, ":\n", 2);
		jw_lit(&c->text, text, len);
		jw_lit(&c->text, "\n", 1);
		return;
	}
	jw_lit(&c->text, ": Error - ", 10);
	jw_lit(&c->text, c->error.buf, c->error.len);
	jw_reset(&c->error);
}

int wstool_read_multiple_files(struct wstool_call *c)
{
	struct jv paths = jv_get(c->fs.in, "paths");

	if (jv_count(paths) == 0)
		return wstool_fail(c, "At least one file path must be "
				      "provided");
	for (struct jv it = jv_first(paths); jv_has(it) && !c->fs.gone;
	     it = jv_next(paths, it)) {
		autofree char *name = jv_strdup(it, NULL);

		if (name == NULL)
			return wstool_fail(c, "a path is no string");
		if (c->text.len > 0)
			jw_lit(&c->text, "\n---\n", 5);
		read_one(c, it, name);
		if (c->text.len > WSTOOL_TEXT_MAX)
			return too_large(c, WSTOOL_TEXT_MAX);
	}
	return 0;
}

/*
 * Images, sounds, and what is neither.
 */

static const char *mime_type(const char *path)
{
	static const struct {
		const char *ext, *type;
	} types[] = {
		{".png", "image/png"},	   {".jpg", "image/jpeg"},
		{".jpeg", "image/jpeg"},   {".gif", "image/gif"},
		{".webp", "image/webp"},   {".bmp", "image/bmp"},
		{".svg", "image/svg+xml"}, {".mp3", "audio/mpeg"},
		{".wav", "audio/wav"},	   {".ogg", "audio/ogg"},
		{".flac", "audio/flac"},
	};
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name != NULL ? name + 1 : path, '.');

	for (size_t i = 0; dot != NULL && i < ARRAY_LEN(types); i++)
		if (strcasecmp(types[i].ext, dot) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* As URLs have it: what is no plain character is percent-encoded. */
static void put_file_url(struct jw *w, const char *root, const char *path)
{
	autojw struct jw url = {0};
	char code[4];

	jw_lit(&url, "file://", 7);
	jw_lit(&url, root, strlen(root));
	jw_lit(&url, "/", 1);
	for (; *path != '\0'; path++) {
		unsigned char ch = (unsigned char)*path;
		bool plain = ch > ' ' && ch < 0x7f &&
			     strchr("\"#%<>?\\^`{}|", ch) == NULL;

		snprintf(code, sizeof(code), plain ? "%c" : "%%%02X", ch);
		jw_lit(&url, code, strlen(code));
	}
	jw_kstr(w, "uri", url.failed ? "" : url.buf);
}

int wstool_read_media_file(struct wstool_call *c)
{
	struct jw *w = &c->item;
	struct wstool_path p;
	autofree char *data = NULL;
	const char *type;
	bool resource;
	size_t len;

	if (wstool_find(c, jv_get(c->fs.in, "path"), &p) < 0)
		return -1;
	data = read_whole(c, &p, WSTOOL_MEDIA_MAX, &len);
	if (data == NULL)
		return -1;
	type = mime_type(p.at);
	resource = strncmp(type, "application/", 12) == 0;
	jw_obj(w);
	jw_key(w, "type");
	jw_strn(w, resource ? "resource" : type, resource ? 8 : 5);
	if (resource) {
		jw_key(w, "resource");
		jw_obj(w);
		put_file_url(w, c->fs.tree->root, p.at);
	}
	jw_key(w, resource ? "blob" : "data");
	base64_write(w, data, len);
	jw_kstr(w, "mimeType", type);
	if (resource)
		jw_obj_end(w);
	jw_obj_end(w);
	return 0;
}
