#!/bin/sh
# /workspace: what is written stays, mounts of the host, and what is put there
# before the first turn.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

upper=
new_vm
new_session
upper=$HIB_HOME/vms/$VM/disk/vfs/upper

# run COMMAND - by the agent: its output, and "exit: N".
run() {
	prompt "$SES" "!run $(printf %s "$1" | tr '\n\t' '  ')"
}
succeeds() {
	run "$1" >"$tmp/run" && cat "$tmp/run" && grep -q 'exit: 0' "$tmp/run"
}
fails() {
	run "$1" >"$tmp/run" && cat "$tmp/run" && grep -q 'exit: [1-9]' "$tmp/run"
}

# --- files --------------------------------------------------------------------

f180_thousand() {
	succeeds 'mkdir -p d && for i in $(seq 1000); do
		head -c $((i * 7919 % 20000)) /dev/urandom >d/$i || exit 1; done' &&
		(cd "$upper/d" && sha256sum -- * >"$tmp/sums") || return 1
	for round in 1 2 3 4 5; do
		hib vm sleep "$VM" || return 1
		succeeds "echo $round >round && ls d | wc -l | grep -qx 1000" ||
			return 1
		run 'cd d && sha256sum -- * | sha256sum' >"$tmp/inside"
		grep -q "$(sha256sum <"$tmp/sums" | cut -d' ' -f1)" \
			"$tmp/inside" || return 1
	done
	(cd "$upper/d" && sha256sum --quiet -c "$tmp/sums")
}
ok "F180 1,000 files are the same after five rounds of sleep" f180_thousand

f172_daemon() {
	succeeds 'echo daemon >kept' && kill_hibd KILL && hib daemon start &&
		succeeds 'grep -q daemon kept'
}
ok "F172 files outlive the daemon of the host" f172_daemon

f172_killed() {
	succeeds 'echo killed >kept && sync kept' && kill_vm "$VM" &&
		wait_for_state "$SES" suspended && succeeds 'grep -q killed kept'
}
ok "F172 files outlive a guest that is killed" f172_killed

f174_one_tree() {
	says "$SES" '!write /workspace/one tree' ok && succeeds 'grep -q tree one'
}
ok "F174 a file of the agent is there for its programs" f174_one_tree

owner() {
	succeeds 'touch mine && [ $(stat -c %u mine) = $(id -u) ] &&
		[ $(stat -c %u /workspace) = $(id -u) ]'
}
ok "the agent owns /workspace and what it makes there" owner

old_vm() {
	hib vm sleep "$VM" || return 1
	vfs=$HIB_HOME/vms/$VM/disk/vfs
	mv "$vfs/upper" "$HIB_HOME/vms/$VM/disk/workspace" && rm -r "$vfs" &&
		succeeds 'grep -q tree one' && [ -e "$upper/one" ]
}
ok "the files of a VM of before are found" old_vm

state_of_workspace() {
	equal "$(jq -c '[.mode, .lower]' "$HIB_HOME/vms/$VM/disk/vfs/state.json")" \
		'["plain",null]'
}
ok "a workspace that began empty is plain" state_of_workspace

# --- committed files ----------------------------------------------------------

# begin_as_commit - the files of upper/ become a commit, in COMMIT, and VM
# begins anew as that.
begin_as_commit() {
	_git=$HIB_HOME/vms/$VM/workspace.git
	hib vm sleep "$VM" || return 1
	[ -d "$_git" ] || git init -q --bare "$_git" || return 1
	(cd "$upper" && GIT_INDEX_FILE=$tmp/index git --git-dir="$_git" \
		--work-tree=. add -A) &&
		_tree=$(GIT_INDEX_FILE=$tmp/index git --git-dir="$_git" write-tree) &&
		COMMIT=$(git --git-dir="$_git" -c user.name=x -c user.email=x \
			commit-tree -m x "$_tree" </dev/null) &&
		git --git-dir="$_git" update-ref refs/heads/main "$COMMIT" &&
		git --git-dir="$_git" symbolic-ref HEAD refs/heads/main &&
		chown -R --reference="$HIB_HOME" "$_git" &&
		hib files restore --force "$VM" "$COMMIT"
}
mode() {
	jq -r .mode "$HIB_HOME/vms/$VM/disk/vfs/state.json"
}
lower_files() {
	new_vm && new_session && upper=$HIB_HOME/vms/$VM/disk/vfs/upper &&
		succeeds 'mkdir -p a/b gone && echo deep >a/b/f && echo x >x &&
		chmod 755 x && ln -s x l && echo g >gone/g &&
		head -c 20000000 /dev/urandom >big && mkdir many &&
		for i in $(seq 300); do echo $i >many/$i; done' &&
		sha256sum <"$upper/big" >"$tmp/big" && begin_as_commit &&
		succeeds 'grep -q deep a/b/f && [ -x x ] &&
		[ "$(readlink l)" = x ] && ls many | wc -l | grep -qx 300 &&
		[ $(stat -c %u a/b/f) = $(id -u) ] && cat many/300' &&
		run 'sha256sum <big' | grep -qF "$(cat "$tmp/big")" && mode
}
ok "a workspace begins as a commit" lower_files

if [ "$(mode)" = overlay ]; then
	is "$(find "$upper" | wc -l)" 1 "nothing of it is copied before it is written"
else
	skip "nothing of it is copied before it is written" "no overlay here"
fi

over_lower() {
	succeeds 'echo more >>x && rm l && mv a c && rm -r gone && mkdir gone &&
		echo new >gone/n && chmod 600 many/1 && git init -q g && cd g &&
		echo y >y && git add y && git -c user.name=x -c user.email=x
		commit -qm y && [ -z "$(git status --porcelain)" ]'
}
ok "it can be written as any other" over_lower
is_as_left() {
	succeeds 'grep -q more x && [ ! -e l ] && [ ! -e a ] && [ -e c/b/f ] &&
		[ "$(ls gone)" = n ] && [ $(stat -c %a many/1) = 600 ] &&
		cd g && git fsck && [ -z "$(git status --porcelain)" ]'
}
left_so() {
	hib vm sleep "$VM" && is_as_left && kill_vm "$VM" &&
		wait_for_state "$SES" suspended && is_as_left
}
ok "and is as it was left after a sleep and a kill" left_so

ignored() {
	succeeds 'mkdir -p node_modules/x many/node_modules new/node_modules &&
		echo kept >node_modules/x/y && echo kept >many/node_modules/z &&
		echo mine >new/f && echo "*.tmp" >many/.hibignore &&
		echo kept >many/a.tmp && echo gone >a.tmp'
}
ok "some of it is ignored" ignored
begun_anew() {
	hib vm sleep "$VM" && hib files restore --force "$VM" "$COMMIT" &&
		succeeds 'grep -q deep a/b/f && [ ! -e c ] && [ ! -e g ] &&
		[ "$(ls gone)" = g ] && ! grep more x'
}
ok "restored, it is the commit again" begun_anew
taken_over() {
	succeeds 'grep -q kept node_modules/x/y && [ -e many/node_modules/z ] &&
		[ -e many/a.tmp ] && [ -e many/300 ] && [ ! -e new ] && [ ! -e a.tmp ] &&
		[ $(stat -c %a many) = 755 ] && [ $(stat -c %u many) = $(id -u) ]' &&
		hib vm sleep "$VM" && succeeds 'cat node_modules/x/y many/a.tmp' &&
		not [ -e "$upper/../old" ]
}
ok "but for what is ignored" taken_over

# What a guest leaves that was killed while it began anew: nothing but renames,
# which are done here as it does them.
is_the_commit() {
	succeeds 'grep -q deep a/b/f && [ "$(ls gone)" = g ] && ! grep more x &&
		[ $(ls many | wc -l) -ge 300 ] && [ ! -e stale ] && touch stale'
}
killed_anew() {
	vfs=$HIB_HOME/vms/$VM/disk/vfs
	hib vm sleep "$VM" && hib files restore --force "$VM" "$COMMIT" || return 1
	mv "$vfs/upper" "$vfs/old" && is_the_commit || return 1
	hib vm sleep "$VM" && hib files restore --force "$VM" "$COMMIT" || return 1
	mv "$vfs/upper" "$vfs/old" && cp -rp "$vfs/work" "$vfs/upper" &&
		chown --reference="$vfs/old" "$vfs/upper" && chmod 755 "$vfs/upper" &&
		rm -rf "$vfs/work" && is_the_commit && not [ -e "$vfs/old" ]
}
ok "a kill while it begins anew only makes it begin again" killed_anew

# As on a machine that has lost FUSE.
no_overlay() {
	succeeds 'rm many/7 && echo own >many/own && rm -r gone && mkdir gone' &&
		hib vm sleep "$VM" || return 1
	state=$HIB_HOME/vms/$VM/disk/vfs/state.json
	jq -c '.mode = "checkout"' "$state" >"$tmp/state" && cat "$tmp/state" &&
		cat "$tmp/state" >"$state" && : >"${state%/*}/work/checkout-9999" &&
		succeeds '[ ! -e many/7 ] && grep -q own many/own && [ -z "$(ls gone)" ] &&
		[ $(stat -c %a x) = 755 ] && cat a/b/f many/8 && [ "$(readlink l)" = x ]' &&
		equal "$(mode)" plain && run 'sha256sum <big' |
		grep -qF "$(cat "$tmp/big")" || return 1
	[ "$(find "$upper" -type c | wc -l)" = 0 ] &&
		equal "$(ls -A "${state%/*}/work")" ""
}
if [ "$(mode)" = overlay ]; then
	ok "what was an overlay becomes plain files where there is none" no_overlay
else
	skip "what was an overlay becomes plain files" "no overlay here"
fi

# --- mounts -------------------------------------------------------------------

mkdir -p "$tmp/ro/sub" "$tmp/rw" "$tmp/in" && echo read >"$tmp/ro/file"
ln -s "$tmp/key" "$tmp/ro/out" && echo secret >"$tmp/key"
chmod 755 "$tmp" "$tmp/ro" "$tmp/rw"
mounted() {
	new_vm --mount "$tmp/ro:/data/ro:ro" --mount "$tmp/rw:/workspace/rw" \
		--mount "$tmp/in:/home/user/in" && new_session
}
ok "a VM is made with folders of the host" mounted

f175_read_only() {
	succeeds 'grep -q read /data/ro/file' || return 1
	for c in 'echo x >/data/ro/new' 'echo x >/data/ro/file' \
		'rm /data/ro/file' 'mv /data/ro/file /data/ro/f' \
		'chmod 600 /data/ro/file' 'mkdir /data/ro/d'; do
		fails "LC_ALL=C $c 2>&1" && grep -q 'Read-only file system' \
			"$tmp/run" || return 1
	done
}
ok "F175 nothing can be written to a read-only mount" f175_read_only

# in_guest COMMAND... - as root of the VM, with all that hib-guest may do.
in_guest() {
	nsenter -t "$(guest_pid "$VM")" -m -U --setuid 0 --setgid 0 -- "$@"
}
f175_root() {
	for at in /data/ro /hib/mounts/0; do
		not in_guest touch "$at/new" && not in_guest rm "$at/file" &&
			not in_guest mount -o remount,bind,rw "$at" &&
			not in_guest touch "$at/new" || return 1
	done 2>&1
	not [ -e "$tmp/ro/new" ] && equal "$(cat "$tmp/ro/file")" read
}
ok "F175 nor by root of the VM, which cannot change that" f175_root

mount_rw() {
	echo host >"$tmp/rw/h" && succeeds 'grep -q host rw/h &&
		echo agent >rw/a && mkdir rw/d && rm rw/h' &&
		equal "$(cat "$tmp/rw/a")" agent && [ -d "$tmp/rw/d" ] &&
		not [ -e "$tmp/rw/h" ] && equal "$(stat -c %u "$tmp/rw/a")" \
		"$(stat -c %u "$tmp/rw")" &&
		succeeds '[ $(stat -c %u rw/a) = $(id -u) ] && echo x >~/in/y' &&
		[ -e "$tmp/in/y" ]
}
ok "F176 a mount is written to as its owner on the host" mount_rw

no_way_out() {
	fails 'cat /data/ro/out' && fails 'ls /data/ro/../../hib/vfs/upper' &&
		fails 'ls -A /hib/mounts | grep .' &&
		fails "ls $tmp"
}
ok "a mount shows nothing but its folder" no_way_out

mounts_stay() {
	hib vm sleep "$VM" && succeeds 'cat /data/ro/file rw/a ~/in/y' &&
		kill_hibd KILL && hib daemon start && hib vm sleep "$VM" &&
		succeeds 'cat /data/ro/file rw/a ~/in/y'
}
ok "F176 mounts are there after each sleep" mounts_stay

no_link_below() {
	succeeds 'rm -rf rw.x && mkdir sub' || return 1
	new_vm --mount "$tmp/rw:/workspace/sub/rw" --no-boot &&
		mkdir -p "$HIB_HOME/vms/$VM/disk/vfs/upper" &&
		chown --reference="$HIB_HOME/vms/$VM/disk/home/user" \
			"$HIB_HOME/vms/$VM/disk/vfs/upper" &&
		ln -s /tmp "$HIB_HOME/vms/$VM/disk/vfs/upper/sub" || return 1
	refused path_escape 5 hib vm wake "$VM" && hib vm destroy "$VM"
}
ok "no link of the agent leads a mount elsewhere" no_link_below

bad_mounts() {
	for m in "$tmp/none:/data" "$tmp/key:/data" rel:/data "$tmp/ro" \
		"$tmp/ro:data" "$tmp/ro:/data/../x" "$tmp/ro:/data/"; do
		refused invalid_argument 5 hib vm create --no-boot --mount "$m" ||
			return 1
	done
	for m in / /hib /hib/x /proc/x /dev /usr/x /etc /workspace /home/user; do
		refused path_escape 5 hib vm create --no-boot \
			--mount "$tmp/ro:$m" || return 1
	done
	for m in "$HIB_HOME" "$HIB_HOME/agents" /; do
		refused forbidden 3 hib vm create --no-boot --mount "$m:/data" ||
			return 1
	done
}
ok "mounts that cannot be are refused" bad_mounts

# --- files before the first turn ----------------------------------------------

# made PATH BODY - by POST; the answer is in $tmp/body.
made() {
	http POST "$1" "$2" >/dev/null && cat "$tmp/body" &&
		grep -q '^20' "$tmp/status"
}
f176_session() {
	new_vm && made /v1/sessions '{"agent":"echo","vm":"'"$VM"'",
		"initialFiles":[{"path":"in/a.txt","content":"first"},
		{"path":"/workspace/run.sh","mode":"0755",
		"content_b64":"IyEvYmluL3NoCmVjaG8gcmFuCg=="}]}' || return 1
	SES=$(jq -r .session.id "$tmp/body")
	succeeds 'ls && [ "$(cat in/a.txt)" = first ] && [ "$(./run.sh)" = ran ] &&
		[ $(stat -c %u in) = $(id -u) ] && echo more >>in/a.txt' &&
		grep -q in "$tmp/run"
}
ok "F176 the first ls of a session shows its initial files" f176_session
f176_once() {
	succeeds 'rm run.sh' && hib vm sleep "$VM" &&
		succeeds '[ ! -e run.sh ] && [ "$(cat in/a.txt)" != first ]'
}
ok "F176 they are put there once" f176_once
f176_vm() {
	made /v1/vms '{"initialFiles":[{"path":"a","content":"b"}],"mounts":
		[{"target":"/skills","files":[{"path":"x/SKILL.md","content":"do"},
		{"path":"go","content":"#!/bin/sh\necho went\n","mode":"755"}]}]}' ||
		return 1
	VM=$(jq -r .id "$tmp/body")
	new_session && succeeds '[ "$(cat a)" = b ] && [ "$(/skills/go)" = went ] &&
		[ "$(cat /skills/x/SKILL.md)" = do ]' &&
		fails 'LC_ALL=C touch /skills/go' &&
		grep -q 'Read-only file system' "$tmp/run" &&
		not in_guest touch /skills/x/SKILL.md &&
		not in_guest mount -o remount,bind,rw /skills
}
ok "F176 those of a VM, and read-only ones at a place of their own" f176_vm
by_option() {
	printf one >"$tmp/a:b" && printf '#!/bin/sh\necho ran\n' >"$tmp/go" &&
		chmod 750 "$tmp/go" && head -c 3000000 /dev/urandom >"$tmp/large" &&
		VM=$(hib vm create --no-boot --file "$tmp/a:b:c" --file "$tmp/large:") &&
		new_session --file "$tmp/go" --file "$tmp/a:b:d/e/" --file \
			"$tmp/go:/workspace/x/y" &&
		equal "$(hib files cat "$VM" large | cksum)" "$(cksum <"$tmp/large")" &&
		succeeds '[ "$(cat c)$(cat d/e/a:b)" = oneone ] && ./go && x/y &&
			[ $(stat -c %a go) = 750 ]'
}
ok "F176 files of this machine by option" by_option
by_option_refused() {
	vms=$(hib vm list --json | jq length)
	head -c 17000000 /dev/zero >"$tmp/huge" || return 1
	for f in "$tmp/none" "$tmp" "$tmp/go:../x" ''; do
		refused "" 5 hib vm create --file "$tmp/go" --file "$f" || return 1
	done
	refused file_not_found 6 hib vm create --file "$tmp/go:a" --file \
		"$tmp/go:a/b" || return 1
	not hib vm create --file "$tmp/huge" 2>"$tmp/err" &&
		grep -q '16 MiB' "$tmp/err" &&
		not hib session create --agent echo --file "$tmp/huge" &&
		equal "$(hib vm list --json | jq length)" "$vms"
}
ok "or none of them" by_option_refused
# --- files to begin with, and how far they are ------------------------------

mkdir "$tmp/many" && truncate -s 64M "$tmp/many/large" && echo a >"$tmp/many/a"
create_watched() {
	curl -sN --max-time "$((60 * slow))" --unix-socket "$HIB_HOME/hibd.sock" \
		-H 'Accept: text/event-stream' -d "$1" http://hib/v1/vms
}
import_told() {
	create_watched "{\"workspace\":\"$tmp/many\",\"boot\":false}" \
		>"$tmp/events" &&
		equal "$(grep '^event' "$tmp/events" | sort -u | tr '\n' ' ')" \
			"event: progress event: result " &&
		sed -n 's/^data: //p' "$tmp/events" | jq -se \
			'.[0].stage == "read" and .[0].bytes > 0 and (last | .id)' &&
		hib vm get "$(sed -n 's/^data: //p' "$tmp/events" |
			jq -sr 'last.id')"
}
ok "a client that wants it is told how far an import is" import_told
import_failed() {
	create_watched '{"workspace":"/nowhere"}' >"$tmp/events" &&
		equal "$(grep '^event' "$tmp/events")" "event: error" &&
		sed -n 's/^data: //p' "$tmp/events" |
		jq -e '.data.code == "invalid_argument"' &&
		create_watched '{"net":"x"}' | jq -e '.data.code == "invalid_argument"'
}
ok "and of its failure" import_failed
on_terminal() {
	python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' \
		timeout "$((30 * slow))" "$O/bin/hib" "$@" >"$tmp/shown"
}
import_shown() {
	on_terminal vm create --no-boot --workspace "$tmp/many" &&
		grep -q 'reading 0 files, .* MiB' "$tmp/shown" &&
		hib vm get "$(grep -o 'vm_[0-9a-f]*' "$tmp/shown")" &&
		on_terminal vm create --json --no-boot --workspace "$tmp/many" &&
		not grep -q reading "$tmp/shown" && jq .id "$tmp/shown" &&
		hib vm create --no-boot --workspace "$tmp/many" 2>"$tmp/err" &&
		[ ! -s "$tmp/err" ] &&
		not on_terminal vm create --workspace /nowhere
}
ok "a terminal shows it" import_shown

bad_files() {
	vms=$(hib vm list --json | jq length)
	for f in '"x"' '[{"path":"a"}]' '[{"content":"a"}]' '[{"path":"a","content":1}]'; do
		answers 400 invalid_argument POST /v1/vms "{\"initialFiles\":$f}" &&
			answers 400 invalid_argument POST /v1/sessions \
				"{\"agent\":\"echo\",\"initialFiles\":$f}" || return 1
	done
	answers 400 path_escape POST /v1/vms \
		'{"initialFiles":[{"path":"../a","content":"a"}]}' &&
		answers 400 path_escape POST /v1/vms '{"mounts":[{"target":"/x",
			"files":[{"path":"a/../../b","content":"a"}]}]}' &&
		equal "$(hib vm list --json | jq length)" "$vms"
}
ok "files that cannot be are refused, and nothing is made" bad_files

# --- a limited disk -----------------------------------------------------------

quota() {
	new_vm --quota 64M && new_session &&
		fails 'LC_ALL=C head -c 100M /dev/zero >fill' &&
		grep -q 'No space left' "$tmp/run" && says "$SES" '!say on' on &&
		fails 'LC_ALL=C head -c 1M /dev/zero >~/more' &&
		grep -q 'No space left' "$tmp/run" &&
		succeeds 'rm fill && head -c 30M /dev/zero >half && sync half' &&
		hib vm sleep "$VM" && succeeds '[ $(stat -c %s half) = 31457280 ]' &&
		kill_vm "$VM" && wait_for_state "$SES" suspended &&
		succeeds '[ $(stat -c %s half) = 31457280 ] && touch x'
}
committed() {
	hib files ls --at HEAD "$VM" | tr '\n' ' '
}
fill='for i in $(seq 3000); do echo $i >f$i; done;
	LC_ALL=C head -c 100M /dev/zero >fill'
quota_commits() {
	new_vm --quota 64M && new_session && succeeds 'echo a >a' && fails "$fill" &&
		grep -q 'No space left' "$tmp/run" && says "$SES" '!say on' on &&
		{ hib files checkpoint "$VM" 2>"$tmp/err" ||
			grep -q disk_full "$tmp/err"; } &&
		succeeds 'rm f*' && equal "$(committed)" "a " &&
		succeeds 'echo b >b' && equal "$(committed)" "a b "
}
quota_asleep() {
	fails "$fill" && hib vm sleep "$VM" && succeeds 'rm f*' &&
		equal "$(committed)" "a b " && hib vm sleep --json "$VM" |
		jq -e .workspace.complete
}
quota_killed() {
	fails "$fill" && kill_vm "$VM" && wait_for_state "$SES" suspended &&
		succeeds 'rm f*' && equal "$(committed)" "a b "
}
quota_first() {
	new_vm --quota 64M && new_session && fails "$fill" &&
		succeeds 'rm f*' && equal "$(committed)" "" &&
		succeeds 'echo a >a' && equal "$(committed)" "a "
}
quota_restored() {
	one=$(hib files checkpoint "$VM") && fails "$fill" &&
		hib files restore "$VM" "$one" && succeeds 'ls' &&
		grep -q '^a' "$tmp/run" && not grep -q fill "$tmp/run" &&
		succeeds 'LC_ALL=C head -c 30M /dev/zero >half' &&
		equal "$(committed)" "a half "
}
# full_is_kept - What is on a full disk can be committed, and brought back.
full_is_kept() {
	fails 'echo first >first && cat /dev/zero >fill' &&
		succeeds 'i=0; while mkdir d$i; do i=$((i + 1)); done; true' &&
		_full=$(hib files checkpoint "$VM") &&
		succeeds 'rm -r first fill d*' &&
		hib files restore "$VM" "$_full" first &&
		succeeds 'grep -qx first first'
}
no_quota() {
	refused capability_unsupported 5 hib vm create --quota 64M
}
if hib vm create --no-boot --quota 64M >"$tmp/quota" 2>&1; then
	ok "F177 a full disk is an error inside, and no more than that" quota
	ok "what is on a full disk can be committed" full_is_kept
	ok "F177 commits are right again once there is room" quota_commits
	ok "F177 also after a sleep on a full disk" quota_asleep
	ok "F177 or when its power was cut" quota_killed
	ok "F177 and if there was never room for one" quota_first
	ok "F177 a full workspace can be restored" quota_restored
elif [ "$(id -u)" = 0 ]; then
	skip "F177 a full disk is an error inside" "no loop devices"
else
	ok "F177 without root there is no quota" no_quota
fi
bad_quota() {
	for q in 0 1M -5M x 5X 5MB 99999999999G; do
		not hib vm create --no-boot --quota "$q" || return 1
	done
}
ok "a quota that is no size is refused" bad_quota

done_testing
