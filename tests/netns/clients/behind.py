#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service in two processes, which forwards nothing: the front reads requests and hands them on, one line each, to the back,
which asks upstream. The hand-over is a Unix socket's path, or IP:PORT.

behind.py front PORT HANDOVER
behind.py back HANDOVER UPSTREAM:PORT

/call          the back asks
/user          it does, with the header x-user: xiaoming
/park/NAME     it does after /go/NAME has come
/late/NAME     the front answers; then, after /go/NAME has come, it asks upstream itself at the address in UPSTREAM, and puts what it
               gets into the file OUT/NAME
"""
import http.client
import os
import socket
import sys
import threading

gates, gates_lock = {}, threading.Lock()


def gate(name):
    with gates_lock:
        return gates.setdefault(name, threading.Event())


def ask(upstream, headers={}):
    c = http.client.HTTPConnection(upstream, timeout=600)
    c.request("GET", "/id", headers=headers)
    body = c.getresponse().read().decode().strip()
    c.close()
    return body


def address(handover):
    if handover.startswith("/"):
        return socket.AF_UNIX, handover
    host, port = handover.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


def hand_over(what):
    family, to = address(handover)
    with socket.socket(family) as s:
        s.connect(to)
        s.sendall(what.encode() + b"\n")
        return s.makefile().readline().strip()


def answer(conn, body):
    data = (body + "\n").encode()
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


def front(conn):
    f = conn.makefile("rb")
    while len(line := f.readline().split()) == 3:
        while f.readline().strip():
            pass
        path = line[1].decode()
        what, name = path.split("/")[1], path.split("/")[-1]
        if what == "go":
            answer(conn, "gone")  # first: what goes on is then beside no request of its own
            gate(name).set()
        elif what == "park":
            gate(name).wait(6000)
            answer(conn, hand_over("call"))
        elif what == "late":
            answer(conn, "later")
            gate(name).wait(6000)
            body = ask(os.environ["UPSTREAM"])
            with open(os.path.join(os.environ["OUT"], name), "w", encoding="ascii") as out:
                out.write(body + "\n")
        else:
            answer(conn, hand_over(what))
    f.close()
    conn.close()


def back(conn):
    with conn, conn.makefile() as f:
        what = f.readline().strip()
        conn.sendall(ask(upstream, {"x-user": "xiaoming"} if what == "user" else {}).encode() + b"\n")


if sys.argv[1] == "front":
    handover, work = sys.argv[3], front
    s = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
else:
    upstream, work = sys.argv[3], back
    family, to = address(sys.argv[2])
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(to)
    s.listen(256)
while True:
    conn, _ = s.accept()
    threading.Thread(target=work, args=(conn,), daemon=True).start()
