#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that are not enrolled, by the name of their program and by their pod's annotation (by what they do: test_noticed.sh). Their
# requests follow their own connections, and each is shown with its reason; nobody else is touched.
. "$(dirname "$0")/lib.sh"
need python3 jq
setup
two_pods
tag='x-mse-tag: gray'
json() { lw status -o json >"$LWT_TMP/json" && jq -r "$1" "$LWT_TMP/json"; }

# By name: curl is left alone, Python is not.
agent_start --keep-out curl --keep-out no-such-client
expect_like "kept out by name: a tagged request" 'b1\[*' "$(who client "$B1/id" -H "$tag")"
expect_like "kept out by name: again" 'b1\[*' "$(who client "$B1/id" -H "$tag")"
# A Service that has the canary among its pods, which is all that the node would choose here.
kube_proxy client "${APP_VIP[web]}" 80 c1 c1
for header in 'x: y' "$tag"; do
	expect_like "kept out by name: by the Service, $header" "b[12]\[* ${APP_VIP[web]}" \
		"$(req client -o /dev/null -w '%header{x-pod} %{remote_ip}' "http://${APP_VIP[web]}/id" -H "$header")"
done
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "another program is steered" '200 c1gray\[*' "$(hold_get "$tag" /id)"
hold_end
expect_eq "counted" 4 "$(counted kept-name)"
expect_eq "shown" "curl name" "$(json '[.kept_out.processes[] | "\(.program) \(.why)"] | unique | join(",")')"
expect_like "for people" '*0 processes (and 4 that have ended)*curl\[*\] (ended), name, since *: 1 connections not enrolled*' "$(lw status)"
agent_stop

# Who asks for the reason is told, while such a process lives.
agent_start --keep-out python3
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "kept out by name: a connection that stays" '200 b1\[*' "$(hold_get "$tag" /id)"
expect_like "explained" "*python3[[]$HOLD_PID] (name) is kept out:*" "$(lw explain --from "${POD_IP[client]}" --to "${POD_IP[b1]}:$LWT_PORT" -H "$tag")"
hold_end
expect_eq "and no longer" "" "$(lw explain --from "${POD_IP[client]}" --to "${POD_IP[b1]}:$LWT_PORT" -H "$tag" | grep "is kept out" || true)"
agent_stop

# By the annotation of the client's pod, which may come and go.
client_pod() {
	put pod-client <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: client, namespace: default, annotations: {laneway.io/keep-out: "$1"}}
		spec: {nodeName: node-1, hostNetwork: ${2:-false}, containers: [{name: main, image: x}]}
		status: {phase: Running, podIPs: [{ip: "${POD_IP[client]}"}, {ip: "${POD_IP6[client]}"}]}
	END
	state_sync
}
pod_ns other
agent_start
client_pod true
for to in "$B1" "http://[${POD_IP6[b1]}]:$LWT_PORT"; do
	expect_like "kept out by annotation" 'b1\[*' "$(who client "$to/id" -H "$tag")"
	expect_like "another pod is steered" 'c1gray\[*' "$(who other "$to/id" -H "$tag")"
done
expect_eq "counted" 2 "$(counted kept-pod)"
for from in client other; do
	lw explain --from "${POD_IP[$from]}" --to "${POD_IP[b1]}:$LWT_PORT" -H "$tag" -o json >"$LWT_TMP/json"
	expect_eq "explained, for $from" "$([ $from = client ] && echo base kept-pod b1 || echo gray ok c1)" \
		"$(jq -r '"\(.lane) \(.reason) \(.endpoints[0].pod | ltrimstr("default/"))"' "$LWT_TMP/json")"
done
expect_eq "shown" 2 "$(json .kept_out.pod_addresses)"
client_pod false
expect_like "no longer" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
client_pod maybe
expect_like "an annotation that says nothing clear" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
expect_like "is told" '*laneway.io/keep-out: expected "true" or "false"*' "$(json '[.source.findings[].text] | join(" ")')"
client_pod true true
# of another node's host network (of this one's: test_host_pods.sh)
expect_eq "on the host network: pod addresses" 0 "$(json .kept_out.pod_addresses)"
expect_like "steered as before" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
client_pod true
expect_like "again" 'b1\[*' "$(who client "$B1/id" -H "$tag")"
none_kept() { [ "$(json .kept_out.pod_addresses)" = 0 ]; }
rm "$LWT_STATE/pod-client.yaml"
until_ok 15 "the pod whose object is gone to be let in" none_kept
expect_like "its object is gone" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
agent_stop
say ok
