#!/bin/sh
# Snapshots of machines: memory and disk, given back and multiplied; and what is
# left when something is killed in the middle.
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
#   SNAP_ROUNDS       kills of each kind (default: 1); 30 is a long run
# shellcheck disable=SC2016,SC2119,SC2030,SC2031 # $ is for the shell in the VM
. tests/lib.sh
. tests/machine.sh

rounds=${SNAP_ROUNDS:-1}
agent echo

# --- sandboxes: hibd is killed at any moment -----------------------------------

# The VM is as at the snapshot (the file says one), or as it was after (two), and
# works.
is_one_of_them() {
	got=$(in_vm "$SES" 'cat ~/state; cat state') || return 1
	case $got in
	"one
one") now=old ;;
	"two
two") now=new ;;
	*)
		echo "neither: $got"
		return 1
		;;
	esac
	says "$SES" "!say $now" "$now" && numbers_are_whole
}
write_state() {
	in_vm "$SES" "echo $1 >~/state; echo $1 >state; sync" >"$tmp/x"
}
no_snapshot_is_left() {
	not ls -d "$HIB_HOME"/vms/*/snapshots/*.new \
		"$HIB_HOME"/vms/*/snapshots/*.gone 2>"$tmp/x"
}
# killed MS COMMAND... - hibd is killed while the command runs.  What is left the next
# one removes, or doctor.
killed() {
	_ms=$1
	shift
	"$@" >"$tmp/killed" 2>&1 &
	_running=$!
	soon "$_ms"
	kill_hibd KILL
	wait "$_running"
	if [ $((_n % 2)) -eq 1 ]; then
		hib doctor --repair >"$tmp/x"
		no_snapshot_is_left || return 1
	fi
	hib daemon start >"$tmp/x"
}
nothing_is_left() {
	until_true 10 eval '! ls -d "$HIB_HOME"/vms/*/restore* 2>/dev/null &&
		no_snapshot_is_left'
}
# What has been made is good, and goes; but SNP.
snapshots_are_whole() {
	for one in $(hib snapshot list --json | jq -r '.[].id'); do
		hib snapshot verify "$one" >"$tmp/x" || return 1
		[ "$one" = "$SNP" ] || hib snapshot rm "$one" || return 1
	done
}
# Each other VM is as the snapshot is, and goes.
forks_work() {
	for one in $(hib vm list --json | jq -r '.[].id'); do
		[ "$one" != "$VM" ] || continue
		ses=$(sql "SELECT id FROM session WHERE vm_id='$one' LIMIT 1")
		equal "$(in_vm "$ses" 'cat ~/state; cat state')" "one
one" && hib vm destroy "$one" || return 1
	done
}
restore_round() {
	write_state two && killed 80 hib vm restore --force "$SNP" &&
		is_one_of_them && nothing_is_left
}
make_round() {
	killed 60 hib snapshot create "$VM" && is_one_of_them &&
		nothing_is_left && snapshots_are_whole
}
fork_round() {
	killed 80 hib vm fork -n 2 "$SNP" && is_one_of_them && forks_work
}
many() {
	_n=$rounds
	while [ "$_n" -gt 0 ]; do
		"$1" || return 1
		_n=$((_n - 1))
	done
}
new_vm && new_session && write_state one
hib vm sleep "$VM"
SNP=$(hib snapshot create "$VM")
ok "hibd is killed in a restore: the VM is as before or after" many restore_round
ok "hibd is killed while one is made: it is there whole, or not" many make_round
ok "hibd is killed in a fork: each VM that is there works" many fork_round
hib vm destroy --force "$VM"

# --- machines ---------------------------------------------------------------------

need_image "a machine is kept with its memory" small long

uptime_s() {
	in_vm "$1" 'cut -d. -f1 /proc/uptime'
}
made() {
	VM=$(hib vm create --backend qemu --image small --name m) && new_session &&
		write_state one && in_vm "$SES" 'cat /proc/uptime >~/since;
			cat /proc/sys/kernel/random/boot_id >~/boot' >"$tmp/x" &&
		prompt_bg "$SES" '!run echo began; sleep 3; echo slept' &&
		wait_for "$SES" began 30 "$MARK" >"$tmp/x" &&
		SNP=$(hib snapshot create m --label busy) &&
		wait_turn "$SES" "$TURN" 60 | grep -q turn.completed &&
		equal "$(hib snapshot show "$SNP" --json | jq -r .kind)" memory &&
		until_true 20 eval 'hib snapshot show "$SNP" --json | jq -e ".state == \"verified\""'
}
ok "a machine is kept with its memory, in the middle of a turn" made
refused_disk() {
	refused capability_unsupported 5 hib snapshot create --kind disk m
}
ok "its disk alone is not taken while it runs" refused_disk

# there COMMAND... - on another host, so to speak.
there() {
	(HIB_HOME=$tmp/there && "$@")
}
exported() {
	mkdir -m 700 "$tmp/there" && mkdir -m 755 "$tmp/there/agents" &&
		cp "$HIB_HOME/agents/echo.json" "$tmp/there/agents/" &&
		ln -s "$cache" "$tmp/there/images" &&
		at_exit 'there hib daemon stop --vms' &&
		hib snapshot export "$SNP" "$tmp/file" &&
		equal "$(stat -c %a "$tmp/file")" 600 &&
		[ "$(stat -c %s "$tmp/file")" -lt 200000000 ] &&
		refused already_exists 7 hib snapshot import "$tmp/file" &&
		not ls -d "$HIB_HOME"/import.*
}
ok "it is written to a file, without its holes" exported
# is_spoiled HOW ERROR
is_spoiled() {
	zstd -qdc "$tmp/file" | python3 tests/fake/spoil_machine.py "$1" |
		zstd -q1 >"$tmp/bad"
	if there hib snapshot import "$tmp/bad" >"$tmp/x" 2>&1; then
		echo "taken: $1"
		return 1
	fi
	cat "$tmp/x"
	grep -Eq "$2" "$tmp/x" && equal "$(there hib vm list --json)" '[]' &&
		equal "$(there hib session list --json)" '[]' &&
		not ls -d "$tmp/there"/import.*
}
spoiled() {
	is_spoiled cpus 'cpus 1, not 9 .capability_unsupported' &&
		is_spoiled flip store_corrupt && is_spoiled link invalid_argument &&
		is_spoiled twice invalid_argument && is_spoiled disk invalid_argument &&
		is_spoiled synced invalid_argument && is_spoiled cut invalid_argument &&
		is_spoiled folder capability_unsupported &&
		is_spoiled sandbox capability_unsupported &&
		is_spoiled other-vm invalid_argument
}
ok "files of strangers are refused, and leave nothing" spoiled
imported() {
	THERE=$(there hib snapshot import "$tmp/file") &&
		equal "$(there hib snapshot show "$THERE" --json |
			jq -r '.vm_id + " " + .kind')" "$VM memory" &&
		equal "$(there hib vm get "$VM" --json | jq -r .state)" stopped &&
		there hib vm wake "$VM" &&
		there wait_turn "$SES" "$TURN" 60 | grep -q turn.completed &&
		there in_vm "$SES" 'cmp ~/boot /proc/sys/kernel/random/boot_id; cat state' &&
		there numbers_are_whole
}
ok "it goes on elsewhere, in the same turn and boot" imported
usable() {
	there in_vm "$SES" 'echo two >state' >"$tmp/x" &&
		mark=$(there last_seq "$SES") && there hib vm restore "$THERE" &&
		there wait_for "$SES" '"type":"turn.completed"' 60 "$mark" &&
		equal "$(there in_vm "$SES" 'cat state')" one &&
		there hib vm fork "$THERE" --json >"$tmp/forks" &&
		fork=$(jq -r '.vms[0].sessions[0].id' "$tmp/forks") &&
		there wait_turn "$fork" "$TURN" 60 | grep -q turn.completed &&
		equal "$(there in_vm "$fork" 'cat state')" one &&
		there numbers_are_whole && there hib store check
}
ok "its snapshot is restored and forked there" usable
nothing_there() {
	for one in $(there hib vm list --json | jq -r '.[].id'); do
		there hib vm destroy --force "$one" || return 1
	done
	for one in $(there hib session list --json | jq -r '.[].id'); do
		there hib session destroy "$one" || return 1
	done
}
disk_there() {
	nothing_there && hib vm stop m && disk=$(hib snapshot create m) &&
		equal "$(hib snapshot show "$disk" --json | jq -r .kind)" disk &&
		until_true 20 hib snapshot export "$disk" "$tmp/file" &&
		hib snapshot rm "$disk" && disk=$(there hib snapshot import "$tmp/file") &&
		equal "$(there in_vm "$SES" 'cat state ~/state; echo two >state')" "one
one" && there hib vm restore "$disk" &&
		equal "$(there in_vm "$SES" 'cat state')" one &&
		there numbers_are_whole && there hib store check &&
		there hib daemon stop --vms
}
ok "so is a disk alone, of one that is off" disk_there

restored() {
	CUT=$(hib snapshot show "$SNP" --json | jq ".cursors.$SES")
	write_state two && says "$SES" '!say after' after &&
		hib vm restore "$SNP" --json | jq -e '.state == "running"' &&
		wait_for "$SES" '"type":"session.rewound"' 10 >"$tmp/rewound" &&
		jq -e --argjson cut "$CUT" '.data.to_seq == $cut and
			.data.abandoned[0] == $cut + 1 and
			.seq == .data.abandoned[1] + 1' "$tmp/rewound"
}
ok "it is set back, and its log says so" restored
went_on() {
	wait_for "$SES" '"type":"turn.completed"' 60 \
		"$(jq .seq "$tmp/rewound")" | jq -e --arg t "$TURN" '.turn == $t' &&
		is_one_of_them && equal "$now" old &&
		in_vm "$SES" 'cmp ~/boot /proc/sys/kernel/random/boot_id' &&
		[ "$(uptime_s "$SES")" -lt 600 ]
}
ok "its turn goes on to its end, in the same boot" went_on
no_trace() {
	hib messages "$SES" --json >"$tmp/x" && not grep -q '!say after' "$tmp/x" &&
		log_json "$SES" | grep -q '!say after' && numbers_are_whole
}
ok "what came after is no message any more, and can be read" no_trace

forked() {
	hib vm fork -n 5 "$SNP" --json >"$tmp/forks" &&
		equal "$(jq '.vms | length' "$tmp/forks")" 5
}
ok "five machines go on from it at once" forked
differ() {
	equal "$(cut -d' ' -f"$1" "$tmp/said.all" | sort -u | wc -l)" 5
}
apart() {
	: >"$tmp/said.all"
	for ses in $(jq -r '.vms[].sessions[0].id' "$tmp/forks"); do
		equal "$(session_field "$ses" forked_from)" "$SES" &&
			wait_turn "$ses" "$TURN" 60 | grep -q turn.completed &&
			in_vm "$ses" 'echo $(hostname) $(cat /etc/machine-id)
				$(od -An -N8 -tx8 /dev/urandom) $(date +%s) $(cat state ~/state);
				echo mine >state' >"$tmp/one" || return 1
		read -r line <"$tmp/one"
		drift=$(($(date +%s) - $(echo "$line" | cut -d' ' -f4)))
		[ "$drift" -ge -1 ] && [ "$drift" -le 1 ] || return 1
		equal "$(echo "$line" | cut -d' ' -f5-)" 'one one' || return 1
		echo "$line" >>"$tmp/said.all"
	done
	differ 1 && differ 2 && differ 3 && equal "$(in_vm "$SES" 'cat state')" one
}
ok "each ends the turn, and has a name, numbers, a clock and files of its own" apart
outlived() {
	hib snapshot rm "$SNP" &&
		says "$(jq -r '.vms[0].sessions[0].id' "$tmp/forks")" '!say on' on &&
		for one in $(jq -r '.vms[].vm' "$tmp/forks"); do
			hib vm destroy "$one" || return 1
		done
}
ok "they go on when the snapshot is removed" outlived
at_once() {
	hib vm fork --memory -n 2 m --json >"$tmp/forks" &&
		equal "$(jq '.vms | length' "$tmp/forks")" 2 &&
		equal "$(hib snapshot list --json)" '[]' &&
		says "$(jq -r '.vms[1].sessions[0].id' "$tmp/forks")" '!say fork' fork &&
		for one in $(jq -r '.vms[].vm' "$tmp/forks"); do
			hib vm destroy "$one" || return 1
		done
}
ok "a machine that runs is forked with its memory" at_once

# qemu_killed MS VM COMMAND... - the VM's QEMU is killed while the command runs, if there
# is one by then.
qemu_killed() {
	_ms=$1 _victim=$2
	shift 2
	"$@" >"$tmp/killed" 2>&1 &
	_running=$!
	soon "$_ms"
	[ ! -e "$HIB_HOME/vms/$_victim/machine.json" ] || kill_vm "$_victim"
	wait "$_running"
	return 0
}
machine_restore_round() {
	write_state two && killed 500 hib vm restore --force "$SNP" &&
		is_one_of_them && nothing_is_left
}
qemu_restore_round() {
	write_state two && qemu_killed 500 "$VM" hib vm restore --force "$SNP" &&
		is_one_of_them && nothing_is_left
}
machine_make_round() {
	killed 1000 hib snapshot create m && is_one_of_them && nothing_is_left &&
		snapshots_are_whole
}
qemu_make_round() {
	qemu_killed 1000 "$VM" hib snapshot create m && is_one_of_them &&
		nothing_is_left && snapshots_are_whole
}
machine_fork_round() {
	killed 1500 hib vm fork "$SNP" && is_one_of_them && forks_work
}
# Of one that runs: there is a snapshot on the way, which nobody has asked for.
only_that_snapshot() {
	until_true 10 eval 'equal "$(hib snapshot list --json | jq -r ".[].id")" "$SNP"'
}
# One of them may need it until it goes; then the next hibd removes it.
machine_fork_now_round() {
	killed 1500 hib vm fork --memory m && is_one_of_them && forks_work &&
		nothing_is_left && kill_hibd TERM && hib daemon start &&
		only_that_snapshot
}
qemu_fork_now_round() {
	qemu_killed 1500 "$VM" hib vm fork --memory m && is_one_of_them &&
		forks_work && nothing_is_left && only_that_snapshot
}
# The machine that is killed is the one that is being made.
qemu_fork_round() {
	hib vm fork "$SNP" >"$tmp/killed" 2>&1 &
	_running=$!
	until_true 20 eval 'ls "$HIB_HOME"/vms/*/machine.json | grep -v "$VM"' ||
		return 1
	soon 500
	for one in "$HIB_HOME"/vms/*/machine.json; do
		[ "$one" = "$HIB_HOME/vms/$VM/machine.json" ] || kill_machine "$one"
	done
	wait "$_running"
	is_one_of_them && forks_work
}
write_state one
SNP=$(hib snapshot create m)
ok "hibd is killed in a restore: the machine is as before or after" \
	many machine_restore_round
ok "so it is when QEMU is killed" many qemu_restore_round
write_state one
ok "hibd is killed while one is kept: it is there whole, or not" \
	many machine_make_round
ok "so it is when QEMU is killed while it is kept" many qemu_make_round
ok "hibd is killed in a fork: each machine that is there works" \
	many machine_fork_round
ok "so it does when the fork's QEMU is killed" many qemu_fork_round
ok "hibd is killed in a fork of one that runs" many machine_fork_now_round
ok "so is its QEMU" many qemu_fork_now_round

rewinds() {
	log_json "$SES" | grep -c '"type":"session.rewound"'
}
no_fit() {
	about=$HIB_HOME/vms/$VM/snapshots/$SNP/memory.json
	write_state two && before=$(last_seq "$SES") && cp "$about" "$tmp/about" &&
		jq -c '.cpus = 9' "$tmp/about" >"$about" &&
		refused capability_unsupported 5 hib vm restore --force "$SNP" &&
		equal "$(last_seq "$SES")" "$before" && is_one_of_them &&
		equal "$now" new
}
ok "memory that does not fit is refused, and the machine goes on" no_fit
other_qemu() {
	before=$(rewinds) && jq -c '.qemu = "0.9"' "$tmp/about" >"$about" &&
		refused capability_unsupported 5 hib vm restore --force "$SNP" &&
		equal "$(rewinds)" $((before + 1)) && is_one_of_them &&
		equal "$now" old && nothing_is_left
}
ok "if only QEMU can tell, its disk is given back, and its logs are" other_qemu

done_testing
