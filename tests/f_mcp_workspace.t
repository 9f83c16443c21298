#!/bin/sh
# The builtin MCP server "workspace": the same answers as npm's
# server-filesystem, and what only we have.
#
# NPM_CACHE_DIR  where npm's server stays between runs (default: $O/npm)
#
# The calls, and where the answers are meant to differ, are in
# fake/mcp_workspace.mjs.
# shellcheck disable=SC2016,SC2119 # $ is for jq and VMs; new_vm takes no options
. tests/lib.sh

npm_dir=${NPM_CACHE_DIR:-$O/npm}/mcp/server-filesystem-2026.8.31
server=$npm_dir/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
	skip_all "node and npm are not here"
fi

# --- npm's server -----------------------------------------------------------------

install_server() {
	[ ! -e "$npm_dir/done" ] || return 0
	mkdir -p "$npm_dir" 2>/dev/null && [ -w "$npm_dir" ] || return 1
	exec 9>"$npm_dir/lock"
	timeout 600 flock 9
	[ -e "$npm_dir/done" ] ||
		{ echo '{"private":true}' >"$npm_dir/package.json" &&
			(cd "$npm_dir" && timeout 300 npm install --no-audit \
				--no-fund --loglevel=error diff@8.0.4 minimatch@10.2.6 \
				@modelcontextprotocol/server-filesystem@2026.8.31) \
				>"$tmp/npm.log" 2>&1 && touch "$npm_dir/done"; }
	_done=$?
	exec 9>&-
	return "$_done"
}
install_server || skip_all "npm's server cannot be installed"

# --- the files --------------------------------------------------------------------

# The same on both sides, made by a shell.
cat >"$tmp/tree.sh" <<'SH'
set -e
umask 022
mkdir -p sub/deep/er empty 'sp ace'
printf 'one\ntwo\nthree\nfour\nfive\n' >lines.txt
printf 'no newline' >nonl.txt
printf 'a\r\nb\r\nc\r\n' >crlf.txt
: >zero
printf '  if (x) {\n    foo();\n    bar();\n  }\n' >indent.c
printf 'int a;\n' >code.c
seq 1 500 >seq.txt
printf 'h\303\251llo \342\202\254\n' >"$(printf 'uni \303\251.txt')"
printf '\211PNG\r\n' >pic.png
printf x >snd.MP3
printf 'b\0in' >data.bin
printf '```\nfence\n```\n' >fence.md
printf x >sub/a.c
printf y >sub/deep/b.c
printf z >sub/deep/er/c.txt
head -c 1152 /dev/zero >s1152
head -c 5000 /dev/zero >s5000
for f in B a _u 10 9 .dot 'sp ace/f' x-y xY; do printf . >"$f"; done
ln -s lines.txt link
ln -s nowhere dangling
ln -s sub dirlink
ln -s /etc/passwd out
ln -s .. up
ln -s loop loop
ln -s "$PWD/lines.txt" absolute
ln -s /proc/self proc
ln -s /proc/self/fd procfd
touch -d '2020-01-02T03:04:05Z' lines.txt sub
chmod 600 code.c
SH

new_vm
vm=$VM
new_session --mcp-builtin workspace
ses=$SES
hib exec -i "$vm" -- sh -s <"$tmp/tree.sh"
mkdir "$tmp/ref" && (cd "$tmp/ref" && sh "$tmp/tree.sh")

compared() {
	node tests/fake/mcp_workspace.mjs npm "$server" "$tmp/ref" >"$tmp/npm.out" &&
		node tests/fake/mcp_workspace.mjs hib "$HIB_HOME/hibd.sock" "$ses" \
			>"$tmp/hib.out" &&
		node tests/fake/mcp_workspace.mjs compare "$tmp/npm.out" "$tmp/hib.out"
}
ok "it answers as npm's server does" compared

# What both have left: names, contents and permissions.
left='find . -type f -printf "%p %m " -exec cat {} \; -o -printf "%p %y\n"'
same_files() {
	(cd "$tmp/ref" && sh -c "$left" | sort) >"$tmp/a" &&
		hib exec -c "$vm" "$left" | sort >"$tmp/b" && cmp "$tmp/a" "$tmp/b"
}
ok "and leaves the same files" same_files
untouched() {
	hib exec -c "$vm" 'ls -d /w /etc/w /home/user/w /stolen /workspace/stolen' \
		>"$tmp/a" 2>/dev/null
	[ ! -s "$tmp/a" ]
}
ok "nothing was written outside" untouched

# --- commits ----------------------------------------------------------------------

# use TOOL ARGUMENTS - call it, and print what it says.
use() {
	curl -sS --max-time "$((30 * slow))" --unix-socket "$HIB_HOME/hibd.sock" \
		--data-binary "{\"tool\":\"$1\",\"arguments\":$2}" \
		"http://hib/v1/sessions/$ses/mcp/workspace/call" |
		jq -r '.content[0].text, if .isError then error("") else empty end'
}
# fails WORD TOOL ARGUMENTS - its error has this word.
fails() {
	_word=$1
	shift
	not use "$@" >"$tmp/x" 2>&1 && cat "$tmp/x" && grep -q "$_word" "$tmp/x"
}

checkpoint() {
	use write_file '{"path":"h","content":"one\n"}' &&
		first=$(use checkpoint '{}' | jq -r .commit) &&
		equal "$(hib files cat --at "$first" "$vm" h)" one &&
		use write_file '{"path":"h","content":"two\n"}' &&
		use create_directory '{"path":"dir"}' &&
		use write_file '{"path":"dir/new","content":"x"}'
}
ok "it makes commits" checkpoint
diff_them() {
	use diff "{\"from\":\"$first\"}" >"$tmp/diff" &&
		grep -q '^-one$' "$tmp/diff" && grep -q '^+two$' "$tmp/diff" &&
		grep -q '^+++ b/dir/new' "$tmp/diff" &&
		equal "$(use diff "{\"from\":\"$first\",\"to\":\"$first\"}")" "No changes" &&
		fails 'no commit' diff '{"from":"deadbeef"}' &&
		fails 'a turn or a commit' diff '{"from":""}'
}
ok "it shows what has changed" diff_them
restore() {
	use restore "{\"to\":\"$first\",\"paths\":[\"h\",\"/workspace/dir\"]}" |
		jq -e .was &&
		equal "$(use read_text_file '{"path":"h"}')" one &&
		not use get_file_info '{"path":"dir"}' &&
		fails "'..' in it" restore "{\"to\":\"$first\",\"paths\":[\"../x\"]}" &&
		fails 'is not in' restore "{\"to\":\"$first\",\"paths\":[\"/etc\"]}" &&
		fails paths restore "{\"to\":\"$first\",\"paths\":[]}"
}
ok "it brings files back" restore

# --- with an agent ----------------------------------------------------------------

agent_uses_it() {
	prompt "$ses" '!mcp call workspace write_file {"path":"by-agent","content":"hi"}' \
		>"$tmp/x" && equal "$(hib files cat "$vm" by-agent)" hi &&
		holds "$ses" 'any(.[]; .type == "turn.diff" and
			any(.data.files[]; .path == "by-agent"))'
}
ok "what an agent writes by it is its turn's" agent_uses_it
outside_use() {
	use write_file '{"path":"by-other","content":"x"}' &&
		prompt "$ses" hello >"$tmp/x" &&
		not holds "$ses" 'any(.[]; .type == "turn.diff" and
			any(.data.files[]; .path == "by-other"))'
}
ok "what others write is not" outside_use

# --- many, and much ---------------------------------------------------------------

side_by_side() {
	for _i in $(seq 30); do
		use write_file "{\"path\":\"many$_i\",\"content\":\"$_i\"}" &
	done >"$tmp/x"
	wait
	for _i in $(seq 30); do
		equal "$(use read_text_file "{\"path\":\"many$_i\"}")" "$_i" || return 1
	done
}
ok "calls side by side do not mix" side_by_side
too_large() {
	hib exec -c "$vm" 'head -c 6000000 /dev/zero | tr "\0" "\n" >large' &&
		fails 'more than' read_text_file '{"path":"large"}' &&
		equal "$(use read_text_file '{"path":"large","head":3}' | wc -l)" 3 &&
		fails 'more than' read_media_file '{"path":"large"}'
}
ok "what is too large is not told, but a part of it" too_large
done_testing
