// SPDX-License-Identifier: Apache-2.0
/*
 * test_checkout.c - A commit in upper/, and the folders around it
 */
#include "guest/checkout.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "core/h2.h"
#include "core/unixsock.h"
#include "guest/limits.h"
#include "guest/workspace_disk.h"
#include "guest/workspace_state.h"
#include "tests/tap.h"
#include "vfs/listing.h"

#define BIG (UPLINK_PIECE + 12345) /* Bytes of a file in two pieces. */

static uv_loop_t *loop;
static struct uplink *up;
static struct h2 *host;
static char home[] = "/tmp/test_checkout.XXXXXX", sock[64];
static int dir;
static int n_requests, fail_at; /* The request that is refused; 0: none. */

/* --- a commit ------------------------------------------------------------
 * Object ids are the number of what they name, forty times. */

struct object {
	char parent, id;
	mode_t mode;
	const char *name, *content;
	uint64_t size; /* When it has no content. */
};

static const struct object objects[] = {
	{'0', '1', S_IFREG | 0644, "file", "text", 0},
	{'0', '2', S_IFDIR | 0750, "folder", NULL, 0},
	{'0', '3', S_IFLNK, "link", "folder/run", 0},
	{'0', '4', S_IFREG | 0600, "big", NULL, BIG},
	{'0', '5', S_IFREG | 0644, "empty", "", 0},
	{'2', '6', S_IFREG | 0755, "run", "#!/bin/sh\n", 0},
	{'2', '7', S_IFDIR | 0755, "deep", NULL, 0},
	{'7', '8', S_IFREG | 0444, "one", "1", 0},
	{'7', '9', S_IFREG | 0644, ".git", "odd", 0},
};

static uint64_t size_of(const struct object *o)
{
	return o->content != NULL ? strlen(o->content) : o->size;
}

static void reply_tree(struct h2_stream *s, char id)
{
	struct listing_writer w = {0};
	struct jw out = {0};
	char hex[VFS_OID_HEX] = {0};

	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const struct object *o = &objects[i];
		struct vfs_entry entry = {
			.mode = o->mode,
			.size = S_ISDIR(o->mode) ? 0 : size_of(o),
			.name = o->name,
			.name_len = strlen(o->name),
		};

		if (o->parent != id)
			continue;
		memset(hex, o->id, 40);
		EQ(vfs_oid_parse(hex, &entry.oid), 0);
		EQ(listing_add(&w, &entry, NULL), 0);
	}
	EQ(listing_end(&w, &out, NULL), 0);
	h2_reply(s, 200, out.buf == NULL ? "" : out.buf, out.len);
	jw_done(&out);
	listing_writer_done(&w);
}

static void reply_blob(struct h2_stream *s, char id, const char *range)
{
	unsigned long long off = 0, n = 0;

	EQ(sscanf(range, "/%llu/%llu", &off, &n), 2);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const struct object *o = &objects[i];
		uint64_t size = size_of(o);
		char *bytes;

		if (o->id != id)
			continue;
		bytes = calloc(1, size + 1);
		OK(bytes != NULL);
		memset(bytes, 'b', size);
		if (o->content != NULL)
			memcpy(bytes, o->content, size);
		OK(off <= size && n <= UPLINK_PIECE);
		h2_reply(s, 200, bytes + off, n < size - off ? n : size - off);
		free(bytes);
	}
}

static void host_on_end(struct h2_stream *s, int r, void *arg)
{
	(void)s;
	(void)r;
	(void)arg;
}

static void host_on_request(struct h2_stream *s, const char *method,
			    const char *path, void *arg)
{
	static const struct h2_stream_events ev = {.end = host_on_end};

	(void)arg;
	STR_EQ(method, "GET");
	h2_stream_set(s, &ev, NULL);
	if (++n_requests == fail_at)
		h2_reply(s, 404, "{}", 2);
	else if (strncmp(path, "/tree/", 6) == 0)
		reply_tree(s, path[6]);
	else
		reply_blob(s, path[6], path + 6 + 40);
}

static void host_on_closed(struct h2 *c, int r, void *arg)
{
	(void)r;
	(void)arg;
	h2_close(c);
	host = NULL;
}

/* --- set up, tear down ---------------------------------------------------- */

static void begin(void)
{
	static const struct h2_events ev = {
		.request = host_on_request,
		.closed = host_on_closed,
	};
	uv_pipe_t *io = malloc(sizeof(*io));
	int fd;

	umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	loop = uv_default_loop();
	OK(mkdtemp(home) != NULL);
	dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EQ(workspace_disk_make(dir, NULL), 0);
	snprintf(sock, sizeof(sock), "%s/host.sock", home);
	EQ(uplink_open(loop, sock, &up, NULL), 0);
	fd = unixsock_connect(sock);
	OK(fd >= 0);
	uv_pipe_init(loop, io, 0);
	EQ(uv_pipe_open(io, fd), 0);
	EQ(h2_new((uv_stream_t *)io, true, &ev, NULL, &host), 0);
}

static void finish(void)
{
	char command[sizeof(home) + 8];

	uplink_close(up);
	h2_close(host);
	uv_run(loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(loop), 0);
	close(dir);
	/* Not by nftw(3): there may be folders deeper than a path is long. */
	snprintf(command, sizeof(command), "rm -rf %s", home);
	EQ(system(command), 0);
}

static int n_done, code;

static void on_done(const struct err *e, void *arg)
{
	(void)arg;
	n_done++;
	code = e == NULL ? 0 : e->code;
}

static int check_out(void)
{
	struct checkout_spec spec = {
		.uplink = up,
		.dir = dir,
		.owner = geteuid() == 0 ? 4711 : 0,
		.done = on_done,
	};

	memset(&spec.commit, 0, sizeof(spec.commit)); /* 40 zeros. */
	n_done = 0;
	EQ(checkout_start(&spec, NULL), 0);
	EQ(n_done, 0);
	while (n_done == 0)
		uv_run(loop, UV_RUN_ONCE);
	EQ(n_done, 1);
	return code;
}

/* "mode size content" of upper/@name, or how it cannot be read. */
static const char *look(const char *name)
{
	static char out[256];
	char path[128], text[64] = "";
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "upper/%s", name);
	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return strerrorname_np(errno);
	fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && st.st_size < 20 && S_ISREG(st.st_mode))
		OK(read(fd, text, sizeof(text) - 1) >= 0);
	if (S_ISLNK(st.st_mode))
		OK(readlinkat(dir, path, text, sizeof(text) - 1) > 0);
	if (fd >= 0)
		close(fd);
	snprintf(out, sizeof(out), "%o %s", st.st_mode, text);
	return out;
}

static void put(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	OK(fd >= 0);
	EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void is_whole(void)
{
	struct stat st;

	STR_EQ(look("file"), "100644 text");
	STR_EQ(look("folder"), "40750 ");
	STR_EQ(look("link"), "120777 folder/run");
	STR_EQ(look("empty"), "100644 ");
	STR_EQ(look("folder/run"), "100755 #!/bin/sh\n");
	STR_EQ(look("folder/deep/one"), "100444 1");
	STR_EQ(look("folder/deep/.git"), "100644 odd");
	EQ(fstatat(dir, "upper/big", &st, 0), 0);
	EQ(st.st_size, BIG);
	EQ(st.st_mode, S_IFREG | 0600);
	EQ(st.st_uid, geteuid() == 0 ? 4711 : geteuid());
	EQ(fstatat(dir, "upper/link", &st, AT_SYMLINK_NOFOLLOW), 0);
	EQ(st.st_uid, geteuid() == 0 ? 4711 : geteuid());
	/* Nothing is left of what was on its way. */
	EQ(fstatat(dir, "work", &st, 0), 0);
	EQ(unlinkat(dir, "work", AT_REMOVEDIR), 0);
}

/* --- cases ---------------------------------------------------------------- */

static void all_files_are_there(void)
{
	begin();
	EQ(check_out(), 0);
	is_whole();
	finish();
}

static void what_fails_is_made_again(void)
{
	begin();
	for (fail_at = 1; fail_at < 11; fail_at++) {
		n_requests = 0;
		if (check_out() == 0)
			break;
	}
	OK(fail_at > 3);
	fail_at = 0;
	EQ(check_out(), 0);
	is_whole();
	finish();
}

static void what_is_there_stays(void)
{
	begin();
	put("upper/file", "mine");
	EQ(mkdirat(dir, "upper/folder", 0700), 0);
	put("upper/folder/own", "x");
	EQ(check_out(), 0);
	STR_EQ(look("file"), "100644 mine");
	STR_EQ(look("folder"), "40700 ");
	STR_EQ(look("folder/own"), "100644 x");
	STR_EQ(look("folder/run"), "100755 #!/bin/sh\n");
	finish();
}

/* A whiteout on "file", an opaque "folder". */
static void what_an_overlay_hid_stays_away(void)
{
	char path[128];

	begin();
	EQ(mknodat(dir, "upper/file", S_IFCHR, makedev(0, 0)), 0);
	EQ(mkdirat(dir, "upper/folder", 0755), 0);
	snprintf(path, sizeof(path), "%s/upper/folder", home);
	if (setxattr(path, "user.overlay.opaque", "y", 1, 0) < 0)
		SKIP("no user attributes on /tmp");
	EQ(check_out(), 0);
	EQ(checkout_sweep(dir, NULL), 0);
	STR_EQ(look("file"), "ENOENT");
	STR_EQ(look("folder/run"), "ENOENT");
	STR_EQ(look("big"), "100600 ");
	EQ(getxattr(path, "user.overlay.opaque", NULL, 0), -1);
	finish();
}

static void no_link_is_followed(void)
{
	struct stat st;

	begin();
	EQ(symlinkat("/tmp", dir, "upper/folder"), 0);
	EQ(check_out(), 0);
	EQ(stat("/tmp/run", &st), -1);
	STR_EQ(look("folder"), "120777 /tmp");
	finish();
}

static void a_missing_host_fails_it(void)
{
	struct checkout_spec spec = {.done = on_done};

	begin();
	h2_close(take_ptr(host));
	spec.uplink = up;
	spec.dir = dir;
	EQ(checkout_start(&spec, NULL), 0);
	uplink_close(up);
	EQ(n_done, 1);
	EQ(code, -ECANCELED);
	up = NULL;
	finish();
}

/* --- the folders, the state ----------------------------------------------- */

static void a_reset_leaves_an_empty_upper(void)
{
	static const atomic_bool stop = false;
	struct workspace_state now = {.n = 1};
	struct stat st;

	begin();
	put("upper/file", "mine");
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	STR_EQ(look("file"), "ENOENT");
	EQ(faccessat(dir, "old/file", F_OK, 0), 0);
	/* Killed before its state was saved, and begun again. */
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	EQ(faccessat(dir, "old/file", F_OK, 0), 0);
	EQ(fstatat(dir, "upper", &st, 0), 0);
	EQ(st.st_mode & 07777, 0755);
	/* And after it: what was moved stays so. */
	now = (struct workspace_state){.n = 2, .carry = true};
	put("upper/moved", "carried");
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	EQ(faccessat(dir, "old/file", F_OK, 0), 0);
	STR_EQ(look("moved"), "100644 carried");
	EQ(workspace_disk_drop_old(dir, NULL), 0);
	EQ(faccessat(dir, "old", F_OK, 0), -1);
	workspace_disk_empty_trash(dir, &stop);
	EQ(unlinkat(dir, "trash", AT_REMOVEDIR), 0);
	finish();
}

static void a_reset_takes_no_file_of_the_generation_before(void)
{
	struct workspace_state now = {
		.n = 2, .mode = WORKSPACE_CHECKOUT, .has_lower = true};

	begin();
	/* Another reset, before all of a commit was there. */
	put("upper/ignored", "1");
	now.carry = true;
	EQ(renameat(dir, "upper", dir, "old"), 0);
	EQ(workspace_disk_make(dir, NULL), 0);
	put("upper/file", "2");
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	STR_EQ(look("file"), "ENOENT");
	EQ(faccessat(dir, "old/ignored", F_OK, 0), 0);
	/* One that was complete, but for the rest of what was before it. */
	now = (struct workspace_state){.n = 3};
	put("upper/file", "3");
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	STR_EQ(look("file"), "ENOENT");
	EQ(faccessat(dir, "old/file", F_OK, 0), 0);
	EQ(faccessat(dir, "old/ignored", F_OK, 0), -1);
	finish();
}

/* As the second loop's thread does it. */
static void *sweep_on_small_stack(void *arg)
{
	(void)arg;
	EQ(checkout_sweep(dir, NULL), 0);
	return NULL;
}

static void deep_folders_fit_the_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	begin();
	EQ(fchdir(dir), 0);
	EQ(chdir("upper"), 0);
	for (int i = 0; i < 5000; i++)
		OK(mkdir("deeper", 0755) == 0 && chdir("deeper") == 0);
	EQ(chdir("/"), 0);
	EQ(pthread_attr_init(&attr), 0);
	EQ(pthread_attr_setstacksize(&attr, SIDELOOP_STACK), 0);
	EQ(pthread_create(&thread, &attr, sweep_on_small_stack, NULL), 0);
	EQ(pthread_join(thread, NULL), 0);
	EQ(pthread_attr_destroy(&attr), 0);
	finish();
}

static void trash_of_any_depth_goes(void)
{
	static const atomic_bool stop = false;
	const struct workspace_state now = {.n = 1};
	struct rlimit files;

	begin();
	EQ(fchdir(dir), 0);
	EQ(chdir("upper"), 0);
	for (int i = 0; i < 5000; i++)
		OK(mkdir("deeper", 0755) == 0 && chdir("deeper") == 0);
	EQ(mkdir("closed", 0000), 0);
	EQ(chdir("/"), 0);
	EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = 64;
	EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
	EQ(workspace_disk_reset(dir, &now, NULL), 0);
	EQ(workspace_disk_drop_old(dir, NULL), 0);
	OK(workspace_disk_has_trash(dir));
	workspace_disk_empty_trash(dir, &stop);
	OK(!workspace_disk_has_trash(dir));
	finish();
}

static void the_state_is_kept(void)
{
	struct workspace_state s = {.n = 3, .mode = WORKSPACE_OVERLAY}, got;
	struct err e = {0};

	begin();
	EQ(workspace_state_load(dir, &got, &e), 0);
	EQ(got.n, 0);
	s.has_lower = true;
	memset(&s.lower, 0xab, sizeof(s.lower));
	EQ(workspace_state_save(dir, &s, &e), 0);
	EQ(workspace_state_load(dir, &got, &e), 0);
	EQ(got.n, 3);
	EQ(got.mode, WORKSPACE_OVERLAY);
	OK(vfs_oid_eq(&got.lower, &s.lower));
	put("state.json", "{\"n\":3,\"mode\":\"overlay\",\"lower\":null}    ");
	OK(workspace_state_load(dir, &got, &e) < 0);
	finish();
}

TESTS(CASE(all_files_are_there), CASE(what_fails_is_made_again),
      CASE(what_is_there_stays), CASE(what_an_overlay_hid_stays_away),
      CASE(no_link_is_followed), CASE(a_missing_host_fails_it),
      CASE(a_reset_leaves_an_empty_upper),
      CASE(a_reset_takes_no_file_of_the_generation_before),
      CASE(deep_folders_fit_the_stack), CASE(trash_of_any_depth_goes),
      CASE(the_state_is_kept))
