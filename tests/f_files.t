#!/bin/sh
# The files of a VM, from outside: bytes, versions, what must not be reached, what
# happens, and a VM that is off.
# shellcheck disable=SC2016,SC2119 # $ is for jq and the agent's shell
. tests/lib.sh

agent echo
new_vm --name box
new_session
F=/v1/vms/box/files

# put PATH FILE [CURL_OPTION]... - prints the entry.
put() {
	_to=$1 _file=$2
	shift 2
	curl -sS --max-time 120 --unix-socket "$HIB_HOME/hibd.sock" -T "$_file" \
		${TOKEN:+-H "Authorization: Bearer $TOKEN"} \
		-o "$tmp/body" -w '%{http_code}' "$@" \
		"http://hib$F/content?path=$_to" >"$tmp/status" &&
		cat "$tmp/body"
}

# get PATH FILE [CURL_OPTION]...
get() {
	_from=$1 _file=$2
	shift 2
	curl -sS --max-time 120 --unix-socket "$HIB_HOME/hibd.sock" \
		-o "$_file" -w '%{http_code}' "$@" \
		"http://hib$F/content?path=$_from" >"$tmp/status" &&
		equal "$(cat "$tmp/status")" 200
}

# put_text PATH TEXT [CURL_OPTION]...
put_text() {
	_path=$1
	printf %s "$2" >"$tmp/text"
	shift 2
	put "$_path" "$tmp/text" "$@"
}

# refused_with STATUS NAME - so was the last put answered.
refused_with() {
	equal "$(cat "$tmp/status")" "$1" &&
		equal "$(jq -r .data.code "$tmp/body")" "$2"
}

agent_runs() {
	prompt "$SES" "!run $1" | sed '$ { /^exit: [0-9]*$/ d; }'
}

# ask NAME BODY FILTER - POST, and the jq filter is true of the answer.
ask() {
	http POST "$F/$1" "$2" && equal "$(cat "$tmp/status")" 200 &&
		jq -e "$3" "$tmp/body"
}

# denies NAME STATUS CODE BODY
denies() {
	answers "$2" "$3" POST "$F/$1" "$4"
}

# --- bytes --------------------------------------------------------------------

printf 'a\000b\377c\r\n\n' >"$tmp/odd"
f178_bytes() {
	put /d/odd "$tmp/odd" && get /d/odd "$tmp/back" &&
		cmp "$tmp/odd" "$tmp/back" &&
		equal "$(agent_runs 'od -An -c /workspace/d/odd | tr -d " \n"; echo')" \
			'a\0b377c\r\n\n'
}
ok "F178 bytes come and go as they are, and folders are made" f178_bytes

f178_agents_own() {
	agent_runs 'echo more >>/workspace/d/odd && stat -c %u:%g:%a /workspace/d/odd' |
		grep -q '^1000:1000:644$' && get d/odd "$tmp/back" &&
		tail -n 1 "$tmp/back" | grep -q more
}
ok "F178 what is written belongs to the agents, who see it at once" \
	f178_agents_own

head -c 100000000 /dev/urandom >"$tmp/big"
f178_big() {
	put big "$tmp/big" && get big "$tmp/back" && cmp "$tmp/big" "$tmp/back" &&
		equal "$(agent_runs 'sha256sum </workspace/big')" \
			"$(sha256sum <"$tmp/big")"
}
ok "F178 100 MB there and back are the same" f178_big
rss() {
	_kb=$(awk '/VmHWM/ {print $2}' "/proc/$(hibd_pid)/status")
	_kb2=$(awk '/VmHWM/ {print $2}' "/proc/$(guest_pid "$VM")/status")
	echo "hibd $_kb KiB, guest $_kb2 KiB"
	[ "$_kb" -lt 80000 ] && [ "$_kb2" -lt 40000 ]
}
case $MODE in
asan | tsan) skip "F178 and nobody held them in memory" "a sanitizer does" ;;
*) ok "F178 and nobody held them in memory" rss ;;
esac

f178_range() {
	printf 0123456789 >"$tmp/digits"
	put digits "$tmp/digits" &&
		get 'digits&offset=3&length=4' "$tmp/back" &&
		equal "$(cat "$tmp/back")" 3456 &&
		get 'digits&offset=8&length=400' "$tmp/back" &&
		equal "$(cat "$tmp/back")" 89 &&
		get 'digits&offset=99' "$tmp/back" && [ ! -s "$tmp/back" ] &&
		put_text 'digits&offset=2' XY && put_text 'digits&append=1' '!' &&
		get digits "$tmp/back" && equal "$(cat "$tmp/back")" '01XY456789!'
}
ok "F178 a part is read, written and appended" f178_range
f178_flags() {
	put_text 'digits&append=false' new && get digits "$tmp/back" &&
		equal "$(cat "$tmp/back")" new &&
		ask mkdir '{"path": "full/of", "parents": true}' true &&
		http DELETE "$F/content?path=full&recursive=false" >"$tmp/x" &&
		not equal "$(cat "$tmp/status")" 200 &&
		http GET "$F/stat?path=full/of" | jq -e '.type == "dir"' &&
		http DELETE "$F/content?path=full&recursive=true" >"$tmp/x" &&
		answers 404 file_not_found GET "$F/stat?path=full"
}
ok "F178 what is not to be appended or recursive is not" f178_flags

f178_breaks_off() {
	put_text kept old
	(head -c 3000000 "$tmp/big"; sleep 5) | timeout 1 curl -sN \
		--unix-socket "$HIB_HOME/hibd.sock" -T - \
		"http://hib$F/content?path=kept" >"$tmp/x"
	get kept "$tmp/back" && equal "$(cat "$tmp/back")" old &&
		until_true 10 no_part_is_left
}
no_part_is_left() {
	equal "$(agent_runs 'ls -A /workspace | grep -c hib-')" 0
}
ok "F178 an upload that breaks off leaves what was there" f178_breaks_off

# --- versions -----------------------------------------------------------------

etag_of() {
	http GET "$F/stat?path=$1" | jq -r .etag
}
f178_cas() {
	put_text v 1 && old=$(etag_of v) &&
		put_text v 2 -H "If-Match: \"$old\"" &&
		equal "$(cat "$tmp/status")" 200 &&
		put_text v 3 -H "If-Match: \"$old\"" &&
		refused_with 409 cas_mismatch &&
		put_text none 1 -H 'If-Match: *' &&
		refused_with 409 cas_mismatch &&
		put_text v 3 -H 'If-None-Match: *' &&
		refused_with 409 already_exists &&
		get v "$tmp/back" && equal "$(cat "$tmp/back")" 2
}
ok "F178 a write with a wrong etag is refused" f178_cas

# add_one TIMES - as often, read a number and write it back raised, if it is the
# same version still.
add_one() {
	_n=0
	while [ "$_n" -lt "$1" ]; do
		_tag=$(curl -sS --max-time 120 -D - -o "$tmp/n.$2" \
			--unix-socket "$HIB_HOME/hibd.sock" \
			"http://hib$F/content?path=n" |
			sed -n 's/^ETag: \(.*\)\r$/\1/p')
		_status=$(curl -sS --max-time 120 -X PUT -H "If-Match: $_tag" -o "$tmp/o.$2" \
			-w '%{http_code}' --unix-socket "$HIB_HOME/hibd.sock" \
			--data-binary "$(($(cat "$tmp/n.$2") + 1))" \
			"http://hib$F/content?path=n")
		case $_status in
		200) _n=$((_n + 1)) ;;
		409) ;;
		*) return 1 ;;
		esac
	done
}
f178_race() {
	put_text n 0
	add_one 20 a &
	_one=$!
	add_one 20 b && wait "$_one" && get n "$tmp/back" &&
		equal "$(cat "$tmp/back")" 40
}
ok "F178 of two writers of one version one wins, and no count is lost" \
	f178_race

# --- names --------------------------------------------------------------------

f178_names() {
	ask mkdir '{"path": "/x/y", "parents": true, "mode": "750"}' \
		'.type == "dir" and .mode == "040750"' &&
		put_text x/y/f 1 &&
		ask copy '{"from": "x", "to": "z", "recursive": true}' '.path == "z"' &&
		ask move '{"from": "x", "to": "/workspace/w/x"}' '.path == "w/x"' &&
		ask chmod '{"path": "w/x/y/f", "mode": "755"}' '.mode == "100755"' &&
		ask symlink '{"path": "w/link", "target": "x/y/f"}' \
			'.type == "link" and .target == "x/y/f"' &&
		denies remove 409 has_children '{"path": "w"}' &&
		ask remove '{"path": "w", "recursive": true}' true &&
		answers 404 file_not_found GET "$F/stat?path=w" &&
		denies remove 400 invalid_argument '{"path": "/", "recursive": true}' &&
		get z/y/f "$tmp/back"
}
ok "F178 folders, moves, copies, modes, links, removals" f178_names

f179_paths() {
	put_text p/q 1 &&
		for _p in p/q /p/q /workspace/p/q //p/./q ./p//q; do
			equal "$(http GET "$F/stat?path=$_p" | jq -r .path)" p/q ||
				return 1
		done
	answers 400 path_escape GET "$F/stat?path=../etc/passwd" &&
		answers 400 path_escape GET "$F/content?path=/p/../../etc/passwd" &&
		answers 400 path_escape GET "$F/list?path=p/.." &&
		denies move 400 path_escape '{"from": "p/q", "to": "../q"}' &&
		answers 404 file_not_found GET "$F/stat?path=/etc/passwd" &&
		answers 400 invalid_argument GET "$F/stat?path=a%00b"
}
ok "F179 a path has one meaning, and none outside" f179_paths

f178_any_name() {
	agent_runs 'printf x >"/workspace/p/$(printf "n\\377\\nq")"' &&
		http GET "$F/list?path=p" >"$tmp/list" &&
		_b64=$(jq -r '.entries[] | select(.path_b64) | .path_b64' "$tmp/list") &&
		equal "$(echo "$_b64" | base64 -d | od -An -c | tr -d ' \n')" 'p/n377\nq' &&
		ask read "{\"paths\": [{\"path_b64\": \"$_b64\"}]}" \
			'.files[0].content == "x"' &&
		get 'p/n%FF%0Aq' "$tmp/back" && equal "$(cat "$tmp/back")" x
}
ok "F178 names of any bytes are told and taken" f178_any_name

f178_wide() {
	agent_runs 'mkdir /workspace/wide && cd /workspace/wide && seq 12000 | xargs touch'
	_after='' _n=0
	while :; do
		http GET "$F/list?path=wide&limit=5000$_after" >"$tmp/list" || return 1
		_n=$((_n + $(jq '.entries | length' "$tmp/list")))
		[ "$(jq .truncated "$tmp/list")" = true ] || break
		_after="&after=$(jq -r .next "$tmp/list")"
	done
	equal "$_n" 12000 && ask remove '{"path": "wide", "recursive": true}' true
}
ok "F178 a wide folder comes page by page" f178_wide

f178_many() {
	ask write '{"files": [{"path": "m/a", "content": "1"},
		{"path": "../b", "content": "2"},
		{"path": "m/c", "content_b64": "AP8="}]}' \
		'.files[0].etag and .files[1].error.data.code == "path_escape" and
		.files[2].size == 2' &&
		ask read '{"paths": ["m/a", "m/none", "m/c"]}' \
			'.files[0].content == "1" and
			.files[1].error.data.code == "file_not_found" and
			.files[2].content_b64 == "AP8="'
}
ok "F178 many at once, and each fails alone" f178_many

f186_grep() {
	agent_runs 'cd /workspace/m && printf "one\nneedle 1\n" >g1.c && printf "needle\n" >g2.txt && printf "\0needle\n" >bin'
	ask grep '{"pattern": "needle", "path": "m"}' \
		'[.matches[] | [.path, .line]] == [["m/g1.c", 2], ["m/g2.txt", 1]]' &&
		ask grep '{"pattern": "^needle [0-9]$", "regex": true}' \
			'[.matches[].path] == ["m/g1.c"]' &&
		denies grep 400 invalid_argument '{"pattern": "(a*)*\\1", "regex": true}'
}
ok "F186 lines are found" f186_grep

# --- what must not be reached -------------------------------------------------

f178_links_out() {
	agent_runs 'mkdir -p /workspace/l/sub && cd /workspace/l && ln -s /etc etc && ln -s /hib/state state && ln -s /proc/1/root root && ln -s ../../../etc up && ln -s /workspace abs && ln -s sub in && echo inside >sub/f'
	for _l in etc state root up abs; do
		answers 400 path_escape GET "$F/list?path=l/$_l" &&
			answers 400 path_escape GET "$F/content?path=l/$_l/passwd" &&
			put_text "l/$_l/new" x && refused_with 400 path_escape &&
			denies copy 400 path_escape \
				"{\"from\": \"l/$_l/hosts\", \"to\": \"stolen\"}" &&
			denies remove 400 path_escape \
				"{\"path\": \"l/$_l/x\", \"recursive\": true}" ||
			return 1
	done
	get l/in/f "$tmp/back" && equal "$(cat "$tmp/back")" inside &&
		ask remove '{"path": "l", "recursive": true}' true &&
		agent_runs 'test -e /etc/passwd && test -d /workspace/m && echo whole' |
		grep -q whole
}
ok "F178 no link leads out, one inside is followed" f178_links_out

# The agent swaps a folder for a link to /etc as fast as it can.
f178_swap() {
	agent_runs 'mkdir -p /workspace/s/dir && echo ours >/workspace/s/dir/passwd'
	prompt_bg "$SES" '!run cd /workspace/s && ln -s /etc evil && i=0; while [ ! -e stop ] && [ $i -lt 100000 ]; do mv -T dir kept; mv -T evil dir; mv -T dir evil; mv -T kept dir; i=$((i+1)); done; echo swapped'
	until_true 10 agent_swaps || return 1
	_i=0
	while [ "$_i" -lt 60 ]; do
		get s/dir/passwd "$tmp/back"
		[ "$(cat "$tmp/status")" != 200 ] ||
			equal "$(cat "$tmp/back")" ours || return 1
		http POST "$F/copy" \
			"{\"from\": \"s/dir\", \"to\": \"c$_i\", \"recursive\": true}"
		_i=$((_i + 1))
	done
	put_text s/stop 1 && wait_turn "$SES" "$TURN" &&
		http GET "$F/list?path=/&depth=3&limit=9999" >"$tmp/list" &&
		jq -e '[.entries[].path | select(test("^c[0-9]+/")) |
			select(endswith("/passwd") | not)] == []' "$tmp/list" &&
		not grep -q shadow "$tmp/list"
}
agent_swaps() {
	http GET "$F/list?path=s" | grep -q evil
}
ok "F178 nothing comes out while links are swapped" f178_swap

f178_fifo() {
	agent_runs 'mkfifo /workspace/m/fifo'
	answers 400 invalid_argument GET "$F/content?path=m/fifo" &&
		put_text m/fifo x && refused_with 400 invalid_argument &&
		ask grep '{"pattern": "x", "path": "m"}' true &&
		ask remove '{"path": "m/fifo"}' true
}
ok "F178 nobody waits for a fifo" f178_fifo

# --- who may ------------------------------------------------------------------

f178_tokens() {
	_read=$(http POST /v1/tokens '{"scope": "read"}' | jq -r .token) &&
		_own=$(hib token create --scope admin "$SES") &&
		TOKEN=$_read && http GET "$F/stat?path=v" | grep -q etag &&
		answers 403 forbidden POST "$F/mkdir" '{"path": "t"}' &&
		put_text t x && refused_with 403 forbidden &&
		TOKEN=$_own && answers 403 forbidden GET "$F/stat?path=v" &&
		answers 403 forbidden GET "$F/content?path=v" &&
		answers 403 forbidden POST "$F/grep" '{"pattern": "x"}' &&
		answers 403 forbidden POST "$F/mkdir" '{"path": "t"}' &&
		put_text t x && refused_with 403 forbidden
	_r=$?
	TOKEN=
	[ "$_r" -eq 0 ] && answers 404 file_not_found GET "$F/stat?path=t"
}
ok "F178 a token with too small a scope, or for one session, is refused" \
	f178_tokens

# --- changes ------------------------------------------------------------------

watching() {
	grep -q '^event: open' "$tmp/watch"
}
saw() {
	grep '^data: ' "$tmp/watch" | cut -c 7- |
		jq -se "map(select($1)) | length > 0"
}
f188_watch() {
	curl -sN --unix-socket "$HIB_HOME/hibd.sock" \
		"http://hib$F/watch?path=/m&recursive=1" >"$tmp/watch" &
	at_exit "end_child $!"
	until_true 10 watching &&
		agent_runs 'cd /workspace/m && mkdir new && echo x >new/f && mv new/f new/g && rm new/g' &&
		put_text m/sdk 1 && put_text m/sdk 2 &&
		until_true 10 saw '.type == "modify" and .path == "m/sdk"' &&
		saw '.type == "create" and .path == "m/new" and .directory' &&
		saw '.type == "create" and .path == "m/sdk"' &&
		until_true 10 saw '.type == "delete" and .path == "m/new/g"' &&
		not saw '.path | tostring | test("hib-|#")'
}
ok "F188 a watch sees what the agent and others write" f188_watch
f188_gone() {
	ask remove '{"path": "m", "recursive": true}' true &&
		until_true 10 grep -q '^event: end' "$tmp/watch"
}
ok "F188 and ends when it is gone" f188_gone

# --- the command line -----------------------------------------------------------

f178_cli_there_and_back() {
	_b=$(printf 'b\377')
	mkdir -p "$tmp/local/sub/empty" && head -c 70000 "$tmp/big" >"$tmp/local/a" &&
		printf 'x\000y' >"$tmp/local/sub/$_b" &&
		chmod 755 "$tmp/local/sub/$_b" &&
		hib files put -r box "$tmp/local" cli/ &&
		agent_runs 'ln -s ../../x /workspace/cli/local/sub/link' >"$tmp/x" &&
		(cd "$tmp" && hib files get -r box cli/local fetched) &&
		equal "$(readlink "$tmp/fetched/sub/link")" ../../x &&
		rm "$tmp/fetched/sub/link" && diff -r "$tmp/local" "$tmp/fetched" &&
		[ -x "$tmp/fetched/sub/$_b" ] &&
		not hib files get -r box cli/local "$tmp/fetched"
}
ok "F178 a folder goes in and comes back the same" f178_cli_there_and_back

f178_cli_one() {
	echo hello | hib files put --mode 600 box - cli/one &&
		equal "$(hib files cat box cli/one)" hello &&
		equal "$(hib files get box cli/one -)" hello &&
		hib files get box cli/one "$tmp/one" && equal "$(cat "$tmp/one")" hello &&
		hib files stat --json box cli/one | jq -e '.mode == "100600" and .etag' &&
		_tag=$(hib files stat --json box cli/one | jq -r .etag) &&
		echo bye | hib files put --if-match "$_tag" box - cli/one &&
		refused "another version" 7 hib files put --if-match "$_tag" box \
			"$tmp/one" cli/one &&
		refused "it exists" 7 hib files put --must-not-exist box "$tmp/one" cli/one &&
		refused "no such file" 6 hib files get box cli/none "$tmp/none" &&
		[ ! -e "$tmp/none" ] &&
		refused "'..'" 5 hib files put box "$tmp/one" ../one
}
ok "F178 put, get, cat and stat of one file" f178_cli_one

f178_cli_names() {
	hib files mkdir -p box cli/m/n && hib files cp box cli/one cli/m/ &&
		hib files mv box cli/m/one cli/m/two &&
		equal "$(hib files ls box cli/m)" "n
two" && refused "it exists" 7 hib files mv box cli/m/two cli/one &&
		hib files mv -f box cli/m/two cli/one &&
		refused "not empty" 7 hib files rm box cli/m &&
		hib files rm -r box cli/m && not hib files rm box cli/m &&
		hib files rm -f box cli/m &&
		equal "$(hib files ls -r box cli | grep -c .)" 7
}
ok "F178 mkdir, cp, mv, ls and rm" f178_cli_names

f186_cli_grep() {
	echo 'find me' | hib files put box - cli/g.txt &&
		equal "$(hib files grep box 'find me' cli)" "cli/g.txt:1:find me" &&
		equal "$(hib files grep --json -E -i box '^FIND' cli |
			jq -r '.matches[0].path')" cli/g.txt &&
		exits 1 hib files grep box nosuchtext cli
}
ok "F186 grep" f186_cli_grep

f188_cli_watch() {
	timeout 60 "$O/bin/hib" files watch -r --json box cli >"$tmp/watched" &
	_watcher=$!
	until_true 10 watch_has_begun &&
		hib files rm -r box cli && wait "$_watcher" &&
		tail -n 1 "$tmp/watched" |
		jq -e '.type == "delete" and .path == "cli"'
}
watch_has_begun() {
	hib files mkdir -p box cli/w && hib files rm box cli/w && [ -s "$tmp/watched" ]
}
ok "F188 watch prints changes until there is nothing to watch" f188_cli_watch

# What is put comes from somebody who says no more, what is got goes to somebody who
# reads no more.
cli_interrupted() {
	mkfifo "$tmp/idle" && exec 9<>"$tmp/idle" || return 1
	"$O/bin/hib" files put box - never <&9 &
	_pid=$!
	timeout "$((10 * slow))" head -c 100000 /dev/zero >&9 && kill "$_pid"
	reap "$_pid" 5
	_put=$?
	exec 9>&-
	rm "$tmp/idle" && mkfifo "$tmp/idle" && exec 9<>"$tmp/idle"
	head -c 1000000 /dev/zero | hib files put box - zeros
	"$O/bin/hib" files get box zeros - >&9 &
	_pid=$!
	timeout "$((10 * slow))" head -c 4096 <&9 >"$tmp/x" && kill "$_pid"
	reap "$_pid" 5
	_got=$?
	exec 9>&-
	rm "$tmp/idle" && mkfifo "$tmp/idle" && exec 9<>"$tmp/idle"
	"$O/bin/hib" files get box zeros "$tmp/idle" &
	_pid=$!
	timeout "$((10 * slow))" head -c 4096 <&9 >"$tmp/x" && kill "$_pid"
	reap "$_pid" 5
	_through=$?
	exec 9>&-
	equal "$_put $_got $_through" "130 130 130" && [ -p "$tmp/idle" ] &&
		not hib files stat box never
}
ok "one signal ends put and get, whatever they wait for" cli_interrupted

# --- whose change it is ---------------------------------------------------------

f184_not_the_turns() {
	put_text theirs 1 && agent_runs 'echo 2 >/workspace/its' &&
		log_json "$SES" | jq -se '[.[] | select(.type == "turn.diff")][-1].data
			.files | [.[].path] == ["its"]'
}
ok "F184 what is written from outside is no change of the next turn" \
	f184_not_the_turns

# --- off ----------------------------------------------------------------------

state_of() {
	equal "$(hib vm get box --json | jq -r .state)" "$1"
}
hib vm sleep box >"$tmp/x"
git=$HIB_HOME/vms/$VM/workspace.git
[ -d "$git" ] || git init -q --bare "$git"
git --git-dir="$git" fast-import --quiet --force <<'END'
commit refs/heads/main
committer t <t@example.org> 0 +0000
data 0
deleteall
M 100755 inline dir/run
data 4
abcd
M 100644 inline dir.c
data 1
x
M 120000 inline link
data 7
dir/run
done
END
git --git-dir="$git" symbolic-ref HEAD refs/heads/main

f215_reads() {
	http GET "$F/list?path=/&depth=9" >"$tmp/list" &&
		equal "$(jq -r '[.entries[].path] | join(" ")' "$tmp/list")" \
			"dir dir/run dir.c link" &&
		http GET "$F/list?path=/&depth=9&limit=2" >"$tmp/list" &&
		equal "$(jq -r .next "$tmp/list")" dir/run &&
		http GET "$F/list?path=/&depth=9&after=dir/run" >"$tmp/list" &&
		equal "$(jq -r '.entries[0].path' "$tmp/list")" dir.c &&
		http GET "$F/stat?path=link" |
		jq -e '.type == "link" and .target == "dir/run"' &&
		http GET "$F/stat?path=dir/run" | jq -e '.mode == "100755"' &&
		get dir/run "$tmp/back" && equal "$(cat "$tmp/back")" abcd &&
		get 'dir/run&offset=1&length=2' "$tmp/back" &&
		equal "$(cat "$tmp/back")" bc &&
		answers 404 file_not_found GET "$F/stat?path=none" &&
		answers 503 vm_unavailable POST "$F/grep" '{"pattern": "x"}' &&
		answers 503 vm_unavailable GET "$F/watch" &&
		answers 404 snapshot_not_found GET "$F/list?at=0123456789" &&
		state_of suspended
}
ok "F215 reading a VM that is off shows its last commit and wakes nothing" \
	f215_reads

f215_write() {
	put_text woken 1 && equal "$(cat "$tmp/status")" 200 && state_of running &&
		get woken "$tmp/back" && equal "$(cat "$tmp/back")" 1 &&
		get 'dir/run&at=HEAD' "$tmp/back" && equal "$(cat "$tmp/back")" abcd
}
ok "F215 a write wakes it, and commits are read all the same" f215_write

# The same where /workspace lies over a commit.
f178_over_a_commit() {
	hib files restore --force box HEAD && hib vm wake box >"$tmp/x" &&
		_tag=$(etag_of dir/run) && put_text dir/run new -H "If-Match: \"$_tag\"" &&
		equal "$(jq -r .etag "$tmp/body")" "$(etag_of dir/run)" &&
		equal "$(jq -r .mode "$tmp/body")" 100755 &&
		ask move '{"from": "dir", "to": "moved"}' '.type == "dir"' &&
		get moved/run "$tmp/back" && equal "$(cat "$tmp/back")" new &&
		answers 404 file_not_found GET "$F/stat?path=dir" &&
		ask grep '{"pattern": "x"}' '[.matches[].path] == ["dir.c"]' &&
		ask remove '{"path": "moved", "recursive": true}' true &&
		equal "$(hib files ls box)" "dir.c
link"
}
ok "F178 the same over a commit, whose folders can be moved" f178_over_a_commit

done_testing
