#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --baggage: the lane goes on as a member of the W3C baggage, and comes back by it from a service that forwards nothing else.
. "$(dirname "$0")/lib.sh"
need jq
setup
two_pods
app mid gray
pod m1 mid base --next "${POD_IP[b1]}:$LWT_PORT" --forward baggage
pod m2 mid canary
put_app mid 0
agent_start --baggage
gray='x-mse-tag: gray'

seen() { req "$1" "${@:3}" "$2/head" | tr -d '\r' | tr -s ' ' | grep -i '^baggage' | sort | paste -sd '|' || true; }

expect_eq "tagged" "baggage: x-mse-tag=gray" "$(seen client "$B1" -H "$gray")"
expect_eq "entering" "baggage: x-mse-tag=gray" "$(seen client "$B1" -H 'x-user: xiaoming')"
expect_eq "at the canary itself" "baggage: x-mse-tag=gray" "$(seen client "$C1" -H "$gray")"
expect_eq "beside others" "baggage: a=1,b=2|baggage: x-mse-tag=gray" "$(seen client "$B1" -H "$gray" -H 'baggage: a=1,b=2')"
expect_eq "there already" "Baggage: a=1,x-mse-tag=gray" "$(seen client "$B1" -H 'Baggage: a=1,x-mse-tag=gray')"
expect_eq "an old one" "Baggage: a=1|baggage: x-mse-tag=gray" "$(seen client "$B1" -H "$gray" -H 'Baggage: a=1,x-mse-tag=old')"
expect_eq "malformed" "Baggage: a" "$(seen client "$B1" -H "$gray" -H 'Baggage: a')"
[ "$(counted baggage)" -ge 1 ] || fail "the malformed one was not counted"
expect_eq "base" "Baggage: a=1" "$(seen client "$B1" -H 'Baggage: a=1')"
expect_like "by the member alone" 'c1gray\[*' "$(who client "$B1/id" -H 'baggage: a=1,x-mse-tag=gray')"
lw explain --from "${POD_IP[client]}" --to "${POD_IP[b1]}:$LWT_PORT" -H 'baggage: x-mse-tag=gray' >"$LWT_TMP/explain"
expect_like "explain" "*a member of the baggage names lane gray*lane * gray (evidence: baggage)*" "$(cat "$LWT_TMP/explain")"

# mid has no canary that is ready, and forwards the baggage alone.
release_by_user mid
POD_READY=False put_pod m2
state_sync
M1=http://${POD_IP[m1]}:$LWT_PORT
expect_like "through one that forwards baggage" '*m1*c1gray*' "$(req client -H 'x-user: xiaoming' "$M1/")"
expect_like "base through it" '*m1*b1*' "$(req client "$M1/")"
[ "$(lw stats -o json | jq '[.stats[] | select(.evidence == "baggage" and .lane == "gray") | .count] | add')" -ge 1 ] || fail "no evidence by baggage"
# Of several lanes: the tag and the baggage contradict each other.
app shop blue
pod s1 shop base
pod s2 shop canary
put_app shop 0
release_by_user shop
state_sync
expect_like "no contradiction" 'c1gray\[*' "$(who client "$B1/id" -H "$gray" -H 'baggage: x-mse-tag=gray')"
expect_like "a contradiction" 'b1\[*' "$(who client "$B1/id" -H "$gray" -H 'baggage: x-mse-tag=blue')"
expect_like "a contradiction" 's1\[*' "$(who client "http://${POD_IP[s1]}:$LWT_PORT/id" -H "$gray" -H 'baggage: x-mse-tag=blue')"
expect_eq "ambiguous, by workload" "default/Deployment/shop 1 default/Deployment/web 1" \
	"$(lw stats -o json | jq -r '[.workloads[] | select(.evidence.ambiguous) | "\(.workload) \(.evidence.ambiguous)"] | sort | join(" ")')"
lw stats >"$LWT_TMP/stats"
expect_like "ambiguous, in words" "*WORKLOAD *REQUESTS *AMBIGUOUS*default/Deployment/shop *1*contradicting evidence: base*" "$(cat "$LWT_TMP/stats")"
say ok
