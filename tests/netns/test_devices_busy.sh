#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernel has one lock for all network devices, and keeps it for as long as hundreds of pods take to end, or one that asks for something
# that is not there. Requests do not wait with it for a pod whose device comes, nor does whoever asks for the status.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/foreign.sh"
need jq python3
setup
python3 "$LWT_ROOT/tests/netns/clients/absent.py" || skip "no userfaultfd(2) for root here"
two_pods
agent_start
gray() { expect_like "$1" 'c1gray\[*' "$(who client "http://${POD_IP[b1]}:$LWT_PORT/id" -H 'x-mse-tag: gray')"; }
# Our program on the device, by a link or a filter.
is_attached() {
	grep -qsx "ifindex:[[:space:]]*$index" "/proc/$AGENT_PID/fdinfo/"* || [[ $(tc filter show dev "$device" egress) == *lw_to_pod* ]]
}

# a device that it is to be told of, once the lock is taken
kill -STOP "$AGENT_PID"
pod_ns late
device=$(device_of late)
index=$(cat "/sys/class/net/$device/ifindex")
coproc holder { python3 "$LWT_ROOT/tests/netns/clients/rtnl.py"; }
pid=$holder_PID
read -r -t $((20 * LWT_SLOW)) -u "${holder[0]}" line
expect_eq "the holder" locked "$line"
kill -CONT "$AGENT_PID"
until_ok 15 "the agent to want the lock" agent_is_stuck
for i in 1 2 3; do
	lw status --alive --timeout $((5 * LWT_SLOW)) >"$LWT_TMP/alive" 2>&1 || fail "the agent waits for the lock: $(cat "$LWT_TMP/alive")"
	gray "steered meanwhile"
done
echo >&"${holder[1]}"
wait "$pid"
until_ok 20 "the device to be attached to" is_attached
gray "steered afterwards"
agent_stop
say ok
