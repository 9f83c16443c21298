/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - What the commands of `hib` share
 *
 * stdout is data, stderr is words.  A command returns its exit status.
 *
 * Reading.  What is stored is read from hib.db itself, with hibd running or
 * not: the same rows, no round trip, and a read never starts hibd.
 */
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include <stdio.h>

#include "core/reader.h"
#include "host/hib.h"
#include "host/home.h"

#define CLI_LIST_MAX 256 /* Times that one option may be given. */

enum { EXIT_NEGATIVE = 1, EXIT_USAGE = 5, EXIT_INTERRUPTED = 130 };

struct cli {
	const struct command *command;
	char **args; /* All that main() was given. */
	struct home home;
	struct hib *hib;       /* Once cli_hib() was called. */
	struct reader *reader; /* Once cli_reader() was called. */
	int argc;	       /* Arguments that are no options. */
	char **argv;
};

struct command {
	const char *name;  /* "vm create" */
	const char *usage; /* Its arguments. */
	const char *about;
	int (*run)(struct cli *c, int argc, char **argv);
};

/* main.c: all of them, ended by one without a name. */
extern const struct command commands[];

/* --- options ------------------------------------------------------------ */

enum opt_type { OPT_FLAG, OPT_TEXT, OPT_NUMBER, OPT_LIST };

/* One option and where it goes: a bool, const char *, int64_t or struct
 * opt_list at @offset of the command's own struct. */
struct opt {
	const char *name;
	enum opt_type type;
	size_t offset;
	char letter; /* 0: none. */
};

/* NULL-terminated: what the SDK takes. */
struct opt_list {
	const char *item[CLI_LIST_MAX + 1];
	size_t n;
};

#define OPT(kind, strct, field, name_)                  \
	{                                               \
		.name = name_, .type = kind,            \
		.offset = offsetof(struct strct, field) \
	}
#define OPT_LETTER(kind, strct, field, name_, letter_)                     \
	{                                                                  \
		.name = name_, .type = kind,                               \
		.offset = offsetof(struct strct, field), .letter = letter_ \
	}
#define OPT_END   \
	{         \
		0 \
	}

/**
 * cli_options() - Read a command's options and count its arguments
 * @opts:     Ended by OPT_END; NULL: none
 * @into:     Struct with the fields
 * @min:      Arguments that there must be; what is left is in c->argv
 * @max:      And may be
 *
 * Return: -1 to go on, else the exit status: wrong usage, or help was given.
 */
int cli_options(struct cli *c, int argc, char **argv, const struct opt *opts,
		void *into, int min, int max);
/* Say what is wrong and how it is right.  Return: EXIT_USAGE. */
int cli_usage(const struct cli *c, const char *fmt, ...) printf_like(2, 3);

/* --- ends --------------------------------------------------------------- */

/* Say the error on stderr.  Return: its exit status. */
int cli_fail(const struct err *e);
int cli_fail_hib(const struct hib_error *e);

/* SIGINT and SIGTERM make the call of @h that runs return; a second one ends
 * us, and so does one that comes after cli_close(). */
void cli_catch_interrupts(struct hib *h);
bool cli_was_interrupted(void);
/* Wait until @fd can be read (POLLIN), or takes PIPE_BUF bytes at once (POLLOUT).
 * Return: false when an interrupt came instead. */
bool cli_wait_for(int fd, short events);
/* Close what the commands have opened. */
void cli_close(struct cli *c);

/* --- reaching the data -------------------------------------------------- */

/* The handle; hibd is started when it is needed. */
int cli_hib(struct cli *c);
/* The store.  Return: -1 to go on; else the exit status.  There may be no store
 * yet: then c->reader is NULL. */
int cli_reader(struct cli *c);
/* Is that a session id?  Return: -1 to go on, else the exit status. */
int cli_session_id(const char *id);
/* The same, and c->reader is there to ask for it. */
int cli_session_reader(struct cli *c, const char *id);

/* All of a descriptor, as a string.  Return: its bytes, or a negative errno:
 * -EMSGSIZE when there are more than @max. */
ssize_t cli_read(int fd, size_t max, char **out);
/* The argument itself, or what is in the file when it is "@FILE". */
int cli_text(const char *arg, size_t max, char **out, struct err *e);

/* Who acts, for the log: @given, or "cli:USER" when it is NULL. */
const char *cli_actor(const char *given);

/* cli_options() of a command that acts through hibd, and of one that reads the
 * store: then cli_hib() and cli_reader().  Return: as cli_options(). */
int cli_act(struct cli *c, int argc, char **argv, const struct opt *opts,
	    void *into, int min, int max);
int cli_look(struct cli *c, int argc, char **argv, const struct opt *opts,
	     void *into, int min, int max);
/* The same where the first argument is a session. */
int cli_act_on_session(struct cli *c, int argc, char **argv,
		       const struct opt *opts, void *into, int min, int max);
int cli_read_session(struct cli *c, int argc, char **argv,
		     const struct opt *opts, void *into, int min, int max);

/* --- output ------------------------------------------------------------- */

/* Let @write fill a file, which appears whole or not at all; "-" is stdout.
 * @write returns an exit status, and flushes.  Return: that, or another. */
int cli_to_file(const char *path, int (*write)(FILE *f, void *arg), void *arg);

/* Is @path one that a file must not take the place of: a device, a fifo, or a link,
 * as /dev/stdout is one? */
bool cli_is_written_through(const char *path);

/* The folder that a path here is in.  @name: its last name, in @path.  Return: a
 * descriptor, to look things up from only, or -1 with errno. */
int cli_open_above(const char *path, const char **name);

/* Text and a line end. */
void cli_print(const char *text);
/* The end of a command that has acted: print the row, if it is wanted and there is
 * one, or say the error.  @row: freed.  Return: exit status. */
int cli_acted(int r, char *row, bool wanted, const struct hib_error *e);
/* Print what a JSON writer holds, with a line end.  Return: exit status. */
int cli_print_json(struct jw *w);
/* Text of strangers: control bytes are left out when a terminal would act on
 * them.  @f: stdout or stderr. */
void cli_print_safe(FILE *f, const char *text, size_t len);
/* A name for people: on a terminal what it would act on, and what is no UTF-8,
 * becomes \ooo. */
void cli_print_name(FILE *f, const char *name, size_t n);
/* At most @max characters of one line of it into @w. */
void cli_put_line(struct jw *w, const char *text, size_t len, size_t max);
/* Columns of the terminal; 0 when stdout is none. */
unsigned cli_width(void);

struct column {
	const char *key, *title;
	int width; /* 0: the rest of the line. */
};
/* Rows of a JSON array as lines below a heading; ended by a column without a
 * key.  A key that ends in _ms is a time. */
void cli_print_table(struct jv rows, const struct column *columns);
/* A JSON array as it is, or as a table.  Return: exit status. */
int cli_print_rows(struct jw *rows, bool json, const struct column *columns);
/* A JSON object as "key: value" lines. */
void cli_print_object(struct jv object);

/* --- render.c: a log for people ----------------------------------------- */

void render_event(const struct event *ev, unsigned width);
void render_messages(struct jv messages);

/* The conversation as it happens, event by event. */
struct talk {
	bool over; /* The agent has ended or is ending. */
	/* Private. */
	bool in_line; /* Text stands before the cursor. */
};
void render_talk(struct talk *t, const struct event *ev);

/* --- requests.c: what agents ask ---------------------------------------- */

/* What is asked, from the body of a request: a tool's title, or a message. */
struct jv request_words(struct jv body);
/* Rows of requests as a table, then what is asked by those that wait and how
 * each is answered. */
void requests_print(const char *session, struct jv rows);

#endif
