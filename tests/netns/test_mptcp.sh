#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Requests that come by MPTCP are not seen being read: while a pod has such a connection, what it works on is no evidence.
. "$(dirname "$0")/lib.sh"
need python3
python3 -c 'import socket; socket.socket(proto=socket.IPPROTO_MPTCP)' 2>/dev/null || skip "no MPTCP here"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
MPTCP=1 middle m
agent_start
hold_mptcp() {
	in_pod client python3 - "${POD_IP[m]}" "$LWT_PORT" <<-'END'
		import socket, sys
		s = socket.socket(proto=socket.IPPROTO_MPTCP)
		s.connect((sys.argv[1], int(sys.argv[2])))
		s.sendall(b"GET /call HTTP/1.1\r\nHost: a\r\n\r\n")
		print(s.recv(4096).decode().split("\n")[-2].split("[")[0])
	END
}
capable() { in_pod m awk '/^MPTcpExt/ && !n { n = split($0, names) } /^MPTcpExt/ { split($0, values) } END { for (i in names) if (names[i] == "MPCapableSYNRX") print values[i] }' /proc/net/netstat; }
expect_eq "tagged, by TCP" c1gray "$(call m /call "$gray")"
park m a "$gray"
before=$(counted mixed-unread)
expect_like "untagged, by MPTCP, beside tagged" 'b[12]' "$(hold_mptcp)"
expect_eq "a connection of MPTCP" 1 "$(capable)"
expect_eq "as mixed-unread" $((before + 1)) "$(counted mixed-unread)"
is_gray() { [ "$(call m /call "$gray")" = c1gray ]; }
until_ok 15 "work to be evidence again" is_gray
expect_eq "a" c1gray "$(go m a)"
say ok
