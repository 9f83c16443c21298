#!/bin/sh
# Between agents and MCP servers: what is called, what comes back, what is hidden,
# who may, and what the log has of it.
# shellcheck disable=SC2016,SC2119 # shells in VMs expand; new_vm needs no options
. tests/lib.sh

FAKE=/opt/agents/mcp_server
new_vm
vm_program fake/mcp_server

# servers JSON - of the sessions to come; @ stands for the scriptable server.
servers() {
	jq -n --arg fake "$FAKE" "$1 | {mcpServers: map_values(
		if .command == \"@\" then .command = \$fake else . end)}" \
		>"$tmp/mcp.json"
}

# with JSON [OPTION]... - a session with those servers: its id is in SES.
with() {
	servers "$1"
	shift
	new_session --mcp-config "$tmp/mcp.json" "$@"
}

# events SES TYPE FILTER - of all events of that type, as an array.
events() {
	log_json "$1" | jq -cs "map(select(.type == \"$2\").data) | $3"
}

# --- calls ------------------------------------------------------------------

INIT='{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}'

# What the server says without anybody between, for the same params.
direct() {
	printf '%s\n' "$INIT" \
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$1\",\"params\":$2}" |
		"$O/tests/fake/mcp_server" --legacy-only |
		sed -n 's/^{"jsonrpc" *: *"2.0","id":1,"\(result\|error\)" *: *//p' |
		sed 's/}$//'
}

f161_unchanged() {
	for _p in '{"name":"odd"}' '{"name":"image"}' \
		'{"name":"args","arguments":{ "b":[1,2.50,"\u00e9"],"a":null}}' \
		'{"name":"deep","arguments":{"depth":60}}' \
		'{"name":"fail","arguments":{"message":"no"}}' \
		'{"name":"fault","arguments":{"code":-32011}}'; do
		_want=$(direct tools/call "$_p")
		[ -n "$_want" ] && says "$SES" "!mcp raw a tools/call $_p" \
			"$_want" || return 1
	done
}
with '{a: {command: "@", args: ["--legacy-only", "--log", "/workspace/a"]}}'
ok "F161 a call reaches its server and comes back byte for byte" f161_unchanged

f163_tools() {
	equal "$(prompt "$SES" '!mcp raw a tools/list')" \
		"$(direct tools/list '{}')" &&
		equal "{\"tools\":$(sql "SELECT tools FROM mcp_server
			WHERE session_id='$SES' AND name='a'")}" \
			"$(direct tools/list '{}')"
}
ok "F163 the tools are those of the server, there and in the catalog" f163_tools

f_resources() {
	says "$SES" '!mcp raw a resources/list' "$(direct resources/list '{}')" &&
		says "$SES" '!mcp raw a prompts/list' "$(direct prompts/list '{}')" &&
		says "$SES" '!mcp raw a no/such' \
			'{"code":-32601,"message":"method not found"}'
}
ok "resources and prompts are passed on, too" f_resources

f_progress() {
	prompt "$SES" '!mcp call a progress {"steps":2,"ms":1};;!mcp wait a notifications/progress' |
		sed 's/^2 steps//' | jq -e '.progressToken > 0 and
			.progress == 1 and .total == 2 and
			.message == "going on"'
}
ok "progress is told under the client's own token" f_progress

f_cancel() {
	prompt "$SES" '!mcp start a hang;;!mcp cancel a;;!mcp strays a' &&
		in_vm "$SES" 'cat a' | grep -c '"notifications/cancelled"' |
		grep -qx 1 &&
		[ "$(events "$SES" mcp.call 'map(select(.tool == "hang"))[0] |
			.ok == false and .error == "cancelled"')" = true ]
}
ok "a call that is cancelled is cancelled at the server, once" f_cancel

f_list_changed() {
	says "$SES" '!mcp call a add_tool {"name":"late"};;!mcp wait a notifications/tools/list_changed;;!mcp call a late {"message":"x"}' \
		'added late{}x' &&
		prompt "$SES" '!mcp list a' | grep -qx late &&
		wait_for_event "$SES" mcp.changed
}
ok "a list that changes is told, and read again" f_list_changed

f090_parallel() {
	_from=$(now_ms)
	says "$SES" '!mcp par 10 a slow {"ms":2000}' \
		'par: 10 right, 0 wrong, 0 failed' &&
		[ $(($(now_ms) - _from)) -lt 18000 ]
}
ok "F090 ten calls run side by side" f090_parallel

f091_once() {
	_before=$(prompt "$SES" '!mcp call a count')
	prompt "$SES" '!mcp call a fault {"code":-32000}' &&
		says "$SES" '!mcp call a count' "$((_before + 2))"
}
ok "F091 a call that fails is passed on once" f091_once

f248_audit() {
	_count=$(prompt "$SES" '!mcp call a count')
	_calls=$(in_vm "$SES" 'cat a' | grep -c '"tools/call"')
	equal "$_count" "$_calls" &&
		equal "$(events "$SES" mcp.call length)" "$_calls" &&
		[ "$(events "$SES" mcp.call 'map(select(.tool == "args"))[0] |
			.name == "a" and .ok and .arguments.a == null and
			(.result.content | length) == 1 and .ms >= 0')" = true ]
}
ok "F248 the log has each call that the server has seen" f248_audit

f_large() {
	says "$SES" '!mcp par 5 a big {"bytes":2000000}' \
		'par: 5 right, 0 wrong, 0 failed' &&
		[ "$(events "$SES" mcp.call 'map(select(.tool == "big"))[0] |
			.ok and .result == null and .result_bytes > 2000000 and
			(.result_sha256 | length) == 64')" = true ]
}
ok "a large result is told in the log by its hash" f_large

f_crash() {
	prompt "$SES" '!mcp call a crash {"code":7}' >"$tmp/said" &&
		grep -q '^error: .*code 7' "$tmp/said" &&
		says "$SES" '!mcp call a echo {"message":"again"}' again &&
		[ "$(events "$SES" mcp.call 'map(select(.tool == "crash")) |
			length == 1 and (.[0].error | contains("code 7"))')" = true ]
}
ok "the end of a server is told in words, and the next call gets another" f_crash

# --- what is hidden ---------------------------------------------------------

f_filters() {
	with '{a: {command: "@", args: ["--log", "/workspace/f"],
		tools: {allow: ["e*", "add"], deny: ["elicit*"]}}}' &&
		equal "$(prompt "$SES" '!mcp list a' | paste -sd' ' -)" \
			"echo add env" &&
		says "$SES" '!mcp call a args' \
			'fault -32602: there is no such tool' &&
		says "$SES" '!mcp call a add {"a":1,"b":2}' 3 &&
		in_vm "$SES" 'cat f' | not grep -q '"args"'
}
ok "tools that the globs do not let through are not there" f_filters

f009_other_session() {
	_first=$SES
	new_session
	not in_vm "$SES" "/opt/hib/hib-guest mcp-connect $_first a" &&
		not in_vm "$SES" "ls /run/hib-mcp/$_first" &&
		with '{b: {command: "@"}}' &&
		says "$SES" '!mcp call b echo {"message":"b"}' b &&
		not in_vm "$SES" "/opt/hib/hib-guest mcp-connect $_first a" &&
		not in_vm "$SES" "/opt/hib/hib-guest mcp-connect $SES a" &&
		equal "$(in_vm "$SES" 'find /run/hib-mcp | paste -sd" " -')" \
			"/run/hib-mcp /run/hib-mcp/self /run/hib-mcp/self/mcp.sock" &&
		not in_vm "$SES" 'rm /run/hib-mcp/self/mcp.sock' &&
		equal "$(hib exec "$VM" -- ls /run/hib-mcp)" ""
}
ok "F009 a session has the servers of its own and no other" f009_other_session

f_shim_refused() {
	_n=$(in_vm "$SES" "/opt/hib/hib-guest mcp-connect $SES none 2>&1; echo \$?")
	echo "$_n" | grep -q 'none: the session has no MCP server of that name' &&
		echo "$_n" | tail -n 1 | grep -qx 1
}
ok "a server that is not there is told in words" f_shim_refused

f_pipes() {
	_line='{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"by a file"}}}'
	in_vm "$SES" "echo '$_line' >lines" &&
		in_vm "$SES" "/opt/hib/hib-guest mcp-connect $SES b <lines >answers && cat answers" |
		grep -q 'by a file' &&
		in_vm "$SES" "cat lines | /opt/hib/hib-guest mcp-connect $SES b | cat" |
		grep -q 'by a file'
}
ok "the shim serves files and pipes" f_pipes

# MCP_CALLS: of each of two sessions at one server.
calls=${MCP_CALLS:-2000}

# --- many sessions ----------------------------------------------------------

f_shared() {
	servers '{a: {command: "@", shared: true, args: ["--log", "/tmp/shared",
		"--starts", "/tmp/starts"]}}'
	new_session --mcp-config "$tmp/mcp.json" && _one=$SES
	new_session --mcp-config "$tmp/mcp.json" && _two=$SES
	prompt_bg "$_one" "!mcp flood $calls 16 a;;!mcp strays a" && _turn=$TURN
	says "$_two" "!mcp flood $calls 16 a;;!mcp strays a" \
		"flood: $calls right, 0 wrong, 0 failed0" &&
		wait_turn "$_one" "$_turn" &&
		hib messages "$_one" | grep -q \
			"flood: $calls right, 0 wrong, 0 failed0" &&
		says "$_two" '!mcp call a count' $((2 * calls + 1)) &&
		equal "$(events "$_one" mcp.call length)" "$calls" &&
		equal "$(events "$_two" mcp.call length)" $((calls + 1)) &&
		equal "$(events "$_one" mcp.call 'map(.ok) | all')" true
}
ok "thousands of calls of two sessions at one server do not meet" f_shared

f_shared_progress() {
	prompt_bg "$_one" '!mcp call a progress {"steps":50,"ms":5};;!mcp notes a'
	_turn=$TURN
	says "$_two" '!mcp call a echo {"message":"x"};;!mcp wait a notifications/progress 50' \
		'xnone' && wait_turn "$_one" "$_turn"
}
ok "nor does their progress" f_shared_progress

# --- what is remembered -----------------------------------------------------

f_cached() {
	with '{a: {command: "@", start: "lazy", args: ["--slow-start", "500",
		"--instructions", "use it", "--starts", "/workspace/starts"]}}' &&
		prompt "$SES" '!mcp list a' >"$tmp/tools" &&
		hib session suspend "$SES" &&
		prompt "$SES" '!mcp list a;;!mcp info a' >"$tmp/again" &&
		grep -q '"instructions":"use it"' "$tmp/again" &&
		grep -q '"name":"fake"' "$tmp/again" &&
		equal "$(head -n 5 "$tmp/again")" "$(head -n 5 "$tmp/tools")" &&
		equal "$(in_vm "$SES" 'grep -c . starts')" 1 &&
		says "$SES" '!mcp call a echo {"message":"up"}' up &&
		equal "$(in_vm "$SES" 'grep -c . starts')" 2
}
ok "what a server is and has is told before it runs again" f_cached

# --- all as one -------------------------------------------------------------

f_aggregate() {
	servers '{a: {command: "@"}, "b-2": {command: "@", tools: {allow: ["add"]}}}'
	SES=$(jq --arg vm "$VM" '. + {vm: $vm, agent: "echo", mcpAggregate: true}' \
		"$tmp/mcp.json" >"$tmp/body" && http POST /v1/sessions \
		"$(cat "$tmp/body")" | jq -r .session.id)
	equal "$(prompt "$SES" '!mcp list hib' | grep -c '^a__')" \
		"$(direct tools/list '{}' | jq '.tools | length')" &&
		equal "$(prompt "$SES" '!mcp list hib' | grep '^b-2__')" b-2__add &&
		says "$SES" '!mcp call hib b-2__add {"a":4,"b":5};;!mcp call hib a__echo {"message":"!"}' '9!' &&
		says "$SES" '!mcp call hib b-2__echo' \
			'fault -32602: there is no such tool' &&
		equal "$(events "$SES" mcp.call 'map("\(.name) \(.tool)") | join(",")')" \
			'"b-2 add,a echo"'
}
ok "all servers are one, under names of their own" f_aggregate

# --- servers elsewhere ------------------------------------------------------

# web - a remote server that wants to be shown $tmp/header: its process is in WEB,
# its URL in URL.
web() {
	mkfifo "$tmp/port" 2>/dev/null
	"$O/tests/fake/mcp_web" Authorization "$tmp/header" >"$tmp/port" &
	WEB=$!
	at_exit "end_child $WEB"
	_port=$(timeout "$((10 * slow))" head -n 1 "$tmp/port") &&
		URL=http://127.0.0.1:$_port/mcp
}

f162_remote() {
	new_session --mcp-remote "far=$URL" \
		--mcp-header "far:Authorization: $(cat "$tmp/header")" &&
		equal "$(prompt "$SES" '!mcp list far' | paste -sd' ' -)" \
			"echo shown" &&
		says "$SES" '!mcp call far echo {"text":"far"};;!mcp call far shown' \
			"far$(wc -c <"$tmp/header")" &&
		[ "$(events "$SES" mcp.ready '.[0].pid == null and
			.[0].tools[1].name == "shown"')" = true ] &&
		equal "$(events "$SES" mcp.call length)" 2 &&
		log_json "$SES" | not grep -q "$(cat "$tmp/header")"
}
printf 'Bearer %s' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" \
	>"$tmp/header"
web
ok "F162 a remote server is called with its header, which is nowhere else" \
	f162_remote

f_remote_refused() {
	new_session --mcp-remote "far=$URL" &&
		wait_for_event "$SES" mcp.failed >"$tmp/ev" &&
		grep -q 401 "$tmp/ev" && says "$SES" hello hello &&
		prompt "$SES" '!mcp state far' | grep -q '^failed\|^gone'
}
ok "one that refuses us is told in words, and the session goes on" \
	f_remote_refused

# --- questions of servers ---------------------------------------------------

# answer BODY - to the question that is open.
answer() {
	wait_for_state "$SES" waiting 10 "$MARK" &&
		_req=$(http GET "/v1/sessions/$SES/requests" | jq -r '.[] |
			select(.state == "pending") | .id') &&
		http POST "/v1/sessions/$SES/requests/$_req" "$1" &&
		wait_turn "$SES" "$TURN"
}

last_said() {
	hib messages "$SES" --json | jq -r '[.[] | select(.role == "agent")] |
		last | [.parts[] | select(.type == "text") | .text] | join("")'
}

f155_user() {
	with '{a: {command: "@", args: ["--legacy-only"]}}' &&
		prompt_bg "$SES" '!mcp call a elicit {"message":"Name?"}' &&
		answer '{"action":"accept","content":{"name":"B\u00e9a"}}' &&
		last_said | jq -e '.action == "accept" and .content.name == "Béa"' &&
		prompt_bg "$SES" '!mcp call a elicit {"message":"Name?"}' &&
		answer '{"action":"cancel"}' &&
		last_said | jq -e '. == {action: "cancel"}' &&
		[ "$(events "$SES" elicitation.requested 'length == 2 and
			.[0].message == "Name?"')" = true ] &&
		[ "$(events "$SES" elicitation.resolved 'map(.outcome) ==
			["accept", "cancelled"]')" = true ]
}
ok "F155 a server's form is filled in by the user, or cancelled" f155_user

f_url() {
	prompt_bg "$SES" '!mcp call a elicit_url {"url":"https://x.test/"}' &&
		answer '{"action":"decline"}' &&
		last_said | jq -e '.action == "decline"' &&
		events "$SES" elicitation.requested '.[2].url' | grep -q x.test
}
ok "F155 so is a URL" f_url

f_client_first() {
	says "$SES" '!mcp answer {"action":"decline"};;!mcp close a;;!mcp open a {"protocolVersion":"2025-11-25","capabilities":{"elicitation":{},"sampling":{}},"clientInfo":{"name":"t","version":"1"}};;!mcp call a elicit' \
		'exit 0{"action":"decline"}' &&
		[ "$(events "$SES" elicitation.requested length)" = 3 ]
}
ok "a client that can be asked is asked itself" f_client_first

f_roots() {
	says "$SES" '!mcp call a roots' \
		'{"roots":[{"uri":"file:///workspace","name":"workspace"}]}'
}
ok "the root is the session's folder" f_roots

done_testing
