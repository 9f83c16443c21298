// SPDX-License-Identifier: Apache-2.0
/*
 * edit.c - A committed tree with changes that are not yet written
 *
 * A directory that was not read yet is a node with the id of its tree; read, it
 * is a list of nodes.  All nodes are in one hash table, by directory and name.
 * A node that is removed stays, of no kind, so nothing ever leaves the table;
 * what a replaced directory held is not reachable any more.  All memory comes
 * from one arena and goes with it.
 *
 * A directory whose list differs from its tree is dirty, and so are all above
 * it.
 */
#include "vfs/edit.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "vfs/dirmeta.h"
#include "vfs/name.h"

#define BLOCK_BYTES (256u << 10)
#define SLOTS_MIN   1024
#define DIR_MODE    0755
#define TREE_EXTRA  (7 + 1 + VFS_OID_BYTES) /* Of an entry, beyond its name. */

enum kind {
	NONE,
	FILE_KIND,
	LINK,
	DIRECTORY,
};

struct dir {
	struct dir *parent; /* NULL: the root, or no longer part of the tree. */
	struct node *first;
	bool dirty;
};

struct node {
	struct dir *parent;
	struct node *next; /* In its directory. */
	struct dir *dir;   /* DIRECTORY that was read, else NULL. */
	const char *stored;
	struct vfs_oid oid;
	uint16_t perm;
	uint8_t kind;
	uint8_t len;
	char name[];
};

struct block {
	struct block *next;
	size_t used, size;
	max_align_t data[];
};

struct vfs_edit {
	struct vfs_repo *repo;
	struct block *blocks;
	size_t bytes, max;
	struct node **slots; /* A hash table; their number is a power of 2. */
	size_t n_slots, n_nodes;
	struct dir *root;
	struct vfs_oid root_oid; /* While the root is not dirty. */
	uint32_t root_perm;
};

/* A name within a path. */
struct name {
	const char *s;
	size_t len;
};

/*
 * Memory.
 */

static int too_much(const struct vfs_edit *ed, struct err *e)
{
	return err_set(e, -FAULT_QUOTA_EXCEEDED,
		       "workspace: the changes take more than %zu bytes of "
		       "memory",
		       ed->max);
}

static int no_memory(struct err *e)
{
	return err_set(e, -FAULT_INTERNAL, "workspace: out of memory");
}

/* Count @n more bytes. */
static int take(struct vfs_edit *ed, size_t n, struct err *e)
{
	if (n > ed->max - ed->bytes)
		return too_much(ed, e);
	ed->bytes += n;
	return 0;
}

static int add_block(struct vfs_edit *ed, struct err *e)
{
	struct block *b;
	int r = take(ed, BLOCK_BYTES, e);

	if (r < 0)
		return r;
	b = malloc(BLOCK_BYTES);
	if (b == NULL)
		return no_memory(e);
	*b = (struct block){.next = ed->blocks,
			    .size = BLOCK_BYTES - sizeof(*b)};
	ed->blocks = b;
	return 0;
}

/* @n is far less than a block.  Zeroed. */
static int alloc(struct vfs_edit *ed, size_t n, void *out, struct err *e)
{
	struct block *b = ed->blocks;
	void *p;
	int r;

	n = (n + 7) & ~(size_t)7;
	if (b == NULL || b->size - b->used < n) {
		r = add_block(ed, e);
		if (r < 0)
			return r;
		b = ed->blocks;
	}
	p = (char *)b->data + b->used;
	b->used += n;
	memset(p, 0, n);
	*(void **)out = p;
	return 0;
}

static int new_dir(struct vfs_edit *ed, struct dir *parent, struct dir **out,
		   struct err *e)
{
	int r = alloc(ed, sizeof(**out), out, e);

	if (r == 0)
		(*out)->parent = parent;
	return r;
}

/*
 * The table.
 */

static size_t slot_of(const struct vfs_edit *ed, const struct dir *dir,
		      const char *name, size_t len)
{
	uint64_t h = XXH3_64bits_withSeed(name, len, (uintptr_t)dir);
	size_t i = (size_t)h & (ed->n_slots - 1);

	for (; ed->slots[i] != NULL; i = (i + 1) & (ed->n_slots - 1)) {
		const struct node *n = ed->slots[i];

		if (n->parent == dir && n->len == len &&
		    memcmp(n->name, name, len) == 0)
			break;
	}
	return i;
}

static int resize(struct vfs_edit *ed, size_t n_slots, struct err *e)
{
	struct node **old = ed->slots;
	size_t n_old = ed->n_slots;
	int r = take(ed, n_slots * sizeof(*old), e);

	if (r < 0)
		return r;
	ed->slots = calloc(n_slots, sizeof(*old));
	if (ed->slots == NULL) {
		ed->slots = old;
		return no_memory(e);
	}
	ed->n_slots = n_slots;
	for (size_t i = 0; i < n_old; i++) {
		struct node *n = old[i];

		if (n != NULL)
			ed->slots[slot_of(ed, n->parent, n->name, n->len)] = n;
	}
	ed->bytes -= n_old * sizeof(*old);
	free(old);
	return 0;
}

static struct node *lookup(const struct vfs_edit *ed, const struct dir *dir,
			   struct name name)
{
	return ed->slots[slot_of(ed, dir, name.s, name.len)];
}

/* Keep the name that git is given, where it is another. */
static int set_stored(struct vfs_edit *ed, struct node *n, struct err *e)
{
	char stored[VFS_STORED_MAX], *copy;
	int r = vfs_name_store(n->name, n->len, stored);

	assert(r == 0);
	n->stored = n->name;
	if (strcmp(stored, n->name) == 0)
		return 0;
	r = alloc(ed, strlen(stored) + 1, &copy, e);
	if (r < 0)
		return r;
	strcpy(copy, stored);
	n->stored = copy;
	return 0;
}

/* The node of that name, new and of no kind if there was none. */
static int obtain(struct vfs_edit *ed, struct dir *dir, struct name name,
		  struct node **out, struct err *e)
{
	struct node *n = lookup(ed, dir, name);
	int r;

	if (n == NULL) {
		r = 2 * ed->n_nodes < ed->n_slots
			    ? 0
			    : resize(ed, 2 * ed->n_slots, e);
		if (r == 0)
			r = alloc(ed, sizeof(*n) + name.len + 1, &n, e);
		if (r < 0)
			return r;
		n->parent = dir;
		n->len = (uint8_t)name.len;
		memcpy(n->name, name.s, name.len);
		r = set_stored(ed, n, e);
		if (r < 0)
			return r;
		n->next = dir->first;
		dir->first = n;
		ed->slots[slot_of(ed, dir, name.s, name.len)] = n;
		ed->n_nodes++;
	}
	*out = n;
	return 0;
}

static void mark_dirty(struct dir *dir)
{
	for (; dir != NULL && !dir->dirty; dir = dir->parent)
		dir->dirty = true;
}

/*
 * Reading.
 */

static int add_entry(struct vfs_edit *ed, struct dir *dir,
		     const git_tree_entry *entry, struct err *e)
{
	git_filemode_t mode = git_tree_entry_filemode(entry);
	char name[VFS_NAME_MAX + 1];
	struct node *n;
	int r;

	if (mode == GIT_FILEMODE_COMMIT || mode == GIT_FILEMODE_UNREADABLE ||
	    vfs_name_load(git_tree_entry_name(entry), name) < 0)
		return 0;
	r = obtain(ed, dir, (struct name){name, strlen(name)}, &n, e);
	if (r < 0)
		return r;
	n->kind = mode == GIT_FILEMODE_TREE   ? DIRECTORY
		  : mode == GIT_FILEMODE_LINK ? LINK
					      : FILE_KIND;
	n->perm = mode == GIT_FILEMODE_BLOB ? 0644 : 0755;
	n->oid = vfs_oid_of_git(git_tree_entry_id(entry));
	return 0;
}

static void apply_meta(struct vfs_edit *ed, struct dir *dir,
		       const struct vfs_dirmeta *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const char *name = m->entries[i].name;
		struct node *n =
			lookup(ed, dir, (struct name){name, strlen(name)});

		if (n != NULL)
			n->perm = (uint16_t)m->entries[i].mode;
	}
	if (dir == ed->root)
		ed->root_perm = vfs_dirmeta_mode(m, ".", DIR_MODE);
}

static int read_meta(struct vfs_edit *ed, struct dir *dir, const git_oid *id,
		     struct err *e)
{
	struct vfs_dirmeta m;
	git_odb_object *o;
	int r = git_odb_read(&o, vfs_repo_odb(ed->repo), id);

	if (r < 0)
		return vfs_repo_giterr(e, r, "permissions of a folder");
	r = vfs_dirmeta_load(git_odb_object_data(o), git_odb_object_size(o), &m,
			     e);
	git_odb_object_free(o);
	if (r < 0)
		return r;
	apply_meta(ed, dir, &m);
	vfs_dirmeta_free(&m);
	return 0;
}

static int add_entries(struct vfs_edit *ed, struct dir *dir,
		       const git_tree *tree, struct err *e)
{
	const git_tree_entry *meta;
	size_t n = git_tree_entrycount(tree);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_entry(ed, dir, git_tree_entry_byindex(tree, i), e);
	meta = git_tree_entry_byname(tree, VFS_DIRMETA_NAME);
	if (r == 0 && meta != NULL)
		r = read_meta(ed, dir, git_tree_entry_id(meta), e);
	return r;
}

static int read_tree(struct vfs_edit *ed, struct dir *dir,
		     const struct vfs_oid *oid, struct err *e)
{
	git_oid id = vfs_oid_to_git(oid);
	git_tree *tree;
	int r = git_tree_lookup(&tree, vfs_repo_git(ed->repo), &id);

	if (r == GIT_ENOTFOUND)
		return err_set(e, -FAULT_STORE_CORRUPT,
			       "workspace: a folder is missing");
	if (r < 0)
		return vfs_repo_giterr(e, r, "workspace: a folder");
	r = add_entries(ed, dir, tree, e);
	git_tree_free(tree);
	return r;
}

/* Have the list of a directory. */
static int open_dir(struct vfs_edit *ed, struct node *n, struct err *e)
{
	struct dir *dir;
	int r;

	assert(n->kind == DIRECTORY);
	if (n->dir != NULL)
		return 0;
	r = new_dir(ed, n->parent, &dir, e);
	if (r == 0)
		r = read_tree(ed, dir, &n->oid, e);
	if (r == 0)
		n->dir = dir;
	return r;
}

static int peel(struct vfs_repo *repo, const struct vfs_oid *oid,
		struct vfs_oid *out, struct err *e)
{
	git_oid id = vfs_oid_to_git(oid);
	git_object *o, *tree;
	int r = git_object_lookup(&o, vfs_repo_git(repo), &id, GIT_OBJECT_ANY);

	if (r < 0)
		return vfs_repo_giterr(e, r, "workspace: base");
	r = git_object_peel(&tree, o, GIT_OBJECT_TREE);
	git_object_free(o);
	if (r < 0)
		return vfs_repo_giterr(e, r, "workspace: base");
	*out = vfs_oid_of_git(git_object_id(tree));
	git_object_free(tree);
	return 0;
}

static inline void free_edit(struct vfs_edit **ed)
{
	vfs_edit_free(*ed);
}

int vfs_edit_new(struct vfs_repo *repo, const struct vfs_oid *tree, size_t max,
		 struct vfs_edit **out, struct err *e)
{
	cleanup(free_edit) struct vfs_edit *ed = calloc(1, sizeof(*ed));
	int r;

	if (ed == NULL)
		return no_memory(e);
	ed->repo = repo;
	ed->max = max > 0 ? max : VFS_EDIT_BYTES_MAX;
	ed->root_perm = DIR_MODE;
	r = resize(ed, SLOTS_MIN, e);
	if (r == 0)
		r = new_dir(ed, NULL, &ed->root, e);
	if (r == 0 && tree != NULL)
		r = peel(repo, tree, &ed->root_oid, e);
	if (r == 0 && tree != NULL)
		r = read_tree(ed, ed->root, &ed->root_oid, e);
	if (r < 0)
		return r;
	ed->root->dirty = tree == NULL;
	*out = take_ptr(ed);
	return 0;
}

void vfs_edit_free(struct vfs_edit *ed)
{
	struct block *b;

	if (ed == NULL)
		return;
	while ((b = ed->blocks) != NULL) {
		ed->blocks = b->next;
		free(b);
	}
	free(ed->slots);
	free(ed);
}

/*
 * Changes.
 */

static bool next_name(const char **path, struct name *out)
{
	out->s = *path;
	out->len = strcspn(*path, "/");
	*path += out->len;
	if (**path == '\0')
		return false;
	++*path;
	return true;
}

static int become_dir(struct vfs_edit *ed, struct node *n, struct err *e)
{
	int r;

	if (n->kind == DIRECTORY)
		return 0;
	r = new_dir(ed, n->parent, &n->dir, e);
	if (r < 0)
		return r;
	n->kind = DIRECTORY;
	n->perm = DIR_MODE;
	mark_dirty(n->parent);
	n->dir->dirty = true;
	return 0;
}

/* Open the directory that @path is in, making those on the way.  @name becomes
 * the last name of @path. */
static int enter(struct vfs_edit *ed, const char *path, struct dir **dir,
		 struct name *name, struct err *e)
{
	struct node *n;
	int r = 0;

	*dir = ed->root;
	while (r == 0 && next_name(&path, name)) {
		r = obtain(ed, *dir, *name, &n, e);
		if (r == 0)
			r = become_dir(ed, n, e);
		if (r == 0)
			r = open_dir(ed, n, e);
		if (r == 0)
			*dir = n->dir;
	}
	return r;
}

int vfs_edit_file(struct vfs_edit *ed, const char *path, uint32_t mode,
		  const struct vfs_oid *oid, struct err *e)
{
	enum kind kind = S_ISLNK(mode) ? LINK : FILE_KIND;
	uint16_t perm = kind == LINK ? DIR_MODE : (uint16_t)(mode & 07777);
	struct name name;
	struct node *n;
	struct dir *dir;
	int r = enter(ed, path, &dir, &name, e);

	if (r == 0)
		r = obtain(ed, dir, name, &n, e);
	if (r < 0)
		return r;
	if (n->kind == kind && n->perm == perm && vfs_oid_eq(&n->oid, oid))
		return 0;
	n->kind = (uint8_t)kind;
	n->perm = perm;
	n->oid = *oid;
	n->dir = NULL;
	mark_dirty(dir);
	return 0;
}

int vfs_edit_dir(struct vfs_edit *ed, const char *path, uint32_t mode,
		 struct err *e)
{
	struct name name;
	struct node *n;
	struct dir *dir;
	int r;

	if (path[0] == '\0') {
		if (ed->root_perm != mode)
			mark_dirty(ed->root);
		ed->root_perm = mode;
		return 0;
	}
	r = enter(ed, path, &dir, &name, e);
	if (r == 0)
		r = obtain(ed, dir, name, &n, e);
	if (r == 0)
		r = become_dir(ed, n, e);
	if (r < 0)
		return r;
	if (n->perm != mode)
		mark_dirty(dir);
	n->perm = (uint16_t)mode;
	return 0;
}

int vfs_edit_remove(struct vfs_edit *ed, const char *path, struct err *e)
{
	struct dir *dir = ed->root;
	struct name name;
	struct node *n;

	while (next_name(&path, &name)) {
		int r;

		n = lookup(ed, dir, name);
		if (n == NULL || n->kind != DIRECTORY)
			return 0;
		r = open_dir(ed, n, e);
		if (r < 0)
			return r;
		dir = n->dir;
	}
	n = lookup(ed, dir, name);
	if (n == NULL || n->kind == NONE)
		return 0;
	n->kind = NONE;
	n->dir = NULL;
	mark_dirty(dir);
	return 0;
}

int vfs_edit_clear(struct vfs_edit *ed, struct err *e)
{
	struct dir *root;
	int r = new_dir(ed, NULL, &root, e);

	if (r < 0)
		return r;
	root->dirty = true;
	ed->root = root;
	ed->root_perm = DIR_MODE;
	return 0;
}

/*
 * Writing.
 */

/* One entry of a tree that is written. */
struct out {
	const char *name;	 /* As git is given it. */
	const struct node *node; /* NULL: VFS_DIRMETA_NAME. */
	struct vfs_oid oid;
	bool is_dir;
};

/* git compares a directory's name as if a slash followed it. */
static int in_order(const void *a, const void *b)
{
	const struct out *x = a, *y = b;
	size_t nx = strlen(x->name), ny = strlen(y->name);
	size_t n = nx < ny ? nx : ny;
	int r = memcmp(x->name, y->name, n);

	if (r != 0)
		return r;
	return (nx > n	    ? (unsigned char)x->name[n]
		: x->is_dir ? '/'
			    : 0) -
	       (ny > n	    ? (unsigned char)y->name[n]
		: y->is_dir ? '/'
			    : 0);
}

static int by_true_name(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool is_usual(const struct node *n)
{
	if (n->kind == FILE_KIND)
		return n->perm == 0644 || n->perm == 0755;
	return n->kind == LINK || n->perm == DIR_MODE;
}

static size_t count(const struct dir *dir)
{
	size_t n = 0;

	for (const struct node *x = dir->first; x != NULL; x = x->next)
		n += x->kind != NONE;
	return n;
}

/* The text of a VFS_DIRMETA_NAME. */
struct meta {
	char *text;
	size_t len;
	const struct node **nodes; /* Those with unusual permissions, sorted. */
	size_t n;
};

static void free_meta(struct meta *m)
{
	free(m->text);
	free(m->nodes);
}

static int collect_unusual(const struct dir *dir, size_t most, struct meta *m)
{
	m->nodes = calloc(most + 1, sizeof(struct node *));
	if (m->nodes == NULL)
		return -ENOMEM;
	for (const struct node *x = dir->first; x != NULL; x = x->next)
		if (x->kind != NONE && !is_usual(x))
			m->nodes[m->n++] = x;
	qsort(m->nodes, m->n, sizeof(struct node *), by_true_name);
	return 0;
}

static size_t longest_text(const struct meta *m)
{
	size_t bytes = VFS_DIRMETA_LINE_MAX;

	for (size_t i = 0; i < m->n; i++)
		bytes += 6 + VFS_QUOTED_MAX((size_t)m->nodes[i]->len);
	return bytes;
}

static void add_line(struct meta *m, const char *name, uint32_t mode)
{
	char line[VFS_DIRMETA_LINE_MAX];
	size_t n = vfs_dirmeta_line(line, name, mode);

	memcpy(m->text + m->len, line, n);
	m->len += n;
}

static int make_meta(const struct vfs_edit *ed, const struct dir *dir,
		     size_t n_live, struct meta *m)
{
	bool root = dir == ed->root && ed->root_perm != DIR_MODE;

	if (collect_unusual(dir, n_live, m) < 0)
		return -ENOMEM;
	m->text = malloc(longest_text(m));
	if (m->text == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++) {
		const struct node *x = m->nodes[i];

		if (root && strcmp(x->name, ".") > 0) {
			add_line(m, ".", ed->root_perm);
			root = false;
		}
		add_line(m, x->name, x->perm);
	}
	if (root)
		add_line(m, ".", ed->root_perm);
	return 0;
}

/* Add VFS_DIRMETA_NAME, where one is needed. */
static int put_meta(const struct vfs_edit *ed, const struct dir *dir,
		    struct vfs_batch *b, struct out *outs, size_t *n,
		    struct err *e)
{
	cleanup(free_meta) struct meta m = {0};
	int r = make_meta(ed, dir, *n, &m);

	if (r < 0)
		return no_memory(e);
	if (m.len == 0 && (*n > 0 || dir == ed->root))
		return 0;
	if (m.len > VFS_DIRMETA_MAX)
		return too_much(ed, e);
	outs[*n] = (struct out){.name = VFS_DIRMETA_NAME};
	r = vfs_batch_add(b, GIT_OBJECT_BLOB, m.text, m.len, &outs[*n].oid, e);
	if (r == 0)
		++*n;
	return r;
}

static const char *git_mode(const struct out *o)
{
	if (o->node == NULL)
		return "100644";
	if (o->is_dir)
		return "40000";
	if (o->node->kind == LINK)
		return "120000";
	return o->node->perm & 0100 ? "100755" : "100644";
}

static int put_tree(struct vfs_batch *b, const struct out *outs, size_t n,
		    struct vfs_oid *oid, struct err *e)
{
	autofree char *text = NULL;
	size_t bytes = 1;
	char *p;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(outs[i].name) + TREE_EXTRA;
	text = malloc(bytes);
	if (text == NULL)
		return no_memory(e);
	p = text;
	for (size_t i = 0; i < n; i++) {
		p = stpcpy(p, git_mode(&outs[i]));
		*p++ = ' ';
		p = stpcpy(p, outs[i].name) + 1;
		memcpy(p, outs[i].oid.b, VFS_OID_BYTES);
		p += VFS_OID_BYTES;
	}
	return vfs_batch_add(b, GIT_OBJECT_TREE, text, (size_t)(p - text), oid,
			     e);
}

static int write_list(const struct vfs_edit *ed, struct dir *dir,
		      struct vfs_batch *b, struct vfs_oid *oid, struct err *e)
{
	autofree struct out *outs = calloc(count(dir) + 1, sizeof(*outs));
	size_t n = 0;
	int r;

	if (outs == NULL)
		return no_memory(e);
	for (const struct node *x = dir->first; x != NULL; x = x->next)
		if (x->kind != NONE)
			outs[n++] = (struct out){
				.name = x->stored,
				.node = x,
				.oid = x->oid,
				.is_dir = x->kind == DIRECTORY,
			};
	r = put_meta(ed, dir, b, outs, &n, e);
	if (r < 0)
		return r;
	qsort(outs, n, sizeof(*outs), in_order);
	return put_tree(b, outs, n, oid, e);
}

/* As deep as a path can be (VFS_CHANGE_PATH_MAX / 2). */
static int write_dir(const struct vfs_edit *ed, struct dir *dir,
		     struct vfs_batch *b, struct vfs_oid *oid, struct err *e)
{
	for (struct node *x = dir->first; x != NULL; x = x->next) {
		int r;

		if (x->kind != DIRECTORY || x->dir == NULL || !x->dir->dirty)
			continue;
		r = write_dir(ed, x->dir, b, &x->oid, e);
		if (r < 0)
			return r;
	}
	dir->dirty = false;
	return write_list(ed, dir, b, oid, e);
}

int vfs_edit_write(struct vfs_edit *ed, struct vfs_batch *b,
		   struct vfs_oid *out, struct err *e)
{
	int r = ed->root->dirty ? write_dir(ed, ed->root, b, &ed->root_oid, e)
				: 0;

	if (r == 0)
		*out = ed->root_oid;
	return r;
}
