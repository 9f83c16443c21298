#!/bin/sh
# Forks with files of their own, and what a destroyed VM leaves to them.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
src=$SES
src_vm=$VM

turn_of() {
	sql "SELECT id FROM turn WHERE session_id='$1' AND n=$2"
}

# fork_of SES [OPTION]... - fork with files: the session is in FORK, its VM in
# FORK_VM.
fork_of() {
	_source=$1
	shift
	FORK=$(hib fork "$@" --workspace copy "$_source") &&
		FORK_VM=$(session_field "$FORK" vm_id)
}

folder() {
	echo "$HIB_HOME/vms/$1"
}

in_vm "$src" 'echo one >a; mkdir d; seq 100000 >d/large' >"$tmp/x"
in_vm "$src" 'echo two >a; rm -r d' >"$tmp/x"
in_vm "$src" 'echo three >a; echo c >c' >"$tmp/x"

at_turn() {
	fork_of "$src" --at "$(turn_of "$src" 1)" &&
		not equal "$FORK_VM" "$src_vm" &&
		in_vm "$FORK" 'grep -qx one a && seq 100000 | cmp - d/large &&
			test ! -e c' &&
		in_vm "$src" 'grep -qx three a'
}
ok "F066 F069 a fork at a turn has the files of that turn" at_turn

apart() {
	in_vm "$FORK" 'echo fork >a; echo fork >new' &&
		in_vm "$src" 'grep -qx three a && test ! -e new' &&
		in_vm "$src" 'echo source >a' &&
		in_vm "$FORK" 'grep -qx fork a'
}
ok "F065 F069 what is changed after the fork shows in one of them" apart

newest() {
	fork_of "$src" && in_vm "$FORK" 'grep -qx source a && grep -qx c c'
}
ok "without a turn it has the newest files" newest

asleep() {
	hib vm sleep "$src_vm" && fork_of "$src" --at "$(turn_of "$src" 2)" &&
		equal "$(hib vm get "$src_vm" --json | jq -r .state)" suspended &&
		in_vm "$FORK" 'grep -qx two a && test ! -e d'
}
ok "the source may be asleep, and stays so" asleep

emptied() {
	fork_of "$src" && in_vm "$FORK" 'find . -mindepth 1 -delete' &&
		equal "$(hib files ls --at HEAD "$FORK_VM")" "" &&
		in_vm "$FORK" 'echo x >x' &&
		equal "$(hib files ls --at HEAD "$FORK_VM")" x
}
ok "all of them can be removed at once" emptied

nothing() {
	none=$(hib fork --workspace none "$src") &&
		in_vm "$none" 'test -z "$(ls -A)"' &&
		equal "$(prompt "$none" hello)" hello
}
ok "a fork may begin without files" nothing

shared() {
	same=$(hib fork "$src") &&
		equal "$(session_field "$same" vm_id)" "$src_vm"
}
ok "by default it shares the VM" shared

small() {
	equal "$(cd "$(folder "$FORK_VM")/workspace.git/objects" &&
		find . -type f -size +8k)" "" &&
		[ -s "$(folder "$FORK_VM")/workspace.git/objects/info/alternates" ]
}
ok "a fork borrows what is committed" small

again() {
	id=$(new_id ses)
	hib fork --id "$id" --workspace copy "$src" &&
		vms=$(sql 'SELECT count(*) FROM vm') &&
		hib fork --id "$id" --workspace copy "$src" &&
		equal "$(sql 'SELECT count(*) FROM vm')" "$vms"
}
ok "the same request again makes nothing" again

# --- a whole VM -----------------------------------------------------------

vm_fork() {
	VM=$src_vm new_session --title other
	other=$SES
	in_vm "$other" 'echo other >other' >"$tmp/x" &&
		hib vm fork --json --name twin "$src_vm" >"$tmp/twin" &&
		twin=$(jq -r .vm "$tmp/twin") &&
		twin_of() {
			jq -r ".sessions[] | select(.from == \"$1\").id" \
				"$tmp/twin"
		} &&
		equal "$(session_field "$(twin_of "$other")" vm_id)" "$twin" &&
		equal "$(session_field "$(twin_of "$other")" title)" other &&
		equal "$(session_field "$(twin_of "$src")" turn_count)" \
			"$(session_field "$src" turn_count)" &&
		in_vm "$(twin_of "$other")" 'grep -qx other other; grep -qx c c' &&
		in_vm "$(twin_of "$src")" 'rm other' &&
		in_vm "$src" 'grep -qx other other'
}
ok "a VM is forked with its files and sessions" vm_fork

vm_fork_at() {
	turn=$(turn_of "$src" 2)
	hib vm fork --json --at "$turn" "$src_vm" >"$tmp/twin" &&
		then=$(jq -r ".sessions[] | select(.from == \"$src\").id" \
			"$tmp/twin") &&
		equal "$(session_field "$then" turn_count)" 2 &&
		equal "$(jq "[.sessions[] | select(.from == \"$other\")] | length" \
			"$tmp/twin")" 0 &&
		in_vm "$then" 'grep -qx two a && test ! -e c'
}
ok "as it was at the end of a turn, too" vm_fork_at

vm_fork_refused() {
	vms=$(sql 'SELECT count(*) FROM vm')
	answers 404 turn_not_found POST "/v1/vms/$src_vm/fork" \
		"{\"at\":\"$(new_id trn)\"}" &&
		answers 404 snapshot_not_found POST "/v1/vms/$src_vm/fork" \
			'{"at":"0123456789012345678901234567890123456789"}' &&
		answers 409 already_exists POST "/v1/vms/$src_vm/fork" \
			'{"name":"twin"}' &&
		equal "$(sql 'SELECT count(*) FROM vm')" "$vms"
}
ok "what cannot be forked makes no VM" vm_fork_refused

# --- destroyed ------------------------------------------------------------

# A fork of a fork needs both.
fork_of "$src" --at "$(turn_of "$src" 1)"
child=$FORK child_vm=$FORK_VM
in_vm "$child" 'echo child >e' >"$tmp/x"
fork_of "$child"
grandchild=$FORK grandchild_vm=$FORK_VM

git_reads() {
	git --git-dir="$(folder "$1")/workspace.git" fsck --strict &&
		git --git-dir="$(folder "$1")/workspace.git" \
			show main:d/large | cmp - "$tmp/large"
}

seq 100000 >"$tmp/large"
is_stripped() {
	equal "$(ls "$1")" "$(printf 'gone\nworkspace.git')"
}
left_alone() {
	hib vm destroy --force "$src_vm" && hib vm destroy --force "$child_vm" &&
		until_true 10 is_stripped "$(folder "$src_vm")" &&
		git_reads "$grandchild_vm" &&
		in_vm "$grandchild" 'seq 100000 | cmp - d/large && grep -q child e'
}
ok "destroyed sources leave what their forks need" left_alone

restored() {
	hib files restore "$grandchild_vm" "$(turn_of "$grandchild" 1)" &&
		in_vm "$grandchild" 'grep -qx one a && test ! -e e'
}
ok "a fork can go back to before it was one" restored

others() {
	for vm in $(hib vm list --json | jq -r '.[].id'); do
		[ "$vm" = "$grandchild_vm" ] || hib vm destroy --force "$vm" ||
			return 1
	done
	git_reads "$grandchild_vm"
}
ok "and the others do not need it" others

killed() {
	hib vm destroy --force "$grandchild_vm" >"$tmp/x" 2>&1 &
	kill_hibd KILL
	wait $!
	hib daemon start &&
		hib vm destroy --force "$grandchild_vm" >"$tmp/x" 2>&1
	kill_hibd KILL
	hib daemon start &&
		until_true 10 eval \
			'equal "$(sql "SELECT count(*) FROM vm")" 0' &&
		until_true 10 no_folder
}
no_folder() {
	equal "$(ls -A "$HIB_HOME/vms")" ""
}
ok "the last fork takes all with it, killed or not" killed

half_made() {
	mkdir "$HIB_HOME/vms/$(new_id vm)" "$tmp/kept" || return 1
	mv "$HIB_HOME"/vms/vm_* "$tmp/kept/" && kill_hibd KILL
	half=$(new_id vm) riddle=$(new_id vm)
	mkdir "$HIB_HOME/vms/$half" "$HIB_HOME/vms/$riddle" &&
		touch "$HIB_HOME/vms/$half/making" && hib daemon start &&
		until_true 10 eval 'equal "$(ls "$HIB_HOME/vms")" "$riddle"' &&
		rmdir "$HIB_HOME/vms/$riddle"
}
ok "a VM that was never made is removed, a riddle is kept" half_made

done_testing
