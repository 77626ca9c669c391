#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""patient.py IP PORT TAG: asks for a body that ends with its connection, reads it, and prints how many bytes it had. Keeps
the connection until a line comes, and prints what the kernel then says of it: 0, or an error's name."""
import errno
import socket
import sys

ip, port, tag = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.create_connection((ip, port), 15)
s.sendall(f"GET /close/3000 HTTP/1.1\r\nHost: x\r\n{tag}\r\n\r\n".encode())
got = b""
while more := s.recv(65536):
    got += more
print(len(got.partition(b"\r\n\r\n")[2]), flush=True)
sys.stdin.readline()
print(errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0))
