#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lanes a workload does not have, canaries that are not ready, and two lanes at once.
. "$(dirname "$0")/lib.sh"
setup
two_pods
app shop blue
pod s1 shop base
pod s2 shop canary
put_app shop 0
agent_start
S1=http://${POD_IP[s1]}:$LWT_PORT
gray='x-mse-tag: gray' blue='x-mse-tag: blue'

expect_like "a workload in no release" 's1\[*' "$(who client "$S1/id" -H "$gray")"
release shop shop <<-END
	matches:
	- headers:
	  - {name: x-user, value: xiaoming}
	requestHeaderModifier:
	  set:
	  - {name: x-mse-tag, value: blue}
END
state_sync
# Each lane at the workload that has it, and at the one that has not.
expect_like "gray at web" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
expect_like "blue at web" 'b1\[*' "$(who client "$B1/id" -H "$blue")"
expect_like "gray at shop" 's1\[*' "$(who client "$S1/id" -H "$gray")"
expect_like "blue at shop" 's2blue\[*' "$(who client "$S1/id" -H "$blue")"
expect_like "by rule at shop" 's2blue\[*' "$(who client "$S1/id" -H 'x-user: xiaoming')"
expect_eq "one connection, both tags" "s1 s2blue s1 s2blue" \
	"$(in_turn client "$S1/id" "$gray" "$blue" "" "$blue" | names_only | paste -sd ' ')"
expect_eq "a tag stays on where the lane has no pod" "gray" "$(req client -o /dev/null -w '%header{x-lane-seen}' -H "$gray" "$S1/id")"

POD_READY=False put_pod c1
state_sync
expect_like "the canary is not ready" 'b1\[*' "$(who client "$B1/id" -H "$gray")"
expect_like "the canary is not ready, untagged to it" 'b[12]\[*' "$(who client "$C1/id")"
put_pod c1
state_sync
expect_like "the canary is ready again" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
[ "$(counted no-endpoint)" -ge 1 ] || fail "no-endpoint was not counted"
say ok
