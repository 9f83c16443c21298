#!/bin/sh
# Kill -9 of hibd and of the VM at any moment of commits and of what is sent for
# them.  Whatever died: the repository is whole, the commit that a turn's end
# names is there and holds what the turn had written, files of turns that ended
# otherwise are lost neither, and the next commit is right.
#
# FILE_FAULT_ROUNDS rounds (6), each with the next victim of the list.
# shellcheck disable=SC2016,SC2119 # $ is for the shell in the VM, or jq
. tests/lib.sh

rounds=${FILE_FAULT_ROUNDS:-6}
turns=5   # In a round.
files=300 # In a turn.

vm_program fake/fsops
new_vm
new_session
k=0 # Number of the last turn.

git_of() {
	git -c safe.directory='*' --git-dir="$HIB_HOME/vms/$VM/workspace.git" "$@"
}

random() { # 0 to $1 - 1
	echo $(($(od -An -N3 -tu4 /dev/urandom) % $1))
}

# A turn writes files of its own, one of them large, and one that all turns
# change.
writes() {
	echo "!run : turn=$1; mkdir -p t/$1 && cd t/$1 && for i in \$(seq $files);" \
		"do echo $1-\$i >\$i; done; yes $1 | head -c 3000000 >large;" \
		"echo $1 >>/workspace/log; echo $1 >all"
}

# --- what must hold ---------------------------------------------------------------

# Lines "K COMMIT" of the turns that have written and were completed with a commit.
acknowledged() {
	log_json "$SES" | jq -rs '(map(select(.type == "input.message") |
			{(.turn): (.data.content[0].text |
				capture("turn=(?<k>[0-9]+)") | .k)}) | add) as $k |
		.[] | select(.type == "turn.completed" and .data.commit != null and
			$k[.turn] != null) |
			"\($k[.turn]) \(.data.commit)"'
}

# turn_is_in K COMMIT - everything that the turn has written.
turn_is_in() {
	equal "$(git_of show "$2:t/$1/all")" "$1" &&
		equal "$(git_of ls-tree --name-only "$2:t/$1" | wc -l)" \
			$((files + 2)) &&
		equal "$(git_of cat-file -s "$2:t/$1/large")" 3000000 &&
		equal "$(git_of show "$2:t/$1/$files")" "$1-$files" &&
		git_of show "$2:log" | grep -qx "$1"
}

commits_are_complete() {
	acknowledged | sort -n | tail -n "$turns" >"$tmp/acknowledged"
	while read -r _k _commit; do
		turn_is_in "$_k" "$_commit" || return 1
	done <"$tmp/acknowledged"
}

repository_is_whole() {
	git_of fsck --strict --no-dangling 2>&1
}

# The turn after a fault: its commit holds what the folder holds.
next_commit_is_right() {
	k=$((k + 1))
	prompt "$SES" "$(writes "$k")" >"$tmp/out" &&
		acknowledged | tail -n 1 >"$tmp/last" && read -r _k _commit \
		<"$tmp/last" && equal "$_k" "$k" && turn_is_in "$k" "$_commit" &&
		in_vm "$SES" 'cd /workspace && find . -type f | sort | cut -c 3-' \
			>"$tmp/find" && git_of ls-tree -r --name-only "$_commit" |
		grep -vE '(^|/)\.hib-' | LC_ALL=C sort >"$tmp/tree" &&
		LC_ALL=C sort -o "$tmp/find" "$tmp/find" && grep . "$tmp/find" |
		cmp - "$tmp/tree"
}

# --- rounds -----------------------------------------------------------------------

victims='hibd guest hibd+guest'

kill_victim() {
	case $1 in
	hibd) kill_hibd KILL ;;
	guest) kill -9 "$guest" ;;
	esac
}

# strike VICTIM - begin turns, one behind the other, and kill in the middle.
strike() {
	guest=$(guest_pid "$VM")
	for _i in $(seq "$turns"); do
		k=$((k + 1))
		hib prompt "$SES" --no-wait --on-busy queue \
			"$(writes "$k")" >>"$tmp/turns"
	done
	sleep "0.$(printf %03d "$(random 600)")"
	for _victim in $(echo "$1" | tr + ' '); do
		echo "kills $_victim at $(last_seq "$SES")"
		kill_victim "$_victim"
	done
}

# Nothing of this session runs or waits any more.
settled() {
	hib session get "$SES" --live --json |
		jq -e '.state != "running" and (.live.queued // 0) == 0'
}

recover() {
	hib daemon start && hib vm wake "$VM" && until_true 60 settled || return 1
	[ "$(session_field "$SES" state)" != failed ] || hib session resume "$SES"
}

one_round() {
	strike "$1" && recover && repository_is_whole && commits_are_complete &&
		next_commit_is_right && repository_is_whole
}

ok "a turn without a fault has its commit" next_commit_is_right
round=0
while [ "$round" -lt "$rounds" ]; do
	for victim in $victims; do
		round=$((round + 1))
		[ "$round" -le "$rounds" ] || break
		ok "round $round: $victim killed, nothing lost" one_round "$victim"
	done
done

done_testing
