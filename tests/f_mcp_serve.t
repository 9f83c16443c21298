#!/bin/sh
# Hibernacle itself as an MCP server: hib mcp serve.
#
# NPM_CACHE_DIR  where the Inspector of MCP may be (default: $O/npm); it is not
#                installed for these tests, mcp_conformance.t does that
# shellcheck disable=SC2016 # $ is for jq
. tests/lib.sh

# --- a client -----------------------------------------------------------------

# serve - start a server: its pid is in SERVER, what it says in $tmp/out.
serve() {
	rm -f "$tmp/in" && mkfifo "$tmp/in" || return 1
	"$O/bin/hib" mcp serve <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
	SERVER=$!
	exec 3>"$tmp/in"
	at_exit "end_child $SERVER"
	echo 0 >"$tmp/id"
}

send() {
	printf '{"jsonrpc":"2.0",%s}\n' "$1" >&3
}

# ask METHOD [PARAMS] - send a request: its id is in ID.
ask() {
	ID=$(($(cat "$tmp/id") + 1)) # In a file: half of them are in pipelines.
	echo "$ID" >"$tmp/id"
	send "\"id\":$ID,\"method\":\"$1\"${2:+,\"params\":$2}"
}

# answer ID [SECONDS] - wait for an answer, and print it.
answer() {
	until_true "${2:-20}" grep -q "^{\"jsonrpc\":\"2.0\",\"id\":$1,\"" "$tmp/out" &&
		grep "^{\"jsonrpc\":\"2.0\",\"id\":$1,\"" "$tmp/out"
}

initialize() {
	ask initialize '{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}'
	answer "$ID" >"$tmp/hello" || return 1
	send '"method":"notifications/initialized"'
}

# call TOOL [ARGUMENTS] - send a call.
none='{}'
call() {
	ask tools/call "{\"name\":\"$1\",\"arguments\":$(printf %s "${2:-$none}" |
		tr '\n\t' '  ')${META:+,\"_meta\":$META}}"
}

# use TOOL [ARGUMENTS] - call it, and print its structured content.
use() {
	call "$@"
	answer "$ID" >"$tmp/answer" || return 1
	if ! jq -e '.result | .isError != true and .content[0].type == "text"' \
		"$tmp/answer" >"$tmp/x"; then
		cat "$tmp/answer" >&2
		return 1
	fi
	jq .result.structuredContent "$tmp/answer"
}

# fails CODE TOOL [ARGUMENTS] - the call is answered with this error.
fails() {
	_want=$1
	shift
	call "$@"
	answer "$ID" | jq -e --arg c "$_want" '.result | .isError and
		.structuredContent.error.code == $c and
		(.content[0].text | endswith("(" + $c + ")"))'
}

# --- what it offers -----------------------------------------------------------

serve
hello() {
	initialize && jq -e '.result.protocolVersion == "2025-11-25" and
		.result.serverInfo.name == "hibernacle" and
		.result.capabilities == {"tools": {}}' "$tmp/hello"
}
ok "it says who it is" hello
tools='["checkpoint", "exec", "list_files", "read_file", "restore_files",
	"session_close", "session_create", "session_list", "session_messages",
	"session_prompt", "vm_create", "vm_destroy", "vm_fork", "vm_list",
	"write_file"]'
list() {
	ask tools/list && answer "$ID" >"$tmp/tools" &&
		jq -e --argjson t "$tools" '.result.tools |
			(map(.name) | sort) == $t and all(.[];
			.inputSchema.type == "object" and .description != "" and
			(.annotations | has("readOnlyHint")))' "$tmp/tools"
}
ok "every tool has a schema, words and annotations" list
modern() {
	_meta='{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}'
	ask server/discover "{\"_meta\":$_meta}" &&
		answer "$ID" | jq -e '.result.resultType == "complete" and
			(.result.supportedVersions | index("2026-07-28"))' &&
		ask tools/call "{\"name\":\"vm_list\",\"arguments\":{},\"_meta\":$_meta}" &&
		answer "$ID" | jq -e '.result.resultType == "complete" and
			.result.structuredContent.vms == []'
}
ok "a modern client is served as well" modern

# --- VMs, files, programs -----------------------------------------------------

vm() {
	use vm_create '{"name":"box"}' | jq -e '.name == "box" and .state == "running"' &&
		use vm_list | jq -e '.vms | length == 1'
}
ok "it makes a VM" vm
files() {
	use write_file '{"vm":"box","path":"d/a.txt","content":"häl\nlo"}' |
		jq -e '.size == 7' &&
		use read_file '{"vm":"box","path":"/workspace/d/a.txt"}' |
		jq -e '.content == "häl\nlo" and .entry.path == "d/a.txt"' &&
		use read_file '{"vm":"box","path":"d/a.txt","offset":1,"length":2}' |
		jq -e '.content == "ä"' &&
		use write_file '{"vm":"box","path":"b","content_b64":"/wA="}' |
		jq -e '.size == 2' &&
		use read_file '{"vm":"box","path":"b"}' | jq -e '.content_b64 == "/wA="' &&
		use list_files '{"vm":"box","depth":2}' |
		jq -e '[.entries[].path] == ["b", "d", "d/a.txt"]'
}
ok "it writes, reads and lists files" files
too_large() {
	use exec '{"vm":"box","command":"head -c 9000000 /dev/zero >/workspace/big"}' |
		jq -e '.exit == 0' && fails invalid_argument read_file \
		'{"vm":"box","path":"big"}' &&
		use exec '{"vm":"box","argv":["rm","/workspace/big"]}' |
		jq -e '.exit == 0'
}
ok "a file that is too large is refused" too_large
programs() {
	use exec '{"vm":"box","argv":["sh","-c","cat; echo $X >&2; pwd; exit 3"],
		"stdin":"in\n","env":{"X":"y z"},"cwd":"/tmp"}' |
		jq -e '.exit == 3 and .stdout == "in\n/tmp\n" and .stderr == "y z\n"' &&
		use exec '{"vm":"box","command":"sleep 9","timeout_ms":100}' |
		jq -e '.timed_out and .signal == "SIGKILL"'
}
ok "it runs programs" programs
history() {
	use checkpoint '{"vm":"box"}' >"$tmp/one" &&
		_head=$(jq -r .head "$tmp/one") &&
		use write_file '{"vm":"box","path":"d/a.txt","content":"new"}' &&
		use restore_files "{\"vm\":\"box\",\"to\":\"$_head\",\"paths\":[\"d/a.txt\"]}" |
		jq -e '.was != null' &&
		use read_file '{"vm":"box","path":"d/a.txt"}' |
		jq -e '.content == "häl\nlo"' &&
		use vm_fork "{\"vm\":\"box\",\"name\":\"twin\",\"at\":\"$_head\"}" |
		jq -e '.vm' &&
		use read_file '{"vm":"twin","path":"b"}' | jq -e .content_b64 &&
		use vm_destroy '{"vm":"twin","force":true}' |
		jq -e '.destroyed == "twin"'
}
ok "it goes back, and forks" history

# --- sessions -----------------------------------------------------------------

sessions() {
	use session_create '{"agent":"echo","vm":"box","title":"Try"}' >"$tmp/ses" &&
		SES=$(jq -r '.session.id // .session' "$tmp/ses") &&
		use session_list '{"vm":"box"}' |
		jq -e --arg s "$SES" '.sessions | map(.id) == [$s]'
}
ok "it makes a session" sessions
prompt_it() {
	META='{"progressToken":"p7"}' use session_prompt \
		"{\"session\":\"$SES\",\"text\":\"!say one;;!tool t Title;;!say two\"}" \
		>"$tmp/reply"
	jq -e '.state == "completed" and (.text | test("one")) and
		(.text | test("two")) and .last_seq > .first_seq' "$tmp/reply" &&
		jq -e '.result.content[0].text | test("one")' "$tmp/answer" &&
		grep '"notifications/progress"' "$tmp/out" >"$tmp/progress" &&
		jq -se 'all(.[]; .params.progressToken == "p7") and
			any(.[]; .params.message == "Title") and
			([.[].params.progress] | . == (. | unique))' "$tmp/progress"
}
ok "a prompt is answered, and tells how far it is" prompt_it
messages() {
	use session_messages "{\"session\":\"$SES\"}" |
		jq -e '.messages | length >= 2'
}
ok "its conversation can be read" messages

# --- many at once -------------------------------------------------------------

runs() {
	pgrep -fx "sleep $1"
}
nap=1000$$ # Of this run alone, with one more digit.

side_by_side() {
	call session_prompt "{\"session\":\"$SES\",\"text\":\"!await /workspace/go;;!say late\"}"
	_long=$ID
	for _i in 1 2 3 4 5 6 7 8; do
		call exec '{"vm":"box","command":"sleep 1; echo x"}'
	done
	use vm_list | jq -e '.vms | length == 1' &&
		not grep -q "^{\"jsonrpc\":\"2.0\",\"id\":$_long,\"" "$tmp/out" &&
		VM=box let_go go && answer "$_long" | jq -e '.result.structuredContent.text | test("late")' &&
		for _i in $(seq $((_long + 1)) $((_long + 8))); do
			answer "$_i" | jq -e '.result.structuredContent.stdout == "x\n"' ||
				return 1
		done
}
ok "long calls hold up no other" side_by_side
cancel_exec() {
	call exec '{"vm":"box","argv":["sleep","'"$nap"'1"]}'
	_id=$ID
	until_true 10 runs "${nap}1" &&
		send "\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":$_id}" &&
		until_true 10 not runs "${nap}1" && use vm_list &&
		not grep -q "^{\"jsonrpc\":\"2.0\",\"id\":$_id,\"" "$tmp/out"
}
ok "a cancelled program ends, and is not answered" cancel_exec
cancel_prompt() {
	_seq=$(last_seq "$SES")
	call session_prompt "{\"session\":\"$SES\",\"text\":\"!sleep 60000\"}"
	wait_for_event "$SES" turn.started 10 "$_seq" &&
		send "\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":$ID}" &&
		wait_for_event "$SES" turn.cancelled 10 "$_seq"
}
ok "a cancelled prompt ends its turn" cancel_prompt

# --- what goes wrong ----------------------------------------------------------

wrong() {
	ask tools/call '{"name":"nothing","arguments":{}}'
	answer "$ID" | jq -e '.error.code == -32602' &&
		fails vm_not_found exec '{"vm":"nobody","command":"x"}' &&
		fails invalid_argument exec '{"command":"x"}' &&
		fails invalid_argument exec '{"vm":"box"}' &&
		fails invalid_argument exec '{"vm":"box","argv":"x"}' &&
		fails invalid_argument exec '{"vm":"box","argv":["x"],"env":["y"]}' &&
		fails invalid_argument restore_files '{"vm":"box","to":"HEAD","paths":[]}' &&
		fails file_not_found read_file '{"vm":"box","path":"no"}' &&
		fails path_escape read_file '{"vm":"box","path":"../x"}' &&
		fails session_not_found session_prompt \
			"{\"session\":\"$(new_id ses)\",\"text\":\"x\"}"
}
ok "errors are told to the model" wrong
junk() {
	printf 'no json\n[]\n{"jsonrpc":"2.0","id":null}\n' >&3
	use vm_list
}
ok "junk on its input does no harm" junk
closes() {
	use session_close "{\"session\":\"$SES\"}" && state_is "$SES" closed
}
ok "it closes a session" closes

# --- the end ------------------------------------------------------------------

end_of_input() {
	call exec '{"vm":"box","command":"sleep 1; echo end"}'
	exec 3>&-
	gone "$SERVER" && wait "$SERVER" &&
		answer "$ID" | jq -e '.result.structuredContent.stdout == "end\n"' &&
		equal "$(cat "$tmp/err")" ''
}
ok "what is open at the end of its input is answered" end_of_input
terminated() {
	serve && initialize && call exec '{"vm":"box","argv":["sleep","'"$nap"'2"]}' &&
		until_true 10 runs "${nap}2" && kill "$SERVER" && gone "$SERVER" &&
		until_true 10 not runs "${nap}2"
	exec 3>&-
}
ok "told to end, it ends what runs for it" terminated
goes_on() {
	SES=$(hib session create --agent echo --vm box)
	serve && initialize && call session_prompt \
		"{\"session\":\"$SES\",\"text\":\"!sleep 1000;;!say still here\"}" &&
		wait_for_event "$SES" turn.started && kill "$SERVER" && gone "$SERVER" &&
		wait_for_event "$SES" turn.completed
	exec 3>&-
}
ok "but a turn goes on" goes_on

# --- the Inspector ------------------------------------------------------------

inspector=${NPM_CACHE_DIR:-$O/npm}/mcp/inspector-2.12.0/node_modules/.bin/mcp-inspector

# Clients hand few variables on.
inspect() {
	timeout $((30 * slow)) node "$inspector" --cli -q --format json "$@" -- \
		env HIB_HOME="$HIB_HOME" "$O/bin/hib" mcp serve
}
inspected() {
	inspect --protocol-era "$1" --method initialize >"$tmp/x" &&
		inspect --protocol-era "$1" --method tools/list --strict |
		jq -e '.result.tools | length == 15' &&
		inspect --protocol-era "$1" --method tools/call --tool-name exec \
			--tool-args-json '{"vm":"box","command":"echo inspected"}' |
		grep -q inspected
}
for era in legacy auto; do
	if [ -x "$inspector" ]; then
		ok "the Inspector is content: $era" inspected "$era"
	else
		skip "the Inspector is content: $era" "it is not installed"
	fi
done
done_testing
