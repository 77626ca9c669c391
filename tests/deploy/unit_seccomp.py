#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""unit_seccomp.py UNIT: the OCI seccomp object that does what SystemCallFilter= and RestrictAddressFamilies= of the unit do."""
import json
import json
import platform
import re
import socket
import subprocess
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    unit = dict(re.findall(r"^(\w+)=(.*)$", f.read(), re.M))


def expand(name, seen):
    if not name.startswith("@"):
        return {name}
    if name in seen:
        return set()
    seen.add(name)
    text = subprocess.run(("systemd-analyze", "syscall-filter", "--no-pager", name), check=True, stdout=subprocess.PIPE,
                          text=True).stdout
    found = set()
    for line in text.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            found |= expand(word, seen)
    return found


# systemd adds @default by itself
calls, seen = set(), set()
for word in unit["SystemCallFilter"].split() + ["@default"]:
    calls |= expand(word, seen)
calls.discard("socket")
families = [getattr(socket, name) for name in unit["RestrictAddressFamilies"].split()]
rules = [{"names": sorted(calls), "action": "SCMP_ACT_ALLOW"}]
rules += [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": int(f), "op": "SCMP_CMP_EQ"}]}
          for f in families]
arch = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[platform.machine()]
print(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": [arch], "syscalls": rules}))
