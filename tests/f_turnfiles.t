#!/bin/sh
# What turns do to files: a commit and a diff of each, also when the turn, the
# agent or the host ends at a bad moment.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
repo=$HIB_HOME/vms/$VM/workspace.git

run() {
	in_vm "$SES" "$1"
}
vgit() {
	git --git-dir="$repo" "$@"
}
# The last turn of SES, and what it changed.
last_turn() {
	hib session turns "$SES" --json | jq -r 'last.id'
}
diffs() {
	hib session diffs "$SES" --turn "$1" --json
}
changed() {
	diffs "$1" | jq -e "map(.path) == [\"$2\"]"
}
# event TYPE TURN - data of the event of a turn.
event() {
	log_json "$SES" | jq -ce --arg type "$1" --arg turn "$2" \
		'select(.type == $type and (.turn == $turn or
			.ctx.late == $turn)) | .data'
}
commit_of() {
	event turn.completed "$1" | jq -er .commit
}

# --- turns that change files ---------------------------------------------------

unchanged_turn() {
	says "$SES" hi hi && event turn.completed "$(last_turn)" |
		jq -e 'has("commit") | not' && vgit rev-parse -q HEAD &&
		return 1
	holds "$SES" 'all(.type != "turn.diff")'
}
ok "a turn before there is any file tells of no commit" unchanged_turn

f184_rows() {
	run 'seq 20 >a; echo one >b; mkdir -p d/e; echo keep >d/e/kept' &&
		first=$(commit_of "$(last_turn)") &&
		run 'sed -i s/7/seven/ a; echo two >>b; echo new >d/new' &&
		turn=$(last_turn) && second=$(commit_of "$turn") &&
		diffs "$turn" | jq -e '[.[] | [.path, .kind]] ==
			[["a", "modify"], ["b", "modify"], ["d/new", "add"]]'
}
ok "F184 a turn that edits two files and adds one has three rows" f184_rows
f184_apply() {
	mkdir "$tmp/before" && vgit --work-tree="$tmp/before" \
		checkout -q -f "$first" -- . &&
		hib session diffs "$SES" --turn "$turn" >"$tmp/patch" &&
		(cd "$tmp/before" && git apply -v "$tmp/patch" 2>&1) &&
		mkdir "$tmp/after" && vgit --work-tree="$tmp/after" \
		checkout -q -f "$second" -- . && diff -r "$tmp/before" "$tmp/after"
}
ok "F184 their patches apply, and make the tree after the turn" f184_apply
f185_same() {
	event turn.diff "$turn" | jq -e --arg a "$first" --arg b "$second" \
		'.parent == $a and .commit == $b and .n_files == 3' &&
		event turn.diff "$turn" | jq -j '.files[].patch' |
		grep '^[-+ @]' >"$tmp/told" &&
		vgit diff "$first" "$second" | grep '^[-+ @]' >"$tmp/git" &&
		diff "$tmp/told" "$tmp/git"
}
ok "F185 turn.diff is the git diff of the two trees" f185_same
reference() {
	equal "$(vgit rev-parse "refs/hib/$SES/$turn")" "$second" &&
		vgit log -1 --format=%B "$second" | grep -qx "Turn: $turn"
}
ok "the commit has the name of its turn" reference
one_line() {
	hib log "$SES" | grep -q 'turn.diff .*files: 2 edited, 1 added'
}
ok "a log tells of it in one line" one_line
over_http() {
	http GET "/v1/sessions/$SES/diffs" | jq -e --arg t "$turn" \
		'[(.rows? // .)[] | select(.turn_id == $t)] | length == 3'
}
ok "the rows can be read over HTTP" over_http
quiet_turn() {
	run true && event turn.completed "$(last_turn)" |
		jq -e --arg c "$second" '.commit == $c' &&
		[ "$(diffs "$(last_turn)")" = '[]' ]
}
ok "a turn that changes nothing tells the newest commit" quiet_turn

kinds() {
	run 'rm b; mv d/new d/moved; chmod +x a; ln -s a link; mkdir empty' &&
		turn=$(last_turn) && diffs "$turn" | jq -e 'map(.kind + .path) |
			index("deleteb") != null and index("addlink") != null and
			(index("renamed/moved") != null or
				index("addd/moved") != null)' &&
		vgit ls-tree "$(commit_of "$turn")" a | grep -q '^100755' &&
		vgit ls-tree "$(commit_of "$turn")" link | grep -q '^120000'
}
ok "deletions, links and permissions are kept" kinds

ignored() {
	run 'mkdir -p node_modules/x out; touch node_modules/x/y out/z;
		echo "out/" >.hibignore; echo in >seen' &&
		vgit ls-tree -r --name-only "$(commit_of "$(last_turn)")" \
			>"$tmp/tree" && grep -qx seen "$tmp/tree" &&
		! grep -E 'node_modules|^out/' "$tmp/tree"
}
ok "what is ignored is not kept" ignored

sent_rows() {
	sqlite3 -readonly "$HIB_HOME/vms/$VM/disk/vfs/vfs.db" \
		'SELECT path, kind FROM session_files' >"$tmp/rows"
	grep -qx '/d/e/kept|file' "$tmp/rows" &&
		grep -qx '/node_modules|ignored' "$tmp/rows"
}
ok "F173 vfs.db lists every path" sent_rows

# --- bad moments ------------------------------------------------------------------

cancelled() {
	prompt_bg "$SES" '!run echo c >cancelled;;!sleep 60000' &&
		until_true 10 test -e \
			"$HIB_HOME/vms/$VM/disk/vfs/upper/cancelled" &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" &&
		event turn.cancelled "$TURN" | jq -e '.commit != null' &&
		changed "$TURN" cancelled
}
ok "a cancelled turn has its files and its commit" cancelled

late_diff() {
	wait_for "$SES" "\"type\":\"turn.diff\".*\"late\":\"$1\"" 20 &&
		changed "$1" "$2"
}
died() {
	prompt_bg "$SES" '!run echo d >died;;!crash' &&
		wait_turn "$SES" "$TURN" && late_diff "$TURN" died &&
		hib session resume "$SES"
}
ok "what an agent left that died is told late" died

interrupted() {
	prompt_bg "$SES" '!run echo s >slept;;!sleep 60000' &&
		until_true 10 test -e \
			"$HIB_HOME/vms/$VM/disk/vfs/upper/slept" &&
		hib vm sleep "$VM" && late_diff "$TURN" slept
}
ok "what a turn left that was put to sleep is told late" interrupted

host_away() {
	run true && prompt_bg "$SES" '!run sleep 1; echo h >host_away' &&
		kill_hibd KILL &&
		until_true 20 test -e \
			"$HIB_HOME/vms/$VM/disk/vfs/upper/host_away" &&
		hib daemon start && wait_turn "$SES" "$TURN" &&
		until_true 20 changed "$TURN" host_away
}
ok "the host may be away meanwhile" host_away

ended_in_guest() {
	equal "$(sqlite3 -readonly "$HIB_HOME/vms/$VM/disk/state/guest.db" \
		"SELECT state FROM turn WHERE id='$1'")" completed
}
host_long_away() {
	run true && prompt_bg "$SES" '!run sleep 3; echo h >long_away' &&
		kill_hibd KILL && until_true 20 ended_in_guest "$TURN" &&
		hib daemon start && late_diff "$TURN" long_away &&
		event turn.completed "$TURN" | jq -e 'has("commit") | not'
}
ok "a turn ends without a host, and its files are told when it is back" \
	host_long_away

# --- changes that are no turn's ---------------------------------------------------

outside() {
	http PUT "/v1/vms/$VM/files/content?path=outside" text &&
		equal "$(cat "$tmp/status")" 200 || return 1
	run 'test -e outside && echo in >inside' || return 1
	changed "$(last_turn)" inside &&
		vgit ls-tree --name-only "$(commit_of "$(last_turn)")" |
		grep -qx outside
}
ok "what clients write is not the next turn's" outside

on_demand() {
	prompt_bg "$SES" '!run echo m >midway;;!sleep 60000' &&
		until_true 10 test -e \
			"$HIB_HOME/vms/$VM/disk/vfs/upper/midway" &&
		hib files checkpoint --json "$VM" | jq -e '.changed' &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" &&
		changed "$TURN" midway
}
ok "a checkpoint in the middle of a turn takes nothing from its diff" on_demand
nothing_new() {
	hib files checkpoint --json "$VM" | jq -e \
		--arg head "$(vgit rev-parse HEAD)" \
		'.changed == false and .head == $head'
}
ok "one without a change tells the newest commit" nothing_new

before_sleep() {
	echo z >"$HIB_HOME/vms/$VM/disk/vfs/upper/unseen" &&
		hib vm sleep "$VM" && vgit ls-tree --name-only HEAD |
		grep -qx unseen
}
ok "what is there when a VM goes to sleep is kept" before_sleep

without_rows() {
	rm "$HIB_HOME/vms/$VM"/disk/vfs/vfs.db* &&
		run 'echo r >without_rows; rm seen' && vgit diff --name-only \
		"$(commit_of "$(last_turn)")~" "$(commit_of "$(last_turn)")" \
		>"$tmp/names" && echo seen >"$tmp/want" &&
		echo without_rows >>"$tmp/want" && diff "$tmp/names" "$tmp/want"
}
ok "without vfs.db everything is told, and the commit is the same" without_rows

rows_of() {
	hib session diffs "$1" --json | jq -c 'map(del(.seq)) | sort'
}
copied() {
	rows=$(rows_of "$SES") && [ "$rows" != '[]' ] &&
		hib export -o "$tmp/x" "$SES" &&
		copy=$(hib fork "$SES") && equal "$(rows_of "$copy")" "$rows" &&
		mkdir -m 700 "$tmp/other" &&
		HIB_HOME=$tmp/other hib import "$tmp/x" &&
		equal "$(HIB_HOME=$tmp/other rows_of "$SES")" "$rows" || return 1
	HIB_HOME=$tmp/other hib daemon stop
}
ok "a fork and an import have the same rows" copied

done_testing
