#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent's self-tests find on this kernel is what is expected of it: VM_MODE, or "any". The last line says what it is.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
need jq
setup
"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
	>>"$LWT_TMP/agent.log" 2>&1 &
AGENT_PID=$!
until_ok 20 "the agent's socket" agent_answers
lw status -o json >"$LWT_TMP/status" || true
jq -r '.selftests[] | "\(if .ok then "ok  " else "FAIL" end) \(.name): \(.detail)"' "$LWT_TMP/status"
mode=$(jq -r .mode "$LWT_TMP/status")
[ "${VM_MODE:-any}" = any ] || expect_eq "the mode of $(uname -r)" "$VM_MODE" "$mode"
agent_stop
say "mode $mode"
