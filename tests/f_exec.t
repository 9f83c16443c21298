#!/bin/sh
# Programs that the host has run in a VM.
# shellcheck disable=SC2016,SC2119 # $ is for the VM's shell; new_vm takes no options
. tests/lib.sh

new_vm
vm=$VM

# api BODY - a program, whose result is printed.
api() {
	http POST "/v1/vms/$vm/exec" "$1"
}

# --- what it is started with ------------------------------------------------------

printf '%s\n' 'HOME=/home/user' 'LANG=C.UTF-8' \
	'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
	'TERM=dumb' 'USER=user' 'X=a b' >"$tmp/env"
env_is_exact() {
	SECRET=1 hib exec --env 'X=a b' "$vm" -- cat /proc/self/environ |
		tr '\0' '\n' | sort >"$tmp/a" && cmp "$tmp/a" "$tmp/env"
}
ok "F048 its environment is the base and what is given" env_is_exact
is "$(hib exec "$vm" -- pwd)" /workspace "it begins in /workspace"
is "$(hib exec --cwd /tmp "$vm" -- pwd)" /tmp "or where it is told"
is "$(hib exec "$vm" -- id -u)" 1000 "it is the agents' user"
is "$(hib exec "$vm" -- sh -c 'echo $$')" 2 "in namespaces of its own"
sees_nothing() {
	hib exec -c "$vm" 'ls -A /hib/state /hib/run /hib/vfs 2>/dev/null' \
		>"$tmp/a"
	not grep -v '^/hib\|^$' "$tmp/a"
}
ok "what is ours is hidden from it" sees_nothing
is "$(hib exec "$vm" -- printf '%s.' 'a b' '' '-x' '$y')" 'a b..-x.$y.' \
	"arguments arrive as they are"
is "$(hib exec -c "$vm" 'echo $((1 + 1)) | tr 2 3')" 3 "a line is the shell's"
is "$(hib exec "$vm" -- wc -c </dev/null)" 0 "stdin is empty"
is "$(printf 'a\0b' | hib exec -i "$vm" -- od -An -c | tr -d ' ')" 'a\0b' \
	"or what is given"

# --- what comes back --------------------------------------------------------------

ok "the exit code is passed on" exits 7 hib exec "$vm" -- sh -c 'exit 7'
ok "a signal is told as shells do" exits 137 hib exec "$vm" -- \
	sh -c 'kill -9 $$'
missing() {
	exits 127 hib exec "$vm" -- /no/such 2>"$tmp/a" &&
		grep -q 'No such file' "$tmp/a"
}
ok "what is not there is 127, with the reason" missing
ok "what must not be executed is 126" exits 126 hib exec "$vm" -- /etc/passwd
outputs() {
	hib exec -c "$vm" 'echo out; echo err >&2' >"$tmp/a" 2>"$tmp/b" &&
		equal "$(cat "$tmp/a")" out && equal "$(cat "$tmp/b")" err
}
ok "both outputs are told apart" outputs
all_bytes() {
	hib exec "$vm" -- seq 300000 >"$tmp/a" && seq 300000 | cmp - "$tmp/a"
}
ok "F169 all bytes arrive" all_bytes
any_bytes() {
	seq 20000 | gzip -n >"$tmp/bytes" &&
		hib exec -i "$vm" -- cat <"$tmp/bytes" >"$tmp/a" &&
		cmp "$tmp/a" "$tmp/bytes"
}
ok "whatever they are" any_bytes
cut_character() {
	api '{"argv":["sh","-c","printf \"\\342\"; sleep 0.1; printf \"\\202\\254\""]}' \
		>"$tmp/a" && jq -e '.stdout == "\u20ac"' "$tmp/a" &&
		curl -sN --max-time "$((30 * slow))" --unix-socket "$HIB_HOME/hibd.sock" \
			-H 'Accept: text/event-stream' --data-binary \
			'{"command":"printf \"\\342\"; sleep 0.1; printf \"\\202\\254\""}' \
			"http://hib/v1/vms/$vm/exec" >"$tmp/b" &&
		grep -q '"data":"€"' "$tmp/b" && not grep -q b64 "$tmp/b"
}
ok "text that is written in the middle of a character stays text" cut_character
result() {
	api '{"command":"echo out; echo err >&2; exit 3"}' |
		jq -e '.exit == 3 and .signal == null and .timed_out == false and
			.stdout == "out\n" and .stderr == "err\n" and
			.stdout_bytes == 4 and .stdout_truncated == false and
			(has("type") | not)'
}
ok "a result by HTTP has everything" result
bounded() {
	api '{"argv":["seq","100000"],"max_output":1000}' |
		jq -e '.stdout_truncated and (.stdout | length) == 1000 and
			(.stdout | endswith("\n100000\n")) and
			.stdout_bytes == 588895'
}
ok "it is bounded, and says so" bounded
binary() {
	api '{"command":"printf \"\\377\\0\""}' |
		jq -e '.stdout_b64 == "/wA=" and (has("stdout") | not)'
}
ok "what is no text is base64" binary
events() {
	curl -sN --max-time "$((30 * slow))" --unix-socket "$HIB_HOME/hibd.sock" \
		-H 'Accept: text/event-stream' \
		--data-binary '{"command":"echo a; echo b >&2; exit 1"}' \
		"http://hib/v1/vms/$vm/exec" >"$tmp/a" &&
		grep -A1 '^event: stdout' "$tmp/a" | grep -q '"data":"a\\n"' &&
		grep -A1 '^event: stderr' "$tmp/a" | grep -q '"data":"b\\n"' &&
		tail -n 3 "$tmp/a" | grep -A1 '^event: result' |
		sed -n 's/^data: //p' | jq -e '.exit == 1'
}
ok "as events it comes as it is written" events
ok "as JSON" jq -e '.exit == 2 and .stdout == "x\n"' "$({
	hib exec --json "$vm" -- sh -c 'echo x; exit 2' >"$tmp/json"
} && echo "$tmp/json")"

# --- what is refused --------------------------------------------------------------

e=/v1/vms/$vm/exec
refusals() {
	answers 400 invalid_argument POST "$e" '{}' &&
		answers 400 invalid_argument POST "$e" '{"argv":[]}' &&
		answers 400 invalid_argument POST "$e" '{"argv":[""]}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a",1]}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a\u0000b"]}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"command":"a"}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"cwd":"a"}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"env":[]}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"env":{"":"x"}}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"timeout_ms":-1}' &&
		answers 400 invalid_argument POST "$e" '{"argv":["a"],"stdin_b64":"?"}' &&
		answers 400 invalid_argument POST "$e" \
			'{"argv":["a"],"max_output":99999999}' &&
		answers 400 invalid_id POST "$e" '{"argv":["a"],"session":"x"}' &&
		answers 400 cwd_not_found POST "$e" '{"argv":["ls"],"cwd":"/no"}' &&
		answers 404 session_not_found POST "$e" \
			"{\"argv\":[\"a\"],\"session\":\"$(new_id ses)\"}" &&
		answers 404 vm_not_found POST /v1/vms/nobody/exec '{"argv":["a"]}' &&
		refused cwd_not_found 5 hib exec --cwd /no "$vm" -- ls
}
ok "what makes no sense is refused" refusals

# --- the end ----------------------------------------------------------------------

# runs WORD - is a process of ours with this argument alive?
runs() {
	pgrep -fx "sleep $1"
}
nap=1000$$ # Of this run alone, with one more digit.

timed_out() {
	exits 124 hib exec --timeout-ms 300 -c "$vm" 'sleep '"$nap"'1 & sleep '"$nap"'1' &&
		not runs "${nap}1" &&
		api '{"argv":["sleep","'"$nap"'2"],"timeout_ms":200}' |
		jq -e '.timed_out and .signal == "SIGKILL" and .exit == null'
}
ok "after its time it is killed, with what it has started" timed_out
left_behind() {
	hib exec -c "$vm" 'setsid sleep '"$nap"'3 >/dev/null 2>&1 & echo done' &&
		not runs "${nap}3"
}
ok "what it leaves behind ends with it" left_behind
interrupted() {
	"$O/bin/hib" exec "$vm" -- sleep "${nap}4" &
	_pid=$!
	until_true 10 runs "${nap}4" && kill -INT "$_pid"
	reap "$_pid"
	equal "$?" 130 && until_true 10 not runs "${nap}4"
}
ok "an interrupt ends it" interrupted
# It has nothing left to do but to write what it has, to a pipe that is full.
interrupted_late() {
	mkfifo "$tmp/full" && exec 9<>"$tmp/full" || return 1
	head -c 65536 /dev/zero >&9
	"$O/bin/hib" exec --json "$vm" -- true >&9 &
	_pid=$!
	until_true 10 grep -q pipe_write "/proc/$_pid/wchan" && kill "$_pid"
	reap "$_pid"
	_status=$?
	exec 9>&-
	equal "$_status" 130
}
ok "so does one that comes late" interrupted_late
client_gone() {
	curl -s --unix-socket "$HIB_HOME/hibd.sock" --data-binary \
		'{"command":"sleep '"$nap"'5 & sleep '"$nap"'5"}' \
		"http://hib/v1/vms/$vm/exec" >"$tmp/x" &
	_pid=$!
	until_true 10 runs "${nap}5" && kill -9 "$_pid" && until_true 10 not runs "${nap}5"
}
ok "a client that is gone ends it" client_gone
reader_gone() {
	timeout 30 "$O/bin/hib" exec "$vm" -- yes "${nap}6" 2>"$tmp/x" | head -n 1 &&
		until_true 10 not pgrep -fx "yes ${nap}6"
}
ok "so does one who does not read on" reader_gone
slow_reader() {
	hib exec "$vm" -- sh -c 'yes '"$nap"'7 | head -c 20000000' | {
		read -r _first
		until_true 10 pgrep -fx 'yes '"$nap"'7' && wc -c
	} >"$tmp/a" &&
		equal "$(cat "$tmp/a")" $((20000000 - ${#nap} - 2))
}
ok "a slow reader gets everything" slow_reader

# --- with a session ---------------------------------------------------------------


new_session --env TOKEN=hunter2
ses=$SES
joins() {
	in_vm "$ses" 'echo x >/tmp/mark; sleep 0' &&
		equal "$(hib exec --session "$ses" "$vm" -- cat /tmp/mark)" x &&
		not hib exec "$vm" -- grep -qs x /tmp/mark/no &&
		not hib exec --session "$ses" "$vm" -- sh -c 'env | grep hunter2'
}
ok "in a session it sees what the agent sees, but not its environment" joins
same_files() {
	hib exec -c "$vm" 'echo made >by-exec; chmod 600 by-exec' &&
		equal "$(in_vm "$ses" 'cat /workspace/by-exec')" made
}
ok "F174 agents see its files at once" same_files
no_turns() {
	prompt "$ses" "hello" >"$tmp/x" &&
		not holds "$ses" 'any(.[]; .type == "turn.diff" and
			any(.data.files[]; .path == "by-exec"))' &&
		hib files log "$vm" --json | jq -e 'length > 0' &&
		hib files show "$vm" --json >"$tmp/x" &&
		equal "$(hib files cat --at "$(hib files checkpoint "$vm")" "$vm" by-exec)" made
}
ok "what it writes is no turn's, and is kept" no_turns
not_live() {
	hib session suspend "$ses" &&
		answers 409 session_not_live POST "$e" \
			"{\"argv\":[\"true\"],\"session\":\"$ses\"}"
}
ok "a session that sleeps cannot be joined" not_live

# --- the VM -----------------------------------------------------------------------

wakes() {
	hib vm sleep "$vm" && equal "$(hib exec "$vm" -- echo up)" up
}
ok "a VM that sleeps is woken" wakes
freeze() {
	hib exec "$vm" -- sh -c 'echo a >/workspace/late; exec sleep '"$nap"'8' \
		2>"$tmp/x" &
	_pid=$!
	until_true 10 runs "${nap}8" && hib vm sleep "$vm" && not runs "${nap}8"
	wait "$_pid"
	equal "$?" 8 && grep -q draining "$tmp/x" &&
		equal "$(hib files cat "$vm" late)" a
}
ok "F213 the VM's sleep ends it, and keeps its files" freeze
idle() {
	quick=$(hib vm create --idle-ms 300) &&
		hib exec "$quick" -- sleep 1.5 &&
		equal "$(hib vm get "$quick" --json | jq .generation)" 1 &&
		until_true 10 sh -c "'$O/bin/hib' vm get '$quick' --json |
			jq -e '.state == \"suspended\"'" &&
		hib vm destroy --force "$quick"
}
ok "F214 a VM is not idle while a program runs" idle
many() {
	for i in $(seq 20); do
		hib exec "$vm" -- sh -c "echo $i; exit $i" >"$tmp/many.$i" &
		eval "pid_$i=$!"
	done
	for i in $(seq 20); do
		eval "wait \$pid_$i"
		equal "$?" "$i" && equal "$(cat "$tmp/many.$i")" "$i" || return 1
	done
}
ok "many run side by side" many
done_testing
