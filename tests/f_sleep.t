#!/bin/sh
# VMs: sleep, wake, power, loss of the channel.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

vm_state_is() {
	equal "$(hib vm get "$VM" --json | jq -r .state)" "$1"
}

# --- the log over sleeps ----------------------------------------------------

f140_rounds() {
	prompt "$SES" start >"$tmp/x"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		hib export "$SES" >"$tmp/before" && hib vm sleep "$VM" &&
			hib vm wake "$VM" && says "$SES" "!say $i" "$i" &&
			hib export "$SES" >"$tmp/after" &&
			head -c "$(wc -c <"$tmp/before")" "$tmp/after" |
			cmp - "$tmp/before" || return 1
	done
}
ok "F140 20 sleeps: each export begins with the bytes of the one before" \
	f140_rounds

# The guest's own store against the host's, event by event.
stores_agree() {
	cp "$HIB_HOME/vms/$VM"/disk/state/guest.db* "$tmp/"
	columns="SELECT s.id, seq, e.epoch, ts_ms, type, turn_id, ctx, data, chain
		FROM event e JOIN session s ON s.n = session_n
		WHERE s.vm_id = '$VM' ORDER BY s.id, seq"
	sqlite3 "$tmp/guest.db" "$columns" >"$tmp/guest.log" &&
		sql "$columns" >"$tmp/host.log" || return 1
	rm -f "$tmp"/guest.db*
	wc -l "$tmp/host.log"
	[ -s "$tmp/host.log" ] && cmp "$tmp/guest.log" "$tmp/host.log"
}
ok "F212 after a sleep both stores hold the same" \
	eval 'hib vm sleep "$VM" && stores_agree'

f212_while_streaming() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		prompt_bg "$SES" '!flood 200000 80' || return 1
		wait_for "$SES" 'i=[1-9][0-9][0-9]' 10 "$MARK" >"$tmp/x"
		sleep "0.0$i"
		hib vm sleep "$VM" --json >"$tmp/slept" &&
			jq -e ".interrupted == [\"$TURN\"] and
				.state == \"suspended\"" "$tmp/slept" &&
			state_is "$SES" suspended &&
			equal "$(session_field "$SES" tail_complete)" true &&
			hib session turns "$SES" --json |
			jq -e 'last | .state == "interrupted"' &&
			stores_agree || return 1
	done
	numbers_are_whole && says "$SES" '!say awake' awake
}
ok "F212 ten sleeps while events stream: nothing is lost" f212_while_streaming

f010_disk_stays() {
	says "$SES" '!write /workspace/kept yes' ok >"$tmp/x"
	hib vm sleep "$VM" && says "$SES" '!read /workspace/kept' yes
}
ok "F213 files outlive a sleep" f010_disk_stays

# --- what wakes and what does not -------------------------------------------

f215_reads() {
	hib vm sleep "$VM" && log_json "$SES" >"$tmp/x" &&
		hib messages "$SES" --json >"$tmp/x" &&
		http GET "/v1/sessions/$SES" >"$tmp/x" &&
		http GET "/v1/sessions/$SES?live=1" | jq -e '.live.vm == false' &&
		http GET "/v1/sessions/$SES/events?since=0" >"$tmp/x" &&
		http GET "/v1/sessions/$SES/turns" >"$tmp/x" &&
		stream "$SES" "$tmp/sse" || return 1
	until_true 5 grep -q stream.open "$tmp/sse"
	_open=$?
	stop "$STREAMER"
	equal "$_open" 0 && vm_state_is suspended
}
ok "F215 reading wakes nothing" f215_reads
f215_prompt() {
	answers 409 session_not_live POST "/v1/sessions/$SES/prompt" \
		'{"text":"hi","noWake":true}' && vm_state_is suspended &&
		says "$SES" '!say hi' hi && vm_state_is running
}
ok "F215 a prompt does, unless it must not" f215_prompt
f215_resume() {
	hib vm sleep "$VM" && hib session resume "$SES" && vm_state_is running
}
ok "F215 so does resume" f215_resume

f215_together() {
	hib vm sleep "$VM" || return 1
	generation=$(hib vm get "$VM" --json | jq .generation)
	hib session resume "$SES" >"$tmp/r1" &
	_one=$!
	hib session resume "$SES" >"$tmp/r2" &
	hib vm wake "$VM"
	wait "$_one" "$!"
	equal "$(hib vm get "$VM" --json | jq .generation)" \
		$((generation + 1)) && state_is "$SES" idle
}
ok "F215 three at once wake it once" f215_together

# The host may not know yet that the agent is gone.
f061_after_a_power_cut() {
	_id=$(new_vm && new_session && echo "$SES $VM")
	_ses=${_id% *}
	says "$_ses" first first && kill -9 "$(guest_pid "${_id#* }")" &&
		says "$_ses" second second
}
ok "F061 a prompt right after a power cut is answered" f061_after_a_power_cut

# frozen_call METHOD PATH BODY - make a request whose call comes to a guest that
# stands still, and cut its power: what hibd answers is in $tmp/late.
frozen_call() {
	_guest=$(guest_pid "$VM")
	kill -STOP "$_guest"
	curl -sSv --max-time "$((30 * slow))" --unix-socket \
		"$HIB_HOME/hibd.sock" -X "$1" --data-binary "$3" -o "$tmp/late" \
		"http://hib$2" 2>"$tmp/late.err" &
	_curl=$!
	until_true 5 grep -q '^> Content-Length' "$tmp/late.err" &&
		http GET "/v1/sessions/$SES" >"$tmp/x" &&
		http GET "/v1/sessions/$SES" >"$tmp/x"
	kill -9 "$_guest"
	wait "$_curl" && cat "$tmp/late"
}
inputs() {
	log_json "$1" | jq -s 'map(select(.type == "input.message")) | length'
}
slept=$VM
f061_prompt_on_its_way() {
	new_vm && new_session && says "$SES" first first && n=$(inputs "$SES") &&
		frozen_call POST "/v1/sessions/$SES/prompt" \
			'{"text":"!say late","wait":true}' &&
		jq -e '.state == "completed" and .text == "late"' "$tmp/late" &&
		equal "$(inputs "$SES")" $((n + 1))
}
ok "F061 a prompt on its way at a power cut is answered, once" \
	f061_prompt_on_its_way
resume_on_its_way() {
	hib session suspend "$SES" && n=$(inputs "$SES") &&
		frozen_call POST "/v1/sessions/$SES/resume" '{}' &&
		jq -e '.session.state == "idle"' "$tmp/late" &&
		says "$SES" '!say up' up
}
ok "so is a resume" resume_on_its_way
f061_prompt_that_must_not_wake() {
	frozen_call POST "/v1/sessions/$SES/prompt" \
		'{"text":"!say no","noWake":true}' &&
		jq -e '.data.code == "guest_unreachable" and
			.data.retryable' "$tmp/late"
}
ok "F061 not so one that must not wake" f061_prompt_that_must_not_wake
create_on_its_way() {
	new_vm && frozen_call POST "/v1/sessions" \
		"{\"agent\":\"echo\",\"vm\":\"$VM\"}" &&
		SES=$(jq -r .session.id "$tmp/late") && state_is "$SES" idle &&
		says "$SES" '!say made' made && equal "$(hib session list \
			--vm "$VM" --json | jq length)" 1
}
ok "a session that is being made then is made, once" create_on_its_way
VM=$slept

# booted_since SEQ N - the VM's own log tells of N boots after SEQ.
booted_since() {
	hib vm events "$VM" --json | jq -e "map(select(.seq > $1 and
		.type == \"vm.booted\")) | length == $2" >"$tmp/x"
}
f216_events() {
	seq_before=$(hib vm events "$VM" --json | jq 'last.seq')
	hib vm sleep "$VM" && hib vm wake "$VM" && hib vm stop "$VM" &&
		hib vm wake "$VM" && kill_vm "$VM" &&
		until_true 20 booted_since "$seq_before" 3 &&
		hib vm events "$VM" --json | jq -c "map(select(.seq > $seq_before) |
			[.type, .data.reason])" | tee "$tmp/x" |
		jq -e 'map(select(.[0] == "vm.shutdown") | .[1]) ==
			["sleep", "stop", "error"] and
			(map(.[0]) | index("vm.suspended") and index("vm.resumed"))
			and (map(select(.[0] == "vm.booted")) | length) == 3' &&
		hib vm events "$VM" --json | jq -e 'map(.seq) ==
			[range(1; length + 1)]'
}
ok "F216 each change of power is one event with its reason" f216_events

f220_boot_time() {
	hib vm events "$VM" --json | jq -c \
		'map(select(.type == "vm.booted") | .data.ms)' |
		tee /dev/stderr | jq -e 'all(. > 0 and . < 3000)'
}
ok "F220 the boot's time is told" f220_boot_time

# --- idle -------------------------------------------------------------------

f214_idle() {
	old=$VM
	new_vm --idle-ms 700 && new_session && idle_vm=$VM &&
		until_true 10 vm_state_is suspended && state_is "$SES" suspended
	result=$?
	VM=$old
	return "$result"
}
ok "F214 an idle VM goes to sleep" f214_idle
f214_busy() {
	boots=$(sql "SELECT generation FROM vm WHERE id='$idle_vm'") &&
		says "$SES" '!sleep 2500;;!say still here' 'still here' &&
		holds "$SES" 'any(.type == "turn.interrupted") | not' &&
		equal "$(sql "SELECT generation FROM vm WHERE id='$idle_vm'")" \
			$((boots + 1))
}
ok "F214 one with a running turn does not" f214_busy

# --- agents that put away what they have -------------------------------------------

shell_agent saving '/opt/hib/echo-agent; echo saved >>/workspace/saved'
agent_saves() {
	saver=$(hib session create --vm "$VM" --agent saving) &&
		says "$saver" '!say one' one && hib vm sleep "$VM" &&
		says "$saver" '!say two' two && hib session suspend "$saver" &&
		hib session close "$saver" &&
		equal "$(grep -c saved "$HIB_HOME/vms/$VM/disk/vfs/upper/saved")" 2
}
ok "an idle agent may put away what it has before it sleeps" agent_saves

# It ends with neither its input nor by SIGTERM.
shell_agent stubborn 'trap "" TERM; /opt/hib/echo-agent; exec sleep 1000'
stubborn_ends() {
	stubborn=$(hib session create --vm "$VM" --agent stubborn) &&
		says "$stubborn" '!say one' one && hib vm sleep "$VM" &&
		hib session close "$stubborn" &&
		holds "$stubborn" 'any(.type == "agent.exited" and
			.data.signal == 9)'
}
ok "one that does not end is ended" stubborn_ends

# --- a guest that does not answer, a channel that breaks ----------------------

f219_dumb_guest() {
	mkdir "$tmp/libexec"
	cp "$O"/libexec/* "$tmp/libexec"
	printf '#!/bin/sh\necho I am no guest >&2\nexec sleep 1000\n' \
		>"$tmp/libexec/hib-guest"
	old=$HIB_HOME
	HIB_HOME=$tmp/dumb
	mkdir -m 700 "$HIB_HOME"
	export HIB_LIBEXEC="$tmp/libexec"
	refused 'vm_unavailable\|guest_unreachable' 8 hib vm create &&
		hib vm list --json | jq -e '.[0] | .state == "failed" and
			.last_error != null' &&
		grep -q 'no guest' "$HIB_HOME"/vms/*/console.log
	result=$?
	kill_all
	unset HIB_LIBEXEC
	HIB_HOME=$old
	return "$result"
}
ok "F219 a guest that does not answer in time fails its VM" f219_dumb_guest

f223_channel() {
	new_session && a=$SES && new_session && b=$SES &&
		prompt_bg "$a" '!flood 30000 60' && ta=$TURN &&
		prompt_bg "$b" '!sleep 300;;!flood 30000 60' && tb=$TURN || return 1
	kill_hibd KILL
	sleep 0.2
	hib daemon start && wait_turn "$a" "$ta" 60 | grep completed &&
		wait_turn "$b" "$tb" 60 | grep completed &&
		equal "$(session_field "$a" epoch)" 1 &&
		numbers_are_whole && equal "$(sql "SELECT count(*) FROM event
			JOIN session s ON s.n = session_n WHERE
			type = 'acp.update' AND s.id IN ('$a', '$b')")" 60000 &&
		hib vm sleep "$VM" && stores_agree
}
ok "F223 a lost channel loses nothing of two sessions" f223_channel

# It was on its way down when hibd was killed, and ends under the next one.
taken_over() {
	new_session && guest=$(guest_pid "$VM") && kill -STOP "$guest" &&
		kill_hibd KILL && hib daemon start || return 1
	says "$SES" '!say again' again &
	_saying=$!
	kill_vm "$VM"
	wait "$_saying"
}
ok "a machine that ends after it was taken over is booted again" taken_over

f224_agent_killed() {
	says "$SES" '!say hi' hi || return 1
	kill -9 "$(agent_pid "$SES")" && until_true 10 eval \
		'http GET "/v1/sessions/$SES?live=1" | jq -e ".live.agent == false
		and (.state == \"failed\" or .state == \"suspended\")"'
}
ok "F224 a killed agent is reported within 1 s" f224_agent_killed

done_testing
