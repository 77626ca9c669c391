#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A request that a pod is at work on when the agent comes was seen by nobody. While it is not answered, the pod's work is no evidence:
# it may be of base, and what is sent for it is sent by whichever thread.
. "$(dirname "$0")/lib.sh"
need python3 jq
setup
two_pods
gray='x-mse-tag: gray'
pod_ns early
exec_pod early python3 "$LWT_ROOT/tests/netns/clients/middle.py" "$LWT_PORT" "${POD_IP[b1]}:$LWT_PORT" 2>"$LWT_TMP/early.log" &
POD_PID[early]=$!
wait_port early "$LWT_PORT"
call() { req client -m $((60 * LWT_SLOW)) ${2:+-H "$2"} "http://${POD_IP[early]}:$LWT_PORT$1" | sed 's/\[.*//'; }
has() { grep -q "^has $1$" "$LWT_TMP/early.log"; }
# later NAME [HEADER [HOW]]: a request that a worker holds; its answer will be in $LWT_TMP/NAME.
later() {
	call "/${3:-later}/$1" "${2:-}" >"$LWT_TMP/$1" &
	until_ok 15 "a worker to have $1" has "$1"
}
# Likewise. Its client has not waited for the end of the answer before, which is sent when it has been read.
tail_later() {
	in_pod client python3 - "${POD_IP[early]}" "$LWT_PORT" "$1" >"$LWT_TMP/$1" <<-'END' &
		import socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		got = b""
		def ask(path, until):
		    global got
		    s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
		    while until not in got:
		        more = s.recv(4096)
		        assert more, got
		        got += more
		ask("/tail", b"\r\n\r\n")
		ask("/later/" + sys.argv[3], b"]\n")
		print(got.decode().split("\n")[-2].split("[")[0])
	END
	until_ok 15 "a worker to have $1" has "$1"
}
go() {
	call "/go/$1" >/dev/null
	until_ok 20 "the answer to $1" test -s "$LWT_TMP/$1"
	cat "$LWT_TMP/$1"
}
# The count of this pod: other pods of the machine have theirs.
NETNS=$(in_pod early python3 -c 'import socket; print(int.from_bytes(socket.socket().getsockopt(1, 71, 8), "little"))') # SO_NETNS_COOKIE
counts() {
	local index
	index=$(pinned older_pods | jq ".[].formatted | select(.key == $NETNS) | .value")
	pinned older_counts | jq ".[].formatted | select(.key == ${index:--1}) | .value.$1"
}
another_agent() {
	kill -9 "$AGENT_PID" && wait "$AGENT_PID" 2>/dev/null || true
	agent_start
}
is_gray() { [ "$(call /call "$gray")" = c1gray ]; }

later a
# one that rests: it has been answered
hold client "${POD_IP[early]}" "$LWT_PORT"
hold_get "" /call >/dev/null
agent_start
expect_eq "at work when the agent came" 1 "$(counts sure)"
later b "$gray"
expect_like "a, by a worker, while all that was seen is of the lane" 'b[12]' "$(go a)"
expect_eq "not any more" 0 "$(counts sure)"
# where the last bytes came and went within one tick of the clock, for seconds
until_ok 15 "work to be evidence again" is_gray
expect_eq "b" c1gray "$(go b)"

# Another agent after it, and again one is at work; its client goes away.
later c
another_agent
expect_eq "at work when the next agent came" 1 "$(counts sure)"
expect_like "beside it" 'b[12]' "$(call /call "$gray")"
[ "$(counted mixed-unread)" -ge 1 ] || fail "mixed-unread was not counted"
expect_like "c" 'b[12]' "$(go c)"
until_ok 15 "work to be evidence again" is_gray
hold_end

# What it was sent last was no answer, as the agent of before has seen: an interim response, or the end of the answer before.
later d "" told-later
another_agent
expect_eq "at work, told of it" 1 "$(counts sure)"
later e "$gray"
expect_like "d, by a worker, while all that was seen is of the lane" 'b[12]' "$(go d)"
expect_eq "not any more" 0 "$(counts sure)"
expect_eq "e" c1gray "$(go e)"
tail_later f
another_agent
expect_eq "at work, behind the end of the answer before" 1 "$(counts sure)"
later g "$gray"
expect_like "f, by a worker, while all that was seen is of the lane" 'b[12]' "$(go f)"
expect_eq "not any more" 0 "$(counts sure)"
expect_eq "g" c1gray "$(go g)"
say ok
