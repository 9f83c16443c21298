#!/bin/sh
# Sessions that end when their time is over.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm

# ends_with SES FILTER - the types of the last events, but for the agent's end.
ends_with() {
	holds "$1" "map(.type | select(startswith(\"agent.\") | not)) | $2"
}

# expired SES [SECONDS] - wait until it is.
expired() {
	until_true "${2:-10}" state_is "$1" expired
}

# every_write_is_refused SES
every_write_is_refused() {
	s=/v1/sessions/$1
	unchanged "$1" answers 410 session_expired POST "$s/prompt" \
		'{"text":"hi"}' &&
		unchanged "$1" answers 410 session_expired POST "$s/resume" '{}' &&
		unchanged "$1" answers 410 session_expired POST "$s/suspend" '{}' &&
		unchanged "$1" answers 410 session_expired PATCH "$s" \
			'{"title":"x"}' &&
		unchanged "$1" answers 410 session_expired PATCH "$s" \
			'{"ttlMs":60000}' &&
		unchanged "$1" answers 410 session_expired POST \
			"$s/requests/$(new_id req)" '{"option":"allow_once"}' &&
		unchanged "$1" refused session_expired 9 prompt "$1" hi
}

readable() {
	holds "$1" 'length > 5' && hib messages "$1" && hib export "$1"
}

# --- while it is idle -------------------------------------------------------------

f027_idle() {
	new_session --ttl-ms 600000 && says "$SES" hi hi && idle=$SES &&
		[ "$(session_field "$idle" expires_ms)" -gt "$(now_ms)" ] &&
		hib session update "$idle" --ttl-ms 300 &&
		expired "$idle" && ends_with "$idle" \
		'.[-2:] == ["session.state", "session.expired"]'
}
ok "F027 F225 an idle session expires in time" f027_idle
# It may be over before the agent is there.
f027_born() {
	born=$(new_id ses)
	hib session create --agent echo --vm "$VM" --id "$born" --ttl-ms 2000
	expired "$born" 20
}
ok "F027 so does one whose time was given at its creation" f027_born
ok "F225 then every write is refused" every_write_is_refused "$idle"
ok "F027 and everything can still be read" readable "$idle"
f027_fork() {
	new=$(hib fork "$idle") && says "$new" '!say on' on &&
		equal "$(session_field "$new" expires_ms)" null
}
ok "F027 a fork of it lives on without an end" f027_fork
f225_created() {
	http POST /v1/sessions "{\"vm\":\"$VM\",\"agent\":\"echo\",
		\"ttlMs\":60000}" | jq -e ".session.expires_ms > $(now_ms)"
}
ok "F225 the end is in the result of create" f225_created

# --- while a turn runs --------------------------------------------------------------

f227_running() {
	new_session && running=$SES && pid=$(agent_pid "$SES") &&
		prompt_bg "$running" '!sleep 600000' &&
		hib session update "$running" --ttl-ms 300 &&
		expired "$running" && ends_with "$running" \
		'.[-3:] == ["turn.interrupted", "session.state", "session.expired"]' &&
		holds "$running" 'any(.type == "turn.interrupted" and
			.data.reason == "ttl")' && gone "$pid"
}
ok "F227 the turn is interrupted and the agent ended" f227_running
ok "F227 then every write is refused" every_write_is_refused "$running"
f227_waiting() {
	new_session && prompt_bg "$SES" '!ask t1 x;;!say y' &&
		wait_for_state "$SES" waiting 5 >"$tmp/x" &&
		hib session update "$SES" --ttl-ms 300 && expired "$SES" &&
		equal "$(session_field "$SES" pending)" 0
}
ok "F227 a question has no answer any more" f227_waiting

# --- more time ------------------------------------------------------------------------

f226_extended() {
	new_session && hib session update "$SES" --ttl-ms $((1000 * slow)) &&
		first=$(session_field "$SES" expires_ms) &&
		hib session update "$SES" --ttl-ms 600000 &&
		[ "$(session_field "$SES" expires_ms)" -gt $((first + 500000)) ] &&
		until_true 5 eval "[ \$(now_ms) -gt $((first + 300)) ]" &&
		says "$SES" hi hi &&
		hib session update "$SES" --ttl-ms 0 &&
		equal "$(session_field "$SES" expires_ms)" null &&
		hib session update "$SES" --ttl-ms 500 && expired "$SES"
}
ok "F226 the time can be extended, taken away and given" f226_extended
f226_clamped() {
	new_session && month=$((30 * 24 * 3600 * 1000)) &&
		http PATCH "/v1/sessions/$SES" '{"ttlMs":99999999999999}' |
		jq -e "(.warnings | length) == 1 and
			.expires_ms < $(now_ms) + $month + 60000" &&
		hib session update "$SES" --ttl-ms 99999999999999 2>"$tmp/err" &&
		grep -q maximum "$tmp/err" &&
		answers 400 invalid_argument PATCH "/v1/sessions/$SES" \
			'{"ttlMs":-1}' &&
		answers 400 invalid_argument PATCH "/v1/sessions/$SES" \
			'{"ttlMs":"x"}'
}
ok "F226 more than the maximum is cut, with a warning" f226_clamped

# --- while the VM is off --------------------------------------------------------------

f228_suspended() {
	new_session && asleep=$SES && says "$SES" hi hi &&
		new_session --ttl-ms 600000 && later=$SES &&
		hib session update "$asleep" --ttl-ms $((1500 * slow)) &&
		hib vm sleep "$VM" && state_is "$asleep" suspended &&
		boots=$(sql "SELECT generation FROM vm WHERE id='$VM'") &&
		until_true 10 eval '[ "$(sql "SELECT state FROM session
			WHERE id = '"'$asleep'"'")" = expired ]' &&
		ends_with "$asleep" \
			'.[-2:] == ["session.state", "session.expired"]' &&
		equal "$(sql "SELECT generation FROM vm WHERE id='$VM'")" \
			"$boots" && state_is "$later" suspended
}
ok "F228 a suspended session expires and its VM stays off" f228_suspended
f228_refused() {
	every_write_is_refused "$asleep" &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended
}
ok "F228 a prompt to it wakes nothing" f228_refused
f228_extended_asleep() {
	hib session update "$later" --ttl-ms 1000 &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended &&
		until_true 10 eval '[ "$(sql "SELECT state FROM session
			WHERE id = '"'$later'"'")" = expired ]'
}
ok "F226 F228 the time of a sleeping session can be changed" \
	f228_extended_asleep

# hibd is not there when the time is over.
f228_hibd_off() {
	new_session && hib vm sleep "$VM" &&
		hib session update "$SES" --ttl-ms $((1000 * slow)) &&
		kill_hibd KILL && expired "$SES" &&
		equal "$(sql "SELECT state FROM session WHERE id='$SES'")" \
			suspended && hib daemon start &&
		until_true 10 eval '[ "$(sql "SELECT state FROM session
			WHERE id = '"'$SES'"'")" = expired ]'
}
ok "F228 it is shown as expired without hibd, and recorded when it is back" \
	f228_hibd_off
f228_wakes() {
	new_session && says "$SES" hi hi && numbers_are_whole &&
		state_is "$asleep" expired
}
ok "F228 the VM works when it wakes" f228_wakes

# --- tokens -------------------------------------------------------------------------

f192_tokens() {
	new_session && t=$(hib token create "$SES" --scope prompt) &&
		r=$(hib token create "$SES" --scope read) && TOKEN=$t &&
		http POST "/v1/sessions/$SES/prompt" \
			'{"text":"hi","wait":true}' | jq -e '.text == "hi"' &&
		TOKEN= && hib session close "$SES" && TOKEN=$t &&
		answers 401 unauthorized GET "/v1/sessions/$SES" &&
		TOKEN=$r && http GET "/v1/sessions/$SES/messages" |
		jq -e 'length == 2'
	_r=$?
	TOKEN=
	return $_r
}
ok "F192 F207 a token to act ends with its session, one to read does not" \
	f192_tokens
f192_short() {
	new_session && TOKEN=$(hib token create "$SES" --ttl-ms $((500 * slow)))
	http GET "/v1/sessions/$SES" | jq -e '.id' &&
		until_true 5 answers 401 unauthorized GET "/v1/sessions/$SES"
	_r=$?
	TOKEN=
	return $_r
}
ok "F192 a token works until its own end" f192_short
done_testing
