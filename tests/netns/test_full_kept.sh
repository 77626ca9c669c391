#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# More clients that are kept out, and more cgroups of pods on the host network, than can be noted: the agent says so, and the rest is
# in force. As in test_full.sh no base request is lost or in the canary meanwhile.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need jq bpftool python3
setup
two_pods
targets

say "processes that are kept out push each other out"
agent_start --keep-out curl
fills churn kept
look kept-name
base "kept"
lane "kept" 'b[12]'
expect_eq "counted" 9 "$(more kept-name)"
hold client "${POD_IP[b2]}" "$LWT_PORT"
expect_like "kept: others are steered" '200 c1gray\[*' "$(hold_get "$tag" /id)"
hold_end
lw status >/dev/null || fail "status failed"
filled
agent_stop

say "more addresses with the annotation than can be kept out"
many_pods() {
	python3 - "$LWT_STATE/many.yaml" <<-END
		import sys
		with open(sys.argv[1] + ".tmp", "w") as f:
		    for i in range(8192):
		        f.write(f"""---
		{{apiVersion: v1, kind: Pod, metadata: {{name: many-{i}, namespace: default, annotations: {{laneway.io/keep-out: "true"}}}},
		spec: {{nodeName: node-9}}, status: {{phase: Running, podIPs: [{{ip: 10.200.{i // 250}.{i % 250 + 1}}}, {{ip: "fd00:1::{i:x}"}}]}}}}
		""")
	END
	mv "$LWT_STATE/many.yaml.tmp" "$LWT_STATE/many.yaml"
}
many_pods
put pod-client <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: client, namespace: default, annotations: {laneway.io/keep-out: "true"}}
	spec: {nodeName: node-1, containers: [{name: main, image: x}]}
	status: {phase: Running, podIPs: [{ip: "${POD_IP[client]}"}, {ip: "${POD_IP6[client]}"}]}
END
error='error: annotation laneway.io/keep-out is on pods of 16386 addresses, and 16384 can be kept out: the others'"'"' connections are steered'
code=0
"$LANEWAY" check "$LWT_STATE" >"$LWT_TMP/check" || code=$?
expect_eq "check: its exit code" 1 "$code"
expect_eq "check" "$error" "$(grep annotation "$LWT_TMP/check")"
agent_start
expect_eq "the agent says so" "$error" "$(grep '^error: annotation' "$LWT_TMP/agent.log")"
expect_eq "addresses" 16384 "$(rows kept_pods)"
base "kept pods"
look kept-pod
expect_like "one of those that are kept out" 'b2\[*' "$(who client "$B2/id" -H "$tag")"
expect_eq "counted" 1 "$(more kept-pod)"
expect_like "one of the others" 'c1gray\[*' "$(who client "$B2_6/id" -H "$tag")"
del pod-client
state_sync
as_before "kept pods"
del many
none_kept() { [ "$(rows kept_pods)" = 0 ]; }
until_ok 20 "those whose objects are gone to be forgotten" none_kept
agent_stop

say "more cgroups of pods on the host network than can be noted"
uid=0b7632a2-a56e-4278-987a-22de18000001
slice="$LWT_CGROUP/system.slice"
mkdir "$slice"
cgroups() {
	python3 - "$slice/kubepods-burstable-pod${uid//-/_}.slice:cri-containerd:" "$1" <<-END
		import os, sys
		for i in range(4200):
		    getattr(os, sys.argv[2])(f"{sys.argv[1]}{i:064x}")
	END
}
put gateway <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: gateway, namespace: edge, uid: $uid, labels: {app: gateway}}
	spec: {nodeName: node-1, hostNetwork: true, containers: [{name: main}]}
	status: {phase: Running, podIPs: [{ip: $LWT_NET.1}], conditions: [{type: Ready, status: "True"}]}
END
cgroups mkdir
logged=$(wc -l <"$LWT_TMP/agent.log")
agent_start --node node-1 --untrusted edge/app=gateway
expect_eq "cgroups that are known" 4096 "$(rows host_pods)"
expect_eq "the agent says so, once" 1 "$(sed -n "$((logged + 1)),\$p" "$LWT_TMP/agent.log" | grep -c "^warn: note the 4200 cgroups of pods on the host network: Argument list too long, at most 4096 can be; the others are told by the node's address")"
base "host pods"
lane "host pods" c1gray
# by its cgroup, or by the node's address: not believed either way
for i in 0 2100 4199; do
	(
		echo "$BASHPID" >"$slice/kubepods-burstable-pod${uid//-/_}.slice:cri-containerd:$(printf %064x "$i")/cgroup.procs"
		exec curl -sS --max-time $((20 * LWT_SLOW)) -o /dev/null -w '%header{x-pod}\n' -H "$tag" "$B1/id"
	) >"$LWT_TMP/asked"
	expect_like "host pods: a client of that pod" 'b1\[*' "$(cat "$LWT_TMP/asked")"
done
cgroups rmdir
rmdir "$slice"
none_known() { [ "$(rows host_pods)" = 0 ]; }
until_ok 30 "the cgroups to be forgotten" none_known
agent_stop
say ok
