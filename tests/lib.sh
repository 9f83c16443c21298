# shellcheck shell=sh disable=SC2034 # variables are for the test files
# lib.sh - What the shell tests share
#
# A test file is a POSIX shell script, run at the root of the repository with
# O (absolute folder of the programs) and MODE in its environment.  It begins
# with `. tests/lib.sh`, states its cases with ok, is and skip, and ends with
# done_testing, which also asks what must hold after anything: every number of
# every log there once, every turn ended once, nothing in a passing state, no
# damage, no process left.
#
# Each file has a HIB_HOME of its own.  All that lives in it is ended, and the
# folder removed, when the file ends, however it ends.

O=${O:-$PWD/o/${MODE:-dev}}
MODE=${MODE:-$(basename "$O")}
export O MODE

tmp=$(mktemp -d "${TMPDIR:-/tmp}/hib.XXXXXX") || exit 1
HIB_HOME=$tmp/home
export HIB_HOME
mkdir -m 700 "$HIB_HOME"
mkdir -m 755 "$HIB_HOME/agents"
unset HIB_TOKEN XDG_STATE_HOME NO_COLOR

# Deadlines are for a quiet machine; sanitizers and load take their time.
case $MODE in
asan | tsan | cov) slow=6 ;;
*) slow=3 ;;
esac
cases=0
failed=0
at_exit_commands=

# --- the end --------------------------------------------------------------

# at_exit COMMAND - run the command, a line of shell, when the file ends.
at_exit() {
	at_exit_commands="$1
$at_exit_commands"
}

run_at_exit() {
	eval "$at_exit_commands"
	at_exit_commands=
}

# end_child PID - end a background process, if it is still ours.
end_child() {
	[ "$(ps -o ppid= -p "$1" | tr -d ' ')" != $$ ] || kill "$1"
}

# alive PID [START_TICKS] - is this process, and no later one of that number,
# running?
alive() {
	[ -n "$1" ] && [ -r "/proc/$1/stat" ] || return 1
	_stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)
	[ -n "$_stat" ] && [ "${_stat%% *}" != Z ] || return 1
	[ -z "$2" ] || [ "$(echo "$_stat" | cut -d' ' -f20)" = "$2" ]
}

# gone PID [SECONDS] - wait until the process has ended.
gone() {
	timeout "$((${2:-10} * slow))" tail --pid="$1" -s 0.02 -f /dev/null
}

# reap PID [SECONDS] - the exit status of a background process of ours.  One that
# does not end in time is killed.
reap() {
	gone "$1" "${2:-30}" || {
		echo "process $1 does not end"
		kill -9 "$1"
	}
	wait "$1"
}

# stop PID - end a background process of ours, and wait for it.  Dash forgets the
# signals that come to a child before it has put away our traps.
stop() {
	for _try in 1 2 3; do
		kill "$1" 2>/dev/null
		! gone "$1" 2 || break
	done
	reap "$1" 10
}

kill_machine() {
	_pid=$(jq -r '.pid // empty' "$1")
	alive "$_pid" "$(jq -r '.start_ticks // empty' "$1")" || return 0
	kill -9 "$_pid"
	gone "$_pid"
}

# What a kill -9 of everything leaves: hibd first, so that it brings no machine
# back.
kill_all() {
	kill_hibd KILL
	for _machine in "$HIB_HOME"/vms/*/machine.json; do
		[ ! -e "$_machine" ] || kill_machine "$_machine"
	done
}

cleanup() {
	_status=$?
	trap - EXIT
	run_at_exit
	kill_all
	# What agents have left may be closed to its owner.
	cd / && chmod -R u+rwX "$tmp" 2>/dev/null
	rm -rf "$tmp"
	exit "$_status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- TAP ------------------------------------------------------------------

# ok NAME COMMAND... - one case; what the command said last is shown if it fails.
ok() {
	_case=$1
	shift
	cases=$((cases + 1))
	if "$@" >"$tmp/ok.out" 2>&1; then
		echo "ok $cases - $_case"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $cases - $_case"
	tail -c 4000 "$tmp/ok.out" | sed 's/^/# /' >&2
}

# is GOT WANT NAME
is() {
	ok "$3" equal "$1" "$2"
}

equal() {
	[ "$1" = "$2" ] && return
	printf 'got:\n%s\nwant:\n%s\n' "$1" "$2"
	return 1
}

# not COMMAND... - the command fails.
not() {
	! "$@"
}

# skip NAME REASON - a case that this machine cannot run.
skip() {
	cases=$((cases + 1))
	echo "ok $cases - $1 # SKIP $2"
}

# skip_all REASON - nothing of this file can run here.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# The last command of a file: its result is the file's.
done_testing() {
	[ ! -e "$HIB_HOME/hib.db" ] ||
		ok "afterwards all logs and states are whole" invariants
	run_at_exit
	kill_hibd TERM
	ok "afterwards no process is left" no_process_left
	echo "1..$cases"
	[ "$failed" -eq 0 ]
}

# --- programs -------------------------------------------------------------

# PATIENCE is how many seconds a command may take, for what takes long.
hib() {
	timeout -k 5 "$((${PATIENCE:-30} * slow))" "$O/bin/hib" "$@"
}

# sql STATEMENT - ask hib.db itself.
sql() {
	sqlite3 -readonly -cmd '.timeout 10000' "$HIB_HOME/hib.db" "$1"
}

# http METHOD PATH [BODY] - one request to hibd, as TOKEN if that is set; prints
# the body.  The status is in $tmp/status.
http() {
	curl -sS --max-time "$((30 * slow))" \
		--unix-socket "$HIB_HOME/hibd.sock" -X "$1" \
		-H 'Accept: application/json' \
		${TOKEN:+-H "Authorization: Bearer $TOKEN"} \
		${3:+--data-binary "$3"} -o "$tmp/body" -w '%{http_code}' \
		"http://hib$2" >"$tmp/status" && cat "$tmp/body"
}

# answers STATUS NAME METHOD PATH [BODY] - the request is refused with this
# HTTP status and this error.
answers() {
	_status=$1 _error=$2
	shift 2
	http "$@" && equal "$(cat "$tmp/status")" "$_status" &&
		equal "$(jq -r .data.code "$tmp/body")" "$_error"
}

# refused NAME EXIT COMMAND... - the command fails with this error and exit
# code, and says so on standard error alone.
refused() {
	_error=$1 _code=$2
	shift 2
	"$@" >"$tmp/refused.out" 2>"$tmp/refused.err"
	_status=$?
	cat "$tmp/refused.out" "$tmp/refused.err"
	equal "$_status" "$_code" && grep -q "$_error" "$tmp/refused.err" &&
		[ ! -s "$tmp/refused.out" ]
}

# exits CODE COMMAND...
exits() {
	_code=$1
	shift
	"$@"
	equal "$?" "$_code"
}

# until_true SECONDS COMMAND... - for what has no event stream to wait on.
until_true() {
	_tries=$(($1 * slow * 20))
	shift
	until "$@" >"$tmp/until.out" 2>&1; do
		_tries=$((_tries - 1))
		if [ "$_tries" -le 0 ]; then
			cat "$tmp/until.out"
			return 1
		fi
		sleep 0.05
	done
}

# read_line FILE SECONDS - print the first line of a file that a background
# process writes.
read_line() {
	until_true "$2" grep -q . "$1" && head -n 1 "$1"
}

now_ms() {
	date +%s%3N
}

# soon MAX - sleep for up to that many ms.
soon() {
	sleep "$(awk -v r="$(od -An -N2 -tu2 /dev/urandom)" -v m="$1" \
		'BEGIN { printf "%.4f", r / 65536 * m / 1000 }')"
}

# --- hibd and machines ----------------------------------------------------

hibd_pid() {
	cat "$HIB_HOME/hibd.pid" 2>/dev/null
}

# kill_hibd SIGNAL - end hibd and wait for its end.
kill_hibd() {
	_pid=$(hibd_pid)
	if alive "$_pid" && [ "$(cat "/proc/$_pid/comm")" = hibd ]; then
		kill "-$1" "$_pid"
		gone "$_pid"
	fi
}

# guest_pid VM - host pid of the guest daemon.
guest_pid() {
	jq .pid "$HIB_HOME/vms/$1/machine.json"
}

# kill_vm VM - cut the power of a machine.
kill_vm() {
	kill_machine "$HIB_HOME/vms/$1/machine.json"
}

# descendants PID - host pids of all that a process started.
descendants() {
	for _child in $(pgrep -P "$1"); do
		echo "$_child"
		(descendants "$_child")
	done
}

# vm_processes VM - what its guest has started, each as its host pid and the
# ticks of its start.
vm_processes() {
	for _p in $(descendants "$(guest_pid "$1")"); do
		_stat=$(sed 's/.*) //' "/proc/$_p/stat" 2>/dev/null)
		[ -z "$_stat" ] || echo "$_p $(echo "$_stat" | cut -d' ' -f20)"
	done
}

# none_but FILE VM - no process of the VM runs but those that the file lists.
none_but() {
	! vm_processes "$2" | grep -vxFf "$1"
}

# agent_pid SES - host pid of a session's agent.
agent_pid() {
	_inner=$(http GET "/v1/sessions/$1?live=1" | jq '.live.pid // 0')
	_vm=$(session_field "$1" vm_id)
	for _p in $(descendants "$(guest_pid "$_vm")"); do
		# NSpid: in our namespace, in the VM's, in the session's.
		# shellcheck disable=SC2046 # a list of numbers
		set -- $(grep NSpid "/proc/$_p/status" 2>/dev/null)
		[ "$3" != "$_inner" ] || echo "$_p"
	done
}

# Our programs have HIB_HOME in their environment, or a folder of it among
# their mounts.
no_process_left() {
	_left=$(grep -slF "$tmp/" /proc/[0-9]*/mountinfo
		grep -slzFx "HIB_HOME=$HIB_HOME" /proc/[0-9]*/environ)
	for _file in $_left; do
		_pid=$(echo "$_file" | cut -d/ -f3)
		case $(cat "/proc/$_pid/comm" 2>/dev/null) in
		hib* | echo-agent)
			echo "left: $_pid $(tr '\0' ' ' <"/proc/$_pid/cmdline")"
			return 1
			;;
		esac
	done
}

# --- VMs and sessions -----------------------------------------------------

# agent NAME OPTION... - a manifest for the echo agent with these options.
agent() {
	_name=$1
	shift
	jq -n --arg name "$_name" '{name: $name, title: "Echo", version: "1",
		command: "/opt/hib/echo-agent", args: $ARGS.positional,
		os_instructions: false}' \
		--args -- "$@" >"$HIB_HOME/agents/$_name.json"
}

# shell_agent NAME COMMAND - a manifest for an agent that is a shell command.
shell_agent() {
	jq -n --arg name "$1" --arg c "$2" '{name: $name, title: $name,
		version: "1", command: "/bin/sh", args: ["-c", $c],
		os_instructions: false}' \
		>"$HIB_HOME/agents/$1.json"
}

# new_vm [OPTION]... - make and boot a VM: its id is in VM.
new_vm() {
	VM=$(hib vm create "$@")
}

# new_session [OPTION]... - a session with AGENT (echo) in VM: its id is in SES.
new_session() {
	SES=$(hib session create --agent "${AGENT:-echo}" ${VM:+--vm "$VM"} "$@")
}

# new_id PREFIX
new_id() {
	echo "$1_$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
}

# prompt SES TEXT [OPTION]... - prints the reply.
prompt() {
	hib prompt "$@"
}

# says SES TEXT WANT - the prompt is answered so.
says() {
	equal "$(prompt "$1" "$2")" "$3"
}

# vm_program PROGRAM - one of below tests/, in VMs as /opt/agents/NAME.
vm_program() {
	install -m 755 "$O/tests/$1" "$HIB_HOME/agents/"
}

# in_vm SES COMMAND - the agent's shell runs the command, its lines taken as
# one; what it said is printed, and is in $tmp/said; the exit code is its own.
in_vm() {
	prompt "$1" "!run $(printf '%s' "$2" | tr '\n' ' ')" >"$tmp/in_vm" || return 1
	sed '$s/exit: [0-9]*$//' "$tmp/in_vm" | tee "$tmp/said"
	_code=$(sed -n '$s/.*exit: \([0-9]*\)$/\1/p' "$tmp/in_vm")
	return "${_code:-1}"
}

# prompt_bg SES TEXT - start a turn and do not wait for its end: its id is in
# TURN, the seq before its first event in MARK.
prompt_bg() {
	MARK=$(last_seq "$1")
	TURN=$(hib prompt "$1" --no-wait "$2")
}

# let_go NAME - what waits in VM by "!await /workspace/NAME" goes on.
let_go() {
	hib exec "$VM" -- touch "/workspace/$1"
}

# session_field SES KEY - one member of the session's row.
session_field() {
	hib session get "$1" --json | jq -r ".$2"
}

state_is() {
	equal "$(session_field "$1" state)" "$2"
}

last_seq() {
	sql "SELECT last_seq FROM session WHERE id='$1'"
}

# unchanged SES COMMAND... - the command succeeds and the log stays as it is.
unchanged() {
	_seq_before=$(last_seq "$1") _ses=$1
	shift
	"$@" && equal "$(last_seq "$_ses")" "$_seq_before"
}

# --- logs -----------------------------------------------------------------

log_json() {
	hib log "$1" --json
}

# holds SES FILTER - the jq filter is true of the array of all events.
holds() {
	log_json "$1" | jq -se "$2"
}

# wait_for SES REGEX [SECONDS [SINCE]] - follow the log until an envelope
# matches, and print it.
wait_for() {
	_fifo=$(mktemp -u "$tmp/fifo.XXXXXX")
	mkfifo "$_fifo" || return 1
	"$O/bin/hib" log "$1" --since "${4:-0}" --follow --json >"$_fifo" &
	_follower=$!
	timeout "$((${3:-10} * slow))" grep -m 1 -E "$2" <"$_fifo"
	_found=$?
	kill "$_follower" 2>/dev/null
	wait "$_follower" 2>/dev/null
	rm -f "$_fifo"
	return "$_found"
}

# wait_for_event SES TYPE [SECONDS [SINCE]]
wait_for_event() {
	wait_for "$1" "\"ts\":[0-9]+,\"type\":\"$2\"" "${3:-10}" "${4:-0}"
}

# wait_for_state SES STATE [SECONDS [SINCE]] - until the session came into it.
wait_for_state() {
	wait_for "$1" "\"type\":\"session.state\".*\"to\":\"$2\"" "${3:-10}" \
		"${4:-0}"
}

# wait_turn SES TURN [SECONDS [SINCE]] - until the turn has ended.
wait_turn() {
	wait_for "$1" "\"type\":\"turn\.(completed|failed|cancelled|interrupted)\",\"turn\":\"$2\"" \
		"${3:-20}" "${4:-0}"
}

# log_rows DB [SINCE] - what a store has of VM's sessions, event by event.
log_rows() {
	sqlite3 -readonly -cmd '.timeout 10000' "$1" "SELECT s.id, seq, e.epoch,
		ts_ms, type, turn_id, ctx, data, chain
		FROM event e JOIN session s ON s.n = session_n
		WHERE s.vm_id = '$VM' AND seq > ${2:-0} ORDER BY s.id, seq"
}

# logs_agree DB [SINCE] - the guest's own store has the same events as the host's.
logs_agree() {
	log_rows "$1" "${2:-0}" >"$tmp/guest.log" &&
		log_rows "$HIB_HOME/hib.db" "${2:-0}" >"$tmp/host.log" &&
		[ -s "$tmp/host.log" ] && cmp "$tmp/guest.log" "$tmp/host.log"
}

# follow SES FILE [OPTION]... - keep writing the log into a file: the process is
# in FOLLOWER.
follow() {
	_ses=$1 _file=$2
	shift 2
	"$O/bin/hib" log "$_ses" --follow --json "$@" >"$_file" &
	FOLLOWER=$!
	at_exit "end_child $FOLLOWER"
}

# stream SES FILE [CURL_OPTION]... - the same by SSE: the process is in
# STREAMER.
stream() {
	_ses=$1 _file=$2
	shift 2
	curl -sN --unix-socket "$HIB_HOME/hibd.sock" \
		${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@" \
		"http://hib/v1/sessions/$_ses/stream${SINCE:+?since=$SINCE}" \
		>"$_file" &
	STREAMER=$!
	at_exit "end_child $STREAMER"
}

# --- what must hold after anything ----------------------------------------

no_rows() {
	_rows=$(sql "$1") || return 1
	[ -z "$_rows" ] && return
	echo "$2: $_rows"
	return 1
}

numbers_are_whole() {
	no_rows "SELECT s.id FROM session s WHERE
		(SELECT count(*) IS NOT max(seq) OR min(seq) IS NOT 1 OR
			max(seq) IS NOT s.last_seq
		 FROM event WHERE session_n = s.n)" "numbers"
}

# Each turn.started, or input.message that came to no turn, is followed by
# exactly one end, and no event of the turn stands behind that.
turns_have_ended() {
	no_rows "SELECT s.id, turn_id FROM event JOIN session s ON s.n = session_n
		WHERE type IN ('turn.started', 'turn.completed', 'turn.failed',
			'turn.cancelled', 'turn.interrupted')
		GROUP BY session_n, turn_id
		HAVING sum(type = 'turn.started') <> 1 OR
			sum(type <> 'turn.started') <> 1 OR
			max(CASE type WHEN 'turn.started' THEN seq END) >
			max(CASE type WHEN 'turn.started' THEN 0 ELSE seq END)" \
		"turns"
	no_rows "SELECT id FROM turn WHERE ended_ms IS NULL" "open turns"
}

nothing_is_passing() {
	no_rows "SELECT id, state FROM session WHERE state NOT IN
		('suspended', 'closed', 'failed', 'expired')" "states"
}

store_is_whole() {
	hib store check
}

# Every VM is woken, so that it settles what a crash left, and put to sleep.
invariants() {
	for _id in $(hib vm list --json | jq -r '.[].id'); do
		hib vm wake "$_id" && hib vm sleep "$_id" || return 1
	done
	numbers_are_whole && turns_have_ended && nothing_is_passing &&
		store_is_whole
}

# suspend_vm [OPTION...] - put VM to sleep with its memory.  When a busy machine does not
# stand still in time that is refused, and may be tried again: nothing has changed.
suspend_vm() {
	for _try in 1 2 3 4 5; do
		hib vm suspend "$@" "$VM" && return
		_status=$?
		case $_status in
		7 | 8) ;; # not_ready, request_timeout
		*) return "$_status" ;;
		esac
	done
	return "$_status"
}
