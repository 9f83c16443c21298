// SPDX-License-Identifier: Apache-2.0
/*
 * mcpmeter.c - How long an MCP server on stdio takes
 *
 *	mcpmeter [-n CALLS] [-c DEPTH] [-t TOOL] [-a ARGUMENTS] COMMAND [ARG]...
 *
 * Starts the command, calls a tool CALLS times with DEPTH calls on their way at
 * a time, and prints one JSON object:
 *
 *	start_ms	from the fork to the answer to initialize
 *	list_ms		the first tools/list, and again_ms a second one
 *	p50_us, p99_us	from a call's write to the read of its answer
 *	calls_s		calls in a second
 *	rss_kib		of the process, after all
 *	errors		answers that are errors
 *
 * It looks for nothing in an answer but its id, so that it measures the other
 * side.  Runs inside a VM, too.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "core/lines.h"

#define LINE_MAX_BYTES (64u << 20)
#define WARM	       200 /* Calls that are not counted. */
#define FIRST_ID       10  /* Of the calls; smaller ones are our own. */
#define REQUEST_MAX    4096

static struct meter {
	long n, depth;
	const char *tool, *arguments;
	pid_t pid;
	int in, out; /* Our ends of its pipes. */
	struct lines lines;
	long last_id; /* Of the newest answer. */
	long n_answers, errors;
	double *sent, *took; /* By number of the call. */
} meter;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "mcpmeter: %s\n", what);
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* --- the other side ----------------------------------------------------- */

static void start(char **argv)
{
	int in[2], out[2];

	if (pipe(in) < 0 || pipe(out) < 0)
		die("no pipes");
	meter.pid = fork();
	if (meter.pid < 0)
		die("no process");
	if (meter.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		for (int i = 0; i < 2; i++) {
			close(in[i]);
			close(out[i]);
		}
		execvp(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	meter.in = in[1];
	meter.out = out[0];
	lines_init(&meter.lines, LINE_MAX_BYTES);
}

static void put(const char *text, size_t n)
{
	while (n > 0) {
		ssize_t r = write(meter.in, text, n);

		if (r <= 0)
			die("the server has closed its stdin");
		text += r;
		n -= (size_t)r;
	}
}

/* Behind a string that begins at @s, which is its first quote. */
static const char *skip_string(const char *s)
{
	for (s++; *s != '\0' && *s != '"'; s++)
		if (*s == '\\' && s[1] != '\0')
			s++;
	return *s == '\0' ? s : s + 1;
}

/* The member "id" of the object itself, whatever stands around it; -1: none. */
static long id_of(const char *s)
{
	int depth = 0;

	while (*s != '\0') {
		if (depth == 1 && strncmp(s, "\"id\":", 5) == 0)
			return strtol(s + 5, NULL, 10);
		if (*s == '"') {
			s = skip_string(s);
			continue;
		}
		depth += (*s == '{') + (*s == '[');
		depth -= (*s == '}') + (*s == ']');
		s++;
	}
	return -1;
}

static int on_line(char *line, size_t len, void *arg)
{
	long id = id_of(line);

	(void)len;
	(void)arg;
	if (id < 0 || strstr(line, "\"method\":") != NULL)
		return 0; /* It tells or asks something. */
	meter.last_id = id;
	meter.errors += strstr(line, "\"error\":") != NULL ||
			strstr(line, "\"isError\":true") != NULL;
	if (id < FIRST_ID || id >= FIRST_ID + meter.n + WARM)
		return 0;
	meter.took[id - FIRST_ID] = now_us() - meter.sent[id - FIRST_ID];
	meter.n_answers++;
	return 0;
}

static void read_some(void)
{
	static char buf[256 << 10];
	ssize_t n = read(meter.out, buf, sizeof(buf));

	if (n <= 0)
		die("the server has ended");
	if (lines_feed(&meter.lines, buf, (size_t)n, on_line, NULL) < 0)
		die("a line is too long");
}

/* Return: how many milliseconds the answer took. */
static double ask(long id, const char *text)
{
	double began = now_us();

	put(text, strlen(text));
	while (meter.last_id != id)
		read_some();
	return (now_us() - began) / 1e3;
}

/* --- what is measured --------------------------------------------------- */

static double initialize(double began)
{
	(void)ask(1, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\","
		     "\"params\":{\"protocolVersion\":\"2025-11-25\","
		     "\"capabilities\":{},\"clientInfo\":{\"name\":\"meter\","
		     "\"version\":\"0\"}}}\n");
	began = (now_us() - began) / 1e3;
	put("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n",
	    55);
	return began;
}

static double list(long id)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"tools/list\","
		 "\"params\":{}}\n",
		 id);
	return ask(id, text);
}

/* Write @n calls from number @from on, at once. */
static void send_calls(long from, long n)
{
	static char *text;
	size_t len = 0;

	if (text == NULL)
		text = malloc((size_t)meter.depth * REQUEST_MAX);
	if (text == NULL)
		die("no memory");
	for (long i = from; i < from + n; i++) {
		len += (size_t)snprintf(
			text + len, REQUEST_MAX,
			"{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":"
			"\"tools/call\",\"params\":{\"name\":\"%s\","
			"\"arguments\":%s}}\n",
			FIRST_ID + i, meter.tool, meter.arguments);
		meter.sent[i] = now_us();
	}
	put(text, len);
}

/* Return: calls in a second. */
static double call_all(void)
{
	long total = meter.n + WARM, n_sent = 0;
	double began = 0;

	while (meter.n_answers < total) {
		long n = meter.depth - (n_sent - meter.n_answers);

		if (n > total - n_sent)
			n = total - n_sent;
		if (n > 0)
			send_calls(n_sent, n);
		n_sent += n > 0 ? n : 0;
		if (began == 0 && meter.n_answers >= WARM)
			began = now_us();
		read_some();
	}
	return (double)meter.n / ((now_us() - began) / 1e6);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static long rss_kib(void)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)meter.pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib;
}

static void measure(char **argv)
{
	double began = now_us(), start_ms, list_ms, again_ms, calls_s;

	start(argv);
	start_ms = initialize(began);
	list_ms = list(2);
	again_ms = list(3);
	calls_s = call_all();
	qsort(meter.took + WARM, (size_t)meter.n, sizeof(*meter.took),
	      by_value);
	printf("{\"start_ms\":%.2f,\"list_ms\":%.3f,\"again_ms\":%.3f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"calls_s\":%.0f,"
	       "\"rss_kib\":%ld,\"errors\":%ld}\n",
	       start_ms, list_ms, again_ms, meter.took[WARM + meter.n / 2],
	       meter.took[WARM + meter.n * 99 / 100], calls_s, rss_kib(),
	       meter.errors);
}

int main(int argc, char **argv)
{
	int opt;

	meter.n = 10000;
	meter.depth = 1;
	meter.tool = "echo";
	meter.arguments = "{\"message\":\"hello\"}";
	while ((opt = getopt(argc, argv, "+n:c:t:a:")) != -1) {
		if (opt == 'n')
			meter.n = strtol(optarg, NULL, 10);
		else if (opt == 'c')
			meter.depth = strtol(optarg, NULL, 10);
		else if (opt == 't')
			meter.tool = optarg;
		else if (opt == 'a')
			meter.arguments = optarg;
		else
			return 64;
	}
	if (optind >= argc || meter.n < 1 || meter.depth < 1 ||
	    strlen(meter.tool) + strlen(meter.arguments) + 128 > REQUEST_MAX)
		return 64;
	(void)signal(SIGPIPE, SIG_IGN);
	meter.sent = calloc((size_t)(meter.n + WARM), sizeof(*meter.sent));
	meter.took = calloc((size_t)(meter.n + WARM), sizeof(*meter.took));
	if (meter.sent == NULL || meter.took == NULL)
		die("no memory");
	measure(argv + optind);
	close(meter.in);
	(void)waitpid(meter.pid, NULL, 0);
	return 0;
}
