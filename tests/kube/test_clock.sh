#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The node's clock jumps, hours ahead and back, in mid-release: watches go on, steps come, requests are steered all the while. Years ahead
# the API server's certificate is out of date: the last state stays, status says what is wrong, and with the clock right again all is well.
# The clock is the agent's alone, by libfaketime; timers go by the monotonic one, which does not jump.
. "$(dirname "$0")/lib.sh"
lib=$(echo /usr/lib/*/faketime/libfaketime.so.1)
[ -e "$lib" ] || skip "libfaketime is not installed"
kube_setup
kube_two_pods
CLOCK=$LWT_TMP/clock
echo "+0" >"$CLOCK"
LD_PRELOAD=$lib FAKETIME_TIMESTAMP_FILE=$CLOCK FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 kube_agent_start
until_ok 30 "the first complete list" steering
kube_release
lane_opens
load_start

# clock OFFSET: the agent's, in its log too.
clock() {
	printf '%s\n' "$1" >"$CLOCK.tmp"
	mv "$CLOCK.tmp" "$CLOCK"
}
# A base pod is not ready, and ready again: each is in force within seconds.
step() {
	kube_pod_status b2 "${POD_IP[b2]}" False
	until_ok 15 "$1: a base pod to be unready" b2_is false
	kube_pod_status b2 "${POD_IP[b2]}" True
	until_ok 15 "$1: it to be ready again" b2_is true
}
b2_is() { lw endpoints -o json | jq -e --argjson ready "$1" 'any(.endpoints[]; .pod == "default/b2" and .ready == $ready)'; }
step "before"
for offset in +2h -2h +36h +0; do
	clock "$offset"
	step "clock $offset"
	steering || fail "clock $offset: $(lw status)"
done

say "years ahead: the certificate is out of date"
clock +4000d
step "on the connections there are"
api_kill
api_start
until_ok 40 "what is wrong to be told" source_error_like "*certificate*"
expect_like "the last state" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
clock +0
until_ok 90 "the source to be well again" eval '[ -z "$(source_error)" ]'
step "right again"
load_end
agent_stop
say ok
