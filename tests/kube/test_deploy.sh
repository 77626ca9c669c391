#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The manifests and the chart are taken by a real API server; what it then has is run as a kubelet would, and steers by that
# server's objects, with the rights of its service account; Events tell what becomes of a release.
. "$(dirname "$0")/lib.sh"
. "$LWT_ROOT/tests/deploy/lib.sh"
kube_setup
kube_two_pods
deploy_setup

say "the manifests"
# This server, 1.20, is older than maxSurge (1.22): that is all it finds wrong.
k apply --dry-run=server --validate=false -k "$LWT_ROOT/deploy" >"$LWT_TMP/out" 2>&1 && fail "this server knows maxSurge: take the patch out"
expect_eq "refused" "spec.updateStrategy.rollingUpdate.maxUnavailable" \
	"$(grep -o 'spec\.[a-zA-Z.]*' "$LWT_TMP/out" | sort -u | paste -sd ' ')"
sed -e '/maxSurge: /d' -e 's/maxUnavailable: 0/maxUnavailable: 1/' "$DEPLOY/manifests.yaml" >"$LWT_TMP/old.yaml"
k apply --dry-run=server -f "$LWT_TMP/old.yaml" >"$LWT_TMP/out" || fail "$(cat "$LWT_TMP/out")"
expect_eq "objects" "8 of 8" "$(grep -c 'server dry run' "$LWT_TMP/out") of $(grep -c '^kind: ' "$LWT_TMP/old.yaml")"
k apply -f "$LWT_TMP/old.yaml" >/dev/null
# a mistake would be seen
sed 's/readOnlyRootFilesystem/readOnlyRoot/' "$LWT_TMP/old.yaml" >"$LWT_TMP/bad.yaml"
k apply --dry-run=server -f "$LWT_TMP/bad.yaml" >"$LWT_TMP/out" 2>&1 && fail "a field that there is not is taken"
say "the chart"
"$LWT_BUILD/tests/render" "$LWT_ROOT/deploy/helm/laneway" laneway v1.20.2 updateStrategy.rollingUpdate='{maxUnavailable: 1}' \
	>"$LWT_TMP/chart.yaml"
k apply --dry-run=server -f "$LWT_TMP/chart.yaml" >"$LWT_TMP/out" || fail "$(cat "$LWT_TMP/out")"
expect_eq "objects" 7 "$(grep -c 'server dry run' "$LWT_TMP/out")"

say "the agent, as the server has it"
{
	k -n laneway get daemonset laneway -o yaml
	echo ---
	k -n laneway get configmap -l '!x' -o yaml
} >"$DEPLOY/both.yaml"
/usr/bin/python3 - "$DEPLOY/both.yaml" >"$DEPLOY/manifests.yaml" <<-'END'
	import sys, yaml
	objects = []
	for o in yaml.safe_load_all(open(sys.argv[1])):
	    objects += o["items"] if o["kind"] == "List" else [o]
	yaml.safe_dump_all([o for o in objects if o["metadata"]["name"] != "kube-root-ca.crt"], sys.stdout)
END
mkdir "$KUBE/sa"
cp "$KUBE/pki/ca.crt" "$KUBE/sa/ca.crt"
echo laneway >"$KUBE/sa/namespace"
agent_token "$KUBE/sa/token"
start() {
	: >"$LWT_TMP/agent.log"
	container_start --token "$KUBE/sa" --env KUBERNETES_SERVICE_HOST=127.0.0.1 --env "KUBERNETES_SERVICE_PORT=$API_PORT" "$@"
	container_up
	until_ok 60 "the first complete list" steering
}
start
probe readinessProbe || fail "readiness: exit code $?"

# event REASON: how often it was told of the Rollout; its message in $LWT_TMP/message.
event() {
	local selector="involvedObject.kind=Rollout,involvedObject.name=ro,reason=$1"
	k get events --field-selector "$selector" -o json >"$LWT_TMP/events"
	jq -r '.items[].message' "$LWT_TMP/events" >"$LWT_TMP/message"
	jq '[.items[].count] | add // 0' "$LWT_TMP/events"
}
told() { [ "$(event "$1")" = "$2" ]; }
expect_eq "before the release" 0 "$(k get events -o json | jq '.items | length')"

say "a release, told by Events"
kube_release
lane_opens
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
until_ok 30 "LaneOpened" told LaneOpened 1
expect_like "its words" '*gray is open*x-mse-tag: gray*default/Deployment/web, 1 of 1 ready' "$(cat "$LWT_TMP/message")"
expect_like "kubectl describe" '*LaneOpened*laneway*lane gray is open*' "$(k describe rollouts.rollouts.kruise.io ro | tail -n 4)"

kube_pod_status c1 "${POD_IP[c1]}" False
until_ok 30 "NoReadyCanary" told NoReadyCanary 1
# What is told within a few seconds is one: the clock the server and others see has seconds.
aged() { [ $(($(date +%s) - $(date -d "$(k get events --field-selector reason=LaneOpened -o 'jsonpath={.items[0].lastTimestamp}')" +%s))) -gt 7 ]; }
until_ok 30 "the first word to be old" aged
kube_pod_status c1 "${POD_IP[c1]}" True
until_ok 30 "LaneOpened again, the same Event" told LaneOpened 2
expect_eq "one object" 1 "$(jq '.items | length' "$LWT_TMP/events")"

kapi PATCH "$ROUTINGS/tr" '{"spec":{"strategy":{"matches":[{"headers":[{"type":"RegularExpression","name":"x-user","value":"(x"}]}]}}}' >/dev/null
until_ok 30 "RuleRefused" told RuleRefused 1
expect_like "its words" '*TrafficRouting default/tr:*x-user*not closed*' "$(cat "$LWT_TMP/message")"

kapi PATCH "$ROUTINGS/tr" '{"spec":{"strategy":{"matches":[{"headers":[{"type":"Exact","name":"x-user","value":"li"}]}]}}}' >/dev/null
until_ok 30 "the rule to be right" source_says '.errors == 0'

say "an agent that starts in mid-release finds it told"
# events_asked METHOD CODE
events_asked() {
	kapi GET /metrics | awk -v verb="verb=\"$1\"" -v code="code=\"$2\"" '/^apiserver_request_total{/ && /resource="events"/ &&
		index($0, verb) && index($0, code) { n += $NF } END { print n + 0 }'
}
container_stop
before=$(events_asked POST 409)
# The DaemonSet is there: another agent follows.
[ -e "$LWT_BPFFS/laneway/agent" ] || fail "nothing is left to the next agent: $(tail -n 3 "$LWT_TMP/agent.log")"
start
grep -q 'going on with what an earlier agent has pinned' "$LWT_TMP/agent.log" || fail "the next agent did not go on with it"
asked() { [ "$(events_asked POST 409)" -ge $((before + 1)) ]; }
until_ok 30 "it to ask" asked
expect_eq "LaneOpened" 2 "$(event LaneOpened)"
expect_eq "RuleRefused" 1 "$(event RuleRefused)"

say "a node without a pod of it tells nothing"
kube_release_end
until_ok 30 "LaneClosed" told LaneClosed 1
expect_like "its words" '*gray is closed*its phase is Healthy*' "$(cat "$LWT_TMP/message")"
say "events asked for in all: $(events_asked POST 201) created, $(events_asked PATCH 200) patched"
expect_eq "Events created" 4 "$(events_asked POST 201)"
container_stop
start --arg='--node=$(NODE_NAME)=--node=elsewhere'
kube_release
lane_opens
container_stop
expect_eq "Events created" 4 "$(events_asked POST 201)"

say "without the right to write Events it steers, and says what is missing"
role_set "$(role_without events)"
start
warned() { grep -q 'write an Event: not allowed: grant the verb \\"create\\" on resource \\"events\\"' "$LWT_TMP/agent.log"; }
until_ok 30 "the words" warned
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"

say "without the DaemonSet nothing is left"
k -n laneway delete daemonset laneway >/dev/null
container_stop
expect_eq "pins" "" "$(pins)"
say ok
