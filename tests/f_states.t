#!/bin/sh
# States: each is reached the way the model says, and in each of them every
# operation answers as its table says.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

agent slow --slow-start 2000
agent never --no-answer
shell_agent missing 'exit 0'
jq '.command = "/opt/hib/no-such-program"' "$HIB_HOME/agents/missing.json" \
	>"$tmp/m" && mv "$tmp/m" "$HIB_HOME/agents/missing.json"
new_vm

# --- how states come and go -----------------------------------------------

f023_starting() {
	id=$(new_id ses)
	hib session create --vm "$VM" --agent slow --id "$id" >"$tmp/slow" &
	creating=$!
	until_true 2 state_is "$id" starting && wait "$creating" &&
		state_is "$id" idle
}
ok "F023 a session whose agent starts slowly is starting" f023_starting
new_session

f024_idle() {
	holds "$SES" 'map(.type) as $t | ($t | index("session.ready")) as $r |
		[.[] | select(.type == "acp.response")] | length == 2 and
		all(.seq < $r + 1)' &&
		holds "$SES" '[.[] | select(.type == "session.state") | .data]
			| last | .from == "starting" and .to == "idle"'
}
ok "F024 idle comes after initialize and session/new" f024_idle
ok "F029 a new session has no turn" \
	equal "$(session_field "$SES" turn_count)" 0
ok "F029 and takes its first prompt" says "$SES" hi hi

f025_running() {
	prompt_bg "$SES" '!await /workspace/go;;!say x' &&
		hib session get "$SES" --json |
		jq -e ".state == \"running\" and .turn == \"$TURN\"" &&
		unchanged "$SES" refused turn_active 7 prompt "$SES" more &&
		unchanged "$SES" answers 409 turn_active POST \
			"/v1/sessions/$SES/prompt" '{"text":"more"}' &&
		jq -e ".data.turn == \"$TURN\"" "$tmp/body" && let_go go &&
		wait_turn "$SES" "$TURN"
}
ok "F025 F030 a running session names its turn and refuses another" \
	f025_running

f031_no_window() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		prompt_bg "$SES" "!say $i" && wait_turn "$SES" "$TURN" &&
			says "$SES" "now $i" "now $i" || return 1
	done
}
ok "F031 a prompt is taken as soon as the turn has ended" f031_no_window

f034_last_error() {
	exits 1 prompt "$SES" '!error -32050 out of luck' &&
		session_field "$SES" last_error |
		jq -e '.code == "agent_error" and (.message | test("luck"))' &&
		state_is "$SES" idle && says "$SES" fine fine &&
		equal "$(session_field "$SES" last_error)" null
}
ok "F034 a failed turn leaves its error until a good one" f034_last_error

f035_waiting() {
	pid=$(prompt "$SES" '!pid')
	prompt_bg "$SES" '!ask t1 Edit it;;!pid' &&
		wait_for_event "$SES" permission.requested 5 "$MARK" &&
		hib session get "$SES" --json | jq -e '.state == "waiting" and
			.wait_kind == "permission" and .pending == 1' &&
		hib approve "$SES" && wait_turn "$SES" "$TURN" &&
		equal "$(session_field "$SES" pending)" 0 &&
		equal "$(hib messages "$SES" --json |
			jq -r 'last.parts[-1].text')" "outcome: allow_once$pid"
}
ok "F035 a question makes it wait, the answer lets it go on" f035_waiting

ok "F038 the edges of a turn that asked stand in order" holds "$SES" \
	"[.[] | select(.type == \"session.state\") | .data | [.from, .to]] |
	.[-4:] == [[\"idle\", \"running\"], [\"running\", \"waiting\"],
		[\"waiting\", \"running\"], [\"running\", \"idle\"]]"

f028_failed() {
	id=$(new_id ses)
	refused agent_spawn_failed 2 hib session create --vm "$VM" \
		--agent missing --id "$id" &&
		grep -qi 'no such file' "$tmp/refused.err" &&
		state_is "$id" failed &&
		session_field "$id" last_error |
		jq -e '.code == "agent_spawn_failed" and
			(.message | test("[Nn]o such file"))'
}
ok "F028 an agent that is not there fails its session, with the reason" \
	f028_failed

f037_timeout() {
	id=$(new_id ses)
	refused start_timeout 8 hib session create --vm "$VM" --agent never \
		--id "$id" --start-timeout-ms 300 && state_is "$id" failed &&
		session_field "$id" last_error | jq -e '.code == "start_timeout"'
}
ok "F037 a start that takes too long fails" f037_timeout

# Power cuts: the machine dies in a turn, and while nothing happens.
f043_power_cut() {
	new_session && busy=$SES && new_session && idle=$SES &&
		prompt_bg "$busy" '!chunks 3 x;;!sleep 60000' &&
		wait_for "$busy" 'x 3' 5 || return 1
	cut=$(now_ms)
	kill_vm "$VM"
	wait_for_event "$busy" turn.interrupted 5 >"$tmp/end" &&
		wait_for_state "$busy" suspended 5 &&
		[ $(($(now_ms) - cut)) -lt $((5000 * slow)) ] &&
		jq -e ".data.reason == \"vm_lost\" and .turn == \"$TURN\"" \
			"$tmp/end" && state_is "$busy" suspended
}
ok "F043 a power cut interrupts the turn within 5 s" f043_power_cut
f039_reconciled() {
	no_rows "SELECT id, state FROM session WHERE vm_id = '$VM' AND state IN
		('starting', 'running', 'waiting', 'closing')" passing
}
ok "F039 and leaves no session in a passing state" f039_reconciled
f044_quiet() {
	state_is "$idle" suspended && equal \
		"$(session_field "$idle" last_error)" null &&
		holds "$idle" 'any(.type == "turn.failed" or
			.type == "session.error") | not' &&
		says "$idle" hi hi
}
ok "F044 an idle session survives it without an error" f044_quiet

f040_suspended() {
	hib vm sleep "$VM" && state_is "$idle" suspended &&
		equal "$(session_field "$idle" suspended_from)" idle &&
		kill_hibd KILL && state_is "$idle" suspended &&
		holds "$idle" 'length > 5'
}
ok "F040 a sleeping VM's session is suspended and readable" f040_suspended

f041_closed() {
	new_session && says "$SES" hi hi && log_json "$SES" >"$tmp/before" &&
		hib session close "$SES" && state_is "$SES" closed &&
		log_json "$SES" | head -c "$(wc -c <"$tmp/before")" |
		cmp - "$tmp/before" && hib session destroy "$SES" &&
		answers 404 session_not_found GET "/v1/sessions/$SES/events"
}
ok "F041 closed keeps everything, destroyed nothing" f041_closed

f033_all_states_are_known() {
	no_rows "SELECT state FROM session WHERE state NOT IN ('starting',
		'idle', 'running', 'waiting', 'suspended', 'closing', 'closed',
		'failed', 'expired')" unknown
}
ok "F026 F033 every state is one of the nine" f033_all_states_are_known

# --- every state, every operation (F042) -----------------------------------
#
# One session a state: all refusals first, which change nothing; an operation
# that is allowed gets a session of its own.

agent sleepy --slow-start 60000
new_vm
VICTIMS=$VM
req=$(new_id req)

# in_state STATE - a session in this state: its id is in SES.
in_state() {
	case $1 in
	starting)
		SES=$(new_id ses)
		hib session create --vm "$VM" --agent sleepy --id "$SES" \
			--start-timeout-ms 60000 >"$tmp/starting" 2>&1 &
		until_true 5 state_is "$SES" starting
		;;
	failed)
		SES=$(new_id ses)
		hib session create --vm "$VM" --agent missing --id "$SES"
		state_is "$SES" failed
		;;
	idle) new_session ;;
	running)
		new_session && prompt_bg "$SES" '!sleep 60000' &&
			wait_for_state "$SES" running
		;;
	waiting)
		new_session && prompt_bg "$SES" '!ask t1 x;;!sleep 60000' &&
			wait_for_state "$SES" waiting
		;;
	suspended) new_session && hib session suspend "$SES" ;;
	closing)
		new_session && says "$SES" '!ignoreterm;;!say x' x || return 1
		prompt_bg "$SES" '!ignorecancel;;!sleep 600000'
		hib session close "$SES" >"$tmp/closing" 2>&1 &
		wait_for_state "$SES" closing
		;;
	closed) new_session && hib session close "$SES" ;;
	esac
}

# run_op OP - one operation on SES over HTTP.
run_op() {
	s=/v1/sessions/$SES
	case $1 in
	prompt) http POST "$s/prompt" '{"text":"hi"}' ;;
	cancel) http POST "$s/cancel" '{}' ;;
	answer) http POST "$s/requests/$(pending_or "$req")" \
		'{"option":"allow_once"}' ;;
	update) http PATCH "$s" '{"title":"t"}' ;;
	set) http PATCH "$s" '{"config":{"model":"large"}}' ;;
	suspend | resume | close | archive) http POST "$s/$1" '{}' ;;
	force_suspend) http POST "$s/suspend" '{"force":true}' ;;
	read) http GET "$s/events" && http GET "$s/messages" ;;
	export) http GET "$s/export" ;;
	destroy) http DELETE "$s?discard=1" ;;
	esac
}

pending_or() {
	http GET "/v1/sessions/$SES/requests" |
		jq -r "([.[] | select(.state == \"pending\") | .id] | first) // \"$1\""
}

# op_answers OP WANT - WANT is an error's name, or ok[>STATE afterwards].
op_answers() {
	before=$(last_seq "$SES")
	run_op "$1" >"$tmp/op"
	cat "$tmp/op"
	case $2 in
	ok*) equal "$(cat "$tmp/status")" 200 || return 1 ;;
	*)
		equal "$(jq -r .data.code "$tmp/op")" "$2" &&
			equal "$(last_seq "$SES")" "$before"
		return
		;;
	esac
	case $2 in
	'ok=') equal "$(last_seq "$SES")" "$before" ;;
	'ok>gone') answers 404 session_not_found GET "/v1/sessions/$SES" ;;
	'ok>'*) until_true 10 state_is "$SES" "${2#ok>}" ;;
	esac
}

# `ok=` is allowed and writes nothing; `ok>STATE` is allowed and leads there.
table='
starting  prompt not_ready      cancel no_turn       answer not_waiting  update skip            set not_ready       suspend not_ready       resume skip   archive not_ready   close skip       destroy ok>gone
idle      prompt ok>idle        cancel no_turn       answer not_waiting  update ok>idle         set ok>idle         suspend ok>suspended    resume ok=    archive ok>closed   close ok>closed  destroy ok>gone
running   prompt turn_active    cancel ok>idle       answer not_waiting  update ok>running      set ok>running      suspend turn_active     resume ok=    archive ok>closed   close ok>closed  destroy ok>gone
waiting   prompt turn_active    cancel ok>idle       answer ok>running   update ok>waiting      set ok>waiting      suspend turn_active     resume ok=    archive ok>closed   close ok>closed  destroy ok>gone
suspended prompt ok>idle        cancel no_turn       answer not_waiting  update ok>suspended    set ok>suspended    suspend ok=             resume ok>idle archive ok>suspended close ok>closed destroy ok>gone
closing   prompt session_closing cancel no_turn      answer not_waiting  update skip            set session_closing suspend session_closing resume session_closing archive skip close ok>closed destroy skip
closed    prompt session_closed cancel no_turn       answer not_waiting  update skip            set session_closed  suspend session_closed  resume ok>idle archive ok>closed  close ok=        destroy ok>gone
failed    prompt session_failed cancel no_turn       answer not_waiting  update ok>failed       set ok>failed       suspend session_failed  resume skip   archive ok>failed   close ok>closed  destroy ok>gone
'

test_state() {
	state=$1
	shift
	ok "F042 $state: a session can be" in_state "$state"
	ok "F042 $state: read changes nothing" op_answers read ok=
	ok "F042 $state: export changes nothing" op_answers export ok=
	while [ $# -gt 0 ]; do
		case $2 in
		skip) ;;
		'ok>'*)
			in_state "$state" >"$tmp/x" 2>&1
			ok "F042 $state: $1 leads to ${2#ok>}" op_answers "$1" "$2"
			hib session destroy --discard "$SES" >"$tmp/x" 2>&1 &
			in_state "$state" >"$tmp/x" 2>&1
			;;
		*) ok "F042 $state: $1 answers $2" op_answers "$1" "$2" ;;
		esac
		shift 2
	done
}

printf '%s\n' "$table" >"$tmp/table"
while read -r line <&3; do
	# shellcheck disable=SC2086 # words of the table
	[ -z "$line" ] || test_state $line
done 3<"$tmp/table"

f042_force() {
	in_state running && op_answers force_suspend 'ok>suspended' &&
		holds "$SES" 'any(.type == "turn.interrupted" or
			.type == "turn.cancelled")'
}
ok "F042 running: a forced suspend ends the turn" f042_force

f042_archived() {
	in_state suspended && run_op archive >"$tmp/op" &&
		op_answers prompt session_archived &&
		op_answers update session_archived &&
		op_answers set session_archived &&
		op_answers resume session_archived && op_answers read 'ok='
}
ok "F042 archived: every write is refused" f042_archived
hib vm stop "$VICTIMS"
wait
done_testing
