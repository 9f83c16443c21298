#!/bin/sh
# Our MCP client against the official conformance suites, and against a server
# that nobody here wrote, by stdio, streamable HTTP and HTTP+SSE.  The client is
# fake/mcp_client.c: mcp/client.h with the transports of the real programs.
#
# NPM_CACHE_DIR  where their packages stay between runs (default: $O/npm)
#
# Every scenario of the suites for clients is played but those of OAuth and of
# extensions, and none may fail.
. tests/lib.sh
. tests/mcp_npm.sh

client=$O/tests/fake/mcp_client
need_packages @modelcontextprotocol/conformance@0.1.16 \
	@modelcontextprotocol/conformance@0.2.0-alpha.12 \
	@modelcontextprotocol/server-everything@2026.8.31

# --- the suites -----------------------------------------------------------------

# plays SUITE REVISION SCENARIO
plays() {
	suite "$1" client --command "$client" --scenario "$3" \
		${2:+--spec-version "$2"} >"$tmp/out" 2>&1
	_status=$?
	cat "$tmp/out"
	[ $_status -eq 0 ] && grep -q '^Passed: .* 0 failed, 0 warnings' "$tmp/out"
}

for scenario in initialize tools_call elicitation-sep1034-client-defaults \
	sse-retry; do
	ok "suite 0.1.16: $scenario" plays 0.1.16 '' $scenario
done
for scenario in tools_call elicitation-sep1034-client-defaults \
	json-schema-2020-12-preservation; do
	ok "revision 2025-11-25: $scenario" \
		plays 0.2.0-alpha.12 2025-11-25 $scenario
done
for scenario in tools_call request-metadata sep-2322-client-request-state \
	http-standard-headers http-custom-headers http-invalid-tool-headers \
	json-schema-ref-no-deref json-schema-2020-12-preservation; do
	ok "revision 2026-07-28: $scenario" \
		plays 0.2.0-alpha.12 2026-07-28 $scenario
done

# --- a server of others ---------------------------------------------------------

everything=$(folder_of server-everything@2026.8.31)/node_modules/.bin/mcp-server-everything

# start_everything TRANSPORT - it listens on port.
start_everything() {
	port=$(python3 -c 'import socket; s = socket.socket()
s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	PORT=$port "$everything" "$1" >"$tmp/$1.log" 2>&1 &
	at_exit "end_child $!"
	until_true 20 curl -s --max-time 5 -o /dev/null "http://127.0.0.1:$port/"
}

# talks TARGET... - tools, a call, progress, what it asks back, a resource.
talks() {
	timeout $((30 * slow)) "$client" \
		--do 'list tools' \
		--do 'call echo {"message":"hi"}' \
		--do 'call trigger-long-running-operation {"duration":0.2,"steps":2}' \
		--do 'call trigger-elicitation-request {}' \
		--do 'call trigger-sampling-request {"prompt":"x"}' \
		--do 'list resources' \
		--do 'list prompts' \
		--do 'request ping {}' \
		"$@" >"$tmp/out" 2>"$tmp/err"
	_status=$?
	cat "$tmp/out" "$tmp/err"
	[ $_status -eq 0 ] &&
		grep -q '^ready: legacy 2025-11-25 ' "$tmp/out" &&
		grep -q '^list: .*echo' "$tmp/out" &&
		grep -q '^result: .*Echo: hi' "$tmp/out" &&
		grep -q '^progress: 2' "$tmp/out" &&
		grep -q '^result: .*"text":"LLM sampling result' "$tmp/out" &&
		grep -q '^result: .*User provided the requested' "$tmp/out" &&
		equal "$(tail -n 1 "$tmp/out")" 'result: {}'
}
ok "server-everything is spoken with by stdio" talks -- "$everything" stdio
start_everything streamableHttp
ok "server-everything is spoken with by streamable HTTP" \
	talks "http://127.0.0.1:$port/mcp"
ok "the session is ended there" \
	until_true 5 grep -q 'session termination request' "$tmp/streamableHttp.log"
forgets() {
	"$client" --do 'call echo {}' "http://127.0.0.1:$port/nowhere" >"$tmp/out"
	cat "$tmp/out"
	grep -q '^failed: initialize: .*404' "$tmp/out"
}
ok "a URL that is none of it is told" forgets
start_everything sse
ok "server-everything is spoken with by HTTP+SSE, found out by itself" \
	talks "http://127.0.0.1:$port/sse"
ok "and where it was said to be that" talks --sse "http://127.0.0.1:$port/sse"

done_testing
