#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# laneway trace: one line a hop, several tracers with filters of their own, slow and killed ones, what is lost.
. "$(dirname "$0")/lib.sh"
need jq
setup
two_pods
agent_start
gray='x-mse-tag: gray'

# flag: lanes that the kernel is asked to tell of.
flag() { pinned config | jq '.[0].formatted.value.hop_lanes'; }
flag_is() { [ "$(flag)" = "$1" ]; }
# trace NAME OPTIONS...: in the background; returns once the kernel tells it of requests.
declare -A TRACER
trace() {
	local name=$1
	shift
	"$LANEWAY" trace --socket "$LWT_SOCKET" "$@" >"$LWT_TMP/$name.out" 2>"$LWT_TMP/$name.err" &
	TRACER[$name]=$!
	until_ok 15 "the tracer $name" begun "$name" "$@"
}
begun() { # its line is out with its titles; with -o json there is no such line, and it is asked of the agent
	[ -s "$LWT_TMP/$1.out" ] || { [[ " $* " == *" json "* ]] && [ "$(flag)" -gt 0 ]; }
}
lines() { wc -l <"$LWT_TMP/$1.out"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }
ends() { # NAME CODE
	local code=0
	wait "${TRACER[$1]}" || code=$?
	expect_eq "$1: exit code" "$2" "$code"
}

expect_eq "nobody traces" 0 "$(flag)"

# What a line says.
trace hops -o json --count 3
traceparent='traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
expect_like "a gray request" 'c1gray\[*' "$(who client "$B1/id?secret=1" -H "$gray" -H "$traceparent")"
expect_like "a base request" 'b1\[*' "$(who client "$B1/id")"
expect_like "entering" 'c1gray\[*' "$(who client "$B2/in" -H 'x-user: xiaoming' -H 'x-request-id: 0123456789')"
expect_like "a gray request" 'c1gray\[*' "$(who client "$C1/own" -H "$gray")"
ends hops 0
expect_eq "hops" 3 "$(lines hops)"
expect_eq "which header" "x-mse-tag  x-mse-tag" "$(jq -r 'select(.hop) | .hop.header' "$LWT_TMP/hops.out" | paste -sd ' ')"
jq -r '.hop | "\(.client | sub(":[0-9]+$"; "")) \(.asked) \(.workload) \(.pod) \(.endpoint) \(.lane) \(.evidence) \(.method) \(.path) \(.trace_header)=\(.trace_id)"' \
	"$LWT_TMP/hops.out" >"$LWT_TMP/got"
cat >"$LWT_TMP/want" <<END
${POD_IP[client]} ${POD_IP[b1]}:$LWT_PORT default/Deployment/web default/c1 ${POD_IP[c1]}:$LWT_PORT gray tag GET /id traceparent=4bf92f3577b34da6a3ce929d0e0e4736
${POD_IP[client]} ${POD_IP[b2]}:$LWT_PORT default/Deployment/web default/c1 ${POD_IP[c1]}:$LWT_PORT gray entry GET /in x-request-id=0123456789
${POD_IP[client]} ${POD_IP[c1]}:$LWT_PORT default/Deployment/web default/c1 ${POD_IP[c1]}:$LWT_PORT gray tag GET /own =
END
diff "$LWT_TMP/want" "$LWT_TMP/got" || fail "the hops differ"
at=$(jq -r 'select(.hop) | .hop.time' "$LWT_TMP/hops.out" | tail -n 1)
age=$(($(date +%s) - $(date -d "$at" +%s)))
[ "$age" -ge 0 ] && [ "$age" -le $((60 * LWT_SLOW)) ] || fail "the time $at is wrong"
expect_eq "what it lost" "laneway trace: 3 hops; lost: 0 to a full ring, 0 to a slow reader" "$(cat "$LWT_TMP/hops.err")"
until_ok 15 "the flag to be off" flag_is 0

# Several at once, each with its filter; a table.
trace gray --lane gray --workload web
expect_eq "gray alone" 2 "$(flag)"
trace base --lane base
expect_eq "base too" 3 "$(flag)"
trace both --lane gray --base --workload default/web
who client "$B1/1" -H "$gray" -H "$traceparent" >"$LWT_TMP/who"
who client "$B1/2" >"$LWT_TMP/who"
until_ok 15 "the hops" has_lines both 3
until_ok 15 "the hops" has_lines gray 2
until_ok 15 "the hops" has_lines base 2
expect_like "a table" "TIME*CLIENT*ASKED FOR*POD*LANE*EVIDENCE*REASON*TRACE*REQUEST" "$(sed -n 1p "$LWT_TMP/gray.out")"
expect_like "a line" "??:??:??.??? *${POD_IP[client]}:* default/c1 *gray *tag (x-mse-tag) * 4bf92f3577b34da6a3ce929d0e0e4736 * GET /1" "$(sed -n 2p "$LWT_TMP/gray.out")"
expect_like "a line" "* default/b1 *base *none *ok * - * GET /2" "$(sed -n 2p "$LWT_TMP/base.out")"
expect_eq "each its own" "2 2 3" "$(lines gray) $(lines base) $(lines both)"
# One that is killed, one that is asked to end, one whose reader goes away.
kill -9 "${TRACER[gray]}"
ends gray 137
kill -INT "${TRACER[base]}"
ends base 0
expect_like "at its end" "laneway trace: 1 hops; lost: 0 *" "$(cat "$LWT_TMP/base.err")"
expect_eq "the third goes on" 3 "$(flag)"
kill -TERM "${TRACER[both]}"
ends both 0
until_ok 15 "the flag to be off" flag_is 0
trace killed
kill -9 "${TRACER[killed]}"
ends killed 137
until_ok 15 "the flag to be off after a kill" flag_is 0

# Of one client, and of one trace.
pod_ns another
trace whose -o json --from "${POD_IP[another]}"
trace id -o json --base --trace-id 4bf92f3577b34da6a3ce929d0e0e4736
for ns in client another; do
	who $ns "$B1/$ns" -H "$gray" >"$LWT_TMP/who"
done
who client "$B1/traced" -H "$traceparent" >"$LWT_TMP/who"
until_ok 15 "the hops" has_lines whose 1
until_ok 15 "the hops" has_lines id 1
for name in whose id; do
	kill -INT "${TRACER[$name]}"
	ends $name 0
done
expect_eq "of one client" /another "$(jq -r 'select(.hop).hop.path' "$LWT_TMP/whose.out")"
expect_eq "of one trace" /traced "$(jq -r 'select(.hop).hop.path' "$LWT_TMP/id.out")"

# What a pod sends for a request is in its lane by the header with that one's trace id, not by the first that has any.
pod_ns traced
serve traced --name traced
trace which --lane gray
trace which-json -o json --lane gray
expect_like "for the pod" 'traced\[*' "$(who client "http://${POD_IP[traced]}:$LWT_PORT/" -H "$gray" -H 'x-request-id: 0123456789')"
expect_like "by the pod" 'c1gray\[*' "$(who traced "$B1/by" -H "$traceparent" -H 'x-request-id: 0123456789')"
until_ok 5 "the hop" has_lines which-json 1
until_ok 5 "the hop" has_lines which 2
expect_eq "which header" "trace x-request-id traceparent" \
	"$(jq -r 'select(.hop).hop | "\(.evidence) \(.header) \(.trace_header)"' "$LWT_TMP/which-json.out")"
expect_like "which header, in a table" "* gray *trace (x-request-id) *" "$(sed -n 2p "$LWT_TMP/which.out")"
for name in which which-json; do
	kill -INT "${TRACER[$name]}"
	ends $name 0
done

# One of four: of 1,000 in a row 250, give or take what chance never does.
trace sampled -o json --base --sample 4
req client -o /dev/null "$B1/id?[1-1000]"
trace mark --lane gray
who client "$B1/mark" -H "$gray" >"$LWT_TMP/who"
until_ok 15 "the hop behind them" has_lines mark 2
for name in mark sampled; do
	kill -INT "${TRACER[$name]}"
	ends $name 0
done
expect_like "a sample loses nothing" "laneway trace: * hops; lost: 0 to a full ring, 0 to a slow reader" "$(cat "$LWT_TMP/sampled.err")"
[ "$(lines sampled)" -ge 150 ] && [ "$(lines sampled)" -le 350 ] || fail "--sample 4 told of $(lines sampled) of 1,000"

# One that has been stopped holds nobody up, and is told what it has missed.
trace stopped -o json --base
kill -STOP "${TRACER[stopped]}"
req client -o /dev/null "$B1/id?[1-4000]"
who client "$B1/id" -H "$gray" >"$LWT_TMP/who"
expect_like "steered beside a stopped tracer" 'c1gray\[*' "$(cat "$LWT_TMP/who")"
expect_like "answered beside a stopped tracer" "*steering   yes*" "$(lw status)"
trace other --lane gray
who client "$B1/other" -H "$gray" >"$LWT_TMP/who"
until_ok 15 "a hop beside a stopped tracer" has_lines other 2
kill -INT "${TRACER[other]}"
ends other 0
kill -CONT "${TRACER[stopped]}"
kill -INT "${TRACER[stopped]}"
ends stopped 0
expect_like "what a stopped one lost" "laneway trace: * hops; lost: * to a full ring, [1-9]* to a slow reader" "$(cat "$LWT_TMP/stopped.err")"
shown=$(sed 's/.*trace: \([0-9]*\) hops.*/\1/' "$LWT_TMP/stopped.err")
lost=$(sed 's/.*lost: \([0-9]*\) to a full ring, \([0-9]*\) to .*/\1 + \2/' "$LWT_TMP/stopped.err")
expect_eq "shown and lost" 4002 "$((shown + lost))"

# Mistakes.
for wrong in '--lane blue' '--workload nginx' '--sample 0' '--from here' '--count none' 'gray'; do
	# shellcheck disable=SC2086
	! "$LANEWAY" trace --socket "$LWT_SOCKET" $wrong 2>"$LWT_TMP/err" || fail "$wrong was taken"
	expect_like "$wrong" "laneway trace: *" "$(head -n 1 "$LWT_TMP/err")"
done
expect_eq "after mistakes" 0 "$(flag)"

# The agent ends under it.
trace last
agent_stop
ends last 3
expect_like "the agent has ended" "*the agent has ended" "$(cat "$LWT_TMP/last.err")"
say ok
