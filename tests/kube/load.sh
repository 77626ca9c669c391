#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What agents cost a real kube-apiserver, and what it costs an agent: KUBE_WORKLOADS (1000) Rollouts of which KUBE_OPEN (50)
# progress, KUBE_PODS (10000), and KUBE_NODES (50) nodes' watches in one process, for KUBE_SECONDS (60) at rest and again
# while KUBE_CHURN (100) pods a second change; then one agent, steps of a release under the same churn.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
WORKLOADS=${KUBE_WORKLOADS:-1000} PODS=${KUBE_PODS:-10000} OPEN=${KUBE_OPEN:-50} NODES=${KUBE_NODES:-50}
SECONDS_EACH=${KUBE_SECONDS:-60} CHURN=${KUBE_CHURN:-100} STEPS=${KUBE_STEPS:-100}

kube_setup
say "filling: $WORKLOADS workloads, $PODS pods, $OPEN in release"
kube_cluster fill "$WORKLOADS" "$PODS" "$OPEN"
say "filled; API server $(($(rss_kb "$API_PID") / 1024)) MiB"

# ---- many nodes ----
coproc NODES_IO { exec "$LWT_BUILD/tests/nodes" "$KUBE/agent.conf" "$NODES" 2>"$KUBE/nodes.err" | tee "$KUBE/nodes.out"; }
nodes_ready() { tail -n 1 "$KUBE/nodes.out" | grep "ready $NODES " >/dev/null; }
until_ok 600 "all nodes to be ready" nodes_ready
# sum WHAT SECONDS: requests and bytes a node a minute since the last.
sum() {
	local line
	echo >&"${NODES_IO[1]}"
	while read -r -t 30 line <&"${NODES_IO[0]}"; do
		case $line in sum*) break ;; esac
	done
	awk -v what="$1" -v s="$2" '{ n = $3; printf "%s: %.1f requests, %.0f bytes a node%s; %d objects, %d connections a node opened\n", what,
		$7 / n * (s ? 60 / s : 1), $9 / n * (s ? 60 / s : 1), s ? " a minute" : "", $13 / n, $11 / n }' <<<"$line"
}
sum "start" 0
cpu_begin "$API_PID"
timeout "$SECONDS_EACH" tail --pid=$$ -f /dev/null || true
sum "at rest" "$SECONDS_EACH"
say "  API server: $(cpu_used) % of a core"
cpu_begin "$API_PID"
changes=$(kube_cluster churn "$SECONDS_EACH" "$CHURN" "$WORKLOADS" "$PODS")
sum "$changes pod changes" "$SECONDS_EACH"
say "  API server: $(cpu_used) % of a core, $(($(rss_kb "$API_PID") / 1024)) MiB"
kube_cluster open $((WORKLOADS - 1))
timeout 5 tail --pid=$$ -f /dev/null || true
sum "a release begins" 0
kube_cluster close $((WORKLOADS - 1))
exec {NODES_IO[1]}>&-
wait "$NODES_IO_PID" || true

# ---- one agent ----
kube_agent_start
until_ok 60 "the first complete list" steering
say "agent: $(status_json | jq -r '"\([.source.watches[].objects] | add) objects in \(.source.watches | length) watches, \(.source.connections) connections, \(.source.bytes) bytes"'), $(($(rss_kb "$AGENT_PID"))) KiB"
kube_cluster steps 0 "$STEPS" "$LWT_SOCKET" 10.100.0.1 | percentiles "no churn"
kube_cluster churn 600 "$CHURN" "$WORKLOADS" "$PODS" >/dev/null &
churn=$!
cpu_begin "$AGENT_PID"
kube_cluster steps 0 "$STEPS" "$LWT_SOCKET" 10.100.0.1 | percentiles "$CHURN changes a second"
say "agent: $(cpu_used) % of a core, $(rss_kb "$AGENT_PID") KiB"
kill $churn
agent_stop
