#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# f_host_tools.t - Functions of the user's program that an agent may call
#
# F032: the session waits for a tool.  F156: its results match what was called,
# or nothing changes.
# shellcheck disable=SC2119 # new_vm takes no options
. tests/lib.sh

tools='[
	{"name": "lookup", "description": "Look it up", "inputSchema": {
		"type": "object", "properties": {"word": {"type": "string"}},
		"required": ["word"]}},
	{"name": "soon", "description": "Has little time", "timeoutMs": 300}
]'

# pending SES - ids of the calls that wait, oldest first, as a JSON list.
pending() {
	http GET "/v1/sessions/$1/requests" |
		jq -c '[map(select(.kind == "tool" and .state == "pending")) |
			sort_by(.asked_seq)[] | .id]'
}

# results SES JSON - give results.
results() {
	http POST "/v1/sessions/$1/tools/results" "$2"
}

# asked N - that many calls of the session wait.
asked() {
	equal "$(pending "$SES" | jq length)" "$1"
}

# call N TEXT - run a script that calls N tools and wait until they are asked
# for: the turn is in TURN, the list of ids in IDS.
call() {
	prompt_bg "$SES" "$2"
	until_true 10 asked "$1"
	IDS=$(pending "$SES")
}

# said TURN - what the agent has said in it.
said() {
	wait_turn "$SES" "$1" >"$tmp/end" &&
		hib messages "$SES" --turn "$1" --json | jq -j '.[] |
			select(.role == "agent") | .parts[] |
			select(.type == "text") | .text'
}

turn_says() {
	equal "$(said "$TURN")" "$1"
}

# event TYPE FILTER - of the last event of that type.
event() {
	log_json "$SES" | jq -sc "map(select(.type == \"$1\"))[-1] | $2"
}

refuses_results() {
	_want=$1
	unchanged "$SES" answers 400 "$_want" POST \
		"/v1/sessions/$SES/tools/results" "$2"
}

# --- which there are

new_vm
new_session --tools "$tools"
is "$(prompt "$SES" '!mcp list host')" 'lookup
soon' "an agent finds them in a server of their own"
ok "what is told stands in the log" \
	holds "$SES" 'map(select(.type == "session.tools"))[0].data.tools[1].timeoutMs == 300'
bad='[{"name": "a b", "description": ""}]'
ok "a tool that is none is refused" \
	refused invalid_argument 5 hib session create --agent echo --vm "$VM" --tools "$bad"
ok "and by itself" \
	unchanged "$SES" answers 400 invalid_argument PUT \
	"/v1/sessions/$SES/tools" "{\"tools\": $bad}"
ok "arguments that do not fit are refused before anybody is asked" \
	says "$SES" '!mcp call host lookup {"word":1}' 'error: word is no string'
ok "a tool that is not there is not" says "$SES" '!mcp raw host tools/call {"name":"none"}' \
	"$(prompt "$SES" '!mcp raw host tools/call {"name":"nothing"}' | sed s/nothing/none/)"
ok "nobody was asked" not holds "$SES" 'any(.type == "tool.requested")'

# --- a call and its result

call 1 '!mcp call host lookup {"word":"hib"}'
ok "F032 the session waits for a tool" equal "$(session_field "$SES" state) $(
	session_field "$SES" wait_kind)" 'waiting tool'
ok "F032 a prompt is refused meanwhile" refused turn_active 7 hib prompt "$SES" hi
is "$(event tool.requested '[.data.name, .data.arguments, (.data.deadline_ms > .ts), .turn]')" \
	"[\"lookup\",{\"word\":\"hib\"},true,\"$TURN\"]" "the call is in the log"
ok "its id is in the envelope" equal "$(event tool.requested '[.ctx.req]')" "$IDS"
stream "$SES" "$tmp/stream"
ok "a stream that is opened has it" until_true 10 grep -q "$(echo "$IDS" | jq -r '.[0]')" "$tmp/stream"
id=$(echo "$IDS" | jq -r '.[0]')
other=$(new_id req)
ok "F156 an id that was not asked is a mismatch" \
	refuses_results results_mismatch "{\"results\":[{\"id\":\"$other\",\"content\":\"x\"}]}"
ok "F156 one too many is" refuses_results results_mismatch \
	"{\"results\":[{\"id\":\"$id\",\"content\":\"x\"},{\"id\":\"$other\",\"content\":\"x\"}]}"
ok "F156 the same one twice is" refuses_results results_mismatch \
	"{\"results\":[{\"id\":\"$id\",\"content\":\"x\"},{\"id\":\"$id\",\"content\":\"x\"}]}"
ok "a result without content is refused" \
	refuses_results invalid_argument "{\"results\":[{\"id\":\"$id\"}]}"
ok "content that is an array of no blocks is" \
	refuses_results invalid_argument "{\"results\":[{\"id\":\"$id\",\"content\":[1]}]}"
jq -nc --arg id "$id" '{results: [{id: $id, content: ("x" * 102400)}]}' >"$tmp/large"
ok "more than 100 KiB are" unchanged "$SES" answers 413 message_too_large \
	POST "/v1/sessions/$SES/tools/results" "@$tmp/large"
ok "an answer of another kind is" refused invalid_argument 5 \
	hib answer "$SES" "$id" allow_once
hib session requests "$SES" >"$tmp/requests"
ok "requests show the call and how to answer" \
	grep -q "hib answer $SES $id --result TEXT" "$tmp/requests"
ok "F156 the exact ids resume the turn" \
	results "$SES" "{\"results\":[{\"id\":\"$id\",\"content\":\"a sandbox\"}],\"actor\":\"me\"}"
ok "the agent gets the result" turn_says 'a sandbox'
is "$(event tool.resolved '[.data, .ctx.actor]')" \
	'[{"outcome":"result","content":"a sandbox","by":"me"},"me"]' "it is in the log"
ok "a second result is told that nothing waits" answers 409 not_waiting POST \
	"/v1/sessions/$SES/tools/results" "{\"results\":[{\"id\":\"$id\",\"content\":\"x\"}]}"

call 1 '!mcp call host lookup {"word":"a"}'
hib answer "$SES" "$(echo "$IDS" | jq -r '.[0]')" --error 'no such word'
ok "an error is one to the agent" turn_says 'error: no such word'
call 1 '!mcp raw host tools/call {"name":"lookup","arguments":{"word":"a"}}'
results "$SES" "$(echo "$IDS" | jq -c '{results: [{id: .[0], content: {n: 1}}]}')" >"$tmp/out"
ok "a value is structured content" turn_says \
	'{"content":[{"type":"text","text":"{\"n\":1}"}],"structuredContent":{"n":1}}'
call 1 '!mcp raw host tools/call {"name":"lookup","arguments":{"word":"a"}}'
results "$SES" "{\"results\":[{\"id\":$(echo "$IDS" | jq '.[0]'),\"content\":
	[{\"type\":\"text\", \"text\":\"b\",\"odd\":1.50}]}]}" >"$tmp/out"
ok "blocks are passed on as they are" turn_says \
	'{"content":[{"type":"text", "text":"b","odd":1.50}]}'

# --- several at a time

call 3 '!mcp start host lookup {"word":"1"};;!mcp start host lookup {"word":"2"};;!mcp start host lookup {"word":"3"};;!mcp join host'
ok "F156 results of some only are a mismatch" refuses_results results_mismatch \
	"$(echo "$IDS" | jq -c '{results: [{id: .[0], content: "x"}]}')"
results "$SES" "$(echo "$IDS" | jq -c '{partial: true, results: [{id: .[2], content: "C"}]}')" >"$tmp/out"
ok "F153 one that is answered leaves the others waiting" state_is "$SES" waiting
results "$SES" "$(echo "$IDS" | jq -c '{results: [{id: .[1], content: "B"}, {id: .[0], content: "A"}]}')" >"$tmp/out"
ok "F153 each call gets its own result" turn_says CBA
is "$(event tool.resolved '.ctx.req')" "$(echo "$IDS" | jq -c '.[0]')" "in the order given"

# --- calls that end otherwise

ok "a call that takes too long is an error" says "$SES" '!mcp call host soon' \
	'error: the host function gave no result in time'
is "$(event tool.resolved '[.data.outcome, .data.by]')" '["cancelled","timeout"]' "the log says so"
is "$(sql "SELECT state FROM request WHERE session_id='$SES' ORDER BY asked_seq DESC LIMIT 1")" \
	expired "its request has expired"
call 1 '!mcp start host lookup {"word":"x"};;!sleep 100;;!mcp cancel host;;!mcp call host soon'
ok "a call that the agent cancels is resolved" \
	wait_for "$SES" '"type":"tool.resolved".*"by":"agent"' 10 "$MARK"
wait_turn "$SES" "$TURN" >"$tmp/end"
call 1 '!mcp call host lookup {"word":"x"}'
hib cancel "$SES"
ok "so is one whose turn is cancelled" equal \
	"$(event tool.resolved '[.data.outcome, .data.by]')" '["cancelled","cancel"]'
ok "the turn ends as cancelled" equal "$(event turn.cancelled .turn)" "\"$TURN\""
ok "and the session is idle" state_is "$SES" idle

# --- progress

call 1 '!mcp call host lookup {"word":"x"};;!mcp wait host notifications/progress'
id=$(echo "$IDS" | jq -r '.[0]')
http POST "/v1/sessions/$SES/tools/progress" \
	"{\"id\":\"$id\",\"progress\":1,\"total\":2,\"message\":\"half\"}" >"$tmp/out"
hib answer "$SES" "$id" --result ready
ok "progress comes to the agent" equal "$(said "$TURN" | sed 's/"progressToken":[0-9]*,//')" \
	'ready{"progress":1,"total":2,"message":"half"}'

# --- other tools

call 1 '!mcp wait host no/such 1;;!mcp call host lookup {"word":"x"};;!mcp wait host notifications/tools/list_changed;;!mcp list host'
http PUT "/v1/sessions/$SES/tools" \
	'{"tools":[{"name":"other","description":"Another"}]}' >"$tmp/out"
is "$(jq -c '[.tools, .offered]' "$tmp/out")" '[1,true]' "tools can be told anew"
hib answer "$SES" "$(echo "$IDS" | jq -r '.[0]')" --result late
ok "an open call is answered, and the agent hears of the change" turn_says 'nonelate{}other'

# --- what survives

call 1 '!mcp call host other'
kill_hibd KILL
id=$(echo "$IDS" | jq -r '.[0]')
ok "a call outlives hibd" hib answer "$SES" "$id" --result kept
ok "and its turn goes on" turn_says kept
call 1 '!mcp call host other'
hib vm sleep "$VM" >"$tmp/out"
ok "one of a VM that is put to sleep ends with its turn" holds "$SES" \
	"map(select(.turn == \"$TURN\") | .type) | index(\"tool.resolved\") and
		.[-1] == \"turn.interrupted\""
ok "and is not waited for" answers 409 not_waiting POST "/v1/sessions/$SES/tools/results" \
	"$(echo "$IDS" | jq -c '{results: [{id: .[0], content: "x"}]}')"
hib session resume "$SES" >"$tmp/out"
ok "tools outlive the VM" says "$SES" '!mcp list host' 'other'
call 1 '!mcp call host other'
kill_vm "$VM"
until_true 20 hib vm wake "$VM" >"$tmp/out"
ok "a call of a lost VM is resolved" wait_for "$SES" \
	'"type":"tool.resolved".*"outcome":"cancelled"' 10 "$MARK"
ok "and answered no more" answers 409 not_waiting POST "/v1/sessions/$SES/tools/results" \
	"$(echo "$IDS" | jq -c '{results: [{id: .[0], content: "x"}]}')"
fork=$(hib fork --start "$SES")
ok "a fork has the tools" says "$fork" '!mcp list host' 'other'

# --- the SDK

ok "a program answers its agents" equal "$(timeout 60 "$O/tools" echo \
	'!mcp list host;;!mcp call host dice;;!mcp par 5 host dice' |
	grep -c '"type":"tool.resolved".*"outcome":"result","content":{"points"')" 6

done_testing
