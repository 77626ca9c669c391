#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# laneway explain beside what really happens: trace ids that have arrived at a pod, and what its processes are at work on.
. "$(dirname "$0")/lib.sh"
setup
need python3 jq
two_pods
pod_ns traced
serve traced --name traced --next "${POD_IP[b1]}:$LWT_PORT" --forward x-none --forward traceparent
pod_ns m
exec_pod m python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/m.log" &
POD_PID[m]=$!
wait_port m "$LWT_PORT"
agent_start
T=http://${POD_IP[traced]}:$LWT_PORT M=http://${POD_IP[m]}:$LWT_PORT
gray='x-mse-tag: gray'
# explain POD [OPTIONS]: in $LWT_TMP/json and $LWT_TMP/text, what would be decided for a request of its to b1.
explain() {
	local to=${POD_IP[b1]}:$LWT_PORT from=${POD_IP[$1]}
	shift
	lw explain --from "$from" --to "$to" -o json "$@" >"$LWT_TMP/json"
	lw explain --from "$from" --to "$to" "$@" >"$LWT_TMP/text"
}
said() { jq -r "$1" "$LWT_TMP/json"; }
# says WHAT LANE EVIDENCE REASON STATE-OF-THE-TRACE
says() {
	expect_eq "$1" "$2 $3 $4 $5" "$(said '"\(.lane) \(.evidence) \(.reason) \(.learned.traces[0].state // "-")"')"
}
# route URL CURL-OPTIONS...: the pods an answer went through.
route() { req client "$@" | names_only; }

# The trace id: not yet here, of the lane, of base, of both, of another pod.
explain traced -H "$(traceparent 1)"
says "an id that has not arrived" base none ok not-held
expect_eq "threads and processes may say more" true "$(said .learned.run_time)"
expect_like "in words" "*trace id \"0*1\" of traceparent: no request with it is known to have arrived*lane * base (evidence: none), unless *" \
	"$(cat "$LWT_TMP/text")"
expect_eq "tagged" 'traced -> c1gray' "$(route "$T/" -H "$gray" -H "$(traceparent 1)")"
explain traced -H "$(traceparent 1)"
says "an id of the lane" gray trace ok lane
expect_eq "of which" "traceparent $(traceparent 1 | cut -d- -f2) gray false" \
	"$(said '.learned | "\(.traces[0].header) \(.traces[0].id) \(.traces[0].lane) \(.run_time)"')"
expect_eq "by which header" traceparent "$(said .header)"
expect_eq "where to" default/c1 "$(said '.endpoints[0].pod')"
expect_like "in words" "*has arrived at the client with requests of lane gray*the trace (traceparent) decides: lane gray*lane * gray (evidence: trace (traceparent))"$'\n'"*" \
	"$(cat "$LWT_TMP/text")"
explain m -H "$(traceparent 1)"
says "at another pod" base none ok not-held
expect_like "untagged" 'traced -> b[12]' "$(route "$T/" -H "$(traceparent 2)")"
explain traced -H "$(traceparent 2)"
says "an id of base" base none ok base
explain traced -H "$(traceparent 2)" -H 'x-user: xiaoming'
says "an id of base, and a rule holds" gray entry ok base
expect_like "untagged, with the lane's id" 'traced -> b[12]' "$(route "$T/" -H "$(traceparent 1)")"
explain traced -H "$(traceparent 1)"
says "an id of both" base ambiguous trace-reused several
explain traced -H "$(traceparent 1)" -H "$gray"
says "the tag is stronger" gray tag ok several
explain c1 -H "$(traceparent 1)"
says "a pod in the lane" gray pod ok not-asked

# What processes are at work on.
explain m
expect_eq "nobody is at work" 0 "$(said .learned.work_total)"
expect_like "in words" "*before the rules: what the sending thread*no process at the client's address is at work*" "$(cat "$LWT_TMP/text")"
# park NAME [HEADER]: a request that m reads and keeps.
park() {
	req client ${2:+-H "$2"} "$M/park/$1" >"$LWT_TMP/$1" &
	until_ok 15 "m to have read $1" at_work "$3"
}
at_work() {
	explain m
	[ "$(said "[.learned.work[] | select(.pid == ${POD_PID[m]})][0] | .lanes.gray // 0, .lanes.base // 0" | paste -sd ' ')" = "$1" ]
}
park a "$gray" "1 0"
expect_like "in words" "*python3*\[${POD_PID[m]}\] is at work on 1: 1 gray"$'\n'"*" "$(cat "$LWT_TMP/text")"
expect_eq "nobody else's" 1 "$(said .learned.work_total)"
park b "" "1 1"
expect_like "in words" "*\[${POD_PID[m]}\] is at work on 2: 1 base, 1 gray; its threads have not yet shown *" "$(cat "$LWT_TMP/text")"
explain traced
expect_eq "another pod's" 0 "$(said .learned.work_total)"
for i in a b; do
	req client "$M/go/$i" >/dev/null
	until_ok 20 "the answer to $i" test -s "$LWT_TMP/$i"
done
until_ok 15 "m to be at rest" at_work "0 0"
expect_eq "nobody is at work" 0 "$(said .learned.work_total)"

# Who asks. Pods of the host network share the node's address.
explain c1
expect_eq "a canary" "default/c1 gray false" "$(said '.client | "\(.pod) \(.lane) \(.host_network)"')"
lw explain --from 127.0.0.1 --to "${POD_IP[b1]}:$LWT_PORT" -o json >"$LWT_TMP/json"
expect_eq "the node" " base true" "$(said '.client | "\(.pod) \(.lane) \(.host_network)"')"
expect_like "in words" "client 127.0.0.1 is this node: *" "$(said '.trace | map(select(startswith("client")))[0]')"
lw explain --from 127.0.0.1 --to 203.0.113.9:80 -o json >"$LWT_TMP/json" || true
expect_eq "what is left alone" "false  " "$(said '"\(.known) \(.evidence) \(.reason)"')"

# Where nothing is learned it says so.
agent_stop
agent_start --no-inbound
explain traced -H "$(traceparent 1)"
says "--no-inbound" base none ok not-asked
expect_eq "nothing at run time" false "$(said .learned.run_time)"
expect_like "in words" "*not looked up, as requests that arrive at pods are not read (no lane is open, or --no-inbound)*" \
	"$(cat "$LWT_TMP/text")"
say ok
