#!/bin/sh
# Files that mean harm: whatever an agent leaves in /workspace, or puts there
# while it is being committed, nothing of the host, of hib-guest or of another
# VM is read into it, written to or run; the repository stays whole; and what
# can be kept is kept.
#
# FILES_LONG  set: 1,000,000 empty files instead of 100,000
# shellcheck disable=SC2016,SC2119 # $ is for the shell in the VM
. tests/lib.sh

PATIENCE=120
n_files=100000
[ -z "$FILES_LONG" ] || n_files=1000000

vm_program fake/fsops
fsops=/opt/agents/fsops
umask 022

# What must not be touched, and must not be read.
mkdir "$tmp/outside" && echo host-canary-4711 >"$tmp/outside/file"
chmod 700 "$tmp/outside"

new_vm
other_vm=$VM
new_session
in_vm "$SES" 'echo other-canary-4711 >/workspace/file' >"$tmp/out"
hib vm sleep "$other_vm"
other=$HIB_HOME/vms/$other_vm

new_vm
new_session

git_of() {
	_vm=$1
	shift
	git -c safe.directory='*' --git-dir="$HIB_HOME/vms/$_vm/workspace.git" "$@"
}

# committed - the repository is there and whole.
committed() {
	git_of "$VM" fsck --strict --no-dangling 2>&1 &&
		git_of "$VM" rev-parse HEAD
}

digest() { # SES
	in_vm "$1" "$fsops digest /workspace" >"$tmp/digest"
	[ -s "$tmp/digest" ] && cat "$tmp/digest"
}

# Everything that is in the repository, one after another.
all_objects() {
	git_of "$VM" cat-file --batch-all-objects --batch --unordered
}

nothing_leaked() {
	all_objects >"$tmp/objects" || return 1
	for _secret in host-canary-4711 other-canary-4711 'SQLite format 3' \
		"$(head -c 16 "$HIB_HOME/key")"; do
		not grep -qaF "$_secret" "$tmp/objects" || return 1
	done
}

# The folders that must not change have not.
state_of_others() {
	"$O/tests/fake/fsops" digest "$tmp/outside"
	"$O/tests/fake/fsops" digest "$other"
}
state_of_others >"$tmp/others"
others_unchanged() {
	state_of_others >"$tmp/others.now" && cmp "$tmp/others" "$tmp/others.now"
}

# Commit, and see that nothing else has happened.
settle() {
	hib vm sleep "$VM" && committed && nothing_leaked && others_unchanged
}

# kept - a fork of the VM begins with the same files.
kept() {
	digest "$SES" >"$tmp/before" && settle &&
		_fork=$(hib fork --workspace copy --start "$SES") &&
		digest "$_fork" >"$tmp/after" &&
		hib vm destroy --force "$(session_field "$_fork" vm_id)" &&
		cmp "$tmp/before" "$tmp/after" && wc -l <"$tmp/after"
}

# --- names -----------------------------------------------------------------------------

# The file of a name holds its number; python makes names that a shell cannot.
odd_names='
import os
names = [b"new\nline", b"tab\t", b"\x01\x7f\x1b[31m", b"\xff\xfe", b" ", b"-rf",
	b"\xc3\xa9", b"e\xcc\x81", b"Case", b"case", b"CASE", b"\xc0\xaf",
	b".git", b".GIT", b"git~1", b".git ", b".git.", b".g\xe2\x80\x8cit",
	b".gitmodules", b"gitmod~1", b".gitattributes", b".mailmap",
	b".hib-dir", b".hib-x", b".hib-x.git", b".hib-x.hib-dir",
	b"a\\b", b"\\", b"..\\..\\x", b"x:y", b"CON", b"\"quoted\"", b"...",
	b"x" * 255, b"\xff" * 255, b"HEAD", b"refs", b"deleteall", b"done"]
os.makedirs(b"/workspace/names/dirs", exist_ok=True)
for i, n in enumerate(names):
	open(b"/workspace/names/" + n, "w").write(str(i))
	os.makedirs(b"/workspace/names/dirs/" + n + b"/" + n)
	open(b"/workspace/names/dirs/" + n + b"/f", "w").write(str(i))
'
deep_names='
import os
os.chdir("/workspace")
for i in range(200):
	os.mkdir("deep %d" % i); os.chdir("deep %d" % i)
	open("f", "w").write(str(i))
os.symlink("x" * 4095, "long")
'
# Longer than any path that a program can name at once.
too_deep='
import os
os.mkdir("/workspace/too_deep"); os.chdir("/workspace/too_deep")
for i in range(40):
	os.mkdir("d" * 250); os.chdir("d" * 250)
	open("f", "w").write(str(i))
'
# py TEXT - run a program in the VM.
py() {
	printf '%s' "$1" >"$HIB_HOME/agents/program.py"
	in_vm "$SES" "python3 /opt/agents/program.py"
}

ok "odd names, twins and names that git refuses are made" py "$odd_names"
ok "... and kept" kept
ok "200 folders in each other are made" py "$deep_names"
ok "... and kept" kept
ok "a path of 10,000 bytes is made" py "$too_deep"
ok "... and does not stop a commit" settle
ok "... which has what could be named" eval 'git_of "$VM" ls-tree -r --name-only \
	HEAD too_deep | awk "length > 3500 { n++ } END { exit n < 1 }"'
ok "... nor its removal" in_vm "$SES" "rm -rf /workspace/too_deep"

# --- permissions ------------------------------------------------------------------------

ok "files that nobody may read, and empty folders, are made" in_vm "$SES" \
	'mkdir -p /workspace/modes && cd /workspace/modes && for m in 0000 0111 0200
	0444 0640 0755 1777 2755 4755; do echo $m >f$m && mkdir d$m &&
	chmod $m f$m d$m || exit 1; done'
ok "... and kept" kept

# --- git's own files --------------------------------------------------------------------

hook="touch $tmp/outside/pwned"
hooks() {
	cat >"$HIB_HOME/agents/hooks.sh" <<-END
		set -e
		mkdir -p /workspace/repo && cd /workspace/repo && git init -q .
		for h in post-checkout post-commit pre-commit post-update \
			reference-transaction fsmonitor-watchman; do
			printf '#!/bin/sh\n$hook\n' >.git/hooks/\$h
			chmod 755 .git/hooks/\$h
		done
		git config core.fsmonitor .git/hooks/fsmonitor-watchman
		git config core.hooksPath /workspace/repo/.git/hooks
		git config core.pager '$hook'
		git config diff.external '$hook'
		echo '* filter=evil diff=evil' >.gitattributes
		git config filter.evil.clean '$hook'
		cp -r .git ../bare.git && cp -r .git/. ..
		cp .gitattributes .. && cp .git/config ../.gitmodules
		test -x ../hooks/pre-commit
	END
	in_vm "$SES" "sh /opt/agents/hooks.sh"
}
ok "hooks, filters and a configuration of git are made" hooks
ok "... and kept" kept
runs_nothing() {
	committed >"$tmp/head" && for command in log show 'ls-tree -r HEAD' \
		'diff HEAD~1 HEAD' 'archive -o /dev/null HEAD' gc; do
		# shellcheck disable=SC2086 # words
		git_of "$VM" $command >"$tmp/out" 2>&1 </dev/null || return 1
	done && others_unchanged
}
ok "git on the host runs none of it" runs_nothing

# --- links ------------------------------------------------------------------------------

ok "links to what is outside are made" in_vm "$SES" "mkdir -p /workspace/links &&
	cd /workspace/links && ln -s $tmp/outside/file a && ln -s $HIB_HOME/key b &&
	ln -s /hib/state c && ln -s ../../../../../../..$tmp/outside d &&
	ln -s /proc/self/root e && ln -s . f && ln -s f/f/f/f g && ln -s h h &&
	ln -s $other/disk i && ln -s /hib/vfs j && ln -s ../../.. k"
ok "... and kept, as links" kept

# --- changed while it is read -------------------------------------------------------------

# A name is a file, a link out, a FIFO, a socket, a folder, in turns.
race='
import os, random, shutil, socket, sys, time
os.makedirs("/workspace/race", exist_ok=True)
os.chdir("/workspace/race")
end = time.time() + float(sys.argv[1])
def clear(n):
	try:
		if os.path.isdir(n) and not os.path.islink(n): shutil.rmtree(n)
		else: os.unlink(n)
	except OSError: pass
def folder(n):
	os.mkdir(n); open(n + "/file", "w").write("inside")
makes = [lambda n: open(n, "w").write("x" * random.randrange(1 << 20)),
	lambda n: os.symlink("/hib/state", n), lambda n: os.mkfifo(n),
	lambda n: os.symlink("/hib/state/guest.db", n), folder,
	lambda n: socket.socket(socket.AF_UNIX).bind(n),
	lambda n: os.symlink("/hib/vfs", n), lambda n: os.truncate(n, 1 << 33),
	lambda n: os.mknod(n, 0o020600, 0),
	lambda n: os.rename(random.choice("abcdefgh"), n)]
while time.time() < end:
	n = random.choice("abcdefgh")
	clear(n)
	try: random.choice(makes)(n)
	except OSError: pass
'
# Turns end, and the VM is put to sleep, while another session changes files.
races() {
	printf '%s' "$race" >"$HIB_HOME/agents/race.py"
	_other=$(hib session create --agent echo --vm "$VM") || return 1
	for _round in 1 2 3; do
		hib prompt "$_other" --no-wait \
			'!run python3 /opt/agents/race.py 3' || return 1
		for _turn in 1 2 3 4; do
			in_vm "$SES" "echo $_round-$_turn >/workspace/turn" || return 1
		done
		settle && hib session resume "$_other" || return 1
	done
}
ok "a name that becomes something else while it is read does no harm" races
ok "what is left of it is kept" eval \
	'in_vm "$SES" "find /workspace/race ! -type f ! -type d ! -type l -delete"; kept'

# --- what an overlay means something by -------------------------------------------------

whiteouts='
import os
os.makedirs("/workspace/white/dir", exist_ok=True)
os.chdir("/workspace/white")
open("dir/file", "w").write("1"); open("file", "w").write("2")
def attempt(f):
	try: f()
	except OSError as e: print(e)
attempt(lambda: os.mknod("node", 0o020000, 0))
for k in ("opaque", "redirect", "metacopy", "whiteout", "whiteouts", "origin"):
	for n in ("dir", "file"):
		for v in (b"y", b"/../../hib/state", b"x"):
			attempt(lambda: os.setxattr(n, "user.overlay." + k, v))
			attempt(lambda: os.setxattr(n, "trusted.overlay." + k, v))
'
ok "attributes and nodes that mean something in an overlay are made" py \
	"$whiteouts"
ok "... mean nothing" eval 'in_vm "$SES" "rm -f /workspace/white/node"; kept'

# --- many, and large ---------------------------------------------------------------------

many_files="
import os
os.chdir('/workspace')
for i in range($n_files):
	if i % 1000 == 0:
		os.makedirs('many/%d' % (i // 1000))
	os.close(os.open('many/%d/%d' % (i // 1000, i), os.O_CREAT | os.O_WRONLY))
"
ok "$n_files empty files are made" py "$many_files"
ok "... and kept" kept
ok "a file of 1 TiB that has nothing in it is made" in_vm "$SES" \
	'truncate -s 1T /workspace/sparse'
ok "... which does not stop a commit" settle
ok "... nor the VM" in_vm "$SES" \
	'test "$(stat -c %s /workspace/sparse)" = 1099511627776 && rm /workspace/sparse'

ok "nothing else has changed" others_unchanged
done_testing
