#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --leave-hooks NAMESPACE/NAME: on SIGTERM the agent leaves its hooks to the next one if the DaemonSet is there, and nothing if
# that is gone or on its way out, its namespace is, or it may not ask. An API server that is away is no reason to leave nothing.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_release

daemonset() {
	apply <<-END
		apiVersion: apps/v1
		kind: DaemonSet
		metadata: {name: laneway, namespace: laneway}
		spec:
		  selector: {matchLabels: {app: laneway}}
		  template:
		    metadata: {labels: {app: laneway}}
		    spec: {containers: [{name: laneway, image: "laneway:1"}]}
	END
}
start() {
	: >"$LWT_TMP/agent.log"
	kube_agent_start --leave-hooks laneway/laneway
	lane_opens 60
	expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
}
# ends leaves|nothing WORDS: what there is after its end, and what it says.
ends() {
	agent_stop
	if [ "$1" = leaves ]; then
		[ -e "$LWT_BPFFS/laneway/agent" ] || fail "it leaves nothing: $(tail -n 3 "$LWT_TMP/agent.log")"
	else
		expect_eq "pins" "" "$(pins)"
	fi
	expect_like "its words" "$2" "$(tail -n 3 "$LWT_TMP/agent.log")"
	expect_like "afterwards, untagged" 'b1\[*' "$(who client "$B1/id")"
}

say "it is there"
daemonset
start
ends leaves '*DaemonSet laneway/laneway is there: leaving the hooks to the next agent*'
say "it is being deleted: something is to be done first"
k -n laneway patch daemonset laneway --type merge -p '{"metadata":{"finalizers":["example.org/wait"]}}' >/dev/null
k -n laneway delete daemonset laneway --wait=false >/dev/null
start
grep -q 'going on with' "$LWT_TMP/agent.log" || fail "it did not go on with what was left"
ends nothing '*DaemonSet laneway/laneway is being deleted: leaving nothing attached*'
say "it is gone"
k -n laneway patch daemonset laneway --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null
start
ends nothing '*DaemonSet laneway/laneway is gone: leaving nothing attached*'
say "it may not be read"
daemonset
kapi DELETE /apis/rbac.authorization.k8s.io/v1/namespaces/laneway/rolebindings/laneway >/dev/null
start
ends nothing '*DaemonSet laneway/laneway may not be read: grant the verb "get" on resource "daemonsets" of API group "apps": leaving nothing attached*'
apply <"$LWT_ROOT/deploy/rbac.yaml"
say "the API server is away"
start
api_kill
ends leaves '*whether DaemonSet laneway/laneway is there cannot be asked: *: leaving the hooks to the next agent*'
say "it does not answer"
api_start
start
kill -STOP "$API_PID"
ends leaves '*whether DaemonSet laneway/laneway is there cannot be asked: *: leaving the hooks to the next agent*'
kill -CONT "$API_PID"
say "a second SIGTERM while it waits for an answer: at once, and nothing is left"
start
kill -STOP "$API_PID"
kill -TERM "$AGENT_PID"
until_ok 15 "the first one to be taken" grep -q 'stopping on signal 15' "$LWT_TMP/agent.log"
ends nothing '*stopping on signal 15*'
kill -CONT "$API_PID"
say "SIGINT: nothing is left"
start
kill -INT "$AGENT_PID"
wait "$AGENT_PID" || fail "exit code $?"
AGENT_PID=
expect_eq "pins" "" "$(pins)"
say "its namespace is on its way out"
start
k delete namespace laneway --wait=false >/dev/null
# the role goes with it only when a controller takes it away: there is none here
ends nothing '*namespace laneway is being deleted: leaving nothing attached*'
say ok
