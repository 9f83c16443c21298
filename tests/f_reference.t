#!/bin/sh
# /workspace against a plain folder: random operations have the same results in
# both, whatever sleeps and wakes between them, and what is committed is the
# same tree, for git on the host and in a VM that begins with it.
#
# FILES_LONG  set: 20 seeds of 10,000 operations instead of 2 of 2,000
# shellcheck disable=SC2016,SC2119 # $ is for awk; new_vm and new_session may have no options
. tests/lib.sh

seeds=2
operations=2000
if [ -n "$FILES_LONG" ]; then
	seeds=20
	operations=10000
	PATIENCE=300
fi

vm_program fake/fsops
at_exit "chmod -R u+rwX $tmp"
fsops=/opt/agents/fsops
reference=/home/user/reference

# work SEED N [OPTION] - in the agent's sandbox.
work() {
	in_vm "$SES" "$fsops run --seed $1 --ops $2 $3 /workspace $reference"
}

# same_trees [OPTION] - the option of fsops run as one of fsops compare.
same_trees() {
	in_vm "$SES" "$fsops compare ${1:+--no-inodes} /workspace $reference"
}

random() { # 1 to $1 - 1
	echo $(($(od -An -N3 -tu4 /dev/urandom) % ($1 - 1) + 1))
}

sleep_and_wake() {
	hib vm sleep "$VM" && hib vm wake "$VM"
}

# seed_with_sleep SEED [OPTION] - half of the operations before a sleep, the
# others after it, on what is there.
seed_with_sleep() {
	_first=$(random "$operations")
	echo "seed $1: $_first operations, a sleep, $((operations - _first))"
	work "$1" "$_first" "$2" && sleep_and_wake && same_trees "$2" &&
		work "$((1000 + $1))" $((operations - _first)) "$2"
}

# --- an empty workspace -----------------------------------------------------------

new_vm
new_session
ok "a folder is made to compare with" in_vm "$SES" "mkdir $reference"
for seed in $(seq "$seeds"); do
	ok "seed $seed: what files do in /workspace is what they do in a folder" \
		seed_with_sleep "$seed"
done

# --- a workspace upon a commit -----------------------------------------------------

git_of() {
	_vm=$1
	shift
	git -c safe.directory='*' --git-dir="$HIB_HOME/vms/$_vm/workspace.git" "$@"
}

digest() { # SES
	in_vm "$1" "$fsops digest /workspace" >"$tmp/digest" &&
		grep . "$tmp/digest"
}

# The whole of it comes back with another VM, whose files are those of a commit.
fork_is_equal() {
	digest "$SES" >"$tmp/before" && hib vm sleep "$VM" &&
		git_of "$VM" fsck --strict --no-dangling 2>&1 &&
		forked=$(hib fork --workspace copy --start "$SES") &&
		digest "$forked" >"$tmp/after" && wc -l <"$tmp/after" &&
		cmp "$tmp/before" "$tmp/after"
}
ok "a fork begins with the same files" fork_is_equal

# Files with plain names are in the commit under these, byte for byte.  What else
# is there may be a .git that is none, so git is told not to look for one.
git_is_equal() {
	in_vm "$SES" "chmod -R u+rwX /workspace && rm -rf /workspace/.git &&
		echo none >/workspace/.git && mkdir -p /workspace/plain/a/b && cd /workspace/plain &&
		for i in \$(seq 50); do seq \$i 1000 >a/\$i; ln -s \$i a/b/\$i; done;
		chmod 755 a/7" &&
		in_vm "$SES" "cd /workspace/plain && find . -type f | cut -c 3- |
			sort | while read -r f; do
			GIT_DIR=/nowhere git hash-object --no-filters \$f; echo \$f; done" \
			>"$tmp/in_vm.files" &&
		git_of "$VM" ls-tree -r HEAD plain/ | sed 's|\tplain/|\t|' |
		awk '$1 != 120000 { print $3; print $4 }' >"$tmp/in_git.files" &&
		[ "$(wc -l <"$tmp/in_git.files")" -eq 100 ] &&
		grep . "$tmp/in_vm.files" | cmp - "$tmp/in_git.files" &&
		git_of "$VM" ls-tree HEAD plain/a/7 | grep -q '^100755' &&
		equal "$(git_of "$VM" cat-file blob HEAD:plain/a/b/9)" 9
}
ok "git on the host has the bytes that programs in the VM see" git_is_equal

ok "a fork of that is equal, too" fork_is_equal
is_overlay() {
	in_vm "$SES" 'grep " /workspace " /proc/self/mountinfo' | grep -q overlay
}

SES=$forked
VM=$(session_field "$SES" vm_id)
if is_overlay; then
	ok "a copy of the files is made to compare with" in_vm "$SES" \
		"mkdir $reference && cp -a /workspace/. $reference &&
		$fsops compare --no-links --no-times /workspace $reference"
	for seed in $(seq "$seeds"); do
		ok "seed $seed: what files do upon a commit is the same" \
			seed_with_sleep "$seed" --overlay
	done
	ok "a fork of a fork is equal as well" fork_is_equal
else
	skip "what files do upon a commit" "no overlay upon FUSE here"
fi

restores() {
	digest "$SES" >"$tmp/before" && _commit=$(git_of "$VM" rev-parse HEAD) &&
		in_vm "$SES" "chmod -R u+rwX /workspace && rm -rf /workspace/* &&
			echo new >/workspace/new" &&
		hib files restore --force "$VM" "$_commit" &&
		hib session resume "$SES" && digest "$SES" >"$tmp/after" &&
		cmp "$tmp/before" "$tmp/after"
}
ok "a restore brings it all back" restores

done_testing
