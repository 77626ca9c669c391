#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The source's code with ASan and UBSan, against a real API server: three nodes, a release, the server killed and started
# again, the end of the release, and the end of the program in the middle of it all.
. "$(dirname "$0")/lib.sh"
kube_setup
kube_two_pods
coproc SAN { exec "$LWT_BUILD/tests/nodes_san" "$KUBE/agent.conf" 3 2>"$KUBE/san.err" >"$KUBE/san.out"; }
pid=$SAN_PID in=${SAN[1]}
says() { tail -n 1 "$KUBE/san.out" | grep -E "$1" >/dev/null; }
until_ok 60 "three nodes to be ready" says 'nodes 3 ready 3'
# Rollout and TrafficRouting, three times, and once the pods of node-1, which is one of the three.
between() { says "objects $((2 * 3 + $(kapi GET "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1" | jq '.items | length'))) "; }
until_ok 30 "the objects between releases" between
services=$(kapi GET /api/v1/namespaces/default/services | jq '.items | length')
kube_release
# And two Deployments, three Pods, the Services.
until_ok 30 "the objects of the release" says "objects $(((2 + 2 + 3 + services) * 3)) "
api_kill
until_ok 60 "the cut" grep -E 'Failed to connect|not closed cleanly' "$KUBE/san.err"
api_start
kapi DELETE "/api/v1/namespaces/default/pods/b2?gracePeriodSeconds=0" >/dev/null
until_ok 120 "the pod to go" says "objects $(((2 + 2 + 2 + services) * 3)) "
kube_release_end
until_ok 90 "the release's objects to go" between
kube_rollout_status ro Progressing InRolling StepUpgrade web ""
exec {in}>&-
wait "$pid" || fail "exit code $?: $(tail -n 40 "$KUBE/san.err")"
grep -E 'Sanitizer|runtime error' "$KUBE/san.err" && fail "the sanitizer complains"
say ok
