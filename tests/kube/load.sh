#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What agents cost a real kube-apiserver, and what it costs an agent: KUBE_WORKLOADS (1000) Rollouts of which KUBE_OPEN (50)
# progress, KUBE_PODS (10000), and KUBE_NODES (50) nodes' watches in one process, for KUBE_SECONDS (60) at rest and again
# while KUBE_CHURN (100) pods a second change; then one agent, steps of a release under the same churn.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
WORKLOADS=${KUBE_WORKLOADS:-1000} PODS=${KUBE_PODS:-10000} OPEN=${KUBE_OPEN:-50} NODES=${KUBE_NODES:-50}
SECONDS_EACH=${KUBE_SECONDS:-60} CHURN=${KUBE_CHURN:-100} STEPS=${KUBE_STEPS:-100}

cluster() { python3 "$KUBE_HERE/cluster.py" "$API" "$KUBE/pki/ca.crt" "$KUBE_TOKEN" "$@"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rss_kb() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"; }
hz=$(getconf CLK_TCK)

kube_setup
say "filling: $WORKLOADS workloads, $PODS pods, $OPEN in release"
cluster fill "$WORKLOADS" "$PODS" "$OPEN"
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
before=$(ticks "$API_PID")
timeout "$SECONDS_EACH" tail --pid=$$ -f /dev/null || true
sum "at rest" "$SECONDS_EACH"
say "  API server: $((($(ticks "$API_PID") - before) * 100 / hz / SECONDS_EACH)) % of a core"
before=$(ticks "$API_PID")
changes=$(cluster churn "$SECONDS_EACH" "$CHURN" "$WORKLOADS" "$PODS")
sum "$changes pod changes" "$SECONDS_EACH"
say "  API server: $((($(ticks "$API_PID") - before) * 100 / hz / SECONDS_EACH)) % of a core, $(($(rss_kb "$API_PID") / 1024)) MiB"
cluster open $((WORKLOADS - 1))
timeout 5 tail --pid=$$ -f /dev/null || true
sum "a release begins" 0
cluster close $((WORKLOADS - 1))
exec {NODES_IO[1]}>&-
wait "$NODES_IO_PID" || true

# ---- one agent ----
kube_agent_start
until_ok 60 "the first complete list" steering
say "agent: $(status_json | jq -r '"\([.source.watches[].objects] | add) objects in \(.source.watches | length) watches, \(.source.connections) connections, \(.source.bytes) bytes"'), $(($(rss_kb "$AGENT_PID"))) KiB"
# Of "TOTAL WRITE" a line: the server has answered the write after WRITE ms.
percentiles() {
	cat >"$KUBE/times"
	awk '{ print $1 }' "$KUBE/times" | percentile "$1, from before the write until in force"
	awk '{ print ($1 > $2 ? $1 - $2 : 0) }' "$KUBE/times" | percentile "$1, from the answer to the write until in force"
}
percentile() {
	sort -n | awk -v what="$1" '{ v[NR] = $1 } END { printf "%s: %d steps, p50 %.1f ms, p99 %.1f ms, highest %.1f ms\n", what, NR,
		v[int((NR + 1) / 2)], v[int(NR * .99 + .5)], v[NR] }'
}
before=$(ticks "$AGENT_PID") begin=$EPOCHSECONDS
cluster steps 0 "$STEPS" "$LWT_SOCKET" 10.100.0.1 | percentiles "no churn"
cluster churn 600 "$CHURN" "$WORKLOADS" "$PODS" >/dev/null &
churn=$!
before=$(ticks "$AGENT_PID") begin=$EPOCHREALTIME
cluster steps 0 "$STEPS" "$LWT_SOCKET" 10.100.0.1 | percentiles "$CHURN changes a second"
say "agent: $(awk -v t=$(($(ticks "$AGENT_PID") - before)) -v hz="$hz" -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", t / hz / (b - a) * 100 }') % of a core, $(rss_kb "$AGENT_PID") KiB"
kill $churn
agent_stop
