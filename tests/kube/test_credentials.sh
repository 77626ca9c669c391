#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ways to the API server: a client certificate, another CA, a pod's service account, no CRDs, and the command line.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_release

say "a client certificate instead of a token"
kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "$API" "client-certificate: pki/cli.crt, client-key: pki/cli.key"
kube_agent_start
until_ok 30 "the first complete list" steering
agent_stop

say "another CA"
openssl ecparam -genkey -name prime256v1 -noout -out "$KUBE/other.key"
openssl req -x509 -new -key "$KUBE/other.key" -days 1 -subj /CN=other -out "$KUBE/other.crt"
kubeconfig "$KUBE/agent.conf" "$KUBE/other.crt" "$API" "tokenFile: token"
kube_agent_start
until_ok 30 "the refusal" source_error_like '*certificate*'
agent_stop

say "in a pod"
kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "$API" "tokenFile: token"
mkdir "$KUBE/sa"
cp "$KUBE/pki/ca.crt" "$KUBE/sa/ca.crt"
agent_token "$KUBE/sa/token"
sa=/var/run/secrets/kubernetes.io/serviceaccount
KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$API_PORT unshare --mount --propagation slave bash -c '
	mount -t tmpfs tmpfs /var/run/ && mkdir -p "$0" /var/run/netns && mount --bind "$1" "$0" && shift && exec "$@"' \
	$sa "$KUBE/sa" "$LANEWAY" agent --kube --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
	--device "lwv$$x*" >>"$LWT_TMP/agent.log" 2>&1 &
AGENT_PID=$!
until_ok 30 "the agent's socket" agent_answers
until_ok 30 "the first complete list" steering
expect_like "tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
expect_eq "context" in-cluster "$(lw status -o json | jq -r .source.context)"
agent_stop

say "no CRDs"
k delete crd rollouts.rollouts.kruise.io trafficroutings.rollouts.kruise.io --wait=false >/dev/null
kapi PATCH "$ROUTINGS/tr" '{"metadata":{"finalizers":null}}' >/dev/null
group_gone() { ! kapi_ok /apis/rollouts.kruise.io; }
until_ok 30 "the API group to go" group_gone 2>/dev/null
kube_agent_start
until_ok 30 "the words" source_error_like '*are the CRDs of Kruise Rollouts installed?*'
crd_files | apply
until_ok 120 "the first complete list" steering

say "the command line"
expect_usage() {
	local want=$1 got
	shift
	got=$("$LANEWAY" agent --socket "$LWT_TMP/x" "$@" 2>&1) && fail "accepted: $*"
	expect_like "$*" "$want" "$got"
}
expect_usage '*one of --state DIR, --kube and --kubeconfig FILE is needed, and only one*'
expect_usage '*one of --state DIR, --kube and --kubeconfig FILE is needed, and only one*' --kube --state x
expect_usage '*--context goes with --kubeconfig*' --kube --context x
expect_usage '*--kube-silence is a number of seconds*' --kube --kube-silence 0
agent_stop
expect_usage "*contexts: there is no 'nope'*" --kubeconfig "$KUBE/agent.conf" --context nope --bpffs "$LWT_BPFFS"
expect_usage "*KUBERNETES_SERVICE_HOST*" --kube --bpffs "$LWT_BPFFS"
say ok
