#!/bin/sh
# MCP servers as processes: when they start, what they get, how they end, what
# the log says of it, and that nothing of them is ever left.
# shellcheck disable=SC2016,SC2046,SC2086,SC2119 # shells in VMs expand; lists of options
. tests/lib.sh

FAKE=/opt/agents/mcp_server
new_vm
vm_program fake/mcp_server
vm_pid=$(guest_pid "$VM")

# script MEMBERS LINE - a file with one server, "a", that is a line of shell.
script() {
	jq -n --argjson m "$1" --arg l "$2" '{mcpServers: {a: ({command: "/bin/sh",
		args: ["-c", $l]} + $m)}}' >"$tmp/mcp.json"
}

# server MEMBERS ARG... - a file with one server, "a", of these arguments.
server() {
	_members=$1
	shift
	jq -n --argjson m "$_members" --arg c "$FAKE" '{mcpServers: {a:
		({command: $c, args: $ARGS.positional} + $m)}}' \
		--args -- "$@" >"$tmp/mcp.json"
}

# with MEMBERS ARG... - a session with that server: its id is in SES.
with() {
	server "$@"
	new_session --mcp-config "$tmp/mcp.json"
}

# servers - host pids of the servers that run in the VM, their children too.
servers() {
	for _p in $(descendants "$vm_pid"); do
		tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null |
			grep -q mcp_server && alive "$_p" && echo "$_p"
	done
	return 0
}

no_server() {
	[ -z "$(servers)" ]
}

row() {
	sql "SELECT $2 FROM mcp_server WHERE session_id='$1' AND name='a'"
}

row_is() {
	equal "$(row "$1" "$2")" "$3"
}

close_it() {
	hib session close "$SES" && until_true 10 no_server
}

# --- start ------------------------------------------------------------------

f164_ready() {
	with '{"required": true}' &&
		holds "$SES" 'map(.type) | index("mcp.starting") <
			index("mcp.ready") and index("mcp.ready") <
			index("session.ready")' &&
		holds "$SES" '.[] | select(.type == "mcp.ready") | .data |
			.name == "a" and .pid > 0 and .ms >= 0 and
			.era == "modern" and (.tools | length > 10) and
			(.hash | length == 64)' &&
		row_is "$SES" state ready
}
ok "F024 F164 a required server is ready before its session" f164_ready

f163_tools() {
	row "$SES" tools | jq -e 'map(.name) | index("echo") != null' &&
		session_field "$SES" features | jq -e 'index("mcp") != null'
}
ok "F163 its tools are kept, and the session has the feature" f163_tools
ok "F161 it ends with the session" close_it
ok "F161 and its row says so" row_is "$SES" "state||coalesce(pid,'')" exited

f164_required_fails() {
	server '{"required": true}' --stderr "no licence" --exit-on-start 3
	not new_session --mcp-config "$tmp/mcp.json" 2>"$tmp/err" &&
		grep -q "it exited with code 3" "$tmp/err" &&
		SES=$(sql "SELECT id FROM session ORDER BY n DESC LIMIT 1") &&
		state_is "$SES" failed &&
		session_field "$SES" last_error | jq -e '.code ==
			"mcp_start_failed" and .exit == 3 and .server == "a" and
			.stderr_tail == "no licence\n"' &&
		holds "$SES" '.[] | select(.type == "mcp.failed") | .data |
			.code == 3 and .stderr_tail == "no licence\n"' &&
		until_true 10 no_server
}
ok "F164 a required one that exits fails the start, in words" f164_required_fails

f164_optional_fails() {
	with '{}' --stderr "no licence" --exit-on-start 3 &&
		wait_for_event "$SES" mcp.failed &&
		says "$SES" hello hello &&
		row_is "$SES" "state||exit_code||error||stderr_tail" \
			"failed3it exited with code 3no licence"
}
ok "F164 an optional one that exits does not" f164_optional_fails
close_it >/dev/null

f164_missing() {
	jq -n '{mcpServers: {a: {command: "/nowhere/x"}}}' >"$tmp/mcp.json"
	new_session --mcp-config "$tmp/mcp.json" &&
		wait_for_event "$SES" mcp.failed >"$tmp/ev" &&
		jq -e '.data.reason | contains("No such file")' "$tmp/ev" &&
		hib session close "$SES"
}
ok "F164 nor does one that is not there" f164_missing

f164_slow() {
	server '{"required": true, "startupTimeoutMs": 300}' --deaf
	not new_session --mcp-config "$tmp/mcp.json" 2>"$tmp/err" &&
		grep -q "was not ready in time" "$tmp/err" &&
		until_true 10 no_server
}
ok "F164 one that never says anything is ended at its deadline" f164_slow

lazy() {
	with '{"start": "lazy"}' && says "$SES" hello hello &&
		wait_for_event "$SES" mcp.ready &&
		hib session suspend "$SES" && until_true 10 no_server &&
		says "$SES" hello hello && no_server &&
		row_is "$SES" state off && hib session close "$SES"
}
ok "a lazy one that is known is not started by its session" lazy

# --- what it gets -----------------------------------------------------------

f161_env() {
	script '{"required": true, "env": {"TOKEN": "own", "TERM": "x"}}' \
		'env >/workspace/env; ls -l /proc/self/fd >/workspace/fds;
		exec /opt/agents/mcp_server'
	new_session --mcp-config "$tmp/mcp.json" --env OF_AGENT=secret &&
		in_vm "$SES" "cat /workspace/env" >"$tmp/env" &&
		grep -qx TOKEN=own "$tmp/env" && grep -qx TERM=x "$tmp/env" &&
		grep -qx HOME=/home/user "$tmp/env" &&
		grep -q ^PATH= "$tmp/env" && not grep -q OF_AGENT "$tmp/env" &&
		equal "$(grep -cvE '^((PATH|HOME|LANG|TERM|USER|PWD|TOKEN)=|$)' \
			"$tmp/env")" 0
}
ok "its environment is the base and its own" f161_env

f161_pipes() {
	in_vm "$SES" "cat /workspace/fds" >"$tmp/fds" &&
		grep -q ' 0 -> pipe:' "$tmp/fds" &&
		grep -q ' 1 -> /workspace/fds' "$tmp/fds" &&
		grep -q ' 2 -> pipe:' "$tmp/fds" &&
		not grep -q socket: "$tmp/fds"
}
ok "its stdio are pipes, and it has nothing else" f161_pipes

f174_namespace() {
	_p=$(servers | head -n 1)
	equal "$(awk '$1 == "NSpid:" {print NF}' "/proc/$_p/status")" 5 &&
		in_vm "$SES" "grep -l mcp_server /proc/[0-9]*/cmdline" |
		grep -q /proc/
}
ok "F161 F174 it runs in the namespaces of its session" f174_namespace
close_it >/dev/null

f_folders() {
	script '{"required": true, "cwd": "/tmp"}' \
		'{ pwd; id -u; ls -A /hib/state; ls -A /hib/run; } >/workspace/seen;
		exec /opt/agents/mcp_server'
	new_session --mcp-config "$tmp/mcp.json" &&
		in_vm "$SES" "cat /workspace/seen" >"$tmp/seen" &&
		equal "$(cat "$tmp/seen")" "/tmp
1000"
	_r=$?
	close_it
	return $_r
}
ok "it runs in its folder, as the agents' user, and sees none of ours" f_folders

# --- what it says -----------------------------------------------------------

f_noise() {
	script '{"required": true}' \
		'yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde |
		head -n 4096 >&2; echo Welcome; echo "{half"; echo "[1,2]";
		exec /opt/agents/mcp_server'
	new_session --mcp-config "$tmp/mcp.json" &&
		says "$SES" hello hello &&
		log_json "$SES" | jq -s 'map(select(.type == "mcp.stderr").data)' \
			>"$tmp/said" &&
		jq -e 'length <= 300 and .[0].text[:4] == "0123"' "$tmp/said"
	_r=$?
	close_it
	log_json "$SES" | jq -se 'map(select(.type == "mcp.stderr").data) |
		(map(.dropped // 0) | add) + (map(select(.text != "")) | length)
		== 4096' || return 1
	return $_r
}
ok "256 KiB on stderr and banners stall nothing, and are counted" f_noise

# --- ends, and starts again -------------------------------------------------

f164_crash() {
	with '{"required": true}' || return 1
	_since=$(last_seq "$SES")
	kill -9 $(servers) && wait_for_event "$SES" mcp.exited 5 "$_since" |
		jq -e '.data.signal == 9 and (.data.expected | not)' &&
		wait_for_event "$SES" mcp.ready 5 "$_since" |
		jq -e '.data | has("tools") | not' &&
		row_is "$SES" state ready && state_is "$SES" idle &&
		says "$SES" hello hello
}
ok "F164 one that is killed is started again, and its session goes on" f164_crash

f_sleep() {
	hib vm sleep "$VM" && row_is "$SES" state exited &&
		no_row_lives && hib session resume "$SES" &&
		vm_pid=$(guest_pid "$VM") && row_is "$SES" state ready &&
		holds "$SES" 'map(select(.type == "mcp.ready")) |
			map(.epoch) | .[-1] == 2'
}
no_row_lives() {
	no_rows "SELECT name, state FROM mcp_server
		WHERE state IN ('starting', 'ready')" servers
}
ok "servers end with a sleep, and are back with their session" f_sleep
ok "... and end with it" close_it

# pid_in_vm NAME - of a server, as its VM numbers it.
pid_in_vm() {
	sql "SELECT pid FROM mcp_server WHERE session_id='$SES' AND name='$1'"
}

# host_pid PID - the host's number of a server with that number in its VM.
host_pid() {
	for _p in $(servers); do
		[ "$(awk '$1 == "NSpid:" {print $3}' "/proc/$_p/status")" != "$1" ] ||
			echo "$_p"
	done
}

f_kill_in_call() {
	jq -n --arg c "$FAKE" '{mcpServers: {a: {command: $c, required: true,
		args: ["--log", "/workspace/log-a"]},
		b: {command: $c, required: true}}}' >"$tmp/mcp.json"
	new_session --mcp-config "$tmp/mcp.json" || return 1
	_b=$(pid_in_vm b)
	prompt_bg "$SES" '!mcp call a hang'
	until_true 5 grep -q hang "$HIB_HOME/vms/$VM/disk/vfs/upper/log-a"
	_a=$(host_pid "$(pid_in_vm a)")
	_killed=$(now_ms)
	kill -9 "$_a"
	wait_turn "$SES" "$TURN" >/dev/null &&
		holds "$SES" "map(select(.type == \"mcp.call\") |
			select(.data.ok | not)) | length == 1 and
			.[0].ts - $_killed <= 10000" &&
		says "$SES" '!mcp call b echo {"message":"b"}' b &&
		equal "$(pid_in_vm b)" "$_b" &&
		says "$SES" '!mcp call a echo {"message":"a"}' a &&
		prompt "$SES" '!mcp list a' | grep -qx echo
	_r=$?
	close_it
	return $_r
}
ok "F164 a call of one that is killed fails at once, no other does" \
	f_kill_in_call

f174_files() {
	with '{}' && in_vm "$SES" "echo from-the-agent >/workspace/shared" &&
		says "$SES" '!mcp call a read {"path":"/workspace/shared"}' \
			from-the-agent &&
		says "$SES" '!mcp call a write {"path":"/workspace/back","text":"x"}' \
			written &&
		in_vm "$SES" "cat /workspace/back" | grep -qx x
	_r=$?
	close_it
	return $_r
}
ok "F174 files are the same for the agent and its servers" f174_files

f171_limits() {
	server '{"required": true}'
	new_session --mcp-config "$tmp/mcp.json" --max-processes 20 &&
		prompt "$SES" '!mcp call a read {"path":"/proc/self/limits"}' \
			>"$tmp/limits" &&
		grep -Eq '^Max processes +20 ' "$tmp/limits"
	_r=$?
	close_it
	return $_r
}
ok "F171 it is among the processes that its session may have" f171_limits

f_idle() {
	with '{"idleMs": 200}' && wait_for_event "$SES" mcp.exited >"$tmp/ev" &&
		jq -e '.data.expected and .data.code == 0' "$tmp/ev" &&
		no_server && says "$SES" hello hello
	_r=$?
	close_it
	return $_r
}
ok "one that is not used is stopped" f_idle

f_shared() {
	with '{"required": true, "shared": true}' && _one=$SES &&
		new_session --mcp-config "$tmp/mcp.json" && _two=$SES &&
		equal "$(servers | wc -l)" 1 && _pid=$(servers) &&
		row_is "$_one" state ready && row_is "$_two" state ready &&
		hib session close "$_one" && row_is "$_one" state exited &&
		alive "$_pid" && row_is "$_two" state ready
}
ok "a shared one is one process for two sessions" f_shared
ok "... which ends with the last of them" close_it

f_not_shared() {
	with '{"required": true}' && _one=$SES &&
		new_session --mcp-config "$tmp/mcp.json" &&
		equal "$(servers | wc -l)" 2 && hib session close "$_one" &&
		equal "$(servers | wc -l)" 1
	_r=$?
	close_it
	return $_r
}
ok "others are not" f_not_shared

# --- nothing is left --------------------------------------------------------

# ends_whole LINE - a server that is this line of shell ends with its session,
# with all that it has started.
ends_whole() {
	script '{"required": true}' "$1"
	new_session --mcp-config "$tmp/mcp.json" &&
		not no_server && close_it
}
ok "none of sh -c is left" ends_whole "$FAKE --name x; true"
ok "none of a wrapper as npx is" ends_whole \
	"sh -c 'sh -c \"$FAKE --child; true\"; true' <&0; true"
ok "nor what forked twice and took a session of its own" ends_whole \
	"exec $FAKE --leave"
ok "nor what does not care for the end of its stdin" ends_whole \
	"exec $FAKE --ignore-eof --child"
ok "nor what ignores SIGTERM as well" ends_whole \
	"trap '' TERM HUP; $FAKE --ignore-eof --ignore-term --leave; true"
ok "nor what left for the background" ends_whole \
	"exec 3<&0; setsid $FAKE --ignore-eof --ignore-term <&3 & wait"

f_leaves_early() {
	script '{}' "$FAKE --ignore-eof --leave & sleep 0.3; exit 0" &&
		new_session --mcp-config "$tmp/mcp.json" &&
		wait_for_event "$SES" 'mcp\.(failed|exited)' && until_true 5 no_server
	_r=$?
	hib session close "$SES"
	return $_r
}
ok "nor what a server leaves when it ends by itself" f_leaves_early

f_guest_killed() {
	script '{"required": true}' \
		"$FAKE --ignore-eof --ignore-term --leave; true"
	new_session --mcp-config "$tmp/mcp.json" || return 1
	_pids=$(servers)
	[ -n "$_pids" ] && kill_vm "$VM" || return 1
	for _p in $_pids; do
		until_true 5 not alive "$_p" || return 1
	done
	until_true 10 is_back && vm_pid=$(guest_pid "$VM") && no_server
}
# The host may not know at once that it has gone.
is_back() {
	hib vm wake "$VM" && no_row_lives
}
ok "nor anything of a guest that was killed" f_guest_killed
ok "F046 nor a row that says it lives" no_row_lives

done_testing
