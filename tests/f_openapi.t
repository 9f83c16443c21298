#!/bin/sh
# The document of the HTTP API against the daemon that serves it, and against its
# source.
# shellcheck source=tests/lib.sh disable=SC2119 # new_vm takes no options
. tests/lib.sh

hib daemon start >/dev/null
http GET /v1/openapi.json >/dev/null
cp "$tmp/body" "$tmp/api"

# holds FILTER - is that true of the document?
holds() {
	jq -e "$1" "$tmp/api" >/dev/null
}
ok "it is OpenAPI 3.1" holds '.openapi == "3.1.0" and (.paths | length) > 60'
# shellcheck disable=SC2016 # jq's
ok "every path parameter is described, and no other" holds '
	.paths | to_entries | all((.key | [scan("\\{([a-z]+)\\}") | .[0]]) as $names |
		.value | all(.[]; [.parameters[] | select(.in == "path").name] == $names))'
ok "no operation has the name of another" holds '
	[.paths[][].operationId] | length == (unique | length)'
ok "every operation says what it does, and who may" holds '
	[.paths[][]] | all((.summary | length > 5) and
		(."x-scope" | IN("read", "prompt", "answer", "admin")))'
# shellcheck disable=SC2016 # jq's
ok "what is referred to is there" holds '
	. as $api | [.. | objects | ."$ref" // empty | ltrimstr("#/") | split("/")] |
	length > 0 and all(. as $at | $api | getpath($at) != null)'
ok "every value has a type of JSON" holds '
	[.paths[][] | .parameters[].schema, (.requestBody.content // {} | .[].schema.properties // {} | .[])] |
	all((.type // "any") | IN("string", "integer", "number", "boolean", "object", "array", "any"))'

# Each route, with ids that name nothing: the daemon knows it.
every_route_is_known() {
	jq -r '.paths | to_entries[] | .key as $path | .value | keys[] |
		"\(. | ascii_upcase) \($path)"' "$tmp/api" |
		sed 's/{id}/ses_0123456789abcdef0123456789abcdef/
			s/{req}/req_0123456789abcdef0123456789abcdef/
			s/{snp}/snp_0123456789abcdef0123456789abcdef/
			s/{view}/turns/; s/{[a-z]*}/nosuch/g
			/shutdown/d' >"$tmp/routes"
	while read -r method path; do
		http "$method" "$path" '{}' >/dev/null 2>&1
		if grep -Eq 'route_not_found|method_unknown' "$tmp/body"; then
			echo "unknown: $method $path"
			return 1
		fi
	done <"$tmp/routes"
}
ok "the daemon knows every route" every_route_is_known

# Names of parameters and members: those that the source reads.
jq -r '[.paths[][] | .parameters[] | select(.in == "query").name],
	[.paths[][] | .requestBody.content // {} | .[].schema.properties // {} | keys[]] |
	.[]' "$tmp/api" | sort -u >"$tmp/named"
the_source_knows_all() {
	while read -r name; do
		grep -qrE --include='*.c' "\"${name%_b64}\"" host/daemon guest core mcp || {
			echo "nobody reads $name"
			return 1
		}
	done <"$tmp/named"
}
ok "every member is one that is read" the_source_knows_all
all_of_the_source_is_named() {
	grep -ohE '(op_string|op_integer|op_query_number|op_query_flag|http_query|jv_get)\((op|op->r|op->in), "[A-Za-z_]+"' \
		host/daemon/*.c | sed 's/.*"\(.*\)"/\1/' | sort -u >"$tmp/read"
	[ "$(wc -l <"$tmp/read")" -gt 60 ] &&
		comm -23 "$tmp/read" "$tmp/named" >"$tmp/unnamed" &&
		cat "$tmp/unnamed" && [ ! -s "$tmp/unnamed" ]
}
ok "and every one that is read is named" all_of_the_source_is_named

# What the document says of booleans: each of the words, and no other.
booleans() {
	jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[] |
		.key as $method | .value.parameters[] |
		select(.in == "query" and .schema.type == "boolean") |
		"\($method | ascii_upcase) \($path)?\(.name)"' "$tmp/api" |
		sed "s/{id}/$SES/; s/{vm}/$VM/; s/{[a-z]*}/nosuch/" >"$tmp/flags"
	[ "$(wc -l <"$tmp/flags")" -ge 10 ] || return 1
	while read -r method path; do
		http "$method" "$path=maybe&q=x" >/dev/null
		if ! jq -e '.data.code == "invalid_argument"' "$tmp/body" >"$tmp/x" ||
			! grep -q "'maybe'" "$tmp/body"; then
			echo "$method $path: $(cat "$tmp/body")"
			return 1
		fi
	done <"$tmp/flags"
}
new_vm && new_session
ok "a boolean that is none is refused everywhere" booleans
true_and_false() {
	for word in '=1' '=true' '' '='; do
		http GET "/v1/sessions/$SES?live$word" | jq -e .live >"$tmp/x" || return 1
	done
	for word in 0 false; do
		http GET "/v1/sessions/$SES?live=$word" | jq -e '.live == null' \
			>"$tmp/x" || return 1
	done
	hib session archive "$SES" >"$tmp/x" &&
		equal "$(http GET '/v1/sessions?archived=false')" '[]' &&
		http GET '/v1/sessions?archived=true' | jq -e 'length == 1' &&
		http GET "/v1/search?q=nothing&archived=false" | jq -e '. == []'
}
ok "and true is true, false is false" true_and_false
done_testing
