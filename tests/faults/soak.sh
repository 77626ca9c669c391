#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The soak with faults at random: MINUTES (10) of mixed load, one fault after the other, drawn from SEED. Nothing may be wrong;
# what is lost must be explained by a fault that could hit it (explain.py). `make soak-faults SEED=1 MINUTES=60`.
. "$(dirname "$0")/lib.sh"
SEED=${SEED:-$(date +%s)} MINUTES=${MINUTES:-10}
FAULT_SEED=$SEED
world
app other
wire_plain client1 client2 b1 b2 c1 c2
wire_lay c1
wire_lay b1
RANDOM=$((SEED % 32768))
agent_start

draw() { DRAWN=$((RANDOM % $1)); }
declare -A RSS FDS KERNEL
memory() {
	RSS[$1]=$(rss_kb "$AGENT_PID") FDS[$1]=$(agent_fds)
	KERNEL[$1]=$(kernel_kb)
	say "$1: agent RSS ${RSS[$1]} kB, descriptors ${FDS[$1]}, kernel ${KERNEL[$1]} kB"
}
start_agent_again() {
	"$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" \
		--device "lwv$$x*" >>"$LWT_TMP/agent.log" 2>&1 &
	AGENT_PID=$!
	until_ok 20 "the next agent to steer" steers
}
agent_killed() {
	agent_kill
	pause "1.$1"
	start_agent_again
}
agent_stopped() {
	kill -STOP "$AGENT_PID"
	pause "$1"
	kill -CONT "$AGENT_PID"
}
server_killed() { # POD COLOR
	kill_server "$1"
	pause 0.5
	serve_again "$1" "${2:-}"
}
server_hung() {
	kill -STOP "${POD_PID[$1]}"
	pause "$2"
	kill -CONT "${POD_PID[$1]}"
}
server_resets() {
	local i
	for i in 1 2 3 4 5; do
		reset_all "$1"
		pause 0.2
	done
}
bad_cable() {
	wire_set "$1" --loss 20 --reorder 50 --dup 50 --corrupt 10 --delay 1 --jitter 2
	pause 3
	wire_set "$1"
}
# A Rollout of another version steps its matches: x-user is xiaoming's, then nobody's, then his again; then the TrafficRouting is back.
plan() {
	local user
	for user in xiaoming nobody xiaoming; do
		printf -- '- pause: {}\n  replicas: 1\n  matches: [{headers: [{name: x-user, value: %s}]}]\n  requestHeaderModifier:\n' "$user"
		printf '    set: [{name: x-mse-tag, value: gray}, {name: x-set, value: new}]\n    add: [{name: x-add, value: more}]\n    remove: [x-secret]\n'
	done
}
steps() {
	local at
	plan | rollout_step 1 StepUpgrade
	del tr-web
	for at in "1 StepTrafficRouting" "1 StepPaused" "2 StepUpgrade" "2 StepPaused" "3 BeforeStepUpgrade" "3 StepTrafficRouting" "3 StepReady"; do
		# shellcheck disable=SC2086
		plan | rollout_step $at
		state_sync
		pause 0.1
	done
	open_lane
	state_sync
}
lane_closed() {
	release_end web web
	pause 1
	open_lane
	state_sync
}
address_reused() {
	local last=${POD_IP[c2]##*.}
	del pod-c2
	obj_pod o1 other other-1 1 "$(pod_ips c2)" "" | put pod-o1
	state_sync
	unplug c2
	kill_server c2
	pod_ns_del c2
	pod_ns o1 "$last"
	serve o1 --name o1 --color intruder
	pause 0.5
	kill_server o1
	pod_ns_del o1
	del pod-o1
	pod_ns c2 "$last"
	wire_plain c2
	serve_again c2 gray
	put_pod c2
	state_sync
}

# "NAME WHO COMMAND": who may lose requests of its own for it: lane, b1 (all that clients send to that pod), or nobody.
FAULTS=(
	"agent-kill lane agent_killed 0" "agent-kill lane agent_killed 9" "agent-stop lane agent_stopped 3"
	"canary-kill lane server_killed c1 gray" "canary-hang nobody server_hung c1 3" "canary-reset lane server_resets c1"
	"base-kill b1 server_killed b1" "base-hang nobody server_hung b1 2" "base-reset b1 server_resets b1"
	"cable-canary cable bad_cable c1" "cable-base cable bad_cable b1"
	"steps nobody steps" "lane-closed nobody lane_closed" "address-reuse lane address_reused"
)
say "seed $SEED, $MINUTES minutes"
memory start
LOAD_TIMEOUT=20 LOAD_PACE=${LOAD_PACE:-15000} load soak --may-fall-back --never intruder
end=$((SECONDS + MINUTES * 60)) n=0
: >"$LWT_TMP/faults"
while [ "$SECONDS" -lt "$end" ]; do
	draw 30
	pause "1.$DRAWN"
	draw ${#FAULTS[@]}
	# shellcheck disable=SC2206
	fault=(${FAULTS[$DRAWN]})
	from=$(mono)
	n=$((n + 1))
	say "fault $n at $((SECONDS - end + MINUTES * 60)) s: ${fault[*]:0:1} ${fault[*]:3}"
	"${fault[@]:2}"
	echo "$from $(mono) ${fault[0]} ${fault[1]}" >>"$LWT_TMP/faults"
	for pid in ${LOAD_PIDS[soak]}; do
		kill -0 "$pid" || fail "the load is gone"
	done
done
pause 3
load_end soak
result soak "$MINUTES minutes, $n faults at random, seed $SEED"
status=0
python3 "$LWT_ROOT/tests/faults/explain.py" "$LWT_TMP/faults" "$LWT_TMP"/soak[12].log || status=$?
no_flows() { [ "$(flow_count)" = 0 ]; }
until_ok 15 "every connection to be given up" no_flows
memory end
lw stats
judge soak
[ "$status" = 0 ] || { load_dump; fail "requests were lost that no fault explains"; }
given_back() {
	memory end
	[ "${RSS[end]}" -le $((RSS[start] + 4096)) ] && [ "${FDS[end]}" -le $((FDS[start] + 16)) ] && kernel_within $((KERNEL[start] + 65536)) "${KERNEL[end]}"
}
until_ok 300 "memory and descriptors to be given back" given_back
say_unjudged
[ -z "$(kernel_complaints)" ] || fail "the kernel complained"
say ok
