# SPDX-License-Identifier: Apache-2.0
"""Sockets of other network namespaces, for the tests that have clients in several pods."""
import ctypes

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(path):
    """Sockets that this thread makes from here on are the namespace's."""
    with open(path) as f:
        if libc.setns(f.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
