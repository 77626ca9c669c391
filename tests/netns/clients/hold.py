# SPDX-License-Identifier: Apache-2.0
"""hold.py IP PORT: keeps one connection and sends a request over it for each line "HEADER<tab>PATH" of its
input. Prints "STATUS POD LENGTH FNV", or the name of the error. First line: the connection's addresses.
"peer<tab>" prints what getpeername() says. After an error it opens a new connection."""
import sys

from wire import Wire


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


ip, port = sys.argv[1], int(sys.argv[2])
wire = Wire(ip, port)
print(wire.sock.getsockname()[:2], wire.sock.getpeername()[:2], flush=True)
for line in sys.stdin:
    header, path = line.rstrip("\n").split("\t")
    if header == "peer":
        print(*wire.sock.getpeername()[:2], flush=True)
        continue
    try:
        if wire is None:
            wire = Wire(ip, port)
        r = wire.request("GET", path, [header] if header else [])
        print(r.status, r.pod, len(r.body), fnv(r.body), flush=True)
    except (OSError, EOFError, ValueError) as error:
        wire.sock.close()
        wire = None
        print(type(error).__name__, str(error).replace("\n", " "), flush=True)
