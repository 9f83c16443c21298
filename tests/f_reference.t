#!/bin/sh
# /workspace against a plain folder: random operations have the same results in
# both, whatever sleeps and wakes between them, and what is committed is the
# same tree, for git on the host and in a VM that begins with it.
#
# FILES_LONG  set: 20 seeds of 10,000 operations instead of 2 of 2,000
# shellcheck disable=SC2119 # new_vm and new_session may have no options
. tests/lib.sh

seeds=2
operations=2000
if [ -n "$FILES_LONG" ]; then
	seeds=20
	operations=10000
	PATIENCE=300
fi

vm_program fake/fsops
fsops=/opt/agents/fsops
reference=/home/user/reference

# work SEED N [OPTION] - in the agent's sandbox.
work() {
	in_vm "$SES" "$fsops run --seed $1 --ops $2 $3 /workspace $reference"
}

same_trees() {
	in_vm "$SES" "$fsops compare /workspace $reference"
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
	work "$1" "$_first" "$2" && sleep_and_wake && same_trees &&
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

done_testing
