#!/bin/sh
# What an agent sees of the host, what a session sees of another, and what
# survives of its environment.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

HOST_SECRET=do-not-leak
export HOST_SECRET
new_vm
new_session --env 'GREETING=hello wörld' --env EMPTY=

# --- the VM -------------------------------------------------------------------

base='PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/home/user
LANG=C.UTF-8
TERM=dumb
USER=user'
f048_environment() {
	equal "$(prompt "$SES" '!env')" "$base
GREETING=hello wörld
EMPTY="
}
ok "F048 the environment is the base and what was given, in this order" \
	f048_environment
f048_override() {
	old=$SES
	new_session --env TERM=xterm && prompt "$SES" '!env TERM' | grep -q xterm
	result=$?
	SES=$old
	return "$result"
}
ok "F048 what was given wins over the base" f048_override
f048_survives() {
	before=$(prompt "$SES" '!env')
	hib vm sleep "$VM" && equal "$(prompt "$SES" '!env')" "$before"
}
ok "F048 it is the same after a sleep" f048_survives
f048_never_on_disk() {
	new_session --env 'KEY=sesame-4711' && says "$SES" hi hi &&
		hib vm sleep "$VM" && not grep -rlaF sesame-4711 "$HIB_HOME" &&
		says "$SES" '!env KEY' sesame-4711
}
ok "F048 its values are in no file in the clear" f048_never_on_disk

f017_no_host() {
	prompt "$SES" '!env;;!mounts' >"$tmp/seen" &&
		not grep -F do-not-leak "$tmp/seen" &&
		not grep -F HIB_HOME "$tmp/seen" &&
		not grep -F "$tmp" "$tmp/seen" || return 1
	for path in /root "$HIB_HOME/key" "$HIB_HOME/hib.db" "$PWD" \
		/etc/shadow /hib/state /hib/run/api.sock /hib/vfs /hib/lower; do
		prompt "$SES" "!run cat $path || ls -A $path | grep ." >"$tmp/seen"
		grep -q 'exit: 0' "$tmp/seen" && echo "$path is there" && return 1
	done
	return 0
}
ok "F017 no variable and no path of the host is there" f017_no_host

f017_no_network() {
	prompt "$SES" '!run cat /proc/net/dev | tail -n +3 | cut -d: -f1' \
		>"$tmp/net"
	cat "$tmp/net"
	equal "$(head -n 1 "$tmp/net" | tr -d ' ')" lo &&
		not grep -q eth "$tmp/net"
}
ok "F017 there is no network but lo" f017_no_network

f017_read_only() {
	prompt "$SES" '!run touch /usr/bin/x /opt/hib/x /opt/agents/x /etc/x' |
		grep -q 'exit: 1' && not [ -e /usr/bin/x ]
}
ok "F017 the image cannot be written" f017_read_only

f017_processes() {
	prompt "$SES" '!ps' >"$tmp/ps" && cat "$tmp/ps" &&
		not grep -E 'hib-guest|hibd|systemd' "$tmp/ps"
}
ok "F017 no process but its own is there" f017_processes

ok "F017 the agent is an ordinary user" eval \
	'prompt "$SES" "!run id -u" | grep -qx 1000'

f017_powers() {
	prompt "$SES" '!run kill -9 1' # Init takes no signal from inside.
	for try in 'mount -t tmpfs x /mnt' 'chroot / true' \
		'cat /proc/kcore' 'echo 1 >/proc/sys/kernel/panic'; do
		prompt "$SES" "!run $try" >"$tmp/try" 2>&1
		grep -q 'exit: 0' "$tmp/try" && echo "it may: $try" && return 1
	done
	says "$SES" hi hi
}
ok "F017 it has no power over the VM" f017_powers

# --- sessions -----------------------------------------------------------------

f016_tokens() {
	new_session && a=$SES && new_session && b=$SES &&
		says "$b" private private || return 1
	TOKEN=$(hib token create "$a" --scope admin) || return 1
	for path in '' /events /messages /turns /requests /tools /elements \
		/plans /diffs /artifacts /stats /export /stream; do
		answers 404 session_not_found GET "/v1/sessions/$b$path" ||
			return 1
	done
	for verb in prompt cancel resume suspend close archive; do
		answers 404 session_not_found POST "/v1/sessions/$b/$verb" \
			'{"text":"x"}' || return 1
	done
	http GET /v1/sessions | jq -e "map(.id) == [\"$a\"]"
}
ok "F016 a token of one session finds nothing of another" f016_tokens
ok "F138 not even its cursors" answers 404 session_not_found GET \
	"/v1/sessions/$b/events?since=1"

f207_scopes() {
	TOKEN=
	TOKEN=$(hib token create "$a" --scope read) || return 1
	answers 403 forbidden POST "/v1/sessions/$a/prompt" '{"text":"x"}' &&
		http GET "/v1/sessions/$a/events" | jq -e '.events | length > 3' &&
		answers 403 forbidden POST /v1/vms '{}' &&
		answers 403 forbidden GET /v1/vms && TOKEN=nonsense &&
		answers 401 unauthorized GET /v1/sessions
}
ok "F016 a read token reads and does nothing else" f207_scopes
TOKEN=

f016_processes() {
	pid=$(prompt "$b" '!pid')
	prompt "$a" '!ps' >"$tmp/ps"
	equal "$(grep -c echo-agent "$tmp/ps")" 1 &&
		prompt "$a" '!run ls /proc | grep -c "^[0-9]"' >"$tmp/count" &&
		[ "$(head -n 1 "$tmp/count")" -lt 8 ] && [ -n "$pid" ]
}
ok "F016 a session sees no process of another" f016_processes

# --- agents -------------------------------------------------------------------

f160_spawn() {
	agent worded --image --load &&
		SES=$(hib session create --vm "$VM" --agent worded \
			--env ONE=1 --cwd /tmp) && pid=$(agent_pid "$SES") || return 1
	tr '\0' '\n' <"/proc/$pid/cmdline" >"$tmp/argv"
	equal "$(cat "$tmp/argv")" "$(printf '%s\n' /opt/hib/echo-agent \
		--image --load)" && says "$SES" '!cwd' /tmp &&
		equal "$(prompt "$SES" '!env')" "$base
ONE=1"
}
ok "F160 argv, cwd and environment are exactly those asked for" f160_spawn
f160_stderr() {
	says "$SES" '!stderr to the side;;!say x' x &&
		holds "$SES" 'any(.type == "agent.stderr" and
			(.data.text | test("to the side")))'
}
ok "F160 what it says on stderr is in the log" f160_stderr

f170_zombies() {
	prompt "$SES" '!spawn 1000;;!sleep 500' || return 1
	for p in $(descendants "$(guest_pid "$VM")"); do
		grep -q '^State:.Z' "/proc/$p/status" && return 1
	done
	return 0
}
ok "F170 a thousand orphans leave no zombie" f170_zombies

# --- no network on the host -----------------------------------------------------

if [ "$(id -u)" -eq 0 ] && unshare -n true 2>/dev/null; then
	f221_works() {
		HIB_HOME=$tmp/netless
		mkdir -m 700 "$HIB_HOME"
		unshare -n timeout "$((30 * slow))" "$O/bin/hib" run --agent echo 'no net' >"$tmp/out" &&
			equal "$(cat "$tmp/out")" 'no net' && unshare -n \
			timeout "$((30 * slow))" "$O/bin/hib" session list --json | jq -e 'length == 1'
		result=$?
		kill_all
		HIB_HOME=$tmp/home
		return "$result"
	}
	ok "F221 all of it works without a network" f221_works
else
	skip "F221 all of it works without a network" "only root unshares one"
fi
done_testing
