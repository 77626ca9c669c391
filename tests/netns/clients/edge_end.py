# SPDX-License-Identifier: Apache-2.0
"""edge_end.py IP PORT SECONDS: a client on edges of epoll that takes a recv() of less than it asked for as a sign to wait for the next
edge, for so long. Sends a tagged request, and after a line on standard input a second one, whose response ends by end of file; after
another line it reads that. Prints how it went, a line each time."""
import select
import socket
import sys

SIZE = 100
GET = "GET %s HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n"

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall((GET % "/id").encode())
    print("first" if sock.recv(65536).startswith(b"HTTP/1.1 200") else "no first", flush=True)
    sys.stdin.readline()
    sock.sendall((GET % f"/close/{SIZE}").encode())
    print("sent", flush=True)
    sys.stdin.readline()
    sock.setblocking(False)
    poll = select.epoll()
    poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
    got, edges = b"", []
    while True:
        events = poll.poll(float(sys.argv[3]))
        if not events:
            edges.append("none")
            break
        edges.append("hup" if events[0][1] & select.EPOLLRDHUP else "in")
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            continue
        if not data:
            break
        if not got:
            print("read", flush=True)
        got += data
        if events[0][1] & select.EPOLLRDHUP:
            break
    print("end" if "none" not in edges and len(got.split(b"\r\n\r\n", 1)[-1]) == SIZE else f"{len(got)} bytes, {edges}", flush=True)
