#!/bin/sh
# Reading with everything dead: nothing is started, nothing is changed, nothing
# is made up.
# shellcheck disable=SC2016,SC2119 # $ is for jq; new_vm takes no options
. tests/lib.sh

new_vm
new_session --title 'to be read'
first=$SES
prompt "$first" '!say one;;!tool t1 Edit edit;;!plan a|b;;!say two' >"$tmp/x"
says "$first" three three >"$tmp/x"
new_session
lost=$SES

# --- the same online and offline ----------------------------------------------------

# every_view FOLDER - all that can be read of the first session.
every_view() {
	mkdir "$1"
	hib session get "$first" --json >"$1/get" &&
		hib session get "$first" >"$1/get.text" &&
		hib session turns "$first" --json >"$1/turns" &&
		hib session requests "$first" --json >"$1/requests" &&
		hib session stats "$first" --json >"$1/stats" &&
		hib log "$first" --json >"$1/log" &&
		hib log "$first" >"$1/log.text" &&
		hib log "$first" --raw >"$1/raw" &&
		hib log "$first" --view messages >"$1/view.messages" &&
		hib log "$first" --view tools >"$1/view.tools" &&
		hib log "$first" --types 'turn.*' >"$1/types" &&
		hib messages "$first" >"$1/messages.text" &&
		hib messages "$first" --json >"$1/messages" &&
		hib export "$first" >"$1/export" &&
		hib session list --vm "$VM" --json >"$1/list" &&
		hib vm list --json >"$1/vms"
}

hib vm sleep "$VM"
every_view "$tmp/online"
kill_hibd KILL
ok "F252 every view is there with hibd and VM dead" every_view "$tmp/offline"
ok "F253 and equal to what it was online" diff -r "$tmp/online" "$tmp/offline"
http_agrees() {
	hib daemon start && http GET "/v1/sessions/$first/messages" |
		jq -cS . >"$tmp/a" && jq -cS . "$tmp/offline/messages" |
		cmp - "$tmp/a" && http GET "/v1/sessions/$first/export" |
		cmp - "$tmp/offline/export" && kill_hibd KILL
}
ok "F253 HTTP says the same" http_agrees

# --- everything dies in the middle of a turn -------------------------------------------

# hibd first: what the guest goes on to write, the host does not have.
prompt_bg "$lost" '!flood 3000 100;;!await /workspace/go;;!flood 3000 100;;!hang'
wait_for "$lost" 'i=3000 ' 10 >"$tmp/x"
kill_hibd KILL
known=$(last_seq "$lost")
: >"$HIB_HOME/vms/$VM/disk/vfs/upper/go"
guest=$(guest_pid "$VM")
until_true 60 eval '[ "$(sqlite3 -readonly "$HIB_HOME/vms/$VM/disk/state/guest.db" \
	"SELECT last_seq FROM session WHERE id = '"'$lost'"'")" -gt $((known + 2900)) ]'
kill_vm "$VM"

sums() {
	(cd "$HIB_HOME" && sha256sum hib.db hib.db-wal)
}
f252_unchanged() {
	sums >"$tmp/sums" && cat "$tmp/sums" &&
		every_view "$tmp/dead" && log_json "$lost" >"$tmp/lost" &&
		hib store check && hib session list && sums | cmp - "$tmp/sums"
}
ok "F252 reading leaves the files byte-equal after a crash" f252_unchanged
f252_nothing_started() {
	not alive "$(hibd_pid)" && not alive "$guest"
}
ok "F252 and starts nothing" f252_nothing_started
f252_read_only() {
	chmod 500 "$HIB_HOME" && chmod 400 "$HIB_HOME"/hib.db* &&
		holds "$first" 'length > 20'
	result=$?
	chmod 700 "$HIB_HOME" && chmod 600 "$HIB_HOME"/hib.db*
	return "$result"
}
ok "F252 files that may only be read are read" f252_read_only

f129_list() {
	hib session list --json | jq -e --argjson n "$(wc -l <"$tmp/lost")" \
		"length == 2 and all(.state != null and .last_seq > 0) and
		any(.id == \"$lost\" and .last_seq == \$n)"
}
ok "F129 the list has all sessions with state and last number" f129_list

f254_said() {
	hib session get "$lost" --json | jq -e '.tail_complete == false' &&
		hib session get "$first" --json | jq -e .id &&
		hib log "$lost" --json | tail -n 1 |
		jq -e ".seq == $known and .type == \"acp.update\"" &&
		hib log "$lost" --json | jq -se 'any(.type == "turn.completed" or
			.type == "turn.interrupted") | not'
}
ok "F254 an incomplete tail is said and no end is made up" f254_said
f254_in_words() {
	(hib log "$lost"; hib messages "$lost") 2>&1 | grep -qi \
		-e incomplete -e 'not complete' -e 'known to' -e 'tail'
}
ok "F254 people are told too" f254_in_words
f254_comes_back() {
	hib vm wake "$VM" && wait_for_event "$lost" turn.interrupted 5 &&
		log_json "$lost" >"$tmp/found" &&
		head -c "$(wc -c <"$tmp/lost")" "$tmp/found" |
		cmp - "$tmp/lost" && [ "$(wc -l <"$tmp/found")" -gt \
		$((known + 2900)) ] && numbers_are_whole && hib vm sleep "$VM" &&
		hib session get "$lost" --json | jq -e '.tail_complete == true'
}
ok "F254 what was missing comes with the next boot" f254_comes_back

# --- without the VM's disk ---------------------------------------------------------------

f128_disk_gone() {
	log_json "$first" >"$tmp/with" && mv "$HIB_HOME/vms/$VM/disk" \
		"$tmp/disk" && log_json "$first" | cmp - "$tmp/with" &&
		http GET "/v1/sessions/$first/export" | tail -n +2 |
		cmp - "$tmp/with"
	result=$?
	mv "$tmp/disk" "$HIB_HOME/vms/$VM/disk"
	return "$result"
}
ok "F128 a log outlives its VM's disk" f128_disk_gone
f128_vm_destroyed() {
	hib vm destroy "$VM" &&
		until_true 10 not [ -e "$HIB_HOME/vms/$VM" ] &&
		state_is "$first" closed && log_json "$first" |
		head -c "$(wc -c <"$tmp/with")" | cmp - "$tmp/with" &&
		not grep -q "$VM" "$HIB_HOME"/vms/*/machine.json
}
ok "F128 and the VM itself" f128_vm_destroyed

f256_damage() {
	kill_hibd TERM
	cp -r "$HIB_HOME" "$tmp/damaged"
	HIB_HOME=$tmp/damaged
	sqlite3 "$HIB_HOME/hib.db" "DROP TRIGGER event_frozen; UPDATE event
		SET data = replace(data, 'three', 'threw') WHERE session_n =
		(SELECT n FROM session WHERE id = '$first')"
	exits 2 hib store check >"$tmp/check" && cat "$tmp/check" &&
		grep -q "$first" "$tmp/check" && not grep -q "$lost" \
		"$tmp/check" && holds "$lost" 'length > 100'
	result=$?
	HIB_HOME=$tmp/home
	return "$result"
}
ok "F256 damage is reported with the session it touches" f256_damage

f252_no_store() {
	HIB_HOME=$tmp/empty
	mkdir -m 700 "$HIB_HOME"
	equal "$(hib session list --json)" '[]' && refused session_not_found 6 \
		hib log "$first" && not [ -e "$HIB_HOME/hib.db" ] &&
		not [ -e "$HIB_HOME/hibd.pid" ]
	result=$?
	HIB_HOME=$tmp/home
	return "$result"
}
ok "F252 an empty home reads as empty and stays so" f252_no_store

done_testing
