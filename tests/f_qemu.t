#!/bin/sh
# VMs that are virtual machines: QEMU boots an image, and all that works in a
# sandbox works there.
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
#   WARM_ROUNDS       times that a turn sleeps with its machine (3); 100 is a long
#                     run
#   IMAGE             small, with Debian's kernel (default), or small-tiny
# shellcheck disable=SC2016,SC2119 # $ is for the shell in the VM
. tests/lib.sh
. tests/machine.sh

image=${IMAGE:-small}
need_image "a machine boots" "$image"

mkdir "$tmp/folder"
refused_ones() {
	refused invalid_argument 5 hib vm create --backend qemu &&
		refused capability_unsupported 5 hib vm create --backend qemu \
			--image "$image" --net host &&
		refused capability_unsupported 5 hib vm create --backend qemu \
			--image "$image" --mount "$tmp/folder:/m" &&
		refused invalid_argument 5 hib vm create --backend qemu \
			--image "$image" --memory 63 &&
		refused invalid_argument 5 hib vm create --backend qemu \
			--image "$image" --cpus 17 &&
		refused capability_unsupported 5 hib vm create --memory 512 &&
		equal "$(hib vm list --json | jq length)" 0
}
ok "a machine needs an image, and cannot have the host's folders" refused_ones

booted() {
	VM=$(hib vm create --backend qemu --image "$image" --memory 384) &&
		new_session &&
		says "$SES" '!say hi' hi &&
		in_vm "$SES" 'uname -r' | grep -q '^6\.1' &&
		in_vm "$SES" '. /etc/os-release; echo $VERSION_CODENAME' |
		grep -q bookworm &&
		in_vm "$SES" 'awk "/MemTotal/ { exit !(\$2 < 393216 &&
			\$2 > 262144) }" /proc/meminfo && echo fits' | grep -q fits
}
ok "a machine boots a kernel of its own and runs an agent" booted
streamed() {
	prompt "$SES" '!flood 2000 100' >"$tmp/x" &&
		no_rows "SELECT s.id FROM session s WHERE s.last_seq <>
			(SELECT count(*) FROM event e WHERE e.session_n = s.n)" gap
}
ok "what the agent says is all there" streamed
closed_in() {
	in_vm "$SES" '{ ls -d /dev/vd* /dev/hib/* /dev/vport* /hib/state/*;
		cat /dev/console; } 2>/dev/null; ls /sys/class/net; id -u' >"$tmp/seen"
	equal "$(tr '\n' ' ' <"$tmp/seen")" 'lo 1000  ' &&
		not in_vm "$SES" 'touch /usr/x || touch /etc/x || touch /opt/hib/x'
}
ok "the agent sees no disk, no port and no network" closed_in
qemu_pid() {
	jq .pid "$HIB_HOME/vms/$VM/machine.json"
}
confined() {
	pid=$(qemu_pid) &&
		grep -q '^Seccomp:[[:space:]]*2' "/proc/$pid/status" &&
		grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$pid/status" &&
		not test "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" &&
		not test -e "/proc/$pid/root/root/.bashrc" &&
		{ [ "$(id -u)" -ne 0 ] || not grep -q '^Uid:[[:space:]]*0' \
			"/proc/$pid/status"; }
}
ok "QEMU runs in a sandbox" confined
kept() {
	in_vm "$SES" 'mkdir d; echo one >d/a; ln -s a d/l; chmod 700 d' >"$tmp/x" &&
		equal "$(hib files cat --at HEAD "$VM" d/a)" one &&
		hib vm sleep "$VM" && not test -e "$HIB_HOME/vms/$VM/machine.json" &&
		equal "$(hib files cat "$VM" d/a)" one &&
		says "$SES" '!say awake' awake &&
		equal "$(in_vm "$SES" 'cat d/l; stat -c %a d')" "one
700"
}
ok "its files are committed, and there after a sleep" kept
restored() {
	in_vm "$SES" 'rm -r d; echo two >b' >"$tmp/x" &&
		hib files restore "$VM" HEAD~1 && hib session resume "$SES" &&
		equal "$(in_vm "$SES" 'cat d/a; ls')" "one
d"
}
ok "a restore begins with a commit as the lower tree" restored

# --- with its memory on disk ---------------------------------------------------------

vm_is() {
	equal "$(hib vm get "$VM" --json | jq -r '"\(.state) \(.sleep)"')" "$1"
}
doze() {
	suspend_vm --json >"$tmp/slept" &&
		jq -e '.kind == "warm" and .memory == "disk"' "$tmp/slept" &&
		vm_is 'suspended warm' &&
		not test -e "$HIB_HOME/vms/$VM/machine.json"
}
# in_a_turn - begin one of numbered updates, and be somewhere in it.
in_a_turn() {
	prompt_bg "$SES" '!flood 5000 80 2;;!sleep 2000' &&
		wait_for "$SES" 'i=[1-9][0-9]' 60 "$MARK" >"$tmp/x" && soon 500
}
# all_updates - the turn ends, with each number once.
all_updates() {
	wait_turn "$SES" "$TURN" 90 "$MARK" | grep completed >"$tmp/x" &&
		hib log "$SES" --since "$MARK" --json |
		grep '"type":"acp.update"' | grep -o 'i=[0-9]*' |
		cut -d= -f2 >"$tmp/numbers" && seq 5000 | cmp - "$tmp/numbers"
}
warm_in_a_turn() {
	in_a_turn && doze && state_is "$SES" suspended &&
		equal "$(session_field "$SES" suspended_from)" running &&
		equal "$(session_field "$SES" tail_complete)" true &&
		hib vm resume "$VM" --json | jq -e '.kind == "warm"' &&
		all_updates && equal "$(session_field "$SES" epoch)" \
		"$(sql "SELECT epoch FROM event WHERE turn_id = '$TURN'
			ORDER BY seq LIMIT 1")"
}
i=0
while [ "$i" -lt "${WARM_ROUNDS:-3}" ]; do
	i=$((i + 1))
	ok "F212 a turn sleeps with its machine, and goes on ($i)" warm_in_a_turn
done
# What the machine's own store has is the same, event by event.
store_in_machine() {
	hib vm sleep "$VM" && for file in guest.db guest.db-wal; do
		PATH=$PATH:/usr/sbin debugfs -R "dump /state/$file $tmp/$file" \
			"$HIB_HOME/vms/$VM/disk/disk.img" 2>"$tmp/x"
	done
	logs_agree "$tmp/guest.db"
}
ok "F212 the machine's own store says the same as the host's" store_in_machine
warm_without_hibd() {
	in_a_turn && doze || return 1
	kill_hibd KILL
	hib daemon start && vm_is 'suspended warm' &&
		says_up=$(new_session && prompt "$SES" '!say up') &&
		equal "$says_up" up && all_updates
}
ok "a hibd that comes later wakes it, by a prompt to any session" \
	warm_without_hibd
hibd_killed_in() {
	hib vm "$1" "$VM" >"$tmp/x" 2>&1 &
	_command=$!
	sleep "0.$(od -An -N1 -tu1 /dev/urandom | awk '{ printf "%03d", $1 * 3 }')"
	kill_hibd KILL
	wait "$_command"
	hib daemon start
}
warm_hibd_killed() {
	for _ in 1 2 3; do
		in_a_turn && hibd_killed_in suspend && hibd_killed_in resume &&
			hib vm resume "$VM" && all_updates || return 1
	done
}
ok "F212 hibd is killed while its memory is written, and read" \
	warm_hibd_killed
warm_asked() {
	prompt_bg "$SES" '!ask t1 Edit;;!say after' &&
		wait_for_event "$SES" permission.requested 30 "$MARK" >"$tmp/x" &&
		REQ=$(http GET "/v1/sessions/$SES/requests" |
			jq -r '.[] | select(.state == "pending") | .id') &&
		doze && hib answer "$SES" "$REQ" allow_once &&
		wait_turn "$SES" "$TURN" 60 | grep completed
}
ok "F158 a question sleeps with its machine, and is answered" warm_asked
# A program that counts: asleep in the middle, twice, and each number comes once.
counts='i=0; while [ $i -lt 30000 ]; do echo $i; i=$((i + 1)); done; exit 3'
warm_exec() {
	PATIENCE=120 hib exec "$VM" -- sh -c "$counts" >"$tmp/exec" &
	_exec=$!
	PATIENCE=120 hib exec --json -c "$VM" 'echo one; sleep 2; echo two' \
		>"$tmp/collected" &
	_collect=$!
	until_true 20 grep -q '^500$' "$tmp/exec" && doze &&
		hib vm resume "$VM" && says "$SES" '!say on' on && doze &&
		kill -0 "$_exec" && hib vm resume "$VM"
	wait "$_exec"
	equal "$?" 3 && seq 0 29999 | cmp - "$tmp/exec" && wait "$_collect" &&
		equal "$(jq -r .stdout "$tmp/collected")" 'one
two'
}
ok "F213 what is run from outside sleeps with its machine, and goes on" warm_exec
warm_exec_left() {
	"$O/bin/hib" exec "$VM" -- sh -c \
		'echo one; exec flock lock sleep 6543' >"$tmp/exec" 2>&1 &
	_exec=$!
	read_line "$tmp/exec" 20 >"$tmp/x" && doze && kill -9 "$_exec" &&
		hib vm resume "$VM" && until_true 10 lock_is_free
}
lock_is_free() {
	in_vm "$SES" 'flock -n lock echo free' | grep -q free
}
ok "and ends when nobody waits for it any more" warm_exec_left
warm_exec_cold() {
	PATIENCE=120 hib exec "$VM" -- sh -c 'echo one; sleep 100' \
		>"$tmp/exec" 2>"$tmp/exec.err" &
	_exec=$!
	read_line "$tmp/exec" 20 >"$tmp/x" && doze && kill -0 "$_exec" &&
		hib vm sleep "$VM"
	wait "$_exec"
	equal "$?" 8 && grep -q 'put to sleep' "$tmp/exec.err" &&
		says "$SES" '!say on' on
}
ok "a cold sleep ends it" warm_exec_cold
# Somebody puts back what it had, and does not tell hibd, which has seen more since.
warm_put_back() {
	folder=$HIB_HOME/vms/$VM
	says "$SES" '!say before' before && doze && kill_hibd TERM
	mkdir "$tmp/kept" && for part in "$folder"/disk* "$folder/memory"; do
		cp -a --sparse=always "$part" "$tmp/kept/" || return 1
	done
	hib daemon start && says "$SES" '!say undone' undone && doze &&
		old=$(last_seq "$SES") && kill_hibd TERM
	rm -rf "$folder"/disk* "$folder/memory" &&
		mv "$tmp/kept"/* "$folder/" && hib daemon start &&
		says "$SES" '!say after' after &&
		holds "$SES" "any(.type == \"session.rewound\" and
			.seq == $old + 1 and .data.abandoned[1] == $old)" &&
		hib messages "$SES" --json >"$tmp/messages" &&
		grep -q before "$tmp/messages" &&
		grep -q after "$tmp/messages" &&
		not grep -q undone "$tmp/messages"
}
ok "F141 one that was set back by hand goes on behind what hibd has" \
	warm_put_back
warm_to_cold() {
	prompt_bg "$SES" '!sleep 60000' && doze &&
		hib vm sleep "$VM" --json | jq -e '.kind == "cold" and
			.sleep == "cold"' &&
		equal "$(session_field "$SES" tail_complete)" true &&
		wait_turn "$SES" "$TURN" | grep interrupted
}
ok "F213 warm to cold: the turn is ended in the log" warm_to_cold
warm_spoiled() {
	says "$SES" '!say up' up && prompt_bg "$SES" '!flood 50 80;;!sleep 60000' &&
		wait_for "$SES" 'i=50 ' 60 "$MARK" >"$tmp/x" && doze || return 1
	echo nothing >"$HIB_HOME/vms/$VM/memory/state"
	says "$SES" '!say again' again && hib vm events "$VM" --json |
		jq -e 'any(.data.reason == "memory_lost")' &&
		hib session turns "$SES" --json |
		jq -e '.[-2].state == "interrupted"'
}
ok "memory that cannot be used costs the turn: it boots" warm_spoiled

# --- death ------------------------------------------------------------------------------

daemon_killed() {
	pid=$(qemu_pid)
	prompt_bg "$SES" '!flood 3000 50' && kill_hibd KILL &&
		hib daemon start && wait_for_event "$SES" turn.completed 60 \
		"$MARK" >"$tmp/x" && equal "$(qemu_pid)" "$pid" &&
		says "$SES" '!say on' on
}
ok "it outlives hibd, and meets the next one" daemon_killed
machine_killed() {
	prompt_bg "$SES" '!flood 100000 50' &&
		wait_for "$SES" acp.update 30 "$MARK" >"$tmp/x" &&
		kill -9 "$(qemu_pid)" && wait_for_event "$SES" turn.interrupted \
		90 "$MARK" >"$tmp/x" && says "$SES" '!say again' again
}
ok "one that is killed is booted again, and its turn ends" machine_killed
destroyed() {
	hib vm destroy --force "$VM" && until_true 10 eval \
		'! pgrep -f "hib.vm=$VM" >/dev/null'
}
ok "nothing of it runs when it is destroyed" destroyed

done_testing
