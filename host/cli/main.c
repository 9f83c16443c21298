// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - hib, the command line of Hibernacle
 *
 * A command is one word or two.  The table says all about them: `hib help`, the
 * usage after an error and the completion of shells are made from it.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "host/cli/commands.h"
#include "host/cli/mcp_options.h"
#include "host/standard_fds.h"

const struct command commands[] = {
	{"run",
	 "[--agent A] [--vm V] [--env K=V]... [--env-secret K[=SECRET]]... "
	 "[--cwd D] [--net none|host] [--policy P] " MCP_USAGE
	 "[--json] TEXT|-",
	 "Ask once, in a VM that is removed afterwards", run_command},
	{"prompt",
	 "[--no-wait] [--on-busy reject|queue|steer|interrupt] [--key K] "
	 "[--image FILE] [--json] SES TEXT|-",
	 "Ask in a session and print the reply", prompt_command},
	{"cancel", "[--turn T] SES", "End the turn that runs", cancel_command},
	{"answer",
	 "[--accept [--field K=V]... [--content JSON]] [--decline] [--cancel] "
	 "[--result TEXT] [--error TEXT] [--actor A] SES REQ [OPTION]",
	 "Answer a question of the agent", answer_command},
	{"approve", "[--always] [--actor A] SES [REQ]",
	 "Say yes to what the agent asks", approve_command},
	{"deny", "[--always] [--actor A] SES [REQ]", "Say no to it",
	 deny_command},
	{"attach", "[--read-only] [--since N] SES",
	 "Join a session that lives: see it, and prompt", attach_command},
	{"fork",
	 "[--at TURN|SEQ] [--title T] [--tag T]... [--agent A] [--model M] "
	 "[--env K=V]... [--env-secret K[=SECRET]]... "
	 "[--workspace share|copy|none] [--id ID] [--start] "
	 "[--json] SES",
	 "Copy a session up to the end of a turn", fork_command},
	{"log",
	 "[--since N | --cursor NAME] [--follow] [--json | --raw] [--types P] [--exclude P] "
	 "[--turn T] [--limit N] [--view events|messages|tools] SES",
	 "Print the log of a session", log_command},
	{"messages",
	 "[--turn T] [--parts P] [--tool T] [--from MS] [--to MS] [--notice] [--json] SES",
	 "Print its conversation", messages_command},
	{"cursor list", "[--json] SES", "List the cursors of a log",
	 cursor_list_command},
	{"cursor get", "SES NAME", "Print where one stands",
	 cursor_get_command},
	{"cursor set", "SES NAME SEQ", "Set one", cursor_set_command},
	{"cursor delete", "SES NAME", "Remove one", cursor_delete_command},
	{"kv get", "[--json] SES KEY", "Print what a session keeps under a key",
	 kv_get_command},
	{"kv set",
	 "[--etag E] [--must-not-exist] [--json] SES KEY VALUE|@FILE|-",
	 "Keep a text under a key", kv_set_command},
	{"kv rm", "[--etag E] SES KEY", "Remove a key", kv_delete_command},
	{"kv ls", "[--prefix P] [--after KEY] [--limit N] [--json] SES",
	 "List the keys of a session", kv_list_command},
	{"memory get", "[--scope session|vm] [--json] SES KEY",
	 "Print a memory", memory_get_command},
	{"memory set",
	 "[--scope session|vm] [--meta JSON] [--etag E] [--must-not-exist] "
	 "[--json] SES KEY VALUE|@FILE|-",
	 "Keep a memory, of the session or for all of its VM",
	 memory_set_command},
	{"memory rm", "[--scope session|vm] [--etag E] SES KEY",
	 "Remove a memory", memory_delete_command},
	{"memory ls",
	 "[--scope session|vm] [--prefix P] [--after KEY] [--limit N] [--json] "
	 "SES",
	 "List what a session remembers", memory_list_command},
	{"summary add", "[--from SEQ] [--to SEQ] [--json] SES TEXT|@FILE|-",
	 "Say what a part of the log comes to", summary_add_command},
	{"summary list", "[--json] SES", "List the summaries",
	 summary_list_command},
	{"sql",
	 "[--query] [--drop] [--timeout-ms N] [--json] "
	 "SES [DB [SQL|@FILE [ARG]...]]",
	 "Use the databases of a session", sql_command},
	{"search", "[--limit N] [--session SES] [--json] QUERY...",
	 "Find words in what was said", search_command},
	{"session create",
	 "--agent A [--vm V] [--env K=V]... [--env-secret K[=SECRET]]... "
	 "[--cwd D] [--title T] [--tag T]... " MCP_USAGE
	 "[--id ID] [--net none|host] [--model M] [--mode M] [--thought L] "
	 "[--option ID=VALUE]... [--max-processes N] [--max-memory BYTES] "
	 "[--max-cpu PERCENT] [--max-files N] [--artifacts PATTERN]... "
	 "[--file HOST[:GUEST]]... [--config JSON] [--instructions TEXT] "
	 "[--policy P] [--tools JSON|@FILE] [--skip-os-instructions] [--start-timeout-ms N] "
	 "[--permission-timeout-ms N] [--ttl-ms N] [--key K] [--json]",
	 "Start an agent and print the session's id", session_create_command},
	{"session list",
	 "[--state S] [--vm V] [--tag T] [--archived] [--limit N] "
	 "[--after SES] [--json]",
	 "List sessions, the newest first", session_list_command},
	{"session get", "[--live] [--mcp] [--json] SES", "Print one",
	 session_get_command},
	{"session turns", "[--json] SES", "List its turns",
	 session_turns_command},
	{"session artifacts", "[--json] SES",
	 "List the files it has made for its user", session_artifacts_command},
	{"session requests", "[--json] SES", "List what the agent asked",
	 session_requests_command},
	{"session diffs", "[--turn TURN] [--json] SES",
	 "Print what its turns did to files, as patches",
	 session_diffs_command},
	{"session stats", "[--json] SES", "Count its events",
	 session_stats_command},
	{"session usage", "[--tree] [--json] SES",
	 "Add up what was used, with --tree of its children, too",
	 session_usage_command},
	{"session update", "[--title T] [--tag T]... [--ttl-ms N] [--json] SES",
	 "Change its title, tags and time to live", session_update_command},
	{"session set",
	 "[--model M] [--mode M] [--thought L] [--option ID=VALUE]... "
	 "[--json] SES",
	 "Set what its agent offers", session_set_command},
	{"session config", "[--json] SES",
	 "Print what its agent offers and is set to", session_config_command},
	{"session resume", "[--restore none] [--json] SES",
	 "Start its agent again and print what it remembers by",
	 session_resume_command},
	{"session suspend", "[--force] [--json] SES",
	 "Stop its agent, keep the session", session_suspend_command},
	{"session close", "[--force] [--json] SES", "End it; the log stays",
	 session_close_command},
	{"session kill", "[--json] SES", "End it at once",
	 session_kill_command},
	{"session destroy", "[--discard] SES",
	 "Remove it and all that was stored of it", session_destroy_command},
	{"session archive", "[--json] SES", "Hide it and make it read-only",
	 session_archive_command},
	{"session unarchive", "[--json] SES", "Bring it back",
	 session_unarchive_command},
	{"vm create",
	 "[--backend sandbox|qemu] [--image I] [--name N] [--id ID] "
	 "[--net none|host] [--idle TIME] [--idle-ms N] [--cold-after TIME] "
	 "[--max-sessions N] "
	 "[--mount HOST:GUEST[:ro]]... [--quota SIZE] "
	 "[--memory MIB] [--cpus N] "
	 "[--workspace DIR|URL|PATH#REV] [--file HOST[:GUEST]]... "
	 "[--no-boot] [--no-template] [--json]",
	 "Make and boot a VM and print its id", vm_create_command},
	{"vm list", "[--json]", "List VMs", vm_list_command},
	{"vm get", "[--json] VM", "Print one", vm_get_command},
	{"vm events", "[--json] VM", "List its boots, sleeps and ends",
	 vm_events_command},
	{"vm fork",
	 "[--at TURN|COMMIT] [--name N] [--id ID] [--no-sessions] "
	 "[-n | --count N] [--memory] [--json] VM|SNP",
	 "Make VMs like it, with its files and sessions", vm_fork_command},
	{"vm prewarm",
	 "--agent A [--env K=V]... [--env-secret K[=SECRET]]... [--cwd DIR] "
	 "[--instructions TEXT] [--skip-os-instructions] "
	 "[--start-timeout-ms N] [--json] VM",
	 "Start an agent that waits for a session", vm_prewarm_command},
	{"vm upgrade", "[--json] VM", "Have its guest be the one installed now",
	 vm_upgrade_command},
	{"vm suspend", "[--or-cold] [--json] VM",
	 "Put it to sleep with its memory: all goes on where it is",
	 vm_suspend_command},
	{"vm resume", "[--json] VM", "Wake it, and say from which sleep",
	 vm_resume_command},
	{"vm sleep", "[--json] VM",
	 "Put it to sleep without: agents end, nothing is lost",
	 vm_sleep_command},
	{"vm wake", "[--json] VM", "Wake it", vm_wake_command},
	{"vm stop", "[--json] VM", "Power it off", vm_stop_command},
	{"vm destroy", "[--force] VM", "Remove it; logs of sessions stay",
	 vm_destroy_command},
	{"vm restore", "[--force] [--json] SNP",
	 "Set its VM back to a snapshot", vm_restore_command},
	{"snapshot create", "[--label TEXT] [--kind memory|disk] [--json] VM",
	 "Keep a VM as it is now", snapshot_create_command},
	{"snapshot list", "[--json] [VM]", "List snapshots, the oldest first",
	 snapshot_list_command},
	{"snapshot show", "[--json] SNP", "Print one", snapshot_show_command},
	{"snapshot verify", "[--json] SNP",
	 "Compare its files with their hashes", snapshot_verify_command},
	{"snapshot export", "SNP FILE|-", "Write one to a file",
	 snapshot_export_command},
	{"snapshot import", "[--json] FILE",
	 "Make a VM and a snapshot of such a file", snapshot_import_command},
	{"snapshot rm", "SNP", "Remove one; forks of it stay",
	 snapshot_remove_command},
	{"exec",
	 "[--env K=V]... [--cwd D] [--session SES] [--timeout-ms N] "
	 "[-i | --stdin] [-c | --shell] [--json] VM -- COMMAND [ARGUMENT]...",
	 "Run a program in a VM", exec_command},
	{"mcp serve", "", "Be an MCP server on standard input and output",
	 mcp_serve_command},
	{"files ls",
	 "[--at TURN|COMMIT] [-r | --recursive] [-l | --long] [--json] "
	 "VM [PATH]",
	 "List files of a VM", files_ls_command},
	{"files cat", "[--at TURN|COMMIT] VM PATH", "Print one",
	 files_cat_command},
	{"files checkpoint", "[--json] VM", "Commit what is there now",
	 files_checkpoint_command},
	{"files restore", "[--force] [--json] VM TURN|COMMIT [PATH...]",
	 "Bring back files as they were", files_restore_command},
	{"files stat", "[--at TURN|COMMIT] [--json] VM PATH",
	 "Print what is known of one", files_stat_command},
	{"files put",
	 "[-r | --recursive] [--mode M] [--if-match ETAG | --must-not-exist] "
	 "[--json] VM FILE|- [PATH]",
	 "Write files of this machine into it", files_put_command},
	{"files get", "[-r | --recursive] [--at TURN|COMMIT] VM PATH [FILE|-]",
	 "Fetch files from it", files_get_command},
	{"files rm", "[-r | --recursive] [-f | --force] VM PATH...",
	 "Remove files", files_rm_command},
	{"files mv", "[-f | --force] [--json] VM FROM TO", "Rename one",
	 files_mv_command},
	{"files cp", "[-r | --recursive] [-f | --force] [--json] VM FROM TO",
	 "Copy one within it", files_cp_command},
	{"files mkdir", "[-p | --parents] [--json] VM PATH...", "Make folders",
	 files_mkdir_command},
	{"files grep",
	 "[-E | --regex] [-i | --ignore-case] [--include NAMES] [--limit N] "
	 "[--json] VM PATTERN [PATH]",
	 "Find lines in files", files_grep_command},
	{"files watch", "[-r | --recursive] [--json] VM [PATH]",
	 "Print changes as they happen", files_watch_command},
	{"files log", "[--at TURN|COMMIT] [--limit N] [--json] VM [PATH]",
	 "List commits, the newest first", files_log_command},
	{"files diff", "[--json] VM [FROM [TO]]",
	 "Print what changed, as a patch", files_diff_command},
	{"files show", "[--json] VM [TURN|COMMIT]",
	 "Print a commit and what it changed", files_show_command},
	{"files changes",
	 "[--since TURN|COMMIT] [--at TURN|COMMIT] [--json] VM",
	 "List what changed since a turn", files_changes_command},
	{"files export",
	 "[--at TURN|COMMIT] [--json] --tar FILE|- | --git DIR [--bare] VM",
	 "Write a commit as a tar file or a git repository",
	 files_export_command},
	{"artifact get", "[-o FILE] SES ARTIFACT|PATH",
	 "Print a file that a session has made for its user",
	 artifact_get_command},
	{"mcp list", "[--json] SES", "List the MCP servers of a session",
	 mcp_list_command},
	{"mcp tools", "[--refresh] [--json] SES NAME", "List the tools of one",
	 mcp_tools_command},
	{"mcp call", "[--timeout-ms N] [--json] SES NAME TOOL [JSON|@FILE|-]",
	 "Call a tool and print what it answers", mcp_call_command},
	{"secret set", "NAME",
	 "Keep a value, read from standard input, for sessions to use",
	 secret_set_command},
	{"secret ls", "[--json]", "List what is kept, without values",
	 secret_list_command},
	{"secret rm", "NAME", "Remove one", secret_remove_command},
	{"export", "[-o FILE] [--otel] SES", "Write a session to a file",
	 export_command},
	{"import", "[--json] FILE|-", "Read such a file", import_command},
	{"store check", "[--json]", "Look for damage", store_check_command},
	{"image list", "[--json]", "List what VMs can boot",
	 image_list_command},
	{"image build",
	 "[--kernel debian|tiny] [--mirror URL] [--name NAME] [--force] "
	 "[RECIPE]",
	 "Make an image from Debian's packages", image_build_command},
	{"image inspect", "NAME", "Print what an image is made of",
	 image_inspect_command},
	{"image warm",
	 "--agent A [--env K=V]... [--env-secret K[=SECRET]]... [--cwd DIR] "
	 "[--instructions TEXT] [--skip-os-instructions] "
	 "[--start-timeout-ms N] [--json] NAME",
	 "Have VMs of an image begin with an agent", image_warm_command},
	{"image cool", "NAME", "Have them boot again", image_cool_command},
	{"image rm", "[--force] NAME", "Remove an image", image_remove_command},
	{"agent list", "[--json]", "List the agents that can be started",
	 agent_list_command},
	{"agent add", "[--force] [--json] NAME|FILE",
	 "Install the packages of an agent by npm", agent_add_command},
	{"agent remove", "[--force] [--json] NAME", "Remove its packages",
	 agent_remove_command},
	{"agent check",
	 "[--env K=V]... [--net none|host] [--start-timeout-ms N] [--json] "
	 "NAME",
	 "Start it once and print what it offers", agent_check_command},
	{"types", "[--json]", "List the types of events", types_command},
	{"token create",
	 "[--scope read|prompt|answer|admin] [--ttl-ms N] [--json] [SES]",
	 "Make a token for one session, or for all", token_create_command},
	{"daemon start", "[--json]", "Start hibd, if it does not run",
	 daemon_start_command},
	{"daemon stop", "[--vms]", "Stop hibd; VMs go on without --vms",
	 daemon_stop_command},
	{"daemon status", "[--json]", "Say whether hibd runs",
	 daemon_status_command},
	{"doctor", "[--repair] [--json]", "Say what this machine lacks",
	 doctor_command},
	{"version", "", "Print the version", version_command},
	{"completion", "bash|zsh", "Print a completion script for the shell",
	 completion_command},
	{0},
};

/* --- help --------------------------------------------------------------- */

static int help(FILE *f)
{
	fputs("usage: hib COMMAND [OPTION]... [ARGUMENT]...\n\n", f);
	for (const struct command *k = commands; k->name != NULL; k++)
		fprintf(f, "  %-18s %s\n", k->name, k->about);
	fputs("  help               This text; hib COMMAND --help for one\n"
	      "\nState is in $HIB_HOME, else $XDG_STATE_HOME/hibernacle, else\n"
	      "~/.local/state/hibernacle.  See hib(1).\n",
	      f);
	return f == stdout ? 0 : EXIT_USAGE;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 ||
	       strcmp(word, "-h") == 0;
}

/* A first word that more words belong to. */
static bool is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct command *k = commands; k->name != NULL; k++) {
		if (strncmp(k->name, word, n) == 0 && k->name[n] == ' ')
			return true;
	}
	return false;
}

static int group_help(FILE *f, const char *group)
{
	size_t n = strlen(group);

	for (const struct command *k = commands; k->name != NULL; k++) {
		if (strncmp(k->name, group, n) == 0 && k->name[n] == ' ')
			fprintf(f, "usage: hib %s %s\n", k->name, k->usage);
	}
	return f == stdout ? 0 : EXIT_USAGE;
}

/* --- dispatch ----------------------------------------------------------- */

/* @words: how many of the arguments are its name. */
static const struct command *find(int argc, char **argv, int *words)
{
	for (const struct command *k = commands; k->name != NULL; k++) {
		const char *space = strchr(k->name, ' ');
		size_t n = space ? (size_t)(space - k->name) : strlen(k->name);

		if (strlen(argv[0]) != n || strncmp(k->name, argv[0], n) != 0)
			continue;
		*words = space ? 2 : 1;
		if (space == NULL ||
		    (argc > 1 && strcmp(space + 1, argv[1]) == 0))
			return k;
	}
	return NULL;
}

static int run(struct cli *c, int argc, char **argv)
{
	struct err e = {0};
	int words = 0, status;

	c->command = find(argc, argv, &words);
	if (c->command == NULL && is_group(argv[0])) {
		if (argc > 1 && is_help(argv[1]))
			return group_help(stdout, argv[0]);
		fprintf(stderr, "hib: what about %s?\n", argv[0]);
		return group_help(stderr, argv[0]);
	}
	if (c->command == NULL) {
		fprintf(stderr, "hib: unknown command '%s'; see 'hib help'\n",
			argv[0]);
		return EXIT_USAGE;
	}
	if (home_find(NULL, &c->home, &e) < 0)
		return cli_fail(&e);
	status = c->command->run(c, argc - words + 1, argv + words - 1);
	cli_close(c);
	return status;
}

static bool reader_is_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

/* What did not reach its reader is a failure.  Why is only known of the last
 * write. */
static int finish(int status)
{
	struct err e = {0};
	int why = fflush(stdout) == 0 ? EIO : errno;

	if (why == EIO && !ferror(stdout))
		return status;
	if (status != 0 || why == EPIPE || reader_is_gone())
		return status ? status : EXIT_NEGATIVE;
	err_set(&e, -why, "standard output: %s", strerror(why));
	return cli_fail(&e);
}

int main(int argc, char **argv)
{
	struct cli c = {.args = argv};

	standard_fds_take();
	/* hibd may go while we write to it. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return help(stderr);
	if (is_help(argv[1]))
		return finish(help(stdout));
	if (strcmp(argv[1], "--version") == 0)
		argv[1] += 2;
	return finish(run(&c, argc - 1, argv + 1));
}
