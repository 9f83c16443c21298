// SPDX-License-Identifier: Apache-2.0
/*
 * linediff.c - What changed between two texts, as a unified diff
 *
 * The way from one text to the other is looked for as E. W. Myers, "An O(ND)
 * Difference Algorithm and Its Variations" (1986) has it: for each number of
 * edits, on each diagonal, the path that has come farthest in the old text.
 * Which of two equal paths is taken, and that no path runs off the edges, is as
 * in the JavaScript library, since there are many shortest ways.
 *
 * A path is a chain of runs, the last one first; chains share their beginnings,
 * and all runs are in one array, so that giving up is one free().
 */
#include "guest/linediff.h"

#include <stdio.h>
#include <string.h>

#define CONTEXT 4

#define UNDERLINE \
	"==================================================================="

struct line {
	const char *text; /* With its newline, if it has one. */
	size_t len;
	uint32_t hash;
};

struct lines {
	struct line *v;
	long n;
};

enum run_kind { RUN_SAME, RUN_ADDED, RUN_REMOVED };

struct run {
	enum run_kind kind;
	long count; /* Lines. */
	long prev;  /* Index, or -1. */
};

struct path {
	bool used;
	long old;  /* Index of the last old line on it. */
	long last; /* Run, or -1. */
};

struct search {
	struct lines a, b; /* The old text and the new one. */
	struct run *runs;
	size_t n_runs, cap_runs;
	struct path *best; /* Of each diagonal, from -LINEDIFF_EDITS_MAX - 1. */
	long min, max;	   /* Diagonals that are still looked at. */
	bool failed;	   /* Out of memory. */
};

/*
 * Lines.
 */

static uint32_t hash_of(const char *s, size_t n)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static int split(struct lines *l, const char *s, size_t n)
{
	const char *end = s + n;
	size_t count = 1;

	for (const char *p = s; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		count++;
	l->v = calloc(count, sizeof(*l->v));
	if (l->v == NULL)
		return -ENOMEM;
	while (s < end) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		size_t len = (size_t)((nl != NULL ? nl + 1 : end) - s);

		l->v[l->n++] = (struct line){s, len, hash_of(s, len)};
		s += len;
	}
	return 0;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->hash == b->hash && a->len == b->len &&
	       memcmp(a->text, b->text, a->len) == 0;
}

/*
 * Paths.
 */

/* Return: the run's index. */
static long add_run(struct search *s, enum run_kind kind, long count, long prev)
{
	struct run *grown;

	if (s->n_runs == s->cap_runs) {
		s->cap_runs = s->cap_runs > 0 ? 2 * s->cap_runs : 256;
		grown = reallocarray(s->runs, s->cap_runs, sizeof(*s->runs));
		if (grown == NULL) {
			s->failed = true;
			s->cap_runs = s->n_runs;
			return prev;
		}
		s->runs = grown;
	}
	s->runs[s->n_runs] = (struct run){kind, count, prev};
	return (long)s->n_runs++;
}

/* One line more that came or went. */
static struct path extend(struct search *s, const struct path *p,
			  enum run_kind kind)
{
	struct path out = {.used = true, .old = p->old};

	if (p->last >= 0 && s->runs[p->last].kind == kind)
		out.last = add_run(s, kind, s->runs[p->last].count + 1,
				   s->runs[p->last].prev);
	else
		out.last = add_run(s, kind, 1, p->last);
	out.old += kind == RUN_REMOVED;
	return out;
}

/* All lines that are the same from here.  Return: the last new line. */
static long follow(struct search *s, struct path *p, long diagonal)
{
	long old = p->old, new = p->old - diagonal, n = 0;

	while (new + 1 < s->b.n &&
	       old + 1 < s->a.n &&same(&s->a.v[old + 1], &s->b.v[new + 1])) {
		old++;
		new ++;
		n++;
	}
	if (n > 0)
		p->last = add_run(s, RUN_SAME, n, p->last);
	p->old = old;
	return new;
}

static struct path *best_of(struct search *s, long diagonal)
{
	return &s->best[diagonal + LINEDIFF_EDITS_MAX + 1];
}

/* The best path with one edit more on a diagonal.  Return: is there one? */
static bool take_step(struct search *s, long k, struct path *out)
{
	struct path remove = *best_of(s, k - 1), add = *best_of(s, k + 1);
	bool can_add = add.used && add.old - k >= 0 && add.old - k < s->b.n;
	bool can_remove = remove.used && remove.old + 1 < s->a.n;

	best_of(s, k - 1)->used = false;
	if (!can_add && !can_remove) {
		best_of(s, k)->used = false;
		return false;
	}
	if (!can_remove || (can_add && remove.old < add.old))
		*out = extend(s, &add, RUN_ADDED);
	else
		*out = extend(s, &remove, RUN_REMOVED);
	return true;
}

/* All paths of so many edits.  Return: the last run of one that is complete, or
 * -1. */
static long try_edits(struct search *s, long edits)
{
	long k = s->min > -edits ? s->min : -edits;

	for (; k <= (s->max < edits ? s->max : edits); k += 2) {
		struct path p;
		long new;

		if (!take_step(s, k, &p))
			continue;
		new = follow(s, &p, k);
		if (p.old + 1 >= s->a.n && new + 1 >= s->b.n)
			return p.last;
		*best_of(s, k) = p;
		if (p.old + 1 >= s->a.n && k - 1 < s->max)
			s->max = k - 1;
		if (new + 1 >= s->b.n && k + 1 > s->min)
			s->min = k + 1;
	}
	return -1;
}

/* One change from the first difference to the last. */
static long give_up(struct search *s)
{
	const struct lines *a = &s->a, *b = &s->b;
	long least = a->n < b->n ? a->n : b->n, head = 0, tail = 0, last = -1;

	while (head < least && same(&a->v[head], &b->v[head]))
		head++;
	while (tail < least - head &&
	       same(&a->v[a->n - 1 - tail], &b->v[b->n - 1 - tail]))
		tail++;
	if (head > 0)
		last = add_run(s, RUN_SAME, head, last);
	if (a->n - head - tail > 0)
		last = add_run(s, RUN_REMOVED, a->n - head - tail, last);
	if (b->n - head - tail > 0)
		last = add_run(s, RUN_ADDED, b->n - head - tail, last);
	return tail > 0 ? add_run(s, RUN_SAME, tail, last) : last;
}

/* Return: the last run of the way that is found; -1: both texts are empty. */
static long search(struct search *s)
{
	struct path *first = best_of(s, 0);
	long new, last = -1;

	*first = (struct path){.used = true, .old = -1, .last = -1};
	s->min = -LINEDIFF_EDITS_MAX - 1;
	s->max = LINEDIFF_EDITS_MAX + 1;
	new = follow(s, first, 0);
	if (first->old + 1 >= s->a.n && new + 1 >= s->b.n)
		return first->last;
	for (long edits = 1; edits <= LINEDIFF_EDITS_MAX && last < 0; edits++)
		last = s->failed ? give_up(s) : try_edits(s, edits);
	return last >= 0 ? last : give_up(s);
}

/*
 * Hunks.
 */

struct hunk {
	long old, n_old, new, n_new; /* Lines, from 1 on; old 0: none. */
	struct jw text;
};

static void put_line(struct jw *w, char mark, const struct line *l)
{
	bool whole = l->len > 0 && l->text[l->len - 1] == '\n';

	jw_lit(w, &mark, 1);
	jw_lit(w, l->text, l->len);
	if (!whole)
		jw_lit(w, "\n\\ No newline at end of file\n", 29);
}

static void put_hunk(struct hunk *h, struct jw *out)
{
	char head[96];
	int n = snprintf(head, sizeof(head), "@@ -%ld,%ld +%ld,%ld @@\n",
			 h->old - (h->n_old == 0), h->n_old,
			 h->new - (h->n_new == 0), h->n_new);

	jw_lit(out, head, (size_t)n);
	jw_lit(out, h->text.buf, h->text.len);
	out->failed |= h->text.failed;
	jw_done(&h->text);
	*h = (struct hunk){0};
}

static void put_context(struct hunk *h, const struct line *l, long n)
{
	for (long i = 0; i < n; i++)
		put_line(&h->text, ' ', &l[i]);
	h->n_old += n;
	h->n_new += n;
}

/* Lines that are the same, behind a change. */
static void put_same(struct hunk *h, const struct line *l, long n, bool is_last,
		     struct jw *out)
{
	if (h->old == 0)
		return;
	if (n <= 2 * CONTEXT && !is_last) {
		put_context(h, l, n);
		return;
	}
	put_context(h, l, n < CONTEXT ? n : CONTEXT);
	put_hunk(h, out);
}

/* The first change of a hunk is at these lines, from 0 on; so many before it are
 * the same. */
static void begin_hunk(struct hunk *h, const struct lines *a, long at_old,
		       long at_new, long n_same)
{
	long n = n_same < CONTEXT ? n_same : CONTEXT;

	h->old = at_old - n + 1;
	h->new = at_new - n + 1;
	put_context(h, &a->v[at_old - n], n);
}

static void put_change(struct hunk *h, const struct run *run,
		       const struct line *l)
{
	bool added = run->kind == RUN_ADDED;

	for (long i = 0; i < run->count; i++)
		put_line(&h->text, added ? '+' : '-', &l[i]);
	*(added ? &h->n_new : &h->n_old) += run->count;
}

/* @order: the runs in their order. */
static void put_runs(const struct search *s, const long *order, long n,
		     struct jw *out)
{
	long old = 0, new = 0, before = 0;
	struct hunk h = {0};

	for (long i = 0; i < n; i++) {
		const struct run *run = &s->runs[order[i]];
		bool added = run->kind == RUN_ADDED;

		if (run->kind == RUN_SAME) {
			put_same(&h, &s->a.v[old], run->count, i == n - 1, out);
			before = run->count;
			old += run->count;
			new += run->count;
			continue;
		}
		if (h.old == 0)
			begin_hunk(&h, &s->a, old, new, before);
		put_change(&h, run, added ? &s->b.v[new] : &s->a.v[old]);
		*(added ? &new : &old) += run->count;
		before = 0;
	}
	if (h.old != 0)
		put_hunk(&h, out);
}

static int put_way(const struct search *s, long last, struct jw *out)
{
	autofree long *order = NULL;
	long n = 0, at;

	for (at = last; at >= 0; at = s->runs[at].prev)
		n++;
	order = calloc((size_t)n + 1, sizeof(*order));
	if (order == NULL)
		return -ENOMEM;
	for (long i = n; i-- > 0; last = s->runs[last].prev)
		order[i] = last;
	put_runs(s, order, n, out);
	return 0;
}

static void put_head(const char *name, struct jw *out)
{
	const char *const parts[] = {
		"Index: ",	    name, "\n" UNDERLINE "\n--- ", name,
		"\toriginal\n+++ ", name, "\tmodified\n"};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		jw_lit(out, parts[i], strlen(parts[i]));
}

int linediff_write(const char *name, const char *old, size_t old_len,
		   const char *new, size_t new_len, struct jw *out)
{
	struct search s = {0};
	int r = split(&s.a, old, old_len);

	if (r == 0)
		r = split(&s.b, new, new_len);
	s.best = calloc(2 * (LINEDIFF_EDITS_MAX + 2) + 1, sizeof(*s.best));
	if (r == 0 && s.best == NULL)
		r = -ENOMEM;
	if (r == 0) {
		put_head(name, out);
		r = put_way(&s, search(&s), out);
	}
	if (r == 0 && (s.failed || out->failed))
		r = -ENOMEM;
	free(s.a.v);
	free(s.b.v);
	free(s.best);
	free(s.runs);
	return r;
}
