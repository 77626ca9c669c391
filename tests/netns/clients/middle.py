#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""middle.py PORT UPSTREAM:PORT [FIFO]: a service between two, which forwards nothing. A thread a connection. With a FIFO there is
a shell beside, started before all else, that does what is written there; and processes whose parent ends become children
of this one. Each path a way of working:

/call       the thread that has read the request asks upstream, and answers
/told       the same, and the tag that has come there is in the answer
/park/NAME  the same, but only after /go/NAME has come on another connection
/later/NAME a worker takes it, says so on standard error, and after /go/NAME asks upstream and answers
/hand       a worker asks upstream and answers, while the thread goes on reading
/work       a worker asks, the thread that has read the request waits for it and answers
/child      a child process asks (curl)
/shell      a child of a child does
/leave/NAME a child asks after /go/NAME has come, and puts what it gets into the file OUT/NAME; the answer does not wait for it
/ahead      the next request's head is read first, and what has asked is in that one's answer as well
/early      the answer's head first, then upstream
/tail       the answer's head first, and its body once the next request's head has been read, which is answered like any other
/slow       an interim response first, and the answer once the next request's head has been read, which is answered like any other
/told-later/NAME  an interim response first, and then as /later/NAME
/again      none: this program is executed anew in the same process
/hints      an interim response first, then upstream and the answer
/pieces     the same, the interim response in three pieces
/look/NAME  the head is looked at (MSG_PEEK), and read only when upstream has been asked, after /go/NAME has come
/lend/NAME  the thread that has read the request does what is brought to it, until /go/NAME has come
/fork/NAME  another process goes on with it, and asks upstream after /go/NAME has come there; it serves the next port like this one
/borrow/NAME  the call is made by the thread that lends itself; the one that has read the request waits for it, and answers

With MPTCP set it listens for that, too. With ALSO set, the path of a network namespace, it listens there as well, and asks from there.
With HANDED set there is another process on the next port, which reads so many lines (PEEKS: looks at what there is first) and hands the
connection to this one.
"""
import ctypes
import http.client
import os
import queue
import socket
import subprocess
import sys
import threading

port, upstream = int(sys.argv[1]), sys.argv[2]
gates, lent, gates_lock = {}, {}, threading.Lock()
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n"
CURL = f"curl -sS http://{upstream}/id"
if len(sys.argv) > 3:
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    subprocess.Popen(["sh", sys.argv[3]])
taken, handed = socket.socketpair()
if "HANDED" in os.environ and os.fork() == 0:
    s = socket.create_server(("0.0.0.0", port + 1))
    while True:
        conn, _ = s.accept()
        lines = int(os.environ["HANDED"])
        if "PEEKS" in os.environ:
            conn.recv(65536, socket.MSG_PEEK)
        while lines:
            lines -= conn.recv(1) in (b"\n", b"")
        socket.send_fds(handed, [b"x"], [conn.fileno()])
        conn.close()
handed.close()
work = queue.Queue()


def gate(name):
    with gates_lock:
        return gates.setdefault(name, threading.Event())


def lent_to(name):
    with gates_lock:
        return lent.setdefault(name, queue.Queue())


def ask(path):
    c = http.client.HTTPConnection(upstream, timeout=600)
    c.request("GET", "/id")
    r = c.getresponse()
    body = r.read().decode().strip()
    if path == "/told":
        body += " tag=" + r.getheader("x-lane-seen", "")
    c.close()
    return body


def answer(conn, body):
    data = (body + "\n").encode()
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


def later(conn, name):
    print("has", name, file=sys.stderr, flush=True)
    gate(name).wait(6000)
    answer(conn, ask("/later"))


def worker():
    while True:
        work.get()()


def serve(conn):
    f = conn.makefile("rb")
    tail = b""
    while True:
        if "LOOKS" in os.environ:
            line = conn.recv(65536, socket.MSG_PEEK).split()
            if len(line) > 2 and line[1].startswith(b"/look/"):
                gate(line[1][6:].decode()).wait(6000)
                looked = ask("/look")
        line = f.readline().split()
        if len(line) < 3:
            break
        length = 0
        while True:
            header = f.readline().strip().lower()
            if not header:
                break
            if header.startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        if length:
            f.read(length)
        path = line[1].decode()
        if tail:
            conn.sendall(tail)
            tail = b""
        if path.startswith("/go/"):
            answer(conn, "gone")  # first: what goes on is then beside no request of its process
            gate(path[4:]).set()
            lent_to(path[4:]).put(None)
        elif path.startswith("/park/"):
            gate(path[6:]).wait(6000)
            answer(conn, ask(path))
        elif path.startswith("/fork/"):
            if os.fork():
                break
            threading.Thread(target=listen, args=(port + 1,), daemon=True).start()
            gate(path[6:]).wait(6000)
            answer(conn, ask(path))
        elif path.startswith("/later/"):
            work.put(lambda name=path[7:]: later(conn, name))
        elif path.startswith("/told-later/"):
            conn.sendall(HINTS)
            work.put(lambda name=path[12:]: later(conn, name))
        elif path == "/hand":
            work.put(lambda: answer(conn, ask(path)))
        elif path == "/work":
            done = queue.Queue()
            work.put(lambda: done.put(ask(path)))
            answer(conn, done.get())
        elif path.startswith("/lend/"):
            while job := lent_to(path[6:]).get():
                job()
            answer(conn, "lent")
        elif path.startswith("/borrow/"):
            done = queue.Queue()
            lent_to(path[8:]).put(lambda: done.put(ask(path)))
            answer(conn, done.get())
        elif path == "/child":
            answer(conn, subprocess.run(CURL.split(), capture_output=True, text=True).stdout.strip())
        elif path == "/shell":
            # not its last command, or the shell would become it
            answer(conn, subprocess.run(["sh", "-c", CURL + "; true"], capture_output=True, text=True).stdout.strip())
        elif path.startswith("/leave/"):
            child = subprocess.Popen(["sh", "-c", f"read -r _; {CURL} >$0; true", os.environ["OUT"] + path[6:]], stdin=subprocess.PIPE)
            threading.Thread(target=lambda gone: (gate(gone).wait(6000), child.communicate(b"\n")), args=(path[7:],), daemon=True).start()
            answer(conn, "left")
        elif path == "/slow":
            conn.sendall(HINTS)
            tail = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow\n"
        elif path == "/again":
            os.execv(sys.executable, [sys.executable] + sys.argv)
        elif path == "/hints":
            conn.sendall(HINTS)
            answer(conn, ask(path))
        elif path == "/pieces":
            for piece in b"HTTP/1.1 102 Processing\r\n", b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", b"\r\n":
                conn.sendall(piece)
            answer(conn, ask(path))
        elif path.startswith("/look/"):
            answer(conn, looked)
        elif path == "/tail":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            tail = b"tail\n"
        elif path == "/ahead":
            while f.readline().strip():
                pass
            body = ask(path)
            answer(conn, body)
            answer(conn, body)
        elif path == "/early":
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            body = ask(path).encode()
            conn.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            answer(conn, ask(path))
    f.close()
    conn.close()


def take():
    while True:
        for fd in socket.recv_fds(taken, 1, 1)[1]:
            threading.Thread(target=serve, args=(socket.socket(fileno=fd),), daemon=True).start()


threading.Thread(target=take, daemon=True).start()
for _ in range(2):
    threading.Thread(target=worker, daemon=True).start()


def listener(at):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP if "MPTCP" in os.environ else 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", at))
    s.listen(256)
    return s


def accept(s):
    while True:
        conn, _ = s.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def listen(at):
    accept(listener(at))


if "ALSO" in os.environ:
    CLONE_NEWNET = 0x40000000
    here = listener(port)
    assert ctypes.CDLL(None).setns(os.open(os.environ["ALSO"], os.O_RDONLY), CLONE_NEWNET) == 0
    threading.Thread(target=accept, args=(here,), daemon=True).start()
listen(port)
