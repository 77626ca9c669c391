#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The example's story with its own objects in a real API server: A -> B -> C, a canary of A and C, the rule at A: by user, by weight, another
# version in mid-release, approved and finished, the next release rolled back; how long after each write requests go by it. The
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
ask() { req client "$@" "http://${POD_IP[a1]}:$LWT_PORT/" | names_only; }
expect_eq "before the release" "A -> B -> C" "$(ask -H 'User-Agent: xiaoming')"

# A connection from before the release stays with its pod until it is closed.
quiet() {
	local pod
	for pod in a1 a3 b1; do
		[ -z "${POD_IP[$pod]:-}" ] || [ -z "$(in_pod $pod ss -Htn state established "( dport = :$LWT_PORT )")" ] || return 1
	done
}
until_ok 30 "connections from before the release to close" quiet

# effect WHAT WANT COMMAND...: the way requests go after the write just answered, and for how long after that they went another.
effect() {
	local since=${EPOCHREALTIME/./} got
	until got=$("${@:3}") && [ "$got" = "$2" ]; do
		[ $((${EPOCHREALTIME/./} - since)) -lt $((30000000 * LWT_SLOW)) ] || fail "$1: expected '$2', got '$got'"
	done
	echo $(((${EPOCHREALTIME/./} - since) / 1000)) >>"$LWT_TMP/effects"
}
xiaoming() { ask -H 'User-Agent: xiaoming'; }
li() { ask -H 'User-Agent: li'; }
# strategy JSON: of the TrafficRouting, which Rollouts leaves alone.
strategy() { kapi PATCH "$ROUTINGS/mse-traffic" "{\"spec\":{\"strategy\":$1}}" >/dev/null; }
exactly='{"headers":[{"type":"Exact","name":"User-Agent","value":"xiaoming"}]}'

# canary_set_up STABLE: both are updated; canary_up A_GRAY: their canary pods are there; step 1 waits.
canary_set_up() {
	kube_rollout_status rollout-a Progressing Initializing BeforeStepUpgrade "$1" "$1"
	kube_rollout_status rollout-c Progressing Initializing BeforeStepUpgrade spring-cloud-c spring-cloud-c
	kube_routing_status mse-traffic Progressing "rollout-a rollout-c"
	kube_rollout_status rollout-a Progressing InRolling StepUpgrade "$1" "$1"
	kube_rollout_status rollout-c Progressing InRolling StepUpgrade spring-cloud-c spring-cloud-c
}
canary_up() {
	kube_deployment "spring-cloud-$1-$2" "spring-cloud-$1" 1 "spring-cloud-$1"
	server "$1-$2" "$1" "gray${3:-}" ${4:+--next "$4:$LWT_PORT"}
	kube_pod "$1-$2" "spring-cloud-$1" "spring-cloud-$1-$2" "${POD_IP[$1-$2]}" gray
}
# canary_away LETTER SUFFIX
canary_away() {
	kapi DELETE "/api/v1/namespaces/default/pods/$1-$2?gracePeriodSeconds=0" >/dev/null
	kapi DELETE "/apis/apps/v1/namespaces/default/deployments/spring-cloud-$1-$2" >/dev/null
	pod_ns_del "$1-$2"
}

say "step by step: set up, canary pods made, paused in step 1"
canary_set_up spring-cloud-a
canary_up a v2 "" "${POD_IP[b1]}"
canary_up c v2
kube_rollout_status rollout-a Progressing InRolling StepPaused spring-cloud-a spring-cloud-a-v2
kube_rollout_status rollout-c Progressing InRolling StepPaused spring-cloud-c spring-cloud-c-v2
effect "xiaoming" "Agray -> B -> Cgray" xiaoming
expect_eq "another" "A -> B -> C" "$(li)"
vip=$(k get service spring-cloud-a -o 'jsonpath={.spec.clusterIP}')
expect_eq "by the Service" "Agray -> B -> Cgray" \
	"$(req client -H 'User-Agent: xiaoming' "http://$vip:20001/" | names_only)"

say "the rule is edited while the release goes on"
strategy '{"matches":[{"headers":[{"type":"RegularExpression","name":"User-Agent","value":"li.*"}]}]}'
effect "the new rule" "Agray -> B -> Cgray" li
expect_eq "the old one" "A -> B -> C" "$(xiaoming)"

say "by weight"
strategy '{"matches":null,"weight":30}'
weighs() { lw explain --from "${POD_IP[client]}" --to "${POD_IP[a1]}:$LWT_PORT" -o json | jq -e '[.chances[].weight] == [30]'; }
until_ok 30 "the weight" weighs
req client "http://${POD_IP[a1]}:$LWT_PORT/?[1-600]" | names_only | sort | uniq -c >"$LWT_TMP/share"
expect_eq "ways that requests went" "Agray -> B -> Cgray,A -> B -> C" "$(sed 's/^ *[0-9]* //' "$LWT_TMP/share" | sort -r | paste -sd,)"
gray=$(awk '/gray/ { print $1 }' "$LWT_TMP/share")
# 30 % of 600 give or take four standard deviations
[ "$gray" -ge 135 ] && [ "$gray" -le 225 ] || fail "weight 30: $gray of 600 in the canary"
strategy "{\"weight\":null,\"matches\":[$exactly]}"
effect "the rule again" "Agray -> B -> Cgray" xiaoming

say "a third version in mid-release: step 1 begins anew"
kube_rollout_status rollout-a Progressing Initializing BeforeStepUpgrade spring-cloud-a spring-cloud-a
canary_away a v2
effect "between the versions" "A -> B -> Cgray" xiaoming
kube_rollout_status rollout-a Progressing InRolling StepUpgrade spring-cloud-a spring-cloud-a
canary_up a v3 3 "${POD_IP[b1]}"
kube_rollout_status rollout-a Progressing InRolling StepPaused spring-cloud-a spring-cloud-a-v3
effect "the third version" "Agray3 -> B -> Cgray" xiaoming
expect_eq "another" "A -> B -> C" "$(li)"

say "approved and finished: the new version is everyone's"
kube_rollout_status rollout-a Progressing InRolling StepReady spring-cloud-a spring-cloud-a-v3
kube_rollout_status rollout-c Progressing InRolling StepReady spring-cloud-c spring-cloud-c-v2
kube_rollout_status rollout-a Progressing Finalising Completed spring-cloud-a spring-cloud-a-v3
kube_rollout_status rollout-c Progressing Finalising Completed spring-cloud-c spring-cloud-c-v2
kube_routing_status mse-traffic Finalizing ""
effect "the routing goes back" "A -> B -> C" xiaoming
server a3 a "" --config new --next "${POD_IP[b1]}:$LWT_PORT"
kube_pod a3 spring-cloud-a spring-cloud-a "${POD_IP[a3]}" "" "$(hash_of new-a)"
for pod in a1 a2; do
	kapi DELETE "/api/v1/namespaces/default/pods/$pod?gracePeriodSeconds=0" >/dev/null
done
canary_away a v3
canary_away c v2
# kube_rollout_status takes a name whose hash_of() is meant
kube_rollout_status rollout-a Healthy Completed Completed new-a spring-cloud-a-v3
kube_rollout_status rollout-c Healthy Completed Completed spring-cloud-c spring-cloud-c-v2
kube_routing_status mse-traffic Healthy ""
POD_IP[a1]=${POD_IP[a3]}
lane_closes
expect_eq "after the release" "A[config=new] -> B -> C" "$(req client -H 'x-mse-tag: gray' "http://${POD_IP[a3]}:$LWT_PORT/" | sed 's/\[[0-9.:a-f]*\]//g')"

say "the next release is rolled back"
until_ok 30 "connections from before the release to close" quiet
canary_set_up new-a
canary_up a v4 4 "${POD_IP[b1]}"
canary_up c v4 4
kube_rollout_status rollout-a Progressing InRolling StepPaused new-a spring-cloud-a-v4
kube_rollout_status rollout-c Progressing InRolling StepPaused spring-cloud-c spring-cloud-c-v4
effect "xiaoming" "Agray4 -> B -> Cgray4" xiaoming
kube_rollout_status rollout-a Progressing Cancelling StepPaused new-a spring-cloud-a-v4
kube_rollout_status rollout-c Progressing Cancelling StepPaused spring-cloud-c spring-cloud-c-v4
kube_routing_status mse-traffic Finalizing ""
effect "rolled back" "A -> B -> C" xiaoming
lane_closes
kube_rollout_status rollout-a Healthy Completed Completed new-a spring-cloud-a-v4
kube_rollout_status rollout-c Healthy Completed Completed spring-cloud-c spring-cloud-c-v4
canary_away a v4
canary_away c v4
kube_routing_status mse-traffic Healthy ""
expect_eq "after the release" "A -> B -> C" "$(ask -H 'x-mse-tag: gray')"
percentile "requests go by a write, after its answer" <"$LWT_TMP/effects"
agent_stop
say ok
