#!/bin/sh
# A VM that runs gets a newer guest daemon, and its agents go on.
# shellcheck disable=SC2119
. tests/lib.sh

HIB_LIBEXEC=$tmp/libexec
export HIB_LIBEXEC
chmod 755 "$tmp"
mkdir -m 755 "$HIB_LIBEXEC"
cp "$O"/libexec/* "$HIB_LIBEXEC"
version=$("$O/libexec/hib-guest" --version | sed 's/.* //')

# install_guest FILE - whoever starts a guest from now on gets that one.
install_guest() {
	install -m 755 "$1" "$HIB_LIBEXEC/new" &&
		mv "$HIB_LIBEXEC/new" "$HIB_LIBEXEC/hib-guest"
}

# A build of another version: the same program, that says so.
newer=$(echo "$version" | sed 's/.$/9/')
sed "s/$version/$newer/g" "$O/libexec/hib-guest" >"$tmp/newer"

new_vm
new_session
first=$SES
ok "an agent works" says "$first" 'remember me' 'remember me'
first_pid=$(prompt "$first" '!pid')
new_session
second=$SES
in_first=$(agent_pid "$first") in_second=$(agent_pid "$second")
guest=$(guest_pid "$VM")
seq_before=$(last_seq "$first")

upgraded() {
	install_guest "$tmp/newer" &&
		hib vm upgrade "$VM" --json >"$tmp/upgraded" &&
		jq -e --arg from "$version" --arg to "$newer" '.upgraded and
			.from == $from and .build == $to' "$tmp/upgraded"
}
ok "a VM that runs gets a newer guest" upgraded

same_processes() {
	equal "$(guest_pid "$VM")" "$guest" &&
		equal "$(agent_pid "$first")" "$in_first" &&
		equal "$(agent_pid "$second")" "$in_second" &&
		state_is "$first" idle && state_is "$second" idle
}
ok "it is the same process, with the same agents" same_processes
is "$(last_seq "$first")" "$seq_before" "the log says nothing of it"

go_on() {
	says "$first" 'and now' 'and now' &&
		equal "$(prompt "$first" '!pid')" "$first_pid" &&
		says "$second" hello hello && numbers_are_whole
}
ok "the next prompts are answered by them" go_on

no_zombies() {
	for _p in $(descendants "$guest"); do
		grep '^State:.*Z' "/proc/$_p/status" && return 1
	done
	return 0
}
ok "no child is left unburied" no_zombies

files() {
	in_vm "$first" 'echo one >/workspace/f' &&
		hib exec "$VM" -- cat /workspace/f | grep -q one &&
		hib session diffs "$first" | grep -q '^+one'
}
ok "files, programs and commits work as before" files

ends_are_noticed() {
	kill -9 "$in_second" && wait_for_event "$second" agent.exited &&
		state_is "$second" failed
}
ok "the end of an agent is noticed" ends_are_noticed

met_by_another_hibd() {
	kill_hibd KILL
	hib daemon start && says "$first" 'here still' 'here still' &&
		hib vm upgrade "$VM" && go_on_first
}
go_on_first() {
	equal "$(prompt "$first" '!pid')" "$first_pid"
}
ok "a new hibd finds it, and it can be replaced again" met_by_another_hibd

# --- refused ----------------------------------------------------------------

while_a_turn_runs() {
	prompt_bg "$first" '!sleep 60000' || return 1
	refused turn_active 7 hib vm upgrade "$VM" && hib cancel "$first" &&
		wait_turn "$first" "$TURN"
}
ok "not while a turn runs" while_a_turn_runs

while_a_program_runs() {
	"$O/bin/hib" exec "$VM" -- sh -c 'echo up; exec sleep 1000' \
		>"$tmp/exec" 2>&1 &
	_exec=$!
	read_line "$tmp/exec" 10 &&
		refused turn_active 7 hib vm upgrade "$VM"
	_result=$?
	stop "$_exec"
	return "$_result"
}
ok "nor while a program runs" while_a_program_runs

no_guest() {
	printf '#!/bin/sh\nexit 1\n' >"$tmp/no_guest"
	install_guest "$tmp/no_guest" &&
		until_true 10 refused capability_unsupported 5 \
			hib vm upgrade "$VM" && go_on_first
	_result=$?
	install_guest "$tmp/newer"
	[ "$_result" -eq 0 ] && hib vm upgrade "$VM" && go_on_first
}
ok "what cannot take over is not tried" no_guest

served_files() {
	mkdir "$tmp/files" && echo here >"$tmp/files/x" &&
		_vm=$(hib vm create --workspace "$tmp/files") &&
		_mode=$(jq -r .mode "$HIB_HOME/vms/$_vm/disk/vfs/state.json")
	if [ "$_mode" = overlay ]; then
		refused capability_unsupported 5 hib vm upgrade "$_vm"
	else
		hib vm upgrade "$_vm"
	fi && hib vm destroy --force "$_vm"
}
ok "nor a guest that serves the files itself" served_files

off() {
	hib vm sleep "$VM" && hib vm upgrade "$VM" --json |
		jq -e '.upgraded | not' && says "$first" awake awake
}
ok "one that is off boots with the newest in any case" off

done_testing
