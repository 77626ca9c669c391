# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.x at random, of both sides' making: methods, framing, interim responses, trailers, upgrades, answers before the request's end, ends of
file and of patience, sizes, slow readers, where it is cut, and the system calls that send and receive it. Whatever is right HTTP has to come whole, in its lane, on connections that carry both lanes in turn.
random_http.py serve NAME PORT                      what it answers to /SEED is drawn by SEED, and by the request; /pSEED is of a pipeline, /tSEED asks for
                                                    a tunnel
random_http.py ask SEED COUNT THREADS IP PORT IP...  COUNT requests of each thread to PORT of these; each answer is checked to the byte"""
import hashlib
import os
import random
import select
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import time

from wire import Stream, Wire, pattern

EXTENSIONS = (b"", b"", b"", b";a=b", b';q="x y";r')
# blanks before it are right, and doubtful: of a response that is no more than its connection to the pod is given up
DOUBTFUL = EXTENSIONS + (b" ;a=b",)
# how many requests go out at once; HTTP_PIPES: others than these
PIPES = [int(n) for n in os.environ.get("HTTP_PIPES", "0 " * 15 + "2 4").split()]
SIZES = (0, 0, 1, 5, 100, 1000, 4096, 16384, 70000, 300000) * 3 + (3000000,)


class Odd:
    """A socket, whose bytes go and come by one way or another that there is."""

    def __init__(self, sock, seed):
        self.sock, self.dice = sock, random.Random(f"ways {seed}")

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def recv(self, most):
        way = self.dice.randrange(10)
        if way == 0:
            return self.sock.recv(min(most, self.dice.randrange(1, 300)))
        if way == 1:
            seen = self.sock.recv(min(most, self.dice.choice((1, 100, most))), socket.MSG_PEEK)
            got = self.sock.recv(len(seen) or 1)
            if not seen.startswith(got) or (seen and not got):
                raise ValueError(f"{seen[:80]!r} seen, {got[:80]!r} got")
            return got
        if way == 2 and most >= 3000:
            parts = [bytearray(self.dice.choice((1, 7, 1000))) for _ in range(3)]
            n = self.sock.recvmsg_into(parts)[0]
            return b"".join(parts)[:n]
        if way == 3:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN | select.POLLRDHUP)
            if not poll.poll(30000):
                raise TimeoutError("nothing to poll for")
            return self.sock.recv(most, socket.MSG_DONTWAIT)
        return self.sock.recv(most)

    def some(self, data, flags=0):
        """By several calls."""
        at = 0
        while at < len(data):
            n = self.dice.choice((10, 1000, 100000))
            parts = [data[at : at + n], data[at + n : at + 2 * n]]
            at += self.sock.sendmsg(parts, [], flags)

    def sendall(self, data):
        way = self.dice.randrange(10)
        if way == 0:
            self.some(data)
        elif way == 1 and len(data) > 1:
            cut = self.dice.randrange(1, len(data))
            self.some(data[:cut], socket.MSG_MORE)
            self.sock.sendall(data[cut:])
        elif way == 2:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            self.some(data)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        elif way == 3 and data:
            with tempfile.TemporaryFile() as f:
                f.write(data)
                f.flush()
                self.sock.sendfile(f, 0)
        else:
            self.sock.sendall(data)


def send_in_pieces(sock, data, dice, most=6):
    cuts = sorted(dice.sample(range(1, len(data)), min(dice.randrange(most), len(data) - 1))) if len(data) > 1 and dice.random() < 0.6 else []
    for a, b in zip([0, *cuts], [*cuts, len(data)]):
        sock.sendall(data[a:b])
        if dice.random() < 0.05:
            time.sleep(dice.random() * 0.005)


def chunked(body, dice, extensions):
    out, at = [], 0
    while at < len(body):
        n = min(len(body) - at, dice.choice((1, 10, 1000, 5000, 65536)) if at < 2000 else 65536)
        out.append(dice.choice((b"%x", b"%X", b"000%x")) % n + dice.choice(extensions) + b"\r\n" + body[at : at + n] + b"\r\n")
        at += n
    trailer = dice.choice((b"", b"", b"x-trailer: t\r\n"))
    return b"".join(out) + b"0\r\n" + trailer + b"\r\n"


def answer_to(seed, method, version, body_hash, name):
    """Lines of the final response's head, its body as sent, whether the connection ends with it, its status, and the body as read."""
    dice = random.Random(f"answer {seed}")
    status = dice.choice((200,) * 8 + (204, 304, 404, 500))
    body = pattern(dice.choice(SIZES), int(seed.strip("pt")) % 65521)
    kind = dice.choice(("length", "length", "chunked", "chunked", "close")) if version == "1.1" else dice.choice(("length", "close"))
    piped = seed[0] == "p"
    if piped and kind == "close":
        kind = "length"
    lines = [f"HTTP/1.1 {status} {dice.choice(('OK', '', 'what it is'))}", f"X-Pod: {name}", f"X-Body: {body_hash}"]
    lines += ["X-Fill: " + "f" * dice.choice((0, 10, 3000))] if dice.random() < 0.3 else []
    ends = kind == "close" and method != "HEAD" and status not in (204, 304)
    if status == 204 or (status == 304 and dice.random() < 0.5):
        return lines, b"", dice.random() < 0.1 and not piped, status, b""
    if kind == "length" or (kind == "close" and not ends):
        lines.append(f"{dice.choice(('Content-Length', 'content-length'))}: {len(body)}")
        data = body
    elif kind == "chunked":
        lines.append("Transfer-Encoding: chunked")
        data = chunked(body, dice, EXTENSIONS if piped else DOUBTFUL)
    else:
        data = body
    if method == "HEAD" or status == 304:
        data = body = b""
    return lines, data, ends or (dice.random() < 0.05 and not piped), status, body


class Handler(socketserver.BaseRequestHandler):
    def body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            return self.stream.chunks()[0]
        return self.stream.take(int(headers.get("content-length", 0)))

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(300)
        self.request = Odd(self.request, self.client_address[1])
        self.stream = Stream(self.request)
        try:
            while self.one():
                pass
        except (EOFError, ConnectionError):
            pass

    def one(self):
        lines = self.stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, path, version = lines[0].split(" ")
        headers, seed, version = Stream.fields(lines[1:]), path[1:], version[5:]
        if seed[0] == "t":
            self.request.sendall(f"HTTP/1.1 101 Switching Protocols\r\nX-Pod: {self.server.name}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
            while data := self.stream.buf or self.request.recv(65536):
                self.stream.buf = b""
                self.request.sendall(data)
            return False
        dice = random.Random(f"interim {seed}")
        if headers.get("expect"):
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        early = seed[0] != "p" and dice.random() < 0.1 and not headers.get("expect")
        body_hash = "early" if early else hashlib.sha256(self.body(headers)).hexdigest()
        interim = b"".join(dice.choice((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"))
                           for _ in range(dice.choice((0,) * 6 + (1, 2)))) if version == "1.1" else b""
        lines, data, ends, _, _ = answer_to(seed, method, version, body_hash, self.server.name)
        if headers.get("connection") == "close" or (version == "1.0" and headers.get("connection") != "keep-alive"):
            ends = True
        lines += ["Connection: close"] if ends else ["Connection: keep-alive"] if version == "1.0" else []
        head = interim + ("\r\n".join(lines) + "\r\n\r\n").encode()
        if dice.random() < 0.3:
            send_in_pieces(self.request, head, dice)
            send_in_pieces(self.request, data, dice) if data else None
        else:
            send_in_pieces(self.request, head + data, dice)
        if early:
            self.body(headers)
        return not ends


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 1024
    address_family = socket.AF_INET


def request_of(seed, dice, piped, tag):
    method = dice.choice(("GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS"))
    version = dice.choice(("1.1",) * 9 + ("1.0",))
    lines, body, rest = [], b"", b""
    if method in ("POST", "PUT"):
        body = pattern(dice.choice(SIZES), int(seed.strip("pt")) % 1000)
        if version == "1.1" and dice.random() < 0.4:
            lines.append("Transfer-Encoding: chunked")
            rest = chunked(body, dice, EXTENSIONS)
        else:
            lines.append(f"Content-Length: {len(body)}")
            rest = body
        if version == "1.1" and dice.random() < 0.15 and not piped:
            lines.append("Expect: 100-continue")
    if dice.random() < 0.3:
        lines.append("X-Fill: " + "f" * dice.choice((1, 100, 2000, 8000)))
    if dice.random() < 0.03 and not piped:
        lines.append("Connection: close")
    elif version == "1.0":
        lines.append("Connection: keep-alive")
    dice.shuffle(lines)
    return method, version, tag, lines, body, rest


def ask(number, seed, count, targets, port, wrong, done):
    dice = random.Random(f"{seed} {number}")
    wires, n = {}, 0
    try:
        while n < count:
            ip = dice.choice(targets)
            wire = wires.pop(ip, None)
            kind = "kept" if wire else "new"
            if not wire:
                wire = Wire(ip, port, 30)
                wire.sock = Odd(wire.sock, f"{number} {n}")
            # of a pipeline a request may find the one before still on its way, and the connection is left alone then, by design: only that all
            # answers come whole is asked for. Across lanes they may mix (docs/limits.md). All other requests go to their lane.
            piped = dice.choice(PIPES)
            batch, tag = [], dice.choice((None, "gray"))
            if dice.random() < 0.04:
                what = f"thread {number}, request {n}: tunnel {tag} to {ip}"
                tunnel(wire, str(dice.randrange(1 << 40)), tag, dice)
                n += 1
                continue
            for _ in range(piped or 1):
                name = ("p" if piped else "") + str(dice.randrange(1 << 40))
                batch.append((name, request_of(name, dice, piped, tag)))
            data = b""
            for name, (method, version, tag, lines, body, rest) in batch:
                data += wire.head(method, "/" + name, lines, tag, version)
                if "Expect: 100-continue" not in lines:
                    data += rest
            # with a body both sides may be sending
            sender = threading.Thread(target=quietly, args=(send_in_pieces, wire.sock, data, random.Random(name)))
            sender.start()
            slow, half, impatient = (not piped and dice.random() < p for p in (0.04, 0.04, 0.03))
            if half and not any("Expect: 100-continue" in r[3] for _, r in batch):
                sender.join()
                wire.sock.shutdown(socket.SHUT_WR)
            else:
                half = False
            if impatient:
                # in the midst of anything; what becomes of others is looked at
                time.sleep(dice.random() * 0.003)
                if dice.random() < 0.5:
                    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    quietly(wire.sock.shutdown, socket.SHUT_RDWR)
                # not while it sends: sendfile() of Python's keeps the number of a descriptor, which may be another connection's by then
                sender.join()
                wire.sock.close()
                n += 1
                continue
            if slow:
                time.sleep(0.3)
            kind += " slow" * slow + " half-closed" * half + f" of {len(batch)}"
            for name, (method, version, tag, lines, body, rest) in batch:
                what = f"thread {number}, request {n}: {method} /{name} HTTP/{version} {tag} {[x[:60] for x in lines]} to {ip}:{wire.sock.getsockname()[1]} ({kind})"
                if "Expect: 100-continue" in lines:
                    head = wire.until(b"\r\n\r\n")
                    if not head.startswith(b"HTTP/1.1 100"):
                        raise ValueError(f"{what}: not a 100: {head[:80]!r}")
                    send_in_pieces(wire.sock, rest, random.Random(name))
                answer = wire.response(method == "HEAD")
                n += 1
                if answer.headers.get("x-body") not in ("early", hashlib.sha256(body).hexdigest()):
                    raise ValueError(f"{what}: the pod got another body: {answer.headers}")
                if answer.lane != (tag or "base") and not piped:
                    raise ValueError(f"{what}: answered by {answer.pod}")
                _, _, _, status, whole = answer_to(name, method, version, "", "")
                if (answer.status, answer.body) != (status, whole):
                    raise ValueError(f"{what}: {answer.status} {len(answer.body)} bytes, not {status} {len(whole)}")
            ends = answer.headers.get("connection") == "close"
            sender.join()
            if ends or piped or half:
                if (ends or half) and wire.eof():
                    raise ValueError(f"{what}: bytes behind the last response")
                wire.sock.close()
            elif dice.random() < 0.9:
                wires[ip] = wire
        done.append(n)
    except (EOFError, OSError, ValueError) as e:
        wrong.append(f"{e!r} (thread {number} after {n} requests; {locals().get('what')})")


def tunnel(wire, name, tag, dice):
    """What goes in comes out, in both directions at once."""
    wire.send(wire.head("GET", "/t" + name, ["Connection: Upgrade", "Upgrade: echo"], tag))
    answer = wire.response()
    if answer.status != 101 or answer.lane != (tag or "base"):
        raise ValueError(f"{answer.status} of {answer.pod}")
    for _ in range(dice.randrange(1, 5)):
        data = pattern(dice.choice((1, 50, 3000, 200000)), dice.randrange(1000))
        sender = threading.Thread(target=quietly, args=(send_in_pieces, wire.sock, data, random.Random(name)))
        sender.start()
        if wire.take(len(data)) != data:
            raise ValueError("another echo")
        sender.join()
    if dice.random() < 0.5:
        wire.sock.shutdown(socket.SHUT_WR)
        if wire.eof():
            raise ValueError("bytes behind the last of the tunnel")
    wire.sock.close()


def quietly(call, *args):
    try:
        call(*args)
    except (OSError, ValueError):
        pass # closed meanwhile


if sys.argv[1] == "serve":
    server = Server(("0.0.0.0", int(sys.argv[3])), Handler)
    server.name = sys.argv[2]
    server.serve_forever()
else:
    seed, count, threads = (int(a) for a in sys.argv[2:5])
    wrong, done = [], []
    tasks = [threading.Thread(target=ask, args=(i, seed, count, sys.argv[7:] + [sys.argv[5]], int(sys.argv[6]), wrong, done)) for i in range(threads)]
    for t in tasks:
        t.start()
    for t in tasks:
        t.join()
    print(f"seed {seed}: {sum(done)} requests")
    if wrong:
        raise SystemExit("FAIL: " + "\n".join(wrong))
