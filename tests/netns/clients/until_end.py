# SPDX-License-Identifier: Apache-2.0
"""until_end.py IP PORT N [QUERY]: N tagged requests, each on a connection of its own, for a response that ends by end of file,
read by a recv() that sleeps for as long as it takes. Prints each way there was of telling the end: "end", or "EAGAIN, end"."""
import socket
import sys

SIZE = 3000
QUERY = sys.argv[4] if len(sys.argv) > 4 else ""
told = set()
for n in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
        sock.sendall(b"GET /close/%d%s HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n" % (SIZE, QUERY.encode()))
        got, how = b"", []
        while True:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                how.append("EAGAIN")
                if len(how) > 1:
                    break
                continue
            if not data:
                how.append("end")
                break
            got += data
        if not got.startswith(b"HTTP/1.1 200") or len(got.split(b"\r\n\r\n", 1)[1]) != SIZE:
            how.insert(0, f"{len(got)} bytes")
        told.add(", ".join(how))
print("; ".join(sorted(told)))
