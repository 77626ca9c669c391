# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.x by hand, for the tests that care about single bytes and sends."""
import os
import socket

ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
PERIOD = 65521


def _pattern():
    x, out = 0x9E3779B97F4A7C15, bytearray()
    for _ in range(PERIOD):
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
        out.append(ALPHABET[x >> 58])
    return bytes(out)


PATTERN = _pattern()


def pattern(size, seed=0):
    """The body of hop's /size/SIZE?seed=SEED."""
    start = seed % PERIOD
    return (PATTERN * (size // PERIOD + 2))[start : start + size]


class Response:
    def __init__(self):
        self.status, self.headers, self.body, self.interim, self.trailers = 0, {}, b"", [], {}

    @property
    def pod(self):
        return self.headers.get("x-pod", "")

    @property
    def lane(self):
        return "gray" if "gray[" in self.pod else "base"


class Stream:
    """Bytes of a connection, in the pieces that HTTP comes in."""

    def __init__(self, sock):
        self.sock, self.buf = sock, b""

    def fill(self):
        data = self.sock.recv(65536)
        self.buf += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buf:
            if not self.fill():
                raise EOFError(f"end of file, {len(self.buf)} bytes before: {self.buf[:200]!r}")
        got, self.buf = self.buf.split(mark, 1)
        return got

    def take(self, n):
        parts, have = [self.buf[:n]], len(self.buf[:n])
        self.buf = self.buf[n:]
        while have < n:
            data = self.sock.recv(min(n - have, 1 << 20))
            if not data:
                raise EOFError(f"end of file after {have} of {n} body bytes")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def eof(self):
        """Everything up to the end of the connection."""
        while self.fill():
            pass
        got, self.buf = self.buf, b""
        return got

    @staticmethod
    def fields(lines):
        return {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}

    def chunks(self):
        """A chunked body, and its trailers."""
        parts, trailers = [], {}
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            parts.append(self.take(size))
            if self.take(2) != b"\r\n":
                raise ValueError("chunk without CRLF")
        while line := self.until(b"\r\n"):
            trailers.update(self.fields([line.decode()]))
        return b"".join(parts), trailers


class Wire(Stream):
    """One connection."""

    def __init__(self, ip, port, timeout=15):
        super().__init__(socket.create_connection((ip, port), timeout * int(os.environ.get("LW_SLOW", 1))))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.sendall(data)

    def head(self, method, path, headers=(), tag=None, version="1.1"):
        lines = [f"{method} {path} HTTP/{version}", "Host: web"]
        if tag:
            lines.append(f"x-mse-tag: {tag}")
        return ("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode()

    def request(self, method, path, headers=(), tag=None, body=None, version="1.1"):
        headers = list(headers)
        if body is not None:
            headers.append(f"Content-Length: {len(body)}")
        self.send(self.head(method, path, headers, tag, version) + (body or b""))
        return self.response(method == "HEAD")

    def response(self, is_head=False):
        r = Response()
        while True:
            lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            if not lines[0].startswith("HTTP/1."):
                raise ValueError(f"not a status line: {lines[0]!r}")
            r.status, r.headers = int(lines[0].split()[1]), self.fields(lines[1:])
            if r.status == 101 or r.status >= 200:
                break
            r.interim.append(r.status)
        if is_head or r.status in (101, 204, 304):
            return r
        if r.headers.get("transfer-encoding") == "chunked":
            r.body, r.trailers = self.chunks()
        elif "content-length" in r.headers:
            r.body = self.take(int(r.headers["content-length"]))
        else:
            r.body = self.eof()
        return r


def check(what, want, got):
    if want != got:
        def short(x):
            return x if len(repr(x)) < 200 else f"{repr(x)[:100]}... ({len(x)})"
        raise SystemExit(f"FAIL: {what}: expected {short(want)}, got {short(got)}")
