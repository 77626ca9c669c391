#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An agent ends while a pod is at work on a request of the lane: what the pod sends afterwards for others is base, and bears no
# tag, that the next agent's node would believe. The counts go on without an agent, so that they end with that request.
. "$(dirname "$0")/lib.sh"
need python3
setup
two_pods
gray='x-mse-tag: gray'
pod_ns mid
exec_pod mid python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/mid.log" &
POD_PID[mid]=$!
wait_port mid "$LWT_PORT"
call() { req client -m $((60 * LWT_SLOW)) ${2:+-H "$2"} "http://${POD_IP[mid]}:$LWT_PORT$1" | sed 's/\[[^]]*\]//'; }
total() { bpftool -j map dump pinned "$LWT_BPFFS/laneway/procs" | jq --argjson pid "${POD_PID[mid]}" '[.[].formatted | select(.key.tid == $pid) | .value.total] | add // 0'; }
at_work() { [ "$(total)" = "$1" ]; }
base() { # WHAT N
	local i
	for i in $(seq "$2"); do
		expect_eq "$1, a base request ($i)" "b1 tag=" "$(call /told)"
	done
}

# end HOW OPTIONS...: of an agent with these options
ends() {
	local how=$1
	shift
	say "$how ${*}"
	agent_start "$@"
	expect_eq "before, tagged" "c1gray tag=gray" "$(call /told "$gray")"
	base "before" 2
	call "/park/$how" "$gray" >"$LWT_TMP/parked" &
	local caller=$!
	until_ok 10 "the request to be read" at_work 1
	"$how"
	base "at once" 3
	until_ok 10 "the agent to be held for dead" silent
	base "without an agent" 3
	expect_eq "let go" gone "$(call "/go/$how")"
	wait "$caller"
	until_ok 10 "nothing to be at work" at_work 0
	base "when nothing is at work" 3
}
silent() {
	bpftool -j map dump pinned "$LWT_BPFFS/laneway/config" | jq '.[0].formatted.value | .heartbeat_ns + .heartbeat_max_ns' |
		python3 -c 'import time; raise SystemExit(time.monotonic_ns() < int(input()))'
}
need bpftool jq
ends agent_kill
ends agent_stop --leave-hooks always
# and the next one begins anew, with hooks of its own
agent_start
expect_eq "the next agent, tagged" "c1gray tag=gray" "$(call /told "$gray")"
base "the next agent" 2
agent_stop
[ ! -e "$LWT_BPFFS/laneway" ] || fail "left behind: $(ls "$LWT_BPFFS/laneway")"
say ok
