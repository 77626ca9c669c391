#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A request counts until its answer begins, and an interim response is none; and from the moment on when its head is looked at, before it is read.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
LOOKS=1 middle m
agent_start

for path in /call /hints /pieces; do
	expect_eq "tagged $path" c1gray "$(call m $path "$gray")"
done
park m a "$gray"
for path in /hints /pieces; do
	before=$(counted mixed-unproven)
	expect_like "untagged $path beside tagged" 'b[12]' "$(call m $path)"
	expect_eq "$path counts as mixed-unproven" $((before + 1)) "$(counted mixed-unproven)"
done
nothing_left() { [ "$(at_work m)" = 0 ]; }
# one that is worked on before it is read
call m /look/b >"$LWT_TMP/b" &
until_ok 15 "b to be looked at" more_at_work m 1
before=$(counted mixed-unread)
expect_like "b, untagged, looked at beside tagged" 'b[12]' "$(go m b)"
expect_eq "b counts as mixed-unread" $((before + 1)) "$(counted mixed-unread)"
expect_eq "a" c1gray "$(go m a)"
expect_eq "nothing is left of them" 0 "$(at_work m)"
# nor was one looked at read before the one before was answered
until_ok 20 "the proof" prove m

# One that is sent, and read, when the answer before has begun and not ended: the rest of that is not its answer.
park m c "$gray"
# overtaking PATH [HEADER]: by PATH. HEADER: one with that is sent behind it, when the answer before has ended.
overtaking() {
	in_pod client python3 - "${POD_IP[m]}" "$LWT_PORT" "$@" <<-'END'
		import socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		s.sendall(b"GET /tail HTTP/1.1\r\nHost: a\r\n\r\n")
		got = s.recv(4096)
		assert b"tail" not in got, got
		s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % sys.argv[3].encode())
		if len(sys.argv) > 4:
		    while not got.endswith(b"tail\n"):
		        got += s.recv(4096)
		    s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % sys.argv[4].encode())
		while got.count(b"\n") < (12 if len(sys.argv) > 4 else 8):
		    got += s.recv(4096)
		assert b"\r\n\r\ntail\nHTTP/1.1 200" in got, got
		print(got.decode().split("\n")[-2].split("[")[0])
	END
}
expect_like "untagged, before the end of the answer before" 'b[12]' "$(overtaking /call)"
expect_eq "c" c1gray "$(go m c)"
# Which one is at work is not known any more once a third has been read before there was an answer to the second.
expect_like "untagged, with a tagged one behind it" 'b[12]' "$(overtaking /ahead "$gray")"
until_ok 15 "nothing to be left of these" nothing_left # their connection ends

# One that is read behind an interim response, and before the answer: that is the answer to the one before.
park m d "$gray"
behind_interim() {
	in_pod client python3 - "${POD_IP[m]}" "$LWT_PORT" <<-'END'
		import socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n")
		got = s.recv(4096)
		assert got.startswith(b"HTTP/1.1 103 ") and b"slow" not in got, got
		s.sendall(b"GET /call HTTP/1.1\r\nHost: a\r\n\r\n")
		while b"slow\n" not in got or not got.split(b"slow\n")[1].endswith(b"]\n"):
		    data = s.recv(4096)
		    assert data, got
		    got += data
		print(got.decode().split("\n")[-2].split("[")[0])
	END
}
expect_like "untagged, behind an interim response to a tagged one" 'b[12]' "$(behind_interim)"
expect_eq "d" c1gray "$(go m d)"
expect_eq "nothing is left of these either" 0 "$(at_work m)"

# A final answer is one however short it is, whatever the request expects.
hold client "${POD_IP[m]}" "$LWT_PORT"
expect_like "the answer to one that expects" '200 *' "$(hold_get 'Expect: 100-continue' /call)"
expect_eq "which is no longer at work" 0 "$(at_work m)"
hold_end
say ok
