// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_shim.c - What an agent starts as an MCP server: a way to the daemon
 *
 * Agents start one for each server, so it does as little as it can: no loop, no
 * library but ours, a few system calls until the daemon has its pipes.
 */
#include "guest/mcp_shim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/json.h"
#include "core/unixsock.h"

#define PUMP_BYTES (64u << 10)
/* A pipe that poll(2) calls writable takes so much without blocking. */
#define PUMP_PIECE 4096

static int complain(int code, const char *what, const char *why)
{
	fprintf(stderr, "hib-guest " MCP_SHIM_ARG ": %s: %s\n", what, why);
	return code;
}

static bool is_unix_stream(int fd)
{
	static const struct {
		int option, value;
	} all[] = {{SO_DOMAIN, AF_UNIX},
		   {SO_TYPE, SOCK_STREAM},
		   {SO_ACCEPTCONN, 0}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int value;
		socklen_t len = sizeof(value);

		if (getsockopt(fd, SOL_SOCKET, all[i].option, &value, &len) <
			    0 ||
		    value != all[i].value)
			return false;
	}
	return true;
}

/* The kernel alone answers these questions: a file system may be a program. */
bool mcp_shim_passes(int fd)
{
	static const char pipe[] = "pipe:[";
	char path[sizeof("/proc/self/fd/") + 11], name[sizeof(pipe)] = "";

	if (is_unix_stream(fd))
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fcntl(fd, F_GETPIPE_SZ) > 0 &&
	       readlink(path, name, sizeof(name) - 1) > 0 &&
	       strcmp(name, pipe) == 0;
}

/*
 * Knocking.
 */

static int send_line(int sock, const struct jw *line, bool with_fds)
{
	const int fds[2] = {STDIN_FILENO, STDOUT_FILENO};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {0};
	struct iovec iov = {line->buf, line->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (with_fds) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
	}
	/* A fresh socket has room for it. */
	return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)line->len ? 0 : -1;
}

static void await(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
}

/* The daemon's line.  What follows it stays in the socket.
 * Return: false when it ends before. */
static bool take_answer(int sock, char out[MCP_KNOCK_MAX])
{
	for (size_t n = 0; n < MCP_KNOCK_MAX; n++) {
		ssize_t r;

		await(sock);
		r = read(sock, &out[n], 1);
		if (r != 1)
			return false;
		if (out[n] == '\n') {
			out[n] = '\0';
			return true;
		}
	}
	return false;
}

static int knock(int sock, const char *session, const char *server,
		 bool with_fds)
{
	char answer[MCP_KNOCK_MAX];
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "session", session);
	jw_kstr(&w, "server", server);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (w.failed || w.len > MCP_KNOCK_MAX)
		return complain(MCP_SHIM_REFUSED, server,
				"this is no name of a server");
	if (send_line(sock, &w, with_fds) < 0 || !take_answer(sock, answer))
		return complain(MCP_SHIM_UNREACHABLE, server,
				"the daemon does not answer");
	if (answer[0] != '\0')
		return complain(MCP_SHIM_REFUSED, server, answer);
	return 0;
}

/*
 * Carrying bytes, where the daemon cannot.
 */

struct flow {
	int from, to;
	size_t off, len;
	bool ended; /* @from is at its end. */
	char buf[PUMP_BYTES];
};

/* Return: false when it can go on no longer. */
static bool flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, sizeof(f->buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->off = 0;
	f->len = (size_t)n;
	f->ended = n == 0;
	return true;
}

static bool flow_write(struct flow *f)
{
	size_t n = f->len < PUMP_PIECE ? f->len : PUMP_PIECE;
	ssize_t r = write(f->to, f->buf + f->off, n);

	if (r < 0)
		return errno == EAGAIN || errno == EINTR;
	f->off += (size_t)r;
	f->len -= (size_t)r;
	return true;
}

static struct pollfd flow_wants(const struct flow *f)
{
	if (f->len > 0)
		return (struct pollfd){.fd = f->to, .events = POLLOUT};
	return (struct pollfd){.fd = f->ended ? -1 : f->from, .events = POLLIN};
}

static bool flow_turn(struct flow *f, short revents)
{
	if (revents == 0)
		return true;
	return f->len > 0 ? flow_write(f) : flow_read(f);
}

/* Until the daemon has said all that it had to say. */
static void pump(int sock)
{
	static struct flow in = {.from = STDIN_FILENO};
	static struct flow out = {.to = STDOUT_FILENO};
	bool told = false;

	in.to = sock;
	out.from = sock;
	while (!out.ended) {
		struct pollfd p[] = {flow_wants(&in), flow_wants(&out)};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return;
		if (!flow_turn(&in, p[0].revents)) {
			in.ended = true;
			in.len = 0;
		}
		if (!flow_turn(&out, p[1].revents))
			return;
		if (in.ended && !told) {
			told = true;
			(void)shutdown(sock, SHUT_WR);
		}
	}
}

static void wait_for_end(int sock)
{
	char c;

	/* Nobody else may keep the agent's pipes open. */
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	do
		await(sock);
	while (read(sock, &c, 1) > 0);
}

static int usage(void)
{
	fprintf(stderr, "usage: hib-guest " MCP_SHIM_ARG
			" [--socket path] session server\n");
	return MCP_SHIM_USAGE;
}

int mcp_shim_main(int argc, char **argv)
{
	const char *path = MCP_SHIM_DIR "/" MCP_SHIM_SELF "/" MCP_SHIM_SOCKET;
	bool with_fds =
		mcp_shim_passes(STDIN_FILENO) && mcp_shim_passes(STDOUT_FILENO);
	autoclose int sock = -1;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 3 && strcmp(argv[1], "--socket") == 0) {
		path = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 3)
		return usage();
	sock = unixsock_connect(path);
	if (sock < 0)
		return complain(MCP_SHIM_UNREACHABLE, path, strerror(-sock));
	r = knock(sock, argv[1], argv[2], with_fds);
	if (r != 0)
		return r;
	if (with_fds)
		wait_for_end(sock);
	else
		pump(sock);
	return 0;
}
