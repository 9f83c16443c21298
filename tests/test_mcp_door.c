// SPDX-License-Identifier: Apache-2.0
/*
 * test_mcp_door.c - The door for agents, with shims that are processes of their own
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "guest/mcp_door.h"
#include "guest/mcp_shim.h"
#include "tests/tap.h"

#define SES "ses_00000000000000000000000000000001"

static uv_loop_t loop;
static char dir[64];
static struct mcp_door *door;
static struct mcp_visitor came;
static unsigned n_came;

static int door_may(const char *server, void *arg, struct err *e)
{
	(void)arg;
	if (strcmp(server, "files") == 0)
		return 0;
	return err_set(e, -ENOENT, "there is no server '%s'", server);
}

static void door_enter(const struct mcp_visitor *v, void *arg)
{
	(void)arg;
	STR_EQ(v->server, "files");
	came = *v;
	n_came++;
}

static const struct mcp_door_events events = {door_may, door_enter};

static void open_door(void)
{
	struct err e = {0};

	strcpy(dir, "/tmp/mcp_door.XXXXXX");
	OK(mkdtemp(dir) != NULL);
	uv_loop_init(&loop);
	if (mcp_door_open(&loop, dir, SES, &events, NULL, &door, &e) < 0)
		FAIL("%s", e.msg);
}

static void close_door(void)
{
	mcp_door_close(door);
	uv_run(&loop, UV_RUN_DEFAULT);
	EQ(uv_loop_close(&loop), 0);
	EQ(rmdir(dir), 0); /* It has cleaned up. */
}

/* A shim with these as stdin, stdout and stderr. */
static pid_t start_shim(const char *session, const char *server, int in,
			int out, int err)
{
	char *argv[] = {(char *)(uintptr_t)MCP_SHIM_ARG,
			(char *)(uintptr_t) "--socket",
			(char *)(uintptr_t)mcp_door_socket(door),
			(char *)(uintptr_t)session,
			(char *)(uintptr_t)server,
			NULL};
	pid_t pid = fork();

	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		if (err >= 0)
			dup2(err, 2);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		_exit(mcp_shim_main(5, argv));
	}
	return pid;
}

static int exit_code(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	OK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void await_visitor(void)
{
	while (n_came == 0)
		uv_run(&loop, UV_RUN_ONCE);
}

static void goodbye(void)
{
	close(came.in);
	close(came.out);
	if (came.shim >= 0)
		close(came.shim);
}

TEST(pipes_are_handed_over)
{
	char buf[16] = "";
	int in[2], out[2];
	pid_t pid;

	open_door();
	EQ(pipe2(in, O_CLOEXEC), 0);
	EQ(pipe2(out, O_CLOEXEC), 0);
	pid = start_shim(SES, "files", in[0], out[1], -1);
	await_visitor();
	OK(came.shim >= 0);
	EQ(write(in[1], "ping", 4), 4);
	EQ(read(came.in, buf, sizeof(buf)), 4);
	STR_EQ(buf, "ping");
	EQ(write(came.out, "pong", 4), 4);
	EQ(read(out[0], buf, sizeof(buf)), 4);
	STR_EQ(buf, "pong");
	goodbye();
	EQ(exit_code(pid), 0);
	close_door();
}

TEST(the_end_of_a_shim_is_seen)
{
	int in[2], out[2];
	pid_t pid;
	char c;

	open_door();
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
	pid = start_shim(SES, "files", in[0], out[1], -1);
	await_visitor();
	kill(pid, SIGKILL);
	EQ(waitpid(pid, NULL, 0), pid);
	EQ(fcntl(came.shim, F_SETFL, 0), 0);
	OK(read(came.shim, &c, 1) <= 0);
	goodbye();
	close_door();
}

TEST(files_are_carried)
{
	char buf[16] = "", path[96];
	pid_t pid;
	int in, out;

	open_door();
	snprintf(path, sizeof(path), "%s/in", dir);
	in = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EQ(unlink(path), 0);
	out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EQ(unlink(path), 0);
	EQ(write(in, "ping", 4), 4);
	EQ(lseek(in, 0, SEEK_SET), 0);
	pid = start_shim(SES, "files", in, out, -1);
	await_visitor();
	EQ(came.shim, -1);
	EQ(fcntl(came.in, F_SETFL, 0), 0);
	EQ(recv(came.in, buf, sizeof(buf), 0), 4);
	STR_EQ(buf, "ping");
	EQ(recv(came.in, buf, sizeof(buf), 0), 0); /* Its end, too. */
	EQ(write(came.out, "pong", 4), 4);
	goodbye();
	EQ(exit_code(pid), 0);
	EQ(pread(out, buf, sizeof(buf), 0), 4);
	STR_EQ(buf, "pong");
	close_door();
}

/* What is handed over stays open with whoever had it. */
TEST(pipes_never_block_us)
{
	char full[4096] = "";
	int in[2], out[2];
	pid_t pid;

	open_door();
	EQ(pipe2(in, O_CLOEXEC), 0);
	EQ(pipe2(out, O_CLOEXEC), 0);
	pid = start_shim(SES, "files", in[0], out[1], -1);
	await_visitor();
	EQ(fcntl(in[0], F_SETFL, 0), 0);
	EQ(fcntl(out[1], F_SETFL, 0), 0);
	EQ(read(came.in, full, sizeof(full)), -1);
	EQ(errno, EAGAIN);
	while (write(came.out, full, sizeof(full)) > 0)
		continue;
	EQ(errno, EAGAIN);
	goodbye();
	EQ(exit_code(pid), 0);
	close_door();
}

static int open_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EQ(listen(fd, 1), 0);
	return fd;
}

static int open_fifo(void)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/fifo", dir);
	EQ(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	EQ(unlink(path), 0);
	return fd;
}

static int open_listener(void)
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EQ(bind(fd, (const struct sockaddr *)&un, sizeof(sa_family_t)), 0);
	EQ(listen(fd, 1), 0);
	return fd;
}

/* Closing one may take long, or asking what it is. */
TEST(what_could_hold_us_up_is_not_taken)
{
	int pipes[2];
	const int fds[] = {open_tcp(), open_listener(), eventfd(0, 0)};

	open_door();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		OK(!mcp_shim_passes(fds[i]));
	OK(!mcp_shim_passes(open_fifo()));
	OK(!mcp_shim_passes(-1));
	EQ(pipe2(pipes, O_CLOEXEC), 0);
	OK(mcp_shim_passes(pipes[0]));
	close_door();
}

static void is_refused(const char *session, const char *server,
		       const char *words)
{
	char said[512] = "";
	int in[2], err[2];
	pid_t pid;

	EQ(pipe2(in, O_CLOEXEC), 0);
	EQ(pipe2(err, O_CLOEXEC), 0);
	pid = start_shim(session, server, in[0], in[1], err[1]);
	close(err[1]);
	while (waitpid(pid, NULL, WNOHANG) == 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	OK(read(err[0], said, sizeof(said) - 1) > 0);
	if (strstr(said, words) == NULL)
		FAIL("said \"%s\", not \"%s\"", said, words);
	EQ(n_came, 0);
}

TEST(others_are_refused_in_words)
{
	open_door();
	is_refused(SES, "none", "there is no server 'none'");
	is_refused("ses_00000000000000000000000000000002", "files",
		   "this is not the session's socket");
	close_door();
}

static int knock(const char *line, size_t n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", mcp_door_socket(door));
	EQ(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	EQ(send(fd, line, n, MSG_NOSIGNAL), n);
	return fd;
}

TEST(junk_is_sent_away)
{
	static char long_line[4 * MCP_KNOCK_MAX];
	char buf[600] = "";
	int fd;

	open_door();
	fd = knock("not json\n", 9);
	while (recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT) <= 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	STR_EQ(buf, "this is no line of a shim\n");
	close(fd);

	memset(long_line, 'x', sizeof(long_line));
	fd = knock(long_line, sizeof(long_line));
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		uv_run(&loop, UV_RUN_NOWAIT);
	close(fd);
	EQ(n_came, 0);
	close_door();
}

static int knock_with(const int fds[2])
{
	static const char line[] =
		"{\"session\":\"" SES "\",\"server\":\"files\"}\n";
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {
		0};
	struct iovec iov = {(char *)(uintptr_t)line, sizeof(line) - 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = (struct cmsghdr *)control;
	int fd = knock("", 0);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	EQ(sendmsg(fd, &m, MSG_NOSIGNAL), sizeof(line) - 1);
	return fd;
}

static void is_sent_away(int in, int out)
{
	const int fds[2] = {in, out};
	char said[512] = "";
	int fd = knock_with(fds);

	while (recv(fd, said, sizeof(said) - 1, MSG_DONTWAIT) <= 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	STR_EQ(said, "stdin and stdout are no streams\n");
	EQ(n_came, 0);
	close(fd);
}

/* By one that is no shim of ours. */
TEST(odd_descriptors_are_sent_away)
{
	int pipes[2];

	open_door();
	EQ(pipe2(pipes, O_CLOEXEC), 0);
	is_sent_away(pipes[0], open_tcp());
	is_sent_away(open_listener(), pipes[1]);
	is_sent_away(open_fifo(), pipes[1]);
	is_sent_away(pipes[1], pipes[0]); /* The wrong ends. */
	is_sent_away(open(dir, O_PATH | O_CLOEXEC), pipes[1]);
	is_sent_away(epoll_create1(0), pipes[1]);
	close(pipes[0]);
	is_sent_away(pipes[1], pipes[1]); /* Nobody would read it. */
	close_door();
}

TEST(only_streams_are_taken)
{
	char folder_said[512] = "";
	int in[2], err[2], folder;
	pid_t pid;

	/* What looks like a stream to the shim may be none to the daemon. */
	open_door();
	EQ(pipe2(in, O_CLOEXEC), 0);
	EQ(pipe2(err, O_CLOEXEC), 0);
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = start_shim(SES, "files", folder, in[1], err[1]);
	await_visitor(); /* It carries the bytes, then, and fails to read. */
	EQ(came.shim, -1);
	goodbye();
	EQ(exit_code(pid), 0);
	close(err[1]);
	EQ(read(err[0], folder_said, sizeof(folder_said)), 0);
	close(folder);
	close_door();
}

TEST(a_door_closes_with_visitors_in_it)
{
	int fd;

	open_door();
	fd = knock("{", 1);
	uv_run(&loop, UV_RUN_NOWAIT);
	close_door();
	close(fd);
}

TESTS(CASE(pipes_are_handed_over), CASE(the_end_of_a_shim_is_seen),
      CASE(files_are_carried), CASE(others_are_refused_in_words),
      CASE(junk_is_sent_away), CASE(only_streams_are_taken),
      CASE(a_door_closes_with_visitors_in_it), CASE(pipes_never_block_us),
      CASE(what_could_hold_us_up_is_not_taken),
      CASE(odd_descriptors_are_sent_away))
