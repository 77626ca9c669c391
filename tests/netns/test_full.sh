#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The maps of connections at their limits, one after the other: what docs/limits.md says happens, counted by its reason; no base
# request is lost or in the canary; with room again all is as before. fill.c takes the places that very many connections would.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fill.sh"
need jq bpftool python3
setup
app web gray
# longer than anything is kept from a processor between connecting and asking
IDLE_MS=$((2000 * LWT_SLOW))
pod b1 web base --idle "$IDLE_MS"
pod b2 web base
pod c1 web canary
pod_ns client
pod_ns other
release_by_user web
agent_start
targets
kube_proxy client "${APP_VIP[web]}" 80 c1 c1
base "before"
lane "before" c1gray

# Not enrolled: those that are go on in their lanes.
fills_flows() { fills full flows; }
# The kernel has nothing to note a socket in. (Where a network namespace has no such setting of its own, it is every socket's.)
fills_sk() { in_pod client sysctl -qw net.core.optmem_max=1; }
filled_sk() { in_pod client sysctl -qw net.core.optmem_max=131072; }
not_enrolled() {
	hold client "${POD_IP[b2]}" "$LWT_PORT"
	expect_like "$1: enrolled before" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	look "$2"
	"fills_$1"
	base "$1"
	expect_like "$1: base by a Service for which the node would choose the canary" 'b[12]\[*' "$(who client "http://${APP_VIP[web]}/id")"
	lane "$1" 'b[12]'
	expect_like "$1: enrolled before, with the tag" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	expect_like "$1: enrolled before, base" '200 b2\[*' "$(hold_get "" /id)"
	expect_eq "$1: connections counted as $2" 10 "$(more "$2")"
	"$3"
	hold_end
	as_before "$1"
}
not_enrolled flows flows-full filled
if in_pod client test -w /proc/sys/net/core/optmem_max; then
	not_enrolled sk enrol filled_sk
fi

# No FIN guard: who waits longer than the own peer sees its end.
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "tuples: the guard" '200 c1gray\[*' "$(hold_get "$tag" "/slow/$((IDLE_MS * 3 / 2))")"
hold_end
fills full tuples
base "tuples"
lane "tuples" c1gray
hold client "${POD_IP[b1]}" "$LWT_PORT"
expect_like "tuples: longer than the own peer's patience" 'EOFError *' "$(hold_get "$tag" "/slow/$((IDLE_MS * 3 / 2))")"
hold_end
filled
as_before "tuples"

# No bypass: requests and answers take the connection.
on_the_wire() { pinned ups | jq '[.[].formatted.value | select(.down > 0 and .flags < 512) | .flags / 128 | floor % 2] | add // 0'; }
held_thrice() {
	for _ in 1 2 3; do
		expect_like "$1: on one connection" '200 c1gray\[*' "$(hold_get "$tag" /id)"
	done
}
hold client "${POD_IP[b2]}" "$LWT_PORT"
held_thrice "before"
bypass=$((1 - $(on_the_wire)))
expect_eq "there is a bypass here" 1 "$bypass"
hold_end
# Upstream sockets that were ready before keep theirs: those are taken first.
takes_the_wire() {
	local wire
	hold client "${POD_IP[b2]}" "$LWT_PORT"
	held_thrice "fars"
	wire=$(on_the_wire)
	hold_end
	[ "$wire" = 1 ]
}
fills full fars
base "fars"
lane "fars" c1gray
until_ok 20 "fars: a connection on the wire" takes_the_wire
filled
as_before "fars"
fills churn connecting
base "connecting"
lane "connecting" c1gray
filled
as_before "connecting"
hold client "${POD_IP[b2]}" "$LWT_PORT"
held_thrice "after"
expect_eq "the bypass again" 0 "$(on_the_wire)"
hold_end

# Nothing is remembered of what has arrived: what comes twice would be seen twice, all else is right.
fills full streams
base "streams"
lane "streams" c1gray
filled
as_before "streams"

# No pool for a client that has none yet: each request is carried to its upstream socket.
NS=other
fills full pools
look pool-empty
for _ in {1..5}; do lane "pools" c1gray; done
expect_eq "pools: requests carried" 20 "$(more pool-empty)"
base "pools"
filled
takes() {
	look pool-empty
	lane "pools, room again" c1gray
	[ "$(more pool-empty)" -lt 4 ]
}
until_ok 20 "sockets from a pool" takes
NS=client

# Kinds of counters: those that are new count by their reason alone.
# A connection whose second request cannot be read.
odd() { (in_turn client "$B2/id" "" 'Content-Length: x') >/dev/null 2>&1 || true; }
by_reason() { lw stats -o json | jq --arg r "$1" '[.stats[] | select(.reason == $r and .workload == "-") | .count] | add // 0'; }
expect_eq "stats: not counted yet" 0 "$(counted opaque-malformed)"
look ok
fills full stats
base "stats"
lane "stats" c1gray
[ "$(more ok)" -ge 7 ] || fail "stats: kinds that are known are not counted"
odd
expect_eq "stats: counted by its reason" 1 "$(by_reason opaque-malformed)"
# (Not through a pipe: grep leaves at the first match, and who still writes then has failed.)
grep -q '^laneway_decisions_total{workload="-",lane="base",evidence="none",reason="opaque-malformed",outcome="false"} 1$' <<<"$(lw metrics)" ||
	fail "stats: not among the metrics"
filled
odd
expect_eq "stats: with room again" "1 2" "$(by_reason opaque-malformed) $(counted opaque-malformed)"
as_before "stats"

# More at work on a CPU than have room there, which tasks that take it from one another can be: there is room for some more.
look scratch
fills busy scratch "$(awk '$2 == "LW_SCRATCH_SPARE" { print $3 }' "$LWT_ROOT/include/laneway/limits.h")"
base "scratch of all CPUs"
lane "scratch of all CPUs" c1gray
expect_eq "scratch of all CPUs: none went without" 0 "$(more scratch)"
filled

# No scratch: the head is not looked at, and the connection follows its own peer from there on: also one whose last request was in
# the canary.
hold client "${POD_IP[b2]}" "$LWT_PORT"
expect_like "scratch: in the canary before" '200 c1gray\[*' "$(hold_get "$tag" /id)"
look scratch
fills busy scratch
expect_like "scratch: base, behind a request in the canary" '200 b2\[*' "$(hold_get "" /id)"
expect_like "scratch: its next one" '200 b2\[*' "$(hold_get "$tag" /id)"
base "scratch"
lane "scratch" 'b[12]'
expect_eq "scratch: connections counted" 10 "$(more scratch)"
filled
expect_like "scratch: a connection that was given up stays so" '200 b2\[*' "$(hold_get "$tag" /id)"
hold_end
as_before "scratch"

# Nothing to note an accepted connection in: what is read on it cannot be counted, so nothing that is at work is evidence.
if in_pod b2 test -w /proc/sys/net/core/optmem_max; then
	expect_eq "accepted: all is counted" 0 "$(uncounted)"
	in_pod b2 sysctl -qw net.core.optmem_max=1
	expect_like "accepted: base" 'b2\[*' "$(who client "$B2/id")"
	expect_eq "accepted: one is not" 1 "$(uncounted)"
	in_pod b2 sysctl -qw net.core.optmem_max=131072
	as_before "accepted"
	expect_eq "accepted: nobody knows when it ends" 1 "$(uncounted)"
fi

# When all connections are over nothing of them is left.
left() { for map in flows tuples ups streams fars; do printf '%s ' "$(rows $map)"; done; }
nothing_left() { [ "$(left)" = "0 0 0 0 0 " ]; }
until_ok 20 "all rows of connections to go: flows, tuples, ups, streams, fars have $(left)" nothing_left
agent_stop
say ok
