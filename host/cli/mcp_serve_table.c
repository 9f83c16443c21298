// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_serve_table.c - hib mcp serve: the tools, as they are told
 */
#include <string.h>

#include "host/cli/mcp_serve.h"

static const char reads[] = "{\"readOnlyHint\":true,\"openWorldHint\":false}";
static const char adds[] = "{\"readOnlyHint\":false,\"destructiveHint\":false,"
			   "\"idempotentHint\":false,\"openWorldHint\":false}";
static const char overwrites[] =
	"{\"readOnlyHint\":false,\"destructiveHint\":true,"
	"\"idempotentHint\":true,\"openWorldHint\":false}";
/* What it runs may do anything. */
static const char acts[] = "{\"readOnlyHint\":false,\"destructiveHint\":true,"
			   "\"idempotentHint\":false,\"openWorldHint\":true}";

static const struct serve_tool tools[] = {
	{
		.name = "vm_create",
		.title = "Create VM",
		.description =
			"Make a sandbox and boot it. Returns its row, with "
			"its id.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"name\":{\"type\":\"string\","
			"\"description\":\"Unique name\"},"
			"\"net\":{\"type\":\"string\",\"enum\":[\"none\","
			"\"host\"],\"description\":\"Network; none if not "
			"given\"},\"workspace\":{\"type\":\"string\","
			"\"description\":\"What /workspace begins with: a "
			"folder or git repository of the host (PATH or "
			"PATH#REV), or a git URL\"},"
			"\"idle_ms\":{\"type\":\"integer\",\"minimum\":0,"
			"\"description\":\"Sleep after so long without "
			"work\"}},\"additionalProperties\":false}",
		.annotations = adds,
		.run = serve_vm_create,
	},
	{
		.name = "vm_list",
		.title = "List VMs",
		.description = "List all VMs with their states.",
		.input_schema = "{\"type\":\"object\",\"properties\":{},"
				"\"additionalProperties\":false}",
		.annotations = reads,
		.run = serve_vm_list,
	},
	{
		.name = "vm_destroy",
		.title = "Destroy VM",
		.description =
			"Remove a VM with its files. Logs of its sessions "
			"stay.",
		.input_schema = "{\"type\":\"object\",\"pro"
				"perties\":{\"vm\":{\"type\":\"string\","
				"\"description\":\"Id or name of a VM\"},"
				"\"force\":{\"type\":\"boolean\","
				"\"description\":\"Also with live sessions\"}},"
				"\"required\":[\"vm\"],\"ad"
				"ditionalProperties\":false}",
		.annotations = overwrites,
		.run = serve_vm_destroy,
	},
	{
		.name = "vm_fork",
		.title = "Fork VM",
		.description =
			"Make a VM like another, with its files and sessions "
			"as they are, or as they were at a turn or commit.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"name\":{\"type\":\"string\","
			"\"description\":\"Unique name of the new VM\"},"
			"\"at\":{\"type\":\"string\",\"description\":\"A "
			"turn or a commit\"},\"no_s"
			"essions\":{\"type\":\"boolean\","
			"\"description\":\"Only the files\"}},"
			"\"required\":[\"vm\"],\"ad"
			"ditionalProperties\":false}",
		.annotations = adds,
		.run = serve_vm_fork,
	},
	{
		.name = "exec",
		.title = "Run a program",
		.description =
			"Run a program in a VM and wait for its end. Give "
			"argv, or command as a line for the shell. Runs as "
			"the agents' user in /workspace; a VM that sleeps is "
			"woken.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"argv\":{\"type\":\"array\","
			"\"items\":{\"type\":\"string\"},"
			"\"description\":\"Program and arguments\"},"
			"\"command\":{\"type\":\"string\","
			"\"description\":\"A line for the shell\"},"
			"\"cwd\":{\"type\":\"string\","
			"\"description\":\"Folder to run in\"},"
			"\"env\":{\"type\":\"object\","
			"\"additionalProperties\":{\"type\":\"string\"},"
			"\"description\":\"Environment variables\"},"
			"\"stdin\":{\"type\":\"string\","
			"\"description\":\"Standard input\"},"
			"\"timeout_ms\":{\"type\":\"integer\",\"minimum\":0,"
			"\"description\":\"Kill it after that\"},"
			"\"session\":{\"type\":\"string\","
			"\"description\":\"Run where this session's agent "
			"runs\"}},\"required\":[\"vm\"],"
			"\"additionalProperties\":false}",
		.annotations = acts,
		.run = serve_exec,
	},
	{
		.name = "read_file",
		.title = "Read file",
		.description = "Read a file of a VM's /workspace.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"path\":{\"type\":\"string\","
			"\"description\":\"Path below /workspace\"},"
			"\"at\":{\"type\":\"string\",\"description\":\"A "
			"turn or a commit: show files as they were then\"},"
			"\"offset\":{\"type\":\"integer\",\"minimum\":0,"
			"\"description\":\"First byte\"},"
			"\"length\":{\"type\":\"integer\",\"minimum\":0,"
			"\"description\":\"Bytes; 0: to the end\"}},"
			"\"required\":[\"vm\",\"path\"],"
			"\"additionalProperties\":false}",
		.annotations = reads,
		.run = serve_read_file,
	},
	{
		.name = "write_file",
		.title = "Write file",
		.description =
			"Write a file in a VM's /workspace, and the folders "
			"above it. It appears as a whole.",
		.input_schema = "{\"type\":\"object\",\"pro"
				"perties\":{\"vm\":{\"type\":\"string\","
				"\"description\":\"Id or name of a VM\"},"
				"\"path\":{\"type\":\"string\","
				"\"description\":\"Path below /workspace\"},"
				"\"content\":{\"type\":\"string\","
				"\"description\":\"Text\"},"
				"\"content_b64\":{\"type\":\"string\","
				"\"description\":\"Or bytes as base64\"},"
				"\"mode\":{\"type\":\"string\","
				"\"description\":\"Octal permissions\"},"
				"\"etag\":{\"type\":\"string\","
				"\"description\":\"Only if it has this etag\"},"
				"\"must_not_exist\":{\"type\":\"boolean\","
				"\"description\":\"Only if it is new\"}},"
				"\"required\":[\"vm\",\"path\"],"
				"\"additionalProperties\":false}",
		.annotations = overwrites,
		.run = serve_write_file,
	},
	{
		.name = "list_files",
		.title = "List files",
		.description = "List files of a VM's /workspace.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"path\":{\"type\":\"string\","
			"\"description\":\"Path below /workspace\"},"
			"\"depth\":{\"type\":\"integer\",\"minimum\":0,"
			"\"description\":\"Folders in folders; 1 if not "
			"given\"},\"limit\":{\"type\":\"integer\","
			"\"minimum\":0,\"description\":\"Entries; 1000 if "
			"not given\"},\"after\":{\"type\":\"string\","
			"\"description\":\"'next' of the page before\"},"
			"\"at\":{\"type\":\"string\",\"description\":\"A "
			"turn or a commit: show files as they were then\"}},"
			"\"required\":[\"vm\"],\"ad"
			"ditionalProperties\":false}",
		.annotations = reads,
		.run = serve_list_files,
	},
	{
		.name = "checkpoint",
		.title = "Checkpoint",
		.description = "Commit what is in a VM's /workspace now.",
		.input_schema = "{\"type\":\"object\",\"pro"
				"perties\":{\"vm\":{\"type\":\"string\","
				"\"description\":\"Id or name of a VM\"}},"
				"\"required\":[\"vm\"],\"ad"
				"ditionalProperties\":false}",
		.annotations = adds,
		.run = serve_checkpoint,
	},
	{
		.name = "restore_files",
		.title = "Restore files",
		.description = "Give a VM's /workspace the files of a turn or "
			       "commit: some paths, or all. What was there is "
			       "committed before.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"to\":{\"type\":\"string\",\"description\":\"A "
			"turn or a commit\"},\"paths\":{\"type\":\"array\","
			"\"items\":{\"type\":\"string\"},"
			"\"description\":\"Only these\"},"
			"\"force\":{\"type\":\"boolean\","
			"\"description\":\"Also while a turn runs\"}},"
			"\"required\":[\"vm\",\"to\"],"
			"\"additionalProperties\":false}",
		.annotations = overwrites,
		.run = serve_restore_files,
	},
	{
		.name = "session_create",
		.title = "Create session",
		.description =
			"Start a coding agent in a VM; without one a VM is "
			"made for it.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"agent\":{\"type\":\"string\","
			"\"description\":\"Name of the agent\"},"
			"\"vm\":{\"type\":\"string\",\"description\":\"Id or "
			"name of a VM\"},\"cwd\":{\"type\":\"string\","
			"\"description\":\"Folder; /workspace if not "
			"given\"},\"title\":{\"type\":\"string\","
			"\"description\":\"For lists\"},"
			"\"model\":{\"type\":\"string\",\"description\":\"Of "
			"those that the agent offers\"},"
			"\"instructions\":{\"type\":\"string\","
			"\"description\":\"Added to the agent's own\"},"
			"\"policy\":{\"type\":\"string\","
			"\"description\":\"What answers its permission "
			"requests: ask, allow, deny, or rules as JSON\"},"
			"\"net\":{\"type\":\"string\",\"enum\":[\"none\","
			"\"host\"],\"description\":\"Of a VM that is made\"},"
			"\"env\":{\"type\":\"object\","
			"\"additionalProperties\":{\"type\":\"string\"},"
			"\"description\":\"Environment variables\"}},"
			"\"required\":[\"agent\"],\""
			"additionalProperties\":false}",
		.annotations = acts,
		.run = serve_session_create,
	},
	{
		.name = "session_prompt",
		.title = "Prompt session",
		.description =
			"Ask the agent of a session and wait for the end of "
			"its turn. Sends progress. Cancelling the call ends "
			"the turn.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"session\":{\"type\":\"string\","
			"\"description\":\"Id of a session\"},"
			"\"text\":{\"type\":\"string\",\"description\":\"The "
			"prompt\"},\"on_busy\":{\"type\":\"string\","
			"\"enum\":[\"reject\",\"queue\",\"steer\","
			"\"interrupt\"],\"description\":\"While a turn runs; "
			"reject if not given\"}},\"required\":[\"session\","
			"\"text\"],\"additionalProperties\":false}",
		.annotations = acts,
		.run = serve_session_prompt,
	},
	{
		.name = "session_list",
		.title = "List sessions",
		.description = "List sessions, the newest first.",
		.input_schema =
			"{\"type\":\"object\",\"pro"
			"perties\":{\"vm\":{\"type\":\"string\","
			"\"description\":\"Id or name of a VM\"},"
			"\"state\":{\"type\":\"string\","
			"\"description\":\"Only in this state\"},"
			"\"tag\":{\"type\":\"string\",\"description\":\"Only "
			"with this tag\"},\"limit\":{\"type\":\"integer\","
			"\"minimum\":0,\"description\":\"Rows\"},"
			"\"cursor\":{\"type\":\"string\","
			"\"description\":\"The last id of the page "
			"before\"}},\"additionalProperties\":false}",
		.annotations = reads,
		.run = serve_session_list,
	},
	{
		.name = "session_messages",
		.title = "Read messages",
		.description =
			"Read the conversation of a session. Works while "
			"everything sleeps.",
		.input_schema = "{\"type\":\"object\",\"pro"
				"perties\":{\"session\":{\"type\":\"string\","
				"\"description\":\"Id of a session\"},"
				"\"turn\":{\"type\":\"string\","
				"\"description\":\"Only of this turn\"}},"
				"\"required\":[\"session\"],"
				"\"additionalProperties\":false}",
		.annotations = reads,
		.run = serve_session_messages,
	},
	{
		.name = "session_close",
		.title = "Close session",
		.description = "End a session; its log stays.",
		.input_schema = "{\"type\":\"object\",\"pro"
				"perties\":{\"session\":{\"type\":\"string\","
				"\"description\":\"Id of a session\"},"
				"\"force\":{\"type\":\"boolean\","
				"\"description\":\"At once\"}},"
				"\"required\":[\"session\"],"
				"\"additionalProperties\":false}",
		.annotations = overwrites,
		.run = serve_session_close,
	},
};

const struct serve_tool *serve_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (strcmp(tools[i].name, name) == 0)
			return &tools[i];
	return NULL;
}

void serve_write_tools(struct jw *w)
{
	jw_obj(w);
	jw_key(w, "tools");
	jw_arr(w);
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		const struct serve_tool *t = &tools[i];

		jw_obj(w);
		jw_kstr(w, "name", t->name);
		jw_kstr(w, "title", t->title);
		jw_kstr(w, "description", t->description);
		jw_kraw(w, "inputSchema", t->input_schema);
		jw_kraw(w, "annotations", t->annotations);
		jw_obj_end(w);
	}
	jw_arr_end(w);
	jw_obj_end(w);
}
