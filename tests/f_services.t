#!/bin/sh
# What an agent is served: files and terminals, as its user, inside its session.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
# shellcheck disable=SC2034
dir=/workspace

# reply SES TEXT - the reply without the newline that the command adds.
matches() {
	prompt "$1" "$2" >"$tmp/reply"
	cat "$tmp/reply"
	grep -qE "$3" "$tmp/reply"
}

# term SES COMMAND [MEMBERS] - the id of a new terminal.
term() {
	_members=$(jq -cn --arg c "$2" '{command: $c}' | sed 's/^{//;s/}$//')
	prompt "$1" "!call terminal/create $_members${3:+,$3}" |
		jq -r .terminalId
}

# on SES ID METHOD [FILTER] - the answer about a terminal.
on() {
	prompt "$1" "!call terminal/$3 \"terminalId\":\"$2\"" | jq -c "${4:-.}"
}

# --- what is offered ------------------------------------------------------

offered() {
	log_json "$1" | jq -c 'select(.data.msg.method? == "initialize") |
		.data.msg.params.clientCapabilities | {fs, terminal}'
}
all='{"fs":{"readTextFile":true,"writeTextFile":true},"terminal":true}'
ok "files and terminals are offered" \
	equal "$(offered "$SES")" "$all"

agent quirky
jq '.quirks = {no_fs: true, no_terminal: true}' "$HIB_HOME/agents/quirky.json" \
	>"$tmp/quirky" && mv "$tmp/quirky" "$HIB_HOME/agents/quirky.json"
AGENT=quirky
main=$SES
new_session
quirky=$SES
SES=$main
unset AGENT
none='{"fs":{"readTextFile":false,"writeTextFile":false},"terminal":false}'
ok "but not to an agent whose manifest forbids it" \
	equal "$(offered "$quirky")" "$none"
ok "and such an agent is not served" \
	says "$quirky" '!fsread /etc/passwd;;!term true' \
	'error -32601: method not founderror -32601: method not found'

# --- files ----------------------------------------------------------------

f_files() {
	says "$SES" "!fswrite $dir/a/b/c.txt one" '{}' &&
		says "$SES" "!fsread $dir/a/b/c.txt" one &&
		says "$SES" "!run stat -c '%u %a' $dir/a/b/c.txt" \
			"$(printf '1000 644\nexit: 0')"
}
ok "a file is written, with its folders, as the agent's user" f_files

f_lines() {
	says "$SES" "!run seq 10 >$dir/seq" 'exit: 0' &&
		says "$SES" "!fsread $dir/seq 3 2" "$(printf '3\n4')" &&
		says "$SES" "!fsread $dir/seq 10 5" 10 &&
		says "$SES" "!fsread $dir/seq 11" '' &&
		says "$SES" "!fsread $dir/seq 0 1" 1
}
ok "lines of it are read from the first on" f_lines

f_large() {
	says "$SES" "!run seq 200000 >$dir/many" 'exit: 0' &&
		says "$SES" "!fsread $dir/many 199999 2" \
			"$(printf '199999\n200000')" &&
		says "$SES" "!run head -c 9000000 /dev/zero >$dir/zero" \
			'exit: 0' &&
		matches "$SES" "!fsread $dir/zero" \
			'^error -32603: .*larger than 8388608 bytes'
}
ok "what is too large is refused, and can be read by lines" f_large

ok "what is no UTF-8 is replaced" says "$SES" \
	"!run printf 'a\\377b\\303(' >$dir/bad;;!fsread $dir/bad" \
	"$(printf 'exit: 0a\357\277\275b\357\277\275(')"

f_missing() {
	matches "$SES" "!fsread $dir/none" '^error -32002: ' &&
		matches "$SES" "!fsread $dir/seq/none" '^error -32002: ' &&
		matches "$SES" '!fsread seq' '^error -32602: .*not absolute' &&
		matches "$SES" '!call fs/read_text_file "path":7' \
			'^error -32602: ' &&
		matches "$SES" "!fsread $dir" '^error -32603: .*directory'
}
ok "a missing file is not found, a relative path is wrong" f_missing

f_missing_empty() {
	agent gem && jq '.quirks = {missing_empty: true}' \
		"$HIB_HOME/agents/gem.json" >"$tmp/gem" &&
		mv "$tmp/gem" "$HIB_HOME/agents/gem.json" &&
		id=$(hib session create --vm "$VM" --agent gem) &&
		says "$id" "!fsread $dir/none" ''
}
ok "a missing file reads as empty where the manifest asks for it" \
	f_missing_empty

f_user() {
	matches "$SES" '!fsread /etc/shadow' '^error -320' &&
		matches "$SES" '!fsread /hib/state/guest.db' '^error -32002' &&
		matches "$SES" '!fswrite /usr/bin/evil x' '^error -32603: ' &&
		matches "$SES" '!fsread /dev/zero' '^error -32603: '
}
ok "the agent reaches no file by us that it cannot reach itself" f_user

f_keeps() {
	_do="!run cd $dir &&"
	says "$SES" "$_do echo old >x && chmod 751 x && ln -s x link" \
		'exit: 0' && says "$SES" "!fswrite $dir/link new" '{}' &&
		says "$SES" "$_do cat x && stat -c %a x && readlink link" \
			"$(printf 'new751\nx\nexit: 0')" &&
		says "$SES" "$_do ln x hard" 'exit: 0' &&
		says "$SES" "!fswrite $dir/x both" '{}' &&
		says "$SES" "$_do cat hard; ls -A | grep -c hib-" \
			"$(printf 'both0\nexit: 1')"
}
ok "a file that is written keeps its mode, and links lead to it" f_keeps

f_parallel() {
	prompt "$SES" "$(for i in $(seq 40); do
		printf '!send fs/read_text_file "path":"%s/seq","line":%d,"limit":1\n' \
			"$dir" "$((i % 10 + 1))"
	done)
!call fs/read_text_file \"path\":\"$dir/seq\",\"line\":7,\"limit\":1" \
		>"$tmp/reply"
	until_true 10 all_answered
}
all_answered() {
	holds "$SES" '[.[] | .data.msg | select(.result.content? != null) |
		.id] | length >= 41'
}
ok "many reads at once are all answered" f_parallel

# --- terminals ------------------------------------------------------------

f_term() {
	says "$SES" '!term echo out; echo err >&2; exit 3' \
		"$(printf 'out\nerr\n{"exitCode":3,"signal":null}')" &&
		says "$SES" '!term kill -9 $$' \
			'{"exitCode":null,"signal":"SIGKILL"}'
}
ok "a shell line is run, and its output and end are told" f_term

f_where() {
	says "$SES" '!term id -u; pwd; echo $HOME $TERM' \
		"$(printf '1000\n/workspace\n/home/user dumb\n%s' \
			'{"exitCode":0,"signal":null}')"
}
ok "it runs as the agent's user, in the session's folder" f_where

f_args() {
	id=$(term "$SES" printf '"args":["%s-","a b","$(id)"]') &&
		equal "$(on "$SES" "$id" wait_for_exit .exitCode)" 0 &&
		equal "$(on "$SES" "$id" output .output)" '"a b-$(id)-"' &&
		id=$(term "$SES" 'echo $FOO $HOME; pwd' \
			'"args":[],"env":[{"name":"FOO","value":"b r"},{"name":"HOME","value":"/h"}],"cwd":"/tmp"') &&
		equal "$(on "$SES" "$id" wait_for_exit .exitCode)" 0 &&
		equal "$(on "$SES" "$id" output .output)" '"b r /h\n/tmp\n"'
}
ok "args are taken literally; env and cwd are its own" f_args

f_limit() {
	id=$(term "$SES" 'yes ä | head -c 300000; printf "xyzü"' \
		'"outputByteLimit":3') &&
		on "$SES" "$id" wait_for_exit &&
		equal "$(on "$SES" "$id" output '[.output, .truncated]')" \
			'["zü",true]' &&
		id=$(term "$SES" 'yes 0123456 | head -c 4000000') &&
		on "$SES" "$id" wait_for_exit &&
		equal "$(on "$SES" "$id" output \
			'[(.output | length), .truncated]')" '[262144,true]'
}
f_limit3() {
	id=$(term "$SES" 'printf "xyzü"' '"outputByteLimit":1') &&
		on "$SES" "$id" wait_for_exit &&
		equal "$(on "$SES" "$id" output '[.output, .truncated]')" \
			'["",true]'
}
ok "of the output the last bytes are kept, cut at a character" f_limit
ok "be it the last one" f_limit3

ok "output that is no UTF-8 is replaced" says "$SES" \
	"!term printf 'a\\377b'" \
	"$(printf 'a\357\277\275b{"exitCode":0,"signal":null}')"

f_not_found() {
	matches "$SES" '!term no-such-program' '"exitCode":127' &&
		id=$(term "$SES" /no/such '"args":["x"]') &&
		equal "$(on "$SES" "$id" wait_for_exit .exitCode)" 127 &&
		on "$SES" "$id" output .output | grep -q 'No such file' &&
		id=$(term "$SES" /etc/passwd '"args":["x"]') &&
		equal "$(on "$SES" "$id" wait_for_exit .exitCode)" 126
}
ok "a program that cannot be started ends as in a shell" f_not_found

f_kill() {
	id=$(term "$SES" 'echo up; trap "" TERM; sleep 1000 & wait') &&
		until_true 10 shows "$id" '"up\n"' &&
		equal "$(on "$SES" "$id" kill)" '{}' &&
		equal "$(on "$SES" "$id" wait_for_exit .signal)" '"SIGKILL"' &&
		equal "$(on "$SES" "$id" output .exitStatus.signal)" \
			'"SIGKILL"' &&
		equal "$(on "$SES" "$id" release)" '{}' &&
		matches "$SES" "!call terminal/output \"terminalId\":\"$id\"" \
			'^error -32602: '
}
shows() {
	equal "$(on "$SES" "$1" output .output)" "$2"
}
ok "a killed terminal keeps its id, a released one does not" f_kill

# While the first two wait, the terminal is released.
f_waits() {
	id=$(term "$SES" 'sleep 1000') &&
		says "$SES" "!send terminal/wait_for_exit \"terminalId\":\"$id\"
!send terminal/wait_for_exit \"terminalId\":\"$id\"
!call terminal/release \"terminalId\":\"$id\"" \
			"$(printf '%s%s{}' \
				'{"exitCode":null,"signal":"SIGKILL"}' \
				'{"exitCode":null,"signal":"SIGKILL"}')"
}
ok "waits are answered when their terminal is released" f_waits

f_wrong() {
	matches "$SES" '!call terminal/create' '^error -32602: ' &&
		matches "$SES" '!call terminal/create "command":7' \
			'^error -32602: ' &&
		matches "$SES" '!call terminal/create "command":"x","cwd":"y"' \
			'^error -32602: ' &&
		matches "$SES" \
			'!call terminal/create "command":"true","sessionId":"x"' \
			'^error -32602: ' &&
		matches "$SES" '!call terminal/wait_for_exit' '^error -32602: '
}
ok "what is wrong is refused" f_wrong

f_many() {
	new_session
	prompt "$SES" "$(yes '!send terminal/create "command":"true"' |
		head -n 33)
!term true" >"$tmp/reply" && grep -q 'error -32603: 32 terminals' "$tmp/reply"
}
ok "there is a bound on the terminals of a session" f_many
SES=$main

f_restart() {
	id=$(term "$SES" 'sleep 1000') &&
		hib session suspend "$SES" &&
		says "$SES" hello hello &&
		matches "$SES" "!call terminal/output \"terminalId\":\"$id\"" \
			'^error -32602: '
}
ok "terminals end with their agent" f_restart

done_testing
