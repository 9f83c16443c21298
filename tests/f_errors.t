#!/bin/sh
# Errors as users see them, and input that nobody should send.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
idle=$SES

# --- exit codes -----------------------------------------------------------------

nobody=$(new_id ses)
new_session && hib session close "$SES" && closed=$SES
new_session && hib session archive "$SES" && archived=$SES
new_session && busy=$SES && prompt_bg "$busy" '!sleep 600000'
new_session && asking=$SES && prompt_bg "$asking" '!ask t1 x' &&
	wait_for_state "$asking" waiting >"$tmp/x"
jq '.env = [{name: "API_KEY", required: true}] | .name = "keyed"' \
	images/agents/echo.json >"$HIB_HOME/agents/keyed.json"
agent dying --exit-on-start 3
agent refusing --fail-new -32000
agent never --no-answer
head -c 1100000 /dev/zero | tr '\0' x >"$tmp/long"

f232() {
	ok "F232 exit $2, $1: ${3#hib} $4 $5" refused "$@"
}
f232 invalid_argument 5 hib session create --vm "$VM" --agent echo --cwd rel
f232 invalid_id 5 hib session get ses_1
f232 invalid_id 5 hib log "$(new_id vm)"
f232 cwd_not_found 5 hib session create --vm "$VM" --agent echo --cwd /no/where
f232 agent_unknown 5 hib session create --vm "$VM" --agent nosuch
f232 usage 5 hib session create
f232 unknown 5 hib nonsense
f232 usage 5 hib log "$idle" --no-such-option
f232 session_not_found 6 hib session get "$nobody"
f232 session_not_found 6 hib log "$nobody"
f232 session_not_found 6 prompt "$nobody" hi
f232 vm_not_found 6 hib vm get nosuch
f232 request_not_found 6 hib answer "$asking" "$(new_id req)" allow_once
f232 turn_active 7 prompt "$busy" hi
f232 no_turn 7 hib cancel "$idle"
f232 session_closed 7 prompt "$closed" hi
f232 session_archived 7 prompt "$archived" hi
f232 cursor_ahead 7 hib log "$idle" --since 100000
f232 agent_auth_required 3 hib session create --vm "$VM" --agent keyed
f232 agent_exited 2 hib session create --vm "$VM" --agent dying
f232 agent_auth_required 3 hib session create --vm "$VM" --agent refusing
f232 start_timeout 8 hib session create --vm "$VM" --agent never \
	--start-timeout-ms 200
too_long() {
	hib prompt "$idle" - <"$tmp/long"
}
f232 message_too_large 4 too_long
ok "F232 a good turn exits 0" exits 0 prompt "$idle" hi
ok "F232 a failed turn exits 1" exits 1 prompt "$idle" '!error -32001 no'
as_nobody() {
	HIB_TOKEN=wrong hib prompt "$idle" hi
}
f232 unauthorized 3 as_nobody

f081_names() {
	http POST /v1/sessions "{\"vm\":\"$VM\",\"agent\":\"keyed\"}" |
		jq -e '.data.names == ["API_KEY"]'
}
ok "F081 a missing credential is named" f081_names

# --- error objects ----------------------------------------------------------------

names='invalid_argument invalid_id cwd_not_found results_mismatch path_escape
unauthorized forbidden policy_denied session_not_found vm_not_found turn_not_found
request_not_found file_not_found snapshot_not_found key_not_found agent_unknown
turn_active session_conflict not_waiting session_not_live session_closed
session_archived session_failed session_closing stale_epoch fork_mid_turn
cas_mismatch already_exists idempotency_mismatch no_turn not_ready cursor_ahead
tail_incomplete has_children session_expired cursor_gone agent_auth_required
capability_unsupported message_too_large quota_exceeded limit_sessions overloaded
cancelled internal store_error store_corrupt chain_diverged agent_spawn_failed
agent_exited agent_protocol_error mcp_start_failed no_progress vm_unavailable
guest_unreachable draining start_timeout request_timeout disk_full
route_not_found method_unknown bad_frame'

# Either it worked, or the body is an error object of the table.
f231_object() {
	http "$@" >"$tmp/x" || return 1
	code=$(cat "$tmp/status")
	[ "$code" -lt 300 ] && return
	jq -e --arg names "$names" --argjson status "$code" '
		(.code / 100 | floor) == $status and .message != "" and
		(.data.retryable | type) == "boolean" and
		(.data.code | IN($names | splits("\\s+")))' "$tmp/body" ||
		{ echo "$*: $code" && head -c 300 "$tmp/body" && return 1; }
}
f231_fuzz() {
	for method in GET POST PATCH PUT; do
		for path in / /v1 /v1/sessions /v1/vms /v1/nothing \
			"/v1/sessions/$idle" "/v1/sessions/%00" /v1/vms/..%2f.. \
			"/v1/sessions/$idle/prompt" "/v1/sessions/$idle/events?since=-1" \
			"/v1/sessions/$idle/events?since=x&types=,&limit=99999999999" \
			"/v1/sessions/$idle/nothing" "/v1/sessions/$nobody/prompt" \
			"/v1/sessions/$idle/requests/x" /v1/tokens /v1/import; do
			for body in '' '{' '[]' '{"text":1,"agent":{}}'; do
				case $method$body in
				GET?* | PUT?*) continue ;;
				esac
				[ "$method$path" != POST/v1/vms ] || continue
				f231_object "$method" "$path" "$body" || return 1
			done
		done
	done
}
ok "F231 every error has a code of the table" f231_fuzz
ok "F231 nothing came of it" says "$idle" hi hi
f251_unknown() {
	answers 404 route_not_found GET /v1/unknown &&
		answers 501 method_unknown PUT /v1/sessions
}
ok "F251 what is unknown never answers 200" f251_unknown

# --- data and words -----------------------------------------------------------------

f233_json() {
	for command in "session list" "session get $idle" "session turns $idle" \
		"session requests $idle" "vm list" "vm get $VM" "agent list" \
		"messages $idle" "types" "store check" "vm events $VM"; do
		# shellcheck disable=SC2086 # words of a command
		hib $command --json >"$tmp/data" 2>"$tmp/words" || return 1
		python3 -m json.tool "$tmp/data" || return 1
		[ ! -s "$tmp/words" ] || return 1
	done
	hib log "$idle" --json 2>"$tmp/words" | while read -r line; do
		printf '%s' "$line" | python3 -m json.tool >"$tmp/x" || exit 1
	done && [ ! -s "$tmp/words" ]
}
ok "F233 --json is JSON on stdout and nothing on stderr" f233_json
f233_plain() {
	(hib session list && hib log "$idle" && hib messages "$idle" &&
		hib vm list && prompt "$idle" hi) >"$tmp/data" 2>"$tmp/words"
	[ ! -s "$tmp/words" ] && not grep -q "$(printf '\033')" "$tmp/data"
}
ok "F233 no colours and no words where nobody looks" f233_plain

# --- agents that misbehave --------------------------------------------------------------

# survives SCRIPT - the turn goes on after it, and the log stays readable.
survives() {
	new_session && prompt "$SES" "$1;;!say alive" >"$tmp/out"
	tail -c 100 "$tmp/out"
	grep -q 'alive$' "$tmp/out" && state_is "$SES" idle &&
		log_json "$SES" | iconv -f UTF-8 -t UTF-8 >"$tmp/x" &&
		log_json "$SES" | jq -c .seq >"$tmp/x" && says "$SES" hi hi
}
ok "lines that are no JSON are kept aside" survives '!garbage'
ok "and are in the log" holds "$SES" 'any(.type == "agent.stderr" and
	.data.stream == "stdout")'
ok "bytes that are no UTF-8 do no harm" survives '!badutf8'
ok "a line of 15 MiB is taken" survives '!bigline 15728640'
ok "updates for a session that is not there do no harm" \
	survives '!updatefor nowhere'
ok "answers to nothing do no harm" survives '!wrongid'
both() {
	new_session
	prompt "$SES" '!both' >"$tmp/x" 2>&1
	holds "$SES" '[.[] | select(.type | startswith("turn."))] | length == 2'
	hib session resume "$SES"
	says "$SES" '!say hi' hi
}
ok "an answer that is result and error ends the turn once" both
idle_update() {
	new_session && says "$SES" '!idleupdate;;!say x' x
	wait_for "$SES" '"late":".*"text":"idle"' 5 && says "$SES" hi hi
}
ok "an update after the answer is kept as late" idle_update
toolong() {
	new_session
	exits 1 prompt "$SES" '!say before;;!toolong 17825792;;!say never' &&
		state_is "$SES" failed &&
		session_field "$SES" last_error |
		jq -e '.code == "agent_protocol_error"' &&
		holds "$SES" '[.[] | select(.type | startswith("turn."))] |
			map(.type) == ["turn.started", "turn.failed"]' &&
		hib session resume "$SES" && says "$SES" '!say hi' hi
}
ok "a line of 17 MiB ends the agent, not the session" toolong
banner() {
	agent banner --banner &&
		SES=$(hib session create --vm "$VM" --agent banner) &&
		says "$SES" hi hi
}
ok "an agent that greets first is understood" banner
protocol() {
	agent old --protocol 0 && agent future --protocol 99
	for name in old future; do
		refused agent_protocol_error 2 hib session create --vm "$VM" \
			--agent "$name" || return 1
	done
}
ok "an agent of another protocol version is refused" protocol
deaf() {
	new_session && says "$SES" '!stdinstop;;!say x' x
	hib session kill "$SES" && state_is "$SES" closed
}
ok "an agent that reads no more can be killed" deaf

# --- standard input and output that are not open ---------------------------------------

closed_input() {
	kill_hibd TERM
	hib daemon start <&- >"$tmp/x" && says "$idle" '!say on' on <&- &&
		equal "$(hib exec "$VM" -- cat <&-)" '' &&
		refused 'standard input' 2 prompt "$idle" - <&- &&
		hib attach "$idle" <&-
}
ok "hib does without an input that is not open" closed_input
closed_output() {
	kill_hibd TERM
	exits 2 hib vm list >&- && exits 2 hib vm list <&- >&- 2>&- || return 1
	kill_hibd TERM
	"$O/bin/hibd" <&- >&- 2>&- &
	_hibd=$!
	until_true 10 http GET /v1/health >"$tmp/x" && kill_hibd TERM
	reap "$_hibd"
}
ok "output that is not open is an error, not a file of ours" closed_output

# --- full disks -----------------------------------------------------------------------

# small_disk FOLDER MIB - mount one; it goes when the file ends.
small_disk() {
	mkdir -p "$1" && mount -t tmpfs -o "size=${2}m,mode=711" small "$1" &&
		at_exit "kill_all; umount -l '$1'"
}

# The guest's disk: what the client saw, with room again, is what there is.
f119_guest() {
	kill_all
	HIB_HOME=$tmp/guest
	mkdir -m 700 "$HIB_HOME" && small_disk "$HIB_HOME/vms" 64 && new_vm &&
		new_session && says "$SES" hi hi || return 1
	follow "$SES" "$tmp/seen"
	exits 1 prompt "$SES" '!flood 400000 500' >"$tmp/x" 2>"$tmp/err"
	tail -c 300 "$tmp/err"
	wait_for "$SES" '"type":"turn.failed".*(disk_full|store_error)' 5 |
		cut -c -300 | grep . || return 1
	end_child "$FOLLOWER"
	kill_all
	mount -o remount,size=400m "$HIB_HOME/vms" && hib vm wake "$VM" ||
		return 1
	log_json "$SES" | head -c "$(wc -c <"$tmp/seen")" | cmp - "$tmp/seen" &&
		[ -s "$tmp/seen" ] && numbers_are_whole
}
f119_again() {
	[ "$(session_field "$SES" state)" != failed ] ||
		hib session resume "$SES"
	prompt "$SES" '!say again' | grep -q 'again$' && invariants
}

# The host's disk: the same, and what the guest held back is stored as well.
f119_host() {
	kill_all
	HIB_HOME=$tmp/host
	small_disk "$HIB_HOME" 160 && new_vm && new_session &&
		says "$SES" hi hi && follow "$SES" "$tmp/seen" || return 1
	exits 1 prompt "$SES" '!flood 400000 500' >"$tmp/x" 2>"$tmp/err"
	wait_for "$SES" '"type":"turn.failed".*disk_full' 5 |
		cut -c -300 | grep . || return 1
	mount -o remount,size=400m "$HIB_HOME" && f119_again || return 1
	end_child "$FOLLOWER"
	log_json "$SES" | head -c "$(wc -c <"$tmp/seen")" | cmp - "$tmp/seen" &&
		[ -s "$tmp/seen" ]
}
if [ "$(id -u)" -eq 0 ] && unshare -m mount -t tmpfs x /mnt 2>/dev/null; then
	ok "F119 a guest's full disk fails the turn and shows only what is stored" \
		f119_guest
	ok "F119 with room again it goes on" f119_again
	ok "F119 a host's full disk fails the turn and shows only what is stored" f119_host
	kill_all
	HIB_HOME=$tmp/home
else
	skip "F119 a full disk fails the turn" "only root mounts a small disk"
fi
done_testing
