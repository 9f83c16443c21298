#!/bin/sh
# Questions: what an agent asks is kept until somebody answers, once.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

# asked SES [N] - wait until N (1) questions are open: the id of the one that was
# asked last is in REQ.
asked() {
	until_true 10 pending_count "$1" "${2:-1}" || return 1
	REQ=$(pending "$1" | tail -n 1)
}

pending() {
	http GET "/v1/sessions/$1/requests" |
		jq -r '.[] | select(.state == "pending") | .id'
}

pending_count() {
	equal "$(pending "$1" | grep -c .)" "$2"
}

# answer SES REQ BODY - as a client does over HTTP.
answer() {
	http POST "/v1/sessions/$1/requests/$2" "$3"
	equal "$(cat "$tmp/status")" 200
}

# reply_is SES WANT - what the agent said in the last turn.
reply_is() {
	equal "$(hib messages "$1" --json | jq -r '[.[] |
		select(.role == "agent")] | last | [.parts[] |
		select(.type == "text") | .text] | join("")')" "$2"
}

# asks SES SCRIPT - begin a turn that asks one question.
asks() {
	prompt_bg "$1" "$2" && asked "$1"
}

# ends SES WANT - the turn ends, the agent having said WANT.
ends() {
	wait_turn "$1" "$TURN" && reply_is "$1" "$2"
}

# last_event SES TYPE - the newest event of that type.
last_event() {
	log_json "$1" | jq -c "select(.type == \"$2\")" | tail -n 1
}

# request SES REQ FILTER - the jq filter is true of the request's row.
request() {
	http GET "/v1/sessions/$1/requests" |
		jq -e ".[] | select(.id == \"$2\") | $3"
}

# --- permissions ----------------------------------------------------------

f146_everybody_sees_it() {
	SINCE=$(last_seq "$SES") stream "$SES" "$tmp/one"
	SINCE=$(last_seq "$SES") stream "$SES" "$tmp/two"
	asks "$SES" '!ask t1 Edit it edit /workspace/a' || return 1
	for f in one two; do
		until_true 5 grep -q permission.requested "$tmp/$f" &&
			grep '"type":"permission.requested"' "$tmp/$f" |
			sed 's/^data: //' | jq -e --arg r "$REQ" '
			.ctx.req == $r and .ctx.tool == "t1" and
			(.data.options | map(.kind)) == ["allow_once",
				"allow_always", "reject_once", "reject_always"] and
			.data.tool.title == "Edit it" and
			.data.tool.locations[0].path == "/workspace/a"' ||
			return 1
	done
	state_is "$SES" waiting && pending_count "$SES" 1 &&
		hib approve "$SES" "$REQ" && ends "$SES" 'outcome: allow_once'
}
ok "F146 a question reaches every subscriber, and the agent waits" \
	f146_everybody_sees_it

f147_deny() {
	asks "$SES" '!ask t1 Delete' && hib deny "$SES" &&
		ends "$SES" 'outcome: reject_once' &&
		asks "$SES" '!ask t1 Delete' && hib approve --always "$SES" &&
		ends "$SES" 'outcome: allow_always'
}
new_session
ok "F147 approve and deny choose an option by its kind" f147_deny

f148_recorded() {
	new_session && asks "$SES" '!ask call_9 Edit' &&
		hib answer "$SES" "$REQ" reject_once --actor test:alice &&
		ends "$SES" 'outcome: reject_once' &&
		last_event "$SES" permission.resolved | jq -e \
			--arg r "$REQ" --arg t "$TURN" '.turn == $t and
			.ctx.req == $r and .ctx.tool == "call_9" and
			(.ctx.input | startswith("msg_")) and
			.ctx.actor == "test:alice" and
			.data == {outcome: "selected", option: "reject_once",
				option_kind: "reject_once", by: "test:alice"}' &&
		holds "$SES" 'map(select(.data.msg.result.outcome? or
			.type == "permission.resolved") | .type) ==
			["permission.resolved", "acp.response"]' &&
		request "$SES" "$REQ" '.state == "answered" and
			.answered_by == "test:alice" and .turn_id != null and
			.answer.option == "reject_once" and
			.resolved_seq > .asked_seq'
}
ok "F148 F102 the log tells who answered what, to which question" f148_recorded

f209_actors() {
	for who in alice bob; do
		http POST "/v1/sessions/$SES/prompt" \
			"{\"text\":\"hi\",\"wait\":true,\"actor\":\"$who\"}" &&
			last_event "$SES" input.message |
			jq -e ".ctx.actor == \"$who\"" || return 1
	done
	USER=carol prompt "$SES" hi && last_event "$SES" input.message |
		jq -e '.ctx.actor == "cli:carol"' &&
		asks "$SES" '!ask t1 Edit' && USER=carol hib approve "$SES" &&
		wait_turn "$SES" "$TURN" &&
		request "$SES" "$REQ" '.answered_by == "cli:carol"'
}
ok "F209 who prompts and who answers leave their names" f209_actors

f150_expires() {
	new_session --permission-timeout-ms 1000 &&
		asks "$SES" '!ask t1 Edit' &&
		wait_turn "$SES" "$TURN" && reply_is "$SES" 'outcome: cancelled' &&
		request "$SES" "$REQ" '.state == "expired" and
			.answered_by == "timeout" and
			.deadline_ms - .created_ms >= 500 and
			.deadline_ms - .created_ms <= 1001 and
			.resolved_ms - .created_ms >= 500 and
			.resolved_ms - .created_ms < 20000'
}
ok "F150 a question expires at its deadline" f150_expires

f151_malformed() {
	new_session && asks "$SES" '!ask t1 Edit' || return 1
	for body in '{}' '{"option":"no such"}' '{"option":7}' \
		'{"outcome":"selected"}' '{"option":"allow_once","outcome":"cancelled"}' \
		'{"action":"accept"}' 'no JSON' '{"option":"allow_once","actor":"policy"}' \
		'{"option":"allow_once","actor":3}'; do
		unchanged "$SES" answers 400 invalid_argument POST \
			"/v1/sessions/$SES/requests/$REQ" "$body" || return 1
	done
	state_is "$SES" waiting && pending_count "$SES" 1 &&
		unchanged "$SES" answers 404 request_not_found POST \
			"/v1/sessions/$SES/requests/$(new_id req)" \
			'{"option":"allow_once"}' &&
		unchanged "$SES" refused invalid_argument 5 \
			hib answer "$SES" "$REQ" nonsense &&
		answer "$SES" "$REQ" '{"outcome":"cancelled"}' &&
		ends "$SES" 'outcome: cancelled' &&
		request "$SES" "$REQ" '.state == "cancelled"'
}
ok "F151 a malformed answer is refused and the question stays" f151_malformed

f151_client_gone() {
	mark=$(last_seq "$SES")
	"$O/bin/hib" prompt "$SES" '!ask t1 Edit' >"$tmp/x" 2>"$tmp/words" &
	client=$!
	wait_for_event "$SES" permission.requested 10 "$mark" &&
		until_true 5 grep -q "hib approve $SES req_" "$tmp/words" ||
		return 1
	kill -9 "$client"
	asked "$SES" && state_is "$SES" waiting && hib deny "$SES" &&
		wait_for_event "$SES" turn.completed 10 "$mark"
}
ok "F151 the end of a client changes nothing; it was told how to answer" \
	f151_client_gone

f152_first_wins() {
	asks "$SES" '!ask t1 Edit' || return 1
	for i in 1 2; do
		curl -sS --max-time "$((30 * slow))" \
			--unix-socket "$HIB_HOME/hibd.sock" -o "$tmp/got$i" \
			-w '%{http_code}\n' -d '{"option":"allow_once"}' \
			"http://hib/v1/sessions/$SES/requests/$REQ" \
			>"$tmp/status$i" &
		eval "p$i=\$!"
	done
	# shellcheck disable=SC2154 # set by eval
	wait "$p1" "$p2"
	equal "$(cat "$tmp/status1" "$tmp/status2" | sort)" "200
409" && cat "$tmp/got1" "$tmp/got2" | grep -q not_waiting &&
		ends "$SES" 'outcome: allow_once' &&
		unchanged "$SES" refused not_waiting 7 \
			hib answer "$SES" "$REQ" reject_once &&
		holds "$SES" "[.[] | select(.type == \"permission.resolved\" and
			.ctx.req == \"$REQ\")] | length == 1"
}
ok "F152 of two answers at once one wins, the other is told" f152_first_wins

f153_many() {
	prompt_bg "$SES" '!ask3' && asked "$SES" 3 &&
		reqs=$(pending "$SES" | tac) && n=3 || return 1
	for r in $reqs; do
		state_is "$SES" waiting &&
			answer "$SES" "$r" "$(option_for "$n")" || return 1
		n=$((n - 1))
	done
	ends "$SES" 't3 outcome: reject_oncet2 outcome: allow_alwayst1 outcome: allow_once'
}
option_for() {
	set -- "$1" allow_once allow_always reject_once
	shift "$1"
	printf '{"option":"%s"}' "$1"
}
ok "F153 three questions, answered in reverse order, each get their own" \
	f153_many

f153_bound() {
	new_session && prompt_bg "$SES" '!askmany 65' && asked "$SES" 64 &&
		last_event "$SES" permission.resolved |
		jq -e '.data == {outcome: "cancelled", by: "cancel",
			reason: "too_many"} and .ctx.tool == "t65"' &&
		hib cancel "$SES" && wait_turn "$SES" "$TURN" &&
		pending_count "$SES" 0
}
ok "F153 beyond 64 open questions nobody is asked" f153_bound

f151_no_turn() {
	new_session && says "$SES" '!idleask;;!say x' x &&
		wait_for_event "$SES" permission.resolved |
		jq -e '.data.outcome == "cancelled" and
			.data.reason == "no_turn" and (has("turn") | not)' &&
		wait_for "$SES" '"dir":"out".*"outcome":"cancelled"' &&
		state_is "$SES" idle &&
		says "$SES" '!askfor elsewhere t1 Edit' 'outcome: cancelled' &&
		last_event "$SES" permission.resolved |
		jq -e '.data.reason == "foreign_session"'
}
ok "F151 between turns, or for another session, nobody is asked" f151_no_turn

f151_withdrawn() {
	says "$SES" '!goon;;!ask t1 Edit;;!withdraw;;!join' \
		'outcome: error -32800' &&
		last_event "$SES" permission.resolved | jq -e \
			'.data == {outcome: "cancelled", by: "agent"}' &&
		pending_count "$SES" 0 && state_is "$SES" idle
}
ok "F151 an agent takes its question back" f151_withdrawn

f151_cancelled_turn() {
	asks "$SES" '!ask t1 Edit;;!sleep 60000' && hib cancel "$SES" &&
		holds "$SES" '[.[] | select(.seq > '"$MARK"') |
			if .type == "acp.notify" then .data.msg.method
			elif .type == "acp.response" and .data.dir == "out"
			then .data.msg.result.outcome.outcome
			else .type end] | index("session/cancel") <
			index("permission.resolved") and
			index("permission.resolved") < index("cancelled") and
			index("cancelled") < index("turn.cancelled")'
}
ok "F151 cancel answers the question before the turn ends" f151_cancelled_turn

# --- elicitations -----------------------------------------------------------

form='{"type":"object","properties":{"name":{"type":"string","minLength":2,"maxLength":4},"age":{"type":"integer","minimum":1},"ok":{"type":"boolean"},"mail":{"type":"string","format":"email"},"size":{"type":"string","oneOf":[{"const":"s","title":"Small"},{"const":"l","title":"Large"}]},"tags":{"type":"array","items":{"type":"string","enum":["a","b"]},"maxItems":2}},"required":["name"]}'

f155_form() {
	new_session && asks "$SES" "!form $form" &&
		hib session get "$SES" --json | jq -e '.state == "waiting" and
			.wait_kind == "elicitation" and .pending == 1' &&
		last_event "$SES" elicitation.requested | jq -e --arg r "$REQ" '
			.ctx.req == $r and .ctx.tool == "t1" and
			.data.mode == "form" and .data.tool == "t1" and
			.data.message == "Please fill in" and
			.data.schema.required == ["name"]' || return 1
	while read -r field body; do
		unchanged "$SES" answers 400 invalid_argument POST \
			"/v1/sessions/$SES/requests/$REQ" \
			"{\"action\":\"accept\",\"content\":$body}" &&
			grep -q "'$field'" "$tmp/body" || return 1
	done <<-END
		name {}
		name {"name":7}
		name {"name":"x"}
		name {"name":"äöüßx"}
		age {"name":"ab","age":0}
		age {"name":"ab","age":1.5}
		ok {"name":"ab","ok":"yes"}
		mail {"name":"ab","mail":"nobody"}
		size {"name":"ab","size":"m"}
		tags {"name":"ab","tags":["c"]}
		tags {"name":"ab","tags":["a","b","a"]}
		other {"name":"ab","other":1}
	END
	pending_count "$SES" 1 && answer "$SES" "$REQ" \
		'{"action":"accept","content":{"name":"äöüß","age":42,"tags":["a"]}}' &&
		ends "$SES" 'form outcome: accept {"name":"äöüß","age":42,"tags":["a"]}' &&
		last_event "$SES" elicitation.resolved | jq -e '.data ==
			{outcome: "accept", by: "client",
			 content: {name: "äöüß", age: 42, tags: ["a"]}}' &&
		request "$SES" "$REQ" '.state == "answered" and
			.kind == "elicitation"'
}
ok "F155 a filled form is held against its schema and goes on unchanged" \
	f155_form

f155_no() {
	asks "$SES" "!form $form" && hib answer "$SES" "$REQ" --decline &&
		ends "$SES" 'form outcome: decline' &&
		last_event "$SES" elicitation.resolved |
		jq -e '.data.outcome == "decline"' &&
		asks "$SES" "!form $form" &&
		hib answer "$SES" "$REQ" --cancel &&
		ends "$SES" 'form outcome: cancel' &&
		request "$SES" "$REQ" '.state == "cancelled"' &&
		asks "$SES" "!form $form" && hib answer "$SES" "$REQ" --accept \
		--field name=ab --field age=3 --field ok=true --field tags=a \
		--field tags=b && ends "$SES" \
		'form outcome: accept {"name":"ab","age":3,"ok":true,"tags":["a","b"]}'
}
ok "F155 the command line declines, cancels and fills in" f155_no

f155_url() {
	asks "$SES" '!url login https://example.org/login' &&
		last_event "$SES" elicitation.requested | jq -e '.data |
			.mode == "url" and .elicitation_id == "login" and
			.url == "https://example.org/login"' &&
		unchanged "$SES" answers 400 invalid_argument POST \
			"/v1/sessions/$SES/requests/$REQ" \
			'{"action":"accept","content":{"a":1}}' &&
		hib answer "$SES" "$REQ" --accept &&
		ends "$SES" 'login outcome: accept' &&
		says "$SES" '!complete login;;!complete other;;!say on' on &&
		says "$SES" '!goon;;!url l2 https://example.org;;!complete l2;;!join' \
			'l2 outcome: accept' &&
		last_event "$SES" elicitation.resolved | jq -e \
			'.data == {outcome: "accept", by: "agent"}'
}
ok "F155 a URL is accepted, or done by itself" f155_url

f155_refused() {
	says "$SES" '!form {"properties":{"a":{"type":"object"}}}' \
		'form outcome: error -32602' && state_is "$SES" idle
}
ok "F155 what is no form is refused to the agent" f155_refused

f155_both() {
	prompt_bg "$SES" "!goon;;!form $form;;!ask t1 Edit;;!join" &&
		asked "$SES" 2 &&
		equal "$(session_field "$SES" wait_kind)" permission &&
		hib approve "$SES" "$REQ" && state_is "$SES" waiting &&
		equal "$(session_field "$SES" wait_kind)" elicitation &&
		hib session requests "$SES" >"$tmp/list" &&
		grep -q 'Please fill in' "$tmp/list" &&
		grep -q 'name.*required' "$tmp/list" && asked "$SES" &&
		hib answer "$SES" "$REQ" --decline &&
		ends "$SES" 'outcome: allow_onceform outcome: decline'
}
ok "F155 with a permission open that names the wait, then the form" f155_both

# --- always -----------------------------------------------------------------

# by_policy SES RULE OPTION - the newest resolution was the policy's, with its
# request in one batch, and the session did not wait.
by_policy() {
	last_event "$1" permission.resolved | jq -e --arg r "$2" --arg o "$3" '
		.data == {outcome: "selected", option: $o, option_kind: $o,
			by: "policy", rule: $r}' &&
		last_event "$1" permission.requested | jq -e .data.decided &&
		holds "$1" "[.[] | select(.seq > $MARK and
			(.type | startswith(\"permission.\"))) | .ctx.req] |
			length == 2 and .[0] == .[1]" &&
		holds "$1" "any(.seq > $MARK and .type == \"session.state\" and
			.data.to == \"waiting\") | not"
}

# decided SES SCRIPT WANT - the turn ends so and nobody is asked.
decided() {
	MARK=$(last_seq "$1")
	says "$1" "$2" "$3"
}

f149_always() {
	new_session && asks "$SES" '!ask t1 Edit edit' &&
		hib approve --always "$SES" &&
		ends "$SES" 'outcome: allow_always' &&
		last_event "$SES" permission.resolved | jq -e '.data.remember ==
			{kind: "edit", action: "allow"}' &&
		decided "$SES" '!ask t2 Another edit' 'outcome: allow_once' &&
		by_policy "$SES" always:edit allow_once &&
		asks "$SES" '!ask t3 Run execute' &&
		hib deny --always "$SES" &&
		ends "$SES" 'outcome: reject_always' &&
		decided "$SES" '!announce t4 Run execute;;!askid t4' \
			'outcome: reject_once' &&
		by_policy "$SES" always:execute reject_once
}
ok "F149 an answer for always counts for the next of its kind" f149_always

f149_survives() {
	hib session suspend "$SES" && hib session resume "$SES" &&
		decided "$SES" '!ask t5 Edit edit' 'outcome: allow_once' &&
		hib vm sleep "$VM" &&
		decided "$SES" '!ask t6 Edit edit' 'outcome: allow_once' &&
		by_policy "$SES" always:edit allow_once || return 1
	mark=$(last_seq "$SES")
	kill_vm "$VM"
	wait_for_state "$SES" suspended 10 "$mark" &&
		decided "$SES" '!ask t7 Run execute' 'outcome: reject_once' &&
		new_session && asks "$SES" '!ask t1 Edit edit' &&
		hib deny "$SES" && wait_turn "$SES" "$TURN"
}
ok "F149 over restarts, sleep and power cuts, in its session only" \
	f149_survives

# --- policies -----------------------------------------------------------------

rules='{"rules":[{"name":"no-etc","path":"/etc","action":"deny"},
	{"name":"reads","kind":["read","search"],"action":"allow"},
	{"name":"make","kind":"execute","title":"make *","action":"allow"},
	{"name":"src","kind":"edit","path":"src/*","action":"allow"}]}'

f154_rules() {
	new_session --policy "$rules" &&
		decided "$SES" '!ask t1 Edit edit /etc/passwd' \
			'outcome: reject_once' &&
		by_policy "$SES" no-etc reject_once &&
		request "$SES" "$(last_event "$SES" permission.requested |
			jq -r .ctx.req)" '.state == "answered" and
			.answered_by == "policy"' &&
		decided "$SES" '!ask t2 Look read ../etc/../etc/shadow' \
			'outcome: reject_once' &&
		decided "$SES" '!ask t3 Look read /tmp/x' \
			'outcome: allow_once' && by_policy "$SES" reads allow_once &&
		decided "$SES" '!ask t4 make check execute' \
			'outcome: allow_once' && by_policy "$SES" make allow_once &&
		decided "$SES" '!ask t5 Edit edit src/a.c' 'outcome: allow_once' &&
		asks "$SES" '!ask t6 Edit edit src/../../b' &&
		hib deny "$SES" && ends "$SES" 'outcome: reject_once' &&
		holds "$SES" '.[0].data.config.policy.rules | length == 4'
}
ok "F154 rules decide by kind, title and path, and say which" f154_rules

f154_announced() {
	decided "$SES" '!announce a1 Edit edit /etc/hosts;;!askid a1' \
		'outcome: reject_once' && by_policy "$SES" no-etc reject_once &&
		decided "$SES" '!announce a2 Find search;;!askid a2' \
			'outcome: allow_once' && by_policy "$SES" reads allow_once &&
		asks "$SES" '!askid a3' && hib approve "$SES" && wait_turn "$SES" "$TURN"
}
ok "F154 a request by id alone is known by what was announced" f154_announced

f154_kept() {
	hib vm sleep "$VM" && decided "$SES" '!ask t1 Edit edit /etc/x' \
		'outcome: reject_once' && by_policy "$SES" no-etc reject_once &&
		hib session close "$SES" && hib session resume "$SES" &&
		decided "$SES" '!ask t1 Look read' 'outcome: allow_once'
}
ok "F154 the policy is kept over sleep and resume" f154_kept

f154_words() {
	new_session --policy allow &&
		decided "$SES" '!ask t1 X' 'outcome: allow_once' &&
		by_policy "$SES" default allow_once &&
		decided "$SES" '!askwith allow_always,reject_once t1 X' \
			'outcome: allow_always' &&
		last_event "$SES" permission.resolved |
		jq -e '.data | has("remember") | not' &&
		asks "$SES" '!askwith reject_once t1 X' && hib deny "$SES" &&
		ends "$SES" 'outcome: reject_once' &&
		new_session --policy deny &&
		decided "$SES" '!ask t1 X' 'outcome: reject_once' &&
		decided "$SES" '!askwith reject_always t1 X' \
			'outcome: reject_always' &&
		decided "$SES" '!askwith allow_once t1 X' 'outcome: cancelled' &&
		last_event "$SES" permission.resolved | jq -e '.data ==
			{outcome: "cancelled", by: "policy", rule: "default"}' &&
		new_session --policy ask && asks "$SES" '!ask t1 X' &&
		hib deny "$SES" && wait_turn "$SES" "$TURN"
}
ok "F154 allow and deny take what is offered, ask asks" f154_words

ok "F154 a run has its policy" equal \
	"$(hib run --vm "$VM" --policy allow '!ask t1 X' 2>"$tmp/x")" \
	'outcome: allow_once'

f157_once() {
	new_session --policy "$rules" &&
		says "$SES" '!goon;;!ask t1 E edit /etc/a;;!ask t2 E edit /etc/b;;!join' \
			'outcome: reject_onceoutcome: reject_once' &&
		holds "$SES" '[.[] | select(.type == "permission.resolved")] |
			length == 2 and all(.data.rule == "no-etc") and
			([.[].ctx.req] | unique | length) == 2'
}
ok "F157 a denied call has one resolution, which names the rule" f157_once

f154_wrong() {
	before=$(hib session list --json | jq length)
	for p in '"maybe"' '7' '{"rules":[{"name":"x","action":"no"}]}' \
		'{"rules":[{"name":"x","action":"ask","tool":1}]}'; do
		answers 400 invalid_argument POST /v1/sessions \
			"{\"agent\":\"echo\",\"vm\":\"$VM\",\"policy\":$p}" ||
			return 1
	done
	jq -e '.message | test("\u0027x\u0027")' "$tmp/body" &&
		refused invalid_argument 5 hib session create --agent echo \
			--vm "$VM" --policy perhaps &&
		refused invalid_argument 5 hib session create --agent echo \
			--vm "$VM" --policy "@$tmp/no-such-file" &&
		equal "$(hib session list --json | jq length)" "$before"
}
ok "F154 a policy that is wrong is refused, by the rule's name" f154_wrong

f154_manifest() {
	agent guarded && jq '.policy = {default: "deny", rules: [
		{name: "agents-own", kind: "edit", action: "allow"}]}' \
		"$HIB_HOME/agents/guarded.json" >"$tmp/m" &&
		mv "$tmp/m" "$HIB_HOME/agents/guarded.json" &&
		printf '%s' '{"rules":[{"name":"mine","path":"/etc","action":"ask"}]}' \
			>"$tmp/policy" || return 1
	AGENT=guarded
	new_session --policy "@$tmp/policy"
	unset AGENT
	decided "$SES" '!ask t1 E edit /tmp/a' 'outcome: allow_once' &&
		by_policy "$SES" agents-own allow_once &&
		decided "$SES" '!ask t1 R execute' 'outcome: reject_once' &&
		asks "$SES" '!ask t1 E edit /etc/a' && hib deny "$SES" &&
		ends "$SES" 'outcome: reject_once' &&
		holds "$SES" '.[0].data.config.policy | .default == "deny" and
			(.rules | map(.name)) == ["mine", "agents-own"]' &&
		agent spoiled && jq '.policy = {rules: [{name: "bad"}]}' \
		"$HIB_HOME/agents/spoiled.json" >"$tmp/m" &&
		mv "$tmp/m" "$HIB_HOME/agents/spoiled.json" &&
		refused "rule 'bad'" 5 hib session create --agent spoiled --vm "$VM"
}
ok "F154 the session's rules come before those of the agent" f154_manifest

# A rule that has somebody asked keeps what is for always to itself.
f149_by_rule() {
	new_session --policy '{"rules":[{"name":"etc","path":"/etc","action":"ask"},
		{"name":"never","kind":"delete","action":"deny"}]}' &&
		asks "$SES" '!ask t1 E edit /etc/a' &&
		hib approve --always "$SES" &&
		ends "$SES" 'outcome: allow_always' &&
		last_event "$SES" permission.resolved | jq -e '.data.remember ==
			{kind: "edit", action: "allow", rule: "etc"}' &&
		decided "$SES" '!ask t2 E edit /etc/b' 'outcome: allow_once' &&
		by_policy "$SES" always:edit allow_once &&
		asks "$SES" '!ask t3 E edit /tmp/c' && hib deny "$SES" &&
		wait_turn "$SES" "$TURN" &&
		decided "$SES" '!ask t4 D delete /tmp/b' 'outcome: reject_once'
}
ok "F149 what is for always counts where the same rule asks" f149_by_rule

# --- restarts -----------------------------------------------------------------

f139_redelivered() {
	new_session && asks "$SES" '!pid;;!ask t1 Edit;;!pid' || return 1
	kill_hibd KILL
	hib daemon start && until_true 10 state_is "$SES" waiting &&
		equal "$(pending "$SES")" "$REQ" || return 1
	SINCE=$(last_seq "$SES") stream "$SES" "$tmp/open"
	until_true 10 grep -q 'event: stream.open' "$tmp/open" &&
		sed -n 's/^data: //p' "$tmp/open" | head -n 1 |
		jq -e --arg r "$REQ" '.state == "waiting" and
			(.pending | map(.id)) == [$r]' &&
		hib approve "$SES" "$REQ" && wait_turn "$SES" "$TURN" &&
		hib messages "$SES" --json | jq -r '[.[] |
			select(.role == "agent")] | last |
			[.parts[] | .text] | join(" ")' >"$tmp/said" &&
		sed 's/outcome: allow_once/ /' "$tmp/said" | {
			read -r before after
			[ -n "$before" ] && equal "$before" "$after"
		} && until_true 5 grep -q '"type":"permission.resolved"' \
		"$tmp/open"
}
ok "F139 hibd's death leaves the question, its id and the agent" \
	f139_redelivered

# Killed with the 200 on its way: the agent has the answer, or it is asked for.
f159_durable() {
	asks "$SES" '!ask t1 Edit' && answer "$SES" "$REQ" \
		'{"option":"reject_once"}' || return 1
	kill_hibd KILL
	hib daemon start && wait_turn "$SES" "$TURN" &&
		reply_is "$SES" 'outcome: reject_once' &&
		request "$SES" "$REQ" '.state == "answered"'
}
for round in 1 2 3 4 5; do
	ok "F159 an answer outlives hibd ($round)" f159_durable
done

f158_cold() {
	asks "$SES" '!ask t1 Edit;;!sleep 60000' && hib vm sleep "$VM" &&
		state_is "$SES" suspended &&
		request "$SES" "$REQ" '.state == "cancelled" and
			.answered_by == "cancel"' &&
		last_event "$SES" turn.interrupted |
		jq -e ".turn == \"$TURN\"" &&
		unchanged "$SES" refused not_waiting 7 \
			hib answer "$SES" "$REQ" allow_once && says "$SES" on on
}
ok "F158 a cold sleep cancels the question and interrupts the turn" f158_cold

f158_suspended() {
	asks "$SES" '!ask t1 Edit' && hib session suspend --force "$SES" &&
		request "$SES" "$REQ" '.state == "cancelled"' &&
		state_is "$SES" suspended && hib session turns "$SES" --json |
		jq -e 'last.state == "interrupted"'
}
ok "F158 so does a forced suspend" f158_suspended

f158_power_cut() {
	asks "$SES" "!form $form" || return 1
	kill_vm "$VM"
	wait_for_event "$SES" turn.interrupted 10 "$MARK" &&
		last_event "$SES" elicitation.resolved | jq -e '.data ==
			{outcome: "cancelled", by: "cancel"}' &&
		request "$SES" "$REQ" '.state == "cancelled"'
}
ok "F158 so does a power cut" f158_power_cut

done_testing
