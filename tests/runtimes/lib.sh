# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The world of runtimes.sh and of tests/netns/test_propagation_attacks.sh: pods `caller`, a program in the middle in a pod of
# its own without a canary, and the last service, w1 (base) and x1 (lane gray). Source it, call `runtimes_world`.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"
RUNTIMES=$LWT_ROOT/tests/runtimes
CALLER=$LWT_BUILD/tests/caller
# The trace header of the requests, and of answers.
TRACE_HEADER=${RUNTIME_TRACE:-traceparent}

# last_pod NAME base|canary LANE: says which pod it is, and what it was asked with which headers (see caller.c).
last_pod() {
	pod_ns "$1"
	LWT_PODS+=("$1")
	POD_APP[$1]=web POD_REV[$1]=$2
	nginx_conf "$LWT_TMP/$1" <<-END
		keepalive_timeout 1h;
		default_type text/plain;
		map "\$http_x_mse_tag" \$tag { "" -; default \$http_x_mse_tag; }
		map "\$http_${TRACE_HEADER//-/_}" \$trace { "" -; default \$http_${TRACE_HEADER//-/_}; }
		server {
			listen $LWT_PORT backlog=4096;
			location / { return 200 "lane=$3 uri=\$request_uri tag=\$tag trace=\$trace;"; }
		}
	END
	exec_pod "$1" "${NGINX[@]}" &
	POD_PID[$1]=$!
	wait_port "$1" "$LWT_PORT"
}
many_ports() { in_pod "$1" sysctl -qw net.ipv4.ip_local_port_range="2000 65535" net.ipv4.tcp_tw_reuse=1; }

# runtimes_world [OPTIONS OF THE AGENT]
runtimes_world() {
	need jq nginx
	setup
	app web gray
	app middle gray
	last_pod w1 base base
	last_pod x1 canary gray
	pod_ns caller
	many_ports caller
	release_by_user web
	# as in the example
	takes_part middle web
	agent_start "$@"
}

PROGRAM=
# program_pod NAME COMMAND...: runs it in a pod of its own, $PROGRAM, with the environment that start.sh knows. False if it does
# not answer in time. PROGRAM_FORWARD: none, trace, or tag.
program_pod() {
	local end=$((SECONDS + 60 * LWT_SLOW)) forward=${PROGRAM_FORWARD:-none}
	PROGRAM=m-$1
	shift
	[ "$forward" != trace ] || forward=$TRACE_HEADER
	pod_ns "$PROGRAM"
	many_ports "$PROGRAM"
	LWT_PODS+=("$PROGRAM")
	POD_APP[$PROGRAM]=middle POD_REV[$PROGRAM]=base
	put_pod "$PROGRAM"
	state_sync
	mkdir -p "$LWT_TMP/$PROGRAM"
	{
		ulimit -n "$(ulimit -Hn)" # as container runtimes do
		export PORT=$LWT_PORT UPSTREAM=${POD_IP[w1]}:$LWT_PORT FORWARD=$forward DIR=$LWT_TMP/$PROGRAM BUILD=$LWT_BUILD
		exec_pod "$PROGRAM" "$@"
	} >"$LWT_TMP/$PROGRAM.log" 2>&1 &
	POD_PID[$PROGRAM]=$!
	until [ "$(req caller -o /dev/null -w '%{http_code}' "http://${POD_IP[$PROGRAM]}:$LWT_PORT/ready" 2>/dev/null)" = 200 ]; do
		kill -0 "${POD_PID[$PROGRAM]}" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
# program_start NAME: one of `list`.
program_start() { program_pod "$1" "$RUNTIMES/start.sh" "$1"; }
# All of its processes; the agent, which may be in the namespace for a moment, is none of them.
program_pids() { ip netns pids "$(ns_of "$PROGRAM")" | grep -vx "$AGENT_PID" || true; }
program_gone() { [ -z "$(program_pids)" ]; }
program_end() {
	local pids
	pids=$(program_pids)
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
	wait "${POD_PID[$PROGRAM]}" 2>/dev/null || true
	until_ok 10 "$PROGRAM to end" program_gone
	del "pod-$PROGRAM"
	state_sync
	pod_ns_del "$PROGRAM"
	LWT_PODS=("${LWT_PODS[@]/#$PROGRAM/}")
	unset "POD_APP[$PROGRAM]" "POD_REV[$PROGRAM]"
	PROGRAM=
}

# call [CALLER OPTIONS]: the caller, from its pod to the program.
call() { in_pod caller "$CALLER" --target "${POD_IP[$PROGRAM]}:$LWT_PORT" --timeout $((30 * LWT_SLOW)) --trace-header "$TRACE_HEADER" "$@"; }
