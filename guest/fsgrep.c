// SPDX-License-Identifier: Apache-2.0
/*
 * fsgrep.c - Find lines
 *
 *	grep {pattern, path: "/", regex: false, ignore_case: false,
 *	      include: "*.c", limit}
 *		-> {"matches":[{path, line, column, text}..], "files": N,
 *		    "truncated": bool}
 *
 * A regular expression is a POSIX extended one.  In every folder but .git, files
 * that hold a NUL near their beginning are left out, and links are not followed.
 * "column" counts bytes, both count from 1.  It is cut, and says so, at the
 * limit of matches, of bytes or of time.
 *
 * Whoever may read files may ask for any expression, and regexec() cannot be
 * stopped: those that make it slow are refused, which are references to a group
 * before, and repetitions that multiply each other.
 */
#include <ctype.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <regex.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "guest/fsat.h"
#include "guest/fsops.h"
#include "guest/fswalk.h"
#include "guest/limits.h"
#include "vfs/path.h"

#define BINARY_LOOK 8192 /* A NUL in so many first bytes. */

struct grep {
	struct fscall *call;
	char pattern[FS_GREP_PATTERN + 1];
	size_t pattern_len;
	char include[VFS_PATH_NAME_MAX + 1];
	regex_t regex;
	bool is_regex, ignore_case;
	char *buf; /* FS_CHUNK and a NUL. */
	int64_t left;
	int64_t bytes, files;
	int64_t until_ms;
	bool truncated;
};

static int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_over(struct grep *g)
{
	if (g->left > 0 && g->bytes < FS_GREP_BYTES &&
	    clock_ms() < g->until_ms && !atomic_load(&g->call->gone))
		return false;
	g->truncated = true;
	return true;
}

/*
 * One line.
 */

static const char *find_text(const struct grep *g, const char *s, size_t n)
{
	if (!g->ignore_case)
		return memmem(s, n, g->pattern, g->pattern_len);
	for (size_t i = 0; i + g->pattern_len <= n; i++)
		if (strncasecmp(s + i, g->pattern, g->pattern_len) == 0)
			return s + i;
	return NULL;
}

/* Return: the offset of the match, or -1. */
static ssize_t find(const struct grep *g, const char *s, size_t n)
{
	regmatch_t m = {.rm_so = 0, .rm_eo = (regoff_t)n};
	const char *at;

	if (g->is_regex)
		return regexec(&g->regex, s, 1, &m, REG_STARTEND) == 0
			       ? (ssize_t)m.rm_so
			       : -1;
	at = find_text(g, s, n);
	return at != NULL ? at - s : -1;
}

static void put_match(struct grep *g, const char *path, int64_t line,
		      size_t column, const char *s, size_t n)
{
	struct jw *w = &g->call->out;

	jw_obj(w);
	vfs_path_put(w, "path", path, strlen(path));
	jw_kint(w, "line", line);
	jw_kint(w, "column", (int64_t)column + 1);
	jw_key(w, "text");
	jw_strn(w, s, n < FS_GREP_SHOWN ? n : FS_GREP_SHOWN);
	jw_obj_end(w);
	g->left--;
}

/*
 * One file.
 */

struct scan {
	struct grep *g;
	const char *path;
	int64_t line;
	bool cut; /* We are in a line whose beginning was looked at. */
};

static void scan_line(struct scan *s, const char *text, size_t n, bool whole)
{
	size_t looked = n < FS_GREP_LINE ? n : FS_GREP_LINE;
	ssize_t at = s->cut ? -1 : find(s->g, text, looked);

	if (at >= 0)
		put_match(s->g, s->path, s->line, (size_t)at, text, looked);
	s->cut = !whole;
	s->line += whole;
}

/* The whole lines in a buffer, and, if it is full, what is there of the last
 * one.  Return: the bytes that are done with. */
static size_t scan_buffer(struct scan *s, const char *buf, size_t n, bool last)
{
	const char *p = buf, *end = buf + n, *nl;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		scan_line(s, p, (size_t)(nl - p), true);
		p = nl + 1;
		if (s->g->left == 0)
			return n;
	}
	if (p < end && (last || (size_t)(end - p) >= FS_GREP_LINE)) {
		scan_line(s, p, (size_t)(end - p), last);
		p = end;
	}
	return (size_t)(p - buf);
}

static void scan_file(struct grep *g, const char *path, int fd)
{
	struct scan s = {.g = g, .path = path, .line = 1};
	size_t have = 0;
	bool first = true;
	ssize_t n;

	do {
		size_t done;

		n = read(fd, g->buf + have, FS_CHUNK - have);
		if (n < 0)
			return;
		g->bytes += n;
		have += (size_t)n;
		if (first && memchr(g->buf, '\0',
				    have < BINARY_LOOK ? have : BINARY_LOOK))
			return;
		first = false;
		done = scan_buffer(&s, g->buf, have, n == 0);
		memmove(g->buf, g->buf + done, have - done);
		have -= done;
	} while (n > 0 && !is_over(g));
	g->files++;
}

static int grep_entry(const struct fswalk_entry *en, void *arg)
{
	struct grep *g = arg;
	struct err none = {0};
	struct stat st;
	autoclose int fd = -1;

	if (is_over(g))
		return FSWALK_END;
	if (S_ISDIR(en->st->st_mode))
		return strcmp(en->name, ".git") == 0 ? FSWALK_SKIP : 0;
	if (!S_ISREG(en->st->st_mode) ||
	    (g->include[0] != '\0' && fnmatch(g->include, en->name, 0) != 0))
		return 0;
	fd = fsat_file(g->call->root, en->path, O_RDONLY, &st, &none);
	if (fd >= 0)
		scan_file(g, en->path, fd);
	return g->call->out.failed ? FSWALK_END : 0;
}

/*
 * The question.
 */

/* See above. */
static int check_regex(const char *p, struct err *e)
{
	unsigned long repeats = 1;

	for (; *p != '\0'; p++) {
		if (*p == '\\' && isdigit((unsigned char)p[1]))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "pattern: no references to groups");
		if (*p == '\\' && p[1] != '\0') {
			p++;
		} else if (*p == '{') {
			unsigned long n = strtoul(p + 1, NULL, 10);
			const char *comma = p + 1 + strspn(p + 1, "0123456789");

			if (*comma == ',' && strtoul(comma + 1, NULL, 10) > n)
				n = strtoul(comma + 1, NULL, 10);
			n = n > 0 ? n : 1;
			if (n > FS_GREP_REPEATS ||
			    repeats > FS_GREP_REPEATS / n)
				return err_set(e, -FAULT_INVALID_ARGUMENT,
					       "pattern: too many repetitions");
			repeats *= n;
		}
	}
	return 0;
}

static int compile(struct grep *g, struct err *e)
{
	int flags = REG_EXTENDED | (g->ignore_case ? REG_ICASE : 0);
	char why[80];
	int r;

	if (check_regex(g->pattern, e) < 0)
		return e->code;
	r = regcomp(&g->regex, g->pattern, flags);
	if (r == 0)
		return 0;
	regerror(r, &g->regex, why, sizeof(why));
	return err_set(e, -FAULT_INVALID_ARGUMENT, "pattern: %s", why);
}

static int get_params(struct grep *g, struct err *e)
{
	struct jv in = g->call->in, limit = jv_get(in, "limit");
	int n = jv_strcpy(jv_get(in, "pattern"), g->pattern,
			  sizeof(g->pattern));

	if (n <= 0 || strchr(g->pattern, '\n') != NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "pattern is no line of 1 to %d bytes",
			       FS_GREP_PATTERN);
	g->pattern_len = (size_t)n;
	if (jv_has(jv_get(in, "include")) &&
	    jv_strcpy(jv_get(in, "include"), g->include, sizeof(g->include)) <
		    0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "include is no pattern of names");
	g->left = jv_int(limit, FS_GREP_DEFAULT);
	if ((jv_has(limit) && !jv_is(limit, JV_NUMBER)) || g->left < 1)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "limit is no number of 1 or more");
	if (g->left > FS_GREP_MAX)
		g->left = FS_GREP_MAX;
	g->ignore_case = jv_bool(jv_get(in, "ignore_case"), false);
	g->is_regex = jv_bool(jv_get(in, "regex"), false);
	return g->is_regex ? compile(g, e) : 0;
}

/* One file, or all below a folder. */
static int search(struct grep *g, const char *path, struct err *e)
{
	const struct fswalk_spec walk = {
		.root = g->call->root,
		.passing = g->call->tree->passing,
		.path = path,
		.depth = VFS_PATH_MAX,
		.entry = grep_entry,
		.arg = g,
	};
	struct stat st;
	autoclose int look = fsat_look(g->call->root, path, true, e);
	autoclose int fd = -1;

	if (look < 0)
		return look;
	if (fstat(look, &st) == 0 && S_ISDIR(st.st_mode))
		return fswalk(&walk, e);
	fd = fsat_file(g->call->root, path, O_RDONLY, &st, e);
	if (fd < 0)
		return fd;
	scan_file(g, path, fd);
	return 0;
}

static int run(struct grep *g, const char *path, struct err *e)
{
	struct jw *w = &g->call->out;
	int r;

	g->buf = malloc(FS_CHUNK + 1);
	if (g->buf == NULL)
		return err_set(e, -ENOMEM, "grep: out of memory");
	g->until_ms = clock_ms() + FS_GREP_MS;
	jw_obj(w);
	jw_key(w, "matches");
	jw_arr(w);
	r = search(g, path, e);
	jw_arr_end(w);
	jw_kint(w, "files", g->files);
	jw_kbool(w, "truncated", g->truncated);
	jw_obj_end(w);
	free(g->buf);
	return r;
}

int fs_grep(struct fscall *c, struct err *e)
{
	struct grep g = {.call = c};
	struct vfs_path path = {0};
	bool has_path = jv_has(jv_get(c->in, "path")) ||
			jv_has(jv_get(c->in, "path_b64"));
	int r;

	if ((has_path && vfs_path_get(&path, c->in, "path", e) < 0) ||
	    get_params(&g, e) < 0)
		return e->code;
	r = run(&g, path.text, e);
	if (g.is_regex)
		regfree(&g.regex);
	return r;
}
