#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent's self-tests find on this kernel is what is expected of it: VM_MODE, with a | between several, or "any". The last line says what it is.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
need jq
setup
agent_start_any
jq -r '.selftests[] | "\(if .ok then "ok  " else "FAIL" end) \(.name): \(.detail)"' "$LWT_TMP/json"
mode=$(jq -r .mode "$LWT_TMP/json")
[ "${VM_MODE:-any}" = any ] || [[ "|$VM_MODE|" = *"|$mode|"* ]] || fail "the mode of $(uname -r): expected '$VM_MODE', got '$mode'"
selftests_are_quick
jq -r '"all in \(.selftests_us) us"' "$LWT_TMP/json"
echo "the agent's start: $AGENT_START_US us"
agent_stop
say "mode $mode"
