#!/bin/sh
# Agents that nobody here wrote, from npm, inside the sandbox, with a scripted
# model server on loopback.
#
# INTEROP_AGENTS  which (default: those that are quick); `make interop`: all
# NPM_CACHE_DIR   where their packages stay between runs (default: $O/npm)
#
# What each of them can do comes out as a table, $O/interop.md.  A cell is what
# was seen: `yes`, `no` with the reason, or `n.a.` for what an agent does not
# have.  That an agent cannot do something is known here, and is a case as well:
# when it can, the test fails, and the table is to be corrected.
# shellcheck disable=SC2016,SC2034 # $ is for jq; note is read by cell
. tests/lib.sh
. tests/agents.sh

INTEROP_AGENTS=${INTEROP_AGENTS-codex-rust pi opencode sdk-example}
word=pineapple # In two parts where it is asked for.

need_npm

# --- packages and manifests -----------------------------------------------------

# The schema of the protocol, and what checks it.
install_schema() {
	schema=$npm_dir/schema
	[ ! -e "$schema/done" ] || return 0
	[ -w "$npm_dir" ] || schema=$tmp/schema
	mkdir -p "$schema" && echo '{"private":true}' >"$schema/package.json" &&
		(cd "$schema" && timeout 300 npm install --ignore-scripts \
			--no-audit --no-fund --loglevel=error \
			@agentclientprotocol/sdk@2.4.0 zod@4.6.7 ajv@8.17.1) \
			>"$tmp/npm.log" 2>&1 && touch "$schema/done"
}

# --- cells ----------------------------------------------------------------------

# cell ROW TITLE COMMAND... - a case; what the command leaves in note becomes
# the cell of this agent in that row.
cell() {
	_row=$1 _title=$2 _failed=$failed
	shift 2
	note=yes
	ok "$agent: $_title" "$@"
	if [ "$failed" -gt "$_failed" ]; then
		note=FAILED
		hib log "$ses" 2>&1 | tail -n 15 | cut -c-300 | sed 's/^/# /' >&2
	fi
	echo "$note" >"$cells/$_row"
}

# na ROW REASON - the agent has nothing of the kind.
na() {
	echo "n.a.: $2" >"$cells/$1"
}

# --- turns ----------------------------------------------------------------------

# asking COMMAND - what makes the model run it and the agent ask first.  Codex
# asks for what the model wants to run outside of its own sandbox.
asking() {
	case $agent in
	codex) jq -n -r --arg c "$1" '{cmd: $c, justification: "mock",
		sandbox_permissions: "require_escalated"} |
		"@mock tool exec_command \(tojson)"' ;;
	*) echo "@mock run $1" ;;
	esac
}

in_workspace() {
	echo "$HIB_HOME/vms/$vm/disk/vfs/upper/$1"
}

# processes [PATTERN] - of the VM, beside hib-guest itself.
processes() {
	for _p in $(descendants "$(guest_pid "$vm")"); do
		_line=$(tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null)
		case $_line in
		*"$1"*) [ -z "$_line" ] || echo "$_p $_line" ;;
		esac
	done
}

no_processes() {
	equal "$(processes "$1")" ""
}

# --- the cases ------------------------------------------------------------------

start() {
	hib agent check "$agent" --net host ${key:+--env "$key=mock-key"} \
		--start-timeout-ms 90000 --json >"$tmp/check.$agent" &&
		ses=$(session) &&
		note="yes, $(jq '.start_ms / 100 | round / 10' "$tmp/check.$agent") s"
}

key_is_named() {
	refused "$key" 3 hib session create --agent "$agent" --vm "$vm"
}

key_is_in_no_event() {
	log_json "$ses" >"$tmp/events" && ! grep -q mock-key "$tmp/events"
}

text() {
	hib prompt "$ses" "@mock text Hello from the model" >"$tmp/out" &&
		grep -q "Hello from the model" "$tmp/out"
}

file() {
	drive "$ses" "@mock write /workspace/made.txt made by $agent ;; text Written." \
		approve && ended completed &&
		equal "$(cat "$(in_workspace made.txt)")" "made by $agent"
}

command() {
	drive "$ses" "$(asking "echo 42 >/workspace/ran.txt") ;; text Ran." \
		approve && ended completed &&
		equal "$(cat "$(in_workspace ran.txt)")" 42 || return 1
	allowed=$ASKED
}

permission() {
	[ "$allowed" -gt 0 ] &&
		holds "$ses" 'any(.type == "permission.resolved" and
			(.data | tostring | test("allow|approved|proceed")))'
}

denied() {
	drive "$ses" "$(asking "touch /workspace/denied.txt") ;; text After." \
		deny && [ "$ASKED" -gt 0 ] && [ ! -e "$(in_workspace denied.txt)" ] &&
		case $agent in
		codex*) ended cancelled && note="yes, ends the turn" ;;
		*) ended completed ;;
		esac
}

edit() {
	drive "$ses" "@mock read /workspace/made.txt ;; edit /workspace/made.txt|made|remade ;; todo one step|another ;; text Edited." \
		approve && ended completed &&
		equal "$(cat "$(in_workspace made.txt)")" "remade by $agent"
}

# The words that a session was created with reach the model.
instructions() {
	other=$(session --instructions "the word is kumquat") &&
		drive "$other" "@mock recall kum quat" approve &&
		text_of "$other" | grep -q recalled &&
		hib session close "$other" &&
		note="yes, by $(log_json "$other" |
			jq -r 'select(.type == "session.ready") | .data.instructions.via')"
}

# The command that is to be cut off; it may have to be allowed first.
sleeper_runs() {
	hib approve "$ses" 2>/dev/null
	processes "tail -f /workspace/made.txt" | grep -q .
}

cancel() {
	prompt_bg "$ses" "@mock run tail -f /workspace/made.txt ;; text Never." &&
		until_true 20 sleeper_runs && begin=$(now_ms) &&
		hib cancel "$ses" && took=$(($(now_ms) - begin)) &&
		END=$(wait_turn "$ses" "$TURN") && ended cancelled || return 1
	until_true 4 no_processes "tail -f /workspace/made.txt" && return
	note="yes, but its command goes on until the session ends"
	[ "$agent" = codex ]
}

model_error() {
	drive "$ses" "@mock error 400" approve || return 1
	case $agent in
	pi)
		ended completed && equal "$(text_of "$ses")" "" &&
			note="no: ends the turn in order, without a word"
		;;
	codex)
		ended completed && text_of "$ses" | grep -q "mock error 400" &&
			note="no: ends the turn in order, with the error as text"
		;;
	*) ended failed ;;
	esac
}

long_output() {
	hib prompt "$ses" "@mock long 1500 1000" >"$tmp/out" &&
		grep -q "chunk 1499 " "$tmp/out" &&
		[ "$(wc -c <"$tmp/out")" -ge 1499000 ]
}

# rung_is RUNG - by which it woke.
rung_is() {
	note=$(log_json "$ses" |
		jq -r 'select(.type == "session.resumed") | .data.restore' |
		tail -n 1)
	equal "$note" "$1"
}

wake() {
	hib prompt "$ses" "@mock text Noted: $word" && hib vm sleep "$vm" &&
		hib prompt "$ses" "@mock recall pine apple" >"$tmp/out" || return 1
	cat "$tmp/out"
	case $agent in
	gemini) rung_is transcript ;;
	*) rung_is native ;;
	esac && grep -q recalled "$tmp/out"
}

second_session() {
	other=$(session) || return 1
	hib prompt "$ses" "@mock text first of two" >"$tmp/one" &
	one=$!
	hib prompt "$other" "@mock text second of two" >"$tmp/two" &&
		wait "$one" && grep -q "first of two" "$tmp/one" &&
		grep -q "second of two" "$tmp/two"
}

# Ended in order, by force, and with its machine: nothing of it is left.
close() {
	hib session close "$ses" && hib session kill "$other" &&
		until_true 10 no_processes "" || return 1
	third=$(session) && agents=$(descendants "$(guest_pid "$vm")") &&
		[ -n "$agents" ] && hib session destroy "$third" &&
		until_true 10 no_processes "" || return 1
	third=$(session) && agents=$(descendants "$(guest_pid "$vm")") &&
		hib vm stop "$vm" || return 1
	for pid in $agents; do
		gone "$pid" || return 1
	done
	equal "$(find "$HIB_HOME/vms/$vm/disk" -name '.hib-*')" ""
}

# What of ours it made use of.
services() {
	note=$(log_json "$ses" | jq -rs '[.[] | select(.type | startswith("acp.")) |
		select(.data.dir == "in") | .data.msg |
		if .method == "session/update" and .params.update.sessionUpdate == "plan"
		then "plans" else {"fs/read_text_file": "reads files",
			"fs/write_text_file": "writes files",
			"terminal/create": "runs commands"}[.method // ""] end |
		values] | unique | if . == [] then "no" else join(", ") end')
}

# A message that does not fit is seen.
schema_sees() {
	log_json "$ses" | jq -c 'select(.type == "acp.update") |
		.data.msg.params.update |= del(.sessionUpdate)' | head -n 1 |
		not node tests/fake/acp-schema.mjs "$schema"
}

schema() {
	schema_sees || return 1
	for id in $ses $other; do
		hib log "$id" --json --types 'acp.*'
	done >"$tmp/acp"
	node tests/fake/acp-schema.mjs "$schema" <"$tmp/acp" \
		>"$tmp/schema.out"
	_status=$?
	cat "$tmp/schema.out"
	note=$(tail -n 1 "$tmp/schema.out" | jq -r '"\(.messages) messages" +
		(if .unstable > 0 then ", \(.unstable) by the unstable schema" else "" end)')
	return "$_status"
}

# --- its bytes ------------------------------------------------------------------

# What a tee on either side of the agent sees is what the log has.
tee_agent() {
	jq '.args = ["-c", "tee -a /home/user/tee.out | \"$@\" | tee -a /home/user/tee.in",
			"sh", .command] + .args | .command = "/bin/sh"' \
		"$HIB_HOME/agents/$agent.json" >"$tmp/m" &&
		mv "$tmp/m" "$HIB_HOME/agents/$agent.json"
}

# messages_of SES in|out - each as it stands in the log.
messages_of() {
	_head="{\"dir\":\"$2\",\"msg\":"
	sql "SELECT substr(e.data, ${#_head} + 1, length(e.data) - ${#_head} - 1)
		FROM event e JOIN session s ON s.n = e.session_n
		WHERE s.id = '$1' AND e.type LIKE 'acp.%' AND
			substr(e.data, 1, ${#_head}) = '$_head' ORDER BY e.seq"
}

bytes() {
	tee_agent && vm=$(hib vm create --net host) && ses=$(session) &&
		drive "$ses" "@mock write /workspace/t.txt tee ;; text Written." \
			approve && drive "$ses" "@mock unicode" approve &&
		hib session suspend "$ses" || return 1
	home=$HIB_HOME/vms/$vm/disk/home/user
	for dir in in out; do
		messages_of "$ses" "$dir" >"$tmp/log.$dir" &&
			[ -s "$tmp/log.$dir" ] &&
			cmp "$tmp/log.$dir" "$home/tee.$dir" || return 1
	done
	hib session close "$ses" && hib vm destroy --force "$vm"
}

# --- the example of the SDK -----------------------------------------------------

# It has no model: whatever it is told, it says the same and asks once.
example_text() {
	drive "$ses" "Hello" approve && ended completed &&
		equal "$ASKED" 1 && text_of "$ses" | grep -q "Perfect"
	allowed=$ASKED
}

example_denied() {
	drive "$ses" "Hello" deny && ended completed &&
		text_of "$ses" | grep -q "prefer not"
}

example_cancel() {
	prompt_bg "$ses" "Hello" &&
		wait_for_event "$ses" acp.update 10 "$MARK" >"$tmp/x" &&
		hib cancel "$ses" && END=$(wait_turn "$ses" "$TURN") &&
		ended cancelled
}

example_wake() {
	hib vm sleep "$vm" && drive "$ses" "Hello" approve &&
		ended completed && rung_is transcript
}

example_second() {
	other=$(session) && prompt_bg "$ses" "Hello" && first=$TURN &&
		drive "$other" "Hello" approve && ended completed &&
		wait_for_event "$ses" permission.requested 20 "$MARK" >"$tmp/x"
	hib approve "$ses" && END=$(wait_turn "$ses" "$first") &&
		ended completed
}

example_cases() {
	for row in key file edit command error output instructions services; do
		na "$row" "no model, no tools"
	done
	cell text "a prompt is answered" example_text
	cell permission "it asks, and may" permission
	cell denied "it asks, and may not" example_denied
	cell cancel "a turn is cancelled" example_cancel
	cell wake "it wakes" example_wake
	cell second "two sessions side by side" example_second
}

# --- the agents -----------------------------------------------------------------

model_cases() {
	if [ -n "$key" ]; then
		cell key "F081 a missing key is named" key_is_named
	else
		na key "takes several, requires none"
	fi
	cell text "a prompt is answered" text
	cell file "a tool writes a file" file
	cell edit "tools read, edit and plan" edit
	cell command "a command runs" command
	if [ "$agent" = pi ]; then
		na permission "never asks"
		na denied "never asks"
	else
		cell permission "it asks, and may" permission
		cell denied "it asks, and may not" denied
	fi
	cell cancel "a turn is cancelled" cancel
	cell error "an error of the model ends the turn" model_error
	cell output "1.5 MB of text" long_output
	cell wake "it wakes and remembers" wake
	cell instructions "it is told the session's instructions" instructions
	cell second "two sessions side by side" second_session
	cell services "it makes use of our services" services
	ok "$agent: its key is in no event" key_is_in_no_event
}

run_agent() {
	agent=$1 cells=$tmp/cells/$1 ses='' other='' allowed=0
	mkdir -p "$cells"
	if ! install "$agent"; then
		tail -n 5 "$tmp/npm.log" >&2
		skip "$agent" "npm is not reachable"
		return
	fi
	ran="$ran $agent"
	jq -r '.npm[0]' "images/agents/$agent.json" >"$cells/package"
	mock_agent
	vm=$(hib vm create --net host)
	cell start "F013 it starts" start
	case $agent in
	sdk-example) example_cases ;;
	*) model_cases ;;
	esac
	cell close "it ends with all it started" close
	if install_schema; then
		cell schema "its messages fit the schema" schema
	fi
	hib vm destroy --force "$vm" >/dev/null
	cell bytes "F105 the log has its bytes" bytes
}

# --- the table ------------------------------------------------------------------

# ROW and what it says, in the order of the table.
rows() {
	cat <<-R
		package|package
		start|starts
		text|answers a prompt
		file|its tool writes a file
		edit|its tools read and edit
		command|runs a command
		permission|asks, and may
		denied|asks, and may not
		cancel|is cancelled
		error|tells an error of its model
		output|says 1.5 MB
		wake|wakes with its memory by
		instructions|is told instructions
		second|two sessions beside each other
		close|ends with all it started
		key|its missing key is named
		services|of ours, it uses
		schema|fits the ACP schema
		bytes|log equals a tee, byte for byte
	R
}

# table AGENT... - those that ran.
table() {
	printf '|'
	printf ' | %s' "$@"
	printf ' |\n|---'
	for _name; do
		printf '|---'
	done
	printf '|\n'
	rows | while IFS='|' read -r _row _title; do
		printf '| %s' "$_title"
		for _name; do
			printf ' | %s' "$(cat "$tmp/cells/$_name/$_row" 2>/dev/null)"
		done
		printf ' |\n'
	done
}

# --- go -------------------------------------------------------------------------

mkdir "$tmp/cells"
start_model
ran=
for name in $INTEROP_AGENTS; do
	run_agent "$name"
done
if [ -n "$ran" ] && [ -w "$O" ]; then
	# shellcheck disable=SC2086 # a list of words
	table $ran >"$O/interop.md"
fi
done_testing
