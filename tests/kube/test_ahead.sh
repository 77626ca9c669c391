#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --enrol-ahead against a real API server: pods and Services of a Rollout are watched between releases, too, and a connection of
# before the release is steered in it.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_agent_start --enrol-ahead
until_ok 30 "the first complete list" steering
in_force() { lanes_say "any(.workloads[]; .name == \"default/Deployment/web\" and (.why | contains(\"enrolled ahead\")) and .pods.base == $1)"; }
until_ok 30 "the pods of a workload between releases" in_force 2
expect_eq "watches between releases" 8 "$(watches)"
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "between releases: tagged" '200 b1\[*' "$(hold_get 'x-mse-tag: gray' /id)"

kube_release
lane_opens
expect_like "the old connection: tagged" '200 c1gray\[*' "$(hold_get 'x-mse-tag: gray' /id)"
expect_like "the old connection: untagged" '200 b1\[*' "$(hold_get '' /id)"
expect_like "the old connection: entering" '200 c1gray\[*' "$(hold_get 'x-user: xiaoming' /id)"
expect_eq "watches in the release" 8 "$(watches)"

kube_release_end
lane_closes
expect_like "closed: tagged" '200 b1\[*' "$(hold_get 'x-mse-tag: gray' /id)"
hold_end

say "a Rollout that is refused its objects holds up no other, nor the start"
agent_stop
role_set "$(role_without services)"
kube_agent_start --enrol-ahead
until_ok 60 "an agent that steers by what it may see" steering
agent_stop
say ok
