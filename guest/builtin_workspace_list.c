// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_list.c - The server "workspace": folders
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/utf8.h"
#include "guest/builtin_workspace.h"
#include "guest/fsat.h"
#include "guest/fswalk.h"
#include "guest/glob.h"
#include "guest/limits.h"

#define NAME_COLUMNS 30
#define SIZE_COLUMNS 10

/* A folder that can be listed, or the call has an error. */
static int find_folder(struct wstool_call *c, struct wstool_path *p)
{
	autoclose int fd = -1;

	if (wstool_find(c, jv_get(c->fs.in, "path"), p) < 0)
		return -1;
	fd = fsat_resolve(c->fs.root, p->at,
			  O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	return fd < 0 ? wstool_fail_errno(c, -fd, "scandir", p->at) : 0;
}

static int walk(struct wstool_call *c, const struct wstool_path *p,
		unsigned depth,
		int (*entry)(const struct fswalk_entry *en, void *arg),
		void *arg)
{
	const struct fswalk_spec spec = {
		.root = c->fs.root,
		.passing = c->fs.tree->passing,
		.path = p->at,
		.depth = depth,
		.entry = entry,
		.arg = arg,
	};
	struct err e = {0};

	if (fswalk(&spec, &e) < 0)
		return wstool_fail_err(c, &e, "scandir", p->at);
	if (wstool_is_over(c))
		return wstool_fail(c, "It has taken too long");
	if (c->text.len > WSTOOL_TEXT_MAX)
		return wstool_fail(c, "There is more than %u bytes to tell",
				   WSTOOL_TEXT_MAX);
	return 0;
}

/* Is it enough? */
static bool is_over(const struct wstool_call *c)
{
	return wstool_is_over(c) || c->text.len > WSTOOL_TEXT_MAX;
}

static void put_text(struct wstool_call *c, const char *s)
{
	jw_lit(&c->text, s, strlen(s));
}

/*
 * Names.
 */

static int list_on_entry(const struct fswalk_entry *en, void *arg)
{
	struct wstool_call *c = arg;

	if (c->text.len > 0)
		put_text(c, "\n");
	put_text(c, S_ISDIR(en->st->st_mode) ? "[DIR] " : "[FILE] ");
	put_text(c, en->name);
	return is_over(c) ? FSWALK_END : 0;
}

int wstool_list_directory(struct wstool_call *c)
{
	struct wstool_path p;

	if (find_folder(c, &p) < 0)
		return -1;
	return walk(c, &p, 1, list_on_entry, c);
}

/*
 * Names and sizes.
 */

struct sized {
	char *name;
	bool folder;
	int64_t size;
	size_t at; /* In the folder. */
};

struct sizes {
	struct wstool_call *c;
	struct sized *v;
	size_t n, cap;
};

static int64_t size_of(struct wstool_call *c, const struct fswalk_entry *en)
{
	autoclose int fd = -1;
	struct stat st;

	if (!S_ISLNK(en->st->st_mode))
		return en->st->st_size;
	fd = fsat_resolve(c->fs.root, en->path, O_PATH);
	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

static int sizes_on_entry(const struct fswalk_entry *en, void *arg)
{
	struct sizes *s = arg;
	struct sized *grown;

	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 64;
		grown = reallocarray(s->v, s->cap, sizeof(*s->v));
		if (grown == NULL)
			return FSWALK_END;
		s->v = grown;
	}
	s->v[s->n] = (struct sized){
		.name = strdup(en->name),
		.folder = S_ISDIR(en->st->st_mode),
		.size = size_of(s->c, en),
		.at = s->n,
	};
	if (s->v[s->n].name == NULL)
		return FSWALK_END;
	s->n++;
	return is_over(s->c) ? FSWALK_END : 0;
}

/* Where people look for an ASCII character, whatever its case: signs, digits,
 * letters (as the root collation of Unicode has it); others behind them. */
static int rank(unsigned char c)
{
	static const char signs[] = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
	const char *sign = c != '\0' ? strchr(signs, c) : NULL;

	if (c == '\0')
		return 0;
	return sign != NULL ? (int)(sign - signs) + 1 : 0x100 + tolower(c);
}

static int by_name(const void *left, const void *right)
{
	const struct sized *a = left, *b = right;
	const unsigned char *p = (const unsigned char *)a->name;
	const unsigned char *q = (const unsigned char *)b->name;

	while (*p != '\0' && rank(*p) == rank(*q)) {
		p++;
		q++;
	}
	if (rank(*p) != rank(*q))
		return rank(*p) < rank(*q) ? -1 : 1;
	return -strcmp(a->name, b->name); /* Small letters first. */
}

static int by_size(const void *left, const void *right)
{
	const struct sized *a = left, *b = right;

	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->at < b->at ? -1 : 1;
}

static void format_size(int64_t bytes, char out[32])
{
	static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
	double n = (double)bytes;
	size_t unit = 0;

	while (n >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		n /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(out, 32, "%lld B", (long long)bytes);
	else /* Halves go up. */
		snprintf(out, 32, "%lld.%02lld %s",
			 (long long)(n * 100 + 0.5) / 100,
			 (long long)(n * 100 + 0.5) % 100, units[unit]);
}

/* Columns, counted as JavaScript counts. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		n += utf8_is_tail(c) ? 0 : 1;
		n += c >= 0xf0 ? 1 : 0;
	}
	return n;
}

static void put_sized(struct wstool_call *c, const struct sized *s)
{
	size_t width = width_of(s->name);
	char size[32] = "", line[64];

	put_text(c, s->folder ? "[DIR] " : "[FILE] ");
	put_text(c, s->name);
	snprintf(line, sizeof(line), "%*s ",
		 width < NAME_COLUMNS ? (int)(NAME_COLUMNS - width) : 0, "");
	put_text(c, line);
	if (!s->folder) {
		format_size(s->size, size);
		snprintf(line, sizeof(line), "%*s", SIZE_COLUMNS, size);
		put_text(c, line);
	}
	put_text(c, "\n");
}

static void put_totals(struct sizes *s)
{
	int64_t total = 0, folders = 0;
	char size[32], text[128];

	for (size_t i = 0; i < s->n; i++) {
		folders += s->v[i].folder;
		total += s->v[i].folder ? 0 : s->v[i].size;
	}
	format_size(total, size);
	snprintf(text, sizeof(text),
		 "\nTotal: %lld files, %lld directories\nCombined size: %s",
		 (long long)s->n - folders, (long long)folders, size);
	put_text(s->c, text);
}

int wstool_list_directory_with_sizes(struct wstool_call *c)
{
	bool sizes_first = jv_eq(jv_get(c->fs.in, "sortBy"), "size");
	struct sizes s = {.c = c};
	struct wstool_path p;
	int r;

	if (find_folder(c, &p) < 0)
		return -1;
	r = walk(c, &p, 1, sizes_on_entry, &s);
	if (s.n > 0)
		qsort(s.v, s.n, sizeof(*s.v), sizes_first ? by_size : by_name);
	for (size_t i = 0; r == 0 && i < s.n; i++)
		put_sized(c, &s.v[i]);
	if (r == 0)
		put_totals(&s);
	for (size_t i = 0; i < s.n; i++)
		free(s.v[i].name);
	free(s.v);
	return r;
}

/*
 * Patterns.
 */

struct globs {
	struct glob *v[3 * WSTOOL_PATTERNS_MAX];
	size_t n;
};

static void globs_free(struct globs *g)
{
	for (size_t i = 0; i < g->n; i++)
		glob_free(g->v[i]);
}

static int add_glob(struct wstool_call *c, struct globs *g, const char *before,
		    const char *pattern, const char *behind)
{
	char text[GLOB_PATTERN_MAX + 16];
	struct err e = {0};

	if (strlen(pattern) > GLOB_PATTERN_MAX)
		return wstool_fail(c, "pattern is too long");
	snprintf(text, sizeof(text), "%s%s%s", before, pattern, behind);
	if (glob_new(text, &g->v[g->n], &e) < 0)
		return wstool_fail(c, "%s", e.msg);
	g->n++;
	return 0;
}

/* The argument excludePatterns.  @deep: one without "*" also means what is
 * anywhere of that name, and what is in it. */
static int take_excludes(struct wstool_call *c, struct globs *g, bool deep)
{
	struct jv list = jv_get(c->fs.in, "excludePatterns");
	int r = 0;

	if (jv_count(list) > WSTOOL_PATTERNS_MAX)
		return wstool_fail(c, "more than %d patterns",
				   WSTOOL_PATTERNS_MAX);
	for (struct jv it = jv_first(list); r == 0 && jv_has(it);
	     it = jv_next(list, it)) {
		autofree char *text = jv_strdup(it, NULL);

		if (text == NULL)
			return wstool_fail(c, "a pattern is no string");
		r = add_glob(c, g, "", text, "");
		if (r == 0 && deep && strchr(text, '*') == NULL) {
			r = add_glob(c, g, "**/", text, "");
			if (r == 0)
				r = add_glob(c, g, "**/", text, "/**");
		}
	}
	return r;
}

static bool is_excluded(const struct globs *g, const char *path)
{
	for (size_t i = 0; i < g->n; i++)
		if (glob_match(g->v[i], path))
			return true;
	return false;
}

/* The path of an entry, from the folder that is walked on. */
static const char *from_folder(const char *path, const struct wstool_path *p)
{
	size_t n = strlen(p->at);

	return n > 0 ? path + n + 1 : path;
}

/*
 * The tree.
 */

struct tree {
	struct wstool_call *c;
	const struct wstool_path *p;
	struct globs excludes;
	unsigned depth; /* Of the list that is open. */
	bool empty;	/* It has no element. */
};

static void put_indent(struct tree *t, unsigned depth)
{
	jw_lit(&t->c->text, "\n", 1);
	for (unsigned i = 0; i < depth; i++)
		jw_lit(&t->c->text, "  ", 2);
}

/* Close lists down to one of that depth: each is a member of an object. */
static void close_lists(struct tree *t, unsigned depth)
{
	for (; t->depth > depth; t->depth--) {
		if (!t->empty)
			put_indent(t, 2 * t->depth);
		put_text(t->c, "]");
		put_indent(t, 2 * t->depth - 1);
		put_text(t->c, "}");
		t->empty = false;
	}
}

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	while ((path = strchr(path, '/')) != NULL) {
		path++;
		n++;
	}
	return n;
}

static void put_node(struct tree *t, const char *name, bool folder)
{
	unsigned indent = 2 * t->depth + 1;
	autojw struct jw text = {0};

	put_text(t->c, t->empty ? "" : ",");
	put_indent(t, indent);
	put_text(t->c, "{");
	put_indent(t, indent + 1);
	jw_strn(&text, name, strlen(name));
	put_text(t->c, "\"name\": ");
	put_text(t->c, text.failed ? "\"\"" : text.buf);
	put_text(t->c, ",");
	put_indent(t, indent + 1);
	put_text(t->c, "\"type\": ");
	put_text(t->c, folder ? "\"directory\"," : "\"file\"");
	put_indent(t, folder ? indent + 1 : indent);
	put_text(t->c, folder ? "\"children\": [" : "}");
	t->empty = folder;
	t->depth += folder;
}

static int tree_on_entry(const struct fswalk_entry *en, void *arg)
{
	struct tree *t = arg;
	const char *path = from_folder(en->path, t->p);

	if (is_over(t->c))
		return FSWALK_END;
	if (is_excluded(&t->excludes, path))
		return FSWALK_SKIP;
	close_lists(t, depth_of(path));
	put_node(t, en->name, S_ISDIR(en->st->st_mode));
	return 0;
}

int wstool_directory_tree(struct wstool_call *c)
{
	struct tree t = {.c = c, .empty = true};
	struct wstool_path p;
	int r = find_folder(c, &p);

	t.p = &p;
	if (r == 0)
		r = take_excludes(c, &t.excludes, true);
	if (r == 0) {
		put_text(c, "[");
		r = walk(c, &p, FS_DEPTH_MAX, tree_on_entry, &t);
	}
	close_lists(&t, 0);
	put_text(c, t.empty ? "]" : "\n]");
	globs_free(&t.excludes);
	return r;
}

/*
 * The search.
 */

struct search {
	struct wstool_call *c;
	const struct wstool_path *p;
	struct globs excludes, wanted;
};

/* What a link leads out to, or to nothing, is not shown. */
static bool can_be_opened(struct wstool_call *c, const struct fswalk_entry *en)
{
	autoclose int fd = -1;

	if (!S_ISLNK(en->st->st_mode))
		return true;
	fd = fsat_resolve(c->fs.root, en->path, O_PATH);
	return fd >= 0;
}

static int search_on_entry(const struct fswalk_entry *en, void *arg)
{
	struct search *s = arg;
	struct wstool_call *c = s->c;
	const char *path = from_folder(en->path, s->p);

	if (is_over(c))
		return FSWALK_END;
	if (!can_be_opened(c, en) || is_excluded(&s->excludes, path))
		return FSWALK_SKIP;
	if (!is_excluded(&s->wanted, path))
		return 0;
	put_text(c, c->text.len > 0 ? "\n" : "");
	put_text(c, c->fs.tree->root);
	put_text(c, "/");
	put_text(c, en->path);
	return 0;
}

int wstool_search_files(struct wstool_call *c)
{
	autofree char *pattern = jv_strdup(jv_get(c->fs.in, "pattern"), NULL);
	struct search s = {.c = c};
	struct wstool_path p;
	int r = find_folder(c, &p);

	s.p = &p;
	if (r == 0)
		r = take_excludes(c, &s.excludes, false);
	if (r == 0)
		r = add_glob(c, &s.wanted, "", pattern ? pattern : "", "");
	if (r == 0)
		r = walk(c, &p, FS_DEPTH_MAX, search_on_entry, &s);
	if (r == 0 && c->text.len == 0)
		put_text(c, "No matches found");
	globs_free(&s.excludes);
	globs_free(&s.wanted);
	return r;
}

/*
 * One entry.
 */

static void put_time(struct wstool_call *c, const char *key,
		     const struct statx_timestamp *t)
{
	time_t seconds = t->tv_sec;
	char text[128];
	struct tm tm;

	put_text(c, key);
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text),
		 ": %a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal "
		 "Time)\n",
		 &tm);
	put_text(c, text);
}

int wstool_get_file_info(struct wstool_call *c)
{
	struct wstool_path p;
	struct statx st;
	autoclose int fd = -1;
	char text[128];

	if (wstool_find(c, jv_get(c->fs.in, "path"), &p) < 0)
		return -1;
	fd = fsat_resolve(c->fs.root, p.at, O_PATH);
	if (fd < 0)
		return wstool_fail_errno(c, -fd, "stat", p.at);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) <
	    0)
		return wstool_fail_errno(c, errno, "stat", p.at);
	snprintf(text, sizeof(text), "size: %llu\n",
		 (unsigned long long)st.stx_size);
	put_text(c, text);
	put_time(c, "created", &st.stx_btime);
	put_time(c, "modified", &st.stx_mtime);
	put_time(c, "accessed", &st.stx_atime);
	snprintf(text, sizeof(text),
		 "isDirectory: %s\nisFile: %s\npermissions: %03o",
		 S_ISDIR(st.stx_mode) ? "true" : "false",
		 S_ISREG(st.stx_mode) ? "true" : "false",
		 (unsigned)(st.stx_mode & 0777));
	put_text(c, text);
	return 0;
}

int wstool_list_allowed_directories(struct wstool_call *c)
{
	put_text(c, "Allowed directories:\n");
	put_text(c, c->fs.tree->root);
	return 0;
}
