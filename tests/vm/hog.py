# SPDX-License-Identifier: Apache-2.0
"""hog.py N DONE: takes memory of TCP's, as N connections to itself that are sent what fits in, and that nobody reads; then makes the file DONE, and waits
to be ended."""
import signal
import socket
import sys

listener = socket.create_server(("127.0.0.1", 0))
kept = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    kept += [client, listener.accept()[0]]
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
open(sys.argv[2], "w").close()
signal.pause()
