# SPDX-License-Identifier: Apache-2.0
"""locked.py IP PORT REQUEST: sends REQUEST ("": none), and from another thread on the same connection bytes that are not there (userfaultfd):
the kernel keeps the socket locked while it waits for them. Prints "locked" then, and after a line on standard input, with which
the bytes come, how the connection ends, if there was a request."""
import ctypes
import fcntl
import mmap
import os
import socket
import struct
import sys
import threading

NR = {"x86_64": 323, "aarch64": 282}[os.uname().machine]  # userfaultfd(2)
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_COPY = 0xC018AA3F, 0xC020AA00, 0xC028AA03
SIZE = mmap.PAGESIZE
# the beginning of one more request, so that what comes of it is nobody's answer
BYTES = b"GET / HTTP/1.1\r\n"

libc = ctypes.CDLL(None, use_errno=True)
uffd = libc.syscall(NR, os.O_CLOEXEC)
if uffd < 0:
    sys.exit("userfaultfd: " + os.strerror(ctypes.get_errno()))
fcntl.ioctl(uffd, UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
memory = mmap.mmap(-1, SIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
fcntl.ioctl(uffd, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", start, SIZE, 1, 0)))

c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if sys.argv[3]:
    c.sendall(sys.argv[3].encode().decode("unicode_escape").encode())
sender = threading.Thread(target=libc.send, args=(c.fileno(), ctypes.c_void_p(start), ctypes.c_size_t(len(BYTES)), socket.MSG_NOSIGNAL))
sender.start()
os.read(uffd, 32)  # of the fault
print("locked", flush=True)
sys.stdin.readline()
page = ctypes.create_string_buffer(BYTES, SIZE)
fcntl.ioctl(uffd, UFFDIO_COPY, bytearray(struct.pack("QQQQq", start, ctypes.addressof(page), SIZE, 0, 0)))
sender.join()
if not sys.argv[3]:
    sys.exit(0)
got = b""
try:
    while len(got) < 100000:
        part = c.recv(65536)
        if not part:
            break
        got += part
    print("end", flush=True)
except ConnectionError:
    print("reset", flush=True)
