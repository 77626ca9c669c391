#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which share of a lane's requests stays in the lane behind a program that knows nothing of it: caller -> the program, in a pod
# without a canary -> a service with one. For each program of `list` in turn, without and with a trace header that it forwards,
# by so many requests at once; half of them tagged, each with an identity that is followed to the last service and back.
# Without one the program is started anew for each cell (none: nothing is known of it yet), and again with RUNTIME_WARM_N
# untagged requests of that many at once before those that count (warm); then, with one, as it has been left (trace).
# Prints a table and writes it to $BUILD/runtimes.md and $BUILD/runtimes.json. Fails on a wrong or lost answer, on a program that
# does not start, and where an event loop or one that hands over has come to be trusted by its threads.
#
#   runtimes.sh [NAME PART]    only the programs whose name contains it; "=NAME" is just that one
#   RUNTIME_N (20000)          requests a cell
#   RUNTIME_LEVELS ("1 8 64")  requests at once
#   RUNTIME_HEADERS ("none warm trace")
#   RUNTIME_WARM_N (1000)      requests that warm up; one at a time prove nothing, and there is no such cell
#   RUNTIME_TRACE (traceparent)  which one: also b3, x-b3-traceid, sw8, uber-trace-id, x-request-id
#   RUNTIME_FORWARD (trace)    what the programs forward: none, trace, or tag. "tag" checks the set-up: all is right, at any level
#   RUNTIME_TARGETS=1          a cell that misses its target fails, too: see table.py
#   RUNTIME_AGENT              more options of the agent
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
N=${RUNTIME_N:-20000} SEED=${RUNTIME_SEED:-1} PROGRAM_FORWARD=${RUNTIME_FORWARD:-trace}
read -ra LEVELS <<<"${RUNTIME_LEVELS:-1 8 64}"
read -ra HEADERS <<<"${RUNTIME_HEADERS:-none warm trace}"
pick=${1:-}

mapfile -t LIST < <(awk -v pick="$pick" '/^#/ || !NF { next }
	pick ~ /^=/ ? "=" $1 == pick : index($1, pick) { print }' "$RUNTIMES/list")
[ ${#LIST[@]} -gt 0 ] || fail "no program's name contains '$pick': see tests/runtimes/list"
need python3 bpftool
AGENT_HAS=
runtimes_world ${RUNTIME_AGENT:-}
# agent_for NAME: with the option that this program is run with.
agent_for() {
	local wants=
	[[ $1 != *-pod ]] || wants=--pod-evidence
	[ "$wants" != "$AGENT_HAS" ] || return 0
	agent_stop
	agent_start ${RUNTIME_AGENT:-} $wants
	AGENT_HAS=$wants
}
RESULTS=$LWT_TMP/results
: >"$RESULTS"

stats() { lw stats -o json | jq -c .stats; }
status=0
# Processes of the program that are trusted to work on what their threads have read.
trusted() {
	pinned procs |
		jq '[.[].formatted | select(.value.proven >= 32 and .value.flags == 0) | .key.tid | tostring
			| select(. as $pid | $ARGS.positional | index($pid))] | length' --args $(program_pids)
}
# leaves_it: the program has done what was asked of it, and ends. Sets `status`.
leaves_it() {
	local n
	n=$(trusted)
	if [[ $model = loop || $model = handover ]] && [ "$n" != 0 ]; then
		say "FAIL: $name: $n of its processes came to be trusted by their threads"
		status=1
	fi
	if [ $bad = 1 ]; then
		status=1
		say "$name printed:"
		tail -n 5 "$LWT_TMP/$PROGRAM.log" | cut -c 1-300
	fi
	program_end
}
# starts_it: anew, if it is at work.
starts_it() {
	[ -z "$PROGRAM" ] || leaves_it
	bad=0
	program_start "$name" && return
	say "$name: did not start: $(tail -n 5 "$LWT_TMP/$PROGRAM.log")"
	status=1
	program_end
	return 1
}
for line in "${LIST[@]}"; do
	read -r name model what <<<"$line"
	agent_for "$name"
	for header in "${HEADERS[@]}"; do
		options=()
		[ "$header" != trace ] || options+=(--trace)
		[ "$header/$PROGRAM_FORWARD" != trace/trace ] || options+=(--passed)
		for level in "${LEVELS[@]}"; do
			[ "$header/$level" != warm/1 ] || continue
			[ "$header" = trace ] && [ -n "$PROGRAM" ] || starts_it || continue 3
			if [ "$header" = warm ]; then
				call --requests "${RUNTIME_WARM_N:-1000}" --connections "$level" --tagged 0 >/dev/null 2>"$LWT_TMP/caller.err" || bad=1
				head -n 25 "$LWT_TMP/caller.err" >&2
			fi
			SEED=$((SEED + 1))
			before=$(stats)
			got=$(call --requests "$N" --connections "$level" --seed "$SEED" "${options[@]}" 2>"$LWT_TMP/caller.err") || bad=1
			head -n 25 "$LWT_TMP/caller.err" >&2
			jq -cn --arg name "$name" --arg model "$model" --arg what "$what" --arg header "$header" --arg level "$level" \
				--argjson caller "${got:-null}" --argjson before "$before" --argjson after "$(stats)" '$ARGS.named' >>"$RESULTS"
			python3 "$RUNTIMES/table.py" line "$RESULTS"
		done
	done
	leaves_it
done

python3 "$RUNTIMES/table.py" table "$RESULTS" "$LWT_BUILD/runtimes" "$PROGRAM_FORWARD" || status=1
exit $status
