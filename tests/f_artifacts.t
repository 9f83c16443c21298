#!/bin/sh
# Files that an agent has made for its user: found by the session's patterns at
# the end of a turn, told of in the log, and to be had with everything off.
# shellcheck disable=SC2016,SC2119 # $ is for jq and eval; new_vm has no options
. tests/lib.sh

new_vm
new_session --artifacts 'out/**' --artifacts '*.pdf' --artifacts '!draft.pdf'

rows() {
	hib session artifacts "$1" --json
}

# row PATH KEY - of the newest one of that path.
row() {
	rows "$SES" | jq -r "map(select(.path == \"$1\")) | last | .$2"
}

make() {
	in_vm "$SES" 'mkdir -p out/deep && printf abc >out/a && echo b >out/deep/b &&
		echo c >c.pdf && echo d >draft.pdf && echo e >else &&
		head -c 5000000 /dev/urandom >out/large && ln -s a out/link &&
		cksum out/large' && equal "$(rows "$SES" | jq -r '[.[].path] | sort | join(" ")')" \
		"c.pdf out/a out/deep/b out/large"
}
ok "F181 files that fit are artifacts" make
large=$(grep -o '^[0-9]* [0-9]*' "$tmp/said")

f181_facts() {
	equal "$(row out/a size) $(row out/a name)" "3 a" &&
		equal "$(row out/a sha256)" \
			ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad &&
		equal "$(row out/a turn_id)" "$(hib session turns "$SES" --json |
			jq -r '.[-1].id')"
}
ok "F181 each has name, size, hash and turn" f181_facts
ok "F181 each is an event of its turn, before its end" holds "$SES" '
	map(select(.turn != null)) | (map(.type) | index("turn.completed")) as $last |
	[.[:$last][] | select(.type == "artifact.created")] | length == 4'
ok "F181 contents are in the log's event as little as in the repository twice" \
	holds "$SES" 'map(select(.type == "artifact.created") | tostring | length) |
		max < 2000'

unchanged_turn() {
	in_vm "$SES" 'touch out/a; chmod 600 out/deep/b; rm c.pdf' &&
		equal "$(rows "$SES" | jq length)" 4
}
ok "F181 a turn that leaves their contents makes none" unchanged_turn

changes() {
	in_vm "$SES" 'printf new >out/a' && equal "$(rows "$SES" | jq length)" 5 &&
		equal "$(hib artifact get "$SES" out/a)" new
}
ok "F181 a changed one is another" changes

downloads() {
	_old=$(rows "$SES" | jq -r 'map(select(.path == "out/a"))[0].id')
	equal "$(hib artifact get "$SES" "$_old")" abc &&
		hib artifact get -o "$tmp/large" "$SES" "$(row out/large id)" &&
		equal "$(cksum <"$tmp/large")" "$large" &&
		equal "$(hib artifact get "$SES" c.pdf)" c
}
ok "F181 all of them can be had, also old and removed ones" downloads

by_http() {
	_id=$(row "$1" id)
	curl -sS --max-time 30 --unix-socket "$HIB_HOME/hibd.sock" \
		-o "$tmp/got" -w '%{http_code}' \
		"http://hib/v1/sessions/$SES/artifacts/$_id" >"$tmp/status" &&
		equal "$(cat "$tmp/status")" 200 &&
		equal "$(sha256sum <"$tmp/got" | cut -d' ' -f1)" "$(row "$1" sha256)"
}
ok "F181 by HTTP, too" by_http out/large
ok "F181 ... with the VM asleep" eval 'hib vm sleep "$VM" && by_http out/large'
ok "F181 what is not there is not found" answers 404 file_not_found GET \
	"/v1/sessions/$SES/artifacts/$(new_id art)"
ok "F181 nor is that of another session" eval '_id=$(row out/a id); first=$SES
	new_session && answers 404 file_not_found GET \
		"/v1/sessions/$SES/artifacts/$_id"; r=$?; SES=$first; (exit $r)'

ok "F181 a fork has them as well" eval '_fork=$(hib fork "$SES") &&
	equal "$(hib artifact get "$_fork" out/a)" new'

refuses() {
	refused invalid_argument "$1" hib session create --agent echo --vm "$VM" \
		--config "{\"artifacts\":$2}"
}
ok "F181 what is no list of patterns is refused" refuses 5 '"out"'
ok "F181 nor is an empty one taken" refuses 5 '[""]'

ok "F181 and with everything off" eval 'kill_all; downloads; r=$?
	hib daemon start; (exit $r)'

done_testing
