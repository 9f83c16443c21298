#!/bin/sh
# What agents are set to: model, mode, thought level, options.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session

settings() {
	prompt "$SES" '!settings'
}
set_is() {
	equal "$(settings)" "$1"
}
config() {
	http GET "/v1/sessions/$SES/config"
}
asleep() {
	hib vm sleep "$VM" && hib vm list --json |
		jq -e --arg v "$VM" 'any(.id == $v and .state == "stopped" or
			.state == "suspended")'
}
cold() {
	asleep && hib session resume "$SES"
}

# --- a live agent -----------------------------------------------------------

ok "at first it is as the agent chose" set_is 'small code low terse -'

f010_model() {
	hib session set --model large "$SES" &&
		set_is 'large code low terse -' && holds "$SES" '
		[.[] | select(.type == "session.config") | .data] ==
			[{"model": "large"}]' &&
		config | jq -e '.config.model == "large" and
			(.configOptions[] | select(.id == "model") |
				.currentValue) == "large"'
}
ok "F010 a model is set, and the next prompt uses it" f010_model

f079_mode() {
	hib session set --mode plan "$SES" &&
		equal "$(prompt "$SES" '!mode')" plan &&
		config | jq -e '.modes.currentModeId == "plan" and
			.config.mode == "plan"'
}
ok "F079 so is a mode" f079_mode

f079_others() {
	hib session set --thought high --option style=chatty --option web=true \
		"$SES" && set_is 'large plan high chatty web' &&
		holds "$SES" '[.[] | select(.type == "session.config") |
			.data] | last == {"thought": "high", "options":
				{"style": "chatty", "web": "true"}}'
}
ok "F079 thought level, an option in a group and a boolean" f079_others

# The answers to changes, by the ids of their requests.
asks='[.[] | select(.type == "acp.request" and
	(.data.msg.method | startswith("session/set"))) | .data.msg.id] as $ids |
	[.[] | select(.type == "session.config" or (.type | startswith("acp.")) and
		.data.msg.id != null and (.data.msg.id | IN($ids[]))) | .type]'
ok "the agent is asked before it is recorded" holds "$SES" "$asks"' ==
	[range(2) | "acp.request", "acp.response", "session.config"] +
	[range(3) | "acp.request", "acp.response"] + ["session.config"]'

unknown() {
	unchanged "$SES" answers 400 invalid_argument PATCH \
		"/v1/sessions/$SES" "{\"config\":$1}" &&
		jq -e "$2" "$tmp/body" && set_is 'large plan high chatty web'
}
ok "F079 an unknown mode is refused and names those there are" unknown \
	'{"mode":"nothing"}' '.data.values == ["code","plan"] and
		(.message | contains("plan"))'
ok "F010 so is an unknown model" unknown '{"model":"huge"}' \
	'.data.values == ["small","large","locked"]'
ok "and an unknown value in a group" unknown '{"options":{"style":"x"}}' \
	'.data.values == ["terse","chatty","locked"]'
ok "and an unknown option" unknown '{"options":{"nope":"x"}}' \
	'.data.values | index("style")'
ok "and a boolean that is none" unknown '{"options":{"web":"maybe"}}' \
	'.message | contains("web")'
ok "nothing is set when a part of it is unknown" unknown \
	'{"model":"small","mode":"nothing"}' '.data.values'
for bad in '{"model":7}' '{"mode":""}' '{"options":[]}' '{"options":{"a":7}}' \
	'{"colour":"red"}' '7'; do
	ok "no config: $bad" unchanged "$SES" answers 400 invalid_argument \
		PATCH "/v1/sessions/$SES" "{\"config\":$bad}"
done

refused_by_agent() {
	before=$(log_json "$SES" | grep -c session.config)
	answers 502 agent_protocol_error PATCH "/v1/sessions/$SES" \
		'{"config":{"model":"locked"}}' &&
		jq -e '(.message | contains("that one is locked")) and
			.data.agent_code == -32603' "$tmp/body" &&
		equal "$(log_json "$SES" | grep -c session.config)" "$before" &&
		refused agent_protocol_error 2 hib session set --model locked \
			"$SES"
}
ok "what the agent refuses fails with its words and is not recorded" \
	refused_by_agent

half() {
	answers 502 agent_protocol_error PATCH "/v1/sessions/$SES" '{"title":
		"never","config":{"mode":"code","options":{"style":"locked"}}}' &&
		set_is 'large code high chatty web' &&
		holds "$SES" '[.[] | select(.type == "session.config") | .data] |
			last == {"mode": "code"}' &&
		equal "$(session_field "$SES" title)" null
}
ok "what it took before a refusal is in effect, and recorded" half

during_turn() {
	prompt_bg "$SES" '!await /workspace/go;;!settings' &&
		hib session set --model small "$SES" && let_go go &&
		wait_turn "$SES" "$TURN" && holds "$SES" \
		"[.[] | select(.type == \"turn.completed\")] | last |
			.turn == \"$TURN\" and
			.data.text_preview == \"small code high chatty web\""
}
ok "during a turn the agent decides when it takes effect" during_turn

at_once() {
	mark=$(last_seq "$SES")
	pids=
	for m in small large small large small large; do
		hib session set --model "$m" "$SES" &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p" || return 1
	done
	log_json "$SES" | jq -se --argjson mark "$mark" \
		"map(select(.seq > \$mark)) | $asks"' == [range(6) |
			"acp.request", "acp.response", "session.config"]'
}
ok "changes at the same time are told one after the other" at_once

both_change() {
	hib session set --mode plan "$SES" && hib session update --title T "$SES" &&
		http PATCH "/v1/sessions/$SES" \
			'{"title":"U","config":{"model":"large"}}' |
		jq -e '.title == "U"' && set_is 'large plan high chatty web'
}
ok "a title can come along" both_change

# --- what the agent does by itself ------------------------------------------

by_itself() {
	prompt "$SES" "!switch $1 $2" && config | jq -e "$3" &&
		holds "$SES" '[.[] | select(.type == "session.config")] |
			last | .data | has("mode") | not'
}
ok "a mode that the agent changes is shown" by_itself mode code \
	'.modes.currentModeId == "code" and .config.mode == "plan"'
ok "also by the old name of the member" by_itself oldmode plan \
	'.modes.currentModeId == "plan"'
ok "so is an option" by_itself model small \
	'(.configOptions[] | select(.id == "model") | .currentValue) == "small"
	and .config.model == "large"'
stray() {
	prompt "$SES" '!updatefor nowhere' && config |
		jq -e '.modes.currentModeId == "plan"'
}
ok "an update of another session changes nothing" stray

# --- cold starts --------------------------------------------------------------

f079_cold() {
	cold && set_is 'large plan high chatty web' &&
		holds "$SES" '. as $all | (last(.[] | select(.type ==
			"session.ready"))) as $r | ($r.data.modes.currentModeId ==
			"plan") and ($r.data | has("config_refused") | not) and
			([$all[] | select(.seq < $r.seq and .epoch == $r.epoch and
				.type == "acp.request" and (.data.msg.method |
				startswith("session/set")))] | length) >= 5'
}
ok "F079 all is as it was set after a cold start, before the session is ready" \
	f079_cold

f010_off() {
	asleep && before=$(last_seq "$SES") &&
		hib session set --model small --mode code "$SES" &&
		log_json "$SES" | tail -n 1 | jq -e '.type == "session.config" and
			.data == {"model": "small", "mode": "code"}' &&
		config | jq -e '.modes.currentModeId == "code" and
			.config.model == "small"' &&
		hib session config "$SES" --json | jq -e '.config.mode == "code"' &&
		hib vm list --json | jq -e --arg v "$VM" \
			'any(.id == $v and .state != "running")' &&
		set_is 'small code high chatty web'
}
ok "F010 set while the VM is off, it is told at the next start" f010_off

suspended() {
	hib session suspend "$SES" && hib session set --model large "$SES" &&
		state_is "$SES" suspended && set_is 'large code high chatty web'
}
ok "of a suspended session, too" suspended

refused_later() {
	hib session suspend "$SES" && hib session set --model gone --option \
		nope=1 --mode plan "$SES" && hib session resume "$SES" &&
		set_is 'small plan high chatty web' && holds "$SES" '
		[.[] | select(.type == "session.ready")] | last |
		.data.config_refused | map([.setting, .value, .error.code]) == [
			["model", "gone", "invalid_argument"],
			["options", "1", "invalid_argument"]] and
			.[1].id == "nope"'
}
ok "what is not offered any more is named, and the session starts" \
	refused_later

taken_back() {
	http PATCH "/v1/sessions/$SES" \
		'{"config":{"model":null,"options":{"nope":null}}}' &&
		config | jq -e '.config | has("model") or
			(.options | has("nope")) | not' && cold &&
		holds "$SES" '[.[] | select(.type == "session.ready")] | last |
			.data | has("config_refused") | not'
}
ok "null takes a setting back" taken_back

# --- create ---------------------------------------------------------------------

created() {
	new_session --model large --mode plan --thought high --option web=true &&
		set_is 'large plan high terse web' &&
		holds "$SES" '.[0].data.config | contains({"model": "large",
			"mode": "plan", "thought": "high",
			"options": {"web": "true"}})'
}
ok "F010 a session is created with its settings" created
create_refused() {
	id=$(new_id ses)
	answers 400 invalid_argument POST /v1/sessions "{\"vm\":\"$VM\",
		\"id\":\"$id\",\"agent\":\"echo\",\"config\":{\"model\":\"huge\"}}" &&
		jq -e '.data.values' "$tmp/body" && state_is "$id" failed &&
		hib session set --model large "$id" &&
		hib session resume "$id" &&
		equal "$(prompt "$id" '!model')" large
}
ok "with a model that is not offered it fails, and can be mended" create_refused
create_wrong() {
	id=$(new_id ses)
	answers 400 invalid_argument POST /v1/sessions "{\"vm\":\"$VM\",
		\"id\":\"$id\",\"agent\":\"echo\",\"config\":{\"model\":7}}" &&
		answers 404 session_not_found GET "/v1/sessions/$id"
}
ok "with what is no config it is not made at all" create_wrong
ok "a config is given once" exits 5 new_session --config '{}' --model large

# --- other agents -----------------------------------------------------------------

old_agent() {
	agent old --models
	AGENT=old new_session --model large && hib session set --mode plan "$SES" &&
		set_is 'large plan low terse -' && config | jq -e '
		.models.currentModelId == "large" and .configOptions == null and
		.modes.currentModeId == "plan"' && holds "$SES" '
		any(.data.msg.method == "session/set_model" and
			.data.msg.params.modelId == "large")' &&
		hib session set --model small "$SES" && config |
		jq -e '.models.currentModelId == "small"'
}
ok "F010 an agent that knows models only" old_agent
ok "it has no thought level" answers 412 capability_unsupported PATCH \
	"/v1/sessions/$SES" '{"config":{"thought":"high"}}'

bare() {
	agent bare --bare
	AGENT=bare new_session || return 1
	for config in '"model":"a"' '"mode":"a"' '"thought":"a"' \
		'"options":{"a":"b"}'; do
		unchanged "$SES" answers 412 capability_unsupported PATCH \
			"/v1/sessions/$SES" "{\"config\":{$config}}" || return 1
	done
	config | jq -e '.modes == null and .configOptions == null'
}
ok "an agent that offers nothing cannot be set" bare

mode_option() {
	agent moded --mode-option
	AGENT=moded new_session && hib session set --mode plan "$SES" &&
		holds "$SES" 'any(.data.msg.params.configId == "mode")' &&
		config | jq -e '.modes.currentModeId == "plan"' &&
		prompt "$SES" '!switch mode code' && config | jq -e '
			(.configOptions[] | select(.id == "mode") |
				.currentValue) == "code"'
}
ok "an option for the mode goes before modes, and both say the same" mode_option

# --- states ---------------------------------------------------------------------------

refuses() {
	unchanged "$SES" answers "$1" "$2" PATCH "/v1/sessions/$SES" \
		'{"config":{"model":"large"}}'
}
AGENT='echo' new_session
hib session close "$SES"
ok "a closed session takes no settings" refuses 409 session_closed
closed_off() {
	asleep && refuses 409 session_closed
}
ok "also when its VM is off" closed_off
hib session archive "$SES"
ok "an archived one neither" refuses 409 session_archived
failed_one() {
	new_session || return 1
	prompt "$SES" '!crash'
	until_true 5 state_is "$SES" failed &&
		hib session set --model large "$SES" &&
		hib session resume "$SES" && equal "$(prompt "$SES" '!model')" large
}
ok "of a failed one they are kept" failed_one
starting() {
	agent slow --slow-new 600000
	id=$(new_id ses)
	http POST /v1/sessions \
		"{\"vm\":\"$VM\",\"id\":\"$id\",\"agent\":\"slow\"}" >"$tmp/x" &
	creator=$!
	until_true 5 holds "$id" 'any(.type == "agent.started")' || return 1
	answers 409 not_ready PATCH "/v1/sessions/$id" \
		'{"config":{"model":"large"}}'
	r=$?
	hib session kill "$id"
	wait "$creator"
	return "$r"
}
ok "one that starts is not ready for them" starting

ended() {
	agent deaf --deaf-set
	AGENT=deaf new_session || return 1
	hib session set --model large "$SES" 2>"$tmp/err" &
	setter=$!
	wait_for "$SES" session/set_config_option || return 1
	hib session "$1" "$SES" || return 1
	wait "$setter"
	equal "$?" 7 && not holds "$SES" 'any(.type == "session.config")'
}
ok "who sets while the session is suspended is told" ended suspend
ok "or closed" ended close
deadline() {
	AGENT=deaf new_session && answers 504 request_timeout PATCH \
		"/v1/sessions/$SES" '{"config":{"model":"large"}}' &&
		not holds "$SES" 'any(.type == "session.config")' &&
		says "$SES" hi hi
}
ok "an agent that never answers costs a bounded time" deadline

# --- words ------------------------------------------------------------------------------

AGENT='echo' new_session
words() {
	hib session config "$SES" >"$tmp/out"
	cat "$tmp/out"
	grep -qx 'modes: code\* plan' "$tmp/out" &&
		grep -qx 'model (model): small\* large locked' "$tmp/out" &&
		grep -qx 'style: terse\* chatty locked' "$tmp/out" &&
		grep -qx 'web: false' "$tmp/out" &&
		not grep future "$tmp/out"
}
ok "hib session config says what there is" words
ok "nothing to set is wrong usage" exits 5 hib session set "$SES"
ok "so is an option without a value" exits 5 hib session set --option web "$SES"

# --- agents that want to be logged in to ----------------------------------------------

# authed NAME OPTION... - the manifest of an agent that is logged in to by "key".
authed() {
	agent "$@" && jq '.auth = {method: "key"}' "$HIB_HOME/agents/$1.json" \
		>"$tmp/m" && mv "$tmp/m" "$HIB_HOME/agents/$1.json"
}
asks_of() {
	log_json "$1" | jq -r 'select(.type == "acp.request" and
		.data.dir == "out") | .data.msg.method' | tr '\n' ' '
}
logged_in() {
	authed keyed --auth key --load --store /home/user
	AGENT=keyed new_session && says "$SES" hi hi &&
		equal "$(asks_of "$SES")" "initialize session/new authenticate session/new session/prompt " &&
		holds "$SES" 'any(.data.msg.params.methodId == "key")'
}
ok "an agent is authenticated by the method of its manifest" logged_in
logged_in_again() {
	hib session suspend "$SES" &&
		equal "$(hib session resume "$SES")" native &&
		says "$SES" hi hi
}
ok "also when it is to load a session" logged_in_again
not_logged_in() {
	id=$(new_id ses)
	answers 412 agent_auth_required POST /v1/sessions \
		"{\"vm\":\"$VM\",\"id\":\"$id\",\"agent\":\"$1\"}" &&
		equal "$(asks_of "$id")" "$2" && state_is "$id" failed
}
agent unkeyed --auth key
ok "without one the start fails" not_logged_in unkeyed "initialize session/new "
authed other --auth token
ok "and with one that the agent does not offer" not_logged_in other \
	"initialize session/new "
authed terminal --auth key --auth-terminal
ok "and with one that needs a terminal" not_logged_in terminal \
	"initialize session/new "
authed wrong --auth key --auth-refused
ok "and when the agent refuses" not_logged_in wrong \
	"initialize session/new authenticate "

done_testing
