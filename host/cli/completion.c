// SPDX-License-Identifier: Apache-2.0
/*
 * completion.c - hib completion: a script for bash or zsh, from the table
 *
 * The script lists the words of each command; options come from its usage text,
 * which names all of them.
 */
#include <string.h>

#include "host/cli/commands.h"

/* The options in a usage text, one by one. */
static void print_options(const char *usage)
{
	const char *p = usage;

	while ((p = strstr(p, "--")) != NULL) {
		size_t n = strcspn(p, " ]|.");

		printf(" %.*s", (int)n, p);
		p += n;
	}
	fputs(" --help", stdout);
}

/* First words, each once: those of a group stand side by side. */
static void print_first_words(void)
{
	size_t last_len = 0;
	const char *last = "";

	for (const struct command *k = commands; k->name != NULL; k++) {
		size_t n = strcspn(k->name, " ");

		if (n == last_len && strncmp(last, k->name, n) == 0)
			continue;
		printf(" %.*s", (int)n, k->name);
		last = k->name;
		last_len = n;
	}
	fputs(" help", stdout);
}

static void print_second_words(const char *group, size_t len)
{
	for (const struct command *k = commands; k->name != NULL; k++) {
		if (strncmp(k->name, group, len) == 0 && k->name[len] == ' ')
			printf(" %s", k->name + len + 1);
	}
}

static void print_groups(void)
{
	size_t last_len = 0;
	const char *last = "";

	for (const struct command *k = commands; k->name != NULL; k++) {
		size_t n = strcspn(k->name, " ");
		bool seen = n == last_len && strncmp(last, k->name, n) == 0;

		if (k->name[n] == '\0' || seen)
			continue;
		printf("\t%.*s) words=\"", (int)n, k->name);
		print_second_words(k->name, n);
		fputs(" --help\" ;;\n", stdout);
		last = k->name;
		last_len = n;
	}
}

static void print_bash(void)
{
	fputs("_hib() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words\n"
	      "\tcase \"${COMP_WORDS[*]:1:COMP_CWORD-1}\" in\n"
	      "\t'') words=\"",
	      stdout);
	print_first_words();
	fputs("\" ;;\n", stdout);
	print_groups();
	for (const struct command *k = commands; k->name != NULL; k++) {
		printf("\t'%s'*) words=\"", k->name);
		print_options(k->usage);
		fputs("\" ;;\n", stdout);
	}
	fputs("\tesac\n"
	      "\t# shellcheck disable=SC2207\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "\t[ ${#COMPREPLY[@]} -gt 0 ] ||\n"
	      "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	      "}\n"
	      "complete -F _hib hib\n",
	      stdout);
}

int completion_command(struct cli *c, int argc, char **argv)
{
	int r = cli_options(c, argc, argv, NULL, NULL, 1, 1);

	if (r >= 0)
		return r;
	if (strcmp(c->argv[0], "zsh") == 0)
		fputs("#compdef hib\nautoload -U +X bashcompinit && "
		      "bashcompinit\n",
		      stdout);
	else if (strcmp(c->argv[0], "bash") != 0)
		return cli_usage(c, "'%s': bash or zsh", c->argv[0]);
	print_bash();
	return 0;
}
