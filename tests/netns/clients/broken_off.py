# SPDX-License-Identifier: Apache-2.0
"""Responses whose end only the connection's can tell, ended as the pod likes.
broken_off.py serve NAME PORT FOLDER      answers to /KIND/END/BYTES/N by such a response, with an end behind it once FOLDER/N is there: of file (END
                                          fin), or a reset (rst); or (amid) with a reset in the midst of the bytes
broken_off.py ask IP PORT FOLDER HEADER   asks for each, on a connection of its own, and says in a line what has come of it, and how it ended

KIND: close (no length), blank (a blank behind a chunk's size, which need not be taken for a number), twice (two lengths), tunnel (101)."""
import os
import select
import socket
import struct
import sys
import threading
import time

KINDS = {
    "close": b"HTTP/1.1 200 OK\r\nX-Pod: %s\r\n\r\n",
    "blank": b"HTTP/1.1 200 OK\r\nX-Pod: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x \r\n",
    "twice": b"HTTP/1.1 200 OK\r\nX-Pod: %s\r\nContent-Length: %d, %d\r\n\r\n",
    "tunnel": b"HTTP/1.1 101 Switching Protocols\r\nX-Pod: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
}
ASKED = [(kind, end, size) for kind in KINDS for end, size in (("fin", 1000), ("rst", 1000), ("fin", 300000), ("rst", 300000))]
ASKED += [("close", "amid", 30000000)]
PATIENCE = 20 * int(os.environ.get("LW_SLOW", 1))


def answer(sock, name, folder):
    got = b""
    while b"\r\n\r\n" not in got:
        data = sock.recv(65536)
        if not data:
            return
        got += data
    _, kind, end, size, number = got.split()[1].decode().split("/")
    rest = KINDS[kind] % (name, *[int(size)] * (KINDS[kind].count(b"%") - 1)) + b"x" * int(size)
    sock.settimeout(0.01)
    while rest or not os.path.exists(os.path.join(folder, number)):
        if end == "amid" and os.path.exists(os.path.join(folder, number)):
            break
        try:
            rest = rest[sock.send(rest) :] if rest else rest
        except TimeoutError:
            pass
        if not rest:
            time.sleep(0.001)
    if end != "fin":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def ask(n, kind, end, size):
    with socket.create_connection((sys.argv[2], int(sys.argv[3])), PATIENCE) as sock:
        upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n" if kind == "tunnel" else ""
        sock.sendall(f"GET /{kind}/{end}/{size}/{n} HTTP/1.1\r\nHost: a\r\n{sys.argv[5]}\r\n{upgrade}\r\n".encode())
        got, body, told = b"", 0, False
        while select.select([sock], [], [], PATIENCE)[0]:
            try:
                data = sock.recv(65536)
            except ConnectionError:
                return got, body, "reset"
            if not data:
                return got, body, "end"
            got = (got + data)[:500]
            body += data.count(b"x")
            if not told and (body >= size or (end == "amid" and body > 1000000)):
                told = True
                open(os.path.join(sys.argv[4], str(n)), "w").close()
                if end == "amid":
                    # what waits for it meanwhile is more than the kernel keeps, so that the agent carries it
                    time.sleep(0.5)
        return got, body, "nothing"


if sys.argv[1] == "serve":
    with socket.create_server(("0.0.0.0", int(sys.argv[3])), backlog=100) as listener:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0], sys.argv[2].encode(), sys.argv[4]), daemon=True).start()
for n, (kind, end, size) in enumerate(ASKED):
    got, body, how = ask(n, kind, end, size)
    pod = got.split(b"X-Pod: ")[1].split(b"\r\n")[0].decode() if b"X-Pod" in got else "nobody"
    print(pod, kind, end, size, "" if end == "amid" else f"{body} bytes, ", how)
