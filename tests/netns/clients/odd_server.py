# SPDX-License-Identifier: Apache-2.0
"""odd_server.py NAME PORT LOG GO [IDLE]: a server with the faults that servers have. A connection that says nothing for IDLE seconds
is told "408 Request Timeout" and closed. LOG gets a line for what has arrived: "head METHOD PATH", "body LENGTH right" or
"body LENGTH wrong" (bodies are of "x"), "bytes TEXT" once it is no HTTP any more. By path:

/junk     five more bytes behind the answer, in the same send
/head     an answer with a body, whatever the method
/early    answers before it reads the body, which it does once the file GO is there
/leave    likewise, but it says at once that this is all, and ends without having read any of it
/echo     sends the body back as it comes, in small pieces
/large    an answer of 12 MB, all "x"; /huge: of 40 MB
/slow     answers once the file GO is there
/upgrade  101, and no HTTP from then on
else      reads the body and answers"""
import os
import socket
import sys
import threading
import time

name, port, go = sys.argv[1], int(sys.argv[2]), sys.argv[4]
log = open(sys.argv[3], "a", buffering=1)
idle = float(sys.argv[5]) if len(sys.argv) > 5 else None


def answer(body, status="200 OK", more=b""):
    head = f"HTTP/1.1 {status}\r\nX-Pod: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + more


def wait():
    while not os.path.exists(go):
        time.sleep(0.01)


def serve(conn):
    buf = b""

    def more():
        nonlocal buf
        data = conn.recv(1 << 16)
        if not data:
            raise EOFError
        buf += data

    def body(length):
        nonlocal buf
        if not length:
            return
        while len(buf) < length:
            more()
        print("body", length, "right" if buf[:length] == b"x" * length else "wrong", file=log)
        buf = buf[length:]

    try:
        conn.settimeout(idle)
        while True:
            try:
                while b"\r\n\r\n" not in buf:
                    more()
            except socket.timeout:
                conn.sendall(answer(b"", "408 Request Timeout"))
                return
            conn.settimeout(None)
            head, buf = buf.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")
            method, path = lines[0].split(" ")[:2]
            print("head", method, path, file=log)
            length = sum(int(line[15:]) for line in lines if line.lower().startswith("content-length:"))
            if path == "/junk":
                conn.sendall(answer(b"ok", more=b"JUNK!"))
            elif path == "/early":
                conn.sendall(answer(b"early"))
                wait()
                body(length)
            elif path == "/leave":
                conn.sendall(answer(b"leave"))
                conn.shutdown(socket.SHUT_WR)
                wait()
                return
            elif path == "/echo":
                conn.sendall(answer(b"")[:-5] + f"{length}\r\n\r\n".encode())
                while length:
                    while not buf:
                        more()
                    conn.sendall(buf[:2000])
                    length -= len(buf[:2000])
                    buf = buf[2000:]
            elif path in ("/large", "/huge"):
                conn.sendall(answer(b"x" * (12000000 if path == "/large" else 40000000)))
            elif path == "/slow":
                wait()
                conn.sendall(answer(b"slow"))
            elif path == "/upgrade":
                conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                while True:
                    if buf:
                        print("bytes", repr(buf), file=log)
                        buf = b""
                    more()
            else:
                body(length)
                conn.sendall(answer(b"ok"))
    except (EOFError, OSError):
        pass
    finally:
        conn.close()


s = socket.create_server(("0.0.0.0", port), backlog=64)
while True:
    c, _ = s.accept()
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(c,), daemon=True).start()
