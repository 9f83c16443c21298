#!/bin/sh
# The MCP servers of a session from outside: hib mcp, HTTP, and any MCP client
# by streamable HTTP; and a remote server whose token nobody in a VM ever sees.
#
# NPM_CACHE_DIR  where the Inspector may be installed (see mcp_conformance.t)
# shellcheck disable=SC2016 # $ is for jq
. tests/lib.sh

"$O/bin/hibd" --http 127.0.0.1:0 --log-level warn &
until_true 10 http GET /v1/health || skip_all "hibd does not start"
port=$(http GET /v1/health | jq .http_port)

vm_program fake/mcp_server
fake=/opt/agents/mcp_server
new_vm --net none
new_session --mcp "fake=$fake" --mcp "few=$fake --name few"
until_true 10 sh -c "'$O/bin/hib' mcp list '$SES' --json |
	jq -e 'all(.state == \"ready\")'"

# --- hib mcp -------------------------------------------------------------------

# What the server itself answers to tools/list.
tools_of() {
	printf '%s\n' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}' \
		'{"jsonrpc":"2.0","method":"notifications/initialized"}' \
		'{"jsonrpc":"2.0","id":2,"method":"tools/list"}' |
		"$O/tests/fake/mcp_server" | jq -c 'select(.id == 2).result.tools'
}
shapes='[.[] | {name, description, inputSchema}] | sort_by(.name)'

f163_get() {
	tools_of | jq -S "$shapes" >"$tmp/want"
	hib session get --mcp --json "$SES" |
		jq -S ".mcp[] | select(.name == \"fake\").tools | $shapes" \
			>"$tmp/got" && [ -s "$tmp/want" ] &&
		cmp "$tmp/want" "$tmp/got"
}
ok "F163 session get --mcp has the tools of each server" f163_get
f163_tools() {
	hib mcp tools --json "$SES" fake | jq -S ".tools | $shapes" |
		cmp "$tmp/want" -
}
ok "F163 so does hib mcp tools" f163_tools
ok "hib mcp list says what there is" sh -c "
	'$O/bin/hib' mcp list '$SES' | grep -Eq '^fake +stdio +ready'"

# call TOOL ARGUMENTS
call() {
	hib mcp call "$SES" fake "$@"
}
is "$(call echo '{"message":"hello"}')" hello "hib mcp call prints the text"
is "$(echo '{"a":2,"b":3}' | call add -)" 5 "arguments come from standard input"
ok "a result that is an error has its exit code" exits 1 hib mcp call "$SES" \
	fake fail '{"message":"no"}'
ok "a tool that is not there is refused" not call no_such_tool
ok "arguments are an object" refused invalid_argument 5 hib mcp call "$SES" \
	fake echo '[1]'
ok "a server that is not there is not found" refused key_not_found 6 \
	hib mcp tools "$SES" nobody
f248_logged() {
	holds "$SES" '[.[] | select(.type == "mcp.call" and .data.tool == "echo")]
		| length == 1 and .[0].data.arguments.message == "hello"'
}
ok "F248 a call is in the log" f248_logged

f_asleep() {
	hib session suspend "$SES" &&
		refused session_not_live 7 hib mcp call "$SES" fake echo &&
		hib mcp tools --json "$SES" fake | jq -S ".tools | $shapes" |
		cmp "$tmp/want" - && hib session resume "$SES" &&
		until_true 10 eval \
			'equal "$(call echo "{\"message\":\"back\"}")" back'
}
ok "asleep the tools are those of before, and a call is refused" f_asleep

# --- streamable HTTP -------------------------------------------------------------

mine=$SES
token=$(hib token create --scope prompt "$SES")
url=http://127.0.0.1:$port/v1/sessions/$SES/mcp/fake

# post BODY [CURL-OPTION]... - as a client with the token; the status is in
# $tmp/status, the head in $tmp/head.
post() {
	_body=$1
	shift
	curl -sS --max-time "$((20 * slow))" -D "$tmp/head" -o "$tmp/body" \
		-w '%{http_code}' -H "Authorization: Bearer $token" \
		-H 'Content-Type: application/json' \
		-H 'Accept: application/json, text/event-stream' \
		--data-binary "$_body" "$@" "$url" >"$tmp/status" &&
		sed -n 's/^data: //p; /^{/p' "$tmp/body"
}
status_is() {
	equal "$(cat "$tmp/status")" "$1"
}
hello='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}'

f_legacy() {
	post "$hello" | jq -es 'any(.result.serverInfo.name)' && status_is 200 &&
		id=$(tr -d '\r' <"$tmp/head" |
			sed -n 's/^mcp-session-id: //Ip') && [ -n "$id" ] || return 1
	set -- -H "Mcp-Session-Id: $id" -H 'MCP-Protocol-Version: 2025-11-25'
	post '{"jsonrpc":"2.0","method":"notifications/initialized"}' "$@"
	status_is 202 || return 1
	post '{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"echo","arguments":{"message":"by HTTP"}}}' "$@" |
		jq -es 'any(.id == "two" and
			.result.content[0].text == "by HTTP")' &&
		post '' "$@" -X DELETE
	post '{"jsonrpc":"2.0","id":3,"method":"ping"}' "$@"
	status_is 404
}
ok "a client of the legacy era works, session and all" f_legacy

f_modern() {
	post '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}' \
		-H 'MCP-Protocol-Version: 2026-07-28' \
		-H 'Mcp-Method: tools/call' -H 'Mcp-Name: add' |
		jq -es 'any(.id == 7 and .result.content[0].text == "3" and
			.result.resultType == "complete")'
}
ok "so does one of the modern era" f_modern

# turned_away STATUS [CURL-OPTION]...
turned_away() {
	_want=$1
	shift
	post "$hello" "$@"
	status_is "$_want"
}
other=$(new_session >/dev/null && hib token create --scope prompt "$SES")
reader=$(hib token create --scope read "$SES")
f_tokens() {
	_token=$token
	token=$other && turned_away 404 && token=$reader && turned_away 403 &&
		token=hib_none && turned_away 401
	_r=$?
	token=$_token
	return "$_r"
}
ok "F016 other tokens are turned away" f_tokens
ok "a foreign host is turned away" turned_away 403 -H 'Host: evil.example'
ok "a foreign origin is turned away" turned_away 403 \
	-H 'Origin: http://evil.example'
f_garbage() {
	post '{"jsonrpc":'
	status_is 400 && jq -e '.error.code == -32700' "$tmp/body"
}
ok "what is no JSON is told so in the words of MCP" f_garbage

# A client that only listens is let go when the agent ends, and told what it is
# to do next.
f_listener() {
	post "$hello" >/dev/null && id=$(tr -d '\r' <"$tmp/head" |
		sed -n 's/^mcp-session-id: //Ip') && [ -n "$id" ] || return 1
	curl -sSN --max-time "$((20 * slow))" "$url" \
		-H "Authorization: Bearer $token" -H "Mcp-Session-Id: $id" \
		-H 'Accept: text/event-stream' -D "$tmp/get.head" \
		>"$tmp/get" 2>&1 &
	_listener=$!
	until_true 10 grep -q '200 OK' "$tmp/get.head" &&
		hib session suspend "$SES" && gone $_listener 10 || return 1
	post '{"jsonrpc":"2.0","id":3,"method":"ping"}' -H "Mcp-Session-Id: $id"
	status_is 409 && hib session resume "$SES"
	post '{"jsonrpc":"2.0","id":3,"method":"ping"}' -H "Mcp-Session-Id: $id"
	status_is 404
}
SES=$mine
ok "a client that listens is let go with the agent" f_listener

# --- the Inspector ---------------------------------------------------------------

inspector=${NPM_CACHE_DIR:-$O/npm}/mcp/inspector-2.12.0/node_modules/.bin/mcp-inspector
inspect() {
	timeout $((40 * slow)) node "$inspector" --cli -q --format json \
		--protocol-era "$1" --method tools/call --tool-name echo \
		--tool-arg "message=$2" --transport http \
		--header "Authorization: Bearer $token" --server-url "$url" |
		jq -es --arg m "$2" 'any(.. | .text? // empty; . == $m)'
}
for era in legacy auto; do
	if [ -e "$inspector" ] && command -v node >/dev/null; then
		ok "the Inspector calls a tool ($era)" inspect $era "by $era"
	else
		skip "the Inspector calls a tool ($era)" "it is not installed"
	fi
done

# --- a remote server, and its token ----------------------------------------------

mark=mark-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
echo "Bearer $mark" >"$tmp/wanted"
"$O/tests/fake/mcp_web" Authorization "$tmp/wanted" >"$tmp/web.port" &
web=$!
at_exit "end_child $web"
web_port=$(read_line "$tmp/web.port" 10)
hib secret set web-token <"$tmp/wanted"

f162_remote() {
	new_session --mcp-remote "web=http://127.0.0.1:$web_port/mcp" \
		--mcp-header 'web:Authorization@web-token' &&
		until_true 10 hib mcp call "$SES" web shown &&
		equal "$(hib mcp call "$SES" web shown)" \
			"$(printf 'Bearer %s' "$mark" | wc -c)" &&
		equal "$(prompt "$SES" '!mcp call web echo {"text":"far"}' |
			grep -o far | head -n 1)" far
}
ok "F162 a remote server sees its header, from a VM without network" f162_remote

# Every process of the VM.
vm_pids() {
	guest_pid "$VM"
	descendants "$(guest_pid "$VM")"
}
# has_mark FILE...
has_mark() {
	grep -aqF -e "$mark" "$@" 2>/dev/null
}
# Is it in what this process can write to?
memory_has() {
	sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) r.*/\1 \2/p' "/proc/$1/maps" |
		perl -e 'my ($pid, $mark) = @ARGV; open(my $m, "<:raw", "/proc/$pid/mem") or exit 2;
			while (<STDIN>) { my ($a, $b) = map { hex } split;
				next if $b - $a > 1 << 30;
				seek($m, $a, 0) or next; my $buf = "";
				read($m, $buf, $b - $a) or next;
				exit 0 if index($buf, $mark) >= 0; }
			exit 1' "$1" "$2"
}
f162_nowhere() {
	for _pid in $(vm_pids); do
		memory_has "$_pid" "$mark" && echo "memory of $_pid" && return 1
		has_mark "/proc/$_pid/environ" "/proc/$_pid/cmdline" &&
			echo "environment of $_pid" && return 1
	done
	not grep -rlaF -e "$mark" "$HIB_HOME"
}
f_search_finds() {
	memory_has "$web" "$mark"
}
if [ "$(id -u)" -eq 0 ] && command -v perl >/dev/null; then
	ok "the search of memory finds what is there" f_search_finds
	ok "F162 its token is in no memory, environment, file, log or database" \
		f162_nowhere
else
	skip "F162 its token is in no memory" "it takes root to look"
fi
f162_again() {
	hib vm sleep "$VM" && hib session resume "$SES" &&
		until_true 10 hib mcp call "$SES" web shown &&
		hib session get --json "$SES" --mcp | not has_mark
}
ok "F162 after a cold wake it is shown again" f162_again
f162_fork() {
	SES=$(hib fork --start "$SES") &&
		until_true 10 hib mcp call "$SES" web shown
}
ok "a fork has the servers of its source" f162_fork
f_fork_other() {
	http POST "/v1/sessions/$SES/fork" '{"mcpAggregate":true}' >/dev/null &&
		http GET "/v1/sessions/$(jq -r .id "$tmp/body")" >/dev/null &&
		_fork=$(jq -r .id "$tmp/body") &&
		hib session resume "$_fork" &&
		hib mcp list --json "$_fork" | jq -e 'map(.name) == ["web"]' &&
		http POST "/v1/sessions/$SES/fork" \
			'{"mcpServers":{"kv":{"type":"builtin"}}}' >/dev/null &&
		_fork=$(jq -r .id "$tmp/body") &&
		hib session resume "$_fork" &&
		hib mcp list --json "$_fork" | jq -e 'map(.name) == ["kv"]'
}
ok "or those that it is given" f_fork_other
f162_changed() {
	echo "Bearer another" | hib secret set web-token &&
		hib session suspend "$SES" && hib session resume "$SES" &&
		not hib mcp call --timeout-ms 3000 "$SES" web shown
}
ok "the wrong token is refused by the server" f162_changed

done_testing
