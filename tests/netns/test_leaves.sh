#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pods that call nothing in release are left alone: what arrives there is not read. Their first call ends that and is base; what is
# sent for a request that was at work then is never in the lane, and as soon as that is answered all is as with any pod.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tasks.sh"
. "$(dirname "$0")/fill.sh"
setup
two_pods
AFTER=20
left_alone() { lw status -o json | jq .left_alone; }
# answers NAME [N]: so many requests, on one connection, that it answers by itself.
answers() { req client "$(url "$1" "/go/none?[1-${2:-$((AFTER + 5))}]")" >/dev/null; }
cookie() { in_pod "$1" python3 -c 'import socket; print(int.from_bytes(socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8), "little"))'; }
# leaf NAME FIELD: of its row; -1: none.
leaf() { pinned leaves | jq --argjson c "$(cookie "$1")" --arg f "$2" '[.[].formatted | select(.key == $c) | .value[$f]][0] // -1'; }
leaf_is() { [ "$(leaf "$1" "$2")" = "$3" ]; }
is_alone() { leaf_is "$1" state 1; }
# A connection, as whose address a pod's is known.
connected() { exec_pod client bash -c "exec 3<>/dev/tcp/${POD_IP[$1]}/$LWT_PORT; exec sleep infinity" & }
# alone NAME: until it is left alone. What it answers before the agent's next look counts or not.
alone() {
	connected "$1"
	until_ok 15 "$1 to be left alone" answers_alone "$1"
}
answers_alone() {
	answers "$1"
	is_alone "$1"
}
tagged() { call "$1" /call "$gray"; }
# first NAME: its first call is base, and the ones behind it are as with any pod.
first() {
	local before
	before=$(counted first-call)
	expect_eq "$1: the first call" b1 "$(tagged "$1")"
	expect_eq "$1: as first-call" $((before + 1)) "$(counted first-call)"
	expect_eq "$1: it calls" 2 "$(leaf "$1" state)"
	expect_eq "$1: the next one" c1gray "$(tagged "$1")"
	expect_eq "$1: untagged" b1 "$(call "$1" /call)"
	expect_eq "$1: no other as first-call" $((before + 1)) "$(counted first-call)"
}
# waits NAME WHAT: a request that is read while the pod is left alone, and waits; counted there, and nowhere else.
waits() {
	local before
	before=$(leaf "$1" held)
	CALL_SECONDS=$((200 * LWT_SLOW)) call "$1" "/park/$2" "${3:-}" >"$LWT_TMP/$2" &
	until_ok 15 "$1 to have read $2" leaf_is "$1" held $((before + 1))
}
explained() { lw explain --from "${POD_IP[$1]}" --to "${POD_IP[b1]}:$LWT_PORT"; }
for m in m1 m2 m3 m4 m5; do middle $m; done
agent_start --leaf-after $AFTER

say "a pod that has called nothing"
expect_eq "at first" 0 "$(left_alone)"
alone m1
expect_eq "left alone" 1 "$(left_alone)"
lw status | grep -q '^left alone 1 pods' || fail "status does not say so: $(lw status)"
[[ $(explained m1) == *"called nothing in release"* ]] || fail "explain does not say so: $(explained m1)"
waits m1 a "$gray"
expect_eq "of no process" 0 "$(at_work m1)"
expect_eq "what was at work when it first called, itself" b1 "$(go m1 a)"
expect_eq "answered" 0 "$(leaf m1 held)"
expect_eq "it calls" 2 "$(leaf m1 state)"
expect_eq "left alone" 0 "$(left_alone)"
[[ $(explained m1) != *"called nothing in release"* ]] || fail "explain says so still: $(explained m1)"
expect_eq "tagged" c1gray "$(tagged m1)"
expect_eq "untagged" b1 "$(call m1 /call)"
alone m2
first m2

say "one that calls is not left alone, whatever it answers by itself afterwards"
answers m2 100
alone m3 # a look was taken since
expect_eq "it calls" 2 "$(leaf m2 state)"
expect_eq "tagged" c1gray "$(tagged m2)"

say "nor is one that has connected to a destination, and asked nothing there yet"
middle m0
exec_pod m0 bash -c "exec 3<>/dev/tcp/${POD_IP[b1]}/$LWT_PORT; echo >$LWT_TMP/pooled; exec sleep infinity" &
until_ok 15 "m0 to be connected" test -s "$LWT_TMP/pooled"
before=$(counted first-call)
answers m0 100
middle other
alone other
expect_eq "tagged" c1gray "$(tagged m0)"
expect_eq "none as first-call" "$before" "$(counted first-call)"

say "what was at work at the first call"
waits m3 b
sure_until=$(($(date +%s) + 58)) # LW_OLDER_SURE_NS, and less: behind that nobody waits for it (docs/propagation.md)
expect_eq "the first call, tagged" b1 "$(tagged m3)"
for i in 1 2 3; do
	expect_eq "tagged beside it ($i)" b1 "$(tagged m3)"
done
expect_eq "none ended twice" 1 "$(leaf m3 ends)"
park m3 d "$gray" # all of its process that was seen arriving is of the lane
own=$(go m3 b)
if [ "$(date +%s)" -lt "$sure_until" ]; then
	expect_eq "untagged, at its own call" b1 "$own"
else
	say "untagged, at its own call: not judged, as this machine took over 58 s"
fi
expect_eq "tagged, when that is answered" c1gray "$(go m3 d)"
until_ok 15 "nothing of before to be at work" leaf_is m3 held 0
expect_eq "tagged, behind it" c1gray "$(tagged m3)"
alone m4
hold client "${POD_IP[m4]}" $LWT_PORT
hold_send "none: x" /park/never
until_ok 15 "m4 to have read it" leaf_is m4 held 1
expect_eq "the first call" b1 "$(tagged m4)"
expect_eq "beside one that waits" b1 "$(tagged m4)"
req client "$(url m4 /go/never)" >/dev/null
hold_read >/dev/null
until_ok 15 "nothing of before to be at work" leaf_is m4 held 0
expect_eq "tagged" c1gray "$(tagged m4)"
say "the same connection, from before, and through, and after"
decided=$(evidence thread)
expect_like "tagged" "200 *" "$(hold_get "$gray" /call)"
expect_eq "by its thread" $((decided + 1)) "$(evidence thread)"
expect_like "untagged" "200 *" "$(hold_get "none: x" /call)"
expect_eq "not by its thread" $((decided + 1)) "$(evidence thread)"
# not by what was known of it before: numbers of bytes go round
openings=$(pinned config | jq '.[0].formatted.value.openings')
expect_eq "what is known of it is of after" $((openings + 1)) "$(pinned inbound |
	jq --argjson ip "[${POD_IP[m4]//./,}]" '[.[].formatted | select(.key.local.ip[12:] == $ip) | .value.opening] | max')"
hold_end

say "a process that serves two pods, and calls from the other"
pod_ns also
pod_ns two
ALSO=/run/netns/$(ns_of also) OUT=$LWT_TMP exec_pod two python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/two.log" &
POD_PID[two]=$! POD_PID[also]=$!
wait_port also "$LWT_PORT"
alone two
park also both "$gray"
expect_eq "untagged, read where nobody calls" b1 "$(call two /call)"
expect_eq "tagged, where it calls from" c1gray "$(go also both)"

say "another pod gets the address of one that is left alone"
alone m5
last=${POD_IP[m5]##*.}
stop_pid "${POD_PID[m5]}"
pod_ns_del m5
pod_ns m6 "$last"
OUT=$LWT_TMP exec_pod m6 python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>>"$LWT_TMP/m6.log" &
POD_PID[m6]=$!
wait_port m6 "$LWT_PORT"
before=$(counted first-call)
expect_eq "the first request that it gets" c1gray "$(tagged m6)"

say "another workload comes into release: whoever calls none of the others may call that one"
middle m7
middle m8
alone m7
app shop gray
pod s1 shop base
pod s2 shop canary
release_by_user shop
state_sync
expect_eq "left alone" 0 "$(left_alone)"
expect_eq "the first call" c1gray "$(tagged m7)"
expect_eq "none as first-call" "$before" "$(counted first-call)"

say "an agent follows another: who calls is known on, and nobody is left alone"
alone m8
agent_kill
agent_start --leaf-after $AFTER
expect_eq "left alone" 0 "$(left_alone)"
answers m2 100
alone m8
expect_eq "m2 calls" 2 "$(leaf m2 state)"
waits m8 c
agent_kill
agent_start --leaf-after $AFTER
expect_eq "nothing counted is left" 0 "$(leaf m8 held)"
expect_eq "left alone" 0 "$(left_alone)"
expect_like "what was at work" 'b1' "$(go m8 c)"

say "no room: pods are read like any"
middle m9
fills full leaves
answers m9
expect_eq "the first call" c1gray "$(tagged m9)"
say "rows of pods that are none any more make room, and those of others stay"
middle m11
alone m11
expect_eq "m2 calls" 2 "$(leaf m2 state)"
filled

say "no room for its address: likewise"
middle m12
fills full leaf_addrs
app store gray
pod t1 store base
pod t2 store canary
release_by_user store
state_sync
expect_eq "left alone" 0 "$(left_alone)"
connected m12
answers m12
alone m11 # which has a place; the agent's look had enough answers of both
expect_eq "not left alone" -1 "$(leaf m12 state)"
expect_eq "the first call" c1gray "$(tagged m12)"
filled
agent_stop

say "none is left alone with --leaf-after 0"
agent_start --leaf-after 0
middle m10
answers m10 100
expect_eq "the first call" c1gray "$(tagged m10)"
expect_eq "left alone" 0 "$(left_alone)"
say ok
