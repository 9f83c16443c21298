#!/bin/sh
# Names that files have in passing: a VM that is lost between the making of a file
# and its renaming leaves nothing of it, and nobody is told of it before.
# shellcheck disable=SC2016,SC2119 # $ is for jq and the agent's shell
. tests/lib.sh

mkdir "$tmp/shared"
new_vm --mount "$tmp/shared:/workspace/shared"
new_session
vfs=$HIB_HOME/vms/$VM/disk/vfs
git_dir=$HIB_HOME/vms/$VM/workspace.git
mine=.hib-0123456789abcdef # A file of the user's, called as we call ours.

# hold - whatever in VM is about to rename a file of ours stops there.
hold() {
	rm -f "$tmp/go" "$tmp/held"
	mkfifo "$tmp/go"
	# shellcheck disable=SC2046 # a list of numbers
	"$O/tests/fake/hold_rename" $(guest_pid "$VM") \
		$(descendants "$(guest_pid "$VM")") <"$tmp/go" >"$tmp/held" &
	holder=$!
	exec 9>"$tmp/go"
	until_true 10 grep -q ready "$tmp/held"
}

is_held() {
	until_true 20 grep -q held "$tmp/held" &&
		name=$(sed -n 's/^held \(.*\/\)*//p' "$tmp/held") &&
		[ -n "$name" ]
}

# lose - now the VM is killed, and booted again.
lose() {
	_boots=$(boots)
	exec 9>&-
	wait "$holder"
	until_true 20 has_booted
}

boots() {
	hib vm events "$VM" --json | jq 'map(select(.type == "vm.booted")) | length'
}

has_booted() {
	hib vm wake "$VM" && [ "$(boots)" -gt "$_boots" ]
}

# found FOLDER - is the name in it, or below?
found() {
	find "$1" -name "$name" | grep .
}

committed() {
	git --git-dir="$git_dir" log --all --name-only --format= |
		grep -e "$1"
}

# Nothing is left, neither of the file nor of what was written down of it.
nothing_left() {
	not found "$vfs" && not found "$tmp/shared" &&
		equal "$(ls -A "$vfs/passing")" "" &&
		not committed "$name"
}

in_vm "$SES" "mkdir d; echo one | tee d/f d/g d/$mine; echo one >shared/f" \
	>"$tmp/x"
one=$(git --git-dir="$git_dir" rev-parse main)

# --- a file that is written from outside ------------------------------------

f_held() {
	hold && {
		echo two | timeout 60 "$O/bin/hib" files put "$VM" - d/f \
			>"$tmp/x" 2>&1 9>&- &
		is_held
	} && found "$vfs/upper/d" && found "$vfs/passing"
}
ok "a file that is replaced has another name for a moment" f_held

# untold FILE - no list has the name, and no commit, which is made for the file.
untold() {
	hib files ls "$VM" d >"$tmp/list" && grep -q -e "$mine" "$tmp/list" &&
		not grep -e "$name" "$tmp/list" &&
		hib exec "$VM" -- touch "/workspace/$1" &&
		hib files checkpoint "$VM" && committed "^$1\$" &&
		not committed "$name"
}
ok "no list and no commit has it" untold x

f_lost() {
	lose && nothing_left && equal "$(hib files cat "$VM" d/f)" one &&
		in_vm "$SES" "ls -A d | sort | tr '\n' ' '" &&
		equal "$(cat "$tmp/said")" "$mine f g "
}
ok "it is gone when the VM was lost, and the user's file is there" f_lost

# --- a link -------------------------------------------------------------------

link_lost() {
	in_vm "$SES" 'rm d/g; ln -s f d/g' >"$tmp/x" &&
		two=$(git --git-dir="$git_dir" rev-parse main) &&
		in_vm "$SES" 'ln -sfn nowhere d/g' >"$tmp/x" &&
		hold && {
			timeout 60 "$O/bin/hib" files restore "$VM" "$two" d/g \
				>"$tmp/x" 2>&1 9>&- &
			is_held
		} && found "$vfs/upper/d" && lose && nothing_left &&
		in_vm "$SES" 'readlink d/g' | grep -qx nowhere
}
ok "so is that of a link, in a restore of paths" link_lost

# --- the agent's own ------------------------------------------------------------

agent_lost() {
	in_vm "$SES" 'ln -sfn d/f link; echo one >~/f' >"$tmp/x" && hold &&
		prompt_bg "$SES" "!fswrite /workspace/$1 two" 9>&- &&
		is_held && found "$2" && lose && nothing_left &&
		not found "$HIB_HOME/vms/$VM/disk/home"
}
ok "so is that of a file that the agent has written" \
	agent_lost d/f "$vfs/upper/d"
ok "by a link too" agent_lost link "$vfs/upper/d"
ok "and in its home" agent_lost ../home/user/f "$HIB_HOME/vms/$VM/disk/home"

# The program that writes ends with its session, and nobody is there to clean up.
session_lost() {
	in_vm "$SES" true && hold &&
		prompt_bg "$SES" "!fswrite /workspace/d/f two" 9>&- &&
		is_held && hib session close --force "$SES" >"$tmp/x" &&
		found "$vfs/upper/d" && new_session && untold y &&
		lose && nothing_left
}
ok "one of a session that was ended is told to nobody until then" session_lost

# --- a folder of the host -------------------------------------------------------

mount_lost() {
	hold && {
		echo two | timeout 60 "$O/bin/hib" files put "$VM" - shared/f \
			>"$tmp/x" 2>&1 9>&- &
		is_held
	} && found "$tmp/shared" && lose && nothing_left &&
		equal "$(ls -A "$tmp/shared")" f
}
ok "so is that of a file in a folder of the host" mount_lost

# --- over a commit, and asleep ----------------------------------------------------

over_lost() {
	hib files restore "$VM" "$one" >"$tmp/x" && hib vm wake "$VM" && hold && {
		echo two | timeout 60 "$O/bin/hib" files put "$VM" - d/f \
			>"$tmp/x" 2>&1 9>&- &
		is_held
	} && lose && nothing_left && equal "$(hib files cat "$VM" d/f)" one
}
ok "so is one over a commit" over_lost

done_testing
