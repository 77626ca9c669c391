#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long a step of one release takes until the kernel decides by it, in a cluster of STATE_WORKLOADS (1000) with
# STATE_PODS (10000), of which STATE_OPEN (50) are in release; over STATE_STEPS (40, at most 49). From when the agent has read the
# changed file; median and highest, in microseconds.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
need python3
STEPS=${STATE_STEPS:-40} OPEN=${STATE_OPEN:-50}

setup
python3 "$LWT_ROOT/tests/bench/state.py" "$LWT_STATE" "${STATE_WORKLOADS:-1000}" "${STATE_PODS:-10000}" "$OPEN"
agent_start
for i in $(seq 2 $((STEPS + 1))); do
	python3 "$LWT_ROOT/tests/bench/state.py" "$LWT_STATE" step $((i * 7 % OPEN)) $i
	state_sync
done
grep -o 'in force after [0-9]* us' "$LWT_TMP/agent.log" | awk '{ print $4 }' | tail -n "$STEPS" | sort -n |
	awk '{ v[NR] = $1 } END { printf "%d steps: median %d us, highest %d us\n", NR, v[int((NR + 1) / 2)], v[NR] }'
