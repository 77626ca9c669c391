#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An address is another pod's while a connection to the one before is still being opened: its SYN is repeated after a second, and
# the new pod answers. The request goes to its own peer instead, and the new pod sees none. (Where all this takes longer than that
# second the connection is given up, and nothing is shown.)
. "$(dirname "$0")/lib.sh"
need nft
setup
two_pods
agent_start
last=${POD_IP[c1]##*.}
in_pod client nft -f - <<-END
	add table ip lwt
	add chain ip lwt out { type filter hook output priority 0; }
	add rule ip lwt out ip daddr ${POD_IP[c1]} drop
END
who client "$B1/id" -H 'x-mse-tag: gray' >"$LWT_TMP/answer" &
asking=$!
until_ok 15 "a connection to be opened" eval '[ -n "$(in_pod client ss -H -t state syn-sent "( dport = :$LWT_PORT )")" ]'
del pod-c1
pod_ns_del c1
pod_ns o1 "$last"
serve o1 --name o1
state_sync
in_pod client nft delete table ip lwt
wait $asking || fail "no answer"
expect_like "by base" 'b1\[*' "$(cat "$LWT_TMP/answer")"
say ok
