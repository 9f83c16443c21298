// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_workspace_table.c - The server "workspace": its tools, as they are told
 *
 * The names, words and schemas of those that npm's server-filesystem has, too, are
 * that server's.
 */
#include "guest/builtin_workspace.h"

#define DRAFT_07                                                    \
	"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"," \
	"\"type\":\"object\","

static const char text_result[] =
	DRAFT_07 "\"properties\":{\"content\":{\"type\":\"string\"}},"
		 "\"required\":[\"content\"],\"a"
		 "dditionalProperties\":false}";

static const char media_result[] =
	DRAFT_07 "\"properties\":{\"content\":{\"type\":\"array\","
		 "\"items\":{\"anyOf\":[{\"type\":\"object\","
		 "\"properties\":{\"type\":{\"type\":\"string\","
		 "\"enum\":[\"image\",\"audio\"]},"
		 "\"data\":{\"type\":\"string\"},"
		 "\"mimeType\":{\"type\":\"string\"}},"
		 "\"required\":[\"type\",\"data\",\"mimeType\"],"
		 "\"additionalProperties\":false},{\"type\":\"object\","
		 "\"properties\":{\"type\":{\"type\":\"string\","
		 "\"const\":\"resource\"},\"reso"
		 "urce\":{\"type\":\"object\",\""
		 "properties\":{\"uri\":{\"type\":\"string\"},"
		 "\"mimeType\":{\"type\":\"string\"},"
		 "\"blob\":{\"type\":\"string\"}},\"required\":[\"uri\","
		 "\"blob\"],\"additionalProperties\":false}},"
		 "\"required\":[\"type\",\"resource\"],"
		 "\"additionalProperties\":false}]}}},"
		 "\"required\":[\"content\"],\"a"
		 "dditionalProperties\":false}";

static const char read_args[] =
	DRAFT_07 "\"properties\":{\"path\":{\"type\":\"string\"},"
		 "\"tail\":{\"description\":\"If provided, returns only "
		 "the last N lines of the file\",\"type\":\"number\"},"
		 "\"head\":{\"description\":\"If provided, returns only "
		 "the first N lines of the file\",\"type\":\"number\"}},"
		 "\"required\":[\"path\"]}";

static const char path_args[] =
	DRAFT_07 "\"properties\":{\"path\":{\"type\":\"string\"}},"
		 "\"required\":[\"path\"]}";

static const char reads[] = "{\"readOnlyHint\":true,\"openWorldHint\":false}";

static const char overwrites[] =
	"{\"readOnlyHint\":false,\"idempotentHint\":true,\"destructiveHint\":true,\"openWorldHint\":false}";

static const char changes[] =
	"{\"readOnlyHint\":false,\"idempotentHint\":false,\"destructiveHint\":true,\"openWorldHint\":false}";

static const char adds[] =
	"{\"readOnlyHint\":false,\"idempotentHint\":true,\"destructiveHint\":false,\"openWorldHint\":false}";

static const struct builtin_tool tools[] = {
	{
		.name = "read_file",
		.title = "Read File (Deprecated)",
		.description = "Read the complete contents of a file as text. "
			       "DEPRECATED: Use read_text_file instead.",
		.input_schema = read_args,
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "read_text_file",
		.title = "Read Text File",
		.description =
			"Read the complete contents of a file from the file "
			"system as text. Handles various text encodings and "
			"provides detailed error messages if the file cannot be "
			"read. Use this tool when you need to examine the "
			"contents of a single file. Use the 'head' parameter to "
			"read only the first N lines of a file, or the 'tail' "
			"parameter to read only the last N lines of a file. "
			"Operates on the file as text regardless of extension. "
			"Only works within allowed directories.",
		.input_schema = read_args,
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "read_media_file",
		.title = "Read Media File",
		.description =
			"Read a file and return it as a base64-encoded content "
			"block with its MIME type. Image and audio files are "
			"returned as image/audio content; any other file type is "
			"returned as an embedded resource. Only works within "
			"allowed directories.",
		.input_schema = path_args,
		.output_schema = media_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "read_multiple_files",
		.title = "Read Multiple Files",
		.description =
			"Read the contents of multiple files simultaneously. "
			"This is more efficient than reading files one by one "
			"when you need to analyze or compare multiple files. "
			"Each file's content is returned with its path as a "
			"reference. Failed reads for individual files won't stop "
			"the entire operation. Only works within allowed "
			"directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"paths\":{\"minItems\":1,"
		"\"type\":\"array\",\"items\":{\"type\":\"string\"},"
		"\"description\":\"Array of file paths to read. Each "
		"path must be a string pointing to a valid file within "
		"allowed directories.\"}},\"required\":[\"paths\"]}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "write_file",
		.title = "Write File",
		.description =
			"Create a new file or completely overwrite an existing "
			"file with new content. Use with caution as it will "
			"overwrite existing files without warning. Handles text "
			"content with proper encoding. Only works within allowed "
			"directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"path\":{\"type\":\"string\"},"
		"\"content\":{\"type\":\"string\"}},"
		"\"required\":[\"path\",\"content\"]}",
		.output_schema = text_result,
		.annotations = overwrites,
		.call = wstool_file_tool,
	},
	{
		.name = "edit_file",
		.title = "Edit File",
		.description =
			"Make line-based edits to a text file. Each edit "
			"replaces exact line sequences with new content. Returns "
			"a git-style diff showing the changes made. Only works "
			"within allowed directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"path\":{\"type\":\"string\"},"
		"\"edits\":{\"type\":\"array\","
		"\"items\":{\"type\":\"object\","
		"\"properties\":{\"oldText\":{\"type\":\"string\","
		"\"description\":\"Text to search for - must match "
		"exactly\"},\"newText\":{\"type\":\"string\","
		"\"description\":\"Text to replace with\"}},"
		"\"required\":[\"oldText\",\"newText\"]}},"
		"\"dryRun\":{\"default\":false,\"description\":\"Preview "
		"changes using git-style diff format\","
		"\"type\":\"boolean\"}},\"required\":[\"path\","
		"\"edits\"]}",
		.output_schema = text_result,
		.annotations = changes,
		.call = wstool_file_tool,
	},
	{
		.name = "create_directory",
		.title = "Create Directory",
		.description =
			"Create a new directory or ensure a directory exists. "
			"Can create multiple nested directories in one "
			"operation. If the directory already exists, this "
			"operation will succeed silently. Perfect for setting up "
			"directory structures for projects or ensuring required "
			"paths exist. Only works within allowed directories.",
		.input_schema = path_args,
		.output_schema = text_result,
		.annotations = adds,
		.call = wstool_file_tool,
	},
	{
		.name = "list_directory",
		.title = "List Directory",
		.description =
			"Get a detailed listing of all files and directories in "
			"a specified path. Results clearly distinguish between "
			"files and directories with [FILE] and [DIR] prefixes. "
			"This tool is essential for understanding directory "
			"structure and finding specific files within a "
			"directory. Only works within allowed directories.",
		.input_schema = path_args,
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "list_directory_with_sizes",
		.title = "List Directory with Sizes",
		.description =
			"Get a detailed listing of all files and directories in "
			"a specified path, including sizes. Results clearly "
			"distinguish between files and directories with [FILE] "
			"and [DIR] prefixes. This tool is useful for "
			"understanding directory structure and finding specific "
			"files within a directory. Only works within allowed "
			"directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"path\":{\"type\":\"string\"},"
		"\"sortBy\":{\"default\":\"name\",\"description\":\"Sort "
		"entries by name or size\",\"type\":\"string\","
		"\"enum\":[\"name\",\"size\"]}},\"required\":[\"path\"]}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "directory_tree",
		.title = "Directory Tree",
		.description =
			"Get a recursive tree view of files and directories as a "
			"JSON structure. Each entry includes 'name', 'type' "
			"(file/directory), and 'children' for directories. Files "
			"have no children array, while directories always have a "
			"children array (which may be empty). The output is "
			"formatted with 2-space indentation for readability. "
			"Only works within allowed directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"path\":{\"type\":\"string\"},"
		"\"excludePatterns\":{\"default\":[],\"type\":\"array\","
		"\"items\":{\"type\":\"string\"}}},"
		"\"required\":[\"path\"]}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "move_file",
		.title = "Move File",
		.description =
			"Move or rename files and directories. Can move files "
			"between directories and rename them in a single "
			"operation. If the destination exists, the operation "
			"will fail. Works across different directories and can "
			"be used for simple renaming within the same directory. "
			"Both source and destination must be within allowed "
			"directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"source\":{\"type\":\"string\"},"
		"\"destination\":{\"type\":\"string\"}},"
		"\"required\":[\"source\",\"destination\"]}",
		.output_schema = text_result,
		.annotations = changes,
		.call = wstool_file_tool,
	},
	{
		.name = "search_files",
		.title = "Search Files",
		.description =
			"Recursively search for files and directories matching a "
			"pattern. The patterns should be glob-style patterns "
			"that match paths relative to the working directory. Use "
			"pattern like '*.ext' to match files in current "
			"directory, and '**/*.ext' to match files in all "
			"subdirectories. Returns full paths to all matching "
			"items. Great for finding files when you don't know "
			"their exact location. Only searches within allowed "
			"directories.",
		.input_schema = DRAFT_07
		"\"properties\":{\"path\":{\"type\":\"string\"},"
		"\"pattern\":{\"type\":\"string\"},"
		"\"excludePatterns\":{\"default\":[],\"type\":\"array\","
		"\"items\":{\"type\":\"string\"}}},"
		"\"required\":[\"path\",\"pattern\"]}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "get_file_info",
		.title = "Get File Info",
		.description =
			"Retrieve detailed metadata about a file or directory. "
			"Returns comprehensive information including size, "
			"creation time, last modified time, permissions, and "
			"type. This tool is perfect for understanding file "
			"characteristics without reading the actual content. "
			"Only works within allowed directories.",
		.input_schema = path_args,
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "list_allowed_directories",
		.title = "List Allowed Directories",
		.description =
			"Returns the list of directories that this server is "
			"allowed to access. Subdirectories within these allowed "
			"directories are also accessible. Use this to understand "
			"which directories and their nested paths are available "
			"before trying to access files.",
		.input_schema = DRAFT_07 "\"properties\":{}}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_file_tool,
	},
	{
		.name = "checkpoint",
		.title = "Checkpoint",
		.description =
			"Commit the files of the workspace as they are now, so "
			"that diff and restore can go back to them. Files are "
			"also committed at the end of each turn. Returns the id "
			"of the commit.",
		.input_schema = DRAFT_07 "\"properties\":{}}",
		.annotations = adds,
		.call = wstool_checkpoint_tool,
	},
	{
		.name = "diff",
		.title = "Diff",
		.description =
			"Show what has changed in the workspace as a patch. "
			"'from' is a commit, as checkpoint returns it, or a "
			"turn; without it, the files as this turn has found "
			"them. 'to' is the same, and without it the files as "
			"they are now, which are committed for that.",
		.input_schema = DRAFT_07
		"\"properties\":{\"from\":{\"type\":\"string\"},"
		"\"to\":{\"type\":\"string\"}}}",
		.output_schema = text_result,
		.annotations = reads,
		.call = wstool_diff_tool,
	},
	{
		.name = "restore",
		.title = "Restore",
		.description =
			"Bring files and folders back as they were in a commit "
			"or at the end of a turn; what was not there then is "
			"removed. What is there now is committed before, and "
			"its id is returned, so that this can be undone.",
		.input_schema =
			DRAFT_07 "\"properties\":{\"to\":{\"type\":\"string\"},"
				 "\"paths\":{\"type\":\"array\",\"minItems\":1,"
				 "\"items\":{\"type\":\"string\"}}},"
				 "\"required\":[\"to\",\"paths\"]}",
		.annotations = overwrites,
		.call = wstool_restore_tool,
	},
};

const struct builtin builtin_workspace = {
	.name = "workspace",
	.title = "Workspace",
	.instructions = "The files of /workspace, and their history.",
	.tools = tools,
	.n_tools = ARRAY_LEN(tools),
};
