#!/bin/sh
# Databases of sessions.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session
ses=$SES

# rows SES DB SQL [ARG]... - the rows of a query.
rows() {
	hib sql --query --json "$@" | jq -c .rows
}

f197_missing() {
	refused file_not_found 6 hib sql --query "$ses" notes 'SELECT 1' &&
		refused file_not_found 6 hib sql "$ses" notes &&
		answers 404 file_not_found POST "/v1/sessions/$ses/sql/notes" \
			'{"op":"query","sql":"SELECT 1"}' &&
		equal "$(hib sql "$ses" --json)" '{"databases":[]}'
}
ok "F197 a database that is not there is not found" f197_missing
f197_made() {
	hib sql "$ses" notes 'CREATE TABLE n(id INTEGER PRIMARY KEY, t TEXT)' &&
		hib sql "$ses" notes 'INSERT INTO n(t) VALUES(?), (?)' one "it's" &&
		equal "$(rows "$ses" notes 'SELECT * FROM n ORDER BY id')" \
			'[[1,"one"],[2,"it'"'"'s"]]' &&
		equal "$(hib sql --query "$ses" notes \
			'SELECT t FROM n WHERE id = ?' 2)" "$(printf "t\nit's")" &&
		equal "$(hib sql "$ses" notes)" \
			'CREATE TABLE n(id INTEGER PRIMARY KEY, t TEXT);' &&
		hib sql "$ses" --json |
		jq -e '.databases | map(.name) == ["notes"]'
}
ok "F197 one is made when something is executed in it" f197_made
f197_refused() {
	for s in "ATTACH '/etc/passwd' AS x" "SELECT load_extension('x')" \
		'CREATE VIRTUAL TABLE v USING fts5(a)' \
		'PRAGMA journal_mode=OFF'; do
		refused forbidden 3 hib sql "$ses" notes "$s" || return 1
	done
	refused invalid_argument 5 hib sql "$ses" notes 'SELEC 1' &&
		refused invalid_argument 5 hib sql --query "$ses" notes \
			'DELETE FROM n' &&
		refused invalid_argument 5 hib sql "$ses" a-b 'SELECT 1' &&
		refused invalid_argument 5 hib sql "$ses" 1x 'SELECT 1' &&
		equal "$(rows "$ses" notes 'SELECT count(*) FROM n')" '[[2]]'
}
ok "F197 what reaches beyond it is refused" f197_refused
f197_own() {
	new_session && other=$SES &&
		refused file_not_found 6 hib sql --query "$other" notes 'SELECT 1' &&
		answers 404 session_not_found POST \
			"/v1/sessions/$(new_id ses)/sql/notes" \
			'{"op":"query","sql":"SELECT 1"}'
}
ok "F197 another session has its own" f197_own
f197_ten() {
	for i in 1 2 3 4 5 6 7 8 9; do
		hib sql "$ses" "d$i" 'CREATE TABLE t(a)' || return 1
	done
	refused quota_exceeded 4 hib sql "$ses" d10 'CREATE TABLE t(a)' &&
		hib sql --drop "$ses" d9 &&
		hib sql "$ses" d10 'CREATE TABLE t(a)' &&
		refused file_not_found 6 hib sql --drop "$ses" d9
}
ok "F197 the eleventh is refused" f197_ten

count='WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c)
	SELECT i FROM c'
f198_rows() {
	hib sql --json --query "$ses" notes "$count LIMIT 1001" |
		jq -e '(.rows | length) == 1000 and .truncated' &&
		hib sql --json --query "$ses" notes "$count LIMIT 1000" |
		jq -e '(.rows | length) == 1000 and (.truncated | not)' &&
		hib sql --json --query "$ses" notes \
			"SELECT hex(zeroblob(400000)) FROM ($count LIMIT 3)" |
		jq -e '(.rows | length) == 1 and .truncated'
}
ok "F198 a result is cut, and says so" f198_rows
f198_time() {
	refused request_timeout 8 hib sql --timeout-ms 300 "$ses" notes \
		"DELETE FROM n; SELECT count(*) FROM ($count)" &&
		equal "$(rows "$ses" notes 'SELECT count(*) FROM n')" '[[2]]'
}
ok "F198 what takes too long is interrupted, and undone" f198_time
f198_default() {
	a=$(now_ms)
	PATIENCE=60 refused request_timeout 8 hib sql --query "$ses" notes \
		"SELECT count(*) FROM ($count)" && b=$(now_ms) &&
		[ $((b - a)) -ge 29000 ] && [ $((b - a)) -lt 60000 ]
}
if [ -n "$SQL_LONG" ]; then
	ok "F198 which is 30 seconds" f198_default
else
	skip "F198 which is 30 seconds" "SQL_LONG is not set"
fi
f198_aside() {
	hib sql --timeout-ms 8000 "$ses" notes \
		"SELECT count(*) FROM ($count)" >"$tmp/slow" 2>&1 &
	slow_pid=$!
	says "$ses" meanwhile meanwhile && hib kv set "$ses" k v &&
		hib sql "$other" x 'CREATE TABLE t(a)' &&
		alive "$slow_pid"
	_r=$?
	wait "$slow_pid"
	return "$_r"
}
ok "F198 meanwhile others are served" f198_aside

# --- by MCP -----------------------------------------------------------------------

# call TOOL JSON - the agent of MCP_SES calls a tool and says the result.
call() {
	prompt "$mcp_ses" "!mcp call sql $1 $2"
}

new_session --mcp-builtin sql
mcp_ses=$SES
f197_agent() {
	call sql_query '{"database":"d","sql":"SELECT 1"}' |
		grep -q 'no such database' &&
		call sql_execute "$(jq -nc '{database: "d", sql:
			"CREATE TABLE t(a); INSERT INTO t VALUES(7)"}')" |
		jq -e '.changes == 1' &&
		call sql_query "$(jq -nc '{database: "d", sql:
			"SELECT a FROM t WHERE a=:a", params: {a: 7}}')" |
		jq -e '.rows == [[7]]' &&
		call sql_schema '{"database":"d"}' |
		jq -e '.tables[0].name == "t"' &&
		call sql_list '{}' | jq -e '.databases[0].name == "d"' &&
		equal "$(rows "$mcp_ses" d 'SELECT a FROM t')" '[[7]]' &&
		call sql_drop '{"database":"d"}' >"$tmp/x" &&
		refused file_not_found 6 hib sql "$mcp_ses" d
}
ok "F197 an agent has the same databases as its user" f197_agent
f197_agent_wrong() {
	call sql_execute "$(jq -nc '{database: "d", sql: "ATTACH \u0027x\u0027 AS y"}')" |
		grep -q ATTACH &&
		call sql_execute '{"database":"../d","sql":"SELECT 1"}' |
		grep -qi 'database'
}
ok "F197 what it may not is an error that it reads" f197_agent_wrong

# --- sleep, crashes ---------------------------------------------------------------

f197_sleep() {
	hib vm sleep "$VM" &&
		equal "$(rows "$ses" notes 'SELECT t FROM n WHERE id=1')" '[["one"]]'
}
ok "F197 it survives sleep" f197_sleep
f197_crash() {
	for pause in 0.05 0.1 0.2; do
		(while hib sql "$ses" notes "UPDATE n SET t=t||'.';
			INSERT INTO n(t) SELECT t FROM n LIMIT 50"; do :; done) \
			>"$tmp/writer" 2>&1 &
		writer=$!
		sleep "$pause"
		kill_vm "$VM"
		stop "$writer"
		equal "$(rows "$ses" notes 'PRAGMA integrity_check')" '[["ok"]]' &&
			equal "$(rows "$ses" notes 'SELECT count(DISTINCT
				length(rtrim(t)) - length(rtrim(t, "."))) > 0
				FROM n')" '[[1]]' || return 1
	done
}
ok "F197 a killed VM leaves it whole" f197_crash

# --- forks --------------------------------------------------------------------------

before="$(rows "$ses" notes 'SELECT count(*) FROM n')"
forked() {
	equal "$(rows "$1" notes 'SELECT count(*) FROM n')" "$before" &&
		hib sql "$1" notes 'DELETE FROM n' &&
		equal "$(rows "$ses" notes 'SELECT count(*) FROM n')" "$before" &&
		equal "$(hib sql "$1" --json | jq '.databases | length')" 10
}
f197_fork() {
	f=$(hib fork "$ses") && g=$(hib fork "$f") && forked "$f" && forked "$g"
}
ok "F197 a fork has copies, and a fork of it" f197_fork
f197_fork_gone() {
	f=$(hib fork "$ses") && d=$HIB_HOME/vms/$VM/disk/state/sql &&
		[ -e "$d/$f/notes.db" ] && hib session destroy "$f" &&
		until_true 5 not [ -e "$d/$f" ]
}
ok "F197 a fork that is destroyed at once leaves nothing" f197_fork_gone
f197_fork_vm() {
	f=$(hib fork --workspace copy "$ses") && forked "$f" &&
		not [ -e "$HIB_HOME/vms/$VM/disk/state/sql/$f" ]
}
ok "F197 so has one with a VM of its own" f197_fork_vm
f197_fork_into() {
	copy=$(hib vm fork "$VM") && hib vm list --json |
		jq -e --arg v "$copy" 'any(.id == $v)' &&
		f=$(hib session list --vm "$copy" --json |
			jq -r --arg s "$ses" '.[] | select(.forked_from == $s) | .id') &&
		forked "$f"
}
ok "F197 so have those of a forked VM" f197_fork_into
f197_fork_asleep() {
	hib vm sleep "$VM" && f=$(hib fork "$ses") &&
		g=$(hib fork --workspace none "$ses") &&
		equal "$(hib vm get "$VM" --json | jq -r .state)" suspended &&
		forked "$f" && forked "$g"
}
ok "F197 and those of a VM that sleeps, which is not woken" f197_fork_asleep
f197_hostile() {
	hib vm sleep "$VM" && d=$HIB_HOME/vms/$VM/disk/state/sql/$ses &&
		mv "$d" "$d.kept" && mkdir "$d" && echo secret >"$tmp/secret" &&
		ln -s "$tmp/secret" "$d/a.db" && mkfifo "$d/b.db" &&
		mkdir "$d/c.db" && echo x >"$d/not a name" &&
		f=$(hib fork --workspace none "$ses") &&
		hib sql "$f" --json | jq -e '.databases == []' &&
		rm -r "$d" && ln -s /etc "$d" &&
		{ hib fork --workspace none "$ses" || :; } &&
		rm "$d" && mv "$d.kept" "$d"
}
ok "F197 a fork takes nothing but files" f197_hostile

# One session's calls wait for each other, and nobody else for them.
f_fair() {
	new_session --mcp-builtin sql && greedy=$SES && new_session &&
		hib sql "$greedy" a 'CREATE TABLE t(a)' &&
		prompt_bg "$greedy" '!mcp par 70 sql sql_query {"database":"a","sql":"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c) SELECT count(*) FROM c"}' &&
		wait_for "$greedy" 'calls are under way' >/dev/null &&
		hib sql "$SES" a 'CREATE TABLE t(a)' &&
		hib session close --force "$greedy"
}
ok "a session that asks too much is refused, no other" f_fair

# --- the end ------------------------------------------------------------------------

f197_destroy() {
	d=$HIB_HOME/vms/$VM/disk/state/sql/$ses && [ -e "$d/notes.db" ] &&
		hib session destroy "$ses" && not [ -e "$d" ]
}
ok "F197 they go with the session" f197_destroy
f197_sweep() {
	d=$HIB_HOME/vms/$VM/disk/state/sql/$(new_id ses) && hib vm sleep "$VM" &&
		cp -a "${d%/*}/$other" "$d" && cp -a "$d" "${d%/*}/.half" &&
		hib vm wake "$VM" && [ -e "$d" ] && hib vm sleep "$VM" &&
		touch -d '1 hour ago' "${d%/*}"/* "${d%/*}/.half" &&
		hib vm wake "$VM" && not [ -e "$d" ] &&
		not [ -e "${d%/*}/.half" ] && [ -e "${d%/*}/$other" ]
}
ok "F197 what belongs to no session is removed, not at once" f197_sweep

done_testing
