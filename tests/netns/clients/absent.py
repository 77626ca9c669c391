# SPDX-License-Identifier: Apache-2.0
"""Memory that is not there until it is given (userfaultfd): the kernel waits for it, with whatever it has locked then.
Run by itself: fails where there is no such thing."""
import ctypes
import fcntl
import mmap
import os
import struct
import sys

NR = {"x86_64": 323, "aarch64": 282}[os.uname().machine]  # userfaultfd(2)
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_COPY = 0xC018AA3F, 0xC020AA00, 0xC028AA03
MISSING = 1  # UFFDIO_REGISTER_MODE_MISSING

libc = ctypes.CDLL(None, use_errno=True)


class Absent:
    """A page of it; `before` is there, in front of it. `address`: of the first byte of both."""

    def __init__(self, before=b""):
        self.fd = libc.syscall(NR, os.O_CLOEXEC)
        if self.fd < 0:
            sys.exit("userfaultfd: " + os.strerror(ctypes.get_errno()))
        fcntl.ioctl(self.fd, UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
        self.memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.memory[mmap.PAGESIZE - len(before) : mmap.PAGESIZE] = before
        self.page = start + mmap.PAGESIZE
        self.address = self.page - len(before)
        fcntl.ioctl(self.fd, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", self.page, mmap.PAGESIZE, MISSING, 0)))

    def wait(self):
        """Until somebody wants it."""
        os.read(self.fd, 32)

    def give(self, data):
        page = ctypes.create_string_buffer(data, mmap.PAGESIZE)
        fcntl.ioctl(self.fd, UFFDIO_COPY, bytearray(struct.pack("QQQQq", self.page, ctypes.addressof(page), mmap.PAGESIZE, 0, 0)))


if __name__ == "__main__":
    Absent()
