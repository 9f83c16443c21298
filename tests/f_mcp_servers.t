#!/bin/sh
# MCP servers as processes: when they start, what they get, how they end, what
# the log says of it, and that nothing of them is ever left.
# shellcheck disable=SC2016,SC2119,SC2086 # shells in VMs expand; lists of options
. tests/lib.sh

FAKE=/opt/agents/mcp_server
new_vm
vm_program fake/mcp_server
vm_pid=$(guest_pid "$VM")

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
			grep -q 'mcp_server\|sleeper\|sleep 98765' &&
			grep -L 'State:.Z' "/proc/$_p/status"
	done
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

done_testing
