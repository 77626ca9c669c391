#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kubelet asks a pod about itself, and tells it that it is to end: the pod that it names gets these requests, be it a canary that
# is not ready, or on its way out, and nobody else does.
. "$(dirname "$0")/lib.sh"
need jq
setup
two_pods
agent_start

# What is known of kubelet is its name. It is no pod, and bears no tag.
cp "$(command -v curl)" "$LWT_TMP/kubelet"
probe() { "$LWT_TMP/kubelet" -sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%header{x-pod}' -A kube-probe/1.30 "$1/id" | names_only; }
probes() {
	local name
	for name in b1 b2 c1; do
		expect_like "$1: a probe of $name" "$name*" "$(probe "http://${POD_IP[$name]}:$LWT_PORT")"
		expect_like "$1: a probe of $name, by IPv6" "$name*" "$(probe "http://[${POD_IP6[$name]}]:$LWT_PORT")"
	done
}
probes "in release"
# Before it is ready the canary's own answer is what is asked for.
POD_READY=False put_pod c1
state_sync
expect_eq "not ready" false "$(lw endpoints -o json | jq '.endpoints[] | select(.pod == "default/c1") | .ready')"
probes "not ready"
# So does a pod that asks itself by its address, as the commands of such hooks may.
expect_like "itself, not ready" 'c1*' "$(who c1 "$C1/id")"
POD_DELETED=1 put_pod c1
state_sync
expect_like "itself, on its way out" 'c1*' "$(who c1 "$C1/id")"
expect_like "another one" 'b[12]\[*' "$(who c1 "$B1/id")"
expect_like "anybody else" 'b[12]\[*' "$(who client "$C1/id")"
expect_eq "shown" "kubelet name" "$(lw status -o json | jq -r '[.kept_out.processes[] | "\(.program) \(.why)"] | unique | join(",")')"
agent_stop
say ok
