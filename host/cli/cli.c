// SPDX-License-Identifier: Apache-2.0
/*
 * cli.c - What the commands of `hib` share
 */
#include "host/cli/cli.h"

#include <assert.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "core/utf8.h"
#include "vfs/aside.h"
#include "vfs/passing.h"

#define OPTS_MAX       40 /* Of one command, with --help. */
#define ACTOR_NAME_MAX 64 /* "cli:USER", cut. */

/* --- options ------------------------------------------------------------ */

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	fputs("hib: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nusage: hib %s %s\n", c->command->name,
		c->command->usage);
	return EXIT_USAGE;
}

/* Store the value of one option.  Return: -1 or the exit status. */
static int take_option(const struct cli *c, const struct opt *o, char *into)
{
	void *field = into + o->offset;
	struct opt_list *list;
	char *end;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		break;
	case OPT_TEXT:
		*(const char **)field = optarg;
		break;
	case OPT_NUMBER:
		errno = 0;
		*(int64_t *)field = strtoll(optarg, &end, 10);
		if (errno != 0 || end == optarg || *end != '\0' ||
		    *(int64_t *)field < 0)
			return cli_usage(c, "--%s '%s' is no number", o->name,
					 optarg);
		break;
	case OPT_LIST:
		list = field;
		if (list->n == CLI_LIST_MAX)
			return cli_usage(c, "--%s: more than %d", o->name,
					 CLI_LIST_MAX);
		list->item[list->n++] = optarg;
		break;
	}
	return -1;
}

static int print_help(const struct cli *c)
{
	printf("usage: hib %s %s\n\n%s.\n", c->command->name, c->command->usage,
	       c->command->about);
	return 0;
}

#define FIRST_VAL 256 /* Of the long options; letters are below. */

struct parser {
	struct option longs[OPTS_MAX + 1];
	char shorts[2 * OPTS_MAX + 3];
};

static void make_parser(struct parser *p, const struct opt *opts)
{
	char *s;

	*p = (struct parser){.longs = {{"help", no_argument, NULL, 'h'}}};
	s = p->shorts;
	*s++ = ':';
	*s++ = 'h';
	for (int i = 0; opts != NULL && opts[i].name != NULL; i++) {
		bool flag = opts[i].type == OPT_FLAG;

		assert(i + 1 < OPTS_MAX);
		p->longs[i + 1] = (struct option){
			.name = opts[i].name,
			.has_arg = flag ? no_argument : required_argument,
			.val = FIRST_VAL + i,
		};
		if (opts[i].letter != 0)
			*s++ = opts[i].letter;
		if (opts[i].letter != 0 && !flag)
			*s++ = ':';
	}
}

static const struct opt *find_opt(const struct opt *opts, int got)
{
	if (got >= FIRST_VAL)
		return &opts[got - FIRST_VAL];
	while (opts->letter != got)
		opts++;
	return opts;
}

int cli_options(struct cli *c, int argc, char **argv, const struct opt *opts,
		void *into, int min, int max)
{
	struct parser p;
	int got, r = -1;

	make_parser(&p, opts);
	optind = 0;
	opterr = 0;
	while (r < 0 &&
	       (got = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		if (got == 'h')
			return print_help(c);
		if (got == ':')
			return cli_usage(c, "%s needs a value",
					 argv[optind - 1]);
		if (got == '?')
			return cli_usage(c, "unknown option %s",
					 argv[optind - 1]);
		r = take_option(c, find_opt(opts, got), into);
	}
	if (r >= 0)
		return r;
	c->argc = argc - optind;
	c->argv = argv + optind;
	if (c->argc < min)
		return cli_usage(c, "something is missing");
	if (c->argc > max)
		return cli_usage(c, "'%s' is too much", c->argv[max]);
	return -1;
}

/* --- ends --------------------------------------------------------------- */

static void say(const char *message, const char *name)
{
	fputs("hib: ", stderr);
	cli_print_safe(stderr, message, strlen(message));
	fprintf(stderr, " (%s)\n", name);
}

int cli_fail(const struct err *e)
{
	enum fault f = err_fault(e->code);

	say(e->msg, fault_name(f));
	return fault_exit_code(f);
}

int cli_fail_hib(const struct hib_error *e)
{
	say(e->message, e->name);
	return hib_exit_code(e);
}

static struct hib *volatile interrupt_target;
static volatile sig_atomic_t was_interrupted;

static void cli_on_signal(int number)
{
	(void)number;
	if (was_interrupted || interrupt_target == NULL)
		_exit(EXIT_INTERRUPTED);
	was_interrupted = 1;
	hib_interrupt(interrupt_target);
}

void cli_catch_interrupts(struct hib *h)
{
	const struct sigaction a = {.sa_handler = cli_on_signal};

	interrupt_target = h;
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

void cli_close(struct cli *c)
{
	interrupt_target = NULL;
	hib_close(c->hib);
	reader_close(c->reader);
}

bool cli_was_interrupted(void)
{
	return was_interrupted != 0;
}

/* Signals are let in by ppoll(2) alone: none comes between the look at the flag
 * and the wait. */
bool cli_wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	sigset_t interrupts, before;

	sigemptyset(&interrupts);
	sigaddset(&interrupts, SIGINT);
	sigaddset(&interrupts, SIGTERM);
	sigprocmask(SIG_BLOCK, &interrupts, &before);
	while (!was_interrupted && ppoll(&p, 1, NULL, &before) < 0 &&
	       errno == EINTR)
		continue;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !was_interrupted;
}

/* --- reaching the data -------------------------------------------------- */

int cli_hib(struct cli *c)
{
	struct hib_options o = {
		.size = sizeof(o),
		.home = c->home.root,
		.token = getenv("HIB_TOKEN"),
	};
	struct hib_error e;

	if (c->hib == NULL && hib_open(&o, &c->hib, &e) < 0)
		return cli_fail_hib(&e);
	return -1;
}

int cli_reader(struct cli *c)
{
	struct err e = {0};
	int r;

	if (c->reader != NULL)
		return -1;
	r = reader_open(c->home.db, &c->reader, &e);
	return r < 0 && r != -ENOENT ? cli_fail(&e) : -1;
}

int cli_session_id(const char *id)
{
	struct err e = {0};

	if (id_is(id, "ses"))
		return -1;
	err_set(&e, -FAULT_INVALID_ID, "'%.64s' is no session id", id);
	return cli_fail(&e);
}

int cli_session_reader(struct cli *c, const char *id)
{
	struct err e = {0};
	int r = cli_session_id(id);

	if (r < 0)
		r = cli_reader(c);
	if (r >= 0 || c->reader != NULL)
		return r;
	err_set(&e, -FAULT_SESSION_NOT_FOUND, "session %s is not here", id);
	return cli_fail(&e);
}

int cli_act(struct cli *c, int argc, char **argv, const struct opt *opts,
	    void *into, int min, int max)
{
	int r = cli_options(c, argc, argv, opts, into, min, max);

	return r < 0 ? cli_hib(c) : r;
}

int cli_look(struct cli *c, int argc, char **argv, const struct opt *opts,
	     void *into, int min, int max)
{
	int r = cli_options(c, argc, argv, opts, into, min, max);

	return r < 0 ? cli_reader(c) : r;
}

int cli_act_on_session(struct cli *c, int argc, char **argv,
		       const struct opt *opts, void *into, int min, int max)
{
	int r = cli_options(c, argc, argv, opts, into, min, max);

	if (r < 0)
		r = cli_session_id(c->argv[0]);
	return r < 0 ? cli_hib(c) : r;
}

int cli_read_session(struct cli *c, int argc, char **argv,
		     const struct opt *opts, void *into, int min, int max)
{
	int r = cli_options(c, argc, argv, opts, into, min, max);

	return r < 0 ? cli_session_reader(c, c->argv[0]) : r;
}

ssize_t cli_read(int fd, size_t max, char **out)
{
	autofree char *buf = malloc(max + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (buf == NULL)
		return -ENOMEM;
	while (n > 0 && len < max + 1) {
		n = read(fd, buf + len, max + 1 - len);
		if (n > 0)
			len += (size_t)n;
		if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		return -errno;
	if (len > max)
		return -EMSGSIZE;
	buf[len] = '\0';
	*out = take_ptr(buf);
	return (ssize_t)len;
}

int cli_text(const char *arg, size_t max, char **out, struct err *e)
{
	autoclose int fd = -1;
	ssize_t n;

	if (arg[0] != '@') {
		*out = strdup(arg);
		return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	fd = open(arg + 1, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : cli_read(fd, max, out);
	if (n < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "%s: %s", arg + 1,
			       strerror((int)-n));
	return 0;
}

const char *cli_actor(const char *given)
{
	static char name[ACTOR_NAME_MAX];
	const char *user = getenv("USER");
	const struct passwd *pw = NULL;

	if (given != NULL)
		return given;
	if (user == NULL || user[0] == '\0')
		pw = getpwuid(getuid());
	if (pw != NULL)
		user = pw->pw_name;
	snprintf(name, sizeof(name), "cli:%s", user ? user : "");
	return name;
}

/* --- output ------------------------------------------------------------- */

static int fail_file(const char *path)
{
	struct err e = {0};

	err_set(&e, -errno, "%s: %s", path, strerror(errno));
	return cli_fail(&e);
}

/* @f: is closed; NULL: it could not be opened. */
static int fill(FILE *f, const char *path, int (*write)(FILE *f, void *arg),
		void *arg)
{
	int status;

	if (f == NULL)
		return fail_file(path);
	status = write(f, arg);
	if (fclose(f) != 0 && status == 0)
		status = fail_file(path);
	return status;
}

int cli_open_above(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	size_t n = slash != NULL ? (size_t)(slash - path) + 1 : 0;

	*name = path + n;
	errno = ENAMETOOLONG;
	if (n >= sizeof(folder))
		return -1;
	if (n > 0) {
		memcpy(folder, path, n);
		folder[n] = '\0';
	}
	return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool cli_is_written_through(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int cli_to_file(const char *path, int (*write)(FILE *f, void *arg), void *arg)
{
	char passing[VFS_PASSING_MAX];
	autoclose int dir = -1;
	struct vfs_aside a;
	const char *name;
	int status;

	if (strcmp(path, "-") == 0)
		return write(stdout, arg);
	if (cli_is_written_through(path))
		return fill(fopen(path, "we"), path, write, arg);
	dir = cli_open_above(path, &name);
	if (dir < 0 || vfs_passing_take(-1, name, passing) < 0 ||
	    vfs_aside_open(&a, dir, passing, 0666) < 0)
		return fail_file(path);
	status = fill(fdopen(fcntl(a.fd, F_DUPFD_CLOEXEC, 0), "w"), path, write,
		      arg);
	if (status == 0 && vfs_aside_put(&a, name, true) < 0)
		status = fail_file(path);
	vfs_aside_close(&a);
	return status;
}

void cli_print(const char *text)
{
	fputs(text, stdout);
	putchar('\n');
}

int cli_acted(int r, char *row, bool wanted, const struct hib_error *e)
{
	if (r < 0)
		return cli_fail_hib(e);
	if (wanted && row != NULL)
		cli_print(row);
	hib_free(row);
	return 0;
}

int cli_print_json(struct jw *w)
{
	struct err e = {0};

	if (w->failed) {
		err_set(&e, -ENOMEM, "out of memory");
		return cli_fail(&e);
	}
	fwrite(w->buf, 1, w->len, stdout);
	putchar('\n');
	return 0;
}

/* Would a terminal act on it?  C0 but tab and line end, DEL, and C1, which in
 * UTF-8 is 0xc2 and a byte below 0xa0. */
static size_t control_len(const char *p, size_t n)
{
	unsigned char c = (unsigned char)p[0];

	if (c == '\n' || c == '\t')
		return 0;
	if (c < 0x20 || c == 0x7f)
		return 1;
	if (c == 0xc2 && n > 1 && (unsigned char)p[1] < 0xa0)
		return 2;
	return 0;
}

void cli_print_safe(FILE *f, const char *text, size_t len)
{
	if (!isatty(fileno(f))) {
		fwrite(text, 1, len, f);
		return;
	}
	while (len > 0) {
		size_t skip = control_len(text, len);

		if (skip == 0)
			putc(*text, f);
		else
			putc(' ', f);
		skip += skip == 0;
		text += skip;
		len -= skip;
	}
}

void cli_print_name(FILE *f, const char *name, size_t n)
{
	const unsigned char *p = (const unsigned char *)name, *end = p + n;

	if (!isatty(fileno(f))) {
		fwrite(name, 1, n, f);
		return;
	}
	while (p < end) {
		size_t len = utf8_len(p, end);
		bool c1 = len == 2 && p[0] == 0xc2 && p[1] < 0xa0;

		if (len == 0 || p[0] < 0x20 || p[0] == 0x7f || c1) {
			fprintf(f, "\\%03o", p[0]);
			p++;
		} else {
			fwrite(p, 1, len, f);
			p += len;
		}
	}
}

void cli_put_line(struct jw *w, const char *text, size_t len, size_t max)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;
	size_t shown = 0;

	while (p < end && shown < max) {
		size_t n = utf8_len(p, end);

		if (n == 0 || *p < 0x20 || *p == 0x7f ||
		    control_len((const char *)p, (size_t)(end - p)) > 0) {
			jw_lit(w, " ", 1);
			p += n > 0 ? n : 1;
		} else {
			jw_lit(w, (const char *)p, n);
			p += n;
		}
		shown++;
	}
	if (p < end)
		jw_lit(w, "\xe2\x80\xa6", 3); /* An ellipsis. */
}

unsigned cli_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) ||
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

/* --- tables ------------------------------------------------------------- */

static bool is_time(const char *key)
{
	size_t n = strlen(key);

	return n > 3 && strcmp(key + n - 3, "_ms") == 0;
}

static void put_time(struct jw *w, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	localtime_r(&seconds, &tm);
	jw_lit(w, text, strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm));
}

static void put_cell(struct jw *w, const char *key, struct jv v, size_t max)
{
	autofree char *text = NULL;
	size_t len = 0;

	if (!jv_has(v) || jv_is(v, JV_NULL)) {
		jw_lit(w, "-", 1);
	} else if (is_time(key) && jv_is(v, JV_NUMBER)) {
		put_time(w, jv_int(v, 0));
	} else if (jv_is(v, JV_STRING)) {
		text = jv_strdup(v, &len);
		if (text != NULL)
			cli_put_line(w, text, len, max);
	} else {
		const char *raw = jv_raw(v, &len);

		cli_put_line(w, raw, len, max);
	}
}

static size_t count_chars(const struct jw *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->len; i++)
		n += !utf8_is_tail((unsigned char)w->buf[i]);
	return n;
}

static void print_cell(const struct column *col, struct jw *cell, bool last)
{
	size_t n = count_chars(cell);

	fwrite(cell->buf ? cell->buf : "", 1, cell->len, stdout);
	if (last)
		putchar('\n');
	else
		printf("%*s  ", col->width > (int)n ? col->width - (int)n : 0,
		       "");
}

void cli_print_table(struct jv rows, const struct column *columns)
{
	size_t rest = cli_width(), used = 0;

	for (const struct column *col = columns; col->key != NULL; col++)
		used += (size_t)col->width + (col[1].key != NULL ? 2 : 0);
	rest = rest > used + 8 ? rest - used - 1 : rest > 0 ? 8 : 200;
	for (const struct column *col = columns; col->key != NULL; col++) {
		struct jw title = {0};

		jw_lit(&title, col->title, strlen(col->title));
		print_cell(col, &title, col[1].key == NULL);
		jw_done(&title);
	}
	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row)) {
		for (const struct column *col = columns; col->key; col++) {
			struct jw cell = {0};

			put_cell(&cell, col->key, jv_get(row, col->key),
				 col->width > 0 ? 200 : rest);
			print_cell(col, &cell, col[1].key == NULL);
			jw_done(&cell);
		}
	}
}

int cli_print_rows(struct jw *rows, bool json, const struct column *columns)
{
	autojson struct json j = {0};
	struct err e = {0};

	if (json)
		return cli_print_json(rows);
	if (json_parse(&j, rows->buf, rows->len, &e) < 0)
		return cli_fail(&e);
	cli_print_table(json_root(&j), columns);
	return 0;
}

void cli_print_object(struct jv object)
{
	for (struct jv k = jv_first(object); jv_has(k);
	     k = jv_next(object, k)) {
		struct jw cell = {0};
		char key[64];

		if (jv_strcpy(k, key, sizeof(key)) > 0 &&
		    !jv_is(jv_value(k), JV_NULL)) {
			put_cell(&cell, key, jv_value(k), SIZE_MAX);
			printf("%-16s ", key);
			cli_print(cell.buf ? cell.buf : "");
		}
		jw_done(&cell);
	}
}
