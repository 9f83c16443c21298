#!/bin/sh
# An agent looks up the log of its own session.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

agent forgets --store /home/user
new_vm
AGENT=forgets
new_session --mcp-builtin history
ses=$SES

# look_up JSON - the agent calls query_history and says the result.
look_up() {
	prompt "$ses" "!mcp call history query_history $1"
}

for i in 1 2 3 4 5 6 7 8; do
	prompt "$ses" "fruit number $i" >"$tmp/x"
done
prompt "$ses" 'the word is xyzzy' >"$tmp/x"

f116_words() {
	look_up '{"query":"xyzzy"}' >"$tmp/found" &&
		jq -e '(.hits | map(.role) | index("user")) != null and
			all(.hits[]; .seq > 0 and (.snippet | test("xyzzy")))' \
			"$tmp/found" &&
		_seq=$(jq '.hits[-1].seq' "$tmp/found") &&
		holds "$ses" ".[$_seq - 1].type == \"input.message\""
}
ok "F116 words are found, with the numbers of their events" f116_words
f116_turn() {
	look_up '{"turn":3}' | jq -e '.turns | length == 1 and .[0].n == 3 and
		(.[0].messages | map(.text)) ==
			["fruit number 3", "fruit number 3"]' &&
		look_up '{"turn":1000}' | grep -q 'no turn'
}
ok "F116 a turn is read" f116_turn
f116_pages() {
	look_up '{"limit":4,"order":"oldest"}' >"$tmp/p" &&
		jq -e '(.turns | map(.n)) == [1, 2, 3, 4]' "$tmp/p" &&
		look_up "$(jq -c '{limit: 3} + .next' "$tmp/p")" >"$tmp/q" &&
		jq -e '(.turns | map(.n)) == [5, 6, 7]' "$tmp/q" &&
		look_up '{"limit":2,"until":'"$(jq .next.since "$tmp/q")"'}' |
		jq -e '(.turns | map(.n)) == [6, 5]'
}
ok "F116 page by page" f116_pages
f116_events() {
	look_up '{"types":"session.*","order":"oldest","limit":2}' |
		jq -e '(.events | map(.type)) == ["session.created",
			"session.state"] or (.events | length) == 2 and
			.events[0].seq == 1 and .next.since > 1' &&
		look_up '{"types":"no.such"}' | grep -q 'no.such'
}
ok "F116 the events themselves are read by type" f116_events
f116_bounded() {
	prompt "$ses" "$(head -c 100000 /dev/zero | tr '\0' y)" >"$tmp/x" &&
		look_up '{"limit":200}' >"$tmp/p" &&
		[ "$(wc -c <"$tmp/p")" -lt 90000 ] &&
		jq -e '[.turns[].messages[] | select(.cut)] | length >= 1' \
			"$tmp/p"
}
ok "F116 an answer is bounded" f116_bounded
f116_own() {
	new_session --mcp-builtin history &&
		_r=$(prompt "$SES" '!mcp call history query_history {"query":"xyzzy"}') &&
		echo "$_r" | jq -e 'all(.hits[]; .snippet | test("query_history"))'
}
ok "F116 another session is not read" f116_own
f116_told() {
	hib session suspend "$ses" --force &&
		hib session resume "$ses" | grep transcript &&
		prompt "$ses" 'what did I say' >"$tmp/told"
	grep -q query_history "$tmp/told"
}
ok "F116 an agent that is begun afresh is told of it" f116_told
f116_others() {
	hib session suspend "$other" --force &&
		hib session resume "$other" | grep transcript &&
		prompt "$other" 'what did I say' >"$tmp/told"
	grep -q before "$tmp/told" && not grep -q query_history "$tmp/told"
}
new_session
other=$SES
prompt "$other" before >"$tmp/x"
ok "F116 and one that cannot is not" f116_others
f116_offline() {
	kill_hibd KILL && log_json "$ses" | jq -se 'any(.type == "mcp.call" and
		.data.tool == "query_history")' && hib daemon start
}
ok "F116 what was looked up is in the log" f116_offline

done_testing
