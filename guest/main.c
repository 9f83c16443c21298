// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - hib-guest: the daemon of a VM, or a small program for one session
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "core/db.h"
#include "core/log.h"
#include "guest/fsop.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/machine.h"
#include "guest/mcp_shim.h"
#include "guest/reexec.h"
#include "guest/session_init.h"
#include "guest/sqlmem.h"

#define LOG_COMPONENT "guest"
#define ARENAS	      2 /* Of malloc: for the loop, and for all other threads. */

static const struct option options[] = {
	{"state", required_argument, NULL, 's'},
	{"run", required_argument, NULL, 'r'},
	{"fuse-fd", required_argument, NULL, 'f'},
	{"workspace", required_argument, NULL, 'w'},
	{"machine", no_argument, NULL, 'm'},
	{"no-isolate", no_argument, NULL, 'n'},
	{"log-level", required_argument, NULL, 'l'},
	{REEXEC_OPTION, required_argument, NULL, 't'},
	{REEXEC_CHECK_ARG, required_argument, NULL, 'T'},
	{"new-store", required_argument, NULL, 'S'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static int usage(void)
{
	fprintf(stderr, "usage: hib-guest [--state dir] [--run dir] "
			"[--fuse-fd n] [--take-over n] "
			"[--workspace dir] [--machine] "
			"[--no-isolate] "
			"[--log-level level] [--version]\n");
	return 2;
}

/* What every VM begins with, for core/db.c to copy. */
static int make_store(const char *path)
{
	sqlite3 *db;
	struct err e = {0};

	if (db_open(path, DB_GUEST, &db, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	db_close(db);
	return 0;
}

/* A descriptor that was opened for us; nobody else's from here on. */
static bool take_number(const char *number, int *out)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (*end != '\0' || fd <= STDERR_FILENO || fd > INT_MAX ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return false;
	*out = (int)fd;
	return true;
}

/* No agent may read our memory.  The leak checker has to, of its own. */
static void fence(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	/* A file over a limit is an error like a full disk, not our end. */
	(void)signal(SIGXFSZ, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct guest_options opt = {
		.state = "/hib/state",
		.run = "/hib/run",
		.vfs = "/hib/vfs",
		.fuse_fd = -1,
		.take_over = -1,
		.argv = argv,
		.workspace = "/workspace",
		.isolate = true,
	};
	struct err e = {0};
	int c, r;

	if (strcmp(argv[0], MACHINE_INIT) == 0)
		machine_main();
	if (argc > 1 && strcmp(argv[1], SESSION_INIT_ARG) == 0)
		return session_init_main();
	if (argc > 1 && strcmp(argv[1], MCP_SHIM_ARG) == 0)
		return mcp_shim_main(argc - 1, argv + 1);
	c = fsop_main(argc, argv);
	if (c >= 0)
		return c;
	(void)mallopt(M_ARENA_MAX, ARENAS);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.state = optarg;
			break;
		case 'r':
			opt.run = optarg;
			break;
		case 'f':
			if (!take_number(optarg, &opt.fuse_fd))
				return usage();
			break;
		case 'w':
			opt.workspace = optarg;
			break;
		case 'm':
			opt.machine = true;
			break;
		case 'n':
			opt.isolate = false;
			break;
		case 'l':
			if (log_set_level_name(optarg) < 0)
				return usage();
			break;
		case 't':
			if (!take_number(optarg, &opt.take_over))
				return usage();
			break;
		case 'T':
			return atoi(optarg) == REEXEC_FORMAT ? 0 : 1;
		case 'S':
			return make_store(optarg);
		case 'V':
			puts("hib-guest " HIB_VERSION);
			return 0;
		default:
			return usage();
		}
	}
	if (optind != argc)
		return usage();
	log_set_max(CONSOLE_BYTES_MAX); /* hibd may not be there to do it. */
	fence();
	if (sqlmem_init() < 0)
		log_warn("nothing bounds the memory of SQL");
	r = guest_run(&opt, &e);
	if (r < 0)
		log_error("%s", e.msg);
	if (opt.machine)
		machine_end();
	return r < 0 ? 1 : 0;
}
