#!/bin/sh
# The command line by itself: help, wrong usage, exit codes, and reading a store
# with no daemon and no VM.
# shellcheck source=tests/lib.sh
. tests/lib.sh

ses=ses_0123456789abcdef0123456789abcdef
trn=trn_0123456789abcdef0123456789abcdef

# --- usage ------------------------------------------------------------------

usage_error() {
	"$O/bin/hib" "$@" >"$tmp/out" 2>"$tmp/err"
	equal "$?" 5 && [ ! -s "$tmp/out" ] && [ -s "$tmp/err" ]
}

prints() {
	_want=$1
	shift
	hib "$@" | grep -q "$_want"
}
ok "help is on stdout" prints "session create" help
ok "--version" prints "^hib [0-9]" --version
ok "no command" usage_error
ok "an unknown command" usage_error nosuch
ok "a group without its second word" usage_error session
ok "an unknown option" usage_error session list --nosuch
ok "an option without its value" usage_error session list --state
ok "a missing argument" usage_error prompt "$ses"
ok "too many arguments" usage_error session get "$ses" more
ok "a number that is none" usage_error log "$ses" --since x
ok "create without an agent" usage_error session create

every_command_has_help() {
	"$O/bin/hib" help | sed -n 's/^  \([a-z ]*[a-z]\)   *[A-Z].*/\1/p' \
		>"$tmp/names"
	[ "$(wc -l <"$tmp/names")" -gt 35 ] || return 1
	grep -v '^help$' "$tmp/names" | while read -r name; do
		# shellcheck disable=SC2086 # one or two words
		"$O/bin/hib" $name --help </dev/null | grep -q "usage: hib $name" ||
			exit 1
	done
}
ok "every command has help" every_command_has_help

every_command_is_in_the_manual() {
	while read -r name; do
		[ "$name" = help ] || grep -q "hib $name" host/hib.1 || {
			echo "missing: $name"
			return 1
		}
	done <"$tmp/names"
}
ok "every command is in the manual" every_command_is_in_the_manual

bash_completes() {
	"$O/bin/hib" completion bash >"$tmp/hib.bash" &&
		bash -c ". $tmp/hib.bash"'
		COMP_WORDS=(hib session "") COMP_CWORD=2; _hib
		[[ " ${COMPREPLY[*]} " == *" create "* ]] || exit 1
		COMP_WORDS=(hib vm create --n) COMP_CWORD=3; _hib
		[[ " ${COMPREPLY[*]} " == *" --name "* ]] || exit 1
		COMP_WORDS=(hib exp) COMP_CWORD=1; _hib
		[ "${COMPREPLY[*]}" = export ]'
}
ok "bash completes words and options" bash_completes

# What a command needs in order to start, the sanitizers' own apart.
loads_little() {
	ldd "$O/bin/hib" >"$tmp/ldd" &&
		not grep -E 'libgit2|libarchive|libcurl|libcrypto' "$tmp/ldd"
}
ok "hib loads none of the large libraries" loads_little

# --- without a store --------------------------------------------------------

nothing_was_made() {
	hib session list && hib vm list && [ ! -e "$HIB_HOME/hib.db" ] &&
		[ ! -e "$HIB_HOME/hibd.sock" ]
}
ok "reading makes nothing and starts nothing" nothing_was_made
is "$(hib session list --json)" "[]" "no store is no sessions"
ok "F003 a malformed id" refused invalid_id 5 hib session get ses_x
ok "F003 an id of another kind" refused invalid_id 5 hib log "$trn"
ok "F232 a session that is not there" \
	refused session_not_found 6 hib session get "$ses"
ok "F232 a VM that is not there" refused vm_not_found 6 hib vm get nosuch
ok "F232 no daemon" refused vm_unavailable 8 hib daemon status
files_without_daemon() {
	refused vm_not_found 6 hib files checkpoint nosuch &&
		hib daemon status >/dev/null && hib daemon stop
}
ok "hib-files starts the daemon, too" files_without_daemon
same_words() {
	_hib_files=$O/lib/hibernacle/hib-files
	hib files ls --nosuch 2>"$tmp/ours"
	equal "$?" 5 || return 1
	"$_hib_files" files ls --nosuch 2>"$tmp/theirs"
	equal "$?" 5 && cmp "$tmp/ours" "$tmp/theirs" &&
		hib help | cmp - "$tmp/help"
}
"$O/lib/hibernacle/hib-files" help >"$tmp/help"
ok "hib-files speaks as hib does" same_words
ok "types are listed" prints "^turn.started$" types
ok "agents are listed" prints '"name": *"echo"' agent list --json

# --- a store, made by an import ---------------------------------------------

event() {
	seq=$((seq + 1))
	printf '{"v":1,"session":"%s","seq":%d,"epoch":1,"ts":%d,"type":"%s",%s"data":%s}\n' \
		"$ses" "$seq" "$((1763683200000 + seq))" "$1" "$2" "$3"
}

in_turn="\"turn\":\"$trn\","
chunk() {
	event acp.update "$in_turn" "{\"dir\":\"in\",\"msg\":{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"s\",\"update\":$1}}}"
}

make_export() {
	seq=0
	printf '{"hibernacle":1,"kind":"session","session":"%s"}\n' "$ses"
	event session.created "" '{"vm":"vm_0123456789abcdef0123456789abcdef","agent":"echo","cwd":"/workspace","create_hash":"00ff","title":"Offline"}'
	event session.state "" '{"from":"starting","to":"idle","reason":"ready"}'
	event input.message "$in_turn" '{"id":"msg_0123456789abcdef0123456789abcdef","content":[{"type":"text","text":"hello"}]}'
	event turn.started "$in_turn" '{"n":1,"first_seq":3}'
	event session.state "$in_turn" '{"from":"idle","to":"running","reason":"prompt"}'
	chunk '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"wor"}}'
	chunk '{"sessionUpdate":"tool_call","toolCallId":"c1","title":"Look","kind":"read"}'
	chunk '{"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"completed"}'
	chunk '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"ld\u001b[31m"}}'
	event turn.completed "$in_turn" '{"stop_reason":"end_turn","duration_ms":7}'
	event session.state "" '{"from":"running","to":"suspended","reason":"sleep"}'
}

make_export >"$tmp/export"
is "$(hib import "$tmp/export")" "$ses" "import prints the id"
ok "import twice conflicts" refused already_exists 7 hib import "$tmp/export"
same_export() {
	hib export "$ses" | cmp - "$tmp/export" &&
		hib export "$ses" -o "$tmp/again" && cmp "$tmp/again" "$tmp/export"
}
ok "export gives the same bytes" same_export

read_all() {
	hib session list --json
	hib session list
	hib session get "$ses" --json
	hib session turns "$ses" --json
	hib session requests "$ses" --json
	hib session stats "$ses" --json
	hib log "$ses"
	hib log "$ses" --json
	hib log "$ses" --raw
	hib log "$ses" --view tools --json
	hib messages "$ses"
	hib messages "$ses" --json
	hib export "$ses"
	hib store check
}
read_all >"$tmp/online" 2>"$tmp/online.err"
ok "F233 no words on success" [ ! -s "$tmp/online.err" ]
hib daemon stop
sums() {
	(cd "$HIB_HOME" && find . -type f ! -name '*-shm' ! -name '*.log' \
		-exec sha256sum {} + | sort)
}
sums >"$tmp/sums.before"
read_all >"$tmp/offline" 2>"$tmp/offline.err"
sums >"$tmp/sums.after"
ok "F253 offline and online say the same" cmp "$tmp/online" "$tmp/offline"
ok "F252 reading leaves every file as it is" \
	cmp "$tmp/sums.before" "$tmp/sums.after"
ok "F252 reading starts no daemon" refused vm_unavailable 8 hib daemon status

is "$(hib session get "$ses" --json | jq -r .title)" Offline "the title"
is "$(hib session list --json | python3 -m json.tool | grep -c '"id"')" 1 \
	"F233 a list is one JSON array"
is "$(hib log "$ses" --json | wc -l)" 11 "F130 since 0 is everything"
is "$(hib log "$ses" --json --since 9 | head -n 1 | jq .seq)" 10 \
	"F130 since is exclusive"
ok "F130 a cursor ahead is refused" \
	refused cursor_ahead 7 hib log "$ses" --since 99
is "$(hib log "$ses" --json --types 'turn.*' | jq -r .type | tr '\n' ' ')" \
	"turn.started turn.completed " "F113 types"
is "$(hib log "$ses" --json --types 'turn.*' --exclude turn.started | wc -l)" \
	1 "F113 exclude wins"
ok "F113 an unknown type is refused" \
	refused invalid_argument 5 hib log "$ses" --types nosuch.type
is "$(hib log "$ses" --raw | jq -s length)" 4 "F124 raw is ACP alone"
is "$(hib log "$ses" --limit 3 | wc -l)" 3 "a limit"
is "$(hib log "$ses" --view tools --json |
	jq -c '.[0] | [.tool_call_id, .status, .kind, .first_seq, .last_seq]')" \
	'["c1","completed","read",7,8]' "F104 tools"
is "$(hib messages "$ses" --json | jq -c '[.[] | .parts[].type]')" \
	'["text","text","tool_call","text"]' "F123 parts in order"
is "$(hib session stats "$ses" --json | jq '.types["acp.update"]')" 4 \
	"F114 counts"
is "$(hib session turns "$ses" --json | jq -r '.[0].stop_reason')" end_turn \
	"turns"

on_a_terminal() {
	script -qec "TERM=xterm $O/bin/hib messages $ses" /dev/null </dev/null \
		>"$tmp/tty" && grep -q 'ld' "$tmp/tty" &&
		not grep -q "$(printf 'ld\033\\[31m')" "$tmp/tty"
}
if command -v script >/dev/null; then
	ok "what an agent says does not act on the terminal" on_a_terminal
else
	skip "what an agent says does not act on the terminal" "no script(1)"
fi

full_disk() {
	[ -w /dev/full ] || return 0
	hib export "$ses" >/dev/full 2>/dev/null
	not equal "$?" 0
}
ok "a full disk is told" full_disk

# The store is not one that VMs take part in: no invariants to settle.
rm -f "$HIB_HOME/hib.db"*
done_testing
