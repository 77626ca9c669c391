#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pipeline.py IP:PORT CONNECTIONS BURSTS DEPTH FIRST SEED [LENGTH]: requests that do not wait for one another's answers.

Each connection sends DEPTH requests at once, awaits all answers, and so on, BURSTS times. The first FIRST of a burst have no
tag, of the others half. With LENGTH, not 0, every burst is one POST without a tag: a head of that many bytes, and in a segment
of its own a body that begins as a request does. Answers are checked as tests/runtimes/caller.c does, and told in the same words.
"""
import json
import random
import re
import socket
import sys
import threading

host, port = sys.argv[1].split(":")
connections, bursts, depth, first, seed = map(int, sys.argv[2:7])
length = int(sys.argv[7]) if len(sys.argv) > 7 else 0
BODY = b"GET /" + b"b" * 300  # of no head is this the whole
count = {"requests": 0, "tagged": 0, "kept": 0, "wrong": 0, "lost": 0, "abandoned": 0}
lock = threading.Lock()


def read_answer(f):
    status, length = f.readline(), None
    if not status:
        raise OSError("end of file")
    while line := f.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"transfer-encoding":
            length = -1
    if length == -1:
        body = b""
        while n := int(f.readline().split(b";")[0], 16):
            body += f.read(n)
            f.readline()
        f.readline()
    else:
        body = f.read(length)
    return status, body.decode()


def judge(status, body, uri, tag):
    m = re.match(r"lane=(\S+) uri=(\S+) tag=(\S+) trace=(\S+);$", body)
    with lock:
        count["requests"] += 1
        count["tagged"] += tag
        if not status.startswith(b"HTTP/1.1 200"):
            count["lost"] += 1
            sys.stderr.write(f"lost: {uri}, tag {tag}: {status!r}\n")
        elif not m or m[2] != uri or (not tag and (m[1] != "base" or m[3] != "-")):
            count["wrong"] += 1
            sys.stderr.write(f"wrong: {uri}, tag {tag}: {body}\n")
        elif tag and m[1] == "gray" and m[3] == "gray":
            count["kept"] += 1


def head(uri, tag):
    text = f"GET {uri} HTTP/1.1\r\nHost: middle\r\n" + ("x-mse-tag: gray\r\n" if tag else "")
    if length:
        text = text.replace("GET", "POST") + f"Content-Length: {len(BODY)}\r\n"
        text += "Padding: " + "p" * (length - len(text) - len("Padding: \r\n\r\n")) + "\r\n"
    return (text + "\r\n").encode()


def client(number):
    dice = random.Random(seed * 1000 + number)
    s = socket.create_connection((host, int(port)), timeout=60)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    f = s.makefile("rb")
    for burst in range(bursts):
        ask = [(f"/call/{number}-{burst}-{i}", i >= first and dice.random() < 0.5) for i in range(depth)]
        s.sendall(b"".join(head(*a) for a in ask))
        if length:
            s.sendall(BODY)
        for n, (uri, tag) in enumerate(ask):
            try:
                judge(*read_answer(f), uri, tag)
            except OSError as e:
                with lock:
                    count["lost"] += len(ask) - n
                sys.stderr.write(f"lost: {uri}: {e}\n")
                return
    s.close()


threads = [threading.Thread(target=client, args=(i,)) for i in range(connections)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(json.dumps(count))
sys.exit(bool(count["wrong"] or count["lost"]))
