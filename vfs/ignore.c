// SPDX-License-Identifier: Apache-2.0
/*
 * ignore.c - Which paths of a workspace are left out of its commits
 *
 * A rule without a slash inside is matched with the last component of a path,
 * one with a slash with the whole path below the folder of its file.  There
 * `*`, `?` and [] do not match a slash, and `**` does where it stands for whole
 * components.  One matcher serves both, as a component has no slash.
 *
 * The matcher goes back to the last `*` only, and when that has met a slash to
 * the last `**`: what matched before either need not be tried again, so that no
 * pattern takes exponential time.
 *
 * As in git the text before the first wildcard is compared first and cut off,
 * so that in "foo**" + "/bar" the stars count as whole components.
 */
#include "vfs/ignore.h"

#include <ctype.h>
#include <string.h>

/*
 * What is made again from what is kept, is large, and bears a name that nobody
 * gives to anything else.  Names with a second meaning (build, dist, target,
 * venv, vendor) are not here: losing somebody's work is worse than a large
 * commit.  A folder that says of itself that it is a cache is told by that
 * (collect.c).
 */
static const char built_in[] = "node_modules/\n"
			       "bower_components/\n"
			       ".pnpm-store/\n"
			       ".npm/\n"
			       ".venv/\n"
			       "__pycache__/\n"
			       ".pytest_cache/\n"
			       ".mypy_cache/\n"
			       ".ruff_cache/\n"
			       ".tox/\n"
			       ".nox/\n"
			       ".gradle/\n"
			       ".cache/\n"
			       ".parcel-cache/\n"
			       ".turbo/\n"
			       ".next/\n"
			       ".nuxt/\n"
			       ".svelte-kit/\n";

/* One line of a file.  @text has no NUL and is not terminated by one. */
struct rule {
	const char *text;
	size_t len;
	size_t n_literal; /* Bytes before the first wildcard or escape. */
	bool keeps;	  /* ! */
	bool dirs_only;	  /* Ended in a slash. */
	bool by_name;	  /* Has no slash inside. */
};

/* The rules of one file. */
struct rule_file {
	char *dir; /* Without a slash at the end. */
	size_t dir_len;
	char *text;
	struct rule *rules;
	size_t n;
};

struct vfs_ignore {
	struct rule_file *files; /* The built-in list, then by depth. */
	size_t n, cap;
	size_t n_rules;
};

/*
 * Matching.
 */

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == '\\';
}

static bool in_named_class(const char *name, size_t n, unsigned char c)
{
	static const struct {
		const char *name;
		int (*has)(int c);
	} classes[] = {
		{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank},
		{"cntrl", iscntrl}, {"digit", isdigit}, {"graph", isgraph},
		{"lower", islower}, {"print", isprint}, {"punct", ispunct},
		{"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (strlen(classes[i].name) == n &&
		    memcmp(classes[i].name, name, n) == 0)
			return c < 0x80 && classes[i].has(c) != 0;
	return false;
}

static bool is_named_class(const char *name, size_t n)
{
	/* Every name has a member among these. */
	static const unsigned char members[] = {'a', 'A', '0', '.', ' ', 1};

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (in_named_class(name, n, members[i]))
			return true;
	return false;
}

/*
 * One [] at @p, behind the bracket.  Return: behind the closing one; NULL when
 * it is not well formed, and then the pattern matches nothing.
 */
static const char *match_set(const char *p, const char *end, unsigned char c,
			     bool *hit)
{
	bool negated = p < end && (*p == '!' || *p == '^'), found = false;
	unsigned char low = 0; /* Where a range could begin. */

	if (negated)
		p++;
	for (bool first = true;; first = false) {
		const char *close;
		unsigned char high;

		if (p == end)
			return NULL;
		if (*p == ']' && !first)
			break;
		close = p + 1 < end && p[0] == '[' && p[1] == ':'
				? memchr(p + 2, ']', (size_t)(end - p - 2))
				: NULL;
		if (p[0] == '[' && p + 1 < end && p[1] == ':' && close == NULL)
			return NULL;
		if (close != NULL && close > p + 2 && close[-1] == ':') {
			size_t n = (size_t)(close - p - 3);

			if (!is_named_class(p + 2, n))
				return NULL;
			found |= in_named_class(p + 2, n, c);
			low = 0;
			p = close + 1;
			continue;
		}
		if (*p == '-' && low != 0 && p + 1 < end && p[1] != ']') {
			if (*++p == '\\' && ++p == end)
				return NULL;
			high = (unsigned char)*p++;
			found |= c >= low && c <= high;
			low = 0;
			continue;
		}
		if (*p == '\\' && ++p == end)
			return NULL;
		high = (unsigned char)*p++;
		found |= c == high;
		low = high;
	}
	*hit = found != negated && c != '/';
	return p + 1;
}

/* One byte of the text with what is not a star at @p.  Return: what follows in
 * the pattern; NULL when it does not match. */
static const char *match_one(const char *p, const char *end, char c)
{
	bool hit = false;

	switch (*p) {
	case '?':
		return c == '/' ? NULL : p + 1;
	case '[':
		p = match_set(p + 1, end, (unsigned char)c, &hit);
		return hit ? p : NULL;
	case '\\':
		return p + 1 < end && p[1] == c ? p + 2 : NULL;
	default:
		return *p == c ? p + 1 : NULL;
	}
}

/* Stars at @p stand for whole components: **, with slashes or ends around. */
static bool is_deep(const char *pattern, const char *p, const char *after,
		    const char *end)
{
	return after - p > 1 && (p == pattern || p[-1] == '/') &&
	       (after == end || *after == '/' ||
		(after + 1 < end && after[0] == '\\' && after[1] == '/'));
}

/* Where to go on when what was tried does not match. */
struct retry {
	const char *p, *t; /* p: NULL when there is nothing to go back to. */
};

static bool match_glob(const char *pattern, size_t len, const char *t)
{
	const char *p = pattern, *end = pattern + len, *next;
	struct retry star = {0}, deep = {0};

	for (;;) {
		if (p < end && *p == '*') {
			const char *stars = p;

			while (p < end && *p == '*')
				p++;
			if (!is_deep(pattern, stars, p, end)) {
				star = (struct retry){p, t};
				continue;
			}
			if (p == end)
				return true;
			deep = (struct retry){p, t};
			star.p = NULL;
			/* Before a slash it may also stand for nothing. */
			p += *p == '/';
			continue;
		}
		if (*t == '\0' && p == end)
			return true;
		next = *t != '\0' && p < end ? match_one(p, end, *t) : NULL;
		if (next != NULL) {
			p = next;
			t++;
			continue;
		}
		if (star.p != NULL && *star.t != '\0' && *star.t != '/') {
			p = star.p;
			t = ++star.t;
			continue;
		}
		/* Its slash is the next one of the text. */
		star.p = NULL;
		next = deep.p == NULL ? NULL : strchr(deep.t, '/');
		if (next == NULL)
			return false;
		deep.t = t = next + 1;
		p = deep.p + (*deep.p == '\\' ? 2 : 1);
	}
}

static bool rule_matches(const struct rule *r, const char *name)
{
	if (strncmp(r->text, name, r->n_literal) != 0)
		return false;
	return match_glob(r->text + r->n_literal, r->len - r->n_literal,
			  name + r->n_literal);
}

/* The part of @path below the folder of @f, or NULL. */
static const char *below(const struct rule_file *f, const char *path)
{
	if (f->dir_len == 0)
		return path;
	if (strncmp(path, f->dir, f->dir_len) != 0 || path[f->dir_len] != '/')
		return NULL;
	return path + f->dir_len + 1;
}

enum vfs_ignore_verdict vfs_ignore_ask(const struct vfs_ignore *ig,
				       const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;

	for (size_t i = ig->n; i-- > 0;) {
		const struct rule_file *f = &ig->files[i];
		const char *inner = below(f, path);

		for (size_t k = inner == NULL ? 0 : f->n; k-- > 0;) {
			const struct rule *r = &f->rules[k];

			if (r->dirs_only && !is_dir)
				continue;
			if (rule_matches(r, r->by_name ? name : inner))
				return r->keeps ? VFS_IGNORE_KEEP
						: VFS_IGNORE_SKIP;
		}
	}
	return VFS_IGNORE_UNSAID;
}

/*
 * Reading a file.
 */

/* Without spaces at the end, but for those behind a backslash. */
static size_t trimmed(const char *line, size_t n)
{
	size_t end = 0;

	for (size_t i = 0; i < n; i++) {
		if (line[i] == '\\') {
			if (++i >= n)
				return n;
			end = i + 1;
		} else if (line[i] != ' ') {
			end = i + 1;
		}
	}
	return end;
}

/* Return: false for a line that is no rule. */
static bool parse_rule(const char *line, size_t n, struct rule *out)
{
	struct rule r = {0};

	/* As in git, a NUL ends its line only. */
	n = strnlen(line, n);
	if (n > 0 && line[n - 1] == '\r')
		n--;
	n = trimmed(line, n);
	if (n == 0 || line[0] == '#')
		return false;
	r.keeps = line[0] == '!';
	line += r.keeps;
	n -= r.keeps;
	r.dirs_only = n > 0 && line[n - 1] == '/';
	n -= r.dirs_only;
	r.by_name = memchr(line, '/', n) == NULL;
	if (n > 0 && line[0] == '/') {
		line++;
		n--;
	}
	if (n == 0)
		return false;
	r.text = line;
	r.len = n;
	while (r.n_literal < n && !is_special(line[r.n_literal]))
		r.n_literal++;
	*out = r;
	return true;
}

static size_t count_lines(const char *text, size_t n)
{
	size_t lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

static void parse_rules(struct rule_file *f, size_t len, size_t max)
{
	char *p = f->text, *end = p + len, *eol;

	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p < end && f->n < max; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (eol == NULL)
			eol = end;
		f->n += parse_rule(p, (size_t)(eol - p), &f->rules[f->n]);
	}
}

static void rule_file_done(struct rule_file *f)
{
	free(f->dir);
	free(f->text);
	free(f->rules);
}

static int add_file(struct vfs_ignore *ig, const char *dir, const char *text,
		    size_t n)
{
	struct rule_file f = {.dir = strdup(dir), .dir_len = strlen(dir)};
	struct rule_file *grown = ig->files;
	size_t cap = ig->n < ig->cap ? ig->cap : 2 * ig->cap + 8;

	if (n > VFS_IGNORE_BYTES_MAX)
		n = VFS_IGNORE_BYTES_MAX;
	f.text = malloc(n + 1);
	f.rules = calloc(count_lines(text, n), sizeof(*f.rules));
	if (cap > ig->cap)
		grown = reallocarray(ig->files, cap, sizeof(*grown));
	if (grown != NULL) {
		ig->files = grown;
		ig->cap = cap;
	}
	if (f.dir == NULL || f.text == NULL || f.rules == NULL ||
	    grown == NULL) {
		rule_file_done(&f);
		return -ENOMEM;
	}
	memcpy(f.text, text, n);
	parse_rules(&f, n, VFS_IGNORE_RULES_MAX - ig->n_rules);
	ig->n_rules += f.n;
	ig->files[ig->n++] = f;
	return 0;
}

/*
 * The walk.
 */

static void drop_last(struct vfs_ignore *ig)
{
	struct rule_file *f = &ig->files[--ig->n];

	ig->n_rules -= f->n;
	rule_file_done(f);
}

int vfs_ignore_enter(struct vfs_ignore *ig, const char *dir, const char *text,
		     size_t n)
{
	while (ig->n > 1 && below(&ig->files[ig->n - 1], dir) == NULL)
		drop_last(ig);
	return text == NULL ? 0 : add_file(ig, dir, text, n);
}

int vfs_ignore_new(struct vfs_ignore **out)
{
	struct vfs_ignore *ig = calloc(1, sizeof(*ig));

	if (ig == NULL)
		return -ENOMEM;
	if (add_file(ig, "", built_in, sizeof(built_in) - 1) < 0) {
		vfs_ignore_free(ig);
		return -ENOMEM;
	}
	*out = ig;
	return 0;
}

void vfs_ignore_free(struct vfs_ignore *ig)
{
	if (ig == NULL)
		return;
	while (ig->n > 0)
		drop_last(ig);
	free(ig->files);
	free(ig);
}
