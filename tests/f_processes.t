#!/bin/sh
# Processes: what a turn, a session or a VM has started ends with it, whatever it
# does to get away.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

# runs ARG - is `sleep ARG` among the processes of the VM, as the host sees them?
runs() {
	for _p in $(descendants "$(guest_pid "$VM")"); do
		[ "$(tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null)" != \
			"sleep $1 " ] || return 0
	done
	return 1
}

run_all() {
	for _arg; do
		runs "$_arg" || return 1
	done
}

none_runs() {
	for _arg; do
		if runs "$_arg"; then
			echo "sleep $_arg still runs"
			return 1
		fi
	done
}

# In a process session of its own, its output closed: what agents leave.
left() {
	echo "!run setsid sleep $1 >/dev/null 2>&1 &"
}

# deaf N - a daemon: two forks, deaf to SIGTERM.
deaf() {
	echo "!run (trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT;\
 sleep $1 & wait' >/dev/null 2>&1 &) &"
}

# --- cancel ---------------------------------------------------------------

# Of three turns the second is cancelled.
f_cancel() {
	prompt "$SES" "$(left 1001)
!helper exec sleep 1002
!termbg exec sleep 1003" && until_true 10 run_all 1001 1002 1003 &&
		prompt_bg "$SES" "$(left 1011)
$(deaf 1012)
!helper exec sleep 1013
!termbg exec sleep 1014
!run sleep 1015 & sleep 1016
!hang" && until_true 10 run_all 1011 1012 1013 1014 1015 1016 &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" |
		grep '"type":"turn.cancelled"'
}
ok "F167 a turn is cancelled" f_cancel
ok "F167 what it has left running is ended, deaf or not" \
	until_true 10 none_runs 1011 1012 1014 1015 1016
ok "F167 the agent's own helpers and what earlier turns left go on" \
	run_all 1001 1002 1003 1013

f_next() {
	says "$SES" "$(left 1021)" 'exit: 0' && until_true 10 runs 1021 &&
		prompt_bg "$SES" "$(deaf 1022)
!hang" && until_true 10 runs 1022 && hib cancel "$SES" &&
		says "$SES" "$(left 1023)" 'exit: 0' &&
		until_true 10 none_runs 1022 && run_all 1021 1023
}
ok "F167 those of the turn before and of the next one go on" f_next

# The next turn begins in the moment in which the cancelled one ends.
f_interrupt() {
	prompt_bg "$SES" "$(deaf 1031)
!hang" && until_true 10 runs 1031 &&
		hib prompt "$SES" --on-busy interrupt "$(left 1032)" &&
		until_true 10 none_runs 1031 && run_all 1032
}
ok "F167 also of a next one that interrupts" f_interrupt

f_late() {
	prompt_bg "$SES" '!lateupdates 3
!send terminal/create "command":"true"
!hang' && wait_for "$SES" '"terminalId"' 10 "$MARK" && hib cancel "$SES" &&
		wait_for "$SES" 'late 3' 10 "$MARK" &&
		holds "$SES" "[.[] | select(.ctx.late? == \"$TURN\" and
			.type == \"acp.update\")] | length == 3 and
			all(has(\"turn\") | not)" &&
		state_is "$SES" idle
}
ok "F097 what the agent says after a cancel is late, and reopens nothing" f_late

f_late_answer() {
	prompt_bg "$SES" '!hang' && hib cancel "$SES" &&
		wait_turn "$SES" "$TURN" &&
		says "$SES" "!fsread /etc/hostname" "$(guest_name)"
}
guest_name() {
	echo "vm-$(printf %s "$VM" | tail -c 8)"
}
ok "F097 the agent is served after it" f_late_answer

# --- the end of a session -------------------------------------------------

# busy SES N - processes of each kind, and an agent that is deaf.
busy() {
	prompt_bg "$1" "!ignoreterm
$(left "${2}1")
$(deaf "${2}2")
!orphan
!helper trap '' TERM; sleep ${2}3
!termbg setsid sleep ${2}4 & wait
!termbg trap '' TERM; sleep ${2}5 & sleep ${2}6
!hang" && until_true 10 run_all "${2}1" "${2}2" "${2}3" "${2}4" "${2}5" "${2}6"
}

# gone_after N SES COMMAND... - nothing of it is alive when the command returns.
gone_after() {
	_n=$1 _pid=$(agent_pid "$2")
	shift 2
	"$@" && none_runs "${_n}1" "${_n}2" "${_n}3" "${_n}4" "${_n}5" \
		"${_n}6" && not alive "$_pid"
}

f_close() {
	new_session && busy "$SES" 201 && gone_after 201 "$SES" \
		hib session close "$SES"
}
ok "F167 nothing is left after close" f_close

f_kill() {
	new_session && busy "$SES" 202 && gone_after 202 "$SES" \
		hib session kill "$SES"
}
ok "F167 nothing is left after kill" f_kill

f_destroy() {
	new_session && busy "$SES" 203 && gone_after 203 "$SES" \
		hib session destroy "$SES"
}
ok "F167 nothing is left after destroy" f_destroy

f_suspend() {
	new_session && busy "$SES" 204 && gone_after 204 "$SES" \
		hib session suspend "$SES" --force
}
ok "F167 nothing is left after suspend" f_suspend

f_stop() {
	new_session && busy "$SES" 205 && _pid=$(guest_pid "$VM") &&
		_all=$(descendants "$_pid") && hib vm stop "$VM" &&
		for _p in $_pid $_all; do
			not alive "$_p" || return 1
		done
}
ok "F167 nothing is left after the VM is stopped" f_stop

# --- limits ---------------------------------------------------------------

# The sanitizers map more than any machine has.
case $MODE in
asan | tsan) memory=1125899906842624 ;;
*) memory=100000000 ;;
esac
f_limits() {
	new_vm && new_session && other=$SES &&
		new_session --max-processes 60 --max-memory "$memory" \
			--max-cpu 50 --max-files 100 && full=$SES &&
		holds "$full" 'any(.type == "session.ready" and
			(.data.limits | map_values(.limit)) == {processes: 60,
			memory_bytes: '"$memory"', cpu_percent: 50,
			open_files: 100} and
			all(.data.limits[]; .how | length > 0))' &&
		holds "$other" 'any(.type == "session.ready" and
			(.data.limits | map_values(.limit)) ==
				{processes: 2048})'
}
ok "F171 a session says what its limits are, and how they are kept" f_limits

f_files() {
	says "$full" '!run ulimit -n' "$(printf '100\nexit: 0')" &&
		says "$full" '!term ulimit -n' \
			"$(printf '100\n{"exitCode":0,"signal":null}')"
}
ok "F171 open files are limited, in terminals too" f_files

is_calm() {
	[ "$(descendants "$(guest_pid "$VM")" | wc -l)" -lt 10 ]
}

# The bomb goes off again and again; it ends with its turn.
f_bomb() {
	prompt_bg "$full" "!termbg bomb() { bomb | bomb & sleep 0.1; }; \
while :; do bomb; done 2>/dev/null
!hang" && wait_for_event "$full" session.limit 30 "$MARK" |
		jq -e '.data.resource == "processes" and .data.limit == 60' &&
		says "$other" '!run echo still here' \
			"$(printf 'still here\nexit: 0')" &&
		hib cancel "$full" && wait_turn "$full" "$TURN" &&
		until_true 10 is_calm && says "$full" '!run echo here too' \
			"$(printf 'here too\nexit: 0')"
}
ok "F171 a fork bomb is held, told, and leaves other sessions alone" f_bomb

f_limits_wrong() {
	refused invalid_argument 5 hib session create --agent echo \
		--vm "$VM" --config '{"limits":{"processes":"many"}}' &&
		refused invalid_argument 5 hib session create --agent echo \
			--vm "$VM" --config '{"limits":{"cpu_percent":-1}}'
}
ok "F171 limits that are none are refused" f_limits_wrong

f_limits_resume() {
	hib session suspend "$full" && hib vm sleep "$VM" &&
		says "$full" '!run ulimit -n' "$(printf '100\nexit: 0')"
}
ok "F171 a session that wakes has its limits again" f_limits_resume

# --- orphans --------------------------------------------------------------

f_zombies() {
	new_vm && new_session &&
		says "$SES" '!spawn 1000' 'spawned 1000' &&
		until_true 20 no_zombies
}
no_zombies() {
	for _p in $(descendants "$(guest_pid "$VM")"); do
		alive "$_p" || return 1
	done
}
ok "F170 a thousand orphans leave no zombie" f_zombies

done_testing
