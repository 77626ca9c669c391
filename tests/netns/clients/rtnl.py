# SPDX-License-Identifier: Apache-2.0
"""rtnl.py: keeps the kernel's lock for network devices until a line comes on standard input: it asks a device for the names of its
statistics, under which the kernel reads the rest of the question, which is not there (ethtool_get_strings()). Prints "locked"."""
import ctypes
import socket
import struct
import sys
import threading

from absent import Absent, libc

SIOCETHTOOL, ETHTOOL_GSTRINGS = 0x8946, 0x1B

absent = Absent(struct.pack("I", ETHTOOL_GSTRINGS))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ifreq = ctypes.create_string_buffer(struct.pack("16sQ16x", b"lo", absent.address), 40)
asker = threading.Thread(target=libc.ioctl, args=(s.fileno(), ctypes.c_ulong(SIOCETHTOOL), ifreq))
asker.start()
absent.wait()
print("locked", flush=True)
sys.stdin.readline()
absent.give(b"")
asker.join()
