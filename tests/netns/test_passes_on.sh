#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A service between two that knows nothing of lanes and forwards nothing: what it sends for a request of the lane is in the
# lane, by what it is at work on, or by the trace id where it hands one on.
. "$(dirname "$0")/lib.sh"
setup
need python3
two_pods
pod_ns mid
serve mid --name mid --next "${POD_IP[b1]}:$LWT_PORT" --forward x-none
pod_ns traced
serve traced --name traced --next "${POD_IP[b1]}:$LWT_PORT" --forward x-none --forward traceparent
agent_start
M=http://${POD_IP[mid]}:$LWT_PORT T=http://${POD_IP[traced]}:$LWT_PORT
gray='x-mse-tag: gray'
# route NS URL CURL-OPTIONS...: the pods an answer went through, "mid -> b1".
route() { req "$@" | names_only; }

expect_like "untagged" 'mid -> b[12]' "$(route client "$M/")"
expect_eq "tagged" 'mid -> c1gray' "$(route client "$M/" -H "$gray")"
expect_like "untagged after that" 'mid -> b[12]' "$(route client "$M/")"
for i in 1 2 3 4 5; do
	expect_eq "tagged, again ($i)" 'mid -> c1gray' "$(route client "$M/" -H "$gray")"
	expect_like "untagged, again ($i)" 'mid -> b[12]' "$(route client "$M/")"
done
# A head that comes in pieces, and one longer than a packet.
in_pod client python3 "$LWT_ROOT/tests/netns/clients/pieces.py" "${POD_IP[mid]}" "$LWT_PORT" >"$LWT_TMP/pieces"
expect_eq "heads in pieces" "mid -> c1gray mid -> b mid -> c1gray mid -> b" "$(paste -sd ' ' "$LWT_TMP/pieces")"
# A large body, and Expect: 100-continue.
head -c 300000 /dev/zero >"$LWT_TMP/body"
expect_eq "a large body" 'mid -> c1gray' "$(route client "$M/" -H "$gray" --data-binary "@$LWT_TMP/body")"
expect_eq "in chunks" 'mid -> c1gray' "$(route client "$M/" -H "$gray" -H 'Transfer-Encoding: chunked' --data-binary "@$LWT_TMP/body")"
expect_like "untagged after that" 'mid -> b[12]' "$(route client "$M/" --data-binary "@$LWT_TMP/body")"
# IPv6
expect_eq "tagged by IPv6" 'mid -> c1gray' "$(route client "http://[${POD_IP6[mid]}]:$LWT_PORT/" -H "$gray")"

# The trace id decides, whatever else the process is at work on.
for i in 1 2 3; do
	expect_eq "traced and tagged" 'traced -> c1gray' "$(route client "$T/" -H "$gray" -H "$(traceparent $i)")"
	expect_like "traced and untagged" 'traced -> b[12]' "$(route client "$T/" -H "$(traceparent 10$i)")"
done
[ "$(lw stats -o json | jq '[.. | objects | select(.evidence? == "trace") | .count] | add // 0')" = 3 ] ||
	fail "3 requests were known by their trace id: $(lw stats)"
expect_like "a base request with the trace id of one in the lane" 'traced -> b[12]' "$(route client "$T/" -H "$(traceparent 1)")"
[ "$(counted trace-reused)" = 1 ] || fail "trace-reused was not counted"

# Two such services in a row: the second one's has to be told, or nothing tags what is sent to it.
app second
pod second second base --next "${POD_IP[b1]}:$LWT_PORT" --forward x-none
put_app second 0
pod_ns first
serve first --name first --next "${POD_IP[second]}:$LWT_PORT" --forward x-none
F=http://${POD_IP[first]}:$LWT_PORT
state_sync
expect_like "a service in between that was not told" 'first -> second -> b[12]' "$(route client "$F/" -H "$gray")"
sed -i 's/^metadata: {name: second,/& labels: {laneway.io\/passes-lanes: "true"},/' "$LWT_STATE/svc-second.yaml"
state_sync
# the connection from before is not enrolled: the client of hop gives it up when it is closed
stop_pid "${POD_PID[first]}"
serve first --name first --next "${POD_IP[second]}:$LWT_PORT" --forward x-none
for i in 1 2 3; do
	expect_eq "two in a row ($i)" 'first -> second -> c1gray' "$(route client "$F/" -H "$gray")"
	expect_like "two in a row, untagged ($i)" 'first -> second -> b[12]' "$(route client "$F/")"
done

# Without it: as if nothing had been built.
agent_stop
agent_start --no-inbound
expect_like "tagged, --no-inbound" 'mid -> b[12]' "$(route client "$M/" -H "$gray")"
expect_like "traced, --no-inbound" 'traced -> b[12]' "$(route client "$T/" -H "$gray" -H "$(traceparent 7)")"
say ok
