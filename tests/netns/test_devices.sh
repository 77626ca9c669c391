#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent leaves on a pod's device: nothing. Where the kernel has no tcx (before 6.6) its program is a classic filter,
# on a clsact qdisc: that goes with the filter if an agent made it, whichever that was, and nobody else has a filter there.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/foreign.sh"
need tc jq
setup
pod_ns client
device=$(device_of client)
clsact() { tc qdisc show dev "$device" | grep -c clsact || true; }
filters() { tc filter show dev "$device" egress | grep -c "$1" || true; }

agent_start
# by filter 1, by tcx 0
how=$(clsact)
expect_eq "ours" "$how" "$(filters lw_to_pod)"
say "clsact: $how"
# It leaves its bridge, which is told in the words for a device that has gone, and comes back: it is the same link all the time.
if [ "$how" = 0 ]; then
	# ids of the agent's links to a pod's device
	links() {
		cat "/proc/$AGENT_PID/fdinfo/"* 2>/dev/null |
			awk -v i="$(cat "/sys/class/net/$1/ifindex")" '$1 == "link_id:" { id = $2 } $1 == "ifindex:" && $2 == i { print id }'
	}
	link=$(links "$device")
	[ -n "$link" ] || fail "no link to $device"
	ip link set "$device" nomaster
	ip link set "$device" master "lwb$$"
	pod_ns told
	has_link() { [ -n "$(links "$(device_of told)")" ]; }
	until_ok 20 "a link to a device that came later" has_link
	expect_eq "off its bridge and on again" "$link" "$(links "$device")"
fi
agent_stop
expect_eq "stopped" "0 0" "$(clsact) $(filters lw_to_pod)"

agent_start
agent_kill
expect_eq "killed" "$how $how" "$(clsact) $(filters lw_to_pod)"
agent_start
expect_eq "the next one" "$how $how" "$(clsact) $(filters lw_to_pod)"
agent_stop
expect_eq "the next one stopped" "0 0" "$(clsact) $(filters lw_to_pod)"

agent_start
agent_kill
"$LANEWAY" cleanup --bpffs "$LWT_BPFFS" >/dev/null
expect_eq "cleaned up" "0 0" "$(clsact) $(filters lw_to_pod)"

# One takes over from another.
agent_start
first=$AGENT_PID LWT_SOCKET=$LWT_TMP/second.sock
agent_start --take-over
kill -TERM "$first"
wait "$first" || fail "the first agent's exit code is $?"
expect_eq "the first has ended" "$how $how" "$(clsact) $(filters lw_to_pod)"
agent_stop
expect_eq "both have ended" "0 0" "$(clsact) $(filters lw_to_pod)"

# Somebody else's filter, on either side, that came later.
foreign tc "$LWT_BPFFS/foreign_tc"
for side in ingress egress; do
	agent_start
	tc qdisc replace dev "$device" clsact
	tc filter add dev "$device" $side prio 7 protocol all bpf direct-action object-pinned "$LWT_BPFFS/foreign_tc"
	agent_stop
	expect_like "$side: theirs is still there" '*foreign_tc*' "$(tc filter show dev "$device" $side)"
	expect_eq "$side: ours is not" 0 "$(filters lw_to_pod)"
	tc qdisc del dev "$device" clsact
done
foreign_end

# Somebody else's qdisc, though nothing is on it: also behind an agent that was killed.
tc qdisc add dev "$device" clsact
agent_start
agent_kill
agent_start
expect_eq "their qdisc" "1 $how" "$(clsact) $(filters lw_to_pod)"
agent_stop
expect_eq "their qdisc, and we have gone" "1 0" "$(clsact) $(filters lw_to_pod)"
agent_start
agent_kill
"$LANEWAY" cleanup --bpffs "$LWT_BPFFS" >/dev/null
expect_eq "their qdisc, cleaned up" "1 0" "$(clsact) $(filters lw_to_pod)"
tc qdisc del dev "$device" clsact

# The next agent is told of fewer devices than the one that was killed: none is left on the others. (Where the agent uses tcx the
# filter is put there by hand, as one of a kernel without it would have done.)
agent_start
agent_kill
ip link set "$device" down
ip link set "$device" name "lwd$$"
device=lwd$$
ip link set "$device" up
left() {
	[ "$how" = 0 ] || return 0
	tc qdisc add dev "$device" clsact
	tc filter add dev "$device" egress pref 27767 handle 0x6c78 bpf direct-action object-pinned "$1/laneway/prog_to_pod"
}
left "$LWT_BPFFS"
expect_eq "a device of another name now" "1 1" "$(clsact) $(filters lw_to_pod)"
agent_start
expect_eq "which the next agent is not told of" "0 0" "$(clsact) $(filters lw_to_pod)"
agent_stop
# It is another agent's, which lives: that is let be.
other=$LWT_BPFFS in=$LWT_CGROUP
LWT_BPFFS=$other/second LWT_SOCKET=$LWT_TMP/third.sock LWT_CGROUP=$LWT_CGROUP_TOP/out
mkdir "$LWT_BPFFS"
agent_start --device "$device"
left "$LWT_BPFFS"
first=$AGENT_PID LWT_BPFFS=$other LWT_SOCKET=$LWT_TMP/fourth.sock LWT_CGROUP=$in
agent_start
expect_eq "another agent's" "1 1" "$(clsact) $(filters lw_to_pod)"
agent_stop
kill -TERM "$first"
wait "$first" || fail "the other agent's exit code is $?"
"$LANEWAY" cleanup --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" >/dev/null
expect_eq "cleaned up" "0 0" "$(clsact) $(filters lw_to_pod)"
rmdir "$other/second"

# Very many that go while the agent is held up: of most of them it is not told.
agent_start
before=$(agent_fds)
pod_ns many
for i in {1000..1149}; do echo "link add lwv$$x$i type veth peer name p$i netns $(ns_of many)"; done >"$LWT_TMP/add"
ip -batch "$LWT_TMP/add"
attached() { [ "$how" = 1 ] && [ "$(tc qdisc show | grep -c "clsact.*dev lwv$$x1[01]")" = 150 ] || [ "$(agent_fds)" -ge $((before + 150)) ]; }
until_ok 20 "the devices to be attached to" attached
kill -STOP "$AGENT_PID"
sed 's/^link add \([^ ]*\).*/link del \1/' "$LWT_TMP/add" >"$LWT_TMP/del"
ip -batch "$LWT_TMP/del"
kill -CONT "$AGENT_PID"
forgotten() { [ "$(agent_fds)" -le $((before + 10)) ]; }
until_ok 20 "the devices that have gone to be forgotten" forgotten
agent_stop

# What the status says of them is how it is now. (That there is none is warned of after a minute: tests/unit/test_lookout.c.)
devices() { lw status -o json | jq -r '.devices | "\(.patterns) \(.attached)"'; }
on() { [ "$(devices)" = "1 $1" ]; }
LWT_DEVICE=lwn$$x
agent_start
expect_eq "no device" "1 0" "$(devices)"
expect_like "no device, for people" '*no device: none that --device names has the program: there is no FIN guard*not read*' "$(lw status)"
ip link add "lwn$$x1" type veth peer name p1 netns "$(ns_of client)"
until_ok 20 "a device that comes" on 1
expect_like "for people" '*devices    1 of pods*' "$(lw status)"
expect_eq "a metric" "laneway_devices 1" "$(lw metrics | grep '^laneway_devices ')"
ip link del "lwn$$x1"
until_ok 20 "it to go" on 0
agent_stop
say ok
