#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A service that passes lanes on, in a namespace without a release, with an API server as the source: its Service is known by its
# label all the time, its pods while there is a release.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
app second
pod_ns second
serve second --name second --next "${POD_IP[b1]}:$LWT_PORT" --forward x-none
pod_ns first
kube_namespace edge
KUBE_NS=edge
kube_service second "${APP_VIP[second]}" 80 "$LWT_PORT" second
kube_pod second second second "${POD_IP[second]}"
KUBE_NS=default
F=http://${POD_IP[first]}:$LWT_PORT gray='x-mse-tag: gray'
# Connections of before are not enrolled: the service in front begins anew.
first() {
	[ -z "${POD_PID[first]:-}" ] || stop_pid "${POD_PID[first]}"
	serve first --name first --next "${POD_IP[second]}:$LWT_PORT" --forward x-none
}
route() { req client "$F/" "$@" | names_only; }
label() { k -n edge label --overwrite service second "$1" >/dev/null; }
services=laneway.io/passes-lanes=true

first
kube_agent_start
until_ok 30 "the first complete list" steering
expect_eq "Services that pass lanes on" "[0]" "$(watched $services)"
label laneway.io/passes-lanes=true
until_ok 20 "the Service" watch_holds $services "[1]"
expect_eq "watches of its pods without a release" "[]" "$(watched app=second)"

kube_release
lane_opens
# its pods are there as soon as the lane is
expect_eq "its pods in a release" "[1]" "$(watched app=second)"
for i in 1 2 3; do
	first
	expect_eq "two in a row ($i)" 'first -> second -> c1gray' "$(route -H "$gray")"
	expect_like "two in a row, untagged ($i)" 'first -> second -> b[12]' "$(route)"
done

say "the label is changed"
label laneway.io/passes-lanes=false
until_ok 20 "the Service to go" watch_holds $services "[0]"
first
expect_like "no longer told" 'first -> second -> b[12]' "$(route -H "$gray")"
label laneway.io/passes-lanes=true
until_ok 20 "the Service" watch_holds $services "[1]"
until_ok 20 "its pods" watch_holds app=second "[1]"
first
expect_eq "told again" 'first -> second -> c1gray' "$(route -H "$gray")"

say "the release is over"
kube_release_end
lane_closes
until_ok 45 "the watch of its pods to be closed" watch_holds app=second "[]"
expect_eq "Services that pass lanes on" "[1]" "$(watched $services)"
agent_stop

say "refused: the release is steered without it, and status says why"
# in one namespace all as before, over all of them no Services
role_set "$(role_without services)"
may_in_namespace services
kube_release
kube_agent_start
lane_opens
expect_like "status" '*not allowed to list services*' "$(lw status)"
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
expect_like "untagged" 'b1\[*' "$(who client "$B1/id")"
agent_stop
say ok
