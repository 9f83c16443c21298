#!/bin/sh
# A session as an object: made, named, found, made again, several at once.
# shellcheck disable=SC2119 # new_vm takes no options
. tests/lib.sh

new_vm
new_session
first=$SES

f001_row() {
	hib session list --json | jq -e --arg id "$first" --arg vm "$VM" \
		'length == 1 and .[0].id == $id and .[0].vm_id == $vm and
		.[0].agent == "echo" and .[0].state == "idle" and
		.[0].created_ms > 0' &&
		equal "$(sql "SELECT id, vm_id, agent, state FROM session")" \
			"$first|$VM|echo|idle"
}
ok "F001 create shows one row" f001_row

f002_id_is_everywhere() {
	for round in 1 2 3; do
		hib vm sleep "$VM" && hib vm wake "$VM" &&
			says "$first" "!say $round" "$round" || return 1
	done
	holds "$first" "length > 9 and all(.session == \"$first\")" &&
		hib session list --json | jq -e ".[0].id == \"$first\"" &&
		hib export "$first" | head -n 1 |
		jq -e ".session == \"$first\""
}
ok "F002 the id stays over three sleeps" f002_id_is_everywhere

ok "F003 a malformed id is refused before lookup" \
	answers 400 invalid_id GET /v1/sessions/ses_XYZ
ok "F003 a wrong prefix is refused before lookup" \
	refused invalid_id 5 hib session get "$(new_id trn)"
ok "F003 an unknown id is not found" \
	answers 404 session_not_found GET "/v1/sessions/$(new_id ses)"

twice=$(new_id ses)
same="{\"id\":\"$twice\",\"vm\":\"$VM\",\"agent\":\"echo\",\"env\":{\"A\":\"1\"}}"
f004_same_id() {
	http POST /v1/sessions "$same" && http POST /v1/sessions "$same" |
		jq -e ".session.id == \"$twice\" and .session.state == \"idle\"" &&
		equal "$(sql "SELECT count(*) FROM session WHERE id='$twice'")" 1 &&
		holds "$twice" '[.[] | select(.type == "session.created")]
			| length == 1'
}
ok "F004 the same create again gives the same session" f004_same_id
ok "F004 another cwd under the same id conflicts" answers 409 session_conflict \
	POST /v1/sessions \
	"{\"id\":\"$twice\",\"vm\":\"$VM\",\"agent\":\"echo\",\"env\":{\"A\":\"1\"},\"cwd\":\"/tmp\"}"
ok "F004 another environment under the same id conflicts" \
	answers 409 session_conflict POST /v1/sessions \
	"{\"id\":\"$twice\",\"vm\":\"$VM\",\"agent\":\"echo\",\"env\":{\"A\":\"2\"}}"

f004_together() {
	id=$(new_id ses)
	body="{\"id\":\"$id\",\"vm\":\"$VM\",\"agent\":\"echo\"}"
	for _ in 1 2 3 4 5; do
		(http POST /v1/sessions "$body" >/dev/null) &
	done
	wait
	equal "$(sql "SELECT count(*) FROM event e JOIN session s
		ON s.n = e.session_n WHERE s.id = '$id' AND
		type IN ('session.created', 'agent.started')")" 2
}
ok "F004 five creates at once start one agent" f004_together

unset_agent() {
	unchanged "$first" answers 409 session_conflict PATCH \
		"/v1/sessions/$first" "$1"
}
ok "F007 the agent of a session never changes" unset_agent '{"agent":"other"}'
ok "F007 nor does its cwd" unset_agent '{"cwd":"/tmp"}'

f005_title() {
	hib session update "$first" --title "Ünïcode" &&
		kill_hibd TERM && hib daemon start &&
		equal "$(session_field "$first" title)" "Ünïcode"
}
ok "F005 a title outlives hibd" f005_title

f012_metadata() {
	http POST /v1/sessions "{\"vm\":\"$VM\",\"agent\":\"image\"}" >"$tmp/new"
	id=$(jq -r .session.id "$tmp/new")
	log_json "$id" | jq -s '[.[] | select(.type == "acp.response" and
		.data.dir == "in") | .data.msg.result] | .[0]' >"$tmp/sent"
	jq -e --slurpfile sent "$tmp/sent" \
		'.capabilities == $sent[0].agentCapabilities and
		.agentInfo == $sent[0].agentInfo and
		.capabilities.promptCapabilities.image == true and
		.modes.currentModeId == "code" and
		.configOptions[0].id == "model"' "$tmp/new"
}
agent image --image
ok "F012 create returns what the agent said of itself" f012_metadata

f013_unknown() {
	before=$(sql "SELECT count(*) FROM session")
	http POST /v1/sessions "{\"vm\":\"$VM\",\"agent\":\"nosuch\"}"
	jq -e '.data.code == "agent_unknown" and (tostring | test("echo"))' \
		"$tmp/body" && equal "$(cat "$tmp/status")" 404 &&
		equal "$(sql "SELECT count(*) FROM session")" "$before" &&
		refused agent_unknown 5 \
			hib session create --vm "$VM" --agent nosuch
}
ok "F013 an unknown agent is refused with the list of those there are" \
	f013_unknown

f013_list() {
	hib agent list --json | jq -e 'any(.name == "echo")'
}
ok "F013 agents are listed by name" f013_list

f014_pinned() {
	agent pin --image
	id=$(hib session create --vm "$VM" --agent pin) || return 1
	session_field "$id" agent_info | jq -e '.resolved == "1"' || return 1
	jq '.version = "2"' "$HIB_HOME/agents/pin.json" >"$tmp/pin" &&
		mv "$tmp/pin" "$HIB_HOME/agents/pin.json"
	hib session suspend "$id" && says "$id" '!say hi' hi &&
		session_field "$id" agent_info | jq -e '.resolved == "1"' &&
		id=$(hib session create --vm "$VM" --agent pin) &&
		session_field "$id" agent_info | jq -e '.resolved == "2"'
}
ok "F014 a session keeps the version it was made with" f014_pinned

f015_together() {
	new_session && a=$SES && new_session && b=$SES || return 1
	(prompt "$a" '!sleep 200;;!write shared one;;!sleep 100;;!say a' \
		>"$tmp/a") &
	_one=$!
	prompt "$b" '!sleep 400;;!say b' >"$tmp/b"
	wait "$_one"
	grep -q 'a$' "$tmp/a" && equal "$(cat "$tmp/b")" b &&
		says "$b" '!read shared' one &&
		not equal "$(prompt "$a" '!pid')" "$(prompt "$b" '!env')" &&
		log_json "$a" | jq -se 'any(.type == "turn.started")'
}
ok "F015 two sessions of a VM work at once and share its files" f015_together

f018_second_client() {
	boot=$(hib vm get "$VM" --json | jq -r .boot_id)
	(cd / && env -i PATH="$PATH" HIB_HOME="$HIB_HOME" \
		timeout "$((30 * slow))" "$O/bin/hib" \
		prompt "$first" "!run readlink /proc/1/ns/pid") >"$tmp/one" &&
		prompt "$first" "!run readlink /proc/1/ns/pid" >"$tmp/two" &&
		cmp "$tmp/one" "$tmp/two" &&
		equal "$(hib vm get "$VM" --json | jq -r .boot_id)" "$boot"
}
ok "F018 a second client's prompt runs in the same VM" f018_second_client

f019_no_local_state() {
	env -i PATH="$PATH" HIB_HOME="$HIB_HOME" \
		timeout "$((30 * slow))" "$O/bin/hib" session list \
		--json | jq -e "any(.id == \"$first\")" &&
		env -i PATH="$PATH" HIB_HOME="$HIB_HOME" \
		timeout "$((30 * slow))" "$O/bin/hib" log \
			"$first" --json | cmp - "$tmp/log"
}
log_json "$first" >"$tmp/log"
ok "F019 any client lists and reads the session" f019_no_local_state

f020_goes_on() {
	exits 1 prompt "$first" '!error -32000 broken' &&
		state_is "$first" idle && says "$first" again again
}
ok "F020 a failed turn does not end the session" f020_goes_on

f006_tags() {
	new_session --tag red --tag 'k=v' && http GET '/v1/sessions?tag=k=v' |
		jq -e "length == 1 and .[0].id == \"$SES\" and
			.[0].tags == [\"red\", \"k=v\"]"
}
ok "F006 a tag finds its sessions" f006_tags

done_testing
