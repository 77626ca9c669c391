#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A connection on which more than 2 GiB have come is followed as before: sequence numbers go round.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
middle m
agent_start
far() {
	in_pod client python3 - "${POD_IP[m]}" "$LWT_PORT" <<-'END'
		import socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		body = bytes(64 << 20)
		def ask(path, tag="", body=b""):
		    s.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{tag}Content-Length: {len(body)}\r\n\r\n".encode() + body)
		    got = b""
		    while got.count(b"\n") < 4:
		        got += s.recv(4096)
		    return got.decode().split("\n")[-2].split("[")[0]
		print(ask("/call", "x-mse-tag: gray\r\n"))
		for i in range(36):
		    ask("/go/nobody", body=body)
		print(ask("/call", "x-mse-tag: gray\r\n"))
		print(ask("/call"))
	END
}
got=$(far | xargs)
[[ $got == "c1gray c1gray b"[12] ]] || pinned inbound | jq -c '.[].formatted.value | {state, next, requests, from, last, frame}' >&2
expect_like "tagged, and tagged and untagged behind 2 GiB" "c1gray c1gray b[12]" "$got"
expect_eq "nothing is left of these" 0 "$(at_work m)"
say ok
