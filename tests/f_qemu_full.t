#!/bin/sh
# Machines on a host's disk that is full: what runs waits, what sleeps sleeps on.
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
# shellcheck disable=SC2016,SC2119 # $ is for the shell in the VM
. tests/lib.sh

# VMs are on a small disk, which is mounted where nobody else sees it.
if [ -z "$SMALL_DISK" ]; then
	SMALL_DISK=$tmp/small
	mkdir "$SMALL_DISK"
	truncate -s 600M "$tmp/disk" &&
		PATH=$PATH:/usr/sbin mkfs.ext4 -q -m 0 "$tmp/disk" || exit 1
	unshare -m mount -o loop "$tmp/disk" "$SMALL_DISK" 2>/dev/null ||
		skip_all 'no file system can be mounted here'
	export SMALL_DISK
	unshare -m sh -c 'mount -o loop "$1/disk" "$1/small" &&
		exec sh "$0"' "$0" "$tmp"
	exit
fi
. tests/machine.sh
need_image "a machine waits for room" small
mkdir -m 700 "$SMALL_DISK/vms" && ln -s "$SMALL_DISK/vms" "$HIB_HOME/"

free_mib() {
	df --output=avail -BM "$SMALL_DISK" | tr -dc 0-9
}
make_room() {
	rm -f "$SMALL_DISK/filler"
}
# fill MIB - leave no more than that.
fill() {
	make_room
	_fill=$(($(free_mib) - $1 - 8))
	fallocate -l "${_fill}M" "$SMALL_DISK/filler" && { [ "$1" -gt 0 ] ||
		! cat /dev/zero >>"$SMALL_DISK/filler" 2>"$tmp/x"; }
}
# with_room COMMAND... - and there is room again, whatever comes of it.
with_room() {
	"$@"
	_result=$?
	make_room
	return "$_result"
}
vm_is() {
	equal "$(hib vm get "$VM" --json | jq -r '"\(.state) \(.sleep)"')" "$1"
}

refused_boot() {
	fill 250 && refused disk_full 4 hib vm create --backend qemu \
		--image small --memory 256 && make_room
}
ok "a machine whose memory has no room is not booted" with_room refused_boot

# A thread of its QEMU sleeps, which none does otherwise (clock_nanosleep).
waits() {
	grep -q '^230 ' /proc/"$(guest_pid "$VM")"/task/*/syscall
}
# $1 - a command that needs more room than there is; what the guest notes of its turn
# does not.
waited() {
	fill 8 && prompt_bg "$SES" "!run $1" && until_true 60 waits &&
		unchanged "$SES" sleep 0.5 && make_room &&
		wait_turn "$SES" "$TURN" 90 "$MARK" | grep completed
}
memory_waits() {
	VM=$(hib vm create --backend qemu --image small --memory 256) &&
		new_session && says "$SES" '!say up' up &&
		waited 'yes | head -c 60000000 >/tmp/big; md5sum </tmp/big; rm /tmp/big' &&
		log_json "$SES" | grep "$(yes | head -c 60000000 | md5sum |
			cut -d' ' -f1)" >"$tmp/x"
}
ok "memory that is written to waits for room" with_room memory_waits
disk_waits() {
	waited 'yes | head -c 60000000 >~/big; sync; md5sum <~/big; rm ~/big' &&
		log_json "$SES" | tail -n 20 | grep "$(yes | head -c 60000000 |
			md5sum | cut -d' ' -f1)" >"$tmp/x" &&
		in_vm "$SES" 'touch ~/good'
}
ok "so does a disk" with_room disk_waits

asleep() {
	prompt_bg "$SES" '!sleep 1000;;!say woken' && suspend_vm &&
		fill 100 && refused disk_full 4 hib vm resume "$VM" &&
		vm_is 'suspended warm' &&
		refused disk_full 4 hib prompt "$SES" '!say now' &&
		refused disk_full 4 hib vm sleep "$VM" && vm_is 'suspended warm' &&
		kill_hibd TERM && hib daemon start && vm_is 'suspended warm' &&
		make_room && hib vm resume "$VM" --json | jq -e '.kind == "warm"' &&
		wait_turn "$SES" "$TURN" 60 "$MARK" | grep completed
}
ok "one that sleeps is not woken without room, and goes on with it" with_room asleep
# Pages that it gives up may make room for the rest.
no_room_to_sleep() {
	prompt_bg "$SES" '!sleep 1000;;!say awake' && fill 0
	hib vm suspend "$VM" || vm_is 'running null' || return 1
	make_room && hib vm resume "$VM" &&
		wait_turn "$SES" "$TURN" 60 "$MARK" | grep completed
}
ok "it goes on where there was no room to sleep" with_room no_room_to_sleep
destroyed() {
	suspend_vm && fill 0 && hib vm destroy --force "$VM" && make_room
}
ok "one that sleeps is destroyed without room" with_room destroyed

done_testing
