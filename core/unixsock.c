// SPDX-License-Identifier: Apache-2.0
/*
 * unixsock.c - Unix stream sockets by path, of any length
 *
 * sun_path holds 108 bytes.  A longer path is named through its folder, opened
 * O_PATH: /proc/self/fd/N/name.
 *
 * The mode of a socket file is the mode of the socket's own inode, masked by
 * the umask (unix_bind() in the kernel), so fchmod() before bind() makes the
 * file private from birth, without touching the umask of the process.
 */
#include "core/unixsock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 4096 /* The kernel caps it at net.core.somaxconn. */

/* A path made into an address; the folder stays open while it is used. */
struct address {
	struct sockaddr_un un;
	int dir;
};

static void address_done(struct address *a)
{
	close_fd(&a->dir);
}

static int address_through_dir(struct address *a, const char *path)
{
	const char *name = strrchr(path, '/');
	autofree char *dir = NULL;
	int n;

	if (name == NULL)
		return -ENAMETOOLONG;
	dir = strndup(path, (size_t)(name - path) + 1);
	if (dir == NULL)
		return -ENOMEM;
	a->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->dir < 0)
		return -errno;

	n = snprintf(a->un.sun_path, sizeof(a->un.sun_path),
		     "/proc/self/fd/%d%s", a->dir, name);
	if (n < 0 || (size_t)n >= sizeof(a->un.sun_path))
		return -ENAMETOOLONG;
	return 0;
}

static int address_init(struct address *a, const char *path)
{
	size_t len = strlen(path);

	*a = (struct address){.un.sun_family = AF_UNIX, .dir = -1};
	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(a->un.sun_path))
		return address_through_dir(a, path);
	memcpy(a->un.sun_path, path, len + 1);
	return 0;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int connect_to(const struct address *a)
{
	autoclose int fd = new_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&a->un, sizeof(a->un)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int bind_to(int fd, const struct address *a)
{
	if (bind(fd, (const struct sockaddr *)&a->un, sizeof(a->un)) < 0)
		return -errno;
	return 0;
}

/* Remove a socket file that nobody listens on. */
static int remove_dead(const struct address *a)
{
	int fd = connect_to(a);
	struct stat st;

	if (fd >= 0)
		close(fd);
	if (fd == -ENOENT)
		return 0;
	if (fd != -ECONNREFUSED)
		return -EADDRINUSE;
	/* Connecting to a plain file is refused as well. */
	if (lstat(a->un.sun_path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	return unlink(a->un.sun_path) < 0 ? -errno : 0;
}

static int listen_at(const struct address *a)
{
	autoclose int fd = new_socket();
	int r;

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	r = bind_to(fd, a);
	if (r == -EADDRINUSE) {
		r = remove_dead(a);
		if (r == 0)
			r = bind_to(fd, a);
	}
	if (r < 0)
		return r;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

int unixsock_listen(const char *path, struct err *e)
{
	cleanup(address_done) struct address a;
	int r = address_init(&a, path);

	if (r == 0)
		r = listen_at(&a);
	if (r < 0)
		return err_set(e, r, "listen on %s: %s", path, strerror(-r));
	return r;
}

int unixsock_connect(const char *path)
{
	cleanup(address_done) struct address a;
	int r = address_init(&a, path);

	return r < 0 ? r : connect_to(&a);
}
