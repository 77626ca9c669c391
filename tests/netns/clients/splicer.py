# SPDX-License-Identifier: Apache-2.0
"""splicer.py PORT NAME: a server that takes what comes by splice(2) alone, at the edges of epoll: what splice does not see it never has.
Answers each request with its own body."""
import os
import select
import socket
import sys
import threading

port, name = int(sys.argv[1]), sys.argv[2]


class Splicer:
    def __init__(self, conn):
        conn.setblocking(False)
        self.conn, self.buf, self.pipe = conn, bytearray(), os.pipe()
        self.edges = select.epoll()
        self.edges.register(conn, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)

    def more(self):
        while True:
            try:
                n = os.splice(self.conn.fileno(), self.pipe[1], 65536, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                self.edges.poll()
                continue
            if not n:
                raise EOFError
            self.buf += os.read(self.pipe[0], n)
            return

    def until(self, mark):
        while (at := self.buf.find(mark)) < 0:
            self.more()
        got = self.take(at + len(mark))
        return got[:at]

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        got = bytes(self.buf[:n])
        del self.buf[:n]
        return got

    def request(self):
        head = self.until(b"\r\n\r\n").decode().lower()
        body = bytearray()
        if "transfer-encoding: chunked" in head:
            while size := int(self.until(b"\r\n"), 16):
                body += self.take(size)
                self.take(2)
            self.take(2)
        elif "content-length: " in head:
            body = self.take(int(head.split("content-length: ")[1].split("\r\n")[0]))
        self.conn.setblocking(True)
        self.conn.sendall(f"HTTP/1.1 200 OK\r\nX-Pod: {name}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self.conn.setblocking(False)


def serve(conn):
    splicer = Splicer(conn)
    try:
        while True:
            splicer.request()
    except (EOFError, OSError):
        conn.close()


listener = socket.create_server(("0.0.0.0", port), backlog=128)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
