#!/bin/sh
# A guest daemon that means harm (fake/hostile_guest.c): its VM is lost or
# useless, hibd and all other VMs are as before, and it can be removed.
# shellcheck disable=SC2119
. tests/lib.sh

. tests/hostile.sh

# Bytes that hibd may ever have had in memory: what a few windows of streams
# take, and no more for 100 MB that a guest sends.
case $MODE in
asan | tsan) memory_max=$((1024 << 20)) ;;
*) memory_max=$((160 << 20)) ;;
esac

if ! new_vm >"$tmp/new_vm" 2>&1 || ! new_session; then
	skip_all "$(head -c 200 "$tmp/new_vm")"
fi
good=$SES

bad_is() {
	hib vm get "$BAD" --json | jq -e "$1"
}

turns=0
others_live() {
	turns=$((turns + 1))
	says "$good" "beside $word" "beside $word" &&
		hib session list --json >"$tmp/list" && hib vm list >/dev/null
}

# Its VM can be ended, in no more time than any, and takes its log with it.
removable() {
	hib vm destroy --force "$BAD" && not hib vm get "$BAD"
}

memory_is_bounded() {
	_peak=$(awk '/^VmHWM/ {print $2 * 1024}' "/proc/$(hibd_pid)/status")
	[ "$_peak" -lt "$memory_max" ] || {
		echo "hibd had $_peak bytes of memory"
		return 1
	}
}


# survives WORD [COMMAND]... - it comes up, the command succeeds, and nobody else
# notices.
survives() {
	hostile "$1"
	shift
	wait "$MAKING" || {
		cat "$tmp/made.$word"
		return 1
	}
	others_live && others_live && "${@:-true}" && others_live &&
		removable && others_live && memory_is_bounded
}

# --- it is stopped ----------------------------------------------------------

# Nothing in it runs, in the middle of a turn; somebody asks for its files.
# What comes of that takes a while: it is looked at last.
stop_one() {
	new_vm && new_session && DEAF=$VM DEAF_SES=$SES &&
		prompt_bg "$SES" '!sleep 1000;;!say lives' &&
		kill -STOP "$(guest_pid "$DEAF")" || return 1
	PATIENCE=120 hib files ls "$DEAF" >"$tmp/deaf" 2>&1 &
	DEAF_CALL=$!
	others_live
}
ok "a guest that is stopped leaves the others alone" stop_one
DEAF_TURN=$TURN

# --- it never comes up ------------------------------------------------------

# Who made the VM is told so, and so is who looks at it later.
failed_with() {
	grep -Eq "$1" "$tmp/made.$word" || {
		cat "$tmp/made.$word"
		return 1
	}
	bad_is '.state == "failed" and .last_error != null' && removable
}

# Most of them are given up after a time: all of them at once.
words='silent mute early noise http1 pings settings resets windows huge-frame
	push endless-head empty-frames'
all=
for word in $words; do
	hostile "$word"
	all="$all $word:$BAD:$MAKING"
done
ok "many guests that never come up leave the others alone" others_live

for one in $all; do
	word=${one%%:*} MAKING=${one##*:} BAD=${one#*:} BAD=${BAD%:*}
	while kill -0 "$MAKING" 2>/dev/null; do
		others_live || break
	done
	wait "$MAKING"
	ok "a guest is given up: $word" failed_with 'vm_unavailable'
done
ok "and they have cost little memory" memory_is_bounded

fails() {
	hostile "$1"
	others_live && not wait "$MAKING" && failed_with "$2" &&
		others_live && memory_is_bounded
}
ok "a hello of 100 MB is refused" fails long-hello bad_frame
ok "a guest of another name is refused" fails stranger bad_frame
ok "one that is paused for ever is refused" fails paused bad_frame

# Who wants to put it to sleep waits for it to be awake; who removes it does not.
ends_while() {
	hostile "$1"
	until_true 10 bad_is '.state == "booting"' || return 1
	hib vm suspend "$BAD" >"$tmp/suspend" 2>&1 &
	_asking=$!
	others_live && others_live && removable && not wait "$MAKING" ||
		return 1
	wait "$_asking" # Whatever it is told.
	others_live && memory_is_bounded
}
ok "one that is never thawed can be removed" ends_while never-thaws

# --- it comes up ------------------------------------------------------------

ok "a hello of lies about cursors hurts nobody" survives lying-hello
ok "so does one that says it is frozen" survives frozen
ok "random bytes for events hurt nobody" survives garbage

ends_itself() {
	until_true 10 bad_is '.state == "failed" and .last_error != null'
}
ok "an event that never ends fails the VM" survives endless-line ends_itself
ok "so do events with gaps" survives gap ends_itself

flooded() {
	for _i in 1 2 3 4 5; do
		others_live || return 1
	done
	[ "$(sql "SELECT max(last_seq) FROM session s JOIN vm ON vm.id = vm_id
		WHERE vm.id = '$BAD'")" -gt 10000 ]
}
ok "a flood of events drowns nobody" survives flood flooded

# Each second one is the host stream's.
seldom() {
	for _i in 1 2 3 4 5 6 7 8; do
		others_live || return 1
	done
	_met=$(grep -c '^api: connected' "$HIB_HOME/vms/$BAD/console.log")
	[ "$_met" -le 16 ] || {
		echo "connected $_met times"
		return 1
	}
}
ok "one that goes as soon as it is up is come back to seldom" \
	survives flap seldom

# create_fails ERROR - what it is asked to do fails so.
create_fails() {
	refused "$1" "$2" hib session create --vm "$BAD" --agent echo
}
ok "an answer of 100 MB is an error" survives long-answer \
	create_fails bad_frame 2
ok "an answer with a cursor that never comes is an error" \
	survives lying-answer create_fails request_timeout 8

# Who reads it takes a line, and no more.
sleeps_at_once() {
	hib exec "$BAD" -- x 2>"$tmp/exec.err" | {
		read -r _first
		hib vm suspend "$BAD" && memory_is_bounded
	}
}
ok "a program that is said to have written more than can be is ended" \
	survives lying-sent sleeps_at_once

# The call waits for as long as the VM lives.
never_answers() {
	hostile never && wait "$MAKING" || return 1
	hib session create --vm "$BAD" --agent echo >"$tmp/never" 2>&1 &
	_asking=$!
	others_live && others_live && kill -0 "$_asking" && removable &&
		not wait "$_asking" && grep -q vm_not_found "$tmp/never"
}
ok "one that never answers can be removed, and who asked is told" never_answers

# --- what it has ------------------------------------------------------------

ok "processes without end hurt nobody" survives burn

console_size() {
	stat -c %s "$HIB_HOME/vms/$BAD/console.log"
}
longer() {
	[ "$(console_size)" -gt 1048576 ]
}
console_is_kept_short() {
	until_true 10 longer && until_true 10 not longer &&
		until_true 10 longer && until_true 10 not longer
}
ok "what it prints takes no disk" survives console console_is_kept_short

disk_is_full() {
	until_true 30 grep -q full "$HIB_HOME/vms/$BAD/console.log" &&
		[ "$(du -sm "$HIB_HOME/vms/$BAD" | cut -f1)" -le 80 ]
}
quota() {
	hostile disk --quota 64M
	wait "$MAKING" && disk_is_full && others_live && removable
}
if [ "$(id -u)" -eq 0 ]; then
	ok "one that fills its disk fills what it was given" quota
else
	skip "one that fills its disk" "a disk with a limit needs root"
fi

# --- the host stream --------------------------------------------------------

for word in host-asks host-noise host-pings; do
	ok "on the host stream: $word" survives "$word"
done

# --- it was stopped -----------------------------------------------------------

last_is_unresponsive() {
	hib vm events "$DEAF" --json | jq -e \
		'last | .type == "vm.unresponsive" and .data.silent_ms > 0'
}
is_reported() {
	wait "$DEAF_CALL"
	grep -q guest_unreachable "$tmp/deaf" &&
		until_true 10 last_is_unresponsive &&
		equal "$(sql "SELECT count(*) FROM vm_event
			WHERE type = 'vm.unresponsive'")" 1
}
ok "what it was asked has failed, and it is reported" is_reported
lives_again() {
	kill -CONT "$(guest_pid "$DEAF")"
	wait_turn "$DEAF_SES" "$DEAF_TURN" | grep completed &&
		says "$DEAF_SES" 'still here' 'still here'
}
ok "it goes on as if nothing had been" lives_again
stopped_for_good() {
	kill -STOP "$(guest_pid "$DEAF")"
	BAD=$DEAF
	removable && others_live
}
ok "one that is stopped can be removed" stopped_for_good

# --- nothing was lost -------------------------------------------------------

is "$(log_json "$good" | jq -s 'map(select(.type == "turn.completed")) |
	length')" "$turns" "all that was asked beside them is in the log"
done_testing
