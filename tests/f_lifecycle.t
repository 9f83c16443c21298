#!/bin/sh
# Operations of a session's life: create, prompt's surroundings, resume, close,
# destroy, kill.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
home_vm=$VM

# --- create ---------------------------------------------------------------

f045_create() {
	new_session && pid=$(agent_pid "$SES") && [ -n "$pid" ] &&
		descendants "$(guest_pid "$VM")" | grep -qx "$pid" &&
		equal "$(cat "/proc/$pid/comm")" echo-agent
}
ok "F045 the agent runs below the guest daemon" f045_create
first=$SES

# f046_nothing_left ERROR EXIT AGENT [OPTION]...
f046_nothing_left() {
	sessions=$(sql 'SELECT count(*) FROM session')
	secrets=$(sql 'SELECT count(*) FROM secret')
	vm_processes "$VM" >"$tmp/before"
	error=$1 code=$2
	shift 2
	refused "$error" "$code" hib session create --vm "$VM" --agent "$@" &&
		equal "$(sql 'SELECT count(*) FROM session')" "$sessions" &&
		equal "$(sql 'SELECT count(*) FROM secret')" "$secrets" &&
		until_true 10 none_but "$tmp/before" "$VM"
}
jq '.disabled = true | .name = "off"' images/agents/echo.json \
	>"$HIB_HOME/agents/off.json"
echo '{"name":"broken","command":7}' >"$HIB_HOME/agents/broken.json"
ok "F046 nothing is left of a create with an unknown agent" \
	f046_nothing_left agent_unknown 5 nosuch
ok "F046 nor with a disabled one" \
	f046_nothing_left agent_unknown 5 off
ok "F046 nor with a manifest that is wrong" \
	f046_nothing_left invalid_argument 5 broken
ok "F046 F049 nor with a folder that is not there" \
	f046_nothing_left cwd_not_found 5 echo --cwd /workspace/nowhere
ok "F046 nor with a variable that is none" \
	f046_nothing_left invalid_argument 5 echo --env =x
ok "F046 session.created is the first event" holds "$first" \
	'.[0].type == "session.created" and .[0].seq == 1'

f047_boots_first() {
	hib vm stop "$home_vm" &&
		new_session && hib vm events "$home_vm" --json |
		jq -e --argjson made "$(session_field "$SES" created_ms)" \
			'map(select(.type == "vm.booted")) | length == 2 and
			last.ts_ms <= $made + 5'
}
ok "F047 a stopped VM is booted before the session is made" f047_boots_first

f049_cwd() {
	says "$SES" '!run mkdir -p /workspace/p' 'exit: 0' &&
		says "$SES" '!cwd' /workspace &&
		new_session --cwd /workspace/p &&
		says "$SES" '!cwd' /workspace/p
}
ok "F049 the agent works where it was told" f049_cwd

f050_once() {
	new_session --instructions 'Speak like a pirate.' &&
		says "$SES" one 'one' >"$tmp/x"
	says "$SES" two two && equal "$(log_json "$SES" |
		jq -r 'select(.type == "acp.request" and .data.dir == "out") |
			.data.msg | tostring' | grep -o 'like a pirate' | wc -l)" 1 &&
		session_field "$SES" config | grep -q 'like a pirate'
}
ok "F050 instructions reach the agent once and are on record" f050_once

f050_native() {
	agent system --system-prompt &&
		SES=$(hib session create --vm "$VM" --agent system \
			--instructions 'Be brief.') &&
		prompt "$SES" '!meta' | grep -q 'Be brief' &&
		says "$SES" '!preamble' ''
}
ok "F050 an agent with a system prompt gets them there" f050_native

f051_flag() {
	new_session --skip-os-instructions && says "$SES" '!preamble' '' &&
		http GET "/v1/sessions/$SES" | grep -q -i 'skip'
}
ok "F051 without the OS instructions there is no block before the prompt" \
	f051_flag

# --- cancel ---------------------------------------------------------------

f055_cancel() {
	new_session && pid=$(prompt "$SES" '!pid') &&
		prompt_bg "$SES" '!sleep 60000' || return 1
	start=$(now_ms)
	hib cancel "$SES" || return 1
	[ $(($(now_ms) - start)) -lt $((2000 * slow)) ] &&
		hib session turns "$SES" --json |
		jq -e "any(.id == \"$TURN\" and .state == \"cancelled\")" &&
		says "$SES" '!pid' "$pid"
}
ok "F055 a cancelled turn ends in 2 s, the process stays" f055_cancel
ok "F056 there is nothing to cancel in an idle session" \
	unchanged "$SES" refused no_turn 7 hib cancel "$SES"

f055_stubborn() {
	prompt_bg "$SES" '!ignorecancel;;!hang' || return 1
	hib cancel "$SES" && wait_turn "$SES" "$TURN" | grep -q cancelled &&
		says "$SES" '!say hi' hi
}
ok "F055 an agent that ignores cancel is ended, the session goes on" \
	f055_stubborn

# --- resume ---------------------------------------------------------------

f057_preamble() {
	new_session && says "$SES" 'my name is Ada' 'my name is Ada' &&
		hib vm sleep "$VM" && hib session resume "$SES" >"$tmp/how" &&
		grep -q transcript "$tmp/how" &&
		prompt "$SES" 'what did I say' | grep -q 'my name is Ada'
}
ok "F057 after a sleep the agent knows what was said" f057_preamble

f057_native() {
	agent native --load --store /home/user &&
		SES=$(hib session create --vm "$VM" --agent native) &&
		says "$SES" 'remember me' 'remember me' &&
		hib vm sleep "$VM" && hib session resume "$SES" >"$tmp/how" &&
		grep -q native "$tmp/how" &&
		equal "$(prompt "$SES" 'what did I say')" 'remember me' &&
		holds "$SES" '[.[] | select(.type == "acp.update" and
			.data.msg.params.update.sessionUpdate ==
			"user_message_chunk")] | length == 0'
}
ok "F057 an agent that can load goes on by itself, nothing stored twice" \
	f057_native

f057_refused() {
	agent forgetful --load &&
		SES=$(hib session create --vm "$VM" --agent forgetful) &&
		says "$SES" 'once more' 'once more' && hib vm sleep "$VM" &&
		hib session resume "$SES" >"$tmp/how" &&
		grep -q transcript "$tmp/how" &&
		prompt "$SES" 'what did I say' | grep -q 'once more'
}
ok "F057 an agent that cannot load after all gets the transcript" f057_refused

f058_live() {
	new_session && pid=$(prompt "$SES" '!pid') &&
		unchanged "$SES" hib session resume "$SES" >"$tmp/how" &&
		grep -q live "$tmp/how" && says "$SES" '!pid' "$pid"
}
ok "F058 resume of a live session starts nothing" f058_live

f061_stop() {
	hib session suspend "$SES" && state_is "$SES" suspended &&
		equal "$(agent_pid "$SES")" '' && says "$SES" '!say hi' hi &&
		holds "$SES" 'map(.type) | rindex("session.resumed") <
			rindex("turn.started")'
}
ok "F061 a stopped session's agent comes back with the next prompt" f061_stop

f013_resume_failed() {
	new_session && exits 1 prompt "$SES" '!exit 3' &&
		state_is "$SES" failed &&
		refused session_failed 7 prompt "$SES" hi &&
		hib session resume "$SES" && says "$SES" '!say hi' hi
}
ok "F039 a failed session is resumed on demand only" f013_resume_failed

# --- close, kill, destroy ---------------------------------------------------

f059_close() {
	vm_processes "$VM" >"$tmp/before"
	new_session && says "$SES" '!orphan' orphan || return 1
	vm_processes "$VM" | grep -vxFf "$tmp/before" >"$tmp/its"
	all=$(log_json "$SES" | wc -l)
	[ "$(wc -l <"$tmp/its")" -ge 3 ] && hib session close "$SES" &&
		state_is "$SES" closed && equal "$(agent_pid "$SES")" '' &&
		while read -r pid start; do
			not alive "$pid" "$start" || return 1
		done <"$tmp/its" &&
		[ "$(log_json "$SES" | wc -l)" -gt "$all" ]
}
ok "F059 close ends every process, orphans too, and keeps the log" f059_close

f059_acp_close() {
	agent closing --close && AGENT=closing new_session &&
		hib session close "$SES" && holds "$SES" '
		any(.data.msg.method == "session/close") and
		(last(.[] | select(.type == "agent.exited")) | .data.code == 0)'
}
ok "F059 an agent that can is told to close its session" f059_acp_close

f062_kill() {
	new_session && says "$SES" '!ignoreterm;;!say x' x &&
		prompt_bg "$SES" '!ignorecancel;;!sleep 600000' || return 1
	start=$(now_ms)
	hib session kill "$SES" && state_is "$SES" closed &&
		[ $(($(now_ms) - start)) -lt $((10000 * slow)) ] &&
		http GET '/v1/sessions?state=closed' |
		jq -e "any(.id == \"$SES\")"
}
ok "F062 a hung agent is killed within 10 s" f062_kill

marker=zebra-$(new_id x)
traces() {
	grep -rlaF "$marker" "$HIB_HOME" --include='*.db*' --include='*.log' \
		--include='*.sock*' --include='key'
}
f060_destroy() {
	new_session --title "$marker" && says "$SES" "$marker" "$marker" &&
		traces && hib session destroy "$SES" &&
		answers 404 session_not_found GET "/v1/sessions/$SES" &&
		not traces
}
ok "F060 after destroy no file holds a byte of it" f060_destroy

# kept_by_agent - how many sessions the agents hold.
kept_by_agent() {
	find "$HIB_HOME/vms/$VM/disk/home" -name 'echo-*' | wc -l
}
f060_agent() {
	agent deleting --delete --load --store /home/user &&
		kept=$(kept_by_agent) && AGENT=deleting new_session &&
		says "$SES" hi hi && equal "$(kept_by_agent)" $((kept + 1)) &&
		prompt_bg "$SES" '!hang' && hib session destroy "$SES" &&
		equal "$(kept_by_agent)" "$kept"
}
ok "F060 an agent that can deletes its own session, also during a turn" f060_agent
f060_deaf() {
	AGENT=deleting new_session && says "$SES" '!stdinstop;;!say x' x &&
		timeout "$((3 * slow))" "$O/bin/hib" session destroy "$SES" &&
		answers 404 session_not_found GET "/v1/sessions/$SES"
}
ok "F060 one that does not answer is not waited for" f060_deaf

f060_id_stays_taken() {
	answers 409 already_exists POST /v1/sessions \
		"{\"id\":\"$SES\",\"vm\":\"$VM\",\"agent\":\"echo\"}"
}
ok "F060 its id is not given again" f060_id_stays_taken

f074_archive() {
	new_session && says "$SES" hi hi && hib session archive "$SES" &&
		http GET /v1/sessions | jq -e "all(.id != \"$SES\")" &&
		hib session list --archived --json |
		jq -e "any(.id == \"$SES\")" &&
		unchanged "$SES" refused session_archived 7 prompt "$SES" no &&
		hib session unarchive "$SES" && hib session resume "$SES" &&
		says "$SES" '!say hi' hi
}
ok "F074 an archived session is hidden, read-only, and comes back" f074_archive

f077_transfer() {
	hib export "$SES" -o "$tmp/export" && log_json "$SES" >"$tmp/log" &&
		HIB_HOME=$tmp/other && mkdir -m 700 "$HIB_HOME" &&
		hib import "$tmp/export" && log_json "$SES" |
		head -n "$(wc -l <"$tmp/log")" | cmp - "$tmp/log"
	result=$?
	kill_hibd TERM
	HIB_HOME=$tmp/home
	return "$result"
}
ok "F077 an exported session reads the same elsewhere" f077_transfer

f073_run() {
	equal "$(hib run --agent echo 'one shot' 2>"$tmp/err")" 'one shot' &&
		ran=$(grep -o 'ses_[0-9a-f]*' "$tmp/err" | head -n 1) &&
		state_is "$ran" closed && holds "$ran" 'length > 10' &&
		equal "$(hib vm list --json | jq length)" 1
}
ok "F021 run makes a VM, prompts, and leaves only the log" f073_run

long_name() {
	name=$(printf '%064d' 7)
	hib vm create --name "$name" --no-boot && hib vm stop "$name" &&
		hib vm destroy "$name" && not hib vm create --name "${name}x"
}
ok "a VM is found by the longest name it may have" long_name

done_testing
