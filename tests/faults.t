#!/bin/sh
# Kill -9 of the client, hibd, the guest daemon and the agent at any moment of a
# turn of 50,000 events.  Whatever died: every number is there once, everything
# that a subscriber was shown is stored, byte for byte, nothing hangs, and the
# next prompt is answered.
#
# FAULT_ROUNDS rounds (8), each with the next victim of the list.
# shellcheck disable=SC2119 # new_vm takes no options
. tests/lib.sh

rounds=${FAULT_ROUNDS:-8}
events=50000
new_vm
new_session

random() { # 0 to $1 - 1
	echo $(($(od -An -N3 -tu4 /dev/urandom) % $1))
}

# No more than one of them at a time would be too easy.
victims='hibd guest agent client hibd+guest hibd+agent agent+guest hibd+client'

kill_victim() {
	case $1 in
	client) kill -9 "$client" || echo "it had its answer" ;;
	hibd) kill_hibd KILL ;;
	guest) kill -9 "$guest" ;;
	agent) kill -9 "$agent" ;;
	esac
}

# strike VICTIM - start the turn with everybody watching, and kill.
strike() {
	mark=$(last_seq "$SES")
	guest=$(guest_pid "$VM")
	agent=$(agent_pid "$SES")
	[ -n "$agent" ] || return 1
	follow "$SES" "$tmp/followed" --since "$mark"
	SINCE=$mark stream "$SES" "$tmp/streamed"
	"$O/bin/hib" prompt "$SES" "!flood $events 60" >"$tmp/reply" 2>&1 &
	client=$!
	wait_for "$SES" '"type":"turn.started"' 10 "$mark" >"$tmp/started"
	turn=$(jq -r .turn "$tmp/started")
	sleep "0.$(printf %03d "$(random 500)")"
	for victim in $(echo "$1" | tr + ' '); do
		echo "kills $victim at $(last_seq "$SES")"
		kill_victim "$victim"
	done
}

# recover - bring everything back, and wait until the turn has its end.
recover() {
	hib daemon start && hib vm wake "$VM" &&
		wait_turn "$SES" "$turn" 60 | cut -c -200 || return 1
	seq_end=$(last_seq "$SES")
	until_true 20 followed_to "$seq_end"
	for one in "$FOLLOWER" "$STREAMER" "$client"; do
		stop "$one" 2>/dev/null
	done
	no_rows "SELECT state FROM session WHERE id = '$SES' AND
		state NOT IN ('idle', 'suspended', 'failed')" passing
}

followed_to() {
	tail -n 1 "$tmp/followed" | jq -e ".seq >= $1"
}

# What each subscriber saw is a piece of the log, without hole or repeat: the
# whole of it for the one that reconnects, a beginning for curl.
shown_is_stored() {
	hib log "$SES" --json --since "$mark" >"$tmp/stored" || return 1
	head -c "$(wc -c <"$tmp/followed")" "$tmp/stored" |
		cmp - "$tmp/followed" || return 1
	grep -q '^event: *stream.gap' "$tmp/streamed" && return
	grep -A 2 '^id:' "$tmp/streamed" | sed -n 's/^data: *//p' |
		sed '$d' >"$tmp/shown"
	head -c "$(wc -c <"$tmp/shown")" "$tmp/stored" | cmp - "$tmp/shown"
}

next_prompt_works() {
	case $(session_field "$SES" state) in
	failed) hib session resume "$SES" || return 1 ;;
	esac
	says "$SES" "!say after $round" "after $round"
}

one_round() {
	strike "$1" && recover && numbers_are_whole && turns_have_ended &&
		shown_is_stored && next_prompt_works
}

round=0
while [ "$round" -lt "$rounds" ]; do
	for victim in $victims; do
		round=$((round + 1))
		[ "$round" -le "$rounds" ] || break
		ok "round $round: $victim killed, nothing lost" one_round "$victim"
	done
done

done_testing
