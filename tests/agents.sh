# shellcheck shell=sh disable=SC2016,SC2034,SC2154 # $ is for jq; variables are for and of the test files
# agents.sh - Agents that nobody here wrote, from npm, with a scripted model
#
# Sourced after lib.sh.  A test sets agent, and vm, which has the host's network,
# where the model is.
#
# NPM_CACHE_DIR   where packages stay between runs (default: $O/npm)

npm_dir=${NPM_CACHE_DIR:-$O/npm}

need_npm() {
	if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
		skip_all "node and npm are not here"
	fi
	if [ "$MODE" != dev ] && [ "$MODE" != rel ]; then
		skip_all "one run without sanitizers is enough"
	fi
}

# --- packages and manifests -----------------------------------------------------

# install NAME - in the cache, and from there as links, or copies, in HIB_HOME.
install() {
	_cache=$npm_dir
	mkdir -p "$_cache" 2>/dev/null && [ -w "$_cache" ] || _cache=$HIB_HOME
	HIB_HOME=$_cache timeout 600 "$O/bin/hib" agent add "$1" \
		>"$tmp/npm.log" 2>&1 || return 1
	[ "$_cache" != "$HIB_HOME" ] || return 0
	cp -al "$_cache/agents/$1" "$HIB_HOME/agents/$1" 2>/dev/null && return
	rm -rf "$HIB_HOME/agents/$1"
	cp -a "$_cache/agents/$1" "$HIB_HOME/agents/$1"
}

# manifest FILTER [ARG]... - the agent's own with changes: it asks our model.
manifest() {
	_filter=$1
	shift
	jq --arg url "http://127.0.0.1:$port" "$@" "def var(k; v): .env += [{name: k, value: v}];
		def file(p; c): .files += [{path: (\"/home/user/\" + p), content: c}];
		$_filter" "images/agents/$agent.json" \
		>"$HIB_HOME/agents/$agent.json"
}

codex_config() {
	[ "$agent" = codex ] || printf '%s\n' 'approval_policy = "untrusted"' \
		'sandbox_mode = "danger-full-access"'
	cat <<-J
		model = "gpt-5-mock"
		model_provider = "mock"
		check_for_update_on_startup = false
		[model_providers.mock]
		name = "Mock"
		base_url = "http://127.0.0.1:$port/v1"
		wire_api = "responses"
		env_key = "OPENAI_API_KEY"
		request_max_retries = 1
		stream_max_retries = 1
		[analytics]
		enabled = false
	J
}

pi_models() {
	jq -n --arg url "http://127.0.0.1:$port" '{providers: {mock: {
		baseUrl: $url, api: "anthropic-messages", apiKey: "mock-key",
		models: [{id: "mock-model", name: "Mock Model", reasoning: true,
			input: ["text"], contextWindow: 200000, maxTokens: 8000,
			cost: {input: 3, output: 15, cacheRead: 0, cacheWrite: 0}}]}}}'
}

opencode_config() {
	jq -n --arg url "http://127.0.0.1:$port/v1" '{model: "mock/mock-model",
		small_model: "mock/mock-model", autoupdate: false, share: "disabled",
		permission: {edit: "ask", bash: "ask"}, provider: {mock: {
			npm: "@ai-sdk/openai-compatible", name: "Mock",
			options: {baseURL: $url, apiKey: "mock-key"},
			models: {"mock-model": {name: "Mock Model",
				reasoning: true, tool_call: true,
				limit: {context: 200000, output: 8000}}}}}}'
}

# Its manifest for these tests, and the variable that a session gives it.
mock_agent() {
	key=
	case $agent in
	sdk-example) manifest . ;;
	codex-rust)
		key=OPENAI_API_KEY
		manifest 'file(".codex/config.toml"; $c)' \
			--arg c "$(codex_config)"
		;;
	codex)
		key=OPENAI_API_KEY
		manifest 'file(".codex/config.toml"; $c) |
			var("MODEL_PROVIDER"; "mock") |
			var("INITIAL_AGENT_MODE"; "workspace-write")' \
			--arg c "$(codex_config)"
		;;
	pi)
		manifest 'file(".pi/agent/models.json"; $m) |
			file(".pi/agent/settings.json"; $s) |
			var("PI_OFFLINE"; "1")' --arg m "$(pi_models)" --arg s \
			'{"defaultProvider":"mock","defaultModel":"mock-model"}'
		;;
	opencode)
		manifest 'file(".config/opencode/opencode.json"; $c) |
			var("OPENCODE_DISABLE_MODELS_FETCH"; "1") |
			var("OPENCODE_DISABLE_DEFAULT_PLUGINS"; "1")' \
			--arg c "$(opencode_config)"
		;;
	gemini)
		key=GEMINI_API_KEY
		manifest 'var("GOOGLE_GEMINI_BASE_URL"; $url) |
			var("GEMINI_TELEMETRY_ENABLED"; "false")'
		;;
	claude | claude-old)
		key=ANTHROPIC_API_KEY
		manifest 'var("ANTHROPIC_BASE_URL"; $url) |
			var("DISABLE_TELEMETRY"; "1") |
			var("ENABLE_TOOL_SEARCH"; "false")'
		;;
	esac
}

# start_model - the scripted one: it listens on port.
start_model() {
	node tests/fake/mock-llm.mjs --port 0 >"$tmp/port" &
	at_exit "end_child $!"
	read_line "$tmp/port" 10 >"$tmp/line"
	port=$(jq .port "$tmp/line")
}

# --- turns ----------------------------------------------------------------------

session() {
	hib session create --agent "$agent" --vm "$vm" \
		${key:+--env "$key=mock-key"} --start-timeout-ms 90000 "$@"
}

next_of_turn() {
	wait_for "$1" '"ts":[0-9]+,"type":"(permission\.requested|turn\.(completed|failed|cancelled|interrupted))"' 60 "$2"
}

# drive SES TEXT approve|deny - a turn to its end, with that answer to all that
# it asks: its last event is in END, the number of questions in ASKED.
drive() {
	ASKED=0
	prompt_bg "$1" "$2" || return 1
	_since=$MARK
	while END=$(next_of_turn "$1" "$_since"); do
		case $END in
		*'"type":"permission.requested"'*) ;;
		*) return 0 ;;
		esac
		_since=$(printf "%s\n" "$END" | jq .seq)
		ASKED=$((ASKED + 1))
		hib "$3" "$1" || return 1
	done
	return 1
}

# ended STATE - END is a turn's end of that kind.
ended() {
	printf "%s\n" "$END" | jq -c '{type, data: (.data | del(.input))}'
	equal "$(printf "%s\n" "$END" | jq -r .type)" "turn.$1"
}

text_of() {
	hib messages "$1" --turn "$TURN" --json |
		jq -r '.[] | select(.role == "agent") | .parts[] |
			select(.type == "text") | .text'
}
