#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `kubectl apply -k deploy/` on a node with a kubelet and containerd: the image, the probes, RBAC, mounts and rights as they are; pods,
# ReplicaSets and endpoints are the cluster's own, Services go through kube-proxy. Only what Kruise's controller would write is written
# by the test. The canary is steered, behind a service that forwards nothing, too; through `kubectl laneway`; across a canary pod that
# is deleted, an agent that is killed, new options, and to the end of the release.
. "$(dirname "$0")/lib.sh"
node_setup
node_image hop "$HOP"
tag='x-mse-tag: gray'

# deployment NAME APP REPLICAS "LABELS OF PODS" "ARGUMENTS OF hop" ["LABELS OF ITS OWN"]
deployment() {
	apply <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $1, labels: {app: $2${6:+, $6}}}
		spec:
		  replicas: $3
		  selector: {matchLabels: {app: $2, of: $1}}
		  template:
		    metadata: {labels: {app: $2, of: $1$4}}
		    spec:
		      terminationGracePeriodSeconds: 1
		      containers:
		      - name: main
		        image: hop:1
		        imagePullPolicy: Never
		        args: [--listen, "[::]:$LWT_PORT", --name, "\$(POD)", $5]
		        env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
		        ports: [{name: http, containerPort: $LWT_PORT}]
		        readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
	END
}
running() { k rollout status --timeout="$((40 * LWT_SLOW))s" "$@" >"$LWT_TMP/out" 2>&1 || fail "$*: $(cat "$LWT_TMP/out")"; }
# pod_template DEPLOYMENT: the hash that the Deployment's controller has given to its pods.
pod_template() { k get pods -l "of=$1" -o 'jsonpath={.items[0].metadata.labels.pod-template-hash}'; }
pod_of() { k get pods -l "of=$1" -o 'jsonpath={.items[0].metadata.name}'; }
# as Kruise's controller writes it: rollout_at PHASE REASON STEP_STATE CANARY_HASH
rollout_at() {
	hash_of() { printf %s "$1"; }
	kube_rollout_status ro "$1" "$2" "$3" "$stable" "$4"
}

say "pods, and a Service that kube-proxy carries"
VIP=10.96.0.50
kube_service web $VIP 80 "$LWT_PORT" web
deployment web web 2 "" ""
deployment middle middle 1 "" "--next, '$VIP:80', --forward, x-none"
deployment client client 1 "" ""
running deployment/web
running deployment/middle
running deployment/client
# A process in the client's pod, as far as it matters here: in its network namespace. Its cgroup is the test's, below the agent's.
client=$(node_pid "--name $(pod_of client)")
in_client() { nsenter --net="/proc/$client/ns/net" "$@"; }
get() { in_client curl -sS --max-time $((20 * LWT_SLOW)) "$@"; }
from() { get -o /dev/null -w '%header{x-pod}\n' "$@" | names_only; }
middle=$(k get pods -l of=middle -o 'jsonpath={.items[0].status.podIP}')
until_ok 60 "kube-proxy to carry it" eval '[[ $(from "http://$VIP/id" --max-time 2 2>/dev/null) == web-* ]]'
expect_like "through the one between" "middle-* -> web-*" "$(get "http://$middle:$LWT_PORT/")"

say "kubectl apply -k deploy/"
version=$(k kustomize "$LWT_ROOT/deploy" | sed -n 's/.*image: laneway://p')
node_image laneway "$LANEWAY" "$version"
mkdir "$LWT_TMP/overlay"
cp -r "$LWT_ROOT/deploy" "$LWT_TMP/overlay/deploy"
# This cluster, 1.20, does not know maxSurge (1.22).
sed -i -e '/maxSurge: /d' -e 's/maxUnavailable: 0/maxUnavailable: 1/' "$LWT_TMP/overlay/deploy/daemonset.yaml"
k apply -k "$LWT_TMP/overlay/deploy" >"$LWT_TMP/out"
running -n laneway daemonset/laneway
agent() { k -n laneway get pods -o 'jsonpath={.items[0].metadata.name}'; }
ask() { k -n laneway exec "$(agent)" -- laneway "$@"; }
expect_eq "steers" 0 "$(ask status >"$LWT_TMP/status"; echo $?)"

say "a release"
deployment web-canary web 1 ", alicloud.service.tag: gray, opensergo.io/canary-gray: gray" "--color, gray" "rollouts.kruise.io/canary-deployment: web"
running deployment/web-canary
stable=$(pod_template web) canary=$(pod_template web-canary)
kube_routing_by_user tr web
kube_rollout ro web tr
kube_routing_status tr Progressing ro
rollout_at Progressing InRolling StepPaused "$canary"
opens() { ask lanes -o json | jq -e 'any(.lanes[]; .name == "gray" and .open)'; }
until_ok 30 "the lane to open" opens
# a connection of before is not enrolled
k delete pod -l of=middle --wait=false >/dev/null
until_ok 30 "another pod between" eval '[ "$(k get pods -l of=middle -o json | jq "[.items[] | select(.metadata.deletionTimestamp == null and ([.status.conditions[]? | select(.type == \"Ready\" and .status == \"True\")] | length) == 1)] | length")" = 1 ]'
middle=$(k get pods -l of=middle -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null)][0].status.podIP')
check() {
	local i
	for i in $(seq "${1:-10}"); do
		expect_like "tagged ($i)" 'web-canary-*gray' "$(from "http://$VIP/id" -H "$tag")"
		expect_like "by the rule ($i)" 'web-canary-*gray' "$(from "http://$VIP/id" -H 'x-user: xiaoming')"
		expect_like "untagged ($i)" "web-$stable-*" "$(from "http://$VIP/id")"
		expect_like "behind the one between, tagged ($i)" "middle-* -> web-canary-*gray*" "$(get "http://$middle:$LWT_PORT/" -H "$tag")"
		expect_like "behind the one between, untagged ($i)" "middle-* -> web-$stable-*" "$(get "http://$middle:$LWT_PORT/")"
	done
}
check

say "a pod on the host network, in no release, is told by its cgroup"
apply <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: hostnet, labels: {app: edge}, annotations: {laneway.io/keep-out: "true"}}
	spec:
	  hostNetwork: true
	  terminationGracePeriodSeconds: 1
	  containers: [{name: main, image: "hop:1", imagePullPolicy: Never, args: [--listen, "127.0.0.1:9099", --name, hostnet]}]
END
# it and the agent's own
found() { ask status -o json | jq -e '.host_pods | .pods == 2 and .found == 2'; }
until_ok 30 "its cgroup to be found" found
# as_hostnet COMMAND...: in its cgroup.
as_hostnet() { (echo $BASHPID >"$(cgroup2_root)$(sed -n 's/^0:://p' "/proc/$(node_pid '--name hostnet')/cgroup")/cgroup.procs" && exec "$@"); }
node_asks=(nsenter --net="/run/netns/$(ns_of node)" curl -sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%header{x-pod}' -H "$tag" "http://$VIP/id")
expect_like "a process of the node, tagged" 'web-canary-*' "$("${node_asks[@]}")"
expect_like "one of the pod, which is kept out" "web-$stable-*" "$(as_hostnet "${node_asks[@]}")"
k delete pod hostnet >/dev/null

say "kubectl laneway"
mkdir "$LWT_TMP/bin"
cp "$LWT_ROOT/deploy/kubectl-laneway" "$LWT_TMP/bin/"
plugin() { PATH=$LWT_TMP/bin:$PATH KUBECONFIG=$KUBE/admin.conf kubectl laneway "$@" </dev/null; }
expect_like "lanes" '*gray*x-mse-tag: gray*' "$(plugin lanes)"
expect_like "explain" '*gray*' "$(plugin explain --from "$(pod_of client)" --to web:80 -H 'x-user: xiaoming')"
expect_eq "an Event" 1 "$(k get events --field-selector reason=LaneOpened -o json | jq '.items | length')"

say "the canary's pod is deleted: the next one gets its requests"
old=$(pod_of web-canary)
k delete pod "$old" >/dev/null
running deployment/web-canary
until_ok 20 "the new canary" eval '[[ $(from "http://$VIP/id" -H "$tag") == web-canary-* ]]'
[ "$(pod_of web-canary)" != "$old" ] || fail "the same pod"
check 3

# Under load an agent takes over from another: base is never lost and never elsewhere. Of the lane's, one at a time here, the one
# that is with the agent as it is killed is lost, and others go to base until the next is there.
load() {
	local header=$1 file=$2
	while [ ! -e "$LWT_TMP/stop" ]; do
		from "http://$VIP/id" --max-time 5 ${header:+-H "$header"} || true
	done >"$file" 2>&1
}
load_begins() {
	rm -f "$LWT_TMP/stop"
	load "" "$LWT_TMP/base" &
	LOAD=($!)
	load "$tag" "$LWT_TMP/lane" &
	LOAD+=($!)
	until_ok 15 "the load" test -s "$LWT_TMP/base" -a -s "$LWT_TMP/lane"
}
load_ends() {
	touch "$LWT_TMP/stop"
	wait "${LOAD[@]}"
	expect_eq "$1: base requests not answered by a base pod" "" "$(grep -v "^web-$stable-" "$LWT_TMP/base" | head -n 3)"
	lost=$(grep -c '^curl: ' "$LWT_TMP/lane" || true)
	say "  $1: $(wc -l <"$LWT_TMP/base") base requests, all right; $(grep -c ^web- "$LWT_TMP/lane") of the lane answered," \
		"$(grep -c "^web-$stable-" "$LWT_TMP/lane" || true) of them by base, $lost lost"
	[ "$lost" -le "$2" ] || fail "$1: more than $2 lost: $(grep '^curl: ' "$LWT_TMP/lane" | head -n 3)"
}
lane_again() { until_ok 30 "the lane's requests in the canary" eval '[[ $(from "http://$VIP/id" -H "$tag") == web-canary-* ]]'; }
restarts() { k -n laneway get pods -o 'jsonpath={.items[0].status.containerStatuses[0].restartCount}'; }

say "the agent is killed: the kubelet starts it again"
load_begins
kill -9 "$(node_pid 'laneway agent --kube')"
until_ok 60 "its next start" eval '[ "$(restarts)" = 1 ]'
running -n laneway daemonset/laneway
lane_again
load_ends "killed" 1
check 3

# As where an update does not surge. What is under way is let finish; until the next agent is there the lane's requests go to base.
say "the agent's pod is deleted: another follows"
load_begins
old=$(agent)
# to the end: kubectl's logs stop as soon as the pod is on its way out
# shellcheck disable=SC2016
on_node bash -c 'exec tail -n +1 -f --pid="$1" -q /var/log/pods/laneway_"$2"_*/laneway/*.log' - \
	"$(node_pid 'laneway agent --kube')" "$old" >"$LWT_TMP/last.log" &
tail=$!
k -n laneway delete pod "$old" >/dev/null
wait "$tail"
grep -q 'leaving the hooks to the next agent' "$LWT_TMP/last.log" || fail "it leaves nothing: $(tail -n 5 "$LWT_TMP/last.log")"
running -n laneway daemonset/laneway
[ "$(agent)" != "$old" ] || fail "the same pod"
lane_again
load_ends "started anew" 0
check 3

# As maxSurge does it, by a second DaemonSet: both are there for a while.
say "other options, in a DaemonSet that takes over from the first"
cp -r "$LWT_TMP/overlay/deploy" "$LWT_TMP/overlay/next"
sed -i -e 's/^  name: laneway$/&-next/' -e 's,app.kubernetes.io/name: laneway$,&-next,' "$LWT_TMP/overlay/next/daemonset.yaml"
echo "log-level debug" >>"$LWT_TMP/overlay/next/options"
load_begins
old=$(agent)
k apply -k "$LWT_TMP/overlay/next" >"$LWT_TMP/out"
running -n laneway daemonset/laneway-next
k -n laneway delete daemonset laneway >/dev/null
one_agent() { [ "$(k -n laneway get pods -o json | jq '.items | length')" = 1 ]; }
until_ok 60 "the first one to go" one_agent
[ "$(agent)" != "$old" ] || fail "the same pod"
lane_again
load_ends "taken over" 0
check 3

say "the release is over"
rollout_at Healthy Completed Completed "$canary"
kube_routing_status tr Healthy ""
closed() { ask lanes -o json | jq -e 'all(.lanes[]; .open | not)'; }
until_ok 30 "the lane to close" closed
k delete deployment web-canary >/dev/null
gone() { [ "$(k get pods -l of=web-canary -o json | jq '.items | length')" = 0 ]; }
until_ok 30 "the canary to go" gone
expect_like "tagged" "web-$stable-*" "$(from "http://$VIP/id" -H "$tag")"

say "kubectl delete -k deploy/: nothing is left"
k delete -k "$LWT_TMP/overlay/next" >"$LWT_TMP/out"
unpinned() { [ -z "$(pins)" ]; }
until_ok 60 "the agent's pins to go" unpinned
expect_like "untagged" "web-$stable-*" "$(from "http://$VIP/id")"
say ok
