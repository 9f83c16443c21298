#!/bin/sh
# f_files_offline.t - hib files reads committed files with everything off
. tests/lib.sh

turn=trn_0193000000000000000000000000000a
ses=ses_0193000000000000000000000000000a

vm=$(hib vm create --no-boot --name work)
ok "without a commit there is nothing to read" \
	refused snapshot_not_found 6 hib files ls "$vm"
kill_hibd TERM

# --- what a guest would have sent, made by plain git ------------------------

repo=$HIB_HOME/vms/$vm/workspace.git
src=$tmp/src
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME="$tmp"
git init -q -b main "$src"

# commit REASON [TURN] - commit all of $src and make it the VM's.
commit() {
	git -C "$src" add -A
	{
		printf 'checkpoint\n\nSession: %s\n' "$ses"
		[ -z "$2" ] || echo "Turn: $2"
		printf 'Event-Seq: 7\nReason: %s\n' "$1"
	} | git -C "$src" commit -q --allow-empty -F -
	git -C "$src" push -q "$repo" +main
	[ -z "$2" ] || git --git-dir="$repo" update-ref "refs/hib/$ses/$2" main
}

git init -q --bare -b main "$repo"
mkdir -p "$src/src/deep" "$src/.hib-x.git"
echo hello >"$src/README"
seq 100 >"$src/src/long"
echo 'int main;' >"$src/src/main.c"
chmod 755 "$src/src/main.c"
ln -s ../README "$src/src/link"
printf 'a\0b' >"$src/src/deep/bin"
echo secret >"$src/.hib-x.git/config"
printf '0600 README\n' >"$src/.hib-dir"
printf 'a\033[31mb' | xargs -0 -I{} touch "$src/src/{}"
commit turn "$turn"
one=$(git -C "$src" rev-parse HEAD)
git -C "$src" mv README READ.me
echo more >>"$src/src/main.c"
printf 'a\0c' >"$src/src/deep/bin"
commit sleep
git -C "$src" checkout -q "$one" -- src/main.c
commit request

# --- files ------------------------------------------------------------------

is "$(hib files ls work)" "$(printf '.git\nREAD.me\nsrc')" \
	"names are those of the users"
is "$(hib files ls --at "$turn" "$vm" | tr '\n' ' ')" ".git README src " \
	"a turn names the files that it left"
is "$(hib files ls -r work /workspace/src | head -n 3)" "$(printf \
	'src/a\033[31mb\nsrc/deep\nsrc/deep/bin')" "a folder is listed to its end"
is "$(hib files ls -l --at "$turn" work | sed -n 2p)" \
	"-rw-------            6 README" "permissions are those that were set"
is "$(hib files ls -l work src/link)" \
	"lrwxrwxrwx            9 link -> ../README" "a link shows where it leads"
is "$(hib files ls --json work src/link | jq -c '.[0]|[.path,.type,.target]')" \
	'["src/link","link","../README"]' "a program reads the same"
is "$(hib files stat --json work src/main.c | jq -r '.oid,.mode,.size')" \
	"$(git -C "$src" rev-parse HEAD:src/main.c && printf '100755\n10')" \
	"stat tells the object"
is "$(hib files cat work .git/config)" secret "cat prints a file"
is "$(hib files cat --at "${one%??????????????????????????????}" work README)" \
	hello "a commit has a short name"
bytes() {
	hib files cat work src/deep/bin | cmp - "$src/src/deep/bin"
}
ok "cat prints every byte" bytes
is "$(hib files cat work src/link)" ../README "a link is not followed"

# script(1) would be a terminal; python's pty is one that is here.
on_terminal() {
	python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' \
		timeout "$((30 * slow))" "$O/bin/hib" "$@"
}
esc=$(printf '\033')
# has_escape TEXT COMMAND... - what it prints on a terminal has that sequence.
has_escape() {
	_text=$esc$1
	shift
	on_terminal "$@" | grep -qF "$_text"
}
ok "a name cannot reach the terminal" not has_escape '' files ls work src
is "$(on_terminal files ls work src | sed -n 1p | tr -d '\r')" 'a\033[31mb' \
	"it is shown escaped"

# --- commits ----------------------------------------------------------------

is "$(hib files log --json work | jq -r '.[].reason' | tr '\n' ' ')" \
	"request sleep turn " "log lists commits"
is "$(hib files log --json work src/main.c | jq length)" 3 \
	"log of a path lists those that changed it"
is "$(hib files log --json work READ.me | jq -r '.[].reason')" sleep \
	"and no others"
is "$(hib files log --json work | jq -r '.[2]|.turn,.session,.seq')" \
	"$(printf '%s\n%s\n7' "$turn" "$ses")" "a commit tells its turn"

apply() {
	git -C "$src" worktree add -q --detach "$tmp/wt" "$one" &&
		hib files diff work "$turn" "$(git -C "$src" rev-parse HEAD~)" \
			2>"$tmp/notes" | git -C "$tmp/wt" apply &&
		cmp "$tmp/wt/READ.me" "$src/READ.me" &&
		grep -q more "$tmp/wt/src/main.c" &&
		grep -q 'src/deep/bin: modify, binary' "$tmp/notes"
}
ok "a diff can be applied" apply
is "$(hib files diff work | grep -c '^[-+]more')" 1 \
	"a diff without names is of the last commit"
plain_diff() {
	! hib files diff work | grep -qF "$esc"
}
ok "a diff has no colours" plain_diff
ok "but on a terminal it has" has_escape '[31m-more' files diff work
is "$(hib files show --json work "$turn" | jq -c '[.turn,.n_files,.parent]')" \
	"[\"$turn\",7,null]" "show tells a commit"
is "$(hib files changes --since "$turn" work)" "$(printf \
	'R README -> READ.me\nD README\nM src/deep/bin\nM src/main.c')" \
	"changes are all that later commits changed, also what was undone"

# --- export -------------------------------------------------------------------

tar_has_all() {
	mkdir "$tmp/out" && hib files export --tar - work | tar -C "$tmp/out" -xpf - &&
		cmp "$tmp/out/src/deep/bin" "$src/src/deep/bin" &&
		cmp "$tmp/out/.git/config" "$src/.hib-x.git/config" &&
		[ "$(readlink "$tmp/out/src/link")" = ../README ]
}
ok "a tar file has all files" tar_has_all
tar_of_turn() {
	hib files export --at "$turn" --tar "$tmp/t.tar" work &&
		tar -tvf "$tmp/t.tar" | grep -q -- '^-rw-------.* README$' &&
		[ ! -e "$tmp/t.tar.new" ]
}
ok "of any commit, with its permissions" tar_of_turn
# What is beside it is not ours, and what is no file is written to.
export_beside() {
	mkdir "$tmp/beside" && echo mine >"$tmp/beside/t.tar.new" &&
		hib files export --tar "$tmp/beside/t.tar" work &&
		equal "$(cat "$tmp/beside/t.tar.new")" mine &&
		tar -tf "$tmp/beside/t.tar" >"$tmp/x" &&
		equal "$(stat -c %a "$tmp/beside/t.tar")" 644 &&
		mkfifo "$tmp/beside/fifo" && {
			cat "$tmp/beside/fifo" >"$tmp/piped" &
			hib files export --tar "$tmp/beside/fifo" work
		} && wait $! && cmp "$tmp/piped" "$tmp/beside/t.tar" &&
		equal "$(find "$tmp/beside" -mindepth 1 | wc -l)" 3
}
ok "a file is exported in one piece, or into a pipe" export_beside
# As /dev/stdout is one.
by_a_link() {
	: >"$tmp/linked" && ln -s linked "$tmp/link" &&
		hib files export --tar "$tmp/link" work &&
		[ -h "$tmp/link" ] && cmp "$tmp/linked" "$tmp/beside/t.tar"
}
ok "or by a link, which stays one" by_a_link
git_has_all() {
	hib files export --git "$tmp/clone" work 2>"$tmp/left" &&
		grep -q 'left out' "$tmp/left" &&
		[ "$(git -C "$tmp/clone" rev-list --count main)" = 3 ] &&
		[ -z "$(git -C "$tmp/clone" status --porcelain)" ] &&
		cmp "$tmp/clone/src/long" "$src/src/long" &&
		[ ! -e "$tmp/clone/.hib-dir" ]
}
ok "a repository has all commits" git_has_all
ok "an export takes nobody's place" refused already_exists 7 \
	hib files export --git "$src" work

# --- refusals ---------------------------------------------------------------

ok "no such file" refused file_not_found 6 hib files cat work nope
ok "no such turn" refused turn_not_found 6 \
	hib files ls --at trn_0193000000000000000000000000000b work
ok "no such commit" refused snapshot_not_found 6 hib files ls --at abcdef0 work
ok "no such VM" refused vm_not_found 6 hib files ls nope
ok "no way out" refused path_escape 5 hib files cat work ../secret
ok "no text of a folder" refused invalid_argument 5 hib files cat work src
ok "no changes from the future" refused invalid_argument 5 \
	hib files changes --since HEAD --at "$turn" work
ok "hibd was not needed" not alive "$(hibd_pid)"

done_testing
