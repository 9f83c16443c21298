#!/bin/sh
# Attaching: several people at one session that lives.
# shellcheck disable=SC2016,SC2119,SC2154 # $ is for jq; new_vm has no options; eval
. tests/lib.sh

new_vm
new_session
ses=$SES
says "$ses" first first >"$tmp/x"

# attach NAME SES [OPTION]... - in the background, typed at by `type_at NAME`;
# what it prints is in $tmp/NAME.out and NAME.err.
attach() {
	_name=$1
	shift
	mkfifo "$tmp/$_name.in"
	"$O/bin/hib" attach "$@" <"$tmp/$_name.in" >"$tmp/$_name.out" \
		2>"$tmp/$_name.err" &
	eval "${_name}_pid=$!"
	at_exit "end_child $!"
	# Kept open by a sleeper, so that it sees no end of file.
	sleep 600 >"$tmp/$_name.in" &
	eval "${_name}_in=$!"
	at_exit "end_child $!"
}

# type_at NAME LINE
type_at() {
	timeout "$((10 * slow))" sh -c 'printf "%s\n" "$1" >"$2"' - "$2" "$tmp/$1.in"
}

# ask_at NAME LINE - the same once the session takes a prompt.
ask_at() {
	until_true 10 state_is "$ses" idle && type_at "$1" "$2"
}

# shows NAME TEXT - it prints that, soon.
shows() {
	until_true 10 grep -qF -- "$2" "$tmp/$1.out"
}

# attach_answers STATUS ERROR BODY
attach_answers() {
	answers "$1" "$2" POST "/v1/sessions/$ses/attach" "$3"
}

# --- the call ---------------------------------------------------------------------

f070_token() {
	http POST "/v1/sessions/$ses/attach" '{}' >"$tmp/attached" &&
		jq -e ".state == \"idle\" and .scope == \"answer\" and
			.last_seq == $(last_seq "$ses") and .pending == [] and
			.expires_ms > $(now_ms)" "$tmp/attached" &&
		TOKEN=$(jq -r .token "$tmp/attached")
	http POST "/v1/sessions/$ses/prompt" '{"text":"hi","wait":true}' |
		jq -e '.text == "hi"' &&
		answers 403 forbidden DELETE "/v1/sessions/$ses" &&
		http POST "/v1/sessions/$ses/attach" '{}' >"$tmp/again" &&
		jq -e --slurpfile a "$tmp/attached" '.scope == "answer" and
			.expires_ms <= $a[0].expires_ms' "$tmp/again"
	_r=$?
	TOKEN=
	return $_r
}
ok "F070 attaching gives a token for this session, and no more" f070_token
f071_token() {
	TOKEN=$(http POST "/v1/sessions/$ses/attach" '{"readOnly":true}' |
		jq -r .token)
	answers 403 forbidden POST "/v1/sessions/$ses/prompt" '{"text":"x"}' &&
		http GET "/v1/sessions/$ses/events" | jq -e '.events[0].seq == 1' &&
		http POST "/v1/sessions/$ses/attach" '{}' |
		jq -e '.scope == "read"'
	_r=$?
	TOKEN=
	return $_r
}
ok "F071 a read-only one cannot prompt" f071_token
f070_pending() {
	prompt_bg "$ses" '!ask t1 Edit it;;!say done' &&
		wait_for_state "$ses" waiting 5 "$MARK" >"$tmp/x" &&
		http POST "/v1/sessions/$ses/attach" '{}' |
		jq -e ".state == \"waiting\" and .turn == \"$TURN\" and
			(.pending | length) == 1 and .pending[0].kind == \"permission\"" &&
		hib approve "$ses" && wait_turn "$ses" "$TURN"
}
ok "F070 it says what waits for an answer" f070_pending

# --- co-driving -------------------------------------------------------------------

attach ann "$ses"
attach bob "$ses"
attach eve "$ses" --read-only
f070_drive() {
	until_true 10 eval '[ "$(sql "SELECT count(*) FROM token")" -ge 3 ]' &&
		ask_at ann '!say from ann' && shows ann 'from ann' &&
		shows bob 'from ann' && shows eve 'from ann' &&
		ask_at bob '!chunks 3 piece ' && shows ann 'piece' &&
		shows eve '> !chunks 3 piece'
}
ok "F070 F143 what one types all see" f070_drive
# What the agent says, not what it is told to say: that is shown, too.
f070_approve() {
	until_true 10 state_is "$ses" idle && mark=$(last_seq "$ses")
	ask_at ann '!ask t2 Remove it;;!say after the answer' &&
		wait_for_state "$ses" waiting 10 "$mark" >"$tmp/x" &&
		shows bob '[asks] Remove it' && type_at bob /approve &&
		shows ann 'onceafter the answer' &&
		shows eve 'onceafter the answer' &&
		ask_at ann '!ask t3 Remove more;;!say denied' &&
		shows bob '[asks] Remove more' && type_at bob /deny &&
		shows ann oncedenied
}
ok "F070 any of them answers" f070_approve
f070_cancel() {
	until_true 10 state_is "$ses" idle && mark=$(last_seq "$ses")
	ask_at ann '!sleep 60000' &&
		wait_for_state "$ses" running 10 "$mark" >"$tmp/x" &&
		type_at bob 'not now' && until_true 10 grep -q turn_active \
		"$tmp/bob.err" && type_at bob /cancel &&
		shows ann 'turn cancelled' && state_is "$ses" idle
}
ok "F070 a busy session refuses a prompt; any of them cancels" f070_cancel
f071_refused() {
	seq=$(last_seq "$ses")
	type_at eve 'may I?' && until_true 10 grep -q forbidden "$tmp/eve.err" &&
		equal "$(last_seq "$ses")" "$seq" && type_at eve /cancel &&
		until_true 10 eval '[ "$(grep -c forbidden "$tmp/eve.err")" = 2 ]'
}
ok "F071 a reader's prompt is refused by the server" f071_refused
f143_same() {
	ask_at ann '!say the very end' && for name in ann bob eve; do
		shows "$name" 'the very end' || return 1
	done
	until_true 5 state_is "$ses" idle && for name in ann bob eve; do
		type_at "$name" /quit && eval "kill \$${name}_in"
	done
	# shellcheck disable=SC2154 # set by eval
	gone "$ann_pid" && gone "$bob_pid" && gone "$eve_pid" &&
		cmp "$tmp/ann.out" "$tmp/bob.out" &&
		cmp "$tmp/ann.out" "$tmp/eve.out"
}
ok "F143 all have seen the same bytes" f143_same
f143_since() {
	printf '/quit\n' | hib attach "$ses" --since 0 >"$tmp/a"
	until_true 10 state_is "$ses" idle
	echo '!say unseen' | hib attach "$ses" >"$tmp/b"
	until_true 10 holds "$ses" 'any(.type == "turn.completed" and
		.data.text_preview == "unseen")'
}
ok "F070 the end of its input detaches, the turn goes on" f143_since
f070_from_the_start() {
	attach old "$ses" --since 0 && shows old first && shows old unseen &&
		shows old 'the very end' && type_at old /quit && gone "$old_pid"
}
ok "F070 --since 0 shows the conversation from its start" f070_from_the_start

# --- wrong preconditions ----------------------------------------------------------

# advises VERB EXIT COMMAND... - it is refused, and says what fits.
advises() {
	_verb=$1 _want=$2
	shift 2
	"$@" >"$tmp/advice.out" 2>"$tmp/advice.err" </dev/null
	equal "$?" "$_want" && cat "$tmp/advice.err" &&
		grep -q -- "$_verb" "$tmp/advice.err"
}

f072_run() {
	n=$(sql 'SELECT count(*) FROM session') &&
		advises 'hib attach' 7 hib run "$ses" &&
		equal "$(sql 'SELECT count(*) FROM session')" "$n" &&
		hib session resume "$ses" 2>&1 | grep -q 'hib attach'
}
ok "F072 run and resume of a live session name attach" f072_run
f070_ending() {
	attach last "$ses" && until_true 10 eval \
		'[ "$(sql "SELECT count(*) FROM token")" -ge 6 ]' &&
		ask_at last '!say here' && shows last here &&
		hib session suspend "$ses" && shows last suspended &&
		gone "$last_pid"
}
ok "F070 attaching ends with the agent" f070_ending
f072_suspended() {
	advises 'hib session resume' 7 hib attach "$ses" &&
		grep -q session_not_live "$tmp/advice.err" &&
		attach_answers 409 session_not_live '{}' &&
		advises 'hib session resume' 7 hib run "$ses" &&
		state_is "$ses" suspended
}
ok "F070 F072 a suspended session is not joined, resume is named" \
	f072_suspended
f072_closed() {
	new_session && hib session close "$SES" &&
		advises 'hib session resume' 7 hib attach "$SES" &&
		new_session && hib session update "$SES" --ttl-ms 300 &&
		until_true 10 state_is "$SES" expired &&
		advises 'hib fork' 7 hib attach "$SES" &&
		advises session_not_found 6 hib attach "$(new_id ses)"
}
ok "F072 nor is a closed or expired one" f072_closed
f070_asleep() {
	new=$(hib fork "$ses") && advises 'hib session resume' 7 hib attach "$new" &&
		hib vm sleep "$VM" &&
		advises 'hib session resume' 7 hib attach "$ses" &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended
}
ok "F070 attaching wakes no VM and gives a guest no fork" f070_asleep
f070_no_hibd() {
	kill_hibd KILL
	advises 'hib session resume' 7 hib attach "$ses" &&
		not alive "$(hibd_pid)"
}
ok "F070 nor does it start hibd" f070_no_hibd
done_testing
