#!/bin/sh
# MCP servers and secrets as the host has them: what is taken, what is refused,
# what is sealed, and what is never shown.
# shellcheck disable=SC2119 # new_vm takes no options
. tests/lib.sh

# --- what a session is made with --------------------------------------------

new_vm
server='{"command":"/bin/true","start":"lazy","env":{"TOKEN":"mark-in-env"}}'

# create MCP [MEMBERS] - the body of a request that makes a session.
create() {
	echo "{\"agent\":\"echo\",\"vm\":\"$VM\",\"mcpServers\":$1${2:+,$2}}"
}

before() {
	sql "SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM secret)"
	descendants "$(guest_pid "$VM")" | wc -l
}

# A bad server leaves no row, no secret and no process (F046).
f046_refused() {
	_before=$(before)
	answers 400 invalid_argument POST /v1/sessions "$(create "$1")" &&
		jq -e --arg m "$2" '.message == $m' "$tmp/body" &&
		equal "$(before)" "$_before"
}
ok "F046 a server that is no object is refused" f046_refused '{"a":7}' \
	"mcpServers.a: an object"
ok "F046 one without a command is refused" f046_refused \
	'{"a":{"type":"local"}}' "mcpServers.a.command: is missing"
ok "F046 a member that nobody knows is refused" f046_refused \
	'{"a":{"command":"x","tool":{}}}' \
	"mcpServers.a.tool: there is no such member of a local server"
ok "F234 33 servers are refused" f046_refused \
	"$(jq -nc '[range(33) | {name: "s\(.)", command: "x"}]')" \
	"mcpServers: 33; at most 32"

f_same_hash() {
	id=$(new_id ses)
	http POST /v1/sessions "$(create "{\"a\":$server}" "\"id\":\"$id\"")" &&
		http POST /v1/sessions \
			"$(create "{\"a\":$server}" "\"id\":\"$id\"")" |
		jq -e ".session.id == \"$id\"" &&
		answers 409 session_conflict POST /v1/sessions \
			"$(create '{}' "\"id\":\"$id\"")"
}
ok "the servers are a part of what makes two creations the same" f_same_hash

f_names_only() {
	holds "$id" '.[0].data.mcp | length == 1 and .[0].name == "a"' &&
		not grep -q mark-in-env <<-EOT
			$(log_json "$id")
		EOT
}
ok "the log has the names of servers and no values" f_names_only

f_cli() {
	cat >"$tmp/mcp.json" <<-'EOT'
		{"mcpServers": {"one": {"command": "/bin/true",
			"start": "lazy"}}}
	EOT
	new_session --mcp-config "$tmp/mcp.json" --mcp-builtin kv,memory &&
		holds "$SES" '.[0].data.mcp | map(.name) | sort ==
			["kv", "memory", "one"]'
}
ok "the command line takes servers from a file and by name" f_cli
ok "a header without its server is wrong usage" exits 5 hib session create \
	--agent echo --mcp-header "x:A: b"
ok "a command that does not end is wrong usage" exits 5 hib session create \
	--agent echo --mcp "x=sh -c 'a"

done_testing
