# SPDX-License-Identifier: Apache-2.0
"""locked.py IP PORT REQUEST: sends REQUEST ("": none), and from another thread on the same connection bytes that are not there: the
kernel keeps the socket locked while it waits for them. Prints "locked" then, and after a line on standard input, with which the bytes
come, how the connection ends, if there was a request."""
import ctypes
import socket
import sys
import threading

from absent import Absent, libc

# the beginning of one more request, so that what comes of it is nobody's answer
BYTES = b"GET / HTTP/1.1\r\n"

absent = Absent()
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if sys.argv[3]:
    c.sendall(sys.argv[3].encode().decode("unicode_escape").encode())
send = (c.fileno(), ctypes.c_void_p(absent.address), ctypes.c_size_t(len(BYTES)), socket.MSG_NOSIGNAL)
sender = threading.Thread(target=libc.send, args=send)
sender.start()
absent.wait()
print("locked", flush=True)
sys.stdin.readline()
absent.give(BYTES)
sender.join()
if not sys.argv[3]:
    sys.exit(0)
got = b""
try:
    while len(got) < 100000:
        try:
            part = c.recv(65536)
        except BlockingIOError:
            continue  # one that sleeps may be woken so by the connection's end, which the next one tells (docs/limits.md)
        if not part:
            break
        got += part
    print("end", flush=True)
except ConnectionError:
    print("reset", flush=True)
