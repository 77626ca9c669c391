#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that are not believed, named by a label of pods that are in no release: known from the API server before anything is
# steered, while it is away, and in each step.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
pod_ns gateway
pod_ns later
gray='x-mse-tag: gray'
kube_namespace edge
KUBE_NS=edge
kube_pod gateway gateway gateway "${POD_IP[gateway]}"
forged() { who "$1" "$B1/id" -H "$gray"; }
seen() { req "$1" "$B1/head" -H "$gray" | tr -d '\r' | grep -i '^x-mse-tag' || true; }

say "nothing is steered until they are known"
whole=$(role)
role_set "$(role_without pods)"
may_in_namespace pods
KUBE_NS=default
kube_release
kube_agent_start --untrusted edge/app=gateway
refused() { source_error_like '*not allowed to list pods*edge*'; }
until_ok 30 "the refusal" refused
expect_like "a client that is believed" 'b1\[*' "$(forged client)"
role_set "$whole"
until_ok 60 "the first complete list" steering
expect_eq "the watch" "[1]" "$(watched app=gateway)"

expect_like "a forged tag" 'b1\[*' "$(forged gateway)"
expect_eq "what is left of it" "" "$(seen gateway)"
expect_like "the entry rule decides" 'c1gray\[*' "$(who gateway "$B1/id" -H 'x-user: xiaoming')"
expect_like "others are believed" 'c1gray\[*' "$(forged client)"

say "another pod of that label comes, one goes"
expect_like "not a gateway yet" 'c1gray\[*' "$(forged later)"
KUBE_NS=edge
kube_pod later gateway gateway "${POD_IP[later]}"
not_believed() { [[ "$(forged "$1")" == b1* ]]; }
believed() { [[ "$(forged "$1")" == c1gray* ]]; }
until_ok 20 "it to be known" not_believed later
k -n edge label --overwrite pod later app=other >/dev/null
until_ok 20 "it to be forgotten" believed later
expect_like "the first stays" 'b1\[*' "$(forged gateway)"

say "the API server is away"
api_kill
until_ok 30 "status to say that it is away" source_says '.connected | not'
expect_like "a forged tag" 'b1\[*' "$(forged gateway)"
expect_like "others are believed" 'c1gray\[*' "$(forged client)"
api_start
until_ok 120 "the watches" source_says 'all(.watches[]; .state == "watching" and .error == "")'
expect_like "back: a forged tag" 'b1\[*' "$(forged gateway)"

say "between releases the watch stays"
kube_release_end
lane_closes
expect_eq "the watch" "[1]" "$(watched app=gateway)"
kapi DELETE "/api/v1/namespaces/edge/pods/gateway?gracePeriodSeconds=0" >/dev/null
until_ok 20 "the pod to go" watch_holds app=gateway "[0]"
told() { [ "$(lw status -o json | jq -r '[.source.findings[] | select(.text == "--untrusted edge/app=gateway: no pod has this label")] | length')" = 1 ]; }
until_ok 20 "it to be told that nobody has this label now" told
agent_stop
say ok
