#!/bin/sh
# A machine's disk, multiplied: its guest finds the store of the machine that it was
# copied from, and is told who it is before it starts.
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
# shellcheck disable=SC2016,SC2119 # $ is for the shell in the VM
. tests/lib.sh
. tests/machine.sh

agent echo

need_image "the disk of a machine is multiplied" small long

made() {
	VM=$(hib vm create --backend qemu --image small --name m) && new_session &&
		in_vm "$SES" 'echo one >state; echo mine >~/state' >"$tmp/x" &&
		hib sql "$SES" notes 'CREATE TABLE t(a)' >"$tmp/x" &&
		says "$SES" '!say before' before && hib vm sleep m &&
		SNP=$(hib snapshot create m) &&
		equal "$(hib snapshot show "$SNP" --json | jq -r .kind)" disk
}
ok "the disk of a machine that is off is kept" made
forked() {
	hib vm fork -n 2 "$SNP" --json >"$tmp/forks" &&
		A=$(jq -r '.vms[0].sessions[0].id' "$tmp/forks") &&
		B=$(jq -r '.vms[1].sessions[0].id' "$tmp/forks") &&
		equal "$(session_field "$A" vm_id)" "$(jq -r '.vms[0].vm' "$tmp/forks")"
}
ok "two machines are made of it" forked
apart() {
	for ses in "$A" "$B"; do
		says "$ses" "!say in $ses" "in $ses" &&
			equal "$(in_vm "$ses" 'cat state ~/state; echo new >state')" "one
mine" && equal "$(hib sql "$ses" notes)" 'CREATE TABLE t(a);' &&
			holds "$ses" "map(select(.type == \"session.forked\")) |
				length == 1 and .[0].data.from == \"$SES\" and
				.[0].data.snapshot == \"$SNP\"" &&
			hib messages "$ses" --json | grep -q before || return 1
	done
	says "$SES" '!say still' still && equal "$(in_vm "$SES" 'cat state')" one &&
		numbers_are_whole
}
ok "each has the files, the databases and a log of its own" apart
awake_again() {
	hib snapshot rm "$SNP" && hib vm sleep "$(jq -r '.vms[0].vm' "$tmp/forks")" &&
		says "$A" '!say awake' awake && hib store check >"$tmp/x"
}
ok "they wake as any other, without the snapshot" awake_again

done_testing
