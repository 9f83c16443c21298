#!/bin/sh
# MCP servers that mean harm: what they say hurts nobody but their own session.
# shellcheck disable=SC2016,SC2119 # the server is a script of its own
. tests/lib.sh

new_vm

# What any of them does, but for "tools/call" and what it is at first.
SERVER='reply() { printf "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n" "$id" "$1"; }
say() { printf "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/%s\"}\n" "$1"; }
ask() { printf "{\"jsonrpc\":\"2.0\",\"id\":\"q%s\",\"method\":\"elicitation/create\",\"params\":%s}\n" "$1" "$2"; }
deep() { printf "{\"a\":%.0s" $(seq "$1"); printf 1; printf "}%.0s" $(seq "$1"); }
long() { head -c "$1" /dev/zero | tr "\0" x; }
caps="{\"tools\":{\"listChanged\":true}}" extra= tool= n=0
while read -r line; do
	id=${line#*\"id\":} id=${id%%,*} id=${id%%\}*}
	case $line in
	*\"server/discover\"*) printf "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n" "$id" ;;
	*\"initialize\"*) at_start; reply "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":$caps,\"serverInfo\":{\"name\":\"n\",\"version\":\"1\"}$extra}" ;;
	*\"tools/list\"*) n=$((n + 1)); reply "{\"tools\":[{\"name\":\"go\",\"description\":\"$n\",\"inputSchema\":{\"type\":\"object\"}$tool}]}" ;;
	*\"tools/call\"*) at_call; reply "{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}" ;;
	esac
done'

# hostile START CALL - a session with a server that does so: its id is in SES.
hostile() {
	jq -n --arg s "at_start() { $1
}
at_call() { $2
}
$SERVER" '{mcpServers: {a: {command: "/bin/sh", args: ["-c", $s]}}}' \
		>"$tmp/mcp.json"
	new_session --mcp-config "$tmp/mcp.json"
}

goes() {
	says "$SES" '!mcp call a go' 'done'
}

others_live() {
	_other=$SES
	new_session && says "$SES" hello hello && hib session close "$SES" &&
		SES=$_other
}

harmless() {
	goes && others_live && hib session close "$SES"
}

f_deep() {
	hostile 'tool=",\"_meta\":$(deep 123)" caps="{\"tools\":{},\"x\":$(deep 125)}"' : &&
		wait_for_event "$SES" mcp.ready >/dev/null && harmless
}
ok "what it says of itself may be as deep as a message" f_deep

f_long() {
	hostile 'extra=",\"instructions\":\"$(long 9000000)\""' : &&
		wait_for_event "$SES" mcp.ready >/dev/null && harmless
}
ok "and as long" f_long

f_question() {
	hostile : 'ask 1 "{\"message\":\"m\",\"requestedSchema\":$(deep 126)}"; read -r line' &&
		{ prompt_bg "$SES" '!mcp call a go'; wait_for_state "$SES" running; others_live; hib session close --force "$SES"; }
}
ok "its questions may be as deep" f_question

f_storm() {
	hostile : 'i=0; while [ $i -lt 20000 ]; do say tools/list_changed; say prompts/list_changed; i=$((i+1)); done' &&
		harmless
}
ok "a storm of changed lists" f_storm

f_questions() {
	hostile : 'i=0; while [ $i -lt 3000 ]; do ask $i "{\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}"; printf "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"q%s\"}}\n" $i; i=$((i+1)); done' &&
		harmless
}
ok "a storm of questions that are taken back" f_questions

f_answers() {
	hostile : 'for i in 1 2 3 "$id" "$id" 99999 -1 "\"x\"" null "$id"; do printf "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n" "$i"; done' &&
		harmless
}
ok "answers that nobody asked for, or twice" f_answers

f_flood() {
	hostile : 'p="{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"error\",\"data\":\"$(long 60000)\"}}"; yes "$p"' &&
		{ prompt_bg "$SES" '!mcp call a go'; wait_for_state "$SES" running; others_live && hib session close --force "$SES"; }
}
ok "a flood without an end" f_flood

f_endless() {
	hostile : 'cat /dev/zero | tr "\0" "["' &&
		{ prompt_bg "$SES" '!mcp call a go'; wait_for_state "$SES" running; others_live && hib session close --force "$SES"; }
}
ok "a line without an end" f_endless

# daemon_kib - the memory of the VM's daemon, the largest of our program there.
daemon_kib() {
	for _p in $(guest_pid "$VM") $(descendants "$(guest_pid "$VM")"); do
		grep -q '^Name:.hib-guest$' "/proc/$_p/status" 2>/dev/null &&
			sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$_p/status"
	done | sort -n | tail -1
}

all_sent() {
	[ "$(hib exec "$VM" -- ls /workspace | grep -c sent)" -eq 60 ]
}

# An agent with many connections, and on each a message that does not end.
f_greedy() {
	hostile : : &&
		prompt_bg "$SES" "$(printf '%s' '!run i=0; while [ $i -lt 60 ]; do
			{ head -c 9000000 /dev/zero | tr "\0" x; touch sent.$i; sleep 60; } |
			/opt/hib/hib-guest mcp-connect '"$SES"' a |
			cat >/dev/null & i=$((i+1)); done; sleep 60' | tr '\n' ' ')" &&
		until_true 30 all_sent &&
		[ "$(daemon_kib)" -lt $((MODE_KIB + 250000)) ] && others_live &&
		hib session close --force "$SES"
}
MODE_KIB=0 # What the sanitizer keeps of what was freed.
[ "$MODE" = asan ] && MODE_KIB=500000
ok "an agent that fills all its connections" f_greedy

done_testing
