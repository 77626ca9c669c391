#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Base traffic with an agent: right, whole, and what is in no release is not touched at all.
. "$(dirname "$0")/lib.sh"
setup
two_pods
app other
pod o1 other base
put_app other 0
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "before the agent" "200 b1*" "$(hold_get '' /id)"
agent_start

expect_like "a connection older than the agent" "200 b1*" "$(hold_get '' /id)"
for i in 1 2 3; do
	expect_like "untagged to b1" 'b1\[*' "$(who client "$B1/id")"
	expect_like "untagged to b2" 'b2\[*' "$(who client "$B2/id")"
done
for path in size/300000 chunked/300000 close/300000; do
	want=$("$HOP" --pattern 300000 | sha256sum)
	expect_eq "$path" "$want" "$(sum client "$B1/$path")"
done
other=http://${POD_IP[o1]}:$LWT_PORT
expect_like "tagged, to a workload in no release" 'o1\[*' "$(who client "$other/id" -H 'x-mse-tag: gray')"
expect_eq "head at a workload in no release" "x-mse-tag: gray" \
	"$(req client -H 'x-mse-tag: gray' "$other/head" | tr -d '\r' | grep -i '^x-')"
hold_end
hold client "${POD_IP[o1]}" "$LWT_PORT"
hold_get '' /id >/dev/null
expect_eq "flows to a workload in no release" 0 \
	"$(lw flows -o json | jq --arg a "${POD_IP[o1]}:$LWT_PORT" '[.flows[] | select(.asked == $a)] | length')"
expect_eq "a base request's head is not touched" "" "$(req client "$B1/head" | grep -i x-mse-tag || true)"
say ok
