#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent's API server is away while objects change and etcd forgets that they did. Watches are answered with 410, and
# the new lists take the place of the old by what differs: no request goes wrong meanwhile.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
kube_service gone 10.96.78.1 80 "$LWT_PORT" other
kube_agent_start
until_ok 30 "the first complete list" steering
kube_release
lane_opens
service() { source_says "any(.watches[]; (.path | endswith(\"/services\")) and .objects == $1)"; }
before=$(kapi GET /api/v1/namespaces/default/services | jq '.items | length')
until_ok 30 "the Services" service "$before"
load_start

# Another API server on the same etcd, of which the agent knows nothing.
api_kill
first=$API_PORT
read -r API_PORT <<<"$(free_ports 1)"
API=https://127.0.0.1:$API_PORT
api_start
kapi DELETE /api/v1/namespaces/default/services/gone >/dev/null
pod_ns b3
serve b3 --name b3
kube_pod b3 web web "${POD_IP[b3]}"
for i in 1 2 3; do
	kapi PATCH /api/v1/namespaces/default/pods/b1 "{\"metadata\":{\"annotations\":{\"n\":\"$i\"}}}" >/dev/null
	kapi PATCH "$ROLLOUTS/ro" "{\"metadata\":{\"annotations\":{\"n\":\"$i\"}}}" >/dev/null
done
revision=$(kapi GET "$ROLLOUTS/ro" | jq -r .metadata.resourceVersion)
curl -sSf "$ETCD/v3/kv/compaction" -d "{\"revision\": $revision}" >/dev/null
api_kill
API_PORT=$first API=https://127.0.0.1:$first
api_start

until_ok 120 "the Service to go" service $((before - 1))
until_ok 120 "the new pod" lanes_say 'any(.workloads[]; .pods.base_ready == 3)'
until_ok 120 "the watches" source_says '.connected and all(.watches[]; .state == "watching" and .error == "")'
status_json | jq -e '[.source.watches[] | select(.lists > 1)] | length > 0' >/dev/null || fail "nothing was listed anew"
load_end
kube_release_end
lane_closes
agent_stop
say ok
