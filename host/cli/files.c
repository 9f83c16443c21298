// SPDX-License-Identifier: Apache-2.0
/*
 * files.c - hib export, import
 */
#include <fcntl.h>
#include <string.h>

#include "host/cli/commands.h"
#include "host/otel.h"
#include "host/transfer.h"

struct files_options {
	const char *output;
	bool json, otel;
};

/* --- export ------------------------------------------------------------- */

static int write_file(const char *data, size_t n, void *arg)
{
	FILE *f = arg;

	return fwrite(data, 1, n, f) == n ? 0 : -errno;
}

/* Turns as traces, one line. */
static int write_otel(struct cli *c, const char *session, FILE *f,
		      struct err *e)
{
	autojw struct jw w = {0};
	int r = otel_write(c->reader, session, &w, e);

	if (r < 0)
		return r;
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return err_set(e, -ENOMEM, "export: out of memory");
	return write_file(w.buf, w.len, f);
}

struct export
{
	struct cli *cli;
	const char *session;
	bool otel;
};

static int export_to(FILE *f, void *arg)
{
	struct export *x = arg;
	struct err e = {0};
	int r = x->otel ? write_otel(x->cli, x->session, f, &e)
			: transfer_export(x->cli->reader, x->session,
					  write_file, f, &e);

	if (r < 0 && e.code < 0)
		return cli_fail(&e);
	if (fflush(f) == 0)
		return 0;
	err_set(&e, -errno, "export: %s", strerror(errno));
	return cli_fail(&e);
}

int export_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		{
			.name = "output",
			.type = OPT_TEXT,
			.offset = offsetof(struct files_options, output),
			.letter = 'o',
		},
		{
			.name = "otel",
			.type = OPT_FLAG,
			.offset = offsetof(struct files_options, otel),
		},
		OPT_END,
	};
	struct files_options o = {0};
	struct session_brief b;
	struct export x;
	struct err e = {0};
	int r = cli_read_session(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	/* Before a byte is written. */
	if (reader_session(c->reader, c->argv[0], &b, &e) < 0)
		return cli_fail(&e);
	x = (struct export){c, c->argv[0], o.otel};
	return cli_to_file(o.output ? o.output : "-", export_to, &x);
}

/* --- import ------------------------------------------------------------- */

static long read_file(char *buf, size_t cap, void *arg)
{
	ssize_t n;

	do {
		n = read(*(const int *)arg, buf, cap);
	} while (n < 0 && errno == EINTR);
	return n;
}

int import_command(struct cli *c, int argc, char **argv)
{
	static const struct opt opts[] = {
		OPT(OPT_FLAG, files_options, json, "json"),
		OPT_END,
	};
	struct files_options o = {0};
	autofree char *row = NULL;
	autojson struct json j = {0};
	autoclose int fd = -1;
	struct hib_error he;
	struct err e = {0};
	char id[ID_MAX];
	int r = cli_options(c, argc, argv, opts, &o, 1, 1);

	if (r >= 0)
		return r;
	fd = strcmp(c->argv[0], "-") == 0
		     ? dup(STDIN_FILENO)
		     : open(c->argv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err_set(&e, -FAULT_INVALID_ARGUMENT, "%s: %s", c->argv[0],
			strerror(errno));
		return cli_fail(&e);
	}
	r = cli_hib(c);
	if (r >= 0)
		return r;
	if (hib_import_session(c->hib, read_file, &fd, &row, &he) < 0)
		return cli_fail_hib(&he);
	if (o.json) {
		cli_print(row);
		return 0;
	}
	if (json_parse(&j, row, strlen(row), &e) < 0 ||
	    jv_strcpy(jv_get(json_root(&j), "id"), id, sizeof(id)) < 0)
		return cli_fail(&e);
	cli_print(id);
	return 0;
}
