#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The HTTP clients people use, over pooled connections, both lanes mixed: curl, wrk, Python, Node, Java, Go.
. "$(dirname "$0")/lib.sh"
need python3 node java go wrk
setup
two_pods
agent_start
clients=$LWT_ROOT/tests/netns/clients N=60

# Each client alternates lanes on kept connections, checks lane, identity and body, and prints "ok N".
run() {
	local name=$1 got
	shift
	got=$(in_pod client env "GOCACHE=$LWT_TMP/go" GO111MODULE=off GOFLAGS= HOME="$LWT_TMP" "$@" 2>&1 | tail -n 5) ||
		fail "$name: $got"
	expect_eq "$name" "ok $N" "$got"
}
run python "$(python3 -c 'import sys; print(sys.executable)')" "$clients/client.py" "$B1" $N
run node node "$clients/client.mjs" "$B1" $N
kept=$(lw status -o json | jq .kept_out.fionread)
run java java "$clients/Client.java" "$B1" $N $([ "$kept" = false ] || echo kept)
[ "$kept" = false ] || [ "$(counted kept-fionread)" -gt 0 ] || fail "java asks FIONREAD, and was not kept out"
run go go run "$clients/client.go" "$B1" $N

in_pod client wrk -t 2 -c 32 -d 2s -s "$clients/lanes.lua" "$B1/id" >"$LWT_TMP/wrk" 2>&1 || fail "wrk: $(cat "$LWT_TMP/wrk")"
grep -E '^(ok|wrong|sent)' "$LWT_TMP/wrk"
grep -q '^ok: ' "$LWT_TMP/wrk" || fail "wrk: $(cat "$LWT_TMP/wrk")"
if grep -E 'Socket errors|Non-2xx' "$LWT_TMP/wrk"; then fail "wrk saw errors"; fi
say ok
