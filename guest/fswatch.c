// SPDX-License-Identifier: Apache-2.0
/*
 * fswatch.c - What happens to the files of the workspace, as it happens
 *
 *	ADDING <--new folders, overflow--> READING --> gone
 *
 * Every folder has an inotify watch.  They are added by the pool, each before
 * its folder is looked through, so that nothing falls in between; meanwhile the
 * kernel keeps the events.  While the stream is full nothing is read, either:
 * what is lost then the kernel tells by an overflow, after which all folders are
 * looked for again.
 *
 * A folder that is renamed keeps its watch, and those below theirs: their paths
 * are changed here.
 */
#include "guest/fswatch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "guest/call.h"
#include "guest/fsat.h"
#include "guest/fsops.h"
#include "guest/fswalk.h"
#include "guest/limits.h"
#include "vfs/passing.h"
#include "vfs/path.h"

#define MASK                                                                  \
	(IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | \
	 IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define BUF_BYTES (64u << 10)
#define READS_MAX 8 /* Buffers of events in one turn of the loop. */

/* A folder with a watch. */
struct watched {
	int wd;
	char *path;
};

struct paths {
	char **v;
	size_t n;
};

struct fswatches {
	uv_loop_t *loop;
	struct fspool *pool;
	const struct fstree *tree;
	TAILQ_HEAD(fswatch_list, fswatch) list;
	unsigned n;
	bool closing;
};

struct fswatch {
	TAILQ_ENTRY(fswatch) link;
	struct fswatches *all;
	struct h2_stream *stream; /* NULL: it ends. */
	char path[VFS_PATH_MAX + 1];
	bool folder, recursive; /* Not a folder: one name in one. */
	int fd;
	uv_poll_t poll;
	uv_timer_t half;   /* Of a move was seen; the rest may follow. */
	unsigned handles;  /* Not yet closed. */
	bool busy;	   /* ADDING */
	bool answered;	   /* The first line is out. */
	struct watched *v; /* By wd. */
	size_t n;
	struct jw out; /* Lines to be sent. */
	/* A name was moved away; is the next event its new one? */
	char *from;
	uint32_t cookie;
	bool from_temp, from_folder;

	/* Of the work. */
	struct fswork work;
	struct paths pending; /* Folders to be added. */
	bool tell;	      /* What is found in them is new. */
	struct watched *found;
	size_t n_found;
	struct jw found_out;
	struct err err;
};

/* --- lists -------------------------------------------------------------- */

/* Room for one more; doubled at each power of two.  Return: NULL when memory is
 * out. */
static void *grow(void *v, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0)
		return v;
	return realloc(v, (n == 0 ? 1 : 2 * n) * size);
}

static int paths_add(struct paths *l, const char *path)
{
	void *v = grow(l->v, l->n, sizeof(*l->v));

	if (v == NULL)
		return -ENOMEM;
	l->v = v;
	l->v[l->n] = strdup(path);
	if (l->v[l->n] == NULL)
		return -ENOMEM;
	l->n++;
	return 0;
}

static void paths_clear(struct paths *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct paths){0};
}

static int watched_add(struct watched **v, size_t *n, int wd, const char *path)
{
	struct watched *grown = grow(*v, *n, sizeof(**v));

	if (grown == NULL)
		return -ENOMEM;
	*v = grown;
	grown[*n] = (struct watched){wd, strdup(path)};
	if (grown[*n].path == NULL)
		return -ENOMEM;
	(*n)++;
	return 0;
}

static void watched_free(struct watched *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].path);
	free(v);
}

static struct watched *watched_find(const struct fswatch *w, int wd)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].wd == wd)
			return &w->v[i];
	return NULL;
}

static void watched_remove(struct fswatch *w, struct watched *x)
{
	free(x->path);
	*x = w->v[--w->n];
}

/* --- life --------------------------------------------------------------- */

static void watch_free(struct fswatch *w)
{
	struct fswatches *all = w->all;

	watched_free(w->v, w->n);
	watched_free(w->found, w->n_found);
	paths_clear(&w->pending);
	jw_done(&w->out);
	jw_done(&w->found_out);
	free(w->from);
	close_fd(&w->fd);
	free(w);
	all->n--;
	if (all->closing && all->n == 0)
		free(all);
}

static void watch_on_closed(uv_handle_t *h)
{
	struct fswatch *w = h->data;

	if (--w->handles == 0)
		watch_free(w);
}

static void watch_end(struct fswatch *w)
{
	if (w->busy || w->stream != NULL)
		return;
	TAILQ_REMOVE(&w->all->list, w, link);
	if (w->handles == 0) {
		watch_free(w);
		return;
	}
	uv_close((uv_handle_t *)&w->poll, watch_on_closed);
	uv_close((uv_handle_t *)&w->half, watch_on_closed);
}

static void watch_on_stream_end(struct h2_stream *s, int r, void *arg)
{
	struct fswatch *w = arg;

	(void)s;
	(void)r;
	w->stream = NULL;
	watch_end(w);
}

static void watch_fail(struct fswatch *w, const struct err *e)
{
	if (w->answered)
		h2_reset(w->stream);
	else
		stream_fail(w->stream, e);
}

/* --- adding, in a thread ------------------------------------------------ */

static int add_folder(struct fswatch *w, int root, const char *path)
{
	struct err none = {0};
	autoclose int fd = fsat_look(root, path, false, &none);
	char self[32];
	int wd;

	if (fd < 0)
		return 0; /* It is gone again. */
	if (w->n + w->n_found >= FS_WATCHES_MAX)
		return err_set(&w->err, -FAULT_QUOTA_EXCEEDED,
			       "more than %u folders to watch", FS_WATCHES_MAX);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(w->fd, self, MASK);
	if (wd < 0 && errno == ENOSPC)
		return err_set(&w->err, -FAULT_QUOTA_EXCEEDED,
			       "the system has no more watches");
	if (wd < 0)
		return 0;
	if (watched_add(&w->found, &w->n_found, wd, path) < 0)
		return err_set(&w->err, -ENOMEM, "watch: out of memory");
	return 1;
}

static void put_overflow(struct jw *w)
{
	jw_lit(w, "{\"type\":\"overflow\"}\n", 20);
}

static void put_event(struct jw *w, const char *type, const char *path,
		      const char *from, bool folder)
{
	jw_obj(w);
	jw_kstr(w, "type", type);
	vfs_path_put(w, "path", path, strlen(path));
	if (from != NULL)
		vfs_path_put(w, "from", from, strlen(from));
	if (folder)
		jw_kbool(w, "directory", true);
	jw_obj_end(w);
	jw_lit(w, "\n", 1);
}

struct adding {
	struct fswatch *w;
	int root;
};

static int adding_entry(const struct fswalk_entry *en, void *arg)
{
	const struct adding *a = arg;
	struct fswatch *w = a->w;
	bool folder = S_ISDIR(en->st->st_mode);

	if (w->tell && w->found_out.len > FS_SEND_MAX) {
		put_overflow(&w->found_out);
		w->tell = false;
	}
	if (w->tell)
		put_event(&w->found_out, "create", en->path, NULL, folder);
	if (folder && w->recursive && add_folder(w, a->root, en->path) < 0)
		return FSWALK_END;
	return 0;
}

/* A folder and, if that is wanted, those in it. */
static void add_tree(struct fswatch *w, int root, const char *path)
{
	struct adding a = {w, root};
	const struct fswalk_spec walk = {
		.root = root,
		.passing = w->all->tree->passing,
		.path = path,
		.depth = w->recursive ? VFS_PATH_MAX : 1,
		.entry = adding_entry,
		.arg = &a,
	};
	struct err none = {0};

	if (add_folder(w, root, path) > 0 && (w->recursive || w->tell))
		(void)fswalk(&walk, &none);
}

/* Is it a folder?  Else the one that it is in is watched. */
static int find_out(struct fswatch *w, int root)
{
	struct stat st;
	char *slash;
	autoclose int fd = fsat_look(root, w->path, false, &w->err);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return fsat_fail(errno, w->path, &w->err);
	w->folder = S_ISDIR(st.st_mode);
	if (w->folder)
		return paths_add(&w->pending, w->path);
	w->recursive = false;
	slash = strrchr(w->path, '/');
	if (slash != NULL)
		*slash = '\0';
	if (paths_add(&w->pending, slash != NULL ? w->path : "") < 0)
		return -ENOMEM;
	if (slash != NULL)
		*slash = '/';
	return 0;
}

static void adding_run(struct fswork *work)
{
	struct fswatch *w = container_of(work, struct fswatch, work);
	autoclose int root = fsat_root(w->all->tree->root, &w->err);

	if (root < 0 || (!w->answered && find_out(w, root) < 0))
		return;
	for (size_t i = 0; i < w->pending.n && w->err.code == 0; i++)
		add_tree(w, root, w->pending.v[i]);
}

/* --- events ------------------------------------------------------------- */

static bool starts_with(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* A folder has another name now, or none here any more (@to NULL). */
static void rename_watched(struct fswatch *w, const char *from, const char *to)
{
	for (size_t i = w->n; i-- > 0;) {
		struct watched *x = &w->v[i];
		char *path = NULL;

		if (!starts_with(x->path, from))
			continue;
		if (to == NULL ||
		    asprintf(&path, "%s%s", to, x->path + strlen(from)) < 0) {
			(void)inotify_rm_watch(w->fd, x->wd);
			watched_remove(w, x);
			continue;
		}
		free(x->path);
		x->path = path;
	}
}

static void tell(struct fswatch *w, const char *type, const char *path,
		 const char *from, bool folder)
{
	if (w->folder || strcmp(path, w->path) == 0 ||
	    (from != NULL && strcmp(from, w->path) == 0))
		put_event(&w->out, type, path, from, folder);
}

/* What was moved away did not come back under another name. */
static void settle_from(struct fswatch *w)
{
	autofree char *from = take_ptr(w->from);

	if (from == NULL || w->from_temp)
		return;
	if (w->from_folder)
		rename_watched(w, from, NULL);
	tell(w, "delete", from, NULL, w->from_folder);
}

static void on_moved_to(struct fswatch *w, const char *path, uint32_t cookie,
			bool folder)
{
	bool mine = w->from != NULL && w->cookie == cookie;
	autofree char *from = mine ? take_ptr(w->from) : NULL;

	settle_from(w);
	if (mine && w->from_temp) {
		tell(w, "modify", path, NULL, false);
	} else if (mine) {
		if (folder)
			rename_watched(w, from, path);
		tell(w, "rename", path, from, folder);
	} else {
		tell(w, "create", path, NULL, folder);
		if (folder && w->recursive)
			(void)paths_add(&w->pending, path);
	}
}

/* What a file without a name is called: so fswrite.c writes. */
static bool is_nameless(const char *name)
{
	return name[0] == '#' && name[1] != '\0' &&
	       name[1 + strspn(name + 1, "0123456789")] == '\0';
}

static void on_name(struct fswatch *w, const char *path, const char *name,
		    const struct inotify_event *ev)
{
	bool temp = vfs_passing_resembles(name);
	bool folder = (ev->mask & IN_ISDIR) != 0;

	if ((ev->mask & IN_MOVED_TO) == 0)
		settle_from(w);
	if (ev->mask & IN_MOVED_FROM) {
		w->from = strdup(path);
		w->from_temp = temp;
		w->from_folder = folder;
		w->cookie = ev->cookie;
	} else if (ev->mask & IN_MOVED_TO) {
		on_moved_to(w, path, ev->cookie, folder);
	} else if (temp) {
		return;
	} else if (ev->mask & IN_CREATE) {
		tell(w, "create", path, NULL, folder);
		if (folder && w->recursive)
			(void)paths_add(&w->pending, path);
	} else if (ev->mask & IN_DELETE) {
		tell(w, "delete", path, NULL, folder);
	} else if ((ev->mask & (IN_CLOSE_WRITE | IN_ATTRIB)) &&
		   !is_nameless(name)) {
		tell(w, "modify", path, NULL, folder);
	}
}

/* Of the folder itself.  Return: false when that was the last of what is
 * watched. */
static bool on_self(struct fswatch *w, struct watched *x, uint32_t mask)
{
	bool top = w->folder && strcmp(x->path, w->path) == 0;

	if (top && (mask & (IN_DELETE_SELF | IN_MOVE_SELF))) {
		settle_from(w);
		tell(w, "delete", w->path, NULL, true);
		return false;
	}
	if (mask & IN_IGNORED)
		watched_remove(w, x);
	return w->n > 0;
}

static bool on_event(struct fswatch *w, const struct inotify_event *ev)
{
	char path[VFS_PATH_MAX + VFS_PATH_NAME_MAX + 2];
	struct watched *x;

	if (ev->mask & IN_Q_OVERFLOW) {
		settle_from(w);
		put_overflow(&w->out);
		(void)paths_add(&w->pending, w->folder ? w->path : "");
		w->tell = false;
		return true;
	}
	x = watched_find(w, ev->wd);
	if (x == NULL)
		return true;
	if (ev->len == 0)
		return on_self(w, x, ev->mask);
	/* Too long to be named: nobody could ask for it. */
	if (snprintf(path, sizeof(path), "%s%s%s", x->path,
		     x->path[0] ? "/" : "", ev->name) <= VFS_PATH_MAX)
		on_name(w, path, ev->name, ev);
	return true;
}

static void watch_add(struct fswatch *w);
static void watch_read(struct fswatch *w);

static void send_lines(struct fswatch *w)
{
	if (w->out.failed ||
	    (w->out.len > 0 && h2_write(w->stream, w->out.buf, w->out.len) < 0))
		h2_reset(w->stream);
	jw_reset(&w->out);
}

/* A move is two events, and the second may come a moment after the first was
 * read (inotify(7), "Dealing with rename() events").  Or it was a move to where
 * nobody watches. */
static void watch_on_half(uv_timer_t *t)
{
	struct fswatch *w = container_of(t, struct fswatch, half);

	if (w->busy) {
		uv_timer_start(t, watch_on_half, FS_MOVE_MS, 0);
		return;
	}
	settle_from(w);
	if (w->stream != NULL)
		send_lines(w);
}

static void watch_on_readable(uv_poll_t *h, int status, int events)
{
	struct fswatch *w = container_of(h, struct fswatch, poll);
	_Alignas(struct inotify_event) char buf[BUF_BYTES];
	const struct inotify_event *ev;
	bool alive = true;
	ssize_t n;

	(void)status;
	(void)events;
	if (w->stream == NULL)
		return;
	/* What else there is comes at the next turn: whoever makes events as
	 * fast as we read them does not hold up the loop. */
	for (int i = 0; alive && i < READS_MAX && w->out.len < FS_SEND_MAX &&
			(n = read(w->fd, buf, sizeof(buf))) > 0;
	     i++) {
		for (char *p = buf; alive && p < buf + n;
		     p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)(void *)p;
			alive = on_event(w, ev);
		}
	}
	if (w->from != NULL && alive)
		uv_timer_start(&w->half, watch_on_half, FS_MOVE_MS, 0);
	send_lines(w);
	if (!alive) {
		uv_poll_stop(&w->poll);
		h2_fin(w->stream);
	} else if (w->pending.n > 0) {
		watch_add(w);
	} else {
		watch_read(w);
	}
}

/* As long as the stream takes it. */
static void watch_read(struct fswatch *w)
{
	if (h2_queued(w->stream) < FS_SEND_MAX)
		uv_poll_start(&w->poll, UV_READABLE, watch_on_readable);
	else
		uv_poll_stop(&w->poll);
}

/* --- adding, on the loop ------------------------------------------------ */

/* The same folder has the same number, if it was there already. */
static void merge_found(struct fswatch *w)
{
	for (size_t i = 0; i < w->n_found; i++) {
		struct watched *x = watched_find(w, w->found[i].wd);

		if (x != NULL)
			watched_remove(w, x);
		if (watched_add(&w->v, &w->n, w->found[i].wd,
				w->found[i].path) < 0)
			err_set(&w->err, -ENOMEM, "watch: out of memory");
	}
	watched_free(w->found, w->n_found);
	w->found = NULL;
	w->n_found = 0;
	paths_clear(&w->pending);
	w->tell = true;
}

static void answer(struct fswatch *w)
{
	struct jw line = {0};

	jw_obj(&line);
	jw_kint(&line, "watching", (int64_t)w->n);
	jw_obj_end(&line);
	jw_lit(&line, "\n", 1);
	h2_respond(w->stream, 200);
	w->answered = true;
	if (line.failed || h2_write(w->stream, line.buf, line.len) < 0)
		h2_reset(w->stream);
	jw_done(&line);
}

static void adding_done(struct fswork *work)
{
	struct fswatch *w = container_of(work, struct fswatch, work);

	w->busy = false;
	if (w->stream == NULL) {
		watch_end(w);
		return;
	}
	merge_found(w);
	if (w->err.code == 0 && !w->answered && w->n == 0)
		err_set(&w->err, -FAULT_FILE_NOT_FOUND, "/%.*s: no such file",
			ERR_MSG_MAX / 2, w->path);
	if (w->err.code < 0) {
		watch_fail(w, &w->err);
		return;
	}
	if (!w->answered)
		answer(w);
	jw_lit(&w->out, w->found_out.buf, w->found_out.len);
	jw_reset(&w->found_out);
	send_lines(w);
	watch_read(w);
}

static void watch_add(struct fswatch *w)
{
	uv_poll_stop(&w->poll);
	w->busy = true;
	w->work.run = adding_run;
	w->work.done = adding_done;
	fspool_submit(w->all->pool, &w->work);
}

/* --- outside ------------------------------------------------------------ */

static void watch_on_data(struct h2_stream *s, char *data, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	h2_consume(s, n);
}

static void watch_on_drained(struct h2_stream *s, void *arg)
{
	struct fswatch *w = arg;

	(void)s;
	if (w->answered && !w->busy)
		watch_read(w);
}

static const struct h2_stream_events watch_events = {
	.data = watch_on_data,
	.drained = watch_on_drained,
	.end = watch_on_stream_end,
};

static int get_params(struct fswatch *w, struct jv in, struct err *e)
{
	struct vfs_path path = {0};
	bool has = jv_has(jv_get(in, "path")) || jv_has(jv_get(in, "path_b64"));

	if (has && vfs_path_get(&path, in, "path", e) < 0)
		return e->code;
	memcpy(w->path, path.text, sizeof(w->path));
	w->recursive = jv_bool(jv_get(in, "recursive"), false);
	if (w->all->n > FS_WATCHERS_MAX)
		return err_set(e, -FAULT_OVERLOADED, "%u watch already",
			       FS_WATCHERS_MAX);
	return 0;
}

static int open_inotify(struct fswatch *w, struct err *e)
{
	int r;

	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return err_set(e, -FAULT_OVERLOADED, "watch: %s",
			       strerror(errno));
	r = uv_poll_init(w->all->loop, &w->poll, w->fd);
	if (r < 0)
		return err_set(e, r, "watch: %s", uv_strerror(r));
	uv_timer_init(w->all->loop, &w->half);
	w->poll.data = w->half.data = w;
	w->handles = 2;
	return 0;
}

void fswatch_start(struct fswatches *all, struct h2_stream *s, struct jv params)
{
	struct fswatch *w = calloc(1, sizeof(*w));
	struct err e = {0};

	if (w == NULL) {
		h2_reset(s);
		return;
	}
	w->all = all;
	w->stream = s;
	w->fd = -1;
	all->n++;
	TAILQ_INSERT_TAIL(&all->list, w, link);
	h2_stream_set(s, &watch_events, w);
	if (get_params(w, params, &e) < 0 || open_inotify(w, &e) < 0)
		watch_fail(w, &e);
	else
		watch_add(w);
}

int fswatches_open(uv_loop_t *loop, struct fspool *pool,
		   const struct fstree *tree, struct fswatches **out)
{
	struct fswatches *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	*all = (struct fswatches){.loop = loop, .pool = pool, .tree = tree};
	TAILQ_INIT(&all->list);
	*out = all;
	return 0;
}

void fswatches_close(struct fswatches *all)
{
	if (all == NULL)
		return;
	all->closing = true;
	if (all->n == 0)
		free(all);
}
