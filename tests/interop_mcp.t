#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# MCP servers that nobody here wrote, from npm, as local servers of sessions,
# called by agents that nobody here wrote, inside the sandbox.  The model is a
# script.
#
# INTEROP_MCP_AGENTS   which agents (default: a quick one); `make interop`: more
# INTEROP_MCP_SERVERS  which servers (default: small ones); `make interop`: all
# NPM_CACHE_DIR        where packages stay between runs (default: $O/npm)
#
# What was seen comes out as a table, $O/interop_mcp.md.
# shellcheck disable=SC2016 # $ is for jq
. tests/lib.sh
. tests/agents.sh

INTEROP_MCP_AGENTS=${INTEROP_MCP_AGENTS-opencode}
INTEROP_MCP_SERVERS=${INTEROP_MCP_SERVERS-everything filesystem}

need_npm

# --- the servers ----------------------------------------------------------------

# packages_of SERVER - node comes with the one that wants a newer one than Debian
# has.
packages_of() {
	case $1 in
	everything) echo @modelcontextprotocol/server-everything@2026.8.31 ;;
	filesystem) echo @modelcontextprotocol/server-filesystem@2026.8.31 ;;
	memory) echo @modelcontextprotocol/server-memory@2026.8.31 ;;
	thinking) echo @modelcontextprotocol/server-sequential-thinking@2026.8.31 ;;
	sqlite) echo @bytebase/dbhub@1.4.0 node@22.23.3 ;;
	esac
}

# install_server SERVER - into the folder that is mounted into VMs as it is.
install_server() {
	[ ! -e "$mcp/done.$1" ] || return 0
	[ -e "$mcp/package.json" ] || echo '{"private":true}' >"$mcp/package.json"
	# shellcheck disable=SC2046 # a list of words
	(cd "$mcp" && timeout 600 npm install --no-audit --no-fund \
		--loglevel=error $(packages_of "$1")) >"$tmp/npm.log" 2>&1 &&
		touch "$mcp/done.$1"
}

install_servers() {
	mcp=$npm_dir/mcp
	mkdir -p "$mcp" 2>/dev/null
	[ -w "$mcp" ] || mcp=$tmp/mcp
	mkdir -p "$mcp" || return 1
	for server in $INTEROP_MCP_SERVERS; do
		install_server "$server" || return 1
	done
}

# mcp_config - of those that are wanted, as other clients have it.
mcp_config() {
	jq -n --arg names "$INTEROP_MCP_SERVERS" '
		def server(program; more): {command: "node",
			args: (["/opt/mcp/node_modules/.bin/" + program] + more)};
		{everything: server("mcp-server-everything"; ["stdio"]),
			filesystem: server("mcp-server-filesystem"; ["/workspace"]),
			memory: (server("mcp-server-memory"; []) +
				{env: {MEMORY_FILE_PATH: "/workspace/memory.json"}}),
			thinking: server("mcp-server-sequential-thinking"; []),
			sqlite: (server("dbhub"; ["--transport", "stdio", "--dsn",
				"sqlite:///workspace/data.db"]) +
				{command: "/opt/mcp/node_modules/.bin/node"})} |
		with_entries(select(.key as $k | $names | split(" ") | index($k))) |
		{mcpServers: map_values(. + {startupTimeoutMs: 90000})}'
}

# script SERVER - what the model does with it, and in the end whether what the
# server has said came to it (in two parts: not so here).
script() {
	case $1 in
	everything) printf '%s ;; %s\n' '@mock tool everything*get*sum {"a":123456789,"b":987654}' 'recall 1244 44443' ;;
	filesystem) printf '%s ;; %s ;; %s\n' '@mock tool filesystem*write_file {"path":"/workspace/by-agent.txt","content":"made"}' \
		'tool filesystem*read_text_file {"path":"/workspace/fruit.txt"}' 'recall quin ce' ;;
	memory) printf '%s ;; %s\n' '@mock tool memory*create_entities {"entities":[{"name":"fig","entityType":"fruit","observations":["sweet"]}]}' \
		'tool memory*search_nodes {"query":"fig"} ;; recall swe et' ;;
	thinking) printf '%s ;; %s\n' '@mock tool thinking*sequentialthinking {"thought":"hm","nextThoughtNeeded":false,"thoughtNumber":1,"totalThoughts":1}' \
		'text Thought.' ;;
	sqlite) printf '%s ;; %s\n' "@mock tool sqlite*execute_sql {\"sql\":\"SELECT (6 * 7) || 'plums' AS fruit\"}" 'recall 42 plums' ;;
	esac
}

# What a call of it has as its result, as a regular expression.
result_of() {
	case $1 in
	everything) echo 124444443 ;;
	filesystem) echo quince ;;
	memory) echo sweet ;;
	thinking) echo thoughtHistoryLength ;;
	sqlite) echo 42plums ;;
	esac
}

# --- the cases ------------------------------------------------------------------

session_with_servers() {
	mcp_config >"$tmp/mcp.json"
	ses=$(session --mcp-config "$tmp/mcp.json") || return 1
	for server in $INTEROP_MCP_SERVERS; do
		wait_for "$ses" "\"type\":\"mcp\.ready\".*\"name\":\"$server\"" 90 \
			>"$tmp/ready" || return 1
	done
}

# Of the call there is an event, with what came of it.
called() {
	log_json "$ses" | jq -se --arg name "$1" --arg re "$(result_of "$1")" '
		any(.type == "mcp.call" and .data.name == $name and .data.ok and
			(.data.result | tostring | test($re)))'
}

# Each result came to the model.
was_told() {
	text_of "$ses" >"$tmp/text" && ! grep -q forgotten "$tmp/text"
}

use() {
	drive "$ses" "$(script "$1")" approve && ended completed &&
		was_told && called "$1"
}

# cell SERVER TITLE COMMAND... - a case, which becomes a cell of the table.
cell() {
	_row=$1 _title=$2 _failed=$failed
	shift 2
	ok "$agent: $_title" "$@"
	if [ "$failed" -gt "$_failed" ]; then
		echo FAILED >"$cells/$_row"
		hib log "$ses" 2>&1 | tail -n 15 | cut -c-300 | sed 's/^/# /' >&2
	else
		echo yes >"$cells/$_row"
	fi
}

no_server_is_left() {
	_left=$(for _p in $(descendants "$(guest_pid "$vm")"); do
		tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null
	done | grep -c /opt/mcp)
	equal "$_left" 0
}

run_agent() {
	agent=$1 cells=$tmp/cells/$1 ses=''
	mkdir -p "$cells"
	if ! install "$agent"; then
		tail -n 5 "$tmp/npm.log" >&2
		skip "$agent" "npm is not reachable"
		return
	fi
	ran="$ran $agent"
	mock_agent
	vm=$(hib vm create --net host --mount "$mcp:/opt/mcp:ro")
	echo quince | hib files put "$vm" - fruit.txt >"$tmp/out"
	ok "$agent: it starts with its servers" session_with_servers
	for server in $INTEROP_MCP_SERVERS; do
		cell "$server" "its model calls $server" use "$server"
	done
	hib session close "$ses" >"$tmp/out"
	ok "$agent: its servers end with it" until_true 10 no_server_is_left
	hib vm destroy --force "$vm" >"$tmp/out"
}

# --- the table ------------------------------------------------------------------

# table AGENT... - those that ran.
table() {
	printf '| server'
	printf ' | %s' "$@"
	printf ' |\n|---'
	for _name; do
		printf '|---'
	done
	printf '|\n'
	for _row in $INTEROP_MCP_SERVERS; do
		printf '| %s' "$_row"
		for _name; do
			printf ' | %s' "$(cat "$tmp/cells/$_name/$_row" 2>/dev/null)"
		done
		printf ' |\n'
	done
}

# --- go -------------------------------------------------------------------------

install_servers || skip_all "npm is not reachable"
mkdir "$tmp/cells"
start_model
ran=
for name in $INTEROP_MCP_AGENTS; do
	run_agent "$name"
done
if [ -n "$ran" ] && [ -w "$O" ]; then
	# shellcheck disable=SC2086 # a list of words
	table $ran >"$O/interop_mcp.md"
fi
done_testing
