#!/bin/sh
# Agents that run before there is a session for them.
# shellcheck disable=SC2119
. tests/lib.sh

# event SES TYPE - the data of the first event of that type.
event() {
	log_json "$1" | jq -c "select(.type == \"$2\").data" | head -n 1
}
was_prewarmed() {
	event "$1" agent.started | jq -e '.prewarmed_ms > 0'
}

new_vm
prewarmed_pid() {
	hib vm prewarm --agent echo "$@" --json "$VM" | jq .pid
}

taken() {
	pid=$(prewarmed_pid) && [ "$pid" -gt 1 ] && new_session &&
		equal "$(event "$SES" agent.started | jq .pid)" "$pid" &&
		was_prewarmed "$SES" && says "$SES" '!say hi' hi &&
		equal "$(http GET "/v1/sessions/$SES?live=1" | jq .live.pid)" "$pid"
}
ok "a session takes the agent that waits" taken
told_all() {
	log_json "$SES" | jq -r '.type + " " + (.data.msg.method // "")' |
		head -n 8 >"$tmp/types"
	equal "$(sed 's/ *$//' "$tmp/types")" "session.created
agent.started
acp.request initialize
acp.response
acp.request session/new
acp.response
session.ready
session.state"
}
ok "its log has all that was said, in order" told_all
once() {
	new_session && not was_prewarmed "$SES" && says "$SES" '!say hi' hi
}
ok "the next one starts its own" once
fits() {
	pid=$(prewarmed_pid --env A=1) && new_session && not was_prewarmed "$SES" &&
		new_session --env A=2 && not was_prewarmed "$SES" &&
		new_session --env A=1 --cwd / && not was_prewarmed "$SES" &&
		new_session --env A=1 --max-files 100 &&
		not was_prewarmed "$SES" &&
		new_session --env A=1 && was_prewarmed "$SES" &&
		says "$SES" '!env A' 1 &&
		equal "$(event "$SES" agent.started | jq .pid)" "$pid"
}
ok "one that does not fit is not touched" fits
vm_program fake/mcp_server
servers() {
	jq -n '{mcpServers: {x: {command: "/opt/agents/mcp_server",
		required: true}}}' >"$tmp/mcp.json"
	pid=$(prewarmed_pid) && new_session --mcp-config "$tmp/mcp.json" &&
		was_prewarmed "$SES" &&
		says "$SES" '!mcp call x echo {"message":"in"}' in
}
ok "its MCP servers are reached by a socket made before" servers
limits() {
	pid=$(prewarmed_pid) &&
		new_session && was_prewarmed "$SES" &&
		holds "$SES" 'any(.type == "session.ready" and
			.data.limits.processes.limit > 0)' &&
		equal "$(in_vm "$SES" 'id -u; pwd; ls /hib/state 2>/dev/null')" \
			"1000
/workspace"
}
ok "it has the limits and the sight of any other" limits
refusals() {
	refused agent_unknown 5 hib vm prewarm --agent none "$VM" &&
		refused vm_not_found 6 hib vm prewarm --agent echo none &&
		refused invalid_argument 5 hib vm prewarm --agent echo --env A "$VM" &&
		agent mute --no-answer &&
		refused start_timeout 8 hib vm prewarm --agent mute \
			--start-timeout-ms 200 "$VM" &&
		agent gone --exit-on-start 3 &&
		refused agent_exited 2 hib vm prewarm --agent gone "$VM"
}
ok "what cannot be prewarmed is said, with the reason" refusals
too_many() {
	for n in 1 2 3 4; do
		hib vm prewarm --agent echo --env "N=$n" "$VM" || return 1
	done
	refused limit_sessions 4 hib vm prewarm --agent echo --env N=5 "$VM"
}
ok "four may wait" too_many
slept() {
	hib vm sleep "$VM" && new_session --env N=1 && not was_prewarmed "$SES" &&
		says "$SES" '!say hi' hi && equal "$(hib vm prewarm --agent echo \
		--env N=5 --json "$VM" | jq -r .agent)" echo
}
ok "a cold sleep ends them" slept
kept() {
	hib vm suspend "$VM" >"$tmp/x" || return 1
	new_session --env N=5 && was_prewarmed "$SES" && says "$SES" '!say hi' hi
}
if hib help | grep -q 'vm suspend'; then
	ok "a warm sleep keeps them" kept
else
	skip "a warm sleep keeps them" "there is none"
fi

done_testing
