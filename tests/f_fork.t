#!/bin/sh
# Forks: a session's beginning as a session of its own, made by the host alone.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

agent other
jq '.env = [{"name": "API_KEY", "required": true}]' \
	"$HIB_HOME/agents/other.json" >"$tmp/m" && mv "$tmp/m" "$HIB_HOME/agents/keyed.json"
sed -i 's/"other"/"keyed"/' "$HIB_HOME/agents/keyed.json"
agent remembers --load --store /home/acp

new_vm
new_session --title source --tag blue --env SECRET=xyzzy
src=$SES
for i in 1 2 3 4 5; do
	prompt "$src" "!usage 10 5;;!say answer $i" >"$tmp/x"
done

# events SES [TO] - its log without whose it is.
events() {
	log_json "$1" | jq -cS "select(.seq <= ${2:-999999}) | del(.session)"
}

# end_of SES N - the last seq of its n-th turn.
end_of() {
	sql "SELECT last_seq FROM turn WHERE session_id='$1' AND n=$2"
}

turn_of() {
	sql "SELECT id FROM turn WHERE session_id='$1' AND n=$2"
}

# same_beginning FORK SOURCE SEQ
same_beginning() {
	events "$1" "$3" >"$tmp/fork.events" &&
		events "$2" "$3" >"$tmp/source.events" &&
		[ -s "$tmp/fork.events" ] &&
		cmp "$tmp/fork.events" "$tmp/source.events"
}

# --- what is copied -----------------------------------------------------------

log_json "$src" >"$tmp/source.log"
sql "SELECT * FROM session WHERE id='$src'" >"$tmp/source.row"
fork=$(hib fork "$src")
f065_copy() {
	same_beginning "$fork" "$src" "$(end_of "$src" 5)" &&
		equal "$(session_field "$fork" forked_from)" "$src" &&
		equal "$(session_field "$fork" forked_seq)" "$(end_of "$src" 5)" &&
		equal "$(session_field "$fork" turn_count)" 5 &&
		equal "$(session_field "$fork" vm_id)" "$VM" &&
		state_is "$fork" suspended
}
ok "F065 a fork has all that had ended of its source" f065_copy
f065_untouched() {
	log_json "$src" | cmp - "$tmp/source.log" &&
		sql "SELECT * FROM session WHERE id='$src'" |
		cmp - "$tmp/source.row" && store_is_whole
}
ok "F065 the source is untouched, byte for byte" f065_untouched
ok "F125 its first event is session.created" holds "$fork" \
	'.[0].type == "session.created" and .[0].seq == 1'
f067_forked() {
	holds "$fork" ".[-1] | .type == \"session.forked\" and
		.data.from == \"$src\" and .data.at == .seq - 1 and
		.epoch == $(session_field "$src" epoch) + 1 and
		(.data | has(\"agent\") | not)"
}
ok "F067 session.forked comes behind the copy, in a new epoch" f067_forked
f067_account() {
	equal "$(session_field "$fork" usage)" '{}' &&
		equal "$(session_field "$src" usage | jq .inputTokens)" 50 &&
		equal "$(session_field "$fork" title)" source &&
		session_field "$fork" tags | jq -e '. == ["blue"]' &&
		session_field "$fork" env_names | jq -e '. == []'
}
ok "F067 title and tags are copied, usage and environment are not" f067_account
f067_env() {
	equal "$(prompt "$src" '!env SECRET')" xyzzy &&
		not equal "$(prompt "$fork" '!env SECRET')" xyzzy
}
ok "F067 the agent of the fork does not see the source's values" f067_env

f065_apart() {
	says "$fork" '!say to the fork' 'to the fork' &&
		says "$src" '!say to the source' 'to the source' &&
		holds "$src" '[.[] | select(.type == "input.message") |
			.data.content[0].text] | any(test("fork")) | not' &&
		holds "$fork" '[.[] | select(.type == "input.message") |
			.data.content[0].text] | any(test("source")) | not' &&
		numbers_are_whole
}
ok "F065 later prompts to either do not show in the other" f065_apart
f065_remembers() {
	new=$(hib fork "$src" --start) && state_is "$new" idle &&
		prompt "$new" '!preamble' | grep -q 'to the source'
}
ok "F065 a started fork is told of the conversation" f065_remembers

# --- where it is cut ----------------------------------------------------------

f066_turn() {
	at=$(end_of "$src" 2)
	new=$(hib fork "$src" --at "$(turn_of "$src" 2)") &&
		same_beginning "$new" "$src" "$at" &&
		equal "$(last_seq "$new")" $((at + 1)) &&
		holds "$new" ".[$at - 1].type == \"turn.completed\"" &&
		equal "$(session_field "$new" turn_count)" 2
}
ok "F066 a fork at turn 2 has exactly the events up to its end" f066_turn
f066_seq() {
	at=$(end_of "$src" 3)
	new=$(hib fork "$src" --at $((at + 4))) &&
		equal "$(session_field "$new" forked_seq)" "$at"
}
ok "F066 a seq is rounded down to the end of a turn" f066_seq
f066_before_the_first() {
	new=$(hib fork "$src" --at 3) &&
		equal "$(session_field "$new" forked_seq)" 3 &&
		equal "$(session_field "$new" turn_count)" 0 &&
		says "$new" hi hi
}
ok "F066 before the first turn there is only its creation" f066_before_the_first
f066_refusals() {
	refused turn_not_found 6 hib fork "$src" --at "$(new_id trn)" &&
		refused cursor_ahead 7 hib fork "$src" --at 100000 &&
		refused invalid_id 5 hib fork "$src" --at "$(new_id msg)" &&
		answers 400 invalid_argument POST "/v1/sessions/$src/fork" \
			'{"at":0}' &&
		refused session_not_found 6 hib fork "$(new_id ses)"
}
ok "F066 turns and seqs that are not there are refused" f066_refusals

f067_mid_turn() {
	prompt_bg "$src" '!sleep 60000'
	wait_for_state "$src" running 5 "$MARK" >"$tmp/x"
	first=$((MARK + 1)) n=$(sql 'SELECT count(*) FROM session')
	refused fork_mid_turn 7 hib fork "$src" &&
		refused fork_mid_turn 7 hib fork "$src" --at "$TURN" &&
		refused fork_mid_turn 7 hib fork "$src" --at "$first" &&
		equal "$(sql 'SELECT count(*) FROM session')" "$n" &&
		new=$(hib fork "$src" --at "$(turn_of "$src" 1)") &&
		says "$new" 'meanwhile' 'meanwhile' && state_is "$src" running
}
ok "F067 while a turn runs only an earlier one can be forked" f067_mid_turn
hib cancel "$src"

# --- what may differ ------------------------------------------------------------

f068_overrides() {
	new=$(hib fork "$src" --title mine --tag red --model m2) &&
		equal "$(session_field "$new" title)" mine &&
		session_field "$new" tags | jq -e '. == ["red"]' &&
		session_field "$new" config | jq -e '.model == "m2"' &&
		holds "$new" '.[-1].type == "session.config" and
			.[-2].type == "session.forked"' &&
		equal "$(session_field "$src" title)" source
}
ok "F068 title, tags and model may differ" f068_overrides
f068_agent() {
	new=$(hib fork "$src" --agent other) &&
		equal "$(session_field "$new" agent)" other &&
		equal "$(session_field "$src" agent)" echo && says "$new" hi hi &&
		refused agent_unknown 5 hib fork "$src" --agent nobody
}
ok "F068 and the agent" f068_agent
f068_policy() {
	jq '.name = "strict" | .policy = {"rules": [{"name": "no-etc",
		"path": "/etc", "action": "deny"}]}' \
		"$HIB_HOME/agents/other.json" >"$HIB_HOME/agents/strict.json" &&
		new=$(hib fork "$src" --agent strict) &&
		session_field "$new" config |
		jq -e '.policy.rules | map(.name) == ["no-etc"]'
}
ok "F068 the rules of another agent come with it" f068_policy
f068_keys() {
	refused agent_auth_required 3 hib fork "$src" --agent keyed &&
		answers 412 agent_auth_required POST "/v1/sessions/$src/fork" \
			'{"agent":"keyed"}' &&
		jq -e '.data.names == ["API_KEY"]' "$tmp/body" &&
		new=$(hib fork "$src" --agent keyed --env API_KEY=k) &&
		equal "$(prompt "$new" '!env API_KEY')" k
}
ok "F068 what the agent requires must be given" f068_keys
f068_workspace() {
	for how in copy none; do
		http POST "/v1/sessions/$src/fork" \
			"{\"workspace\":\"$how\"}" &&
			equal "$(cat "$tmp/status")" 200 &&
			not equal "$(jq -r .vm_id "$tmp/body")" "$VM" ||
			return 1
	done
	http POST "/v1/sessions/$src/fork" '{"workspace":"share"}' &&
		equal "$(jq -r .vm_id "$tmp/body")" "$VM" &&
		answers 400 invalid_argument POST "/v1/sessions/$src/fork" \
		'{"workspace":"x"}'
}
ok "F069 the workspace is shared, or the fork has a VM of its own" f068_workspace
f068_retry() {
	id=$(new_id ses)
	equal "$(hib fork "$src" --id "$id")" "$id" &&
		equal "$(hib fork "$src" --id "$id")" "$id" &&
		holds "$id" '[.[] | select(.type == "session.forked")] |
			length == 1' &&
		refused session_conflict 7 hib fork "$src" --id "$id" --title x
}
ok "F065 the same request again makes nothing new" f068_retry

f068_token() {
	TOKEN=$(hib token create "$src" --scope admin)
	answers 403 forbidden POST "/v1/sessions/$src/fork" '{}'
	_r=$?
	TOKEN=
	return $_r
}
ok "F068 a token for one session makes no other" f068_token

f065_native() {
	AGENT=remembers new_session && says "$SES" one one &&
		acp=$(sql "SELECT acp_session_id FROM session WHERE id='$SES'") &&
		new=$(hib fork "$SES") && [ -n "$acp" ] &&
		equal "$(sql "SELECT acp_session_id IS NULL FROM session
			WHERE id='$new'")" 1 &&
		holds "$new" ".[-1].data.native == {\"acp_session_id\": \"$acp\",
			\"last_seq\": (.[-1].seq - 1)}" &&
		says "$SES" two two &&
		early=$(hib fork "$SES" --at "$(turn_of "$SES" 1)") &&
		holds "$early" '.[-1].data | has("native") | not' &&
		equal "$(hib session resume "$new")" transcript
}
ok "F065 the agent's own session is named, but not taken over" f065_native

# --- every state ----------------------------------------------------------------

hib session create --vm "$VM" --agent echo --id "$(new_id ses)" >"$tmp/never"
never=$(cat "$tmp/never")
f067_no_turn() {
	new=$(hib fork "$never") && equal "$(session_field "$new" turn_count)" 0 &&
		says "$new" first first
}
ok "F067 a session without a turn can be forked" f067_no_turn
f067_archived() {
	hib session archive "$never" && new=$(hib fork "$never") &&
		equal "$(session_field "$new" archived_ms)" null &&
		state_is "$new" suspended && says "$new" hi hi
}
ok "F067 so can an archived one; the fork is not archived" f067_archived

hib vm sleep "$VM"
f067_asleep() {
	boots=$(sql "SELECT generation FROM vm WHERE id='$VM'")
	hib session close "$src" && asleep=$(hib fork "$src" --title asleep) &&
		equal "$(sql "SELECT generation FROM vm WHERE id='$VM'")" "$boots" &&
		equal "$(session_field "$asleep" tail_complete)" true &&
		equal "$(session_field "$asleep" closed_ms)" null &&
		state_is "$asleep" suspended && state_is "$src" closed
}
ok "F067 a closed session is forked without waking its VM" f067_asleep
f067_wakes() {
	says "$asleep" '!say awake' awake && numbers_are_whole &&
		same_beginning "$asleep" "$src" "$(end_of "$src" 5)"
}
ok "F067 the fork of a sleeping VM works when it wakes" f067_wakes

f065_survives() {
	new=$(hib fork "$src" --title survives) && kill_all &&
		equal "$(session_field "$new" title)" survives &&
		says "$new" '!say still here' 'still here'
}
ok "F065 a fork outlives the death of everything" f065_survives

# A guest that is lost while it does not know the fork yet.
f065_lost_guest() {
	new=$(hib fork "$src") && kill_vm "$VM" && says "$new" hi hi &&
		more=$(hib fork "$new") && hib session close "$more" &&
		state_is "$more" closed && hib session destroy "$more"
}
ok "F065 a lost guest is given what it lacks" f065_lost_guest

f065_big() {
	new_session && prompt "$SES" '!flood 20000 1000' >"$tmp/x" &&
		new=$(hib fork "$SES") && same_beginning "$new" "$SES" \
		"$(end_of "$SES" 1)" && says "$new" hi hi &&
		says "$SES" hi hi
}
ok "F065 a long log is forked and given to the guest" f065_big
done_testing
