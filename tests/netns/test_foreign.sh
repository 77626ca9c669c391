#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Beside other eBPF products: what they have is left alone, counted, and shown. (foreign.c stands for them.)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/foreign.sh"
need jq python3
setup
two_pods
tag='x-mse-tag: gray'
others() { lw status -o json | jq -r --arg p "$1" '[.others[] | select(.program == $p) | "\(.where) \(if .before then "before" else "after" end) \(.count)"] | join(",")'; }

# Somebody tolerates nobody beside itself where we attach: one clear line, and nothing of ours is there.
foreign alone "$LWT_CGROUP"
code=0
timeout $((20 * LWT_SLOW)) "$LANEWAY" agent --state "$LWT_STATE" --cgroup "$LWT_CGROUP" --bpffs "$LWT_BPFFS" --socket "$LWT_SOCKET" 2>"$LWT_TMP/err" || code=$?
expect_eq "beside a program that stands alone: exit code" 4 "$code"
expect_like "beside a program that stands alone" "*attach to '$LWT_CGROUP'*another program*alone*" "$(cat "$LWT_TMP/err")"
[ ! -e "$LWT_BPFFS/laneway" ] || fail "pins were left behind"
expect_like "and that one is still there" 'b1\[*' "$(who client "$B1/id")"
foreign_end

# A program at connect that lives with others: both run, and it is shown.
foreign connect "$LWT_CGROUP"
agent_start
expect_eq "in front of ours" "cgroup/connect4 before 1" "$(others foreign_connect)"
expect_like "for people" '*foreign_connect (cgroup/connect4, runs before ours)*' "$(lw status)"
expect_like "steered all the same" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
expect_eq "a metric" 1 "$(lw metrics | grep -c '^laneway_other_programs{where="cgroup/connect4",program="foreign_connect",before="true"} 1$')"
foreign_end
expect_eq "when it has gone" "" "$(others foreign_connect)"
agent_stop

# Another product has put a pod in place of a Service's address before our connect: what it says to getpeername stands.
foreign balancer "$LWT_CGROUP" "${APP_VIP[web]}" "${POD_IP[b1]}"
agent_start
peer() {
	in_pod client python3 -c 'import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.sendall(b"GET /id HTTP/1.1\r\nHost: w\r\nConnection: close\r\n" + (sys.argv[3] + "\r\n" if sys.argv[3] else "").encode() + b"\r\n")
pod = s.recv(65536).decode().lower().partition("x-pod: ")[2].partition("[")[0]
print(pod, *s.getpeername())' "$1" "$LWT_PORT" "$2"
}
expect_eq "a Service that another product balances, base" "b1 ${APP_VIP[web]} $LWT_PORT" "$(peer "${APP_VIP[web]}" "")"
expect_eq "a Service that another product balances, with the tag" "c1gray ${APP_VIP[web]} $LWT_PORT" "$(peer "${APP_VIP[web]}" "$tag")"
foreign_end
agent_stop

# Sockets that carry another's sk_msg program, which were there first: not enrolled, counted, and their program sees all they send.
mkdir -p "$LWT_CGROUP/theirs"
foreign sockets "$LWT_CGROUP/theirs"
agent_start
in_theirs() { (echo $BASHPID >"$LWT_CGROUP/theirs/cgroup.procs" && "$@"); }
for i in 1 2 3; do
	expect_like "another's socket, untagged" 'b1\[*' "$(in_theirs who client "$B1/id")"
	expect_like "another's socket, tagged: its own peer" 'b1\[*' "$(in_theirs who client "$B1/id" -H "$tag")"
done
expect_eq "counted" 6 "$(counted foreign)"
expect_eq "no flow" 0 "$(flow_count)"
expect_like "nobody else's" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
want=$("$HOP" --pattern 300000 | sha256sum)
expect_eq "a large answer" "$want" "$(in_theirs sum client "$B1/size/300000")"
foreign_end
[ "${FOREIGN_SAID#messages }" -ge 7 ] || fail "their program saw $FOREIGN_SAID"
rmdir "$LWT_CGROUP/theirs"
agent_stop

# Filters on a pod's device. In front of the FIN guard, but that the kernel asks tcx before any classic filter: where ours is a link
# (6.6), no filter is.
place=before
device=$(device_of client)
tcx() { "$LWT_BUILD/tests/foreign" tcx "$device" </dev/null >/dev/null 2>&1; }
if tcx; then
	foreign tcx "$device"
	agent_start
	expect_eq "tcx" "tc egress before 1" "$(others foreign_tc)"
	expect_like "steered all the same" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
	agent_stop
	foreign_end
	place=after
fi
foreign tc "$LWT_BPFFS/foreign_tc"
tc qdisc add dev "$device" clsact
tc filter add dev "$device" egress prio 7 protocol all bpf direct-action object-pinned "$LWT_BPFFS/foreign_tc"
agent_start
expect_eq "a classic filter" "tc egress $place 1" "$(others foreign_tc)"
expect_like "steered all the same" 'c1gray\[*' "$(who client "$B1/id" -H "$tag")"
agent_stop
expect_like "it is still there" '*foreign_tc*' "$(tc filter show dev "$device" egress)"
foreign_end
say ok
