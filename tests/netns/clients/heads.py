# SPDX-License-Identifier: Apache-2.0
"""heads.py IP PORT RAW_PORT: heads split over sends, long heads, pipelined heads, and what is not HTTP. IP is a
base pod's address; at RAW_PORT it echoes bytes."""
import random
import sys

from wire import Wire, check, pattern

ip, port, raw_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(7)

# One byte a send; then random cuts, some within the body. The lane is known only at the head's end.
w = Wire(ip, port)
for tag in ("gray", None, "gray"):
    for byte in w.head("GET", "/size/100", ["A: b"], tag):
        w.send(bytes([byte]))
    r = w.response()
    check(f"byte by byte, tag {tag}", (tag or "base", pattern(100)), (r.lane, r.body))
for i in range(60):
    tag = random.choice(("gray", None))
    data = w.head("POST", "/echo", ["X-Fill: " + "f" * random.randrange(3000), "Content-Length: 500"], tag)
    data += pattern(500, i)
    cuts = sorted(random.sample(range(1, len(data)), random.randrange(1, 6)))
    for a, b in zip([0, *cuts], [*cuts, len(data)]):
        w.send(data[a:b])
    r = w.response()
    check(f"cut at {cuts} of {len(data)}, tag {tag}", (tag or "base", pattern(500, i)), (r.lane, r.body))

# The tag first, last, and under other names and letter cases; near the limit of 16 KiB.
for fill in (100, 1000, 8000, 15900):
    for order in (0, 1):
        lines = ["X-Fill: " + "f" * fill, "X-MSE-Tag: gray"]
        r = w.request("GET", "/size/10", lines if order else lines[::-1])
        check(f"head of {fill} bytes", ("gray", pattern(10)), (r.lane, r.body))
r = w.request("GET", "/size/10", ["x-mse-tagg: gray", "x-mse-ta: gray", "y: x-mse-tag: gray"])
check("names that are not the tag's", "base", r.lane)
r = w.request("GET", "/size/10", ["x-mse-tag: grayish"])
check("a tag that names no lane", "base", r.lane)

# Over the limit: untouched from here on, whole answers from the own peer.
w = Wire(ip, port)
r = w.request("GET", "/size/1000", ["X-Fill: " + "f" * 17000], "gray")
check("head over 16 KiB", (200, "base", pattern(1000)), (r.status, r.lane, r.body))
r = w.request("GET", "/size/1000", (), "gray")
check("opaque stays opaque", (200, "base", pattern(1000)), (r.status, r.lane, r.body))
w = Wire(ip, port)
for byte in w.head("GET", "/size/100", ["X-Fill: " + "f" * 300], "gray"):
    w.send(bytes([byte]))
check("a head in too many pieces", "base", w.response().lane)

# Pipelining: in one lane in order from one pod; across lanes whole and in order, wherever from.
for tag in ("gray", None):
    w = Wire(ip, port)
    w.send(b"".join(w.head("GET", f"/size/{i}?seed={i}", (), tag) for i in range(1, 20)))
    got = [w.response() for _ in range(1, 20)]
    check("pipelined: bodies", [pattern(i, i) for i in range(1, 20)], [r.body for r in got])
    check("pipelined: first lane", tag or "base", got[0].lane)
    check("pipelined: one pod", 1, len({r.pod for r in got}))
    for size in (5000, 1):
        w = Wire(ip, port)
        tags = [tag, None if tag else "gray", tag]
        w.send(b"".join(w.head("GET", f"/size/{size}?seed={i}", (), t) for i, t in enumerate(tags)))
        got = [w.response() for _ in tags]
        check("pipelined across lanes", [pattern(size, i) for i in range(3)], [r.body for r in got])
w = Wire(ip, port)
w.send(w.head("GET", "/slow/300", (), "gray"))
w.send(w.head("GET", "/size/5", (), None))
got = [w.response(), w.response()]
check("next request before the answer", [b"slow 300\n", pattern(5)], [r.body for r in got])
check("next request before the answer: lane of the first", "gray", got[0].lane)

# Framing in doubt: to the own peer, tag or not. (hop refuses them all.)
for name, head in {
    "length and chunked": b"POST /echo HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "bad length": b"POST /echo HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nContent-Length: +3\r\n\r\nabc",
    "bare LF": b"GET /id HTTP/1.1\nHost: w\nx-mse-tag: gray\n\r\n\r\n",
    "bare CR": b"GET /id HTTP/1.1\r\nHost: w\rx-mse-tag: gray\r\n\r\n",
    "NUL": b"GET /id HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nA: \0\r\n\r\n",
    "fold": b"GET /id HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nA: b\r\n c\r\n\r\n",
    "blank before colon": b"GET /id HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nA : b\r\n\r\n",
}.items():
    w = Wire(ip, port)
    w.send(head)
    r = w.response()
    check(f"{name}: status, lane", (400, "base"), (r.status, r.lane))

# Not HTTP: an echo must get every byte, whoever speaks first.
hello = bytes.fromhex("16030102000100") + bytes(random.randrange(256) for _ in range(505))
for name, first in {
    "text": b"hello\n", "TLS-like": hello, "zeros": bytes(5000), "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40),
    "nearly HTTP": b"GET nothing\r\n\r\n", "a lone letter": b"g", "response": b"HTTP/1.1 200 OK\r\n\r\n",
}.items():
    w = Wire(ip, raw_port)
    check(f"{name}: banner", b"banner\n", w.take(7))
    w.send(first)
    check(f"{name}: echo", first, w.take(len(first)))
    blob = random.randbytes(300000)
    for at in range(0, len(blob), 50000):
        w.send(blob[at : at + 50000])
        check(f"{name}: echo of {at}", blob[at : at + 50000], w.take(50000))
print("ok")
