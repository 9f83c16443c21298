#!/bin/sh
# Snapshots of sandboxes: made, looked at, checked, removed.
# shellcheck disable=SC2016,SC2119,SC2030,SC2031 # $ is for the shell in the VM
. tests/lib.sh

agent echo
row() {
	hib snapshot show "$1" --json | jq -r "$2"
}
folder() {
	echo "$HIB_HOME/vms/$VM/snapshots/$1"
}
# verified SNP - its hashes are taken.
verified() {
	until_true 10 eval "hib snapshot show $1 --json | jq -e '.state == \"verified\"'"
}

new_vm --name one && new_session
in_vm "$SES" 'echo one >a; mkdir -p ~/deep/er; echo mine >~/deep/er/x;
	ln -s nowhere ~/link; ln ~/deep/er/x ~/second; chmod 711 ~/deep' >"$tmp/x"
ok "there is something to keep" hib sql "$SES" notes 'CREATE TABLE t(a)'

one_is_refused() {
	refused capability_unsupported 5 hib snapshot create one --kind memory &&
		grep -q 'kind disk' "$tmp/refused.err" &&
		refused invalid_argument 5 hib snapshot create one --kind best &&
		refused vm_not_found 6 hib snapshot create two &&
		refused snapshot_not_found 6 hib snapshot show "$(new_id snp)" &&
		refused invalid_id 5 hib snapshot rm nothing &&
		equal "$(hib snapshot list --json)" '[]' &&
		not test -e "$HIB_HOME/vms/$VM/snapshots"
}
ok "what cannot be kept is refused, and nothing is made" one_is_refused

running() {
	prompt_bg "$SES" '!flood 20000 50' &&
		wait_for "$SES" acp.update 10 "$MARK" >"$tmp/x" &&
		S0=$(hib snapshot create one) &&
		wait_turn "$SES" "$TURN" >"$tmp/x" &&
		grep -q turn.completed "$tmp/x" && holds "$SES" \
		"map(select(.type == \"session.resumed\"))[0] |
			.seq == $(row "$S0" ".cursors.$SES") + 1 and .data.restore == \"warm\"" &&
		equal "$(hib messages "$SES" --json --turn "$TURN" | jq -r \
			'[.[].parts[]? | .text? // empty] | length > 0')" true &&
		hib snapshot rm "$S0"
}
ok "one that runs stands still for it, in the middle of a turn" running

hib vm sleep one
made() {
	S1=$(hib snapshot create one --label 'the first') &&
		equal "$(row "$S1" .kind)" disk &&
		equal "$(row "$S1" .label)" 'the first' &&
		equal "$(row "$S1" .parent_id)" null &&
		equal "$(row "$S1" ".cursors.$SES")" "$(last_seq "$SES")" &&
		equal "$(row "$S1" .config.backend)" sandbox &&
		equal "$(jq -r .snapshot "$(folder "$S1")/snapshot.json")" "$S1" &&
		hib vm events one --json | jq -e --arg s "$S1" \
			'map(select(.type == "vm.snapshot"))[-1].data.snapshot == $s'
}
ok "one that is off has its disk kept, and its cursors" made

copied() {
	disk=$(folder "$S1")/disk home=$HIB_HOME/vms/$VM/disk/home/user
	equal "$(cat "$disk/home/user/deep/er/x")" mine &&
		equal "$(readlink "$disk/home/user/link")" nowhere &&
		equal "$(stat -c %h "$disk/home/user/second")" 2 &&
		equal "$(stat -c %a:%u:%Y "$disk/home/user/deep")" \
			"$(stat -c %a:%u:%Y "$home/deep")" &&
		equal "$(find "$disk/vfs/upper" -name a | wc -l)" 1 &&
		equal "$(find "$disk/state/sql" -name '*.db' | wc -l)" 1 &&
		not test -e "$disk/state/guest.db"
}
ok "files have owners, modes, times and links as they had" copied

listed() {
	S2=$(hib snapshot create "$VM") &&
		equal "$(row "$S2" .parent_id)" "$S1" &&
		equal "$(hib snapshot list one --json | jq -r '.[].id')" "$S1
$S2" && equal "$(http GET "/v1/vms/one/snapshots" | jq length)" 2 &&
		equal "$(http GET /v1/snapshots | jq length)" 2 &&
		hib snapshot list | grep -q 'the first'
}
ok "they are listed, and follow one another" listed

says_so() {
	verified "$S1" && equal "$(hib snapshot verify "$S1")" ok
}
ok "its hashes are taken, and compared" says_so
flipped() {
	verified "$S2" && printf 'M' | dd of="$(folder "$S2")/disk/home/user/deep/er/x" \
		conv=notrunc status=none
	exits 1 hib snapshot verify "$S2" >"$tmp/x" &&
		grep -q 'disk has changed' "$tmp/x" &&
		equal "$(row "$S2" .state)" damaged &&
		equal "$(row "$S2" '.damage[0]')" 'disk has changed' &&
		equal "$(hib snapshot verify "$S1")" ok
}
ok "a byte that was flipped is found" flipped

removed() {
	S3=$(hib snapshot create one) && hib snapshot rm "$S2" &&
		not test -e "$(folder "$S2")" &&
		equal "$(row "$S3" .parent_id)" "$S1" &&
		refused snapshot_not_found 6 hib snapshot verify "$S2"
}
ok "one is removed, and the next follows what it followed" removed

# --- given back ---------------------------------------------------------------

# home VM - what the file in the agent's home says.
in_home() {
	cat "$HIB_HOME/vms/$1/disk/home/user/deep/er/x"
}
changed() {
	says "$SES" '!say after' after &&
		in_vm "$SES" 'echo two >a; echo new >b; echo other >~/deep/er/x' >"$tmp/x" &&
		hib sql "$SES" notes 'CREATE TABLE u(a)' &&
		LATER=$(hib session create --agent echo --vm one) &&
		says "$LATER" '!say later' later
}
ok "much has changed since" changed
restored() {
	before=$(last_seq "$SES") kept=$(row "$S1" ".cursors.$SES")
	hib vm restore "$S1" && equal "$(in_home "$VM")" mine &&
		holds "$SES" "map(select(.type == \"session.rewound\")) |
			length == 1 and .[0].data.snapshot == \"$S1\" and
			.[0].data.to_seq == $kept and .[0].data.abandoned[0] == $kept + 1 and
			.[0].seq > $before" &&
		says "$SES" '!say anew' anew &&
		equal "$(in_vm "$SES" 'cat a; ls; cat ~/second')" "one
a
mine" && equal "$(hib sql "$SES" notes)" 'CREATE TABLE t(a);'
}
ok "it is as it was: files, databases, logs" restored
told() {
	hib messages "$SES" --json >"$tmp/x" && cat "$tmp/x" &&
		not grep -q '!say after' "$tmp/x" && grep -q anew "$tmp/x" &&
		hib log "$SES" --json | grep -q '!say after' &&
		equal "$(hib files cat --at HEAD one a)" one &&
		equal "$(hib vm get one --json | jq -r .from_snapshot)" "$S1"
}
ok "what came after is no message any more, and can be read" told
others() {
	says "$LATER" '!say still' still &&
		equal "$(hib messages "$LATER" --json | jq length)" 4
}
ok "a session that it did not know goes on" others
mid_turn() {
	prompt_bg "$SES" '!flood 100000 50' &&
		refused turn_active 7 hib vm restore "$S1" &&
		hib vm restore --force "$S1" &&
		holds "$SES" 'map(select(.type == "session.rewound")) | length == 2' &&
		says "$SES" '!say again' again
}
ok "a turn that runs is in the way, but for force" mid_turn
damaged() {
	S4=$(hib snapshot create one) && verified "$S4" &&
		rm "$(folder "$S4")/disk/home/user/deep/er/x" &&
		exits 1 hib snapshot verify "$S4" >"$tmp/x" &&
		refused store_corrupt 2 hib vm restore "$S4" &&
		refused store_corrupt 2 hib vm fork "$S4" && hib snapshot rm "$S4"
}
ok "one that is damaged is not given back" damaged

only_there() {
	S5=$(hib snapshot create one) && says "$SES" '!say kept' kept &&
		hib vm stop one && before=$(last_seq "$SES") &&
		sqlite3 "$HIB_HOME/hib.db" "UPDATE mirror SET tail_complete=0" &&
		refused tail_incomplete 7 hib vm restore "$S5" &&
		refused tail_incomplete 7 hib snapshot create one &&
		equal "$(last_seq "$SES")" "$before" &&
		hib vm wake one && hib vm restore "$S5" && hib snapshot rm "$S5"
}
ok "the end of a log that only the VM has is in the way of a restore" only_there
# Folders that are too deep cannot be copied, by nobody; the guest's agent stays
# the process that it was.
uncopied() {
	S5=$(hib snapshot create one) && deep=$(folder "$S5")/disk/home &&
		(cd "$deep" && for _ in $(seq 300); do mkdir d && cd -P d || exit 1; done) &&
		says "$SES" '!say on' on && pid=$(agent_pid "$SES") &&
		before=$(last_seq "$SES") &&
		refused quota_exceeded 4 hib vm restore "$S5" &&
		equal "$(last_seq "$SES")" "$before" &&
		equal "$(agent_pid "$SES")" "$pid" &&
		not ls -d "$HIB_HOME/vms/$VM"/restore* && hib snapshot rm "$S5"
}
ok "one that cannot be copied changes nothing, and stops nothing" uncopied

# --- multiplied ----------------------------------------------------------------

forked() {
	hib vm fork -n 3 "$S1" --json >"$tmp/forks" &&
		equal "$(jq '.vms | length' "$tmp/forks")" 3 &&
		for one in $(jq -r '.vms[].vm' "$tmp/forks"); do
			ses=$(jq -r --arg v "$one" '.vms[] | select(.vm == $v) |
				.sessions[] | select(.from == "'"$SES"'").id' "$tmp/forks")
			equal "$(session_field "$ses" vm_id)" "$one" &&
				equal "$(session_field "$ses" forked_from)" "$SES" &&
				equal "$(in_vm "$ses" 'cat a; cat ~/deep/er/x; hostname;
					echo "$$" >~/own')" "one
mine
vm-$(printf %s "$one" | tail -c 8)" &&
				equal "$(hib sql "$ses" notes)" 'CREATE TABLE t(a);' ||
				return 1
		done && not test -e "$HIB_HOME/vms/$VM/disk/home/user/own"
}
ok "three VMs are made of it, each with files and sessions of its own" forked
apart() {
	one=$(jq -r '.vms[0].vm' "$tmp/forks") ses=$(jq -r '.vms[0].sessions[0].id' "$tmp/forks")
	before=$(last_seq "$SES") && says "$ses" '!say mine' mine &&
		equal "$(last_seq "$SES")" "$before" &&
		refused invalid_argument 5 hib vm fork -n 2 --name x "$S1" &&
		refused invalid_argument 5 hib vm fork -n 65 "$S1" &&
		equal "$(hib vm fork --name four "$S1")" \
			"$(hib vm get four --json | jq -r .id)" &&
		refused capability_unsupported 5 hib vm fork --memory one &&
		for one in four $(jq -r '.vms[].vm' "$tmp/forks"); do
			hib vm destroy "$one" || return 1
		done
}
ok "they know nothing of one another" apart

# A clone that has not run yet needs it: the catalog says so.
needed() {
	FORK=$(hib vm fork "$S1") && kill_hibd KILL && sqlite3 "$HIB_HOME/hib.db" \
		"UPDATE vm SET config=json_set(config,'$.origin','$S1') WHERE id='$FORK'" &&
		mv "$(folder "$S1")" "$tmp/away" && hib daemon start &&
		hib snapshot show "$S1" && kill_hibd KILL &&
		mv "$tmp/away" "$(folder "$S1")" && hib daemon start &&
		refused not_ready 7 hib snapshot rm "$S1" &&
		refused not_ready 7 hib vm destroy --force one &&
		test -d "$(folder "$S1")" && hib vm destroy "$FORK"
}
ok "one that a clone still needs stays, whatever is killed" needed

# --- as a file -----------------------------------------------------------------

# acl put|is FILE - one that lets the owner's fifth neighbour read it.
acl() {
	python3 - "$@" <<-'END'
		import os, struct, sys
		nobody, name = 0xffffffff, "system.posix_acl_access"
		entries = [(1, 6, nobody), (2, 4, os.stat(sys.argv[2]).st_uid + 5),
		           (4, 4, nobody), (16, 4, nobody), (32, 0, nobody)]
		acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
		if sys.argv[1] == "put":
		    os.setxattr(sys.argv[2], name, acl)
		else:
		    sys.exit(os.getxattr(sys.argv[2], name) != acl)
	END
}
elsewhere() {
	HIB_HOME=$tmp/elsewhere hib "$@"
}
exported() {
	in_vm "$SES" 'printf x >"$(printf "odd\\n\\377")"; chmod 555 ~/deep' >"$tmp/x" &&
		hib vm sleep one && acl put "$HIB_HOME/vms/$VM/disk/home/user/second" && S5=$(hib snapshot create one) && verified "$S5" &&
		hib snapshot export "$S5" "$tmp/file" && kill_hibd KILL &&
		hib snapshot export "$S5" "$tmp/again" && hib daemon start &&
		equal "$(stat -c %a "$tmp/file")" 600 &&
		zstd -dc "$tmp/file" | tar -tf - >"$tmp/members" &&
		equal "$(head -n 2 "$tmp/members")" "snapshot.json
hashes.json" && grep -qx "sessions/$SES.jsonl" "$tmp/members"
}
ok "one is written to a file, with hibd and without" exported
is_here() {
	refused already_exists 7 hib snapshot import "$tmp/file" &&
		not ls -d "$HIB_HOME"/import.* && hib snapshot rm "$S5"
}
ok "it is not read where its sessions are" is_here
imported() {
	see='stat -c %a ~/deep; cat ~/deep/er/x; ls /workspace | od -An -c | grep -c 377'
	mkdir -m 700 "$tmp/elsewhere" && mkdir -m 755 "$tmp/elsewhere/agents" &&
		cp "$HIB_HOME/agents/echo.json" "$tmp/elsewhere/agents/" &&
		at_exit 'elsewhere daemon stop --vms' &&
		S6=$(elsewhere snapshot import "$tmp/file") &&
		V6=$(elsewhere snapshot show "$S6" --json | jq -r .vm_id) &&
		not ls -d "$tmp/elsewhere"/import.* &&
		{ [ "$(id -u)" != 0 ] || acl is "$tmp/elsewhere/vms/$V6/disk/home/user/second"; } &&
		equal "$(elsewhere vm get "$V6" --json | jq -r .state)" stopped &&
		equal "$(elsewhere prompt "$SES" "!run cat a; ls | wc -l; $see")" "one
3
555
mine
1
exit: 0" && elsewhere messages "$SES" --json >"$tmp/x" && grep -q '!say again' "$tmp/x"
}
ok "it is read elsewhere: a VM, with files and sessions" imported
usable() {
	elsewhere prompt "$SES" '!run echo other >a' >"$tmp/x" &&
		elsewhere vm restore "$S6" &&
		equal "$(elsewhere prompt "$SES" '!run cat a')" "one
exit: 0" && FORK=$(elsewhere vm fork "$S6") &&
		ses=$(elsewhere session list --vm "$FORK" --json | jq -r \
			"map(select(.forked_from == \"$SES\"))[0].id") &&
		equal "$(elsewhere prompt "$ses" '!run cat a')" "one
exit: 0" && until_true 10 eval "elsewhere snapshot show $S6 --json |
			jq -e '.state == \"verified\"'" &&
		elsewhere vm sleep "$V6" && elsewhere vm destroy "$FORK" &&
		elsewhere store check
}
ok "its snapshot is restored and forked there" usable
hostile() {
	refusals='invalid_argument|store_corrupt|quota_exceeded|capability|bad_frame'
	python3 tests/fake/hostile_bundles.py "$tmp/file" "$tmp/bad" || return 1
	elsewhere vm destroy --force "$V6" &&
		for ses in $(elsewhere session list --json | jq -r '.[].id'); do
			elsewhere session destroy "$ses" || return 1
		done
	for bad in "$tmp"/bad/*; do
		if elsewhere snapshot import "$bad" >"$tmp/x" 2>&1; then
			echo "taken: $bad"
			return 1
		fi
		cat "$tmp/x"
		if ! { grep -Eq "$refusals" "$tmp/x" &&
			equal "$(elsewhere vm list --json)" '[]' &&
			equal "$(elsewhere session list --json)" '[]' &&
			until_true 5 not ls -d "$tmp/elsewhere"/vms/* &&
			not ls -d "$tmp/elsewhere"/import.* "$tmp/escaped"; }; then
			echo "after $bad"
			return 1
		fi
	done
	elsewhere snapshot import "$tmp/again" >"$tmp/x"
}
ok "files of strangers are refused, and leave nothing" hostile

nothing_elsewhere() {
	for one in $(elsewhere vm list --json | jq -r '.[].id'); do
		elsewhere vm destroy --force "$one" || return 1
	done
	for one in $(elsewhere session list --json | jq -r '.[].id'); do
		elsewhere session destroy "$one" || return 1
	done
}
# What is there: VMs, snapshots, sessions; of one instant.
count_elsewhere() {
	sqlite3 -readonly -cmd '.timeout 10000' "$tmp/elsewhere/hib.db" \
		"SELECT (SELECT count(*) FROM vm)||' '||(SELECT count(*) FROM snapshot)
			||' '||(SELECT count(*) FROM session)"
}
# cut_off WHO MS - hib, or hibd, is killed so long after an import was begun.
cut_off() {
	HIB_HOME=$tmp/elsewhere "$O/bin/hib" snapshot import "$tmp/again" >"$tmp/x" 2>&1 &
	_importer=$!
	sleep "$2"
	case $1 in
	hib) kill -9 "$_importer" ;;
	hibd) (HIB_HOME=$tmp/elsewhere && kill_hibd KILL) ;;
	esac
	reap "$_importer"
	found=$(count_elsewhere)
	[ "$found" = '0 0 0' ] || equal "$found" "$WHOLE" || return 1
	(HIB_HOME=$tmp/elsewhere && kill_hibd KILL && hib doctor --repair) >"$tmp/x"
	not ls -d "$tmp/elsewhere"/import.* && elsewhere daemon start &&
		equal "$(count_elsewhere)" "$found" && nothing_elsewhere &&
		until_true 20 not ls -d "$tmp/elsewhere"/vms/*
}
one_step() {
	WHOLE="1 1 $(grep -c '^sessions/' "$tmp/members")"
	equal "$(count_elsewhere)" "$WHOLE" && nothing_elsewhere || return 1
	for ms in 0.005 0.03 0.06 0.09 0.12 0.2; do
		cut_off hib "$ms" && cut_off hibd "$ms" || return 1
	done
}
ok "an import that is killed is there whole, or not at all" one_step
elsewhere daemon stop --vms

# --- with a quota --------------------------------------------------------------

quota() {
	new_vm --name small --quota 64M && QUOTA=$VM && new_session &&
		in_vm "$SES" 'echo one >a; echo one >~/a; chmod 600 ~/a' >"$tmp/x" &&
		prompt_bg "$SES" '!flood 20000 50' &&
		wait_for "$SES" acp.update 10 "$MARK" >"$tmp/x" &&
		S7=$(hib snapshot create small) &&
		wait_turn "$SES" "$TURN" >"$tmp/x" &&
		in_vm "$SES" 'echo two >a; echo two >~/a' >"$tmp/x" &&
		hib vm stop small && S8=$(hib snapshot create small) &&
		hib vm restore "$S7" &&
		equal "$(in_vm "$SES" 'cat a ~/a')" 'one
one'
}
linked() {
	ln -s home "$tmp/link" && says "$SES" '!say awake' awake &&
		kill_hibd TERM && HIB_HOME=$tmp/link/ hib daemon start &&
		S9=$(hib snapshot create small) && hib snapshot rm "$S9" &&
		kill_hibd TERM && hib daemon start
}
# freeze VM - its image, as while it is copied.
freeze() {
	python3 -c 'import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0xC0045877, 0)' \
		"/proc/$(guest_pid "$1")/root/hib/vfs"
}
writes() {
	equal "$(in_vm "$SES" 'echo x >b; cat b')" x && in_vm "$SES" 'rm b'
}
# As if hibd had been killed while it copied the image.
frozen() {
	freeze "$QUOTA" && kill_hibd KILL && hib daemon start && writes
}
# A process that writes to what is frozen ends only when that is over.
frozen_and_gone() {
	kill_hibd KILL && freeze "$QUOTA" && kill -9 "$(guest_pid "$QUOTA")" &&
		hib daemon start && writes
}
# Its image has the ids of the VM that it was made for; what is in it has not.
quota_fork() {
	FORK=$(hib vm fork "$S8") && ses=$(hib session list --vm "$FORK" --json |
		jq -r '.[0].id') && equal "$(in_vm "$ses" 'cat a ~/a;
		stat -c %u:%a ~/a a; echo mine >b && stat -c %u b')" 'two
two
1000:600
1000:644
1000' && { in_vm "$ses" 'LC_ALL=C head -c 100M /dev/zero >fill' >"$tmp/x"
		grep -q 'No space left' "$tmp/in_vm"; } &&
		in_vm "$ses" 'rm fill' && hib vm sleep "$FORK" &&
		equal "$(in_vm "$ses" 'cat b')" mine &&
		S9=$(hib snapshot create "$FORK") && SECOND=$(hib vm fork "$S9") &&
		ses=$(hib session list --vm "$SECOND" --json | jq -r '.[0].id') &&
		equal "$(in_vm "$ses" 'cat b; stat -c %u b')" 'mine
1000' && hib vm destroy "$SECOND" && hib vm destroy --force "$FORK"
}
quota_layers() {
	mkdir "$tmp/from" && echo base >"$tmp/from/base" && echo old >"$tmp/from/c" &&
		new_vm --quota 64M --workspace "$tmp/from" && new_session &&
		in_vm "$SES" 'echo new >c' >"$tmp/x" && hib vm stop "$VM" &&
		S8=$(hib snapshot create "$VM") && FORK=$(hib vm fork "$S8") &&
		ses=$(hib session list --vm "$FORK" --json | jq -r '.[0].id') &&
		equal "$(in_vm "$ses" 'cat base c; echo more >>base; cat base')" 'base
new
base
more' && hib vm destroy "$FORK" && hib vm destroy --force "$VM"
}
if hib vm create --no-boot --quota 64M >"$tmp/x" 2>&1; then
	hib vm destroy "$(cat "$tmp/x")"
	OF_ONE=$VM OF_SES=$SES
	ok "one with a quota is kept while it runs, and given back" quota
	ok "so is one whose home is known by another name" linked
	ok "its disk goes on when hibd is killed over that" frozen
	ok "it boots when hibd and the VM are killed over that" frozen_and_gone
	ok "it is forked, with files of its own range" quota_fork
	ok "so is one whose files are those of a folder" quota_layers
	hib vm destroy --force "$QUOTA"
	VM=$OF_ONE SES=$OF_SES
else
	skip "one with a quota is kept and forked" "$(cat "$tmp/x")"
fi

# --- what a kill leaves ------------------------------------------------------

leftovers() {
	kill_hibd KILL
	for name in "$(new_id snp).new" "$(new_id snp).gone"; do
		mkdir -p "$(folder "$name")/disk/home" || return 1
		: >"$(folder "$name")/disk/home/x"
	done
	hib doctor --repair >"$tmp/x"
	equal "$(find "$(folder .)" -mindepth 1 -maxdepth 1 | wc -l)" 2 || return 1
	mkdir "$(folder "$(new_id snp).new")" "$HIB_HOME/import.abcdef" &&
		hib daemon start && not test -e "$HIB_HOME/import.abcdef" &&
		equal "$(find "$(folder .)" -mindepth 1 -maxdepth 1 | wc -l)" 2
}
ok "what was half made or half removed goes" leftovers
# hibd may be taking in what a client that is gone has unpacked.
under_way() {
	mkdir "$HIB_HOME/import.abcdef" && hib doctor --repair >"$tmp/x"
	rmdir "$HIB_HOME/import.abcdef"
}
ok "but nothing that hibd may be at work on" under_way
taken_in() {
	kill_hibd KILL && cp -a "$(folder "$S3")" "$tmp/kept" &&
		sqlite3 "$HIB_HOME/hib.db" "DELETE FROM snapshot WHERE id='$S3'" &&
		hib daemon start && until_true 5 row "$S3" .id &&
		equal "$(row "$S3" .parent_id)" null && verified "$S3"
}
ok "one that was made but not written down is taken in" taken_in
temporary() {
	T1=$(hib snapshot create one) && T2=$(hib snapshot create one) &&
		kill_hibd KILL || return 1
	for one in "$T1" "$T2"; do
		about=$(folder "$one")/snapshot.json
		jq -c '.temporary = true' "$about" >"$tmp/about" &&
			cp "$tmp/about" "$about" || return 1
	done
	sqlite3 "$HIB_HOME/hib.db" "DELETE FROM snapshot WHERE id='$T2';
		UPDATE snapshot SET manifest=json_set(manifest, '$.temporary',
		json('true')) WHERE id='$T1'" && hib daemon start &&
		until_true 5 not hib snapshot show "$T1" &&
		until_true 5 not ls -d "$(folder "$T1")"* &&
		not ls -d "$(folder "$T2")"* && not hib snapshot show "$T2" &&
		equal "$(row "$S3" .id)" "$S3"
}
ok "what was made for a fork, which was cut off, goes" temporary
let_go() {
	T1=$(hib snapshot create one) && sqlite3 -cmd '.timeout 10000' \
		"$HIB_HOME/hib.db" "UPDATE snapshot SET manifest=json_set(manifest,
		'$.temporary', json('true')) WHERE id='$T1'" &&
		hib snapshot verify "$T1" >"$tmp/x" &&
		until_true 5 not hib snapshot show "$T1" &&
		until_true 5 not ls -d "$(folder "$T1")"*
}
ok "also later, when the last who used it lets go" let_go
too_long() {
	T1=$(hib snapshot create one) && verified "$T1" &&
		sqlite3 -cmd '.timeout 10000' "$HIB_HOME/hib.db" "UPDATE snapshot SET
		manifest=json_set(manifest, '$.cursors.$SES', 1000001) WHERE id='$T1'" &&
		refused quota_exceeded 4 hib snapshot export "$T1" "$tmp/long" &&
		not test -e "$tmp/long" && hib snapshot rm "$T1"
}
ok "one whose logs nobody could read in is not written" too_long
lost() {
	kill_hibd KILL && mv "$(folder "$S3")" "$tmp/away" && hib daemon start &&
		until_true 5 not hib snapshot show "$S3" &&
		refused snapshot_not_found 6 hib snapshot show "$S3"
}
ok "one whose files went is forgotten" lost

# --- the end -----------------------------------------------------------------

has_children() {
	refused has_children 7 hib vm destroy one &&
		equal "$(hib vm get one --json | jq -r .id)" "$VM" &&
		answers 409 has_children DELETE "/v1/vms/$VM" &&
		hib vm destroy --force one &&
		equal "$(hib snapshot list --json)" '[]' &&
		until_true 10 not test -e "$HIB_HOME/vms/$VM/snapshots"
}
ok "a VM with snapshots is destroyed by force alone, with them" has_children

done_testing
