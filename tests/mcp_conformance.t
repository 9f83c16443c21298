#!/bin/sh
# The official conformance suites of MCP, and its Inspector, against our server
# core and HTTP front, as fake/mcp_fixture.c puts them together.
#
# NPM_CACHE_DIR  where their packages stay between runs (default: $O/npm)
#
# No scenario may fail: the lists of expected failures are empty.
# shellcheck disable=SC2016 # $ is for jq
. tests/lib.sh
. tests/mcp_npm.sh

fixture=$O/tests/fake/mcp_fixture
need_packages @modelcontextprotocol/conformance@0.1.16 \
	@modelcontextprotocol/conformance@0.2.0-alpha.12 \
	@modelcontextprotocol/inspector@2.12.0

inspector() {
	timeout $((30 * slow)) node \
		"$(folder_of inspector@2.12.0)/node_modules/.bin/mcp-inspector" \
		--cli -q --format json "$@"
}

# --- the suites -----------------------------------------------------------------

echo 'server: []' >"$tmp/none.yaml"
"$fixture" --http >"$tmp/port" &
server=$!
at_exit "end_child $server"
url=http://127.0.0.1:$(read_line "$tmp/port" 10)/mcp

# passes SUITE-OUTPUT AT-LEAST - nothing unexpected, and that many checks.
passes() {
	cat "$1"
	! grep -q 'Unexpected failures' "$1" &&
		[ "$(sed -n 's/^Total: \([0-9]*\) passed.*/\1/p' "$1")" -ge "$2" ]
}
active() {
	suite 0.1.16 server --url "$url" \
		--expected-failures "$tmp/none.yaml" >"$tmp/out" 2>&1 &&
		passes "$tmp/out" 39 && grep -q '^Total: .* 0 failed' "$tmp/out"
}
requirements() {
	suite 0.2.0-alpha.12 server --url "$url" --requirements "$1" \
		--expected-failures "$tmp/none.yaml" >"$tmp/out" 2>&1 && passes "$tmp/out" "$2"
}
ok "all active scenarios of suite 0.1.16 pass" active
ok "what revision 2025-11-25 requires passes" requirements 2025-11-25 83
ok "what revision 2026-07-28 requires passes" requirements 2026-07-28 150

# --- the Inspector --------------------------------------------------------------

# inspect ERA TARGET... - the main methods; TARGET is a command or an URL.
inspect() {
	_era=$1
	shift
	inspector --protocol-era "$_era" --method initialize "$@" |
		jq -e '.result.serverInfo.name == "mcp-fixture"' &&
		inspector --protocol-era "$_era" --method tools/list --strict \
			"$@" | jq -e '.result.tools | length > 20' &&
		inspector --protocol-era "$_era" --method tools/call \
			--tool-name echo --tool-args-json '{"message":"hi"}' \
			"$@" | jq -e '.result.content[0].text == "hi"'
}
for era in legacy auto; do
	ok "the Inspector works with stdio, era $era" \
		inspect $era -- "$fixture"
	ok "the Inspector works with HTTP, era $era" \
		inspect $era --transport http --server-url "$url"
done

# --- what no client should send -------------------------------------------------

ping() {
	printf '{"jsonrpc":"2.0","id":"%s","method":"ping"}\n' "$1"
}
hostile() {
	{
		echo 'npm warn something'
		printf '{"jsonrpc":"2.0","id":11,"method":"'
		head -c 11534336 /dev/zero | tr '\0' x
		printf '"}\n{"jsonrpc":"2.0","id":12,"method":"tools/call","params":'
		yes '{"a":' | head -n 5000 | tr -d '\n'
		printf 1
		yes '}' | head -n 5000 | tr -d '\n'
		printf '}\n'
		ping 'A end'
	} | timeout $((20 * slow)) "$fixture" >"$tmp/out" &&
		equal "$(jq -c '[.id, .error.code]' "$tmp/out" | tr -d '\n')" \
			'[null,-32700][11,-32600][12,-32600]["A end",null]' &&
		grep -q '"id":"A end"' "$tmp/out"
}
ok "junk, 11 MB in a line and 5000 levels are refused and survived" hostile
http_status() {
	curl -s --max-time "$((30 * slow))" -o "$tmp/body" -w '%{http_code}' "$@" "$url"
}
refuses() {
	equal "$(http_status -H 'Host: evil.example.com')" 403 &&
		equal "$(http_status -H 'Origin: http://evil.example.com')" 403 &&
		equal "$(http_status -X PUT)" 405 &&
		equal "$(http_status -X DELETE -H 'Mcp-Session-Id: x')" 404 &&
		equal "$(http_status -d '[]' -H 'Content-Type: application/json')" 400
}
ok "HTTP from elsewhere, and nonsense, is refused" refuses

done_testing
