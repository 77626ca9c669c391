#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A connection that one process has read from first, and another serves: what is not known of it counts with who reads now.
. "$(dirname "$0")/lib.sh"
setup
two_pods
. "$(dirname "$0")/tasks.sh"
HANDED=1 middle line
HANDED=4 middle heads
HANDED=0 PEEKS=1 LOOKS=1 middle looks
for name in line heads looks; do wait_port $name $((LWT_PORT + 1)); done
agent_start
# handed NAME TEXT [PATH]: an untagged request, behind TEXT that another process of the pod has read.
handed() {
	in_pod client python3 - "${POD_IP[$1]}" $((LWT_PORT + 1)) "$2" "${3:-/call}" <<-'END'
		import socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		s.sendall(f"{sys.argv[3]}GET {sys.argv[4]} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
		print(s.recv(4096).decode().split("\n")[-2].split("[")[0])
	END
}
# beside_gray NAME TEXT [PATH]
beside_gray() {
	local before
	expect_eq "$1: tagged" c1gray "$(call "$1" /call "$gray")"
	park "$1" a "$gray"
	before=$(counted mixed-unread)
	expect_like "$1: untagged, on one that was handed over" 'b[12]' "$(handed "$@")"
	expect_eq "$1: as mixed-unread" $((before + 1)) "$(counted mixed-unread)"
	expect_eq "$1: a" c1gray "$(go "$1" a)"
	expect_eq "$1: tagged, once it is closed" c1gray "$(call "$1" /call "$gray")"
	rm "$LWT_TMP/a"
}
beside_gray line $'PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n'
# several requests read before one is answered: from then on it is not known which one is at work
beside_gray heads $'GET /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\n\r\n'
# looked at by both, and worked on before it is read
req client "$(url looks /go/it)" >/dev/null
beside_gray looks "" /look/it
say ok
