#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A response that the agent carries, as its reader is slow (relay.c), and the agent's end: until the client has it, it is waited for, and
# then the connection is one like others.
. "$(dirname "$0")/lib.sh"
need python3
setup
two_pods
GO=$LWT_TMP/go
for pod in b1 c1; do
	stop_pid "${POD_PID[$pod]}"
	exec_pod $pod python3 "$LWT_ROOT/tests/netns/clients/odd_server.py" $pod "$LWT_PORT" "$LWT_TMP/$pod.log" "$GO" &
	POD_PID[$pod]=$!
	wait_port $pod "$LWT_PORT"
done
is_carried() { pinned ups | jq -e 'any(.[].formatted.value; .flags < 512 and .flags % 128 >= 64)'; }

agent_start
in_pod client python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "${POD_IP[b1]}" "$LWT_PORT" $((10 * LWT_SLOW)) \
	GET::/id send:GET:gray:/huge "wait:$GO.read" read "touch:$GO.has" "wait:$GO.next" GET::/id GET:gray:/id >"$LWT_TMP/steps" &
pid=$!
until_ok 20 "the agent to carry the response" is_carried
: >"$GO.read"
until_ok 20 "the client to have it" test -e "$GO.has"
agent_stop
: >"$GO.next"
wait $pid
expect_eq "the connection, behind the agent's end" "b1 c1 b1 b1" "$(cat "$LWT_TMP/steps")"

say "one that ends in the middle of it"
rm "$GO".*
agent_start
in_pod client python3 "$LWT_ROOT/tests/netns/clients/odd_client.py" "${POD_IP[b1]}" "$LWT_PORT" $((20 * LWT_SLOW)) \
	GET::/id send:GET:gray:/huge "wait:$GO.read" read >"$LWT_TMP/steps" &
pid=$!
until_ok 20 "the agent to carry the response" is_carried
agent_stop
: >"$GO.read"
wait $pid
expect_like "the client" "b1 Connection*Error" "$(cat "$LWT_TMP/steps")"
say ok
