// SPDX-License-Identifier: Apache-2.0
/*
 * npm.c - Running npm
 *
 * npm runs in a process group of its own, so that what it started can be ended
 * with it: an interrupt that the terminal sends reaches us alone.  Packages may
 * say what is to be run when they are installed; that is not done (see hib(1)),
 * as it would run on the host, as the user.
 */
#include "host/cli/npm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "host/manifest.h"

/* --- where it is -------------------------------------------------------- */

static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[4096];

	for (const char *p = path; p != NULL && *p != '\0';) {
		size_t n = strcspn(p, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)n, p, name);
		if (n > 0 && access(file, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static int check_tools(struct err *e)
{
	static const char *const tools[] = {"npm", "node"};

	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		if (!is_in_path(tools[i]))
			return err_set(e, -FAULT_AGENT_UNKNOWN,
				       "%s is not in PATH; install it: "
				       "apt-get install npm",
				       tools[i]);
	}
	return 0;
}

/* --- signals ------------------------------------------------------------ */

static volatile sig_atomic_t npm_group;
static volatile sig_atomic_t was_signalled;

static void npm_on_signal(int number)
{
	int saved = errno;

	was_signalled = 1;
	if (npm_group > 0)
		(void)kill(-(pid_t)npm_group, number);
	errno = saved;
}

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP};

/* What was handled, and blocked, before. */
struct signals {
	struct sigaction actions[ARRAY_LEN(passed_on)];
	sigset_t mask;
};

/* They are blocked until let_signals(), when it is known whom they go to. */
static void catch_signals(struct signals *old)
{
	const struct sigaction a = {.sa_handler = npm_on_signal};
	sigset_t set;

	was_signalled = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
		sigaddset(&set, passed_on[i]);
		sigaction(passed_on[i], &a, &old->actions[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &old->mask);
}

static void let_signals(const struct signals *old)
{
	sigprocmask(SIG_SETMASK, &old->mask, NULL);
}

static void restore_signals(const struct signals *old)
{
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
		sigaction(passed_on[i], &old->actions[i], NULL);
	let_signals(old);
}

/* --- the process -------------------------------------------------------- */

/* In the child, which shall not outlive @parent.  Standard output belongs to our
 * own results. */
static _Noreturn void run_npm(const char *dir, const char *const *argv,
			      const struct signals *old, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	restore_signals(old);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	    dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 && chdir(dir) == 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], (char **)(uintptr_t)argv);
	}
	fprintf(stderr, "hib: npm: %s\n", strerror(errno));
	_exit(127);
}

static int wait_for(pid_t pid, struct err *e)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_set(e, -errno, "npm: %s", strerror(errno));
	}
	/* What it started and did not wait for. */
	(void)kill(-pid, SIGKILL);
	if (was_signalled)
		return err_set(e, -ECANCELED, "interrupted");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, -FAULT_AGENT_SPAWN_FAILED,
		       "npm failed with %s %d, see above",
		       WIFEXITED(status) ? "exit code" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status)
					 : WTERMSIG(status));
}

static int run(const char *dir, const char *const *argv, struct err *e)
{
	const pid_t parent = getpid();
	struct signals old;
	pid_t pid;
	int r;

	fflush(stderr);
	catch_signals(&old);
	pid = fork();
	if (pid == 0)
		run_npm(dir, argv, &old, parent);
	if (pid > 0) {
		setpgid(pid, pid);
		npm_group = pid;
		let_signals(&old);
		r = wait_for(pid, e);
		npm_group = 0;
	} else {
		r = err_set(e, -errno, "npm: %s", strerror(errno));
	}
	restore_signals(&old);
	return r;
}

/* Without a package.json npm would look for one in the folders above. */
static int make_package(const char *dir, struct err *e)
{
	static const char text[] = "{\"private\":true}\n";
	char path[4096];
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "%s/package.json", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* @out: NULL-terminated; its strings are the caller's. */
static int copy_pins(struct jv pins, char *out[MANIFEST_PINS_MAX + 1],
		     struct err *e)
{
	size_t n = 0;

	for (struct jv v = jv_first(pins); jv_has(v); v = jv_next(pins, v)) {
		out[n] = jv_strdup(v, NULL);
		if (out[n++] == NULL)
			return err_set(e, -ENOMEM, "npm: out of memory");
	}
	return 0;
}

int npm_install(const char *dir, struct jv pins, struct err *e)
{
	static const char *const fixed[] = {
		"npm",
		"install",
		"--ignore-scripts",
		"--no-audit",
		"--no-fund",
		"--no-update-notifier",
		"--loglevel=error",
		"--omit=dev",
		"--",
	};
	const char *argv[ARRAY_LEN(fixed) + MANIFEST_PINS_MAX + 1];
	char *copy[MANIFEST_PINS_MAX + 1] = {0};
	int r = check_tools(e);

	if (r == 0)
		r = make_package(dir, e);
	if (r == 0)
		r = copy_pins(pins, copy, e);
	memcpy(argv, fixed, sizeof(fixed));
	memcpy(argv + ARRAY_LEN(fixed), copy, sizeof(copy));
	if (r == 0)
		r = run(dir, argv, e);
	for (char **pin = copy; *pin != NULL; pin++)
		free(*pin);
	return r;
}
