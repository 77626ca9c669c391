#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A release against a real API server, step by step as the controllers write it.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_agent_start
until_ok 30 "the first complete list" steering
expect_eq "watches between releases" 4 "$(watches)"
expect_like "between releases: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

kube_release
lane_opens
expect_eq "untagged, entering, tagged, untagged" "b1 c1gray c1gray b1" \
	"$(in_turn client "$B1/id" "" "x-user: xiaoming" "x-mse-tag: gray" "" | names_only | paste -sd ' ')"
expect_eq "watches in the release" 8 "$(watches)"

say "the canary becomes unready, and ready"
kube_pod_status c1 "${POD_IP[c1]}" False
until_ok 30 "no ready canary" lanes_say 'any(.workloads[]; .pods.canary_ready == 0)'
expect_like "unready: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
kube_pod_status c1 "${POD_IP[c1]}" True
until_ok 30 "a ready canary" lanes_say 'any(.workloads[]; .pods.canary_ready == 1)'
expect_like "ready: tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

kube_release_end
lane_closes
expect_like "closed: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
until_ok 45 "the watches of the release to be closed" source_says '[.watches[]] | length == 4'
agent_stop
say ok
