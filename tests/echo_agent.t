#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# echo_agent.t - The agent that is built in, driven by hand
#
# Each case writes JSON-RPC lines to it and looks at what comes back with jq.

agent=${O:-o/dev}/libexec/echo-agent
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

# is WHAT GOT WANT
is() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '# got  %s\n# want %s\n' "$2" "$3" >&2
		failed=1
	fi
}

# One line each of what the client sends.
initialize='{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{}}}'
new='{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":[]}}'

# call ID METHOD PARAMS
call() {
	printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":%s}\n' "$@"
}

# prompt ID TEXT...: the session is put in place of SESSION
prompt() {
	id=$1
	shift
	blocks=$(for t in "$@"; do jq -nc --arg t "$t" '{type: "text", text: $t}'; done |
		jq -sc .)
	call "$id" session/prompt "{\"sessionId\":\"SESSION\",\"prompt\":$blocks}"
}

# Talk to an agent with options "$@": lines of stdin, one after the other has
# been answered, go to it; what it says goes to $dir/out.
talk() {
	mkfifo "$dir/in"
	: >"$dir/out"
	"$agent" "$@" <"$dir/in" >"$dir/out" 2>"$dir/err" &
	pid=$!
	exec 3>"$dir/in"
	rm "$dir/in"
	session=
	while read -r line; do
		[ -n "$session" ] || session=$(texts_of sessionId)
		printf '%s\n' "$line" | sed "s/SESSION/$session/" >&3
		case $line in
		*'"id":'*'"method":'*) wait_for "${line#*\"id\":}" ;;
		esac
	done
	exec 3>&-
	wait "$pid"
}

# Until the request whose line goes on with "$1" is answered; an agent that does
# not is ended.
wait_for() {
	want=${1%%,*}
	tries=6000
	while kill -0 "$pid" 2>/dev/null; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || kill -9 "$pid"
		grep -q "^{\"jsonrpc\":\"2.0\",\"id\":$want,\"\\(result\\|error\\)" \
			"$dir/out" && return
		case $NOWAIT in *" $want "*) return ;; esac
		sleep 0.01
	done
}
NOWAIT=

# until_said REGEX [N] - until that many lines (1) of what the agent says are so.
until_said() {
	tries=6000
	until [ "$(grep -c "$1" "$dir/out")" -ge "${2:-1}" ] || [ "$tries" -eq 0 ]; do
		tries=$((tries - 1))
		sleep 0.01
	done
}

texts_of() {
	grep '^{' "$dir/out" | jq -r "select(.result.$1) | .result.$1" | head -n 1
}

# All that was said, with no break between chunks.
said() {
	jq -j 'select(.params.update.sessionUpdate == "agent_message_chunk")
		| .params.update.content.text' "$dir/out"
}

stop() {
	jq -r "select(.id == $1 and .result) | .result.stopReason" "$dir/out"
}

# script TEXT [OPTION...]: run one prompt
script() {
	text=$1
	shift
	{
		echo "$initialize"
		echo "$new"
		prompt 2 "$text"
	} | talk "$@"
}

command -v jq >/dev/null || {
	echo "1..0 # SKIP no jq"
	exit 0
}

# --- the handshake
script hi
is "it says who it is" "$(jq -c 'select(.id == 0) | .result | [.protocolVersion, .agentInfo.name, .agentCapabilities.loadSession]' "$dir/out")" '[1,"echo",false]'
is "a session has modes and a model" "$(jq -c 'select(.id == 1) | .result | [.modes.currentModeId, .configOptions[0].currentValue]' "$dir/out")" '["code","small"]'
is "plain text comes back" "$(said)" hi
is "the turn ends" "$(stop 2)" end_turn

long="Grüße, 世界: $(seq -s ' ' 1 60) 🙂🙂🙂🙂🙂"
script "$long"
is "long text comes back in chunks" "$(said)" "$long"
is "of which there are a few" "$(grep -c agent_message_chunk "$dir/out")" 8

{ echo "$initialize"; call 5 no/such '{}'; call 6 session/prompt '{"sessionId":"x","prompt":[]}'; } | talk
is "an unknown method is refused" "$(jq -c 'select(.id == 5) | .error.code' "$dir/out")" -32601
is "an unknown session is refused" "$(jq -c 'select(.id == 6) | .error.code' "$dir/out")" -32002

# --- what it remembers
{ echo "$initialize"; echo "$new"; prompt 2 one; prompt 3 two; prompt 4 before "what did I say"; } | talk
is "it knows what was said" "$(jq -j 'select(.params.update.content.text) | .params.update.content.text' "$dir/out")" \
	"onetwoone
two
before"

mkdir "$dir/store"
{ echo "$initialize"; echo "$new"; prompt 2 keep; } | talk --load --store "$dir/store"
kept=$(texts_of sessionId)
{
	echo "$initialize"
	call 1 session/resume "{\"sessionId\":\"$kept\",\"cwd\":\"/\",\"mcpServers\":[]}"
	call 2 session/prompt "{\"sessionId\":\"$kept\",\"prompt\":[{\"type\":\"text\",\"text\":\"what did I say\"}]}"
	call 3 session/load '{"sessionId":"echo-none","cwd":"/","mcpServers":[]}'
} | talk --load --store "$dir/store"
is "a session is resumed from its store" "$(said)" keep
is "one that never was is not" "$(jq -c 'select(.id == 3) | .error.code' "$dir/out")" -32002

# --- verbs
script '!say a;;!chunks 2 b;;!say é'
is "commands run in order" "$(said)" "ab 1b 2é"
script '!think hm;;!tool t1 Read it read;;!toolopen t2 Left open;;!plan A|B'
is "thoughts, tools and plans are updates" "$(jq -r '.params.update // empty | [.sessionUpdate, .status, .kind, (.entries | length)] | map(tostring) | join(",")' "$dir/out" | paste -sd' ' -)" \
	"agent_thought_chunk,null,null,0 tool_call,pending,read,0 tool_call_update,in_progress,null,0 tool_call_update,completed,null,0 tool_call,pending,other,0 tool_call_update,in_progress,null,0 plan,null,null,2"
script "!write $dir/f some text;;!read $dir/f;;!write /no/such x;;!run echo out; exit 3"
is "files and commands" "$(said)" "oksome text/no/such: No such file or directoryout
exit: 3"
script '!flood 1000 64'
is "a flood has every number once" "$(said | tr -s x '\n' | cut -c3- | tr -d ' ' | paste -sd, -)" "$(seq -s, 1 1000)"
is "and the size asked for" "$(jq 'select(.params) | .params.update.content.text | length' "$dir/out" | sort -u)" 64
script '!stop refusal'
is "the turn ends as asked" "$(stop 2)" refusal
script '!error -32000 log in first'
is "or with an error" "$(jq -c 'select(.id == 2) | .error' "$dir/out")" '{"code":-32000,"message":"log in first"}'
script '!usage 10 20'
is "usage is told" "$(jq -c 'select(.id == 2) | .result.usage' "$dir/out")" '{"inputTokens":10,"outputTokens":20,"totalTokens":30}'
script '!bigline 100000'
is "a line has the length asked for" "$(awk 'length > m { m = length } END { print m }' "$dir/out")" 100000
is "and is valid" "$(jq -c 'select(.id == 2) | .result.stopReason' "$dir/out")" '"end_turn"'
script '!toolong 70000'
is "so has a line that is not JSON" "$(grep -c '^x\{30000\}' "$dir/out")" 1
script '!stderr to the log'
is "stderr is separate" "$(cat "$dir/err")" "to the log"
script '!exit 9'
is "it exits as asked" "$?" 9
script '!crash 6' 2>/dev/null
is "it crashes as asked" "$?" 134
script '!preamble;;!count;;!mode;;!model;;!uid'
is "it tells about itself" "$(said)" "1codesmall$(id -u)"
script '!idleupdate'
is "an update after the answer" "$(tail -n 1 "$dir/out" | jq -r .params.update.content.text)" idle
script '!wrongid'
is "a wrong id, then the right one" "$(jq -c 'select(.result.stopReason) | .id' "$dir/out" | paste -sd, -)" 999999,2
script '!both'
is "a result and an error" "$(jq -c 'select(.id == 2) | [(.result | type), (.error | type)]' "$dir/out")" '["object","object"]'
FOO='a b' script '!env FOO'
is "the environment can be asked for" "$(said)" "a b"
script '!spawn 20;;!nonsense'
is "an unknown verb is told" "$(said)" "spawned 20unknown verb: nonsense"

# --- questions and cancel
NOWAIT=" 2 "
{
	echo "$initialize"
	echo "$new"
	prompt 2 '!ask t1 May I'
	until_said request_permission
	echo '{"jsonrpc":"2.0","id":0,"result":{"outcome":{"outcome":"selected","optionId":"allow_once"}}}'
	until_said stopReason
} | talk
is "a permission is asked for" "$(jq -c 'select(.method == "session/request_permission") | [.id, (.params.options | length)]' "$dir/out")" '[0,4]'
is "and the answer told" "$(said)" "outcome: allow_once"
{
	echo "$initialize"
	echo "$new"
	prompt 2 '!ask3'
	until_said request_permission 3
	echo '{"jsonrpc":"2.0","id":2,"result":{"outcome":{"outcome":"selected","optionId":"reject_once"}}}'
	echo '{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"SESSION"}}'
	echo '{"jsonrpc":"2.0","id":0,"result":{"outcome":{"outcome":"cancelled"}}}'
	echo '{"jsonrpc":"2.0","id":1,"result":{"outcome":{"outcome":"cancelled"}}}'
	until_said stopReason
} | talk
is "three at once, answered in any order" "$(jq -r 'select(.params.update.content.text) | .params.update.content.text' "$dir/out" | paste -sd, -)" \
	"t3 outcome: reject_once,t1 outcome: cancelled,t2 outcome: cancelled"
is "a cancel waits for the answers" "$(stop 2)" cancelled
{
	echo "$initialize"
	echo "$new"
	prompt 2 '!lateupdates 2;;!say up;;!run sleep 1000'
	until_said '"up"'
	echo '{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"SESSION"}}'
	until_said 'late 2'
} | talk
is "a cancel ends a command" "$(stop 2)" cancelled
is "late updates follow" "$(said)" "uplate 1late 2"
{
	echo "$initialize"
	echo "$new"
	prompt 2 '!hang'
	echo '{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":2}}'
	until_said '"id":2'
} | talk
is "a request can be cancelled" "$(jq -c 'select(.id == 2) | .error.code' "$dir/out")" -32800
NOWAIT=

# --- MCP servers, the scriptable one of tests/fake in both eras
fake=${O:-o/dev}/tests/fake/mcp_server

# with_servers NAME OPTION... [-- NAME OPTION...]...: of the sessions to come
with_servers() {
	new='{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":'$(
		jq -nc --arg fake "$fake" '[$ARGS.positional | join("\n") |
			split("\n--\n")[] | split("\n") | {name: .[0],
			command: $fake, args: .[1:],
			env: [{name: "OWN", value: "a b"}]}]' --args -- "$@"
	)'}}'
}

# mcp WANT WHAT TEXT: what one script says
mcp() {
	script "$3"
	is "$2" "$(said)" "$1"
}

if [ ! -x "$fake" ]; then
	echo "ok $((n += 1)) - MCP # SKIP $fake is not built"
else
	with_servers a --log "$dir/a.log" -- b --page 7 --many 100 --name bee
	mcp "ready fake 2025-11-25ready bee 2025-11-25" "servers are started" '!mcp state a;;!mcp state b'
	is "their handshake is complete" "$(jq -r .method "$dir/a.log" | paste -sd' ' -)" "initialize notifications/initialized"
	mcp "hi there
5a b(unset)" "tools are called" '!mcp call a echo {"message":"hi there\n"};;!mcp call b add {"a":2,"b":3};;!mcp call a env {"name":"OWN"};;!mcp call a env {"name":"O"}'
	mcp "error: nofault -32602: unknown tool" "what fails is told" '!mcp call a fail {"message":"no"};;!mcp call a nothing'
	script '!mcp list b'
	is "all pages of a list are read" "$(said | grep -c '^tool_')" 100
	mcp "flood: 3000 right, 0 wrong, 0 failed" "thousands of calls, in both at once" '!mcp flood 3000 16 a,b'
	mcp "par: 20 right, 0 wrong, 0 failed" "calls run side by side" '!mcp par 20 a slow {"ms":50}'
	mcp "added extra{}extra" "a change is told" '!mcp call a add_tool;;!mcp wait a notifications/tools/list_changed;;!mcp call a extra {"message":"extra"}'
	mcp "2 steps{\"progressToken\":1,\"progress\":1,\"total\":2,\"message\":\"going on\"}" "progress is told" '!mcp call a progress {"steps":2,"ms":1};;!mcp wait a notifications/progress'
	mcp '{"action":"decline"}{"code":-32601,"message":"method not found"}' "questions are answered" '!mcp answer {"action":"decline"};;!mcp call a elicit;;!mcp answer;;!mcp call a roots'
	# shellcheck disable=SC2016 # $schema is the server's
	mcp '{"content":[{"type" : "text","text":"\u006fdd"}],"structuredContent":{ "n" : 1.0E+2, "big":12345678901234567890, "zero":-0,"e":"\u00e9\/\ud83d\ude00", "$schema":{"a":[ ]},"a":1,"A":2,	"":null}}' "odd bytes come as they are" '!mcp raw a tools/call {"name":"odd"}'
	mcp "noisy60" "noise is passed over" '!mcp call a noise {"lines":20};;!mcp strays a'
	: >"$dir/a.log"
	mcp "nothing to cancelnone" "a call is cancelled" '!mcp start a slow {"ms":100000};;!mcp cancel a;;!mcp cancel a;;!mcp wait a no/such 10'
	is "and its server told" "$(jq -c 'select(.method == "notifications/cancelled") | .params' "$dir/a.log")" '{"requestId":1}'
	mcp "goneexit 7" "the end of a server is seen" '!mcp call a crash {"code":7};;!mcp close a'
	mcp "exit 0ready fake 2026-07-28hi" "it can be opened again, in the other era" '!mcp close a;;!mcp open a modern;;!mcp state a;;!mcp call a echo {"message":"hi"}'
fi
new='{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":[{"name":"mute","command":"sed","args":["d"],"env":[]}]}}'
mcp "gonegoneexit 0" "a server that never answers can be asked, and ended" '!mcp start mute echo {};;!mcp start mute echo {};;!mcp open mute;;!mcp close mute'

# --- options
new='{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":[]}}'
script hi --protocol 7 --image --banner --slow-start 10 --slow-new 10
is "a banner comes first" "$(head -n 1 "$dir/out")" "echo agent, at your service"
sed -i 1d "$dir/out"
is "options show in the answer" "$(jq -c 'select(.id == 0) | .result | [.protocolVersion, .agentCapabilities.promptCapabilities.image]' "$dir/out")" '[7,true]'
is "slow answers come" "$(said)" hi
script hi --fail-new -32000
is "session/new can fail" "$(jq -c 'select(.id == 1) | .error.code' "$dir/out")" -32000
"$agent" --exit-on-start 4 </dev/null
is "it can exit at once" "$?" 4

echo "1..$n"
exit "${failed:-0}"
