#!/bin/sh
# MCP servers and secrets as the host has them: what is taken, what is refused,
# what is sealed, and what is never shown.
# shellcheck disable=SC2016,SC2119 # shells in VMs expand; new_vm needs no options
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

# --- secrets ----------------------------------------------------------------

new_mark() {
	mark=mark-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
}
new_mark

# set_secret NAME VALUE
set_secret() {
	printf '%s\n' "$2" | hib secret set "$1"
}

# No file of the host or of a VM has the mark, neither as it is nor in hex.
nowhere() {
	_hex=$(printf '%s' "$mark" | od -An -tx1 | tr -d ' \n')
	not grep -rlF -e "$mark" -e "$_hex" "$HIB_HOME"
}

f190_set() {
	set_secret key-1 "$mark" && hib secret ls --json |
		jq -e 'length == 1 and .[0].name == "key-1" and
			(.[0] | has("value") | not)' && nowhere
}
ok "F190 a secret is listed by name and sealed" f190_set
ok "F190 a secret without a value is refused" exits 5 hib secret set empty \
	</dev/null
ok "F234 a secret of 64 KiB and one byte is refused" answers 413 \
	message_too_large PUT /v1/secrets/big "$(head -c 65537 /dev/zero |
		tr '\0' x | jq -Rsc '{value: .}')"
ok "a secret's name is plain" answers 400 invalid_argument PUT \
	"/v1/secrets/a%20b" '{"value":"x"}'

f190_in_env() {
	new_session --env-secret TOKEN=key-1 --env PLAIN=yes &&
		in_vm "$SES" 'echo "$TOKEN" | rev' &&
		equal "$(rev <"$tmp/said" | tr -d '\n')" "$mark"
	# What the agent says is its own; the rest of the host has no mark.
	holds "$SES" '.[0].data.env_names | sort == ["PLAIN", "TOKEN"]' &&
		nowhere
}
ok "F190 the agent has it in its environment, and no file" f190_in_env

f191_only_who_names_it() {
	new_session && in_vm "$SES" 'test -z "$TOKEN"'
}
ok "F191 a session that does not name it has it not" f191_only_who_names_it

f_set_anew() {
	new_session --env-secret TOKEN=key-1 && set_secret key-1 second-value &&
		hib session suspend "$SES" &&
		in_vm "$SES" 'test "$TOKEN" = second-value'
}
ok "a secret that is set anew counts from the next start on" f_set_anew

f081_missing() {
	_before=$(before)
	answers 412 agent_auth_required POST /v1/sessions \
		"$(create '{}' '"env":{"A":{"secret":"not-there"}}')" &&
		jq -e '.data.names == ["not-there"]' "$tmp/body" &&
		equal "$(before)" "$_before"
}
ok "F081 a secret that is not there is named" f081_missing

f081_by_name() {
	jq '.name = "needs" | .env = [{name: "NEEDED_KEY", required: true}]' \
		"$HIB_HOME/agents/plain.json" >"$HIB_HOME/agents/needs.json"
	answers 412 agent_auth_required POST /v1/sessions \
		"{\"agent\":\"needs\",\"vm\":\"$VM\"}" &&
		jq -e '.data.names == ["NEEDED_KEY"]' "$tmp/body" &&
		set_secret NEEDED_KEY from-the-vault &&
		AGENT=needs new_session && needs=$SES &&
		in_vm "$SES" 'test "$NEEDED_KEY" = from-the-vault'
}
agent plain
ok "F081 what a manifest requires is taken from the secret of that name" \
	f081_by_name

f193_stderr() {
	set_secret key-1 "$mark" && new_session --env-secret TOKEN=key-1 &&
		prompt "$SES" "!stderr it is $mark." &&
		wait_for "$SES" '"agent.stderr"' >/dev/null &&
		holds "$SES" '[.[] | select(.type == "agent.stderr")][0].data.text
			== "it is [redacted]."'
}
ok "F193 a secret that the agent writes to stderr is redacted" f193_stderr
ok "F193 what is said is marked, and stays" holds "$SES" "
	[.[] | select(.type == \"input.message\")][0] |
	.ctx.secret == true and (.data.content[0].text | contains(\"$mark\"))"

f193_strict() {
	new_session --env-secret TOKEN=key-1 --config '{"redact":"strict"}' &&
		prompt "$SES" "!say it is $mark." && hib vm sleep "$VM" &&
		prompt "$SES" "!say again $mark." && not grep -q "$mark" <<-EOT
			$(hib export "$SES")
		EOT
	_r=$?
	holds "$SES" 'any(.data.msg.params.update.content.text? ==
		"again [redacted].")' && return "$_r"
}
ok "F193 in a strict session no secret is stored, also after a wake" f193_strict

f193_start() {
	shell_agent tells 'echo "no good: $TOKEN" >&2; exit 3'
	http POST /v1/sessions "{\"agent\":\"tells\",\"vm\":\"$VM\",
		\"env\":{\"TOKEN\":{\"secret\":\"key-1\"}}}" &&
		jq -e '.data.stderr_tail == "no good: [redacted]\n"' \
			"$tmp/body" &&
		not grep -q "$mark" "$HIB_HOME/vms/$VM/console.log"
}
ok "F193 a start that fails tells of it without the secret" f193_start

# A server with a secret, which it says on stderr and in an answer.
f193_server() {
	new_mark # The last one was said in prompts.
	vm_program fake/mcp_server
	set_secret key-1 "$mark"
	http POST /v1/sessions "$(create '{"fake":{"required":true,
		"command":"/opt/agents/mcp_server",
		"env":{"TOKEN":{"secret":"key-1"}}}}')" >/dev/null &&
		SES=$(jq -r .session.id "$tmp/body") &&
		equal "$(hib mcp call "$SES" fake env '{"name":"TOKEN"}')" \
			"$mark" &&
		hib mcp call "$SES" fake stderr \
			"{\"text\":\"I have $mark\",\"times\":1}" &&
		wait_for "$SES" 'I have \[redacted\]' >/dev/null &&
		holds "$SES" 'any(.type == "mcp.call")' && nowhere
}
ok "F193 a server's secret is in no event of it" f193_server

f193_failed() {
	http POST /v1/sessions "$(create '{"bad":{"required":true,
		"command":"/bin/sh","args":["-c","echo $TOKEN >&2; exit 3"],
		"startupTimeoutMs":5000,
		"env":{"TOKEN":{"secret":"key-1"}}}}')" &&
		jq -e '.data.code == "mcp_start_failed"' "$tmp/body" &&
		not grep -q "$mark" "$tmp/body" && nowhere
}
ok "F193 nor in the words of a server that does not start" f193_failed

f_removed() {
	SES=$needs
	hib secret rm NEEDED_KEY && hib session suspend "$SES" &&
		refused agent_auth_required 3 hib session resume "$SES" &&
		refused key_not_found 6 hib secret rm NEEDED_KEY
}
ok "a secret that was removed starts nothing any more" f_removed

f_token() {
	TOKEN=$(hib token create --scope admin "$SES") &&
		answers 403 forbidden GET /v1/secrets &&
		answers 403 forbidden PUT /v1/secrets/x '{"value":"y"}'
	_r=$?
	TOKEN=
	return "$_r"
}
ok "a token for one session reaches no secret" f_token

done_testing
