# SPDX-License-Identifier: Apache-2.0
"""refuse.py NUMBER COMMAND...: runs COMMAND with the system call of that number refused (EPERM), as a seccomp profile does."""
import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD_NR, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000
insns = b"".join(struct.pack("HBBI", *i) for i in (
    (LOAD_NR, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 1, int(sys.argv[1])),
    (RETURN, 0, 0, ERRNO | errno.EPERM),
    (RETURN, 0, 0, ALLOW)))
held = ctypes.create_string_buffer(insns)
program = struct.pack("HxxxxxxQ", len(insns) // 8, ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
    sys.exit(f"refuse: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
