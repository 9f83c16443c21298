#!/bin/sh
# Cursors, requests that come again, sums, and pages of lists.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
ses=$SES
for i in 1 2 3; do
	prompt "$ses" "!usage 10 $i;;!tool t$i Edit edit;;!say answer $i" >"$tmp/x"
done

# --- cursors ----------------------------------------------------------------------

f145_set() {
	hib cursor set "$ses" ann 7 && hib cursor set "$ses" bob 3 &&
		equal "$(hib cursor get "$ses" ann)" 7 &&
		hib cursor list "$ses" --json |
		jq -e 'map([.name, .seq]) == [["ann", 7], ["bob", 3]]' &&
		http GET "/v1/sessions/$ses/cursors/bob" | jq -e '.seq == 3'
}
ok "F145 a cursor is what it was set to" f145_set
f145_survives() {
	kill_hibd KILL && equal "$(hib cursor get "$ses" ann)" 7 &&
		not alive "$(hibd_pid)" && hib daemon start &&
		http GET "/v1/sessions/$ses/cursors/ann" | jq -e '.seq == 7'
}
ok "F145 it survives the daemon" f145_survives
f145_refusals() {
	c=/v1/sessions/$ses/cursors
	answers 409 cursor_ahead PUT "$c/ann" '{"seq":100000}' &&
		answers 400 invalid_argument PUT "$c/ann" '{}' &&
		answers 400 invalid_argument PUT "$c/ann" '{"seq":-1}' &&
		answers 400 invalid_argument PUT "$c/a%20b" '{"seq":1}' &&
		answers 404 key_not_found GET "$c/nobody" &&
		answers 404 session_not_found PUT \
			"/v1/sessions/$(new_id ses)/cursors/x" '{"seq":0}' &&
		refused key_not_found 6 hib cursor get "$ses" nobody &&
		refused cursor_ahead 7 hib cursor set "$ses" ann 100000 &&
		equal "$(hib cursor get "$ses" ann)" 7
}
ok "F145 what cannot be is refused and changes nothing" f145_refusals
f145_log() {
	hib log "$ses" --cursor new --json >"$tmp/a" &&
		log_json "$ses" | cmp - "$tmp/a" &&
		equal "$(hib log "$ses" --cursor new --json)" '' &&
		says "$ses" more more &&
		hib log "$ses" --cursor new --json >"$tmp/b" &&
		log_json "$ses" | cmp - "$(cat "$tmp/a" "$tmp/b" >"$tmp/c" &&
			echo "$tmp/c")"
}
ok "F145 log --cursor prints each event once" f145_log
f145_limit() {
	: >"$tmp/a"
	while hib log "$ses" --cursor paged --limit 7 --json >"$tmp/b" &&
		[ -s "$tmp/b" ]; do
		cat "$tmp/b" >>"$tmp/a"
	done
	log_json "$ses" | cmp - "$tmp/a"
}
ok "F145 also page by page" f145_limit
f145_purged() {
	new_session && hib cursor set "$SES" x 1 && hib cursor delete "$ses" bob &&
		refused key_not_found 6 hib cursor delete "$ses" bob &&
		hib session destroy --discard "$SES" &&
		no_rows "SELECT * FROM cursor WHERE session_id = '$SES'" left
}
ok "F145 it goes by itself, or with its session" f145_purged
f138_token() {
	TOKEN=$(hib token create "$ses" --scope read)
	http PUT "/v1/sessions/$ses/cursors/reader" '{"seq":2}' |
		jq -e '.seq == 2' &&
		answers 404 session_not_found PUT \
			"/v1/sessions/$(new_id ses)/cursors/x" '{"seq":0}' &&
		answers 403 forbidden POST "/v1/sessions/$ses/prompt" \
			'{"text":"hi"}' &&
		http GET "/v1/sessions/$ses/events?since=0" | jq -e '.events[0]'
	_r=$?
	TOKEN=
	return $_r
}
ok "F207 who may read may keep a cursor, but not prompt" f138_token
f138_other() {
	new_session && other=$SES
	TOKEN=$(hib token create "$ses" --scope admin)
	for since in 0 1 99999; do
		answers 404 session_not_found GET \
			"/v1/sessions/$other/events?since=$since" || break
	done
	_r=$?
	TOKEN=
	return $_r
}
ok "F138 a token of one session opens no other, whatever the cursor" f138_other

# --- create that comes again ---------------------------------------------------------

# sessions_made - how many there are.
sessions_made() {
	sql 'SELECT count(*) FROM session'
}
f064_same() {
	n=$(sessions_made) &&
		a=$(hib session create --agent echo --vm "$VM" --key k1 --title t) &&
		b=$(hib session create --agent echo --vm "$VM" --key k1 --title t) &&
		equal "$a" "$b" && equal "$(sessions_made)" $((n + 1)) &&
		holds "$a" '[.[] | select(.type == "session.created")] | length == 1'
}
ok "F004 F064 the same key and request is the same session" f064_same
f064_other() {
	n=$(sessions_made) &&
		refused idempotency_mismatch 7 hib session create --agent echo \
			--vm "$VM" --key k1 --title u &&
		answers 409 idempotency_mismatch POST /v1/sessions \
			"{\"agent\":\"echo\",\"vm\":\"$VM\",\"idempotencyKey\":\"k1\"}" &&
		equal "$(sessions_made)" "$n"
}
ok "F064 another request with the key is refused" f064_other
f064_refused_leaves_nothing() {
	refused vm_not_found 6 hib session create --agent echo --vm nowhere \
		--key k2 &&
		refused agent_unknown 5 hib session create --agent nobody \
			--vm "$VM" --key k2 &&
		no_rows "SELECT key FROM idem WHERE key = 'k2'" keys
}
ok "F064 a refused request leaves the key free" f064_refused_leaves_nothing
f064_at_once() {
	n=$(sessions_made)
	for i in 1 2 3 4; do
		hib session create --agent echo --vm "$VM" --key k3 \
			>"$tmp/at_once.$i" 2>&1 &
		eval "p$i=$!"
	done
	# shellcheck disable=SC2154 # set by eval
	wait "$p1" "$p2" "$p3" "$p4"
	equal "$(sort -u "$tmp"/at_once.* | wc -l)" 1 &&
		equal "$(sessions_made)" $((n + 1))
}
ok "F064 four at once make one session" f064_at_once

# no_stray - no guest is left that a killed hibd had just made; they end when
# nobody comes to them.  (grep fails, too, when a process goes meanwhile.)
no_stray() {
	_stray=$(grep -sl "$tmp/.*\.gone/" /proc/[0-9]*/mountinfo)
	[ -z "$_stray" ]
}

agent slow --slow-start 700
f064_killed() {
	for pause in 0.02 0.1 0.3 0.6 0.9; do
		n=$(sessions_made)
		hib session create --agent slow --key "kill$pause" \
			>"$tmp/killed" 2>&1 &
		creating=$!
		sleep "$pause"
		kill_hibd KILL
		wait "$creating"
		a=$(hib session create --agent slow --key "kill$pause") || return 1
		until_true 10 state_is "$a" idle || return 1
		equal "$(sessions_made)" $((n + 1)) || return 1
		hib vm stop "$(session_field "$a" vm_id)"
	done
}
ok "F064 a hibd killed at any moment makes no second session" f064_killed
ok "F064 and leaves no guest that nobody knows" until_true 40 no_stray
f004_id() {
	id=$(new_id ses)
	hib session create --agent echo --vm "$VM" --id "$id" &&
		hib session create --agent echo --vm "$VM" --id "$id" &&
		refused session_conflict 7 hib session create --agent echo \
			--vm "$VM" --id "$id" --cwd /tmp &&
		holds "$id" '[.[] | select(.type == "session.created")] | length == 1'
}
ok "F004 the same id and options is the same session" f004_id

# --- sums --------------------------------------------------------------------------

f114_stats() {
	hib session stats "$ses" --json >"$tmp/stats" && n="(SELECT n FROM session
		WHERE id = '$ses')" &&
		equal "$(jq -cS .types "$tmp/stats")" "$(sql "SELECT
			json_group_object(type, c) FROM (SELECT type, count(*) AS c
			FROM event WHERE session_n = $n GROUP BY type)" | jq -cS .)" &&
		equal "$(jq .events "$tmp/stats")" "$(last_seq "$ses")" &&
		jq -e '.turns == {"completed": 4} and .usage.inputTokens == 30 and
			.errors == 0 and .bytes > 1000 and
			.first_ms <= .last_ms' "$tmp/stats"
}
ok "F114 stats are what a count of the events gives" f114_stats
f094_usage() {
	hib session usage "$ses" --json >"$tmp/usage" &&
		jq -e '.usage.outputTokens == 6 and .turns == 4' "$tmp/usage" &&
		equal "$(hib session turns "$ses" --json |
			jq '[.[].usage.outputTokens // 0] | add')" 6 &&
		http GET "/v1/sessions/$ses/usage" | jq -cS . >"$tmp/a" &&
		jq -cS . "$tmp/usage" | cmp - "$tmp/a"
}
ok "F094 F243 what the turns used adds up" f094_usage
f095_completed() {
	holds "$ses" '[.[] | select(.type == "turn.completed")][0].data |
		.duration_ms >= 0 and .tool_calls == 1 and
		(.text_preview | test("answer 1"))'
}
ok "F095 the end of a turn says what was in it" f095_completed

# Children, as an import brings them.
child_of() {
	_child=$(new_id ses)
	log_json "$ses" | jq -c --arg c "$_child" --arg p "$1" \
		'.session = $c | if .seq == 1 then .data.parent = $p |
		.data.root = $p else . end' >"$tmp/child" &&
		{ hib export "$ses" | head -n 1 | sed "s/$ses/$_child/" &&
			cat "$tmp/child"; } | hib import -
}
f243_tree() {
	hib session suspend "$ses"
	a=$(child_of "$ses") && b=$(child_of "$a") &&
		hib session usage "$ses" --tree --json >"$tmp/tree" &&
		jq -e '.usage.inputTokens == 90 and .usage.outputTokens == 18 and
			.turns == 12 and (.sessions | length) == 3 and
			([.sessions[].usage.inputTokens] | add) == 90' "$tmp/tree" &&
		hib session usage "$a" --tree --json |
		jq -e '.usage.inputTokens == 60' &&
		equal "$(sql "SELECT sum(usage ->> 'inputTokens') FROM turn WHERE
			session_id IN ('$ses', '$a', '$b')")" 90
}
ok "F243 the sum over a tree is the sum of its turns" f243_tree

# --- lists ----------------------------------------------------------------------------

f242_pages() {
	hib session suspend "$ses" && hib export "$ses" >"$tmp/export"
	for i in $(seq 60); do
		sed "s/$ses/$(new_id ses)/g" "$tmp/export" | hib import - \
			>"$tmp/x" || return 1
	done
	sql 'SELECT id FROM session WHERE archived_ms IS NULL' | sort >"$tmp/all"
	: >"$tmp/pages"
	after=
	while page=$(hib session list --limit 7 ${after:+--after "$after"} --json |
		jq -r '.[].id') && [ -n "$page" ]; do
		echo "$page" >>"$tmp/pages"
		after=$(echo "$page" | tail -n 1)
		sed "s/$ses/$(new_id ses)/g" "$tmp/export" | hib import - >"$tmp/x"
	done
	sort "$tmp/pages" | cmp - "$tmp/all"
}
ok "F242 pages of a list give each once while new ones come" f242_pages
f006_tags() {
	new_session --tag red --tag blue && one=$SES && new_session --tag blue &&
		equal "$(hib session list --tag red --json | jq -r '.[].id')" "$one" &&
		equal "$(hib session list --tag blue --json | jq length)" 2 &&
		equal "$(hib session list --tag green --json | jq length)" 0
}
ok "F006 a list by tag has exactly those" f006_tags
done_testing
