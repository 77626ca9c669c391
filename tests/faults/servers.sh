#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What pods may come to under load: killed, hung, slow, unreachable, resetting, closing early, gone with their address given to
# another workload's pod at once. A canary's trouble is no base request's.
. "$(dirname "$0")/lib.sh"
world
threads=$((2 * LOAD_THREADS)) # of both namespaces: so many requests can be at one pod
agent_start

# stale NAME KIND: of a hundred requests, so many met a connection that was closed as they were sent.
stale() { echo $((100 * $(figure "$1" "$2.stale") / $(figure "$1" "$2.sent"))); }
# lost_at TARGETS NAME KIND: of the load's requests to these targets (0, 1: b1; 2, 3: b2).
lost_at() { cat "$LWT_TMP/$2"[12].log | awk -v t="$1" -v k="$3" '$1 == k && $2 == "lost" && index(t, $6) { n++ } END { print n + 0 }'; }
settled() { [ "$(flow_count)" = 0 ] && [ "$(find "/proc/$AGENT_PID/fd" -lname 'socket:*' | wc -l)" -le $((SOCKETS + 4)) ]; }
SOCKETS=$(find "/proc/$AGENT_PID/fd" -lname 'socket:*' | wc -l)

# hung NAME POD WHAT OTHERS: POD stands still for 5 s; requests of the OTHERS, base or lane, do not wait for it.
hung() {
	LOAD_TIMEOUT=30 load "$1"
	pause 1
	kill -STOP "${POD_PID[$2]}"
	pause 5
	kill -CONT "${POD_PID[$2]}"
	pause 1
	load_end "$1"
	result "$1" "$3 hung for 5 s, clients that wait"
	judge "$1" 0 0
	expect_most "$4 requests meanwhile, ms" 4000 "$(figure "$1" "$4.slowest_ms")"
}
# slow NAME POD WHAT
slow() {
	LOAD_TIMEOUT=30 load "$1"
	for _ in $(seq 12); do
		kill -STOP "${POD_PID[$2]}"
		pause 0.3
		kill -CONT "${POD_PID[$2]}"
		pause 0.1
	done
	load_end "$1"
	result "$1" "$3 that runs a quarter of the time"
	judge "$1" 0 0
}

if case_wanted canary-killed; then
	load killed --may-fall-back
	for _ in 1 2 3; do
		pause 1
		kill_server c1
		pause 1
		serve_again c1 gray
	done
	pause 1
	load_end killed
	result killed "a canary killed and refusing for 1 s, 3 times"
	judge killed 0 $((3 * threads))
fi

if case_wanted canary-hung; then
	hung hung c1 "a canary" base
fi

if case_wanted canary-slow; then
	slow slow c1 "a canary"
fi

if case_wanted canary-resets; then
	load resets --may-fall-back
	for _ in $(seq 15); do
		reset_all c1
		pause 0.2
	done
	load_end resets
	result resets "a canary that resets all its connections, 15 times"
	judge resets 0 $((15 * threads))
	[ "$(figure resets lane.lost)" -gt 0 ] || fail "no response was under way: the case shows nothing"
fi

if case_wanted canary-unreachable; then
	load unreachable --may-fall-back
	pause 1
	ip -n "$(ns_of c1)" link set eth0 down
	pause 3
	ip -n "$(ns_of c1)" link set eth0 up
	ip -n "$(ns_of c1)" route replace default via "$LWT_NET.1"
	ip -n "$(ns_of c1)" addr replace "${POD_IP6[c1]}/64" dev eth0 nodad
	pause 1
	load_end unreachable
	result unreachable "a canary's network down for 3 s"
	judge unreachable 0 $((2 * threads))
fi

if case_wanted base-hung; then
	hung bhung b1 "a base pod" lane
fi

if case_wanted base-slow; then
	slow bslow b1 "a base pod"
fi

if case_wanted base-killed; then
	load bkilled --may-fall-back
	pause 1
	kill_server b1
	pause 1
	serve_again b1 ""
	pause 1
	load_end bkilled
	result bkilled "a base pod killed and refusing for 1 s" "all lost at that pod"
	judge bkilled
	expect_eq "base requests lost at the other pod" 0 "$(lost_at "2 3" bkilled base)"
	expect_eq "lane requests lost by way of the other pod" 0 "$(lost_at "2 3" bkilled lane)"
fi

if case_wanted base-resets; then
	load bresets
	for _ in $(seq 15); do
		reset_all b1
		pause 0.2
	done
	load_end bresets
	result bresets "a base pod that resets all its connections, 15 times" "lost at the other pod: 0"
	judge bresets
	expect_eq "base requests lost at the other pod" 0 "$(lost_at "2 3" bresets base)"
	expect_eq "lane requests lost by way of the other pod" 0 "$(lost_at "2 3" bresets lane)"
fi

if case_wanted idle; then
	# Every client of such a server meets connections that end as it sends: compared with the same load as if there were no agent.
	for pod in b1 b2 c1 c2; do
		kill_server "$pod"
		serve_again "$pod" "$([ "${pod#c}" = "$pod" ] || echo gray)" --idle 40
	done
	LOAD_OUTSIDE=1 LOAD_PACE=40000 load_for $((6 * FAULT_SCALE)) alone --may-fall-back
	result alone "servers that close after 40 ms of quiet, no agent" "lost as at any server: $(stale alone base) and $(stale alone lane) of 100"
	judge alone
	expect_eq "alone: answered by a canary" 0 "$(figure alone lane.ok)"
	LOAD_PACE=40000 load_for $((6 * FAULT_SCALE)) idle --may-fall-back
	result idle "servers that close after 40 ms of quiet" "lost as at any server: $(stale idle base) of base, $(stale idle lane) of the lane, of 100"
	judge idle
	for kind in base lane; do
		expect_most "$kind, lost as at any server, of 100" $(($(stale alone $kind) + 6)) "$(stale idle $kind)"
	done
	expect_eq "base, lost otherwise than at any server" 0 $(($(figure idle base.lost) - $(figure idle base.stale)))
	# on a connection that is new to the client: the upstream socket had waited in the pool, and was closed as it was taken
	expect_most "lane, lost otherwise than at any server, of 100" 2 \
		$((100 * ($(figure idle lane.lost) - $(figure idle lane.stale)) / $(figure idle lane.sent)))
	expect_most "lane, answered by base, of 100" 2 $((100 * $(figure idle lane.fell_back) / $(figure idle lane.sent)))
	expect_eq "waited in vain" "0 0" "$(figure idle base.how.timeout) $(figure idle lane.how.timeout)"
	for pod in b1 b2 c1 c2; do
		kill_server "$pod"
		serve_again "$pod" "$([ "${pod#c}" = "$pod" ] || echo gray)"
	done
fi

if case_wanted address; then
	# c1 goes, and its address is another workload's pod's at once; its connections had no end anybody was told of.
	app other
	load reuse --may-fall-back --never intruder
	for i in $(seq $((3 * FAULT_SCALE))); do
		pause 0.5
		last=${POD_IP[c1]##*.}
		del pod-c1
		obj_pod "o$i" other other-1 1 "$(pod_ips c1)" "" | put "pod-o$i"
		state_sync
		unplug c1
		kill_server c1
		pod_ns_del c1
		pod_ns "o$i" "$last"
		serve "o$i" --name "o$i" --color intruder
		pause 1
		kill_server "o$i"
		pod_ns_del "o$i"
		del "pod-o$i"
		pod_ns c1 "$last"
		serve_again c1 gray
		put_pod c1
		state_sync
	done
	load_end reuse
	result reuse "a canary's address given to another workload's pod, $((3 * FAULT_SCALE)) times" "answered by that pod: 0"
	judge reuse 0 $((3 * FAULT_SCALE * threads))
fi

if case_wanted namespace; then
	# Clients and their whole namespace vanish in mid-request.
	load gone --may-fall-back
	pause 1
	for pid in ${LOAD_PIDS[gone]}; do
		kill -9 "$pid"
	done
	for ns in client1 client2; do
		ip netns del "$(ns_of $ns)"
		pod_ns $ns
	done
	until_ok 15 "flows and sockets of namespaces that are gone to be given up" settled
	load_for 3 again
	result again "namespaces of clients deleted under open connections; afterwards"
	judge again 0 0
fi
[ -d "/proc/$AGENT_PID" ] || fail "the agent is gone"
agent_stop
say ok
