#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# TCP is under memory pressure (the second number of net.ipv4.tcp_mem): a socket that holds more than its share of the third is refused some. What is
# sent past TCP would be taken in part, and the rest be lost without a word, so that TCP carries it (lw_tcp_is_tight()).
. "$(dirname "${BASH_SOURCE[0]}")/../faults/lib.sh"
grep -q laneway.guest= /proc/cmdline || fail "in a guest only: it takes TCP's memory from the whole machine"
SIZE=600000 READERS=8 HELD=50 SHARE=40 # of bytes, readers, connections, and pages
world
open_lane
TCP_MEM=/proc/sys/net/ipv4/tcp_mem
was=$(cat "$TCP_MEM")
trap 'code=$?; echo "$was" >"$TCP_MEM"; teardown $code' EXIT
agent_start

tcp() { awk -v name="$1" '/^TCP:/ { for (i = 1; i < NF; i++) if ($i == name) print $(i + 1) }' /proc/net/sockstat; }
# what has come to the clients by their device; past TCP there comes none of it
arrived() { ip -n "$(ns_of client2)" -s -j link show eth0 | jq '.[0].stats64.rx.bytes'; }
# slow_ones WHAT: of the whole of their answers, how many percent came by TCP
slow_ones() {
	local before
	before=$(arrived)
	crowds slow 1 slow $READERS --tagged 100 --size $SIZE --kbps 300 --timeout $((30 * LWT_SLOW))
	crowds_wait slow
	result slow "$1: $READERS slow readers of $SIZE bytes"
	expect_eq "$1: wrong, lost, by base" "0 0 0" "$(figure slow lane.wrong) $(figure slow lane.lost) $(figure slow lane.fell_back)"
	expect_eq "$1: whole" $READERS "$(figure slow lane.ok)"
	BY_TCP=$((($(arrived) - before) * 100 / (READERS * SIZE)))
}

# So much that TCP does not fall below the first number of itself between two crowds: processors keep a MB each (SK_MEMORY_PCPU_RESERVE)
python3 "${BASH_SOURCE[0]%/*}/hog.py" 2 "$LWT_TMP/hogs" &
until_ok 60 "some of TCP's memory to be taken" test -e "$LWT_TMP/hogs"
crowds held 2 hold $((HELD / 2)) --tagged 0
until_ok 60 "connections that hold nothing" crowds_held held
slow_ones "enough memory"
expect_most "with enough memory, came by TCP, percent" 50 $BY_TCP

# far below the third number, which is another matter (memory.sh)
alloc=$(tcp alloc)
echo "1 2 $((alloc * SHARE))" >"$TCP_MEM"
say "$alloc sockets of TCP, $(tcp mem) pages: one may hold $SHARE pages of $((alloc * SHARE))"
slow_ones "under pressure"
[ "$BY_TCP" -ge 95 ] || fail "under pressure only $BY_TCP % came by TCP"
expect_eq "what the agent leaves to TCP" 0 "$(counted tcp-memory)"

# it lasts until TCP is back below the first number
echo "1 $((alloc * SHARE - 1)) $((alloc * SHARE))" >"$TCP_MEM"
slow_ones "below the second number"
[ "$BY_TCP" -ge 95 ] || fail "below the second number only $BY_TCP % came by TCP"

echo "$was" >"$TCP_MEM"
slow_ones "enough memory again"
expect_most "again, came by TCP, percent" 50 $BY_TCP
crowds_go held
crowds_wait held
judge held 0
agent_stop
say ok
