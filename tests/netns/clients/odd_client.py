# SPDX-License-Identifier: Apache-2.0
"""odd_client.py IP PORT SECONDS STEP...: one connection. Prints what came of each step, in a line: the pod that has answered (and its
status, if that is not 200), or the error. A step is METHOD:LANE:PATH[:LENGTH], LANE "" for none; or one of

send:...  the same without waiting for the answer     read    the answer to one of these
head:...  the same without its body                   body    that body, once something has come
left      what is there that nobody has asked for     touch:FILE
bytes:N   N lines that are no HTTP                    wait:FILE"""
import os
import select
import socket
import sys
import time

got = b""


def read(method="GET"):
    global got
    while b"\r\n\r\n" not in got:
        data = sock.recv(65536)
        if not data:
            return "end"
        got += data
    head, got = got.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    length = 0 if method == "HEAD" else int(fields.get("content-length", 0))
    parts, have = [got], len(got)
    while have < length:
        data = sock.recv(65536)
        if not data:
            return "short"
        parts.append(data)
        have += len(data)
    body = b"".join(parts)
    body, got = body[:length], body[length:]
    if length > 1000000 and body.strip(b"x"):
        return "wrong"
    status = lines[0].split(" ")[1]
    return fields.get("x-pod", "?") if status == "200" else f"{status}:{fields.get('x-pod', '?')}"


def request(step):
    method, lane, path, length = (step.split(":") + ["0"])[:4]
    tag = f"x-mse-tag: {lane}\r\n" if lane else ""
    upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n" if path == "/upgrade" else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{tag}{upgrade}" + (f"Content-Length: {length}\r\n" if int(length) else "")
    return (head + "\r\n").encode(), b"x" * int(length), method


def do(step):
    global got
    what, _, rest = step.partition(":")
    if what == "read":
        return read()
    if what == "left":
        try:
            sock.settimeout(0.2)
            got += sock.recv(100)
        except socket.timeout:
            pass
        sock.settimeout(float(sys.argv[3]))
        left, got = got, b""
        return repr(left)[2:-1] or "nothing"
    if what == "touch":
        open(rest, "w").close()
        return None
    if what == "wait":
        while not os.path.exists(rest):
            time.sleep(0.005)
        return None
    if what == "bytes":
        for n in range(int(rest)):
            sock.sendall(b"\x81frame\n")
            time.sleep(0.005)
        return None
    if what == "body":
        assert select.select([sock], [], [], float(sys.argv[3]))[0]
        sock.sendall(pending.pop())
        return read()
    head, body, method = request(rest if what in ("send", "head") else step)
    if what == "head":
        pending.append(body)
        body = b""
    sock.sendall(head)
    sock.sendall(body)
    return None if what in ("send", "head") else read(method)


pending, out = [], []
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for step in sys.argv[4:]:
        try:
            told = do(step)
        except OSError as e:
            told = type(e).__name__
        if told is not None:
            out.append(told)
print(*out)
