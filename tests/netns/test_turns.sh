#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Requests of the lane are read and answered while another CPU asks what the process is at work on: the base request that it works on
# all the while is seen beside them, in whichever moment. TURNS_N (300000): calls that it makes;
# one in 100,000 was in the lane where the count of all was compared with that of the lane.
. "$(dirname "$0")/lib.sh"
setup
two_pods
N=${TURNS_N:-$([ "$LWT_SLOW" = 1 ] && echo 300000 || echo 20000)}
TURNS=$LWT_BUILD/tests/turns
pod_ns m
exec_pod m "$TURNS" serve "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/m.log" &
POD_PID[m]=$!
wait_port m "$LWT_PORT"
agent_start
mkfifo "$LWT_TMP/end"
exec_pod client "$TURNS" ask "${POD_IP[m]}:$LWT_PORT" <"$LWT_TMP/end" >"$LWT_TMP/turns" &
asking=$!
exec {END}>"$LWT_TMP/end"
canary=$(req client -m $((300 * LWT_SLOW)) "http://${POD_IP[m]}:$LWT_PORT/calls/$N")
exec {END}>&-
wait $asking || fail "the client of the lane"
say "$N calls of a base request beside $(<"$LWT_TMP/turns") requests of the lane: $canary in the lane"
expect_eq "calls of a base request in the lane" 0 "$canary"
[ "$(<"$LWT_TMP/turns")" -gt $((N / 100)) ] || fail "hardly any request came and went"
say ok
