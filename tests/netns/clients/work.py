#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""work.py CONTROL PORT PROCESSES THREADS: a service whose every step is told from outside. Each of its processes, of so many threads, takes
orders from the Unix socket CONTROL, a JSON list a line, and does one at a time: [THREAD, WHAT, ...]. See the functions do_*. Who has started
them all starts another in the place of one that has ended, which is told by its number on standard input."""
import json
import os
import queue
import socket
import subprocess
import sys
import threading

from wire import Wire

control, port, processes, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
listener = socket.socket(socket.AF_INET6 if socket.has_ipv6 and os.path.exists("/proc/sys/net/ipv6") else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if listener.family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.bind(("", port))
listener.listen(64)
# a connection goes to another process by its pair
pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(processes)]
waiting = list(range(processes))
while True:
    index = waiting.pop() if waiting else int(sys.stdin.readline() or os._exit(0))
    if os.fork() == 0:
        break
    if not waiting:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
conns, pool, children = {}, {}, {}


def do_accept(name):
    conns[name], _ = listener.accept()
    conns[name].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def do_read(name, n):
    while n:
        n -= len(conns[name].recv(n))


def do_splice(name, n):
    into, out = os.pipe()
    while n:
        n -= os.splice(conns[name].fileno(), out, min(n, 16384))
        os.read(into, 16384)
    os.close(into)
    os.close(out)


def do_peek(name, n):
    conns[name].recv(n, socket.MSG_PEEK | socket.MSG_WAITALL)


def do_write(name, data):
    conns[name].sendall(data.encode())


def do_sendfile(name, data):
    fd = os.memfd_create("answer")
    os.write(fd, data.encode())
    if os.sendfile(conns[name].fileno(), fd, 0, len(data)) != len(data):
        raise OSError("sendfile has sent less")
    os.close(fd)


def do_close(name):
    conns.pop(name).close()


def do_give(name, process):
    conn = conns.pop(name)
    socket.send_fds(pairs[process][0], [b"x"], [conn.fileno()])
    conn.close()


def do_take(name):
    conns[name] = socket.socket(fileno=socket.recv_fds(pairs[index][1], 1, 1)[1][0])


def do_ask(address, to, headers, keep):
    """On a connection that this process keeps, whichever thread has opened it, or a new one; who has answered."""
    key = (address, to)
    wire = (pool.pop(key, None) if keep else None) or Wire(address, to)
    answer = wire.request("GET", "/id", headers)
    if keep:
        pool[key] = wire
    else:
        wire.sock.close()
    return answer.pod


def do_child(address, to, headers, shell):
    host = f"[{address}]" if ":" in address else address
    args = ["curl", "-sS", "-o", "/dev/null", "-w", "%header{x-pod}", f"http://{host}:{to}/id"] + [a for h in headers for a in ("-H", h)]
    # not its last command, or the shell would become it
    args = ["sh", "-c", '"$@"; true', "sh", *args] if shell else args
    done = subprocess.run(args, capture_output=True, text=True)
    return done.stdout or done.stderr


def do_start(name, address, to):
    """A child that is there before it is told to ask."""
    host = f"[{address}]" if ":" in address else address
    ask = f"read -r _ && curl -sS -o /dev/null -w '%header{{x-pod}}' http://{host}:{to}/id; true"
    children[name] = subprocess.Popen(["sh", "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def do_tell(name):
    return children.pop(name).communicate("\n")[0]


def do_forget():
    while pool:
        pool.popitem()[1].sock.close()


def at_work(orders, done):
    while order := orders.get():
        try:
            done.put([globals()["do_" + order[0]](*order[1:])])
        except Exception as e:
            done.put([None, repr(e)])


def hire():
    orders, done = queue.Queue(), queue.Queue()
    threading.Thread(target=at_work, args=(orders, done), daemon=True).start()
    return orders, done


crew = [hire() for _ in range(threads)]
boss = socket.socket(socket.AF_UNIX)
boss.connect(control)
told = boss.makefile("rw")
told.write(json.dumps(index) + "\n")
told.flush()
for line in told:
    thread, *order = json.loads(line)
    if order == ["end"]:
        os._exit(0)
    if order == ["leave"]:
        crew[thread][0].put(None)
        crew[thread] = hire()
        said = [None]
    else:
        crew[thread][0].put(order)
        said = crew[thread][1].get()
    told.write(json.dumps(said) + "\n")
    told.flush()
os._exit(0)
