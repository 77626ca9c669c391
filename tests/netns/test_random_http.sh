#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/1.x at random, of both sides' making, on connections that carry both lanes in turn: all of it comes whole, and in its lane.
# HTTP_SEED, HTTP_COUNT, HTTP_THREADS, HTTP_PIPES: others, and more.
. "$(dirname "$0")/lib.sh"
need python3
setup
two_pods
for name in "${LWT_PODS[@]}"; do
	stop_pid "${POD_PID[$name]}"
	color=
	[ "${POD_REV[$name]}" = base ] || color=gray
	exec_pod "$name" python3 "$LWT_ROOT/tests/netns/clients/random_http.py" serve "$name$color[]" "$LWT_PORT" 2>"$LWT_TMP/$name.log" &
	POD_PID[$name]=$!
	wait_port "$name" "$LWT_PORT"
done
agent_start "$@"
in_pod client python3 "$LWT_ROOT/tests/netns/clients/random_http.py" ask "${HTTP_SEED:-1}" "${HTTP_COUNT:-150}" "${HTTP_THREADS:-8}" \
	"${POD_IP[b1]}" "$LWT_PORT" "${POD_IP[b2]}" "${POD_IP[c1]}" || fail "$(tail -n 20 "$LWT_TMP"/[bc]?.log)"
for name in "${LWT_PODS[@]}"; do
	! grep . "$LWT_TMP/$name.log" || fail "$name said so"
done
say "$(lw stats)"
say ok
