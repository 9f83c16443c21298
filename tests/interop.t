#!/bin/sh
# Agents that nobody here wrote, from npm, inside the sandbox: the example agent
# of the ACP SDK, and Codex against a scripted model server on loopback.
#
# The packages come from npm's own cache, where they are in it.
. tests/lib.sh

# install NAME
install() {
	timeout 300 "$O/bin/hib" agent add "$1" >"$tmp/npm.log" 2>&1
}

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
	skip_all "node and npm are not here"
fi
if [ "$MODE" != dev ] && [ "$MODE" != rel ]; then
	skip_all "one run without sanitizers is enough"
fi

# It asks in every turn; somebody else than the one who prompts says yes.
sdk_example_answers() {
	mkfifo "$tmp/words"
	hib run --agent sdk-example "Hello" >"$tmp/out" 2>"$tmp/words" &
	run=$!
	ses=$(grep -o -m1 'ses_[0-9a-f]*' "$tmp/words") &&
		wait_for "$ses" permission.requested 20 &&
		hib approve "$ses" && wait "$run" && [ -s "$tmp/out" ]
}

sdk_example_asks_and_goes_on() {
	ses=$(hib session create --agent sdk-example) || return 1
	turn=$(hib prompt "$ses" --no-wait "change the config") || return 1
	wait_for "$ses" permission.requested 20 || return 1
	hib session get "$ses" --json | jq -e '.state == "waiting"' || return 1
	hib approve "$ses" || return 1
	wait_for "$ses" turn.completed 20 || return 1
	hib log "$ses" --json --turn "$turn" |
		jq -se '[.[] | select(.type == "session.state") | .data.to]
			== ["running", "waiting", "running"]'
}

# Codex talks to the model server on the host's loopback.
codex_manifest() {
	cat >"$HIB_HOME/agents/codex-mock.json" <<-J
		{"name": "codex-mock", "version": "0.16.0",
		 "command": "/opt/agents/codex-rust/0.16.0/node_modules/@zed-industries/codex-acp-linux-x64/bin/codex-acp",
		 "args": ["-c", "model=\"gpt-5-mock\"", "-c", "model_provider=\"mock\"",
		  "-c", "check_for_update_on_startup=false",
		  "-c", "approval_policy=\"untrusted\"",
		  "-c", "sandbox_mode=\"danger-full-access\"",
		  "-c", "analytics.enabled=false",
		  "-c", "model_providers.mock={name=\"Mock\",base_url=\"http://127.0.0.1:$port/v1\",wire_api=\"responses\",env_key=\"OPENAI_API_KEY\",request_max_retries=1,stream_max_retries=1}"],
		 "env": [{"name": "OPENAI_API_KEY", "required": true}]}
	J
}

codex_needs_its_key() {
	hib session create --agent codex-mock --vm "$vm" 2>"$tmp/err"
	[ $? -eq 3 ] && grep -q OPENAI_API_KEY "$tmp/err"
}

codex_answers_through_the_model() {
	codex=$(hib session create --agent codex-mock --vm "$vm" \
		--env OPENAI_API_KEY=mock-key --env NO_BROWSER=1) || return 1
	hib prompt "$codex" "@mock text Hello from the model" >"$tmp/out" &&
		grep -q "Hello from the model" "$tmp/out"
}

codex_key_is_in_no_event() {
	! hib log "$codex" --json | grep -q mock-key
}

codex_wakes_with_its_context() {
	hib vm sleep "$vm" &&
		hib prompt "$codex" "@mock text Awake again" >"$tmp/out" &&
		grep -q "Awake again" "$tmp/out" &&
		hib log "$codex" --json --types session.resumed |
		jq -se 'last | .data.restore == "native"'
}

if install sdk-example; then
	ok "a real agent answers in the sandbox" sdk_example_answers
	ok "a real agent asks, waits and goes on" sdk_example_asks_and_goes_on
else
	skip "a real agent answers in the sandbox" "npm is not reachable"
	skip "a real agent asks, waits and goes on" "npm is not reachable"
fi

if install codex-rust; then
	node tests/fake/mock-llm.mjs --port 0 >"$tmp/port" &
	mock=$!
	at_exit "kill $mock"
	read_line "$tmp/port" 10 >"$tmp/line"
	port=$(jq .port "$tmp/line")
	codex_manifest
	vm=$(hib vm create --net host)
	ok "an agent's missing key is named" codex_needs_its_key
	ok "an LLM-backed agent answers in the sandbox" \
		codex_answers_through_the_model
	ok "its key is in no event" codex_key_is_in_no_event
	ok "it wakes with its own context" codex_wakes_with_its_context
else
	skip "an LLM-backed agent answers in the sandbox" "npm is not reachable"
fi
done_testing
