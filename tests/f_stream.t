#!/bin/sh
# Live streams, replay, reconnection.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

# ids FILE - the numbers of an SSE stream; seqs FILE - of a log.
ids() {
	sed -n 's/^id: *//p' "$1"
}
seqs() {
	jq .seq "$1"
}
# data FILE - the envelopes of an SSE stream.
data() {
	grep -A 2 '^id:' "$1" | sed -n 's/^data: *//p'
}

f122_early() {
	prompt_bg "$SES" '!say early;;!hang' &&
		wait_for "$SES" '"text":"early"' 5 "$MARK" &&
		state_is "$SES" running && hib cancel "$SES" &&
		wait_turn "$SES" "$TURN"
}
ok "F122 the first chunk comes before the turn ends" f122_early

f126_before_prompt() {
	mark=$(last_seq "$SES")
	follow "$SES" "$tmp/f126" --since "$mark"
	prompt "$SES" '!chunks 20 x' >"$tmp/x" && until_true 5 has_followed
	result=$?
	kill "$FOLLOWER"
	return "$result"
}
has_followed() {
	equal "$(seqs "$tmp/f126")" "$(seq $((mark + 1)) "$(last_seq "$SES")")"
}
ok "F126 who subscribed first sees everything from the next number on" \
	f126_before_prompt

# Agent's write to a line on the client's pipe; perl stamps the lines.  A busy
# machine lets one round through.
f126_latency() {
	mark=$(last_seq "$SES")
	timeout "$((20 * slow))" "$O/bin/hib" log "$SES" --follow --json \
		--since "$mark" |
		perl -MTime::HiRes=time -ne '
			/"ts":(\d+).*"text":"tick/ or next;
			push @d, time * 1000 - $1;
			next if @d < 20;
			@d = sort { $a <=> $b } @d;
			printf "%.1f\n", $d[10];
			exit' >"$tmp/latency" &
	measuring=$!
	script=
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		script="$script!say tick $i;;!sleep 20;;"
	done
	prompt "$SES" "$script!say x" >"$tmp/x"
	prompt "$SES" "!say wakes the pipe" >"$tmp/x"
	wait "$measuring"
	echo "median: $(cat "$tmp/latency") ms"
	perl -e "exit !($(cat "$tmp/latency") < 20 * $slow / 3)"
}
ok "F126 an event reaches a client in 20 ms" until_true 20 f126_latency

f127_union() {
	mark=$(last_seq "$SES")
	SINCE=$mark stream "$SES" "$tmp/one"
	prompt_bg "$SES" '!flood 2000 50'
	until_true 5 grep -q 'i=700' "$tmp/one"
	kill "$STREAMER"
	wait "$STREAMER" 2>/dev/null
	data "$tmp/one" | sed '$d' >"$tmp/first" # The last may be cut.
	wait_turn "$SES" "$TURN" >"$tmp/x"
	hib log "$SES" --json --since "$(tail -n 1 "$tmp/first" | jq .seq)" \
		>"$tmp/rest"
	cat "$tmp/first" "$tmp/rest" >"$tmp/union"
	hib log "$SES" --json --since "$mark" | cmp - "$tmp/union"
}
ok "F127 after a cut, since=last gives exactly what was missed" f127_union

f130_exclusive() {
	http GET "/v1/sessions/$SES/events?since=0&limit=1" |
		jq -e '.events[0].seq == 1 and .has_more and .next_since == 1' &&
		http GET "/v1/sessions/$SES/events?since=7&limit=1" |
		jq -e '.events[0].seq == 8' &&
		hib log "$SES" --since 7 --json | head -n 1 | jq -e '.seq == 8' &&
		answers 409 cursor_ahead GET \
			"/v1/sessions/$SES/events?since=9999999" &&
		jq -e ".data.last_seq == $(last_seq "$SES")" "$tmp/body"
}
ok "F130 since is exclusive, and never ahead" f130_exclusive

f131_sse() {
	stream "$SES" "$tmp/sse"
	until_true 5 grep -q "^id: *$(last_seq "$SES")\$" "$tmp/sse"
	kill "$STREAMER"
	equal "$(ids "$tmp/sse")" "$(seq 1 "$(last_seq "$SES")")" &&
		grep -q '^retry: *500' "$tmp/sse" &&
		grep -A 1 '^event: *stream.open' "$tmp/sse" | sed -n 's/^data: *//p' |
		jq -e ".last_seq == $(last_seq "$SES") and .state == \"idle\"" &&
		log_json "$SES" >"$tmp/log" && data "$tmp/sse" |
		cmp - "$tmp/log" || return 1
	stream "$SES" "$tmp/sse40" -H 'Last-Event-ID: 40'
	until_true 5 grep -q '^id: *45$' "$tmp/sse40"
	kill "$STREAMER"
	equal "$(ids "$tmp/sse40" | head -n 1)" 41
}
ok "F131 SSE has the log's numbers and bytes and continues after a cut" f131_sse

f120_ephemeral() {
	awk '/^id:/ { id = 1 } /^event:/ && !id { print $2 } /^$/ { id = 0 }' \
		"$tmp/sse" | grep -v '^stream\.' >"$tmp/odd"
	cat "$tmp/odd"
	[ ! -s "$tmp/odd" ]
}
ok "F120 only stream frames have no number" f120_ephemeral

f133_busy() {
	new_session && prompt_bg "$SES" '!flood 20000 50' || return 1
	wait_for "$SES" 'i=2000 ' 10 >"$tmp/x"
	stream "$SES" "$tmp/busy"
	wait_turn "$SES" "$TURN" 30 >"$tmp/x"
	until_true 10 grep -q "^id: *$(last_seq "$SES")\$" "$tmp/busy"
	kill "$STREAMER"
	if grep -q stream.gap "$tmp/busy"; then
		echo "a gap"
		return 1
	fi
	ids "$tmp/busy" >"$tmp/got"
	seq 1 "$(last_seq "$SES")" | cmp - "$tmp/got"
}
ok "F133 history and live join without gap or repeat in a busy turn" f133_busy

f134_history_first() {
	hib session suspend "$SES" && mark=$(last_seq "$SES") &&
		log_json "$SES" >"$tmp/before" && hib session resume "$SES" &&
		log_json "$SES" | head -n "$mark" | cmp - "$tmp/before" &&
		holds "$SES" ".[$mark].seq == $mark + 1 and
			.[$mark].epoch == .[$mark - 1].epoch + 1"
}
ok "F134 history is whole before the first event of a resumed session" \
	f134_history_first

f139_pending() {
	new_session && prompt_bg "$SES" '!ask t1 x' &&
		wait_for_state "$SES" waiting || return 1
	stream "$SES" "$tmp/open"
	until_true 5 grep -q '^event: *permission.requested' "$tmp/open"
	kill "$STREAMER"
	id=$(grep -A 1 '^event: *stream.open' "$tmp/open" |
		sed -n 's/^data: *//p' | jq -r '.pending[0].id')
	hib answer "$SES" "$id" allow_once && wait_turn "$SES" "$TURN"
}
ok "F139 who comes later is told what waits for an answer" f139_pending

# How often hibd has waited for something to do.
wakes() {
	cat /proc/"$(hibd_pid)"/task/*/status |
		awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}
# Asking once a second they would wake it 180 times; each is sent a sign of life
# once, at most.
f135_idle() {
	i=0
	pids=
	while [ "$i" -lt 60 ]; do
		i=$((i + 1))
		stream "$SES" "$tmp/idle.$i"
		pids="$pids $STREAMER"
	done
	until_true 10 grep -q stream.open "$tmp/idle.60"
	before=$(wakes)
	sleep 3
	woke=$(($(wakes) - before))
	# shellcheck disable=SC2086 # a list
	kill $pids
	echo "hibd woke $woke times in 3 s"
	[ "$woke" -lt 100 ]
}
ok "F135 60 idle subscribers wake nobody" f135_idle

# The turn ends while nobody reads.
f136_slow_reader() {
	new_session || return 1
	mark=$(last_seq "$SES")
	SINCE=$mark stream "$SES" "$tmp/slow"
	until_true 5 grep -q stream.open "$tmp/slow"
	kill -STOP "$STREAMER"
	prompt "$SES" '!flood 20000 1000' >"$tmp/x" || return 1
	kill -CONT "$STREAMER"
	until_true 20 grep -q '^event: *stream.gap' "$tmp/slow" || return 1
	prompt "$SES" '!say after' >"$tmp/x"
	until_true 20 grep -q "^id: *$(last_seq "$SES")\$" "$tmp/slow"
	kill "$STREAMER"
	grep -c '^event: *stream.gap' "$tmp/slow"
	grep -A 1 '^event: *stream.gap' "$tmp/slow" |
		sed -n 's/^data: *//p' | jq -r '"\(.from) \(.to)"' >"$tmp/gaps"
	(ids "$tmp/slow"
		while read -r from to; do seq "$from" "$to"; done <"$tmp/gaps") |
		sort -n >"$tmp/covered"
	seq $((mark + 1)) "$(last_seq "$SES")" | cmp - "$tmp/covered" &&
		equal "$(wc -l <"$tmp/gaps")" 1
}
ok "F136 a slow reader gets one gap and holds up nobody" f136_slow_reader

# Who waits for the lock of the home has it when hibd dies: no other can come.
f137_cut_for_ever() {
	new_session || return 1
	hib prompt "$SES" '!sleep 1000;;!say done' >"$tmp/out" 2>"$tmp/err" &
	client=$!
	wait_for_state "$SES" running || return 1
	flock --no-fork "$HIB_HOME/hibd.lock" sleep 600 &
	lock=$!
	at_exit "end_child $lock"
	until_true 5 grep -q -e "-> FLOCK .* $lock " /proc/locks || return 1
	kill_hibd KILL
	wait "$client"
	code=$?
	cat "$tmp/out" "$tmp/err"
	kill "$lock"
	equal "$code" 8 && grep -qE 'guest_unreachable|vm_unavailable' \
		"$tmp/err" && hib daemon start && wait_for "$SES" \
		'turn.completed' 10 && hib session turns "$SES" --json |
		jq -e 'last.state == "completed"'
}
ok "F137 a client cut off for ever says so; the turn completes" f137_cut_for_ever

f138_scope() {
	a=$SES && new_session && b=$SES || return 1
	TOKEN=$(hib token create "$a" --scope admin) || return 1
	http GET "/v1/sessions/$a/events?since=0" | jq -e '.events | length > 3'
	result=$?
	for path in "events?since=0" "events?since=3" stream messages turns \
		export "events?since=99999"; do
		answers 404 session_not_found GET "/v1/sessions/$b/$path" ||
			result=1
	done
	TOKEN=
	return "$result"
}
ok "F138 a cursor opens no other session's events" f138_scope

done_testing
