# SPDX-License-Identifier: Apache-2.0
"""framing.py IP PORT: every framing of HTTP/1.x through both lanes. IP is a base pod's address; requests
with the tag must be answered by the canary and the others by base, on one connection in turn."""
import sys

from wire import Wire, check, pattern

ip, port = sys.argv[1], int(sys.argv[2])
LANES = ["gray", None, "gray", "gray", None]


def lane_of(tag):
    return tag or "base"


def chunked(body, sizes, ext=b"", trailers=b""):
    out, at, i = b"", 0, 0
    while at < len(body):
        piece = body[at : at + sizes[i % len(sizes)]]
        out += b"%x%s\r\n%s\r\n" % (len(piece), ext, piece)
        at += len(piece)
        i += 1
    return out + b"0" + ext + b"\r\n" + trailers + b"\r\n"


def in_turn(what, run):
    for tag in LANES:
        r = run(tag)
        check(f"{what}, tag {tag}: lane", lane_of(tag), r.lane)
        check(f"{what}, tag {tag}: tag seen", tag or "", r.headers.get("x-lane-seen", ""))


w = Wire(ip, port)


def get(path, status=200, body=None, method="GET", send=None, headers=(), trailers=None, interim=None):
    def run(tag):
        r = w.request(method, path, headers, tag, send)
        check(f"{method} {path}: status", status, r.status)
        if body is not None:
            check(f"{method} {path}: body", body, r.body)
        if trailers is not None:
            check(f"{method} {path}: trailers", trailers, r.trailers)
        if interim is not None:
            check(f"{method} {path}: 1xx", interim, r.interim)
        return r

    in_turn(f"{method} {path}", run)


for size in (0, 1, 1000, 16384, 100000, 1000000):
    get(f"/size/{size}?seed={size}", body=pattern(size, size))
    get(f"/chunked/{size}?seed=3", body=pattern(size, 3))
get("/chunked/50000?trailer&ext", body=pattern(50000), trailers={"x-trailer": "done"})
get("/size/100000", method="HEAD", body=b"")
get("/chunked/1000", method="HEAD", body=b"")
get("/size/70", body=pattern(70))
get("/status/204", status=204, body=b"")
get("/status/304", status=304, body=b"")
get("/status/500", status=500)
get("/early", interim=[103], body=b"early\n")
for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
    get("/echo", method=method, send=pattern(777), body=pattern(777))
get("/echo", method="POST", send=b"", body=b"")
get("/echo", method="POST", send=pattern(300000, 9), body=pattern(300000, 9))
# A body that looks like a request, and one that looks like a response.
trap = b"GET /id HTTP/1.1\r\nHost: web\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
get("/echo", method="POST", send=trap, body=trap)

for sizes in ([1], [7, 1, 4096], [65536]):
    for ext, trailers in ((b"", b""), (b';a="b;c"', b"X-T: 1\r\nX-U: 2\r\n")):
        body = pattern(3000 if sizes == [1] else 120000, 5)
        data = chunked(body, sizes, ext, trailers)

        def run(tag):
            w.send(w.head("POST", "/echo", ["Transfer-Encoding: chunked"], tag) + data)
            r = w.response()
            check("chunked request: body", body, r.body)
            return r

        in_turn(f"chunked request {sizes}", run)

        def run_pieces(tag):
            w.send(w.head("POST", "/echo", ["Transfer-Encoding: chunked"], tag))
            for at in range(0, len(data), 9973):
                w.send(data[at : at + 9973])
            r = w.response()
            check("chunked request in pieces: body", body, r.body)
            return r

        in_turn(f"chunked request {sizes} in pieces", run_pieces)


def expect(tag):
    w.send(w.head("POST", "/echo", ["Expect: 100-continue", "Content-Length: 5000"], tag))
    first = w.until(b"\r\n\r\n")
    check("Expect: interim answer", True, first.startswith(b"HTTP/1.1 100"))
    w.send(pattern(5000))
    r = w.response()
    check("Expect: body", pattern(5000), r.body)
    return r


in_turn("Expect: 100-continue", expect)

for tag in ("gray", None):
    for path, version, headers in (
        ("/close/200000", "1.1", ()),
        ("/close/0", "1.1", ()),
        ("/close/5000", "1.0", ()),
        ("/size/5000", "1.0", ()),
        ("/chunked/5000", "1.0", ()),
        ("/size/5000", "1.1", ("Connection: close",)),
    ):
        w = Wire(ip, port)
        w.send(w.head("GET", path, headers, tag, version))
        r = w.response()
        check(f"{path} HTTP/{version}: lane", lane_of(tag), r.lane)
        check(f"{path} HTTP/{version}: body", pattern(int(path.split("/")[2])), r.body)
        check(f"{path} HTTP/{version}: end of file", b"", w.eof())

    w = Wire(ip, port)
    for _ in range(3):
        r = w.request("GET", "/size/100", ["Connection: keep-alive"], tag, version="1.0")
        check("HTTP/1.0 keep-alive: lane", lane_of(tag), r.lane)

    # The client is done sending before the answer comes.
    import socket

    w = Wire(ip, port)
    w.send(w.head("GET", "/slow/100", (), tag))
    w.sock.shutdown(socket.SHUT_WR)
    r = w.response()
    check("half-closed client: lane", lane_of(tag), r.lane)
    check("half-closed client: body", b"slow 100\n", r.body)
    check("half-closed client: end of file", b"", w.eof())

    for method, path, headers in (("GET", "/upgrade", ("Connection: Upgrade", "Upgrade: echo")), ("CONNECT", "web:80", ())):
        w = Wire(ip, port)
        w.send(w.head(method, path, headers, tag))
        head = w.until(b"\r\n\r\n").decode()
        check(f"{method} {path}: lane", lane_of(tag), "gray" if "gray[" in head else "base")
        for size in (1, 10, 100000):
            w.send(pattern(size))
            check(f"{method} {path}: echo", pattern(size), w.take(size))
        w.send(b"GET /id HTTP/1.1\r\nHost: web\r\n\r\n")
        check(f"{method} {path}: echo of a request", b"GET /id HTTP/1.1\r\nHost: web\r\n\r\n", w.take(len(b"GET /id HTTP/1.1\r\nHost: web\r\n\r\n")))
        w.sock.shutdown(socket.SHUT_WR)
        check(f"{method} {path}: end of file", b"", w.eof())
print("ok")
