#!/bin/sh
# Restore: /workspace as a turn left it, all of it or some paths.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
git_dir=$HIB_HOME/vms/$VM/workspace.git

repo() {
	git --git-dir="$git_dir" "$@"
}

turn_of() {
	sql "SELECT id FROM turn WHERE session_id='$SES' AND n=$1"
}

last_turn() {
	sql "SELECT id FROM turn WHERE session_id='$SES' ORDER BY n DESC LIMIT 1"
}

# files - what the agent sees in /workspace, as sums.
files() {
	in_vm "$SES" 'find . -type f -o -type l | sort |
		xargs sha256sum; find . -type d | sort'
}

workspace_n() {
	hib vm get "$VM" --json | jq .config.workspace.n
}

# commit_of N - what the log says of the n-th turn.
commit_of() {
	log_json "$SES" | jq -r "select(.turn == \"$(turn_of "$1")\" and
		.type == \"turn.completed\").data.commit // empty"
}

in_vm "$SES" 'echo one >a; mkdir -p d/e; echo deep >d/e/f; ln -s a link;
	printf "#!/bin/sh\necho ran" >s; chmod 755 s; mkdir empty' >"$tmp/x"
one=$(turn_of 1)
files >"$tmp/files.one"
in_vm "$SES" 'echo two >a; rm -r d; echo new >b; chmod 644 s' >"$tmp/x"
files >"$tmp/files.two"
two=$(turn_of 3)

log_tells() {
	[ -n "$(commit_of 1)" ] && [ -n "$(commit_of 3)" ] &&
		not equal "$(commit_of 1)" "$(commit_of 3)" &&
		equal "$(commit_of 3)" "$(repo rev-parse main)"
}
ok "each turn that changed files tells its commit" log_tells

unchanged_turn() {
	until_true 10 repo rev-parse --verify -q "refs/hib/$SES/$(turn_of 4)" &&
		equal "$(repo rev-parse "refs/hib/$SES/$(turn_of 4)")" \
			"$(commit_of 3)"
}
ok "a turn that changed nothing has a reference, too" unchanged_turn

# --- everything -----------------------------------------------------------

whole() {
	before=$(repo rev-parse main) &&
		hib files restore "$VM" "$one" >"$tmp/restored" &&
		equal "$(cat "$tmp/restored")" "$(commit_of 1)" &&
		files >"$tmp/files.now" &&
		diff "$tmp/files.one" "$tmp/files.now" &&
		equal "$(repo rev-parse refs/hib/restored/1)" "$before"
}
ok "F172 all files are again as a turn left them" whole

generation() {
	equal "$(workspace_n)" 2 && equal "$(repo rev-parse main)" "$(commit_of 1)"
}
ok "history goes on from there" generation

goes_on() {
	in_vm "$SES" 'echo three >c' &&
		equal "$(repo rev-parse main~1)" "$(commit_of 1)" &&
		equal "$(repo show main:c)" three
}
ok "the next turn's commit has the restored one as parent" goes_on

forward() {
	hib files restore "$VM" "$two" && files >"$tmp/files.now" &&
		diff "$tmp/files.two" "$tmp/files.now"
}
ok "a later state can be had as well" forward

unsaved() {
	hib vm sleep "$VM" && hib files restore "$VM" "$one" &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended &&
		files >"$tmp/files.now" && diff "$tmp/files.one" "$tmp/files.now"
}
ok "a VM that is off stays off" unsaved

# What no commit has: of a folder that comes back it stays.
in_vm "$SES" 'mkdir -p d/node_modules/m own;
	echo in >own/f; echo "*.o" >own/.hibignore' >"$tmp/x"
ignoring=$(last_turn)
in_vm "$SES" 'mkdir own/cache; echo kept |
	tee d/node_modules/m/f own/x.o own/cache/f >/dev/null;
	echo "Signature: 8a477f597d28d172789f06886806bc55" >own/cache/CACHEDIR.TAG;
	ln own/x.o own/y.o; chmod 600 own/x.o; mkdir -p late/node_modules;
	echo f | tee late/node_modules/f late/f >/dev/null;
	echo changed >own/f' >"$tmp/x"

carried() {
	hib files restore "$VM" "$ignoring" >"$tmp/x" &&
		in_vm "$SES" 'grep -qx in own/f && test ! -e late &&
			grep -qx kept d/node_modules/m/f &&
			grep -qx kept own/x.o && grep -qx kept own/cache/f &&
			test own/x.o -ef own/y.o -a $(stat -c %a own/x.o) = 600' &&
		hib vm sleep "$VM" && not [ -e "$HIB_HOME/vms/$VM/disk/vfs/old" ]
}
ok "what is ignored stays where its folder comes back" carried

# ...also when the machine is killed while it begins anew.
carried_killed() {
	for ms in 0 5 10 20 40 80; do
		hib vm sleep "$VM" && hib files restore "$VM" "$ignoring" \
			>"$tmp/x" || return 1
		hib vm wake "$VM" >"$tmp/x" 2>&1 &
		sleep "$(printf '0.%03d' "$ms")"
		kill_vm "$VM"
		wait $!
		in_vm "$SES" 'grep -qx in own/f && grep -qx kept d/node_modules/m/f &&
			grep -qx kept own/x.o && grep -qx kept own/cache/f' ||
			return 1
	done
}
ok "also when the VM is killed in the middle" carried_killed
in_vm "$SES" 'rm -r own d/node_modules' >"$tmp/x"

# --- some paths -----------------------------------------------------------

paths() {
	hib files restore "$VM" "$two" &&
		hib files restore "$VM" "$one" d /workspace/s &&
		in_vm "$SES" 'grep -qx two a && grep -qx new b &&
			grep -qx deep d/e/f && test -x s'
}
ok "paths come back, the others stay" paths

# --- some paths, while the VM runs ------------------------------------------

live_vm=$VM live_ses=$SES
new_vm
new_session
git_dir=$HIB_HOME/vms/$VM/workspace.git

# tree_of PATH - names, permissions, links and sums of all below it.
tree_of() {
	in_vm "$SES" "cd $1 && find . -printf '%p %y %m %l\n' | sort;
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum"
}

in_vm "$SES" 'mkdir -p p/q/closed p/empty p/kind p/modules; cd p;
	head -c 3000000 /dev/urandom >big; echo one >q/f; ln -s q/f link;
	printf x >tool; chmod 750 tool; : >nothing; echo in >q/closed/f;
	chmod 555 q/closed; echo file >kind/file; ln -s file kind/link;
	mkdir kind/folder; echo in >kind/folder/f; chmod 700 empty;
	echo /modules >.hibignore; echo x | tee "a b" "tab	name" >/dev/null;
	ln -s "$(printf "\\377x")" odd; echo apart >../apart' >"$tmp/x"
then=$(turn_of 1)
tree_of p >"$tmp/tree.then"
in_vm "$SES" 'chmod 755 p/q/closed; cd p; head -c 2000000 /dev/urandom >big;
	echo two >q/f; ln -sfn tool link; chmod 644 tool; echo y >nothing;
	rm -r q/closed empty odd "a b"; echo more >more; mkdir -p new/deep;
	echo more >new/deep/f; rm -r kind/*; mkdir kind/file kind/link;
	echo x >kind/link/f; ln -s ../q/f kind/folder; rm tab*;
	chmod 444 q/f; echo ignored >modules/kept; echo two >../apart' >"$tmp/x"
now=$(turn_of 3)
tree_of p >"$tmp/tree.now"

live() {
	n=$(workspace_n)
	pid=$(agent_pid "$SES")
	[ "$pid" -gt 0 ] && hib files restore "$VM" "$then" p >"$tmp/restored" &&
		equal "$(agent_pid "$SES")" "$pid" && equal "$(workspace_n)" "$n" &&
		equal "$(cat "$tmp/restored")" "$(repo rev-parse main)" &&
		tree_of p | grep -v modules/kept >"$tmp/tree" &&
		diff "$tmp/tree.then" "$tmp/tree" &&
		in_vm "$SES" 'grep -qx two apart && grep -qx ignored p/modules/kept'
}
ok "F172 a folder comes back while its agent runs" live

not_the_turns() {
	holds "$SES" 'map(select(.type == "turn.diff") | .data.n_files) |
		length == 2' && hib vm events "$VM" --json |
		jq -e 'map(select(.type == "vm.shutdown")) == []'
}
ok "what was brought back is no turn's, and nothing slept" not_the_turns

forth() {
	hib files restore "$VM" "$now" p/more p/new p/q p/kind/link p/tool &&
		in_vm "$SES" 'cd p && grep -qx two q/f && test ! -e q/closed &&
			test -f new/deep/f -a -f more && test ! -x tool &&
			grep -qx x kind/link/f && test -e odd -o -L odd'
}
ok "so do some of its paths" forth

lacking() {
	hib files restore "$VM" "$then" p/more /workspace/p/new/ &&
		in_vm "$SES" 'test ! -e p/more -a ! -e p/new' &&
		answers 404 file_not_found POST "/v1/vms/$VM/files/restore" \
			"{\"to\":\"$then\",\"paths\":[\"p/more\"]}"
}
ok "what the commit lacks goes" lacking

in_a_turn() {
	prompt_bg "$SES" '!run echo begun; sleep 300;;!say over' &&
		wait_for_state "$SES" running 10 "$MARK" >"$tmp/x" &&
		hib files restore "$VM" "$then" p && state_is "$SES" running &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" >"$tmp/x" &&
		tree_of p | grep -v modules/kept >"$tmp/tree" &&
		diff "$tmp/tree.then" "$tmp/tree"
}
ok "a turn that runs goes on" in_a_turn

above() {
	in_vm "$SES" 'chmod 755 p/q/closed; rm -r p; ln -s /tmp p; echo mine >/tmp/big' &&
		hib files restore "$VM" "$then" p/big p/kind/link &&
		in_vm "$SES" 'grep -qx mine /tmp/big && test ! -L p -a -f p/big' &&
		in_vm "$SES" 'rm -r p; echo file >p' >"$tmp/x" &&
		hib files restore "$VM" "$then" p &&
		tree_of p >"$tmp/tree" &&
		grep -v modules "$tmp/tree.then" | diff - "$tmp/tree"
}
ok "no link leads it out, and no file keeps it from making folders" above

escapes() {
	for path in .. p/../../x /../etc; do
		answers 400 path_escape POST "/v1/vms/$VM/files/restore" \
			"{\"to\":\"$then\",\"paths\":[\"$path\"]}" || return 1
	done
}
ok "paths that lead out are refused" escapes

in_vm "$SES" 'mkdir wide; i=0; while [ $i -lt 2000 ]; do
	yes "old $i" | head -n 400 >wide/$i; i=$((i+1)); done' >"$tmp/x"
wide_then=$(last_turn)
tree_of wide >"$tmp/wide.then"
in_vm "$SES" 'cd wide; for i in *; do yes "new $i" | head -n 500 >$i; done;
	rm 1?; i=0; while [ $i -lt 200 ]; do : >x$i; i=$((i+1)); done' >"$tmp/x"
wide_now=$(last_turn)
tree_of wide >"$tmp/wide.now"

wide() {
	hib files restore "$VM" "$wide_then" wide && tree_of wide >"$tmp/tree" &&
		diff "$tmp/wide.then" "$tmp/tree"
}
ok "a folder of 2000 files" wide

# Each file is there as one of the two, or as little as in one of them.
none_is_torn() {
	grep -hE '^[0-9a-f]{64} ' "$tmp/wide.then" "$tmp/wide.now" |
		sort -u >"$tmp/both"
	tree_of wide | grep -E '^[0-9a-f]{64} ' | sort >"$tmp/tree" &&
		[ "$(wc -l <"$tmp/tree")" -ge 1990 ] &&
		equal "$(comm -23 "$tmp/tree" "$tmp/both")" ""
}
live_killed() {
	for ms in 20 60 120 250 500; do
		hib files restore "$VM" "$wide_now" wide >"$tmp/x" || return 1
		hib files restore "$VM" "$wide_then" wide >"$tmp/x" 2>&1 &
		sleep "$(printf '0.%03d' "$ms")"
		kill_hibd KILL
		wait $!
		hib daemon start && none_is_torn || return 1
	done
	hib files restore "$VM" "$wide_then" wide && tree_of wide >"$tmp/tree" &&
		diff "$tmp/wide.then" "$tmp/tree"
}
ok "a daemon that is killed in the middle leaves each file old or new" \
	live_killed

lost_guest() {
	hib files restore "$VM" "$wide_now" wide >"$tmp/x" || return 1
	hib files restore "$VM" "$wide_then" wide >"$tmp/x" 2>"$tmp/err" &
	sleep 0.1
	kill_vm "$VM"
	wait $! || grep -q guest_unreachable "$tmp/err"
	none_is_torn
}
ok "so does a VM that is lost" lost_guest
in_vm "$SES" 'chmod 755 p/q/closed' >"$tmp/x" # For who removes it all.

VM=$live_vm SES=$live_ses
git_dir=$HIB_HOME/vms/$VM/workspace.git

# --- refused --------------------------------------------------------------

refusals() {
	n=$(workspace_n)
	head=$(repo rev-parse main)
	answers 404 turn_not_found POST "/v1/vms/$VM/files/restore" \
		"{\"to\":\"$(new_id trn)\"}" &&
		answers 404 snapshot_not_found POST \
			"/v1/vms/$VM/files/restore" \
			'{"to":"0123456789012345678901234567890123456789"}' &&
		answers 404 file_not_found POST "/v1/vms/$VM/files/restore" \
			"{\"to\":\"$one\",\"paths\":[\"nothing/here\"]}" &&
		answers 400 path_escape POST "/v1/vms/$VM/files/restore" \
			"{\"to\":\"$one\",\"paths\":[\"../x\"]}" &&
		answers 400 invalid_argument POST "/v1/vms/$VM/files/restore" \
			"{\"to\":\"$one\",\"paths\":[]}" &&
		answers 400 invalid_argument POST "/v1/vms/$VM/files/restore" \
			'{}' &&
		equal "$(workspace_n)" "$n" &&
		equal "$(repo rev-parse main)" "$head"
}
ok "what cannot be restored changes nothing" refusals

busy() {
	prompt_bg "$SES" '!sleep 60000' &&
		wait_for_state "$SES" running 10 "$MARK" >"$tmp/x" &&
		refused turn_active 7 hib files restore "$VM" "$one" &&
		state_is "$SES" running &&
		hib files restore --force "$VM" "$one" &&
		wait_turn "$SES" "$TURN" | grep -q turn.interrupted &&
		files >"$tmp/files.now" && diff "$tmp/files.one" "$tmp/files.now"
}
ok "not while a turn runs, unless forced" busy

on_demand() {
	in_vm "$SES" 'true' && head=$(hib files checkpoint "$VM") &&
		equal "$head" "$(repo rev-parse main)" &&
		hib vm sleep "$VM" >"$tmp/x" &&
		equal "$(hib files checkpoint "$VM")" "$head" &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended
}
ok "a checkpoint on demand tells the newest commit, and wakes nothing" on_demand

told() {
	http GET "/v1/vms/$VM" >"$tmp/x" &&
		equal "$(jq -c .workspace "$tmp/body")" \
			"{\"n\":$(workspace_n),\"base\":\"$(commit_of 1)\",\"complete\":true,\"head\":\"$(repo rev-parse main)\",\"mode\":null}" &&
		in_vm "$SES" true && http GET "/v1/vms/$VM" >"$tmp/x" &&
		jq -e '.workspace.mode == "plain" or .workspace.mode == "overlay"' \
			"$tmp/body"
}
ok "a VM tells where its files stand" told

slept() {
	in_vm "$SES" 'echo late >late' >"$tmp/x" &&
		hib vm sleep --json "$VM" >"$tmp/slept" &&
		equal "$(jq -c .workspace "$tmp/slept")" \
			"{\"head\":\"$(repo rev-parse main)\",\"complete\":true}"
}
ok "sleep tells that all files are committed" slept

# --- a sleep that is too short -------------------------------------------

# Nothing can be committed as long as somebody holds the reference.
hold_commits() {
	: >"$git_dir/refs/heads/main.lock"
}

let_commit() {
	rm -f "$git_dir/refs/heads/main.lock"
}

# write_uncommitted NAME - a file that only the disk of the sleeping VM has.
write_uncommitted() {
	hold_commits && in_vm "$SES" "echo $1 >$1" >"$tmp/x" &&
		hib vm sleep --json "$VM" >"$tmp/slept" && let_commit &&
		jq -e '.workspace.complete == false' "$tmp/slept" &&
		not has_file "$1"
}

has_file() {
	equal "$(repo show "main:$1" 2>&1)" "$1"
}

says_newer() {
	hib "$@" 2>"$tmp/err" >"$tmp/x" && grep -q 'newer files' "$tmp/err"
}

unsaved_told() {
	write_uncommitted left1 &&
		equal "$(hib vm get "$VM" --json |
			jq .config.workspace.complete)" false &&
		says_newer vm get "$VM" && says_newer files log "$VM" &&
		says_newer files ls "$VM" &&
		not says_newer files ls --at main "$VM" &&
		hib files checkpoint --json "$VM" | jq -e '.complete == false'
}
ok "files that were not committed in time are told of" unsaved_told

unsaved_boot() {
	hib vm wake "$VM" && until_true 10 has_file left1 &&
		hib files log --json "$VM" | jq -e '.[0].reason == "late"' &&
		not says_newer files log "$VM" && hib vm sleep "$VM" &&
		not says_newer vm get "$VM" && hib vm wake "$VM"
}
ok "and are committed when the VM runs again" unsaved_boot

unsaved_no_turns() {
	write_uncommitted left2 && in_vm "$SES" 'echo mine >mine' &&
		log_json "$SES" | jq -se '[.[] | select(.type == "turn.diff")] |
			last.data.files | map(.path) == ["mine"]' &&
		has_file left2
}
ok "they are not taken for the next turn's" unsaved_no_turns

unsaved_restore() {
	write_uncommitted left3 && hib files restore "$VM" "$one" &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended &&
		equal "$(repo show "refs/hib/restored/$(($(workspace_n) - 1)):left3")" \
			left3
}
ok "a restore commits them first" unsaved_restore

unsaved_refused() {
	write_uncommitted left4 && hold_commits && n=$(workspace_n) &&
		not hib files restore "$VM" "$two" 2>"$tmp/err" &&
		grep -q 'not committed' "$tmp/err" &&
		equal "$(workspace_n)" "$n" && hib vm sleep "$VM" &&
		not hib vm fork "$VM" && not hib fork --workspace copy "$SES" &&
		let_commit && hib vm wake "$VM" && in_vm "$SES" 'cat left4'
}
ok "what cannot be committed is not restored away, or left out of a fork" \
	unsaved_refused

unsaved_forced() {
	write_uncommitted left5 && hib files restore --force "$VM" "$one" &&
		not says_newer vm get "$VM" && in_vm "$SES" 'test ! -e left5' &&
		not has_file left5
}
ok "unless it is forced" unsaved_forced

unsaved_fork() {
	write_uncommitted left6 && twin=$(hib vm fork --no-sessions "$VM") &&
		equal "$(hib files cat "$twin" left6)" left6 &&
		hib vm sleep "$VM" && write_uncommitted left7 &&
		fork=$(hib fork --workspace copy "$SES") &&
		in_vm "$fork" 'cat left6 left7'
}
ok "a fork has them" unsaved_fork

unsaved_killed() {
	in_vm "$SES" true && kill_hibd KILL &&
		echo left8 >"$HIB_HOME/vms/$VM/disk/vfs/upper/left8" &&
		kill_vm "$VM" && hib daemon start &&
		until_true 20 has_file left8
}
ok "so does a VM whose power was cut" unsaved_killed

# --- killed ---------------------------------------------------------------

killed() {
	for ms in 0 5 10 20 40 80 120 200; do
		hib files restore "$VM" "$two" >"$tmp/x" 2>&1
		hib files restore "$VM" "$one" >"$tmp/x" 2>&1 &
		sleep "$(printf '0.%03d' "$ms")"
		kill_hibd KILL
		wait $!
		hib daemon start || return 1
		files >"$tmp/files.now" || return 1
		cmp -s "$tmp/files.now" "$tmp/files.one" ||
			cmp "$tmp/files.now" "$tmp/files.two" || return 1
	done
	equal "$(repo fsck --strict 2>&1 | grep -v dangling)" ""
}
ok "a daemon that is killed in the middle leaves one of the two" killed

done_testing
