#!/bin/sh
# Agents that run before there is a session for them: in a VM, and in an image,
# whose VMs begin with one.
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
#   IMAGE             small (default), or small-tiny
# shellcheck disable=SC2016,SC2119 # $ is for jq
. tests/lib.sh
. tests/machine.sh

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
	suspend_vm >"$tmp/x" || return 1
	new_session --env N=5 && was_prewarmed "$SES" && says "$SES" '!say hi' hi
}
ok "a warm sleep keeps them" kept

# --- images -------------------------------------------------------------------

image=${IMAGE:-small}
PATIENCE=120
need_image "an image is prewarmed" "$image" long
hib vm destroy --force "$VM"
rm "$HIB_HOME/images" && mkdir "$HIB_HOME/images" &&
	ln -s "$cache/$image" "$HIB_HOME/images/img"

machine() {
	new_vm --backend qemu --image img "$@"
}
# Did the VM go on from a template?
went_on() {
	hib vm events --json "$VM" | jq -es 'flatten | any(.type == "vm.prewarmed")'
}
warm_row() {
	hib image inspect img | jq -c "$1"
}

template() {
	warm_row .warm.vm | tr -d '"'
}
# templates WHERE - how many there are in the catalog.
templates() {
	sql "SELECT count(*) FROM vm WHERE config->'$.template' IS NOT NULL AND $1"
}
has_templates() {
	equal "$(templates "$1")" "$2"
}

warmed() {
	equal "$(warm_row .warm)" null &&
		hib image warm --agent echo --env A=1 img &&
		equal "$(warm_row '.warm | [.agent, .fresh]')" '["echo",true]' &&
		hib image list | grep -q '^img .* echo ' &&
		equal "$(hib vm list --json)" '[]'
}
ok "an image gets a template, which is no VM of anybody's" warmed
went() {
	machine && went_on && new_session --env A=1 && was_prewarmed "$SES" &&
		says "$SES" '!say hi' hi && says "$SES" '!env A' 1 &&
		equal "$(in_vm "$SES" 'cat /etc/hostname')" \
			"$(in_vm "$SES" hostname)" &&
		new_session && not was_prewarmed "$SES" && says "$SES" '!say hi' hi
}
ok "a VM of it goes on from there, with its agent" went
first=$VM
twins() {
	machine && went_on && new_session --env A=1 && was_prewarmed "$SES" &&
		b=$(in_vm "$SES" 'echo $(cat /proc/sys/kernel/random/uuid)') &&
		b_name=$(in_vm "$SES" hostname) && VM=$first &&
		new_session --env B=1 && a_name=$(in_vm "$SES" hostname) &&
		a=$(in_vm "$SES" 'echo $(cat /proc/sys/kernel/random/uuid)') &&
		[ "${#a}" -eq 36 ] && [ "${#b}" -eq 36 ] && [ "$a" != "$b" ] &&
		[ "$a_name" != "$b_name" ]
}
ok "another one is another machine" twins
sleeps() {
	hib vm sleep "$VM" && says "$SES" '!say awake' awake &&
		in_vm "$SES" 'echo mine >kept' && hib vm sleep "$VM" &&
		equal "$(in_vm "$SES" 'cat kept')" mine
}
ok "it sleeps and boots like any other" sleeps
# As if hibd had died before the VM ran.
hangs() {
	machine && hib vm stop "$VM" && old=$(template) && kill_hibd KILL &&
		sqlite3 "$HIB_HOME/hib.db" "UPDATE vm SET config=json_set(config,
			'$.origin',$(warm_row .warm.snapshot | tr '"' "'")) WHERE id='$VM'" &&
		hib daemon start && hib image warm --agent echo --env A=1 img &&
		[ "$(template)" != "$old" ] &&
		refused not_ready 7 hib image cool img && test -d "$HIB_HOME/vms/$old/snapshots" &&
		new_session --env A=1 && was_prewarmed "$SES" &&
		hib vm destroy --force "$VM" && kill_hibd TERM && hib daemon start &&
		until_true 10 not test -e "$HIB_HOME/vms/$old" && has_templates 1 1
}
ok "a template stays until those made of it have run" hangs
# One whose memory does not fit any more boots.
boots_then() {
	machine && hib vm stop "$VM" && kill_hibd KILL && sqlite3 "$HIB_HOME/hib.db" \
		"UPDATE vm SET config=json_set(config,
			'$.origin',$(warm_row .warm.snapshot | tr '"' "'")) WHERE id='$VM'" &&
		about=$HIB_HOME/vms/$(template)/snapshots/$(warm_row .warm.snapshot |
			tr -d '"')/memory.json && cp "$about" "$tmp/about" &&
		jq -c '.cpus = 9' "$tmp/about" >"$about" && hib daemon start &&
		not new_session && new_session && says "$SES" '!say hi' hi &&
		cp "$tmp/about" "$about" && hib vm destroy --force "$VM"
}
ok "a VM that cannot go on from it boots when it is asked for again" boots_then
not_used() {
	machine --no-template && not went_on && hib vm destroy --force "$VM" &&
		machine --memory 384 && not went_on && hib vm destroy --force "$VM"
}
ok "one that is to be otherwise is booted" not_used
outdated() {
	agent other && equal "$(warm_row .warm.fresh)" false &&
		hib image list | grep -q '^img .*outdated' && machine &&
		not went_on && new_session --agent other &&
		says "$SES" '!say hi' hi && hib vm destroy --force "$VM"
}
ok "when agents are others than then it is not used" outdated
replaced() {
	old=$(template) && hib image warm --agent other img &&
		equal "$(warm_row .warm.agent)" '"other"' &&
		until_true 10 not test -e "$HIB_HOME/vms/$old" && machine &&
		went_on && new_session --agent other && was_prewarmed "$SES" &&
		hib vm destroy --force "$VM"
}
ok "a new template takes the place of the old one" replaced
damaged() {
	echo none >"$HIB_HOME/vms/$(template)/snapshots/$(warm_row \
		.warm.snapshot | tr -d '"')/state" && machine &&
		new_session && says "$SES" '!say hi' hi && hib vm destroy --force "$VM"
}
ok "from one that is damaged nothing goes on, and a boot follows" damaged
refused_ones() {
	refused agent_unknown 5 hib image warm --agent none img &&
		refused invalid_argument 5 hib image warm --agent echo nothing &&
		agent mute --no-answer && refused start_timeout 8 hib image warm \
		--agent mute --start-timeout-ms 500 img &&
		has_templates 1 1
}
ok "what cannot be made leaves nothing" refused_ones
cut_off() {
	hib image warm --agent echo img 2>"$tmp/x" &
	until_true 20 has_templates "state='running'" 1 || return 1
	kill_hibd KILL
	wait "$!"
	hib daemon start >"$tmp/x" &&
		until_true 20 has_templates "config->>'$.template.snapshot' IS NULL" 0
}
ok "one that was cut off is gone" cut_off
cooled() {
	old=$(template) && hib image cool img &&
		until_true 10 eval 'equal "$(warm_row .warm)" null' &&
		until_true 10 not test -e "$HIB_HOME/vms/$old" && VM=$first &&
		new_session && says "$SES" '!say hi' hi
}
ok "without it those that came of it go on" cooled
hib vm destroy --force "$first"

done_testing
