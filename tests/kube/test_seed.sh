#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The example's story with its own objects in a real API server: A -> B -> C, a canary of A and C, the rule at A. The
# Rollouts are written as v1beta1, since there is no conversion webhook here.
. "$(dirname "$0")/lib.sh"
SEED=$LWT_ROOT/tests/data/seed
LWT_PORT=20001
kube_setup
k apply --validate=false -f "$SEED/mse-demo.yaml" -f "$SEED/mse-ingress.yaml" >/dev/null
awk 'BEGIN { RS = "---\n" } /kind: TrafficRouting/' "$SEED/rollout.yaml" | apply
for x in a b c; do
	kube_rollout "rollout-$x" "spring-cloud-$x" mse-traffic
	kube_rollout_status "rollout-$x" Healthy Completed Completed "spring-cloud-$x" "spring-cloud-$x"
done
kube_routing_status mse-traffic Healthy ""

# server POD APP LANE [HOP OPTIONS]: the pod runs; the API server hears of it by kube_pod.
server() {
	local letter=${2^^}
	pod_ns "$1"
	serve "$1" --name "$letter" --color "$3" --forward x-mse-tag --idle 600 "${@:4}"
}
server c1 c ""
server b1 b "" --next "${POD_IP[c1]}:$LWT_PORT"
server a1 a "" --next "${POD_IP[b1]}:$LWT_PORT"
server a2 a "" --next "${POD_IP[b1]}:$LWT_PORT"
pod_ns client
for pod in a1 a2 b1 c1; do
	app=spring-cloud-${pod%?}
	kube_pod $pod "$app" "$app" "${POD_IP[$pod]}"
done
kube_agent_start --node node-1
until_ok 30 "the first complete list" steering
ask() { req client "$@" "http://${POD_IP[a1]}:$LWT_PORT/" | sed 's/\[[^]]*\]//g'; }
expect_eq "before the release" "A -> B -> C" "$(ask -H 'User-Agent: xiaoming')"

# A connection from before the release stays with its pod until it is closed.
quiet() {
	local pod
	for pod in a1 b1; do
		[ -z "$(in_pod $pod ss -Htn state established "( dport = :$LWT_PORT )")" ] || return 1
	done
}
until_ok 30 "connections from before the release to close" quiet

say "step by step: set up, canary pods made, paused in step 1"
kube_rollout_status rollout-a Progressing Initializing BeforeStepUpgrade spring-cloud-a spring-cloud-a
kube_rollout_status rollout-c Progressing Initializing BeforeStepUpgrade spring-cloud-c spring-cloud-c
kube_routing_status mse-traffic Progressing "rollout-a rollout-c"
for x in a c; do
	kube_rollout_status rollout-$x Progressing InRolling StepUpgrade spring-cloud-$x spring-cloud-$x
	kube_deployment spring-cloud-$x-x7k2q spring-cloud-$x 1 spring-cloud-$x
done
server a-gray a gray --next "${POD_IP[b1]}:$LWT_PORT"
server c-gray c gray
kube_pod a-gray spring-cloud-a spring-cloud-a-x7k2q "${POD_IP[a-gray]}" gray
kube_pod c-gray spring-cloud-c spring-cloud-c-x7k2q "${POD_IP[c-gray]}" gray
for x in a c; do
	kube_rollout_status rollout-$x Progressing InRolling StepPaused spring-cloud-$x spring-cloud-$x-x7k2q
done
both() { lanes_say '[.workloads[] | select(.route == "lane" and .pods.canary_ready == 1)] | length == 2'; }
until_ok 30 "both to be in the lane" both
expect_eq "xiaoming" "Agray -> B -> Cgray" "$(ask -H 'User-Agent: xiaoming')"
expect_eq "another" "A -> B -> C" "$(ask -H 'User-Agent: li')"
vip=$(k get service spring-cloud-a -o 'jsonpath={.spec.clusterIP}')
expect_eq "by the Service" "Agray -> B -> Cgray" \
	"$(req client -H 'User-Agent: xiaoming' "http://$vip:20001/" | sed 's/\[[^]]*\]//g')"

say "the rule is edited while the release goes on"
kapi PATCH "$ROUTINGS/mse-traffic" '{"spec":{"strategy":{"matches":[{"headers":[{"type":"RegularExpression","name":"User-Agent","value":"li.*"}]}]}}}' >/dev/null
edited() { [ "$(ask -H 'User-Agent: li')" = "Agray -> B -> Cgray" ]; }
until_ok 30 "the new rule" edited
expect_eq "the old one" "A -> B -> C" "$(ask -H 'User-Agent: xiaoming')"

say "rolled back"
for x in a c; do
	kube_rollout_status rollout-$x Progressing Cancelling StepPaused spring-cloud-$x spring-cloud-$x-x7k2q
done
kube_routing_status mse-traffic Finalizing ""
lane_closes
expect_eq "rolled back" "A -> B -> C" "$(ask -H 'User-Agent: li')"
for x in a c; do
	kube_rollout_status rollout-$x Healthy Completed Completed spring-cloud-$x spring-cloud-$x-x7k2q
	kapi DELETE "/api/v1/namespaces/default/pods/$x-gray?gracePeriodSeconds=0" >/dev/null
done
kube_routing_status mse-traffic Healthy ""
expect_eq "after the release" "A -> B -> C" "$(ask -H 'x-mse-tag: gray')"
agent_stop
say ok
