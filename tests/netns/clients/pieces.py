#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pieces.py ADDRESS PORT: requests in turn, tagged and not, over one connection; the first two byte by byte, the
others with a head longer than a packet. Prints the way of each, without addresses and numbers."""
import re
import socket
import sys

address, port = sys.argv[1], int(sys.argv[2])
s = socket.create_connection((address, port))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
f = s.makefile("rb")
for i in range(4):
    lines = ["GET / HTTP/1.1", "Host: a"]
    if i >= 2:
        lines.append("Cookie: " + "c" * 6000)
    if i % 2 == 0:
        lines.append("x-mse-tag: gray")
    data = ("\r\n".join(lines) + "\r\n\r\n").encode()
    if i < 2:
        for k in range(len(data)):
            s.sendall(data[k:k + 1])
    else:
        s.sendall(data)
    length = 0
    while True:
        line = f.readline().strip().lower()
        if not line:
            break
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    print(re.sub(r"b[12]$", "b", re.sub(r"\[[^]]*\]", "", f.read(length).decode().strip())))
