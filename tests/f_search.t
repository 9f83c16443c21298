#!/bin/sh
# Search: every word that was said is found, with its event, whatever runs.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session --title 'The walrus plan'
first=$SES
prompt "$first" '!say about apples' >"$tmp/x"
prompt "$first" '!say about pears' >"$tmp/x"
prompt "$first" 'please speak of persimmons;;ignored' >"$tmp/x"
new_session
other=$SES
prompt "$other" '!tool t1 Weaving_baskets edit;;!say a basket of apples' >"$tmp/x"

# found QUERY [OPTION]... - the events that are found, as "SES SEQ ROLE".
found() {
	hib search --json "$@" | jq -r '.[] | "\(.session) \(.seq) \(.role)"'
}

# finds QUERY SES ROLE - exactly one hit, whose event has the word.
finds() {
	found "$1" >"$tmp/found"
	equal "$(cut -d' ' -f1,3 "$tmp/found")" "$2 $3" &&
		log_json "$2" | sed -n "$(cut -d' ' -f2 "$tmp/found")p" |
		grep -qi "$1"
}

# indexed SES - all of it is in the index.
indexed() {
	equal "$(sql "SELECT x.seq FROM search_state x JOIN session s
		ON s.n = x.session_n WHERE s.id = '$1'")" "$(last_seq "$1")"
}

# --- what is found --------------------------------------------------------------

f241_found() {
	equal "$(found persimmons | cut -d' ' -f1,3 | sort)" "$first agent
$first user" &&
		equal "$(found pears | cut -d' ' -f3 | sort)" 'agent
user' &&
		finds walrus "$first" title &&
		equal "$(found '"about pears"' | wc -l)" 2 &&
		equal "$(found '"pears about"')" '' &&
		equal "$(found zebra)" ''
}
ok "F241 words and phrases are found at once" f241_found
ok "F241 they are soon in the index" until_true 10 indexed "$first"
ok "F241 and found as before" f241_found
f241_archived() {
	hib session archive "$first" && f241_found &&
		turn=$(sql "SELECT id FROM turn WHERE session_id = '$first' AND n = 3") &&
		hib search persimmons --json | jq -e "all(.turn == \"$turn\")" &&
		http GET '/v1/search?q=persimmons&archived=0' | jq -e '. == []' &&
		http GET '/v1/search?q=persimmons&archived=1' |
		jq -e 'length == 2'
}
ok "F074 F241 a word in turn 3 of an archived session has its turn and seq" \
	f241_archived
f241_http() {
	hib search --json apples | jq -S . >"$tmp/a" &&
		http GET '/v1/search?q=apples' | jq -S . | cmp - "$tmp/a" &&
		http GET "/v1/search?q=apples&session=$other" |
		jq -e "length > 0 and all(.session == \"$other\")" &&
		http GET '/v1/search?q=apples&limit=1' | jq -e 'length == 1' &&
		equal "$(found --session "$other" apples --limit 1 | wc -l)" 1
}
ok "F241 HTTP and command line say the same" f241_http
f241_refusals() {
	answers 400 invalid_argument GET '/v1/search?q=' &&
		answers 400 invalid_argument GET '/v1/search' &&
		answers 400 invalid_argument GET '/v1/search?q=x&limit=-1' &&
		answers 400 invalid_id GET '/v1/search?q=x&session=y' &&
		answers 404 session_not_found GET \
			"/v1/search?q=x&session=$(new_id ses)" &&
		refused session_not_found 6 hib search --session \
			"$(new_id ses)" x &&
		for q in 'AND' 'a OR' '"open' 'NEAR(' 'text:x' '*' "'"; do
			hib search --json -- "$q" || return 1
		done
}
ok "F241 what a user types is never an error of syntax" f241_refusals
f241_exit() {
	hib search walrus >"$tmp/x" && grep -q "$first" "$tmp/x" &&
		not grep -q "$(printf '\033')" "$tmp/x" &&
		exits 1 hib search zebra
}
ok "F241 without a terminal there are no marks; nothing found is exit 1" \
	f241_exit
f241_terminal() {
	script -qec "stty cols 100; $O/bin/hib search walrus" /dev/null | grep -q \
		"$(printf '\033\\[1m')walrus$(printf '\033\\[0m')"
}
ok "F241 on a terminal what was found is marked" f241_terminal
f138_token() {
	TOKEN=$(hib token create "$other" --scope read)
	http GET '/v1/search?q=apples' | jq -e "length > 0 and
		all(.session == \"$other\")" &&
		answers 404 session_not_found GET \
			"/v1/search?q=apples&session=$first"
	_r=$?
	TOKEN=
	return $_r
}
ok "F138 a token finds only in its session" f138_token

# --- while it happens -----------------------------------------------------------

f241_running() {
	prompt_bg "$other" '!say an unfinished gra;;!say nite;;!sleep 60000' &&
		wait_for "$other" '"text": *"nite"' 5 "$MARK" >"$tmp/x" &&
		found granite | grep -q agent && hib cancel "$other"
}
ok "F241 a word in two pieces of a running turn is found" f241_running

# --- with everything off ----------------------------------------------------------

hib vm sleep "$VM"
until_true 10 indexed "$other" >"$tmp/x"
found apples >"$tmp/online"
kill_hibd KILL
f241_offline() {
	found apples | cmp - "$tmp/online" && f241_found &&
		not alive "$(hibd_pid)"
}
ok "F241 all is found with every daemon off" f241_offline

# Killed at any moment of its work, the index misses nothing, repeats nothing.
f241_killed() {
	new_session
	for i in 1 2 3 4 5 6; do
		prompt "$SES" "!say unique$i.;;!flood 300 200" >"$tmp/x" || return 1
		sleep "0.$((i * 5))"
		kill_hibd KILL
	done
	hib daemon start && until_true 15 indexed "$SES" || return 1
	for i in 1 2 3 4 5 6; do
		equal "$(found "unique$i" | cut -d' ' -f3 | sort | tr '\n' ' ')" \
			'agent user ' || return 1
	done
	no_rows 'SELECT session_n, first_seq FROM search_doc
		GROUP BY 1, 2, role HAVING count(*) > 1' doubles
}
ok "F241 a killed hibd misses nothing and repeats nothing" f241_killed

# A database of a version that had no index.
f241_upgrade() {
	hib vm sleep "$VM"
	kill_hibd TERM
	sqlite3 "$HIB_HOME/hib.db" 'DROP TABLE search; DROP TABLE search_doc;
		DROP TABLE search_state; DROP TABLE cursor;
		DROP TABLE memory_shared;
		DROP INDEX session_expiry; DROP INDEX idem_expiry;
		CREATE VIRTUAL TABLE search USING fts5(session_id, text);
		PRAGMA user_version = 1' || return 1
	f241_found && hib daemon start && until_true 15 indexed "$first" &&
		until_true 15 indexed "$SES" && f241_found
}
ok "F241 an old database is searched, upgraded and indexed" f241_upgrade

# --- gone ---------------------------------------------------------------------------

f241_imported() {
	hib export "$first" >"$tmp/export" &&
		hib session destroy --discard "$first" &&
		equal "$(found walrus)" '' && equal "$(found persimmons)" '' &&
		hib import "$tmp/export" && until_true 10 indexed "$first" &&
		f241_found
}
ok "F241 a destroyed session leaves no word, an imported one is found" \
	f241_imported
f241_fork() {
	new=$(hib fork "$other" --title 'A narwhal') && finds narwhal "$new" title &&
		until_true 10 indexed "$new" && finds narwhal "$new" title &&
		equal "$(found --session "$new" granite | wc -l)" 1
}
ok "F241 a fork has its own words" f241_fork
done_testing
