#!/bin/sh
# Agents: their manifests, their packages, and files in their home.
#
# npm is played by a script, so that it can be slow, fail, and be asked how it
# was called; tests/interop.t has the real one.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

# Each package becomes a script that is the echo agent.
mkdir "$tmp/bin"
cat >"$tmp/bin/npm" <<-'S'
	#!/bin/sh
	[ -z "$NPM_EARLY" ] || { kill -TERM "$PPID" && exec sleep 1000; }
	echo "$*" >>"$NPM_CALLS"
	[ -z "$NPM_FIFO" ] || read -r _ <"$NPM_FIFO"
	[ -z "$NPM_FAIL" ] || exit "$NPM_FAIL"
	mkdir -p -m 700 node_modules
	printf '#!/bin/sh\nexec /opt/hib/echo-agent "$@"\n' >node_modules/agent
	chmod 700 node_modules/agent
	echo "$*" >node_modules/asked
	chmod 600 node_modules/asked
S
printf '#!/bin/sh\n' >"$tmp/bin/node"
chmod +x "$tmp/bin/npm" "$tmp/bin/node"
old_path=$PATH
PATH=$tmp/bin:$PATH
NPM_CALLS=$tmp/calls
export PATH NPM_CALLS

# packed NAME VERSION [FILTER] - a manifest with packages.
packed() {
	jq -n --arg name "$1" --arg v "$2" '{name: $name, title: "Echo",
		version: $v, npm: ["@s/agent@\($v)", "other@7"],
		command: "/opt/agents/\($name)/\($v)/node_modules/agent"}
		'"${3:+| $3}"
}

calls() {
	wc -l <"$NPM_CALLS"
}

# what_is NAME - whether it is installed, by the list.
what_is() {
	hib agent list --json |
		jq -e --arg n "$1" '.[] | select(.name == $n) | .installed'
}

# files_of NAME - all that is there of its packages.
files_of() {
	find "$HIB_HOME/agents" -path "$HIB_HOME/agents/$1*" ! -name "*.json" -print
	find "$HIB_HOME/agents" -name '.*' -print
}

new_vm
agents=$HIB_HOME/agents

# --- add ------------------------------------------------------------------------

packed pack 1.0 >"$agents/pack.json"

not_installed() {
	refused agent_unknown 5 hib session create --vm "$VM" --agent pack &&
		grep -q "run: hib agent add pack" "$tmp/refused.err" &&
		equal "$(what_is pack)" false
}
ok "F013 an agent without its packages is refused with the way to get them" \
	not_installed

add() {
	: >"$NPM_CALLS"
	equal "$(hib agent add pack 2>"$tmp/err")" "pack 1.0" &&
		equal "$(calls)" 1 &&
		grep -q -- '--ignore-scripts.* -- @s/agent@1.0 other@7$' \
			"$NPM_CALLS" &&
		grep -q "installed in" "$tmp/err" &&
		equal "$(what_is pack)" true
}
ok "add runs npm with the pinned packages and without scripts" add

others_can_read() {
	equal "$(find "$agents/pack" ! -perm -o=r -print)" "" &&
		[ -x "$agents/pack/1.0/node_modules/agent" ] &&
		new_session --agent pack && says "$SES" '!say hello' hello
}
AGENT=pack
ok "the agent starts from its packages, whatever npm's modes were" \
	others_can_read

again() {
	: >"$NPM_CALLS"
	hib agent add pack --json 2>"$tmp/err" |
		jq -e '.name == "pack" and .version == "1.0" and .changed == false' &&
		equal "$(calls)" 0 && grep -q "installed already" "$tmp/err" &&
		hib agent add pack --force --json |
		jq -e '.changed == true' && equal "$(calls)" 1
}
ok "a second add does nothing, unless it is forced" again

other_pins() {
	: >"$NPM_CALLS"
	packed pack 1.0 '.npm[1] = "other@8"' >"$agents/pack.json"
	equal "$(what_is pack)" false && hib agent add pack &&
		equal "$(calls)" 1 && equal "$(what_is pack)" true &&
		grep -q other@8 "$agents/pack/1.0/node_modules/asked"
}
ok "other packages of the same version are installed in their place" other_pins

npm_fails() {
	NPM_FAIL=7 refused "npm failed with exit code 7" 2 \
		hib agent add --force pack &&
		equal "$(what_is pack)" true &&
		grep -q other@8 "$agents/pack/1.0/node_modules/asked" &&
		packed fresh 1 >"$agents/fresh.json" &&
		! NPM_FAIL=1 hib agent add fresh && equal "$(files_of fresh)" ""
}
ok "a failed add changes nothing" npm_fails

npm_missing() {
	mkdir -p "$tmp/empty"
	refused "npm is not in PATH; install it" 5 \
		env PATH="$tmp/empty" "$O/bin/hib" agent add fresh &&
		equal "$(files_of fresh)" ""
}
ok "without npm it says what to install" npm_missing

# hib in the background, until npm runs: its pid is in adder.
begin_add() {
	rm -f "$tmp/fifo" && mkfifo "$tmp/fifo" && : >"$NPM_CALLS"
	NPM_FIFO=$tmp/fifo "$O/bin/hib" agent add "$1" >"$tmp/out" 2>&1 &
	adder=$!
	until_true 10 grep -q . "$NPM_CALLS"
}

npm_is_gone() {
	! pgrep -f "^/bin/sh $tmp/bin/npm"
}

interrupted() {
	begin_add fresh && kill -TERM "$adder"
	reap "$adder"
	equal "$?" 130 && npm_is_gone && equal "$(files_of fresh)" "" &&
		equal "$(what_is fresh)" false
}
ok "an interrupted add leaves nothing" interrupted

# Before hib has seen more than the fork: the first processor that we may use is
# enough for both.
interrupted_at_once() {
	_cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
	for _i in $(seq 20); do
		NPM_EARLY=1 exits 130 timeout -k 5 "$((5 * slow))" \
			taskset -c "$_cpu" "$O/bin/hib" agent add fresh || return 1
	done
}
ok "nor does one that is interrupted as npm begins" interrupted_at_once

killed() {
	begin_add fresh && kill -KILL "$adder"
	reap "$adder"
	until_true 5 npm_is_gone && equal "$(what_is fresh)" false &&
		hib agent add fresh && equal "$(what_is fresh)" true &&
		[ ! -e "$agents/fresh/.new" ]
}
ok "a killed one installs nothing, and the next one does" killed

# What it leaves does not wait for a next one.
swept() {
	mkdir -p "$agents/fresh/.new/node_modules" "$agents/removed/.gone"
	kill_hibd KILL
	hib doctor --repair >"$tmp/x"
	not [ -e "$agents/fresh/.new" ] && not [ -e "$agents/removed" ] &&
		equal "$(what_is fresh)" true &&
		mkdir "$agents/fresh/.new" && hib daemon start &&
		not [ -e "$agents/fresh/.new" ]
}
ok "what it left goes when hibd starts" swept

not_swept() {
	packed live 1 >"$agents/live.json" && begin_add live &&
		kill_hibd KILL && hib daemon start && [ -e "$agents/live/.new" ]
	_not_swept=$?
	kill -KILL "$adder"
	reap "$adder"
	rm "$agents/live.json"
	until_true 5 npm_is_gone && kill_hibd KILL && hib daemon start &&
		[ ! -e "$agents/live" ] && return $_not_swept
}
ok "but not while somebody is at work on it" not_swept

one_at_a_time() {
	packed slow 1 >"$agents/slow.json"
	begin_add slow
	hib agent add slow >"$tmp/second" 2>&1 &
	second=$!
	timeout "$((10 * slow))" sh -c 'echo >"$1"' - "$tmp/fifo"
	reap "$adder" && reap "$second" && equal "$(calls)" 1 &&
		grep -q "installed already" "$tmp/second"
}
ok "two adds at once run npm once" one_at_a_time

from_file() {
	packed mine 3 >"$tmp/any-name.json"
	equal "$(hib agent add "$tmp/any-name.json")" "mine 3" &&
		equal "$(what_is mine)" true && new_session --agent mine &&
		says "$SES" '!say hi' hi
}
AGENT=mine
ok "a manifest of one's own is added from a file" from_file

bad_files() {
	echo '{"name":"x","command":"y","npm":["x"]}' >"$tmp/bad.json"
	echo '[]' >"$tmp/none.json"
	refused invalid_argument 5 hib agent add "$tmp/bad.json" &&
		refused invalid_argument 5 hib agent add "$tmp/none.json" &&
		refused invalid_argument 5 hib agent add "$tmp/missing.json" &&
		refused agent_unknown 5 hib agent add nosuch &&
		[ ! -e "$agents/x.json" ]
}
ok "what is no manifest is refused" bad_files

# A session goes on with the version that it began with.
f014() {
	packed pin 1 >"$agents/pin.json"
	hib agent add pin && old=$(hib session create --vm "$VM" --agent pin) &&
		packed pin 2 >"$agents/pin.json" && hib agent add pin &&
		new=$(hib session create --vm "$VM" --agent pin) &&
		hib vm sleep "$VM" && says "$old" '!say old' old &&
		says "$new" '!say new' new || return 1
	for pair in "$old 1" "$new 2"; do
		holds "${pair% *}" "[.[] | select(.type == \"agent.started\")
			.data.argv[0]] | unique ==
			[\"/opt/agents/pin/${pair#* }/node_modules/agent\"]" ||
			return 1
	done
}
ok "F014 a new version comes beside the one that a session has" f014

# --- remove ---------------------------------------------------------------------

in_use() {
	refused has_children 7 hib agent remove pin &&
		grep -q "2 live sessions" "$tmp/refused.err" &&
		equal "$(what_is pin)" true
}
ok "an agent that live sessions use is not removed" in_use

remove() {
	hib session close "$old" && hib session close "$new" &&
		equal "$(hib agent remove pin)" pin &&
		equal "$(what_is pin)" false && equal "$(files_of pin)" "" &&
		refused agent_unknown 5 hib agent remove pin
}
ok "else it is, with all its versions" remove

remove_forced() {
	new_session --agent pack && hib agent remove --force pack &&
		equal "$(files_of pack)" ""
}
AGENT=pack
ok "with force also while it is in use" remove_forced

own_files_stay() {
	mkdir -p "$agents/own" && touch "$agents/own/mine" &&
		refused agent_unknown 5 hib agent remove own &&
		refused agent_unknown 5 hib agent remove .. &&
		[ -e "$agents/own/mine" ] && [ -d "$agents" ]
}
ok "what add did not put there stays" own_files_stay

# --- check ----------------------------------------------------------------------

nothing_left() {
	equal "$(hib vm list --json)" "$vms_before" &&
		equal "$(hib session list --json | jq length)" "$sessions_before"
}
vms_before=$(hib vm list --json)
sessions_before=$(hib session list --json | jq length)

check() {
	agent offering --load --image
	hib agent check offering >"$tmp/out" && cat "$tmp/out" &&
		grep -q '^protocol *1$' "$tmp/out" &&
		grep -q '^prompts .*image' "$tmp/out" &&
		grep -q '^sessions .*load' "$tmp/out" &&
		grep -q '^start .* s$' "$tmp/out" && nothing_left
}
ok "check says what an agent offers and leaves nothing" check

check_json() {
	hib agent check offering --json |
		jq -e '.agent == "offering" and .start_ms >= 0 and
			.initialize.protocolVersion == 1 and
			(.session.sessionId | type == "string")' && nothing_left
}
ok "check as JSON has the agent's own words" check_json

check_fails() {
	agent dying --exit-on-start 3
	agent never --no-answer
	jq '.name = "keyed" | .env = [{any: ["KEY", "TOKEN"], required: true}]' \
		"$agents/offering.json" >"$agents/keyed.json"
	refused agent_exited 2 hib agent check dying &&
		refused start_timeout 8 hib agent check never \
			--start-timeout-ms 300 &&
		refused agent_unknown 5 hib agent check nosuch &&
		refused agent_auth_required 3 hib agent check keyed &&
		hib agent check keyed --env TOKEN=x && nothing_left
}
ok "its exit code is the class of what went wrong" check_fails

f081() {
	refused "needs more in its environment: KEY or TOKEN" 3 \
		hib session create --vm "$VM" --agent keyed &&
		http POST /v1/sessions "{\"vm\":\"$VM\",\"agent\":\"keyed\"}" |
		jq -e '.data.code == "agent_auth_required" and
			.data.names == [["KEY", "TOKEN"]]' &&
		equal "$(cat "$tmp/status")" 412
}
ok "F081 one of several credentials is asked for by all their names" f081

# --- files ----------------------------------------------------------------------

# filed NAME FILES - the echo agent with files.
filed() {
	jq --arg n "$1" --argjson f "$2" '.name = $n | .files = $f' \
		images/agents/echo.json >"$agents/$1.json"
}

in_vm() {
	prompt "$SES" "!run $(echo "$1" | tr -d '\\\n\t')"
}

filed configured '[{"path": "/home/user/.conf/agent/c.toml", "mode": "0600",
	"content": "key = \"v\"\nline 2\n"}]'
AGENT=configured
placed() {
	new_session && in_vm 'cd /home/user/.conf/agent; cat c.toml; \
		stat -c "%a %u %g" c.toml; ls -A' | grep -v "^exit: 0" >"$tmp/out"
	equal "$(cat "$tmp/out")" 'key = "v"
line 2
600 1000 1000
c.toml'
}
ok "files of the manifest are in the home, as the agent's own" placed

kept() {
	in_vm 'echo mine >/home/user/.conf/agent/c.toml' &&
		hib session suspend "$SES" &&
		in_vm 'cat /home/user/.conf/agent/c.toml' | grep -x mine &&
		new_session &&
		in_vm 'cat /home/user/.conf/agent/c.toml' | grep -x mine
}
ok "what is there stays as it is" kept

replaced() {
	filed replacing '[{"path": "/home/user/.conf/agent/c.toml",
		"content": "ours\n", "replace": true}]'
	new_session --agent replacing &&
		in_vm 'cat /home/user/.conf/agent/c.toml' | grep -x ours
}
AGENT=replacing
ok "unless it is to be replaced" replaced

no_link() {
	in_vm 'ln -s /workspace /home/user/out' >/dev/null
	filed linked '[{"path": "/home/user/out/x", "content": "y"}]'
	refused agent_spawn_failed 2 \
		hib session create --vm "$VM" --agent linked &&
		grep -q "files in its home" "$tmp/refused.err" &&
		not test -e "$HIB_HOME/vms/$VM/disk/vfs/upper/x"
}
ok "no link in the home is followed" no_link

wrong_path() {
	filed wrong '[{"path": "/home/user/../x", "content": "y"}]'
	refused invalid_argument 5 \
		hib session create --vm "$VM" --agent wrong
}
ok "a path that leaves the home is refused" wrong_path

PATH=$old_path
done_testing
