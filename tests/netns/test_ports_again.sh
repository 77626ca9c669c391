#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is known of a connection's requests is of that connection, not of one before it by the same addresses and ports, which
# followed while no lane was open and nothing was read.
. "$(dirname "$0")/lib.sh"
need python3 jq
setup
two_pods
pod_ns m
exec_pod m python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/m.log" &
POD_PID[m]=$!
wait_port m "$LWT_PORT"
agent_start
# The same ports for each connection, and TCP's first sequence number as it is told. It prints which pod was asked.
coproc PORTS { exec_pod client python3 - "${POD_IP[m]}" "$LWT_PORT" 3<&0 <<-'END'
	import os, socket, struct, sys
	TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_SEND_QUEUE, TCP_REPAIR_OFF_NO_WP = 19, 20, 21, 2, -1
	s = None
	for line in os.fdopen(3):
	    what, arg = line.split()
	    if what == "connect":
	        if s:  # by a reset
	            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	            s.close()
	        s = socket.socket()
	        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	        s.bind(("0.0.0.0", 45555))
	        for option, value in ((TCP_REPAIR, 1), (TCP_REPAIR_QUEUE, TCP_SEND_QUEUE), (TCP_QUEUE_SEQ, struct.pack("I", int(arg))), (TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)):
	            s.setsockopt(socket.IPPROTO_TCP, option, value)
	        s.connect((sys.argv[1], int(sys.argv[2])))
	        print("connected", flush=True)
	    else:
	        s.sendall(b"GET /call HTTP/1.1\r\nHost: a\r\nx-mse-%s: gray\r\n\r\n" % arg.encode())
	        print(s.recv(4096).decode().split("\n")[-2].split("[")[0], flush=True)
END
}
ask() {
	local line
	echo "$1 $2" >&"${PORTS[1]}"
	IFS= read -r -t $((30 * LWT_SLOW)) line <&"${PORTS[0]}" || fail "the client is gone"
	echo "$line"
}
between() {
	release_end web web
	state_sync
	ask connect "$1" >/dev/null
	release_by_user web
	state_sync
}

ask connect 1000 >/dev/null
expect_eq "tagged" c1gray "$(ask send tag)"
between 1000
expect_like "untagged, on the next connection" 'b[12]' "$(ask send not)"
expect_eq "tagged, on that" c1gray "$(ask send tag)"
between 3000000000
expect_eq "tagged, on one whose numbers are behind those of the one before" c1gray "$(ask send tag)"
expect_like "untagged, on that" 'b[12]' "$(ask send not)"
say ok
