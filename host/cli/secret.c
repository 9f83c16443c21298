// SPDX-License-Identifier: Apache-2.0
/*
 * secret.c - hib secret: values that sessions use by name
 *
 * A value is read from standard input, never from the command line, which every
 * process of this machine can see.  At a terminal it is not shown.
 */
#include <string.h>
#include <termios.h>

#include "host/cli/commands.h"
#include "host/views.h"

#define VALUE_MAX (64u << 10)

struct secret_options {
	bool json;
};

static const struct opt json_opts[] = {
	OPT(OPT_FLAG, secret_options, json, "json"),
	OPT_END,
};

/* --- the value ---------------------------------------------------------- */

/* One line, without the terminal repeating it.  Return: its bytes, or a negative
 * errno. */
static ssize_t read_hidden(const char *name, char **out)
{
	struct termios before, quiet;
	ssize_t n;
	size_t cap = 0;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return -errno;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, "value of %s: ", name);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	n = getline(out, &cap, stdin);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return n < 0 ? -ENODATA : n;
}

/* Return: -1 to go on, else the exit status. */
static int read_value(struct cli *c, const char *name, char **out)
{
	ssize_t n = isatty(STDIN_FILENO)
			    ? read_hidden(name, out)
			    : cli_read(STDIN_FILENO, VALUE_MAX + 1, out);

	if (n < 0)
		return cli_usage(c, "standard input: %s", strerror((int)-n));
	if (n > 0 && (*out)[n - 1] == '\n')
		(*out)[--n] = '\0';
	if (n == 0 || strlen(*out) != (size_t)n)
		return cli_usage(c, "standard input: no value without NUL");
	return -1;
}

/* --- commands ----------------------------------------------------------- */

int secret_set_command(struct cli *c, int argc, char **argv)
{
	autofree char *value = NULL;
	struct hib_error e;
	int r = cli_options(c, argc, argv, NULL, NULL, 1, 1);

	if (r < 0)
		r = read_value(c, c->argv[0], &value);
	if (r < 0)
		r = cli_hib(c);
	if (r >= 0)
		return r;
	r = hib_set_secret(c->hib, c->argv[0], value, &e);
	explicit_bzero(value, strlen(value));
	return r < 0 ? cli_fail_hib(&e) : 0;
}

int secret_list_command(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"name", "NAME", 32},
		{"updated_ms", "SET", 0},
		{NULL, NULL, 0},
	};
	struct secret_options o = {0};
	autojw struct jw w = {0};
	struct err e = {0};
	int r = cli_look(c, argc, argv, json_opts, &o, 0, 0);

	if (r >= 0)
		return r;
	if (c->reader == NULL)
		jw_raw(&w, "[]", 2);
	else if (views_secrets(c->reader, &w, &e) < 0)
		return cli_fail(&e);
	return cli_print_rows(&w, o.json, columns);
}

int secret_remove_command(struct cli *c, int argc, char **argv)
{
	struct hib_error e;
	int r = cli_act(c, argc, argv, NULL, NULL, 1, 1);

	if (r >= 0)
		return r;
	return hib_delete_secret(c->hib, c->argv[0], &e) < 0 ? cli_fail_hib(&e)
							     : 0;
}
