# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests/netns/test_propagation_*.sh share: callers beside one another, each with its figures, and what must be true of
# them. Source it after lib.sh. ATTACK picks cases by a word of their name. RUNTIME_TARGETS=1: where nothing that contradicts
# stands in the way, tagged requests must all stay in the lane.

# got FILE KEY
got() { jq -r ".$2" "$LWT_TMP/$1.json"; }
# asks WHO CALLER OPTIONS...: to its end; what it found goes to $LWT_TMP/WHO.json. begins WHO: in the background; ends WHO.
declare -A ASKING
begins() {
	call "${@:2}" >"$LWT_TMP/$1.json" 2>"$LWT_TMP/$1.err" &
	ASKING[$1]=$!
}
waits() { wait "${ASKING[$1]}" || true; }
ends() {
	local pid
	pid=$(in_pod caller ps -o pid= --ppid "${ASKING[$1]}" || true)
	# shellcheck disable=SC2086
	kill -TERM ${pid:-"${ASKING[$1]}"} 2>/dev/null || true
	waits "$1"
}
asks() {
	begins "$@"
	waits "$1"
}
# The program's own words behind a failure.
bad() { fail "$1; the program says: $(tail -n 3 "$LWT_TMP/$PROGRAM.log")"; }
# unharmed WHAT WHO: nothing of it is wrong or lost. never_wrong: it may have lost some.
never_wrong() {
	[ -s "$LWT_TMP/$2.json" ] || fail "$1: $(cat "$LWT_TMP/$2.err")"
	[ "$(got "$2" wrong)" = 0 ] || bad "$1: $2 has $(got "$2" wrong) wrong answers: $(grep -m 3 '^wrong' "$LWT_TMP/$2.err")"
}
unharmed() {
	never_wrong "$@"
	[ "$(got "$2" requests)" -gt 0 ] || fail "$1: $2 asked nothing"
	[ "$(got "$2" lost)" = 0 ] || bad "$1: $2 lost $(got "$2" lost) answers: $(grep -m 3 '^lost' "$LWT_TMP/$2.err")"
}
# told WHAT WHO...: figures
told() {
	local who line="$1:"
	for who in "${@:2}"; do
		line+=" $(jq -r --arg who "$who" '"\($who) \(.requests) asked, \(.tagged) tagged, \(.kept) kept, \(.wrong) wrong, \(.lost) lost\(
			if .abandoned > 0 then ", \(.abandoned) abandoned" else "" end);"' "$LWT_TMP/$who.json")"
	done
	say "${line%;}"
}
keeps_all() {
	[ "${RUNTIME_TARGETS:-0}" != 1 ] || [ "$(got "$2" kept)" = "$(got "$2" tagged)" ] ||
		fail "$1: the lane kept $(got "$2" kept) of $(got "$2" tagged) requests"
}
case_wanted() { [ -z "${ATTACK:-}" ] || [[ $1 == *"$ATTACK"* ]]; }
# middle NAME [OPTIONS OF thread]: the program of the next case
middle() {
	[ -z "$PROGRAM" ] || program_end
	if [ $# = 1 ]; then
		program_start "$1" || fail "$1 did not start: $(cat "$LWT_TMP/$PROGRAM.log")"
	else
		program_pod "$1" "$LWT_BUILD/tests/thread" "${@:2}" || fail "$1 did not start: $(cat "$LWT_TMP/$PROGRAM.log")"
	fi
}
