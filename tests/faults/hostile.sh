#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile clients: smuggling, floods, slowloris, what is not HTTP. Every byte arrives at exactly one pod, in order; none of
# another client's; never in the wrong lane; and an honest client beside them loses nothing.
. "$(dirname "$0")/lib.sh"
world
here=$LWT_ROOT/tests/faults port=9000
mkdir "$LWT_TMP/got"
for pod in b1 b2 c1 c2; do
	exec_pod "$pod" python3 "$here/recorder.py" "$port" "$pod" "$LWT_TMP/got" &
	wait_port "$pod" "$port"
done
agent_start
rm -f "$LWT_TMP"/got/*

# an agent that gets no processor for a second is held for dead: then base answers, and that is counted
LOAD_PACE=20000 LOAD_TIMEOUT=60 load honest --may-fall-back
in_pod client1 python3 "$here/hostile.py" "${POD_IP[b1]}" "$port" "$LWT_TMP/got" "$LANEWAY" "$LWT_SOCKET" "$FAULT_SEED" >"$LWT_TMP/hostile" ||
	fail "hostile.py: $(tail -n 5 "$LWT_TMP/hostile")"
grep -v "^{" "$LWT_TMP/hostile" | head -n 40 || true
figures=$(tail -n 1 "$LWT_TMP/hostile")
load_end honest
result honest "an honest client beside hostile ones" "hostile: $(jq -r '"\(.sent) connections, \(.opaque) opaque, \(.lost) lost, \(.wrong) wrong"' <<<"$figures")"
judge honest 0 0
expect_most "honest: by base, beyond what no agent was there for" "$(($(counted agent-stale) + $(counted unreachable)))" "$(figure honest lane.fell_back)"
expect_eq "hostile: wrong" 0 "$(jq .wrong <<<"$figures")"
[ "$(jq .sent <<<"$figures")" -gt 300 ] || fail "the corpus was not sent"
agent_stop
say ok
