#!/bin/sh
# Limits of a VM as a whole: what all of its sessions together can take of the
# host.
# shellcheck disable=SC2016,SC2119 # $ is for the VM's shell; new_vm takes no options
. tests/lib.sh

new_vm
new_session
guest=$(guest_pid "$VM")

# --- processes ---------------------------------------------------------------

processes_max() {
	awk '/^Max processes/ { exit !($3 <= 8192 && $4 <= 8192) }' \
		"/proc/$guest/limits"
}
ok "the guest has a limit of processes" processes_max

sleepers() {
	in_vm "$1" 'i=0; while [ $i -lt 60 ]; do
		sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done; echo ok'
}
# Smaller, and for the sessions that are made from now on.
shared() {
	prlimit --pid "$guest" --nproc=100:100 &&
		new_session && one=$SES && new_session && two=$SES &&
		sleepers "$one" && not sleepers "$two" &&
		hib session close "$one" && hib session close "$two" &&
		new_session && sleepers "$SES" && hib session close "$SES"
}
ok "F171 it holds for all sessions together, and ends with them" shared

most_processes() {
	awk '/^Max processes/ { print $4 }' "/proc/$1/limits"
}
left() {
	new_session && [ "$(most_processes "$(agent_pid "$SES")")" -lt \
		"$(most_processes "$guest")" ] && hib session close "$SES"
}
ok "F171 some are left to the daemon" left

# --- the disk ------------------------------------------------------------------

# What is not below --quota is out of reach of all that is not the daemon.
out_of_reach() {
	for _to in /hib/state /hib/run /hib/vfs; do
		not "$@" "touch $_to/x" || return 1
	done
	not [ -e "$HIB_HOME/vms/$VM/disk/state/x" ] &&
		not [ -e "$HIB_HOME/vms/$VM/run/x" ]
}
new_session
by_exec() {
	hib exec -c "$VM" "$1"
}
in_session() {
	hib exec --session "$SES" "$VM" -- sh -c "$1"
}
in_terminal() {
	prompt "$SES" "!term $1" | grep -q '"exitCode":0'
}
ok "an agent does not reach the folders of the daemon" out_of_reach in_vm "$SES"
ok "nor does its terminal" out_of_reach in_terminal
ok "nor a program that is run from outside" out_of_reach by_exec
ok "nor one that is run in its session" out_of_reach in_session

# The guest says a word when it is told to end.
console=$HIB_HOME/vms/$VM/console.log
is_short() {
	[ "$(stat -c %s "$console")" -lt 1048576 ]
}
console_alone() {
	kill_hibd KILL
	truncate -s 2M "$console" && not is_short && kill -TERM "$guest" &&
		until_true 10 is_short && grep -q 'told to end' "$console"
	result=$?
	hib daemon start >"$tmp/x" && return "$result"
}
ok "what the guest prints is kept short without hibd" console_alone
done_testing
