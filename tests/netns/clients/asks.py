# SPDX-License-Identifier: Apache-2.0
"""asks.py IP PORT fionread|splice TAG: does what a kernel may get wrong on one connection, then sends a tagged request
there, and one on each of two new connections. A line for each of the four: the pod that answered.

The first two are read as anybody reads; of the last ones, in the way that was asked for."""
import fcntl
import os
import select
import socket
import struct
import sys
import termios

ip, port, what, tag = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
PATIENCE = 15 * int(os.environ.get("LW_SLOW", 1))


def connect():
    s = socket.create_connection((ip, port), PATIENCE)
    s.setblocking(False)
    return s


def ready(s):
    if not select.select([s], [], [], PATIENCE)[0]:
        sys.exit("no answer came")


def fionread(s):
    return struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0" * 4))[0]


def spliced(s):
    r, w = os.pipe()
    try:
        return os.read(r, os.splice(s.fileno(), w, 4096))
    except BlockingIOError:
        return b""
    finally:
        os.close(r)
        os.close(w)


def ask(s, header, how):
    """The pod that answers; how takes what there is, in its own way."""
    s.sendall(f"GET /size/1000 HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + 1000:
        ready(s)
        more = how(s)
        if not more:
            sys.exit(f"stalled behind {len(got)} bytes")
        got += more
    lines = got.split(b"\r\n\r\n")[0].decode().split("\r\n")
    return next(line.split(": ", 1)[1] for line in lines if line.lower().startswith("x-pod: "))


def plain(s):
    return s.recv(65536)


def by_fionread(s):
    n = fionread(s)
    return s.recv(n) if n else b""


c = connect()
c.sendall(b"GET /size/1000 HTTP/1.1\r\nHost: x\r\n\r\n")
ready(c)
if what == "fionread":
    fionread(c)
else:
    spliced_first = spliced(c)  # where it works, part of the answer
c.close()

c = connect()
print(ask(c, "", plain))
if what == "fionread":
    fionread(c)
else:
    spliced(c)
print(ask(c, tag + "\r\n", plain))
for _ in range(2):
    c = connect()
    print(ask(c, tag + "\r\n", by_fionread if what == "fionread" else spliced))
