#!/bin/sh
# Many sessions at once in one VM: none lost, none stuck, and the memory that
# they took comes back.
. tests/lib.sh

n=100

# each COMMAND... - run a command for every session, all at the same time: its
# output is in $tmp/N.out.
each() {
	_pids=
	_failed=0
	for _i in $(seq "$n"); do
		"$@" "$_i" >"$tmp/$_i.out" 2>"$tmp/$_i.err" &
		_pids="$_pids $!"
	done
	for _pid in $_pids; do
		wait "$_pid" || _failed=$((_failed + 1))
	done
	[ "$_failed" -eq 0 ] && return
	echo "$_failed of $n failed; the first:"
	cat "$tmp"/*.err | head -n 3
	return 1
}

id_of() {
	sed -n "$1p" "$tmp/ids"
}

create() {
	hib session create --agent echo --vm "$VM" --id "$(id_of "$1")"
}

ask() {
	says "$(id_of "$1")" "I am $1" "I am $1"
}

close() {
	hib session close "$(id_of "$1")"
}

new_ids() {
	for _i in $(seq "$n"); do
		new_id ses
	done >"$tmp/ids"
}

# What a VM's daemon has of memory that is in no file, in KiB.
vm_memory() {
	awk '/^RssAnon:/ { print $2 }' "/proc/$(guest_pid "$VM")/status"
}

states() {
	sql "SELECT state, count(*) FROM session WHERE vm_id='$VM' GROUP BY 1"
}

round() {
	new_ids
	each create && each ask && each close
}

all_are_there() {
	new_ids
	each create || return 1
	vm_peak=$(vm_memory)
	equal "$(states)" "closed|$((2 * n))
idle|$n"
}

each_answers_for_itself() {
	each ask || return 1
	equal "$(sql "SELECT count(*), count(DISTINCT session_id) FROM turn
		WHERE state='completed'")" "$((3 * n))|$((3 * n))"
}

all_are_closed() {
	each close || return 1
	equal "$(states)" "closed|$((3 * n))"
}

nothing_runs() {
	equal "$(descendants "$(guest_pid "$VM")")" ""
}

# Of what the sessions took a tenth may stay: their rows, and how the heap has been
# cut up.
memory_is_back() {
	_now=$(vm_memory)
	echo "$vm_before KiB before, $vm_peak KiB with all, $_now KiB after"
	[ $((_now - vm_before)) -le $(((vm_peak - vm_before) / 10)) ]
}

one_more_is_refused() {
	_small=$(hib vm create --max-sessions 1) || return 1
	_first=$(hib session create --agent echo --vm "$_small") || return 1
	refused limit_sessions 4 hib session create --agent echo \
		--vm "$_small" || return 1
	hib session close "$_first" &&
		hib session create --agent echo --vm "$_small"
}

# The first rounds fill what stays on purpose: SQLite's page caches.
new_vm --max-sessions 128
ok "$n sessions are created, prompted and closed at once" round
ok "and again" round
vm_before=$(vm_memory)
ok "$n sessions start at once in one VM" all_are_there
ok "each is prompted at once and answers for itself" each_answers_for_itself
ok "each is closed at once" all_are_closed
ok "no process of them is left" until_true 10 nothing_runs
ok "the VM's memory is back" until_true 10 memory_is_back
ok "F229 a VM takes as many live sessions as it was made for, and no more" \
	one_more_is_refused
done_testing
