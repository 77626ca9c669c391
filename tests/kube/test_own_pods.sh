#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pods of the agent's own node are known though they are in no release: what they say of themselves as clients counts. Those of
# other nodes are not, and where it may not be asked for them nothing is held up.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
for pod in gateway elsewhere; do pod_ns $pod; done
kube_namespace edge
gray='x-mse-tag: gray'
own() { source_says '[.watches[] | select(.fields == "spec.nodeName=here") | .objects]' | tr -d ' \n'; }
holds() { [ "$(own)" = "$1" ]; }
# client_pod NAME NODE
client_pod() {
	kapi POST /api/v1/namespaces/edge/pods "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"$1\",
		\"annotations\":{\"laneway.io/keep-out\":\"true\"}},
		\"spec\":{\"nodeName\":\"$2\",\"containers\":[{\"name\":\"main\",\"image\":\"example.org/x\"}]}}" >/dev/null
	KUBE_NS=edge kube_pod_status "$1" "${POD_IP[$1]}" True
}
client_pod gateway here
client_pod elsewhere there
kube_release
kube_agent_start --node here
lane_opens
expect_eq "pods of this node" "[1]" "$(own)"
expect_like "kept out, as it says" 'b1\[*' "$(who gateway "$B1/id" -H "$gray")"
expect_like "of another node: nobody asks" 'c1gray\[*' "$(who elsewhere "$B1/id" -H "$gray")"
expect_like "others" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"

say "what it says changes, it goes, another one comes"
k -n edge annotate --overwrite pod gateway laneway.io/keep-out=false >/dev/null
steered() { [[ "$(who "$1" "$B1/id" -H "$gray")" == c1gray* ]]; }
kept_out() { ! steered "$1"; }
until_ok 20 "it to be steered" steered gateway
k -n edge annotate --overwrite pod gateway laneway.io/keep-out=true >/dev/null
until_ok 20 "it to be kept out again" kept_out gateway
kapi DELETE "/api/v1/namespaces/edge/pods/gateway?gracePeriodSeconds=0" >/dev/null
until_ok 20 "it to be gone" holds "[0]"
until_ok 20 "its address to be anybody's" steered gateway
kube_release_end
lane_closes
expect_eq "between releases the watch stays" "[0]" "$(own)"
agent_stop

say "it may ask for the pods of one namespace only"
role_set "$(role_without pods)"
may_in_namespace pods
kube_release
kube_agent_start --node here
lane_opens 60
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H "$gray")"
until_ok 20 "it to say so" source_error_like '*not allowed to list pods*'
agent_stop
say ok
