# shellcheck shell=sh disable=SC2034,SC2154 # variables are of lib.sh, for the tests
# hostile.sh - VMs whose guest daemon is fake/hostile_guest.c
#
# Sourced after lib.sh, before hibd runs.

HIB_LIBEXEC=$tmp/libexec
export HIB_LIBEXEC
chmod 755 "$tmp"
mkdir -m 755 "$HIB_LIBEXEC" "$HIB_HOME/agents/hostile"
cp "$O"/libexec/* "$HIB_LIBEXEC"
mv "$HIB_LIBEXEC/hib-guest" "$HIB_LIBEXEC/hib-guest.true"
install -m 755 "$O/tests/fake/hostile_guest" "$HIB_LIBEXEC/hib-guest"

# hostile WORD [OPTION]... - begin to make a VM whose guest does that: its id is
# in BAD, the process in MAKING.
hostile() {
	word=$1 BAD=$(new_id vm)
	shift
	printf '%s' "$word" \
		>"$HIB_HOME/agents/hostile/vm-$(printf '%s' "$BAD" | tail -c 8)"
	hib vm create --id "$BAD" "$@" >"$tmp/made.$word" 2>&1 &
	MAKING=$!
}
