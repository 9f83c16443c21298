#!/bin/sh
# A guest of an earlier time (old_guest/, played by fake/old_guest.c) under this
# hibd: a machine that was left running, or resumed, is served as ever.
# shellcheck disable=SC2119
. tests/lib.sh

HIB_LIBEXEC=$tmp/libexec
export HIB_LIBEXEC
chmod 755 "$tmp"

# with_guest RECORD - VMs that are made from here on have that one.
with_guest() {
	rm -rf "$HIB_LIBEXEC"
	mkdir -m 755 "$HIB_LIBEXEC"
	cp "$O"/libexec/* "$HIB_LIBEXEC"
	install -m 755 "$O/tests/fake/old_guest" "$HIB_LIBEXEC/hib-guest"
	install -m 644 "$1" "$HIB_LIBEXEC/old_guest.txt"
}

state() {
	cat "$HIB_HOME/vms/$VM/disk/state/old.$1"
}

# The host has every byte of its log, and has said so.
log_is_its() {
	log_json "$SES" >"$tmp/log" && state log >"$tmp/its" &&
		cmp "$tmp/log" "$tmp/its" &&
		equal "$(state acked)" "$(wc -l <"$tmp/its" | tr -d ' ')"
}

sleeps() {
	hib vm sleep "$VM" && equal "$(last_seq "$SES")" 21 &&
		state_is "$SES" suspended && log_is_its
}

# hibd comes back to one that runs.
met_again() {
	kill_hibd KILL
	hib daemon start && hib session update "$SES" --title Another
}

HIB_LIBEXEC=$O/libexec hib daemon start >/dev/null
if ! new_vm >"$tmp/new_vm" 2>&1; then
	skip_all "$(head -c 200 "$tmp/new_vm")"
fi
hib vm destroy --force "$VM"
kill_hibd TERM

with_guest tests/old_guest/v1.txt
ok "version 1: a VM is made" new_vm
ok "version 1: a session is made" new_session --title 'An old one' --tag a
ok "a prompt is answered" says "$SES" 'say something' 'say something'
ok "a new hibd goes on with it" met_again
ok "the VM sleeps" sleeps
ok "it wakes for a prompt" says "$SES" 'after the sleep' 'after the sleep'
not_paused() {
	refused capability_unsupported 5 hib vm suspend "$VM" &&
		refused capability_unsupported 5 hib snapshot create "$VM" &&
		state_is "$SES" idle
}
ok "it is not asked to pause, which it does not know" not_paused
ok "the session is closed" hib session close "$SES"
ok "it sleeps again" hib vm suspend --or-cold "$VM"
ok "the log is what the guest has said" log_is_its
hib vm destroy --force "$VM"

sed 's/"version":1,/"version":9,"min_version":8,/' tests/old_guest/v1.txt \
	>"$tmp/v9.txt"
with_guest "$tmp/v9.txt"
too_new() {
	refused 'capability_unsupported' 5 hib vm create &&
		grep -q 'hibd is too old for the guest' "$tmp/refused.err"
}
ok "one that is too new is refused, and the older side named" too_new
for vm in $(hib vm list --json | jq -r '.[].id'); do
	hib vm destroy --force "$vm"
done

done_testing
