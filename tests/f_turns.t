#!/bin/sh
# Turns: one at a time, each with one end, whatever the agent or the client does.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

# --- prompt and reply -----------------------------------------------------

f052_reply() {
	http POST "/v1/sessions/$SES/prompt" '{"text":"hi","wait":true}' |
		jq -e '.text == "hi" and .stopReason == "end_turn" and
			.state == "completed" and (.turn | startswith("trn_"))' &&
		says "$SES" hi hi && prompt_bg "$SES" later &&
		echo "$TURN" | grep -qE '^trn_[0-9a-f]{32}$' &&
		wait_turn "$SES" "$TURN"
}
ok "F052 a prompt is answered with the reply, or at once with the turn" \
	f052_reply

image='{"content":[{"type":"text","text":"see"},{"type":"image","mimeType":"image/png","data":"iVBORw0KGgo="}],"wait":true}'
f053_refused() {
	unchanged "$SES" answers 412 capability_unsupported POST \
		"/v1/sessions/$SES/prompt" "$image" &&
		equal "$(session_field "$SES" turn)" null
}
ok "F053 an image for an agent without eyes starts no turn" f053_refused
f053_taken() {
	agent image --image &&
		id=$(hib session create --vm "$VM" --agent image) &&
		http POST "/v1/sessions/$id/prompt" "$image" |
		jq -e '.state == "completed"' &&
		holds "$id" 'any(.type == "input.message" and
			(.data.content | map(.type)) == ["text", "image"])'
}
ok "F053 one with eyes gets it as it was given" f053_taken

f054_chunks() {
	text='Ünïcode ☃ and more words than fit into one chunk of the reply'
	says "$SES" "$text" "$text" && log_json "$SES" | jq -rj --arg t \
		"$(hib session turns "$SES" --json | jq -r 'last.id')" \
		'select(.turn == $t) | .data.msg.params.update? |
		select(.sessionUpdate == "agent_message_chunk") |
		.content.text' >"$tmp/chunks" &&
		equal "$(cat "$tmp/chunks")" "$text"
}
ok "F054 the chunks together are the reply" f054_chunks

# Standard output is a pipe that nobody reads.
to_nobody() {
	python3 -c 'import os, subprocess, sys
r, w = os.pipe()
os.close(r)
sys.exit(subprocess.run(sys.argv[1:], stdout=w).returncode)' "$@"
}
reader_gone() {
	exits 1 to_nobody timeout "$((30 * slow))" "$O/bin/hib" prompt "$SES" '!say a;;!sleep 100;;!say b' \
		2>"$tmp/err" && [ ! -s "$tmp/err" ]
}
ok "a reader who goes in the middle of a reply is no error to tell of" \
	reader_gone

f064_idempotent() {
	equal "$(hib prompt "$SES" --key k1 'once')" once &&
		turns=$(session_field "$SES" turn_count) &&
		equal "$(hib prompt "$SES" --key k1 'once')" once &&
		equal "$(session_field "$SES" turn_count)" "$turns" &&
		unchanged "$SES" refused idempotency_mismatch 7 \
			hib prompt "$SES" --key k1 'another'
}
ok "F064 the same key is the same turn" f064_idempotent

# --- the shape of a turn ----------------------------------------------------

f084_ids() {
	prompt "$SES" '!say a;;!tool t1 Edit edit;;!say b' &&
		holds "$SES" '
		[.[] | select(.type == "turn.started")] as $starts |
		[.[] | select(.type | test("^turn\\.(completed|failed|cancelled|interrupted)$"))]
			as $ends | . as $all |
		($starts | length) == ($ends | length) and
		all($starts[]; . as $s |
			first($ends[] | select(.turn == $s.turn)) as $e |
			all($all[$s.seq - 2:$e.seq][]; .turn == $s.turn)) and
		([$all[] | select(.turn)] | length) ==
		([$starts[] | . as $s | first($ends[] | select(.turn == $s.turn))
			.seq - $s.seq + 2] | add)'
}
ok "F084 the events of a turn, and no others, carry its id" f084_ids

f089_reasons() {
	for reason in end_turn max_tokens max_turn_requests refusal; do
		prompt "$SES" "!stop $reason" >"$tmp/out"
		log_json "$SES" | jq -se --arg r "$reason" '[.[] |
			select(.type == "turn.completed")] |
			last.data.stop_reason == $r' || return 1
	done
	prompt "$SES" '!stop cancelled' >"$tmp/out"
	holds "$SES" '[.[] | select(.type | startswith("turn."))] |
		last.data.stop_reason == "cancelled"'
}
ok "F089 every stop reason is on record" f089_reasons
ok "F089 a refusal is a negative outcome" exits 1 prompt "$SES" '!stop refusal'

f094_usage() {
	http POST "/v1/sessions/$SES/prompt" \
		'{"text":"!usage 7 5;;!say x","wait":true}' |
		jq -e '.usage | tostring | test("7") and test("5")'
}
ok "F094 the agent's usage is reported" f094_usage
f094_context() {
	holds "$SES" '[.[] | select(.type == "turn.completed")] | last |
		.data.context.used == 12 and .data.context.size > 0'
}
ok "F094 and how full its context is" f094_context

f095_summary() {
	prompt "$SES" '!say first words;;!tool t9 Look read;;!sleep 300' &&
		holds "$SES" '[.[] | select(.type == "turn.completed")] |
			last.data | .duration_ms >= 300 and .duration_ms < 60000 and
			.tool_calls == 1 and (.text_preview | test("first words"))
			and .first_update_ms <= .duration_ms - 200'
}
ok "F095 a turn's end sums it up" f095_summary

# --- one at a time ----------------------------------------------------------

f086_hundred() {
	i=0
	turns=$(session_field "$SES" turn_count)
	while [ "$i" -lt 100 ]; do
		i=$((i + 1))
		echo "url = http://hib/v1/sessions/$SES/prompt"
		echo "unix-socket = $HIB_HOME/hibd.sock"
		echo "output = $tmp/h.$i"
		printf '%s\n' 'write-out = "%{http_code}\n"'
		printf '%s\n' 'data = "{\"text\":\"!hang\"}"'
		echo next
	done >"$tmp/hundred"
	sed -i '$d' "$tmp/hundred"
	curl -sSZ --max-time "$((60 * slow))" --parallel-immediate --parallel-max 100 -K "$tmp/hundred" \
		>"$tmp/codes" 2>"$tmp/x"
	sort "$tmp/codes" | uniq -c
	equal "$(grep -c 200 "$tmp/codes")" 1 &&
		equal "$(grep -c 409 "$tmp/codes")" 99 &&
		equal "$(grep -l turn_active "$tmp"/h.* | wc -l)" 99 &&
		equal "$(sql "SELECT count(*) FROM turn WHERE session_id='$SES'")" \
			$((turns + 1)) && hib cancel "$SES"
}
ok "F086 of 100 prompts at once one is taken" f086_hundred

f087_on_completed() {
	start=$(session_field "$SES" turn_count)
	i=0
	while [ "$i" -lt 100 ]; do
		i=$((i + 1))
		prompt_bg "$SES" "n $i" || return 1
		wait_turn "$SES" "$TURN" >"$tmp/end" || return 1
	done
	equal "$(session_field "$SES" turn_count)" $((start + 100))
}
ok "F087 who prompts on each turn.completed is never refused" f087_on_completed

f088_queue() {
	prompt_bg "$SES" '!await /workspace/go;;!say one' && for n in two three; do
		http POST "/v1/sessions/$SES/prompt" \
			"{\"text\":\"!say $n\",\"onBusy\":\"queue\"}" |
			jq -e .queued || return 1
	done
	let_go go
	wait_for "$SES" '"type":"turn.completed".*"text_preview":"three"' 5 &&
		hib messages "$SES" --json | jq -e '[.[] |
			select(.role == "agent") | .parts[-1].text] |
			.[-3:] == ["one", "two", "three"]'
}
ok "F088 queued prompts run in order" f088_queue

f088_not_drained() {
	prompt_bg "$SES" '!await /workspace/go.2;;!error -32001 no' &&
		http POST "/v1/sessions/$SES/prompt" \
			'{"text":"!say never","onBusy":"queue"}' &&
		let_go go.2 && wait_turn "$SES" "$TURN" && says "$SES" next next &&
		holds "$SES" 'any(.type == "turn.completed" and
			.data.text_preview == "never") | not'
}
ok "F088 a failed turn empties the queue" f088_not_drained

f088_interrupt() {
	prompt_bg "$SES" '!sleep 60000' && cut=$TURN &&
		equal "$(hib prompt "$SES" --on-busy interrupt next)" next &&
		hib session turns "$SES" --json |
		jq -e "any(.id == \"$cut\" and .state == \"cancelled\")"
}
ok "F088 an interrupting prompt cancels and starts" f088_interrupt

steering_agent() {
	agent steering --steer
	jq '.quirks = {steer: true}' "$HIB_HOME/agents/steering.json" \
		>"$tmp/manifest" &&
		cp "$tmp/manifest" "$HIB_HOME/agents/steering.json"
}

# It ends with the answers to both, and the input in the middle is a part of it.
f088_steer() {
	steering_agent && _other=$(hib session create --agent steering \
		--vm "$VM") || return 1
	prompt_bg "$_other" '!usage 1 2;;!sleep 60000;;!say first' &&
		wait_for_event "$_other" turn.started || return 1
	hib prompt "$_other" --on-busy steer --key k "left" >"$tmp/steered" &&
		wait_turn "$_other" "$TURN" || return 1
	hib prompt "$_other" --on-busy steer --key k "left" >"$tmp/again"
	cmp "$tmp/steered" "$tmp/again" &&
		equal "$(cat "$tmp/steered")" "steered: leftfirst" &&
		holds "$_other" "[.[] | select(.turn == \"$TURN\") | .type] |
			map(select(. == \"input.message\")) | length == 2" &&
		holds "$_other" '[.[] | select(.type == "input.message") |
			.data.via] == ["prompt", "steer"]'
}
ok "F088 a prompt steers the turn of an agent that can" f088_steer

f088_cannot_steer() {
	prompt_bg "$SES" '!sleep 60000' &&
		refused capability_unsupported 5 hib prompt "$SES" \
			--on-busy steer left && hib cancel "$SES"
}
ok "F088 an agent that cannot be steered is not" f088_cannot_steer

# --- ends -------------------------------------------------------------------

# A reader that polls as fast as it can never sees the end of a turn with the
# session still running: one statement reads both.
f096_one_transaction() {
	(while [ ! -e "$tmp/stop96" ]; do
		sql "SELECT s.state, (SELECT type FROM event WHERE
			session_n = s.n AND turn_id IS NOT NULL
			ORDER BY seq DESC LIMIT 1) FROM session s
			WHERE s.id = '$SES'"
	done >"$tmp/polled") &
	poller=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		prompt "$SES" "$i" >"$tmp/x"
	done
	touch "$tmp/stop96"
	wait "$poller"
	wc -l <"$tmp/polled"
	[ -s "$tmp/polled" ] && not grep '^running|turn.completed' "$tmp/polled"
}
ok "F096 no reader sees a completed turn in a running session" \
	f096_one_transaction

f097_late() {
	prompt_bg "$SES" '!lateupdates 3;;!sleep 60000' && hib cancel "$SES" &&
		wait_for "$SES" '"late":"'"$TURN"'".*late 3' 5 &&
		state_is "$SES" idle && says "$SES" on on &&
		holds "$SES" "[.[] | select(.ctx.late == \"$TURN\")] |
			length >= 3 and all(has(\"turn\") | not)"
}
ok "F097 what comes after a cancel is kept and reopens nothing" f097_late

f098_client_dies() {
	mark=$(last_seq "$SES")
	"$O/bin/hib" prompt "$SES" '!chunks 3 x;;!await /workspace/go.3;;!say end' \
		>"$tmp/x" &
	client=$!
	wait_for "$SES" 'x 3' 5 "$mark" || return 1
	kill -9 "$client" && let_go go.3
	wait_for "$SES" '"type":"turn.completed"' 5 "$mark" &&
		hib messages "$SES" --json |
		jq -e 'last.parts[-1].text == "x 1x 2x 3end"'
}
ok "F098 a turn outlives its client" f098_client_dies

f085_crash() {
	new_session && prompt_bg "$SES" "$1" && wait_turn "$SES" "$TURN" 5 &&
		until_true 5 state_is "$SES" failed &&
		holds "$SES" '[.[] | select(.type | startswith("turn.")) | .type]
			== ["turn.started", "turn.failed"]'
}
ok "F085 a turn whose agent crashes has one end" f085_crash '!say a;;!crash'
ok "F085 or exits, though with 0" f085_crash '!say b;;!exit 0'
ok "F085 or closes its stdout and stays" f085_crash '!closestdout;;!hang'

f085_interrupt_key() {
	new_session || return 1
	env --default-signal=INT "$O/bin/hib" prompt "$SES" '!sleep 60000' &
	client=$!
	wait_for_state "$SES" running &&
		kill -INT "$client" || return 1
	reap "$client"
	equal "$?" 130 && hib session turns "$SES" --json |
		jq -e '.[0].state == "cancelled"'
}
ok "F085 an interrupted client cancels its turn and exits 130" \
	f085_interrupt_key

done_testing
