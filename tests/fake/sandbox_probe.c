// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_probe.c - Stands in for hib-guest: says what a sandbox looks like
 *
 * Process 1 of a sandbox.  It listens on /hib/run/api.sock; each connection
 * brings one line, "verb argument", and gets text back until the end of file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "core/base.h"

#define LINE_MAX_BYTES 1024

extern char **environ;

/* An ASan build may not look for leaks as process 1 of a sandbox. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void say(FILE *out, long result)
{
	fputs(result < 0 ? strerrorname_np(errno) : "ok", out);
}

static void do_ls(FILE *out, char *path)
{
	const struct dirent *entry;
	DIR *d = opendir(path);

	if (d == NULL) {
		say(out, -1);
		return;
	}
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			fprintf(out, "%s ", entry->d_name);
	closedir(d);
}

static void do_read(FILE *out, char *path)
{
	FILE *in = fopen(path, "re");
	int c;

	if (in == NULL) {
		say(out, -1);
		return;
	}
	while ((c = getc(in)) != EOF)
		putc(c, out);
	fclose(in);
}

static void do_write(FILE *out, char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	say(out, fd < 0 ? -1 : write(fd, "kept", 4));
	if (fd >= 0)
		close(fd);
}

static void do_who(FILE *out, char *unused)
{
	struct stat st;

	(void)unused;
	fprintf(out, "pid %d sid %d uid %d gid %d", getpid(), getsid(0),
		getuid(), getgid());
	if (stat("/home/user", &st) == 0)
		fprintf(out, " home %d", st.st_uid);
}

static void do_env(FILE *out, char *unused)
{
	(void)unused;
	for (char **v = environ; *v != NULL; v++)
		fprintf(out, "%s ", *v);
}

static void do_net(FILE *out, char *unused)
{
	struct if_nameindex *all = if_nameindex();

	(void)unused;
	for (struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++)
		fprintf(out, "%s ", i->if_name);
	if (all != NULL)
		if_freenameindex(all);
}

static void do_loopback(FILE *out, char *unused)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo"};

	(void)unused;
	say(out, ioctl(fd, SIOCGIFFLAGS, &lo) < 0	   ? -1
		 : (lo.ifr_flags & (IFF_UP | IFF_RUNNING)) ? 0
							   : -1);
	close(fd);
}

static void do_call(FILE *out, char *name)
{
	static union bpf_attr attr;

	errno = 0;
	if (strcmp(name, "bpf") == 0)
		say(out, syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)));
	else if (strcmp(name, "keyctl") == 0)
		say(out, syscall(SYS_keyctl, 0, -3, 1));
	else if (strcmp(name, "io_uring") == 0)
		say(out, syscall(SYS_io_uring_setup, 1, NULL));
	else if (strcmp(name, "sticky") == 0)
		say(out, ioctl(0, TIOCSTI, "x"));
	else if (strcmp(name, "unshare") == 0)
		say(out, unshare(CLONE_NEWNS));
	else
		fputs("what?", out);
}

static void do_remount(FILE *out, char *path)
{
	say(out, mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static void do_umount(FILE *out, char *path)
{
	say(out, umount2(path, MNT_DETACH));
}

static void do_link(FILE *out, char *to)
{
	say(out, symlink(to, "/hib/run/host.sock"));
}

static void do_log(FILE *out, char *text)
{
	fprintf(stderr, "%s\n", text);
	say(out, 0);
}

static void do_exit(FILE *out, char *status)
{
	(void)out;
	_exit(atoi(status));
}

#define FUSE_FD 100 /* Where what --fuse-fd named is kept. */

static int fuse_fd = -1;

static void do_fuse(FILE *out, char *path)
{
	char options[128];

	if (fuse_fd < 0) {
		fputs("none", out);
		return;
	}
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fuse_fd);
	say(out, mkdir(path, 0755) < 0
			 ? -1
			 : mount("probe", path, "fuse", MS_RDONLY, options));
}

static const struct {
	const char *name;
	void (*run)(FILE *out, char *arg);
} verbs[] = {
	{"call", do_call},	   {"env", do_env},
	{"exit", do_exit},	   {"fuse", do_fuse},
	{"link", do_link},	   {"log", do_log},
	{"loopback", do_loopback}, {"ls", do_ls},
	{"net", do_net},	   {"read", do_read},
	{"remount", do_remount},   {"umount", do_umount},
	{"who", do_who},	   {"write", do_write},
};

static void answer(FILE *io)
{
	char line[LINE_MAX_BYTES], *arg;

	if (fgets(line, sizeof(line), io) == NULL)
		return;
	line[strcspn(line, "\n")] = '\0';
	arg = strchr(line, ' ');
	if (arg != NULL)
		*arg++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, line) == 0)
			verbs[i].run(io, arg);
}

static void take_fuse(int argc, char **argv)
{
	int fd;

	if (argc != 3 || strcmp(argv[1], "--fuse-fd") != 0)
		return;
	fd = atoi(argv[2]);
	fuse_fd = dup3(fd, FUSE_FD, O_CLOEXEC);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX,
				 .sun_path = "/hib/run/api.sock"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	take_fuse(argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)unlink(at.sun_path);
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 16) < 0) {
		perror("sandbox_probe: listen");
		return 1;
	}
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		FILE *io = c < 0 ? NULL : fdopen(c, "r+");

		if (io == NULL)
			continue;
		setvbuf(io, NULL, _IOLBF, LINE_MAX_BYTES);
		answer(io);
		fclose(io);
	}
}
