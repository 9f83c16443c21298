# shellcheck shell=sh disable=SC2154 # variables are of lib.sh
# figures.sh - What the timings that are shell scripts share
#
# Sourced after lib.sh.

# figure NAME VALUE BASELINE VALUE [BUDGET [UNIT]]
figure() {
	_unit=${6:-ms}
	printf '  %s: %s %s, %s: %s %s\n' "$1" "$2" "$_unit" "$3" "$4" "$_unit" >&2
	jq -n --arg name "$1" --argjson value "$2" --arg baseline "$3" \
		--argjson base "$4" --arg budget "$5" --arg unit "$_unit" '{name: $name,
		value: $value, unit: $unit, baseline: $baseline,
		baseline_value: $base,
		ratio: (if $base == 0 then null else $value / $base end),
		budget: (if $budget == "" then null else $budget end)}' \
		>>"$tmp/figures"
}

report() {
	if [ "$1" = --json ]; then
		jq -sc . "$tmp/figures"
		return
	fi
	echo '| what | measured | baseline | ratio | budget |'
	echo '|---|---|---|---|---|'
	jq -r 'def short: if . == null then "" else . * 100 | round / 100 end;
		"| \(.name) | \(.value | short) \(.unit) | \(.baseline): " +
		"\(.baseline_value | short) \(.unit) | \(.ratio | short) | " +
		"\(.budget // "") |"' "$tmp/figures"
}

die() {
	echo "bench: $1" >&2
	exit 1
}

do_in_vm() {
	in_vm "$SES" "$1" >"$tmp/done" || die "$1: $(tail -n 3 "$tmp/done")"
}
