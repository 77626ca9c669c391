#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A middlebox cuts watches in mid-object, puts garbage behind events, and is slow: every change gets through all the same.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
read -r port <<<"$(free_ports 1)"
echo pass >"$KUBE/harm"
(outside exec python3 "$KUBE_HERE/middle.py" "$port" "$API" "$KUBE/pki/ca.crt" "$KUBE/pki/srv.crt" "$KUBE/pki/srv.key" \
	"$KUBE/harm" >"$KUBE/middle.log" 2>&1) &
until_ok 30 "the middlebox" port_open host 127.0.0.1 "$port"
kubeconfig "$KUBE/agent.conf" "$KUBE/pki/ca.crt" "https://127.0.0.1:$port" "tokenFile: token"
kube_agent_start
until_ok 30 "the first complete list" steering
kube_release
lane_opens

harmed() { [ "$(grep -c "^$1" "$KUBE/middle.log")" -ge 2 ]; }
for harm in cut garbage slow; do
	echo $harm >"$KUBE/harm"
	kube_pod_status c1 "${POD_IP[c1]}" False
	k annotate --overwrite rollout ro "n=$harm" >/dev/null
	until_ok 30 "harm to be done" harmed $harm
	[ $harm = slow ] || echo pass >"$KUBE/harm"
	until_ok 30 "no ready canary after $harm" lanes_say 'any(.workloads[]; .pods.canary_ready == 0)'
	echo pass >"$KUBE/harm"
	expect_like "$harm: tagged" 'b1\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
	kube_pod_status c1 "${POD_IP[c1]}" True
	until_ok 30 "a ready canary after $harm" lanes_say 'any(.workloads[]; .pods.canary_ready == 1)'
	expect_like "$harm: tagged" 'c1gray\[*' "$(who client "$B1/id" -H 'x-mse-tag: gray')"
done
expect_like "log" '*the answer is bad*' "$(cat "$LWT_TMP/agent.log")"

say "an object of 1 MB, and fields that nobody knows"
blob=$(head -c 200000 /dev/zero | tr '\0' x)
for i in 1 2 3 4 5; do
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: big%d, namespace: default, annotations: {blob: "%s"}}\nspec: {ports: [{port: 80}], selector: {app: none}}\n' \
		$i "$blob" >"$LWT_TMP/big.yaml"
	k create -f "$LWT_TMP/big.yaml" >/dev/null
done
until_ok 30 "the large objects" source_says 'any(.watches[]; (.path | endswith("/services")) and .objects >= 6)'
kube_release_end
lane_closes
agent_stop
say ok
