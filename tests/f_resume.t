#!/bin/sh
# How an agent is started again and gets its context back.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm

# says_of NAME FILTER - change the manifest of an agent.
says_of() {
	jq "$2" "$HIB_HOME/agents/$1.json" >"$tmp/manifest" &&
		mv "$tmp/manifest" "$HIB_HOME/agents/$1.json"
}

# asleep AGENT TEXT - a session of that agent that was told the text and sleeps.
asleep() {
	SES=$(hib session create --vm "$VM" --agent "$1") &&
		says "$SES" "$2" "$2" && hib session suspend "$SES"
}

# last_of TYPE FILTER - true of the data of the last event of that type.
last_of() {
	log_json "$SES" | jq -se "map(select(.type == \"$1\")) | last | .data | $2"
}

count_of() {
	log_json "$SES" | jq -s "map(select(.type == \"$1\")) | length"
}


# --- the ladder -------------------------------------------------------------

agent loads --load --no-resume --store /home/user
f057_load() {
	asleep loads 'the word is plum' &&
		hib session resume "$SES" | grep native &&
		last_of session.resumed '.restore == "native" and
			.replay == {updates: 4, same: true, user_same: true} and
			(has("refused") | not)' &&
		equal "$(prompt "$SES" 'what did I say')" 'the word is plum'
}
ok "F057 a loaded session is compared with the log" f057_load
f057_once() {
	holds "$SES" 'map(select(.type == "acp.update") |
		.data.msg.params.update) |
		(map(select(.sessionUpdate == "user_message_chunk")) == []) and
		(map(select(.sessionUpdate == "available_commands_update")) |
			length == 1) and
		(map(.content.text // empty) | join("") ==
			"the word is plumthe word is plum")'
}
ok "F057 what is repeated is not stored, and news are" f057_once

agent refuses --load --store /home/user --fail-load -32002
f057_why() {
	asleep refuses 'pear' && prompt "$SES" 'what did I say' | grep pear &&
		last_of session.resumed '.restore == "transcript" and
			.refused == [{rung: "native", method: "session/resume",
				code: -32002, message: "not this one"}]'
}
ok "F057 a refused native step is told with the reason" f057_why

agent dies --load --store /home/user --crash-on-load 9
f057_crash() {
	asleep dies 'fig' && prompt "$SES" 'what did I say' | grep fig &&
		last_of session.resumed '.restore == "transcript" and
			.refused[0].rung == "native" and
			.refused[0].code == 50202' &&
		equal "$(count_of agent.started)" 3 &&
		last_of agent.exited '.code == 9'
}
ok "F057 an agent that loading kills is started again without it" f057_crash

agent hangs --load --no-resume --store /home/user --hang-on-load
f057_hang() {
	asleep hangs 'kiwi' &&
		http POST "/v1/sessions/$SES/resume" \
			'{"startTimeoutMs":4000}' >"$tmp/x"
	last_of session.resumed '.restore == "transcript" and
		.refused[0].method == "session/load" and
		.refused[0].code == 50402' &&
		prompt "$SES" 'what did I say' | grep kiwi
}
ok "F057 one that hangs in it, too" f057_hang

agent wrong --load --no-resume --store /home/user --replay-wrong
f057_wrong() {
	asleep wrong 'lime' && hib session resume "$SES" | grep native &&
		last_of session.resumed '.replay == {updates: 2, same: false,
			user_same: true}'
}
ok "F057 an agent that remembers something else is found out" f057_wrong

agent noload --load --no-resume --store /home/user
says_of noload '.quirks = {no_load: true}'
f057_no_load() {
	asleep noload 'date' && hib session resume "$SES" | grep transcript &&
		last_of session.resumed 'has("refused") | not'
}
ok "F057 an agent whose session/load is no good is not asked for it" \
	f057_no_load

agent late --load --no-resume --store /home/user --replay-late 300
says_of late '.quirks = {late_replay_ms: 1000}'
f057_late() {
	asleep late 'plum' && hib session resume "$SES" | grep native &&
		last_of session.resumed '.replay.updates == 2 and .replay.same' &&
		f057_once_only plum
}
# The text stands once in the log as the agent's.
f057_once_only() {
	holds "$SES" "map(select(.type == \"acp.update\") |
		.data.msg.params.update.content.text) | map(select(. == \"$1\")) |
		length == 1"
}
ok "F057 an agent that repeats after its answer is waited for" f057_late

agent later --load --no-resume --store /home/user --replay-late 300
f057_later() {
	asleep later 'plum' && hib session resume "$SES" | grep native &&
		wait_for "$SES" available_commands_update 5 >"$tmp/x" &&
		f057_once_only plum && says "$SES" nut nut &&
		f057_once_only nut
}
ok "F057 or what it repeats up to the first prompt is not stored" f057_later

f057_none() {
	SES=$(hib session create --vm "$VM" --agent loads) &&
		hib session suspend "$SES" && hib session resume "$SES" |
		grep none && last_of session.resumed '.restore == "none"'
}
ok "F057 where nothing was said there is nothing to restore" f057_none

# --- forks ------------------------------------------------------------------

agent forks --load --fork --store /home/user
f065_fork() {
	asleep forks 'the word is plum' && source=$SES &&
		SES=$(hib fork "$source") && hib session resume "$SES" |
		grep native && last_of session.resumed '.replay.same' &&
		holds "$SES" 'map(select(.type == "acp.request" and
			.data.dir == "out").data.msg.method) | last ==
			"session/fork"' &&
		equal "$(prompt "$SES" 'what did I say')" 'the word is plum' &&
		hib session suspend "$SES" && says "$SES" more more &&
		last_of session.resumed '.restore == "native"' &&
		holds "$SES" '[.[] | select(.type == "session.ready") |
			.data.acp_session_id] | .[0] != .[1] and .[1] == .[2]'
}
ok "F065 an agent that can forks its session for a fork" f065_fork
f065_gone_on() {
	says "$source" 'something else' 'something else' &&
		SES=$(hib fork "$source") && says "$source" more more &&
		prompt "$SES" 'what did I say' | not grep more &&
		last_of session.resumed '.restore == "transcript"'
}
ok "F065 but not a session that has gone on" f065_gone_on

# --- agents that do not start -----------------------------------------------

shell_agent crashes '[ ! -e /workspace/crash ] || exit 7; exec /opt/hib/echo-agent'
f093_no_progress() {
	asleep crashes 'hi' && : >"$HIB_HOME/vms/$VM/disk/vfs/upper/crash" &&
		refused no_progress 2 prompt "$SES" hello &&
		state_is "$SES" failed &&
		last_of session.error '.code == "no_progress" and .exit == 7' &&
		equal "$(count_of agent.started)" 4 &&
		holds "$SES" 'map(select(.type == "agent.exited" and
			.data.code == 7)) | length == 3' &&
		equal "$(count_of turn.started)" 1
}
ok "F093 an agent that always ends while it is resumed is given up" \
	f093_no_progress
f093_explicit() {
	refused session_failed 7 prompt "$SES" hello &&
		rm "$HIB_HOME/vms/$VM/disk/vfs/upper/crash" &&
		hib session resume "$SES" | grep transcript &&
		prompt "$SES" 'what did I say' | grep hi
}
ok "F093 and comes back when it is resumed by hand" f093_explicit

shell_agent twice 'n=$(cat /workspace/n 2>/dev/null || echo 9)
	echo $((n + 1)) >/workspace/n
	[ "$n" -gt 2 ] || exit 7; exec /opt/hib/echo-agent'
f093_third() {
	asleep twice 'hi' && echo 1 >"$HIB_HOME/vms/$VM/disk/vfs/upper/n" &&
		chmod 666 "$HIB_HOME/vms/$VM/disk/vfs/upper/n" &&
		says "$SES" hello hello && equal "$(count_of agent.started)" 4 &&
		holds "$SES" '[.[] | select(.type == "agent.started") | .epoch] ==
			[1, 2, 3, 4]'
}
ok "F093 one that starts at the third try goes on" f093_third

f093_create() {
	: >"$HIB_HOME/vms/$VM/disk/vfs/upper/crash"
	id=$(new_id ses)
	refused agent_exited 2 hib session create --vm "$VM" --agent crashes \
		--id "$id"
	SES=$id
	equal "$(count_of agent.started)" 1 && state_is "$SES" failed
	_status=$?
	rm "$HIB_HOME/vms/$VM/disk/vfs/upper/crash"
	return "$_status"
}
ok "F093 a new session fails at the first" f093_create

agent newer --protocol 2
f231_version() {
	id=$(new_id ses)
	refused agent_protocol_error 2 hib session create --vm "$VM" \
		--agent newer --id "$id" &&
		grep 'protocol version 2, not 1' "$tmp/refused.err"
}
ok "an agent of another protocol version is told from a broken one" f231_version

agent locked --fail-new -32000 --auth key
auth_methods() {
	answers 412 agent_auth_required POST /v1/sessions \
		"{\"vm\":\"$VM\",\"agent\":\"locked\"}" &&
		jq -e '.data.methods | length > 0 and (.[0].id | type) == "string"' \
			"$tmp/body"
}
ok "an agent that wants a login names what it offers" auth_methods

# --- ends -------------------------------------------------------------------

agent deaf
says_of deaf '.quirks = {exit_ms: 0}'
exit_ms() {
	SES=$(hib session create --vm "$VM" --agent deaf) &&
		says "$SES" '!stdinstop' '' || return 1
	start=$(now_ms)
	hib session close "$SES" && [ $(($(now_ms) - start)) -lt 4000 ] &&
		last_of agent.exited '.signal == 15'
}
ok "an agent that does not see the end of its input is not waited for" exit_ms

# --- instructions -----------------------------------------------------------

# told WAY OS AGENT [OPTION]... - a session of that agent, which is told by that
# way, with or without the words of the runtime.
told() {
	_way=$1 _os=$2 _agent=$3
	shift 3
	SES=$(hib session create --vm "$VM" --agent "$_agent" \
		--instructions 'Speak "like" a pirate.' "$@") &&
		last_of session.ready ".instructions.via == \"$_way\" and
			.instructions.os == $_os and .instructions.bytes > 20"
}
# Times that the user's words and the runtime's stand in what went to the agent.
times_told() {
	log_json "$SES" | jq -r 'select((.type == "acp.request" and
		.data.dir == "out") or .type == "agent.started") | .data |
		tostring' >"$tmp/told"
	equal "$(grep -o 'a pirate' "$tmp/told" | wc -l) \
$(grep -o 'a sandbox of Hib' "$tmp/told" | wc -l)" "$1 $2"
}

agent words
says_of words 'del(.os_instructions)'
f050_preamble() {
	told preamble true words && says "$SES" one one && says "$SES" two two &&
		times_told 1 1 && prompt "$SES" 'what did I say' |
		tr '\n' ' ' | grep 'Hibernacle.*pirate.*one two'
}
ok "F050 words go in front of the first prompt, the runtime's first" \
	f050_preamble
f050_again() {
	told preamble true words && says "$SES" one one &&
		hib session suspend "$SES" && says "$SES" two two &&
		times_told 2 2
}
ok "F050 a fresh mind is told again" f050_again
f051_user_only() {
	told preamble false words --skip-os-instructions &&
		says "$SES" one one && times_told 1 0
}
ok "F051 without the runtime's words the user's remain" f051_user_only
f051_none() {
	SES=$(hib session create --vm "$VM" --agent words \
		--skip-os-instructions) && says "$SES" '!preamble' '' &&
		last_of session.ready '.instructions ==
			{via: "none", os: false, bytes: 0}'
}
ok "F051 with neither there is nothing" f051_none

agent knows --load --store /home/user
says_of knows 'del(.os_instructions)'
f050_native() {
	told preamble true knows && says "$SES" one one &&
		hib session suspend "$SES" && says "$SES" two two &&
		last_of session.resumed '.restore == "native"' && times_told 1 1
}
ok "F050 an agent that remembers is not told again" f050_native

agent prompted --system-prompt --load --store /home/user
says_of prompted '.instructions = {via: "meta", meta: {a: "{text}"}}'
f050_system() {
	told system_prompt false prompted && says "$SES" one one &&
		says "$SES" '!preamble' '' && hib session suspend "$SES" &&
		says "$SES" two two && times_told 2 0
}
ok "F050 a system prompt is given at every start, and nothing beside it" \
	f050_system

agent meta
says_of meta '.instructions = {via: "meta",
	meta: {claude: {systemPrompt: ["keep", {append: "<{text}>"}]}, n: 1}}'
f050_meta() {
	told meta false meta && prompt "$SES" '!meta' |
		jq -e '._meta == {claude: {systemPrompt: ["keep",
			{append: "<Speak \"like\" a pirate.>"}]}, n: 1}' &&
		says "$SES" '!preamble' ''
}
ok "F050 an agent may take them as _meta" f050_meta

# A shell that takes them and tells the agent nothing of them.
jq -n '{name: "args", version: "1", command: "/bin/sh",
	args: ["-c", "exec /opt/hib/echo-agent", "sh"],
	os_instructions: false,
	instructions: {via: "args", args: ["-c", "x={json}", "{text}"]}}' \
	>"$HIB_HOME/agents/args.json"
f050_args() {
	told args false args && holds "$SES" 'map(select(.type ==
		"agent.started")) | .[0].data.argv[4:] == ["-c",
			"x=\"Speak \\\"like\\\" a pirate.\"",
			"Speak \"like\" a pirate."]' && says "$SES" '!preamble' ''
}
ok "F050 or as arguments" f050_args

agent env
says_of env '.instructions = {via: "env", env: "TOLD"}'
f050_env() {
	told env false env && says "$SES" '!env TOLD' 'Speak "like" a pirate.' &&
		hib session suspend "$SES" &&
		says "$SES" '!env TOLD' 'Speak "like" a pirate.'
}
ok "F050 or in its environment" f050_env

# --- updates of other sessions ----------------------------------------------

f088_foreign() {
	SES=$(hib session create --vm "$VM" --agent echo) &&
		says "$SES" '!updatefor nowhere;;!say mine' mine &&
		holds "$SES" 'map(select(.type == "acp.update" and .ctx.foreign)) |
			length == 1 and
			.[0].data.msg.params.sessionId == "nowhere"' &&
		hib messages "$SES" --json | not grep stray &&
		http GET "/v1/sessions/$SES/elements" | not grep stray &&
		last_of turn.completed '.text_preview == "mine"'
}
ok "updates of a session that is not ours are kept and count for nothing" \
	f088_foreign

done_testing
