#!/bin/sh
# Warm sleep: a VM is put away with its memory, and goes on from there.
#
# WARM_ROUNDS  suspends at a random moment of a turn (20).  500 is a long run.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

rounds=${WARM_ROUNDS:-20}
n_updates=20000
n_turns=0

new_vm
new_session

vm_is() {
	equal "$(hib vm get "$VM" --json | jq -r '"\(.state) \(.sleep)"')" "$1"
}
generation() {
	hib vm get "$VM" --json | jq .generation
}
doze() {
	suspend_vm --json >"$tmp/slept" &&
		jq -e '.kind == "warm" and .memory == "ram" and .ms > 0' \
			"$tmp/slept" && vm_is 'suspended warm'
}
resume() {
	hib vm resume "$VM" --json >"$tmp/woken" &&
		jq -e '.kind == "warm" and .memory == null and
			.state == "running"' "$tmp/woken"
}

# The guest's own store against the host's; a copy, since the VM may be off.
stores_agree() {
	cp "$HIB_HOME/vms/$VM"/disk/state/guest.db* "$tmp/" || return 1
	logs_agree "$tmp/guest.db"
	_agree=$?
	rm -f "$tmp"/guest.db*
	return "$_agree"
}

# flood SES - begin a turn of numbered updates, whose reply comes into
# $tmp/reply; return in the middle of it.
flood() {
	MARK=$(last_seq "$1") n_turns=$((n_turns + 1))
	PATIENCE=120 hib prompt "$1" \
		"!flood $n_updates 80;;!await /workspace/go.$n_turns" \
		>"$tmp/reply" &
	PROMPT=$!
	wait_for "$1" 'i=[1-9][0-9][0-9]' 20 "$MARK" >"$tmp/x"
}
# flooded SES - it ends, and says each number once: the reply does and the log.
numbers() {
	grep -o 'i=[0-9]*' "$1" | cut -d= -f2 >"$tmp/numbers"
	seq "$n_updates" | cmp - "$tmp/numbers"
}
flooded() {
	let_go "go.$n_turns" && wait "$PROMPT" && numbers "$tmp/reply" && all_updates "$1"
}

# in_a_turn - begin one of numbered updates, and be in the middle of it.
in_a_turn() {
	n_turns=$((n_turns + 1))
	prompt_bg "$SES" "!flood $n_updates 80;;!await /workspace/go.$n_turns" &&
		wait_for "$SES" 'i=[1-9][0-9]' 20 "$MARK" >"$tmp/x"
}
completed() {
	let_go "go.$n_turns" && wait_turn "$SES" "$TURN" 60 | grep completed
}
all_updates() {
	hib log "${1:-$SES}" --since "$MARK" --json |
		grep '"type":"acp.update"' >"$tmp/updates" &&
		numbers "$tmp/updates"
}

# --- a turn goes on --------------------------------------------------------------

f040_in_a_turn() {
	flood "$SES" && doze && state_is "$SES" suspended &&
		equal "$(session_field "$SES" suspended_from)" running &&
		equal "$(session_field "$SES" tail_complete)" true &&
		hib session turns "$SES" --json |
		jq -e 'last.state == "running"' && stores_agree &&
		unchanged "$SES" sleep 0.3 && kill -0 "$PROMPT" && resume &&
		flooded "$SES" && state_is "$SES" idle &&
		holds "$SES" 'any(.type == "turn.interrupted") | not' &&
		holds "$SES" 'map(select(.type == "session.resumed")) |
			last.data.restore == "warm"'
}
ok "F040 F057 a turn sleeps, its prompt waits, and both go on" f040_in_a_turn
f212_again() {
	flood "$SES" && for i in 1 2 3; do
		doze && stores_agree && resume || return 1
	done && flooded "$SES"
}
ok "F212 three times in one turn" f212_again
by_another() {
	first=$SES
	new_session && other=$SES && SES=$first && flood "$first" && doze &&
		says "$other" '!say up' up && flooded "$first"
}
ok "F215 a prompt to another session wakes it, and the turn goes on" by_another
still_busy() {
	prompt_bg "$SES" '!sleep 60000' && doze &&
		answers 409 turn_active POST "/v1/sessions/$SES/prompt" \
			'{"text":"now"}' && vm_is 'running null' &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" | grep cancelled
}
ok "F215 a prompt to a session in a turn wakes it and is refused" still_busy
streamed() {
	stream "$SES" "$tmp/sse" && until_true 5 grep -q stream.open "$tmp/sse" &&
		flood "$SES" && doze && resume && flooded "$SES" &&
		until_true 10 eval 'grep -q turn.completed "$tmp/sse"' &&
		kill "$STREAMER" && sed -n "/^id: $((MARK + 1))\$/,\$p" \
		"$tmp/sse" | grep '"type":"acp.update"' >"$tmp/updates" &&
		numbers "$tmp/updates"
}
ok "a stream of events goes on with it" streamed
at_work() {
	says "$SES" '!sleep 700;;!say ended' ended &
	_says=$!
	wait_for_state "$SES" running 10 "$(last_seq "$SES")" >"$tmp/x"
	doze && resume && wait "$_says"
}
ok "what an agent waits for in itself comes after it" at_work

# --- once, for all who wait -----------------------------------------------------

f215_together() {
	all=
	for i in 1 2 3 4 5; do
		new_session && all="$all $SES" || return 1
	done
	SES=$first
	before=$(generation) && doze || return 1
	pids=
	for s in $all; do
		says "$s" "!say $s" "$s" &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p" || return 1
	done
	equal "$(generation)" $((before + 1)) && for s in $all; do
		hib session close "$s" || return 1
	done
}
ok "F215 five prompts wake it once" f215_together
f215_suspend_then() {
	hib vm suspend "$VM" &
	_suspend=$!
	says "$SES" '!say awake' awake && wait "$_suspend"
	says "$SES" '!say still' still
}
ok "a prompt on its way is no reason against a sleep" f215_suspend_then

# --- who wakes it and who does not -----------------------------------------------

f215_reads() {
	says "$SES" '!write /workspace/kept yes' ok >"$tmp/x"
	hib prompt "$SES" '!write /workspace/kept yes' >"$tmp/x" &&
		doze && log_json "$SES" >"$tmp/x" &&
		hib messages "$SES" --json >"$tmp/x" &&
		http GET "/v1/sessions/$SES?live=1" | jq -e '.live.vm == false' &&
		http GET "/v1/sessions/$SES/turns" >"$tmp/x" &&
		hib vm list --json | jq -e 'map(select(.sleep == "warm")) |
			length == 1' && hib vm list | grep warm &&
		equal "$(hib files cat "$VM" kept)" yes &&
		hib files checkpoint "$VM" --json | jq -e '.complete' &&
		answers 409 no_turn POST "/v1/sessions/$SES/cancel" '{}' &&
		hib session suspend "$SES" &&
		answers 409 session_not_live POST "/v1/sessions/$SES/prompt" \
			'{"text":"hi","noWake":true}' &&
		suspend_vm && vm_is 'suspended warm'
}
ok "F215 reading wakes nothing" f215_reads
f042_is_so() {
	new_session && over=$SES && hib session close "$over" && SES=$first &&
		prompt_bg "$SES" '!sleep 1000;;!say ended' && doze &&
		hib session close "$over" && hib session suspend "$SES" &&
		http POST "/v1/sessions/$SES/suspend" '{"force":true}' |
		jq -e '.suspended_from == "running"' &&
		refused session_closed 7 hib session suspend "$over" &&
		vm_is 'suspended warm' && resume &&
		wait_turn "$SES" "$TURN" | grep completed
}
ok "F042 nor does what is so already" f042_is_so
wakes() {
	until_true 5 vm_is 'running null' && doze
}
f215_writes() {
	hib session update "$SES" --title woken && wakes &&
		printf new | hib files put "$VM" - kept && wakes &&
		equal "$(hib exec "$VM" -- cat /workspace/kept)" new && wakes &&
		hib session resume "$SES" && wakes &&
		says "$SES" '!say on' on
}
ok "F215 what changes something does" f215_writes
f158_asked() {
	prompt_bg "$SES" '!ask t1 Edit;;!say after' &&
		wait_for_event "$SES" permission.requested 10 "$MARK" >"$tmp/x" &&
		REQ=$(http GET "/v1/sessions/$SES/requests" |
			jq -r '.[] | select(.state == "pending") | .id') &&
		doze && equal "$(session_field "$SES" suspended_from)" waiting &&
		equal "$(session_field "$SES" pending)" 1 &&
		http GET "/v1/sessions/$SES/requests" | jq -e "last |
			.id == \"$REQ\" and .state == \"pending\""
}
ok "F158 a question sleeps" f158_asked
f158_answered() {
	http POST "/v1/sessions/$SES/requests/$REQ" '{"option":"allow_once"}' &&
		equal "$(cat "$tmp/status")" 200 &&
		wait_turn "$SES" "$TURN" | grep completed &&
		vm_is 'running null'
}
ok "F158 its answer wakes the VM, and the turn goes on" f158_answered
cancelled() {
	prompt_bg "$SES" '!sleep 60000' && doze && hib cancel "$SES" &&
		wait_turn "$SES" "$TURN" | grep cancelled && vm_is 'running null'
}
ok "so does a cancel" cancelled

# --- what persists -----------------------------------------------------------------

f213_warm() {
	in_vm "$SES" 'sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid' || return 1
	was=$(agent_pid "$SES") && [ -n "$was" ] && doze && resume &&
		equal "$(agent_pid "$SES")" "$was" &&
		equal "$(session_field "$SES" epoch)" "$(log_json "$SES" |
			jq -s 'map(select(.type == "session.ready")) |
				last.epoch')" &&
		in_vm "$SES" 'kill -0 $(cat /tmp/pid) && echo lives' |
		grep lives
}
ok "F213 warm: processes, /tmp and the agent's own memory stay" f213_warm
f213_exec() {
	hib exec "$VM" -- sh -c 'echo one; sleep 1; echo two; exit 3' \
		>"$tmp/exec" &
	_exec=$!
	read_line "$tmp/exec" 10 >"$tmp/x" && doze && resume
	wait "$_exec"
	equal "$?" 3 && equal "$(tr '\n' ' ' <"$tmp/exec")" 'one two '
}
ok "F213 a program that is run from outside goes on, and so does its stream" \
	f213_exec
f213_exec_left() {
	"$O/bin/hib" exec "$VM" -- sh -c 'echo one; exec flock lock sleep 6543' \
		>"$tmp/exec" 2>&1 &
	_exec=$!
	read_line "$tmp/exec" 10 >"$tmp/x" && not in_vm "$SES" \
		'flock -n lock true' && doze || return 1
	kill_hibd KILL
	reap "$_exec"
	hib daemon start && resume && until_true 10 in_vm "$SES" \
		'flock -n lock true'
}
ok "F213 one that nobody comes back to ends when the VM goes on" f213_exec_left
f213_cold() {
	in_a_turn && doze && hib vm sleep "$VM" --json >"$tmp/x" &&
		jq -e '.kind == "cold" and .sleep == "cold" and
			(.interrupted | length) == 1' "$tmp/x" &&
		equal "$(session_field "$SES" tail_complete)" true &&
		stores_agree && holds "$SES" 'last.type != "turn.started" and
			(map(select(.type == "turn.interrupted")) | length) > 0' &&
		not in_vm "$SES" 'cat /tmp/pid' &&
		equal "$(in_vm "$SES" 'cat /workspace/kept')" new
}
ok "F213 cold: agents end, files and logs stay; also after a warm one" f213_cold
f216_events() {
	doze && resume && hib vm events "$VM" --json | jq -c \
		'.[-2:] | map([.type, .data.kind])' | tee "$tmp/x" &&
		equal "$(cat "$tmp/x")" \
			'[["vm.suspended","warm"],["vm.resumed","warm"]]'
}
ok "F216 each is one event" f216_events

# --- death ---------------------------------------------------------------------------

hibd_asleep() {
	in_a_turn && pid=$(guest_pid "$VM") && doze || return 1
	kill_hibd KILL
	hib daemon start && vm_is 'suspended warm' &&
		equal "$(guest_pid "$VM")" "$pid" && unchanged "$SES" sleep 0.3 &&
		resume && completed && all_updates
}
ok "F212 a hibd that dies leaves it asleep, and the next one wakes it" \
	hibd_asleep
# Killed at any moment of COMMAND.
hibd_killed_in() {
	hib vm "$1" "$VM" >"$tmp/x" 2>&1 &
	_command=$!
	sleep "0.0$(od -An -N1 -tu1 /dev/urandom | awk '{ printf "%02d", $1 % 25 }')"
	kill_hibd KILL
	wait "$_command"
	hib daemon start
}
hibd_on_the_way() {
	for i in 1 2 3 4 5; do
		in_a_turn && hibd_killed_in suspend && suspend_vm &&
			stores_agree && hibd_killed_in resume &&
			hib vm resume "$VM" && completed && all_updates ||
			return 1
	done
}
ok "F212 hibd is killed while it suspends and resumes: nothing is lost" \
	hibd_on_the_way
machine_asleep() {
	in_a_turn && doze && kill_vm "$VM" && until_true 5 vm_is 'suspended cold' &&
		hib vm events "$VM" --json | jq -e 'last | .type == "vm.shutdown"
			and .data.reason == "memory_lost"' &&
		turn=$TURN && says "$SES" '!say again' again &&
		wait_turn "$SES" "$turn" | grep interrupted
}
ok "F212 a machine that dies asleep costs the turn, not the log" machine_asleep
both_asleep() {
	in_a_turn && doze || return 1
	kill_all
	hib daemon start && until_true 5 vm_is 'suspended cold' &&
		says "$SES" '!say b' b
}
ok "F212 so does one that dies with hibd" both_asleep
destroyed() {
	old=$VM
	new_vm && new_session && doze && pid=$(guest_pid "$VM") &&
		hib vm destroy "$VM" && not alive "$pid" &&
		equal "$(session_field "$SES" state)" closed
	result=$?
	VM=$old SES=$first
	return $result
}
ok "one that sleeps is destroyed" destroyed

# --- by itself ------------------------------------------------------------------------

f214_idle() {
	new_vm --idle 700ms --cold-after never && new_session &&
		until_true 10 vm_is 'suspended warm' &&
		says "$SES" '!sleep 1500;;!say still here' 'still here' &&
		holds "$SES" 'any(.type == "turn.interrupted") | not' &&
		until_true 10 vm_is 'suspended warm' &&
		equal "$(session_field "$SES" epoch)" 1
}
ok "F214 an idle VM sleeps warm, one in a turn does not" f214_idle
f214_exec() {
	n=$(hib vm events "$VM" --json | jq length) &&
		equal "$(hib exec "$VM" -- sh -c 'sleep 1.5; echo ran')" ran &&
		hib vm events "$VM" --json | jq -e ".[$n:] |
			.[0].type == \"vm.resumed\" and
			(length == 1 or .[1].ts_ms - .[0].ts_ms > 1500)" &&
		until_true 10 vm_is 'suspended warm'
}
ok "F214 a program that is run from outside keeps it awake" f214_exec
f214_cold() {
	new_vm --idle 300ms --cold-after 500ms && new_session &&
		until_true 10 vm_is 'suspended cold' &&
		state_is "$SES" suspended && says "$SES" '!say up' up
}
ok "F214 what has slept warm for long goes cold" f214_cold
f228_idle() {
	new_vm && new_session &&
		hib session update "$SES" --ttl-ms $((1000 * slow)) && doze &&
		until_true 10 state_is "$SES" expired &&
		until_true 10 vm_is 'suspended cold' &&
		until_true 10 eval '[ "$(sql "SELECT state FROM session
			WHERE id = '"'$SES'"'")" = expired ]'
}
ok "F228 a session expires asleep, and its VM gives up its memory" f228_idle
f228_in_a_turn() {
	new_vm && new_session && other=$SES && new_session &&
		prompt_bg "$other" '!await /workspace/go;;!say kept' &&
		hib session update "$SES" --ttl-ms 1000 && doze && sleep 2 &&
		vm_is 'suspended warm' && resume && let_go go &&
		wait_turn "$other" "$TURN" | grep completed &&
		until_true 10 state_is "$SES" expired
}
ok "F228 but not in the middle of a turn" f228_in_a_turn
f149_refused() {
	exits 5 hib vm create --idle soon &&
		exits 5 hib vm create --cold-after 5
}
ok "times have units" f149_refused

# full_vm - one that holds on to 30 MiB.
full_vm() {
	new_vm && new_session && in_vm "$SES" "python3 -c 'import time;
		x = b\"x\" * (30 << 20); time.sleep(1000)' >/dev/null 2>&1 &
		echo ok"
}
memory_budget() {
	kill_hibd TERM
	export HIB_MEMORY_BUDGET=60
	hib daemon start && unset HIB_MEMORY_BUDGET && full_vm && vm1=$VM &&
		ses1=$SES && full_vm && vm2=$VM && full_vm && vm3=$VM &&
		VM=$vm1 && until_true 20 vm_is 'suspended cold' && VM=$vm2 &&
		until_true 20 vm_is 'suspended cold' && VM=$vm3 &&
		vm_is 'running null' && says "$ses1" '!say back' back
	result=$?
	kill_hibd TERM
	hib daemon start
	return $result
}
if command -v python3 >/dev/null; then
	ok "beyond the memory budget the VM sleeps that was used least lately" \
		memory_budget
else
	skip "a memory budget" "python3 is not there"
fi

# --- at any moment ----------------------------------------------------------------------

# The same in place, of what has come since the last time, in a VM that has one session.
tails_agree() {
	logs_agree "$HIB_HOME/vms/$VM/disk/state/guest.db" "$compared" &&
		compared=$(last_seq "$SES")
}
# begin_turn N - of numbered updates, mostly 4 in a ms, and sometimes as fast as it goes.
begin_turn() {
	n_updates=8000 pace=4
	[ $(($1 % 4)) -ne 0 ] || n_updates=20000 pace=0
	prompt_bg "$SES" "!flood $n_updates 80 $pace"
}
end_turn() {
	wait_turn "$SES" "$TURN" 60 "$MARK" | grep completed && all_updates
}
at_any_moment() {
	new_vm && new_session && compared=0 i=0
	while [ "$i" -lt "$rounds" ]; do
		[ $((i % 5)) -ne 0 ] || begin_turn $((i / 5)) || return 1
		soon 250
		if ! { suspend_vm && tails_agree && hib vm resume "$VM"; }; then
			echo "in round $i"
			return 1
		fi
		i=$((i + 1))
		[ $((i % 5)) -ne 0 ] || end_turn || return 1
	done
	end_turn && suspend_vm && stores_agree && numbers_are_whole
}
ok "F212 $rounds suspends at random: both logs are the same each time" \
	at_any_moment

done_testing
