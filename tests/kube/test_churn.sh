#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# CHURN_PODS (2000) Pods in CHURN_WORKLOADS (a fiftieth of that) workloads, half of which are in release, are turned over by
# CHURN_WRITES (three a Pod) at CHURN_RATE (200) a second. All the while a release with pods that serve goes from step to step, and
# requests of both lanes run: each step is in force soon, no answer is wrong or lost, memory stays, and in the end the agent has what
# the API server has.
. "$(dirname "$0")/lib.sh"
PODS=${CHURN_PODS:-2000} RATE=${CHURN_RATE:-200} STEPS=20
WORKLOADS=${CHURN_WORKLOADS:-$((PODS / 50))} WRITES=${CHURN_WRITES:-$((PODS * 3))} SEED=${CHURN_SEED:-1}

kube_setup
need bpftool
kube_two_pods
pod_ns c2
serve c2 --name c2 --color gray
pod_ns client1
pod_ns client2
# The Rollout of kube_two_pods, by whose own rule of step N requests with "x-step: N" enter.
ro=$(kapi GET "$ROLLOUTS/ro" | jq -c --argjson n $STEPS 'del(.status, .metadata.resourceVersion, .metadata.uid) |
	.spec.strategy.canary.trafficRoutings = [{service: "web", ingress: {classType: "nginx", name: "web"}}] |
	.spec.strategy.canary.steps = [range(1; $n + 1) | {replicas: 1, pause: {}, matches: [{headers: [{type: "Exact", name: "x-step", value: "\(.)"}]}]}]')
kapi DELETE "$ROLLOUTS/ro" >/dev/null
kapi POST "$ROLLOUTS" "$ro" >/dev/null
kube_rollout_status ro Healthy Completed Completed web web
kube_cluster fill "$WORKLOADS" "$PODS" $((WORKLOADS / 2))
say "$PODS Pods in $WORKLOADS workloads; API server $(($(rss_kb "$API_PID") / 1024)) MiB"

kube_agent_start
until_ok 120 "the first complete list" steering
kube_release
until_ok 30 "the lane to open" lanes_say 'any(.workloads[]; .name == "default/Deployment/web" and .open)'
compare() { kube_cluster compare "$LWT_SOCKET" "$LWT_BPFFS/laneway/pods"; }
compare || fail "the agent does not have what the API server has, before any change"

say "$WRITES writes at $RATE a second"
before=$(rss_kb "$AGENT_PID")
pids=()
for i in 1 2; do
	exec_pod client$i "$LWT_BUILD/tests/soak" --target "${POD_IP[b1]}:$LWT_PORT" --target "${POD_IP[b2]}:$LWT_PORT" \
		--target "${APP_VIP[web]}:80" --requests 1000000000 --threads 4 --pace 20000 --seed "$SEED$i" \
		>"$LWT_TMP/soak$i" 2>"$LWT_TMP/soak$i.err" &
	pids+=($!)
done
generation=$(status_json | jq .generation)
cpu_begin "$AGENT_PID"
kube_cluster turnover "$WRITES" "$RATE" "$WORKLOADS" "$PODS" "$SEED" >"$LWT_TMP/turnover" &
turnover=$!
step=1
while kill -0 $turnover 2>/dev/null; do
	last=$step step=$((step % STEPS + 1))
	if [ $((step % 2)) = 0 ]; then
		kube_pod c2 web web-x7k2q "${POD_IP[c2]}" gray
	else
		kapi DELETE "/api/v1/namespaces/default/pods/c2?gracePeriodSeconds=0" >/dev/null
	fi
	kube_cluster walk "$ROLLOUTS/ro" $step "$LWT_SOCKET" "${POD_IP[client]}" "${POD_IP[b1]}:$LWT_PORT" >>"$LWT_TMP/times"
	expect_like "entering by step $step, and by step $last" "c[12]gray b1" \
		"$(in_turn client "$B1/id" "x-step: $step" "x-step: $last" | names_only | paste -sd ' ')"
done
wait $turnover || fail "the API server refused a write"
cat "$LWT_TMP/turnover"
say "agent: $(cpu_used) % of a core, $(($(status_json | jq .generation) - generation)) generations"
percentiles "steps" <"$LWT_TMP/times"
wrong=0
for i in 1 2; do
	kill -TERM "${pids[$((i - 1))]}"
	wait "${pids[$((i - 1))]}" || wrong=1
done
jq -rs '"requests: base \(map(.base.sent) | add), \(map(.base.wrong) | add) wrong, \(map(.base.lost) | add) lost; " +
	"lane \(map(.lane.sent) | add), \(map(.lane.wrong) | add) wrong, \(map(.lane.lost) | add) lost"' "$LWT_TMP"/soak[12]
[ $wrong = 0 ] || fail "wrong or lost answers: $(cat "$LWT_TMP"/soak[12].err)"
for lane in base lane; do
	[ "$(jq -s "map(.$lane.ok) | add" "$LWT_TMP"/soak[12])" -gt 100 ] || fail "no requests ran: $lane"
done

compare || fail "the agent does not have what the API server has"
after=$(rss_kb "$AGENT_PID") peak=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$AGENT_PID/status")
say "agent: $((before / 1024)) MiB before, $((after / 1024)) MiB after, at most $((peak / 1024)) MiB; API server $(($(rss_kb "$API_PID") / 1024)) MiB"
[ "$peak" -le $((before * 3 / 2 + 16384)) ] || fail "the agent's memory grows"
kube_release_end
until_ok 30 "the lane to close" lanes_say 'any(.workloads[]; .name == "default/Deployment/web" and (.open | not))'
agent_stop
say ok
