#!/bin/sh
# What hibd counts, in Prometheus' text format.
# shellcheck source=tests/lib.sh
. tests/lib.sh

# metric SAMPLE - its value, from $tmp/body.
metric() {
	grep -v '^#' "$tmp/body" | grep -F "$1 " | sed 's/.* //'
}

# counts SAMPLE N - and now it is so much.
counts() {
	http GET /metrics >/dev/null && equal "$(metric "$1")" "$2"
}

hib daemon start >/dev/null

# Each sample follows the help and the type of its name, and is there once.
is_well_formed() {
	http GET /metrics >/dev/null && equal "$(cat "$tmp/status")" 200 &&
		awk '
		/^# HELP [a-z_]+ [A-Z].*\.$/ { help = $3; next }
		/^# TYPE [a-z_]+ gauge$/ && $3 == help { name = $3; next }
		/^[a-z_]+({[a-z]+="[a-z0-9.]+"})? [0-9]+$/ {
			split($1, part, "{")
			if (part[1] == name && !seen[$1]++) { n++; next }
		}
		{ print "wrong: " $0; bad = 1 }
		END { exit bad || n < 30 }' "$tmp/body"
}
ok "every sample has a help and a type" is_well_formed
says_its_type() {
	curl -sS --max-time "$((30 * slow))" --unix-socket "$HIB_HOME/hibd.sock" -o /dev/null \
		-w '%{content_type}' http://hib/metrics >"$tmp/type" &&
		equal "$(cat "$tmp/type")" "text/plain; version=0.0.4"
}
ok "the type says which format it is" says_its_type
is_empty() {
	counts 'hib_sessions{state="idle"}' 0 && counts hib_events 0
}
ok "a new store has nothing in it" is_empty

vm=$(hib vm create)
ses=$(hib session create --agent echo --vm "$vm")
hib prompt "$ses" hello >/dev/null
ok "a session is counted by its state" \
	until_true 10 counts 'hib_sessions{state="idle"}' 1
vm_is_up() {
	counts 'hib_vms{state="running"}' 1 &&
		counts 'hib_links{state="up"}' 1
}
ok "and its VM, and the channel to it" vm_is_up
ok "and its turn" counts hib_turns 1
events_are_those_of_the_log() {
	counts hib_events "$(hib log "$ses" --json | wc -l)"
}
ok "and its events" until_true 10 events_are_those_of_the_log

hib snapshot create "$vm" --kind disk >/dev/null
hib vm sleep "$vm"
is_cold() {
	counts 'hib_vms_asleep{memory="none"}' 1 &&
		counts 'hib_links{state="up"}' 0
}
ok "a VM that sleeps cold has no memory" is_cold
ok "snapshots are counted by what they are of" \
	counts 'hib_snapshots{kind="disk"}' 1

refuses_one_session() {
	TOKEN=$(hib token create --scope admin "$ses") http GET /metrics \
		>/dev/null
	equal "$(cat "$tmp/status")" 403
}
allows_all_sessions() {
	TOKEN=$(hib token create) counts hib_turns 1
}
ok "a token for one session does not tell of others" refuses_one_session
ok "a token for all that may read is enough" allows_all_sessions
done_testing
