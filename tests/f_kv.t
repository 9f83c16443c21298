#!/bin/sh
# What a session keeps: keys, memories, summaries.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
ses=$SES
new_session
other=$SES

# long N - a text of so many bytes.
long() {
	head -c "$1" /dev/zero | tr '\0' x
}

# --- keys ---------------------------------------------------------------------

f189_round_trip() {
	hib kv set "$ses" color blue &&
		equal "$(hib kv get "$ses" color)" blue &&
		hib kv set "$ses" "$(long 255)" edge &&
		equal "$(hib kv get "$ses" "$(long 255)")" edge &&
		hib kv set "$ses" 'a/b c?%é' odd &&
		equal "$(hib kv get "$ses" 'a/b c?%é')" odd &&
		http GET "/v1/sessions/$ses/kv/a%2Fb%20c%3F%25%C3%A9" |
		jq -e '.value == "odd" and .key == "a/b c?%é"'
}
ok "F189 what is set is what is got, with keys of 255 bytes" f189_round_trip
f189_refused() {
	p=/v1/sessions/$ses/kv
	answers 400 invalid_argument PUT "$p/$(long 256)" '{"value":"x"}' &&
		answers 400 invalid_argument GET "$p/$(long 256)" &&
		answers 400 invalid_argument PUT "$p/k" '{"value":7}' &&
		answers 400 invalid_argument PUT "$p/k" '{"value":"a\u0000b"}' &&
		answers 400 invalid_argument PUT "$p/k" '{}' &&
		answers 404 key_not_found GET "$p/nothing" &&
		answers 404 key_not_found DELETE "$p/nothing" &&
		answers 404 session_not_found PUT \
			"/v1/sessions/$(new_id ses)/kv/k" '{"value":"x"}' &&
		refused invalid_argument 5 hib kv set "$ses" "$(long 256)" x &&
		refused key_not_found 6 hib kv get "$ses" nothing
}
ok "F189 what cannot be is refused, and changes nothing" \
	unchanged "$ses" f189_refused
f189_other() {
	refused key_not_found 6 hib kv get "$other" color &&
		equal "$(hib kv ls "$other" --json)" '[]'
}
ok "F189 another session has its own" f189_other
f189_large() {
	long 1048576 >"$tmp/large" &&
		hib kv set "$ses" large "@$tmp/large" &&
		equal "$(hib kv get "$ses" large | md5sum)" \
			"$({ cat "$tmp/large" && echo; } | md5sum)" &&
		echo >>"$tmp/large" &&
		refused message_too_large 4 hib kv set "$ses" larger "@$tmp/large" &&
		hib kv rm "$ses" large
}
ok "F189 a value has up to 1 MiB" f189_large
f189_list() {
	for k in b1 b2 b3; do
		hib kv set "$ses" "$k" "value $k" || return 1
	done
	hib kv ls "$ses" --prefix b --json |
		jq -e 'map([.key, .bytes, .preview]) == [["b1", 8, "value b1"],
			["b2", 8, "value b2"], ["b3", 8, "value b3"]]' &&
		hib kv ls "$ses" --after b1 --prefix b --limit 1 --json |
		jq -e 'map(.key) == ["b2"]' &&
		hib kv rm "$ses" b2 &&
		http GET "/v1/sessions/$ses/kv?prefix=b" |
		jq -e 'map(.key) == ["b1", "b3"]'
}
ok "F189 keys are listed, by beginnings and in pages" f189_list
f189_compare() {
	e=$(hib kv set "$ses" n 1 --json | jq -r .etag) &&
		refused cas_mismatch 7 hib kv set "$ses" n 2 --etag zz &&
		refused already_exists 7 hib kv set "$ses" n 2 --must-not-exist &&
		refused cas_mismatch 7 hib kv set "$ses" m 2 --etag "$e" &&
		hib kv set "$ses" n 2 --etag "$e" &&
		refused cas_mismatch 7 hib kv rm "$ses" n --etag "$e" &&
		equal "$(hib kv get "$ses" n)" 2
}
ok "F189 a value is compared before it is set" f189_compare
f189_at_once() {
	p=/v1/sessions/$1/kv/at_once
	seq 20 | xargs -P 8 -I@ curl -sS --max-time "$((30 * slow))" \
		--unix-socket "$HIB_HOME/hibd.sock" -X PUT \
		-H 'If-None-Match: *' -o /dev/null -w '%{http_code}\n' \
		--data '{"value":"@"}' "http://hib$p" >"$tmp/codes" &&
		equal "$(sort "$tmp/codes" | uniq -c | xargs)" '1 200 19 409'
}
ok "F189 of many at once one is the first" f189_at_once "$ses"
f189_events() {
	holds "$ses" 'any(.type == "kv.set" and
			.data == {key: "color", value: "blue"}) and
		any(.type == "kv.deleted" and .data == {key: "b2"})'
}
ok "F189 they are events of the log" f189_events
f189_turn() {
	MARK=$(last_seq "$ses")
	prompt_bg "$ses" '!sleep 60000' && wait_for_event "$ses" turn.started 10 \
		"$MARK" && hib kv set "$ses" midway yes &&
		holds "$ses" '.[-1] | .type == "kv.set" and .turn == "'"$TURN"'"' &&
		hib cancel "$ses" && wait_turn "$ses" "$TURN"
}
ok "F189 a key is set while a turn runs, and is part of it" f189_turn

# --- asleep ---------------------------------------------------------------------

ok "F189 the VM sleeps" hib vm sleep "$VM"
f189_asleep() {
	equal "$(hib kv get "$ses" color)" blue &&
		hib kv set "$ses" color red && hib kv rm "$ses" b1 &&
		equal "$(hib kv get "$ses" color)" red &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended
}
ok "F189 keys are set while it sleeps, and it is not woken" f189_asleep
ok "F189 of many at once one is the first then, too" f189_at_once "$other"
f189_queue() {
	seq 40 | xargs -P 8 -I@ timeout "$((30 * slow))" "$O/bin/hib" kv set "$ses" q@ v@ &&
		equal "$(hib kv ls "$ses" --prefix q --json | jq length)" 40
}
ok "F189 and all of many different ones" f189_queue
f189_dead() {
	kill_hibd KILL && equal "$(hib kv get "$ses" color)" red &&
		hib kv ls "$ses" --json | jq -e 'length > 40' &&
		not alive "$(hibd_pid)"
}
ok "F189 they are read with hibd dead" f189_dead
f189_awake() {
	hib vm wake "$VM" && hib kv set "$ses" color green &&
		equal "$(hib kv get "$ses" color)" green &&
		refused key_not_found 6 hib kv rm "$ses" b1
}
ok "F189 the VM, awake again, knows of it" f189_awake
f189_disk() {
	hib vm sleep "$VM" && rm -rf "$HIB_HOME/vms/$VM"/disk/state/guest.db* &&
		hib vm wake "$VM" &&
		refused already_exists 7 hib kv set "$ses" color x --must-not-exist
}
ok "F189 and with its disk lost" f189_disk

# --- memories -------------------------------------------------------------------

f194_memory() {
	hib memory set "$ses" user 'is called Ann' --meta '{"from":"turn 1"}' &&
		equal "$(hib memory get "$ses" user)" 'is called Ann' &&
		hib memory get "$ses" user --json | jq -e '.scope == "session" and
			.meta == {from: "turn 1"}' &&
		refused key_not_found 6 hib memory get "$other" user &&
		refused key_not_found 6 hib kv get "$ses" user
}
ok "F194 a memory has metadata, and is the session's" f194_memory
f194_resume() {
	hib session suspend "$ses" --force && says "$ses" again again &&
		equal "$(hib memory get "$ses" user)" 'is called Ann'
}
ok "F194 it is there after a cold resume" f194_resume
f196_shared() {
	hib memory set "$ses" rule 'use tabs' --scope vm &&
		equal "$(hib memory get "$other" rule)" 'use tabs' &&
		refused key_not_found 6 hib memory get "$other" rule --scope session &&
		hib memory set "$other" rule 'use spaces' --scope vm &&
		equal "$(hib memory get "$ses" rule)" 'use spaces' &&
		hib memory set "$ses" rule mine &&
		equal "$(hib memory get "$ses" rule)" mine &&
		equal "$(hib memory get "$ses" rule --scope vm)" 'use spaces' &&
		hib memory ls "$ses" --prefix rule --json |
		jq -e 'map([.scope, .preview]) ==
			[["session", "mine"], ["vm", "use spaces"]]' &&
		hib memory rm "$ses" rule --scope vm &&
		refused key_not_found 6 hib memory get "$other" rule &&
		hib memory set "$other" rule anew --scope vm --must-not-exist &&
		equal "$(hib memory get "$ses" rule --scope vm)" anew
}
ok "F196 a memory of the VM is read from its other sessions" f196_shared
f196_vm() {
	stranger=$(hib session create --agent echo) &&
		refused key_not_found 6 hib memory get "$stranger" rule
	_r=$?
	hib session destroy "$stranger" && return "$_r"
}
ok "F196 and from no other VM" f196_vm

# --- summaries ------------------------------------------------------------------

f195_summary() {
	says "$ses" 'the word is xyzzy' 'the word is xyzzy' &&
		hib summary add "$ses" 'They agreed on a word.' --json |
		jq -e '.from_seq == 1 and .to_seq > 1' &&
		says "$ses" 'after it' 'after it' &&
		hib summary list "$ses" --json | jq -e 'map(.text) ==
			["They agreed on a word."]' &&
		refused invalid_argument 5 hib summary add "$ses" x --to 1000000 &&
		hib session close "$ses" &&
		hib session resume "$ses" >"$tmp/rung" &&
		prompt "$ses" 'what did I say' >"$tmp/preamble"
	grep -q 'They agreed on a word' "$tmp/preamble" &&
		not grep -q xyzzy "$tmp/preamble" &&
		grep -q 'after it' "$tmp/preamble"
}
ok "F195 a preamble has the summary and what is behind it" f195_summary

# --- by MCP -----------------------------------------------------------------------

# call SERVER TOOL JSON - the agent of MCP_SES calls a tool and says the result.
call() {
	prompt "$mcp_ses" "!mcp call $1 $2 $3"
}

new_session --mcp-builtin kv,memory
mcp_ses=$SES
f189_agent() {
	call kv kv_set '{"key":"by","value":"agent"}' >"$tmp/set" &&
		equal "$(hib kv get "$mcp_ses" by)" agent &&
		hib kv set "$mcp_ses" by user &&
		call kv kv_get '{"key":"by"}' | jq -e '.value == "user"' &&
		call kv kv_list '{}' | jq -e '.keys | map(.key) == ["by"]' &&
		call kv kv_set "$(jq -nc --slurpfile e "$tmp/set" \
			'{key: "by", value: "x", etag: $e[0].etag}')" |
		grep -q 'another one by now' &&
		call kv kv_delete '{"key":"by"}' | jq -e '.key == "by"' &&
		refused key_not_found 6 hib kv get "$mcp_ses" by
}
ok "F189 an agent has the same keys as its user" f189_agent
f189_outside() {
	hib mcp call "$mcp_ses" kv kv_set '{"key":"out","value":"side"}' &&
		equal "$(hib kv get "$mcp_ses" out)" side &&
		hib mcp call "$mcp_ses" kv kv_get '{"key":"out"}' |
		jq -e '.value == "side"' &&
		exits 1 hib mcp call "$mcp_ses" kv kv_get '{"key":"none"}' &&
		hib kv rm "$mcp_ses" out
}
ok "F189 so has an MCP client outside" f189_outside
f189_agent_wrong() {
	call kv kv_get '{"key":"none"}' | grep -q 'no key' &&
		call kv kv_get '{}' | grep -qi 'key' &&
		call kv kv_get "{\"key\":\"$(long 256)\"}" | grep -q '255' &&
		call kv kv_set '{"key":"a","value":"b","more":1}' |
		grep -q 'more' && equal "$(hib kv ls "$mcp_ses" --json)" '[]'
}
ok "F189 what it may not is an error that it reads" f189_agent_wrong
f194_agent() {
	call memory memory_set '{"key":"pet","value":"a cat","meta":{"t":1}}' \
		>"$tmp/set" &&
		for i in 2 3 4; do says "$mcp_ses" "$i" "$i" || return 1; done &&
		hib session suspend "$mcp_ses" --force && hib vm sleep "$VM" &&
		call memory memory_get '{"key":"pet"}' |
		jq -e '.value == "a cat" and .meta == {t: 1}'
}
ok "F194 what it remembers it has after a cold resume" f194_agent
f196_agent() {
	call memory memory_set '{"key":"all","value":"of us","scope":"vm"}' \
		>"$tmp/set" &&
		equal "$(hib memory get "$other" all)" 'of us' &&
		call memory memory_list '{"scope":"vm","prefix":"a"}' |
		jq -e '.keys | map(.preview) == ["of us"]'
}
ok "F196 it shares with the other sessions of its VM" f196_agent

# --- whole sessions ---------------------------------------------------------------

f189_fork() {
	f=$(hib fork "$ses") && equal "$(hib kv get "$f" color)" green &&
		equal "$(hib memory get "$f" user)" 'is called Ann' &&
		hib kv set "$f" color black &&
		equal "$(hib kv get "$ses" color)" green &&
		equal "$(hib kv get "$f" color)" black
}
ok "F189 a fork has them, and then its own" f189_fork
f189_import() {
	hib export "$ses" >"$tmp/export" && i=$(new_id ses) &&
		sed "s/$ses/$i/g" "$tmp/export" | hib import - &&
		equal "$(hib kv get "$i" color)" green &&
		equal "$(hib memory get "$i" user)" 'is called Ann' &&
		hib session destroy "$i"
}
ok "F189 so has an import" f189_import
f189_states() {
	hib session archive "$other" &&
		refused session_archived 7 hib kv set "$other" k v &&
		equal "$(hib kv get "$other" at_once | wc -l)" 1 &&
		hib session unarchive "$other" && hib kv set "$other" k v
}
ok "F189 what is archived is read and not changed" f189_states
f189_destroy() {
	hib session destroy "$other" &&
		refused session_not_found 6 hib kv get "$other" k &&
		equal "$(sql "SELECT count(*) FROM kv WHERE session_id='$other'")" 0
}
ok "F189 it goes with the session" f189_destroy

done_testing
