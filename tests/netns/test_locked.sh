#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A client whose socket is locked for as long as it likes, for it sends memory that is not there: nobody else waits with it, neither an
# agent that starts nor one that has to end its connection.
. "$(dirname "$0")/lib.sh"
need jq python3
setup
two_pods
LOCKED=$LWT_ROOT/tests/netns/clients/locked.py
python3 "$LWT_ROOT/tests/netns/clients/absent.py" || skip "no userfaultfd(2) for root here"
said() { read -r -t $((30 * LWT_SLOW)) -u "${client[0]}" line && expect_eq "the client" "$1" "$line"; }
# lock POD REQUEST
lock() {
	coproc client { in_pod "$1" python3 "$LOCKED" "${POD_IP[b1]}" "$LWT_PORT" "$2"; }
	pid=$client_PID
	said locked
}
# What the client prints then; it lets go.
unlock() {
	echo >&"${client[1]}"
	said "$1"
	wait "$pid"
}
alive() { lw status --alive --timeout $((5 * LWT_SLOW)) >"$LWT_TMP/alive" 2>&1 || fail "$1: $(cat "$LWT_TMP/alive")"; }
gray() { expect_like "$1" 'c1gray\[*' "$(who client "http://${POD_IP[b1]}:$LWT_PORT/id" -H 'x-mse-tag: gray')"; }

# before the agent: it lists the connections of every pod
lock client ""
agent_start
alive "an agent that has started beside it"
gray "steered meanwhile"
grep -q 'kept a socket locked for long' "$LWT_TMP/agent.log" || fail "the agent has not said which pod it could not list"
if grep -q 'list the connections that pods have accepted' "$LWT_TMP/agent.log"; then
	say "this kernel lists for one at a time: no pod has evidence by threads"
else
	expect_eq "pods that could not be listed" 1 "$(pinned at_unseen | jq '[.[].formatted.value] | add')"
fi
echo >&"${client[1]}"
wait "$pid"

# a response that is cut off: the client's connection is to be reset
lock client "GET /drip/1000/100 HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\n\r\n"
steered() { lw flows -o json | jq -e '[.. | objects | select(.lane? == "gray" and .requests? == 1)] | length == 1'; }
until_ok 15 "its request" steered
stop_pid "${POD_PID[c1]}"
serve c1 --name c1 --color gray
until_ok 15 "the agent to want the lock" agent_is_stuck
alive "an agent that has a locked connection to reset"
gray "another client's request meanwhile"
unlock reset

# a response whose end is the connection's
lock client "GET /slow/300 HTTP/1.1\r\nHost: web\r\nx-mse-tag: gray\r\nConnection: close\r\n\r\n"
until_ok 15 "its request" steered
until_ok 15 "the agent to want the lock" agent_is_stuck
alive "an agent that has an end of file for a locked connection"
gray "another client's request meanwhile"
unlock end
agent_stop
say ok
