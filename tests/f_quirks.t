#!/bin/sh
# What agents do, right and wrong: whatever it is, the log holds it, the turn
# has one end, and the next prompt works.
# shellcheck disable=SC2016,SC2119 # $ is for jq and the agent; new_vm takes no options
. tests/lib.sh

new_vm
new_session

# quirk NAME SCRIPT [FILTER] - a turn of that script is completed; the filter is
# true of its events and those behind it; the next prompt is answered.
quirk() {
	ok "$1" after completed "$2" "${3:-true}"
}
# fails NAME SCRIPT [FILTER] - the same, but the turn fails and the session does
# not.
fails() {
	ok "$1" after failed "$2" "${3:-true}"
}
after() {
	mark=$(last_seq "$SES")
	prompt "$SES" "$2" >"$tmp/reply" 2>"$tmp/x"
	since "$mark" 'any(.type == "turn.'"$1"'")' && state_is "$SES" idle &&
		says "$SES" ok ok && since "$mark" "$3"
}
# since SEQ FILTER
since() {
	log_json "$SES" | jq -se --argjson mark "$1" \
		"map(select(.seq > \$mark)) | $2"
}
update='{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"$S","update":'
chunk='{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":'
end='{"stopReason":"end_turn"}'

# --- tool calls ---------------------------------------------------------------

tool_view() {
	hib log "$SES" --view tools --json | jq -se "flatten | $1"
}
quirk "updates of a tool call that was never announced" \
	'!raw '"$update"'{"sessionUpdate":"tool_call_update","toolCallId":"u1","title":"Look","status":"completed"}}}' \
	'any(.data.msg.params.update.toolCallId == "u1")'
ok "they are a tool call of the conversation" tool_view \
	'any(.tool_call_id == "u1" and .title == "Look" and .status == "completed")'
quirk "a tool call announced twice" '!toolopen t1 First;;!tool t1 Second' \
	'[.[] | select(.data.msg.params.update.sessionUpdate == "tool_call" and
		.data.msg.params.update.toolCallId == "t1")] | length == 2'
ok "it is one, with the last title" tool_view \
	'[.[] | select(.tool_call_id == "t1")] | length == 1 and
		.[0].title == "Second" and .[0].status == "completed"'
quirk "a tool call that is open at the end of its turn" '!toolopen t2 Open'
ok "is closed by that, for readers" tool_view \
	'any(.tool_call_id == "t2" and .status == "unfinished")'
open_call() {
	hib messages "$SES" --json | jq -e '[.[].parts[] |
		select(.type == "tool_call" and .id == "t2")] |
		length == 1 and .[0].status == "unfinished"'
}
ok "in messages, too" open_call
still_open() {
	prompt_bg "$SES" '!toolopen t3 Busy;;!sleep 60000' &&
		wait_for "$SES" '"toolCallId":"t3".*in_progress' 5 "$MARK" &&
		hib messages "$SES" --json | jq -e 'last.parts[0].status ==
			"in_progress"' && tool_view 'any(.tool_call_id == "t3" and
			.status == "in_progress")' && hib cancel "$SES" &&
		tool_view 'any(.tool_call_id == "t3" and
			.status == "unfinished")'
}
ok "while the turn runs it is open" still_open
unannounced() {
	prompt_bg "$SES" '!ask nobody Secret' &&
		wait_for_event "$SES" permission.requested 5 "$MARK" &&
		hib approve "$SES" && wait_turn "$SES" "$TURN" &&
		says "$SES" ok ok
}
ok "a permission for a call that was never announced" unannounced

# --- updates ---------------------------------------------------------------------

idle() {
	mark=$(last_seq "$SES")
	says "$SES" '!idleupdate;;!say x' x &&
		wait_for "$SES" '"late":".*"text":"idle"' 5 "$mark" &&
		state_is "$SES" idle && says "$SES" ok ok
}
ok "an update while idle is kept, as late" idle
foreign() {
	mark=$(last_seq "$SES")
	says "$SES" '!updatefor another;;!say mine' mine &&
		since "$mark" 'any(.data.msg.params.sessionId == "another")' &&
		not grep -q stray "$tmp/x" && hib messages "$SES" --json |
		jq -e 'last.parts == [{"type": "text", "text": "mine"}]' &&
		says "$SES" ok ok
}
ok "an update of another session is kept and is no part of the reply" foreign
quirk "an update of a kind that nobody knows" '!unknownupdate;;!say x' \
	'any(.data.msg.params.update.answer == 42)'
quirk "an update without params" \
	'!raw {"jsonrpc":"2.0","method":"session/update"};;!say x' \
	'any(.type == "acp.update" and (.data.msg | has("params") | not))'
quirk "an update of nothing" \
	'!raw {"jsonrpc":"2.0","method":"session/update","params":{"sessionId":7,"update":[]}}'
thought() {
	says "$SES" '!think hush;;!say aloud' aloud && hib messages "$SES" --json |
		jq -e 'last.parts | map(.type) == ["thinking", "text"]'
}
ok "F111 a thought is no part of the reply" thought
ok "F112 an unknown update is a part of its own" eval \
	'prompt "$SES" "!unknownupdate;;!say x" && hib messages "$SES" --json |
		jq -e "last.parts | map(.type) == [\"other\", \"text\"]"'

# --- lines ---------------------------------------------------------------------------

mib=1048576
for bytes in $((5 * mib)) $((9 * mib)) $((16 * mib)); do
	quirk "a line of $bytes bytes" "!bigline $bytes" \
		"any((.data.msg.params.update.content.text // \"\" | length) >
			$((bytes - 300)))"
done
overlong() {
	new_session
	exits 1 prompt "$SES" "!bigline $((16 * mib + 1))" &&
		state_is "$SES" failed && hib session resume "$SES" &&
		says "$SES" '!say ok' ok
}
ok "one byte more ends the agent" overlong
new_session
quirk "lines that are no JSON" '!garbage' \
	'[.[] | select(.type == "agent.stderr" and .data.stream == "stdout")] |
		length == 3'
quirk "lines that end as on other systems, and blank ones" '!crlf;;!say x' \
	'any(.type == "agent.stderr") | not'
new_session
quirk "U+2028 is no end of a line" \
	"!raw $update$chunk\"a$(printf '\342\200\250')b\"}}}}" \
	'any(.data.msg.params.update.content.text == "a\u2028b")'
quirk "bytes that are no UTF-8 are replaced" '!badutf8' \
	'any(.data.msg.params.update.content.text == "a\ufffd\ufffd(b")'
quirk "nesting as deep as can be stored" '!nested 120' \
	'any(.data.msg.method == "_echo/nested")'
for depth in 121 126 127 128 5000; do
	quirk "nesting of $depth" "!nested $depth" \
		'any(.type == "agent.stderr" and (.data.text | test("_echo/nested")))'
done
quirk "keys that come twice" \
	'!raw {"jsonrpc":"2.0","method":"_x","method":"session/update","params":{}}' \
	'any(.type == "acp.update")'
wordy() {
	agent banner --banner && AGENT=banner new_session && says "$SES" ok ok &&
		holds "$SES" 'any(.type == "agent.stderr" and
			(.data.text | test("at your service")))'
}
ok "a banner on stdout" wordy
endless() {
	new_session && i=0
	while [ "$i" -lt 100 ]; do
		i=$((i + 1))
		echo '!raw chatter'
	done >"$tmp/chatter"
	exits 1 prompt "$SES" "$(cat "$tmp/chatter")" && state_is "$SES" failed &&
		session_field "$SES" last_error |
		jq -e '.code == "agent_protocol_error"' &&
		hib session resume "$SES" && says "$SES" '!say ok' ok
}
ok "nothing but chatter ends the agent" endless
new_session

# --- ids ------------------------------------------------------------------------------

# reply_to ID - the agent is answered with that id, a jq value.
reply_to() {
	echo "any(.type == \"acp.response\" and .data.dir == \"out\" and
		(.data.msg | has(\"id\")) and .data.msg.id == $1 and
		.data.msg.error.code == -32601)"
}
quirk "a request with a string as id, behind the rest" \
	'!raw {"jsonrpc":"2.0","method":"_echo/hello","params":{},"id":"7-a"}' \
	"$(reply_to '"7-a"')"
quirk "one with the largest id" \
	'!raw {"jsonrpc":"2.0","id":9223372036854775807,"method":"fs/nothing"}' \
	'any(.type == "acp.response" and .data.dir == "out" and
		.data.msg.error.code == -32601)'
ok "it is echoed digit by digit" eval \
	'log_json "$SES" | grep -q "\"msg\":{\"jsonrpc\":\"2.0\",\"id\":9223372036854775807,"'
quirk "one with null as id" \
	'!raw {"jsonrpc":"2.0","id":null,"method":"fs/nothing"}' \
	"$(reply_to null)"
invalid='any(.type == "acp.response" and .data.dir == "out" and
	.data.msg.id == null and .data.msg.error.code == -32600)'
quirk "one whose id is an object" \
	'!raw {"jsonrpc":"2.0","id":{},"method":"fs/nothing"}' "$invalid"
quirk "one whose params are a number" \
	'!raw {"jsonrpc":"2.0","id":1,"method":"fs/nothing","params":7}' "$invalid"
quirk "a batch" '!raw [{"jsonrpc":"2.0","id":1,"method":"fs/nothing"}]' "$invalid"
quirk "a log line in JSON is not answered" '!raw {"level":30,"msg":"hello"}' \
	'(any(.type == "agent.stderr" and (.data.text | test("hello")))) and
	(any(.data.dir == "out" and .type == "acp.response") | not)'
quirk "a notification of its own" \
	'!raw {"jsonrpc":"2.0","method":"_echo/news","params":{"a":1}}' \
	'(any(.type == "acp.notify" and .data.msg.method == "_echo/news")) and
	(any(.data.dir == "out" and .type == "acp.response") | not)'
quirk "an answer to nothing" '!wrongid'
quirk "an answer with an id that is none" \
	'!raw {"jsonrpc":"2.0","id":[1],"result":{}}' \
	'any(.type == "agent.stderr")'

# --- answers to the prompt ---------------------------------------------------------------

answer='!raw {"jsonrpc":"2.0","id":$I,'
stopped() {
	echo "any(.type == \"turn.completed\" and .data.stop_reason == \"$1\")"
}
quirk "a result of null is an empty one" "${answer}\"result\":null};;!gone" \
	"$(stopped end_turn)"
quirk "so is none at all" '!raw {"jsonrpc":"2.0","id":$I};;!gone' \
	"$(stopped end_turn)"
quirk "a result that is no object" "${answer}\"result\":[7]};;!gone" \
	"$(stopped end_turn)"
quirk "a stop reason that is no string" \
	"${answer}\"result\":{\"stopReason\":7,\"usage\":\"much\"}};;!gone" \
	'any(.type == "turn.completed" and .data.stop_reason == "end_turn" and
		.data.usage == null)'
quirk "a stop reason that nobody knows" '!stop coffee_break' \
	"$(stopped coffee_break)"
for reason in end_turn max_tokens max_turn_requests refusal; do
	quirk "F089 $reason" "!stop $reason" "$(stopped $reason)"
done
ok "F089 cancelled, without anybody having cancelled" after cancelled \
	'!stop cancelled' 'any(.type == "turn.cancelled" and
		.data.stop_reason == "cancelled")'
quirk "usage in the result" '!usage 7 5;;!say x' \
	'any(.type == "turn.completed" and .data.usage.inputTokens == 7)'
quirk "the id of the prompt as a string" \
	'!raw {"jsonrpc":"2.0","id":"$I","result":'"$end"'};;!gone'
quirk "an answer that comes twice" \
	"${answer}\"result\":$end};;${answer}\"result\":$end};;!gone" \
	'[.[] | select(.type == "turn.completed")] | length == 2'
quirk "an answer and then an error" \
	"${answer}\"result\":$end};;${answer}\"error\":{\"code\":1,\"message\":\"m\"}};;!gone" \
	'any(.type == "turn.failed") | not'
fails "result and error at once" '!both' \
	'any(.type == "turn.failed" and .data.error.agent_code == -32603)'
fails "an error of the protocol" '!error -32603 model is down' \
	'any(.type == "turn.failed" and .data.error.agent_code == -32603 and
		.data.error.message == "model is down")'
fails "an error with a code of another world" '!error 400 bad request' \
	'any(.type == "turn.failed" and .data.error.agent_code == 400)'
fails "an error that is a word" "${answer}\"error\":\"no\"};;!gone" \
	'any(.type == "turn.failed" and .data.error.code == "agent_error")'
fails "an error without any words" "${answer}\"error\":{}};;!gone" \
	'any(.type == "turn.failed" and .data.error.message == null)'

# --- what an agent says of itself -----------------------------------------------------------

# speaks NAME INITIALIZE NEW [PROMPT] - an agent that answers the first requests
# with these results and every other line with the last one; $id is the id.
speaks() {
	shell_agent "$1" 'n=0
	while read -r line; do
		id=$(echo "$line" | sed "s/.*\"id\":\([0-9]*\).*/\1/")
		case $n in
		0) r='"'$2'"' ;;
		1) r='"'$3'"' ;;
		*) r='"'${4:-$end}'"' ;;
		esac
		n=$((n + 1))
		echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$r}"
	done'
	AGENT=$1 new_session
}
sparse() {
	speaks sparse '{"protocolVersion":1}' '{"sessionId":"s"}' &&
		says "$SES" x '' && state_is "$SES" idle
}
ok "an agent that says no more than it must" sparse
wrong_types() {
	speaks wrong '{"protocolVersion":1,"agentInfo":"me","agentCapabilities":[],"authMethods":7}' \
		'{"sessionId":"s","modes":[],"configOptions":"x","models":true}' \
		'{"stopReason":null}' && says "$SES" x '' &&
		http GET "/v1/sessions/$SES/config" |
		jq -e '.modes == null and .configOptions == null' &&
		holds "$SES" 'any(.type == "session.ready" and
			.data.agent_info == null and .data.modes == null)'
}
ok "wrong optional members count as absent" wrong_types

# --- ends ----------------------------------------------------------------------------------------

unanswered() {
	new_session
	exits 1 prompt "$SES" "$1" && state_is "$SES" failed && holds "$SES" "
		[.[] | select(.type | startswith(\"turn.\"))] | map(.type) ==
			[\"turn.started\", \"turn.failed\"] and
			.[1].data.error.code == \"$2\"" &&
		hib session resume "$SES" && says "$SES" '!say ok' ok
}
ok "an agent that exits without an answer" unanswered '!say a;;!exit 3' \
	agent_exited
ok "or is killed" unanswered '!crash 9' agent_exited
ok "or closes its stdout" unanswered '!closestdout;;!hang' agent_protocol_error
never_exits() {
	new_session && says "$SES" '!ignoreterm;;!stdinstop;;!say x' x &&
		hib session close "$SES" && state_is "$SES" closed &&
		holds "$SES" 'any(.type == "agent.exited" and .data.signal == 9)' &&
		hib session resume "$SES" && says "$SES" '!say ok' ok
}
ok "one that never exits is killed" never_exits

done_testing
