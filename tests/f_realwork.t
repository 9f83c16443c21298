#!/bin/sh
# Programs that nobody here wrote do their work in /workspace: git, SQLite,
# Python, make and a compiler, tar; and what they made is the same afterwards.
#
# FILES_LONG  set: also the whole build, an installation by npm from the
#             network, and the checks of fio and stress-ng, where they are
# shellcheck disable=SC2119 # new_session may have no options
. tests/lib.sh

PATIENCE=120
vm_program fake/fsops
fsops=/opt/agents/fsops

# --- what is worked on -------------------------------------------------------------

# The sources of this project as a repository with some history; read-only in
# the VM.
make_repository() {
	mkdir "$tmp/source" && cp -r Makefile core guest host tests vfs \
		"$tmp/source" &&
		cd "$tmp/source" || return 1
	git init -q -b main && git config user.name T &&
		git config user.email t@example.org || return 1
	for folder in core guest host .; do
		git add "$folder" && git commit -qm "add $folder" || return 1
	done
	git switch -qc side && git mv core/base.h core/moved.h &&
		git commit -qm 'move a file' && git switch -q main &&
		git clone -q --bare . "$HIB_HOME/agents/source.git"
}
ok "a repository is made" make_repository
cd "${0%/*}/.." || exit 1

# It begins with a commit, so it is an overlay where FUSE can be had.
mkdir "$tmp/first" && echo first >"$tmp/first/file"
new_vm --net host --workspace "$tmp/first"
new_session

# run COMMAND - as the agent; needs these programs.
run() {
	in_vm "$SES" "$1"
}

# has PROGRAM - is it in the image?
has() {
	run "command -v $1" >"$tmp/has"
}

# --- git -----------------------------------------------------------------------------

g='cd /workspace/clone && git'
run "git config --global safe.directory '*' && git config --global user.name T &&
	git config --global user.email t@example.org" >"$tmp/out" || cat "$tmp/out"

git_clones() {
	run "git clone -q file:///opt/agents/source.git /workspace/clone &&
		$g fsck --strict 2>&1 && test -z \"\$(git status --porcelain)\""
}
ok "git clones, and the clone is whole and clean" git_clones

git_commits() {
	run "$g mv core/json.c core/jason.c && echo more >>Makefile && mkdir new &&
		echo x >new/file && git add -A && git commit -qm work &&
		git merge -qm both origin/side && git gc -q 2>&1 &&
		git fsck --strict 2>&1 && git status --porcelain | wc -l"
	equal "$(head -n 1 "$tmp/said")" 0
}
ok "git moves, commits, merges and packs" git_commits

git_switches() {
	run "$g switch -qc old HEAD~3 && git switch -q main && git stash -q 2>&1;
		echo y >>Makefile && git stash -q && git stash pop -q &&
		git checkout -q Makefile && git worktree add -q ../tree HEAD~1 &&
		git worktree remove ../tree && git rebase -q HEAD~1 &&
		test -z \"\$(git status --porcelain)\" && git fsck --strict 2>&1"
}
ok "git switches, stashes, rebases and has a second worktree" git_switches

# --- SQLite ---------------------------------------------------------------------------

rows=300
writer="for i in \$(seq $rows); do
	echo \"INSERT INTO t(x) VALUES(randomblob(2000));\";
	[ \$((i % 50)) -ne 0 ] || echo \"PRAGMA wal_checkpoint;\";
done | sqlite3 -cmd '.timeout 20000' /workspace/db"

sqlite_writes() {
	run "sqlite3 /workspace/db 'PRAGMA journal_mode=WAL; CREATE TABLE t(x);'" &&
		run "($writer) >/dev/null & ($writer) >/dev/null; wait" &&
		run "sqlite3 /workspace/db 'PRAGMA integrity_check;
			SELECT count(*) FROM t;'" &&
		equal "$(xargs <"$tmp/said")" "ok $((2 * rows))"
}
if has sqlite3; then
	ok "two processes write one database in WAL mode" sqlite_writes
else
	skip "two processes write one database in WAL mode" "no sqlite3"
fi

# --- Python ---------------------------------------------------------------------------

venv_works() {
	run "python3 -m venv $1 /workspace/venv && . /workspace/venv/bin/activate &&
		cd /workspace && python -c 'import sys, json;
			assert sys.prefix == \"/workspace/venv\";
			json.dump({}, open(\"out.json\", \"w\"))' && cat out.json"
}
if has python3; then
	without=--without-pip
	! run 'python3 -c "import ensurepip"' >"$tmp/has" || without=
	ok "a virtual environment of Python works" venv_works $without
else
	skip "a virtual environment of Python works" "no python3"
fi

# --- make -----------------------------------------------------------------------------

make_builds() {
	run "cp -r /workspace/clone /workspace/build && cd /workspace/build &&
		git checkout -q origin/main && make -s -j2 $1 2>&1 | tail -n 20 &&
		make -q $1" && run 'cd /workspace/build && ls -l o/dev/*.a'
}
if has gcc && has make; then
	target=o/dev/vfs.a
	[ -z "$FILES_LONG" ] || target=all
	ok "make builds, and has nothing left to do" make_builds "$target"
else
	skip "make builds" "no gcc or no make"
fi

# --- tar ------------------------------------------------------------------------------

tar_round() {
	run 'cd /workspace && tar -cf all.tar clone && mkdir again &&
		tar -C again -xf all.tar && diff -r clone again/clone &&
		rm -r again all.tar'
}
ok "tar takes a tree and gives it back" tar_round

# --- npm ------------------------------------------------------------------------------

npm_installs() {
	run 'mkdir /workspace/app && cd /workspace/app && npm init -y >/dev/null &&
		npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
			eslint@8 webpack@5 webpack-cli@5 express@4 2>&1 &&
		npm ls --all --parseable | sort -u | wc -l' &&
		[ "$(grep . "$tmp/said" | tail -n 1)" -gt 200 ] &&
		run 'cd /workspace/app && npx eslint --version && npx webpack --version'
}
if [ -z "$FILES_LONG" ]; then
	skip "npm installs 200 packages, and they run" "FILES_LONG is not set"
elif ! has npm; then
	skip "npm installs 200 packages, and they run" "no npm"
else
	ok "npm installs 200 packages, and they run" npm_installs
fi

# --- what others check file systems with ------------------------------------------------

fio_verifies() {
	run "cd /workspace && mkdir fio && fio --minimal --directory=fio --size=16m \
		--bs=4k --rw=$1 --verify=crc32c --verify_fatal=1 --name=t \
		--ioengine=$2 --numjobs=2 --do_verify=1 2>&1 | tail -n 5 &&
		rm -r fio"
}
stress_verifies() {
	run "mkdir -p /workspace/stress && cd /workspace/stress &&
		stress-ng --temp-path . --verify --timeout 5s --$1 2 2>&1 | tail -n 5" &&
		! grep -qE 'fail:|unsuccessful' "$tmp/said"
}
stressors='chmod copy-file dentry dir dirdeep fallocate filename fpunch getdent
	hdd link mmapfork msync open readahead rename seek symlink sync-file utime
	fcntl fstat flock lockf iomix'
if [ -n "$FILES_LONG" ] && has fio; then
	for engine in sync psync mmap; do
		for rw in randwrite write randrw; do
			ok "fio $engine $rw reads what it wrote" fio_verifies \
				"$rw" "$engine"
		done
	done
fi
if [ -n "$FILES_LONG" ] && has stress-ng; then
	for stressor in $stressors; do
		ok "stress-ng --$stressor finds nothing" stress_verifies "$stressor"
	done
fi

# --- afterwards -------------------------------------------------------------------------

digest() {
	run "$fsops digest /workspace" >"$1"
}
sleeps_well() {
	digest "$tmp/before" && hib vm sleep "$VM" && hib vm wake "$VM" &&
		digest "$tmp/after" && cmp "$tmp/before" "$tmp/after" &&
		wc -l <"$tmp/after" && run "$g status --porcelain && git fsck --strict 2>&1"
}
ok "a sleep changes nothing of all that" sleeps_well

done_testing
