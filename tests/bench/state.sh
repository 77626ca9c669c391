#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long a step of one release takes until the kernel decides by it, in a cluster of STATE_WORKLOADS (1000) with
# STATE_PODS (10000), of which STATE_OPEN (50) are in release; over STATE_STEPS (40, at most 49). From when the agent has read the
# changed file, and from when the file was put there, as far as the log's own time tells (a tick of the kernel's); median and highest, in
# microseconds. Fails where the first's median is over 10 ms for 1,000 workloads (STATE_MOST_US), times LW_SLOW.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
need python3
STEPS=${STATE_STEPS:-40} OPEN=${STATE_OPEN:-50}

setup
python3 "$LWT_ROOT/tests/bench/state.py" "$LWT_STATE" "${STATE_WORKLOADS:-1000}" "${STATE_PODS:-10000}" "$OPEN"
agent_start
for i in $(seq 2 $((STEPS + 1))); do
	put=$(python3 "$LWT_ROOT/tests/bench/state.py" "$LWT_STATE" step $((i * 7 % OPEN)) $i)
	state_sync
	logged=$(stat -c %.9Y "$LWT_TMP/agent.log")
	echo $(((${logged/./} - put) / 1000)) >>"$LWT_TMP/whole"
done
median() {
	sort -n "$1" | awk -v what="$2" '{ v[NR] = $1 } END { printf "%d steps, from %s: median %d us, highest %d us\n", NR, what, v[int((NR + 1) / 2)], v[NR] }'
}
grep -o 'in force after [0-9]* us' "$LWT_TMP/agent.log" | awk '{ print $4 }' | tail -n "$STEPS" >"$LWT_TMP/read"
median "$LWT_TMP/read" "the file read"
median "$LWT_TMP/whole" "the file put there"
expect_eq "steps that came into force" "$STEPS" "$(wc -l <"$LWT_TMP/read")"
most=$((${STATE_MOST_US:-10000} * LWT_SLOW)) got=$(median "$LWT_TMP/read" "" | sed 's/.*median \([0-9]*\).*/\1/')
[ "$got" -le "$most" ] || fail "a step took $got us, more than $most"
