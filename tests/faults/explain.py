# SPDX-License-Identifier: Apache-2.0
"""explain.py FAULTS LOG...: which fault explains each request that was lost or answered by base. FAULTS has lines "BEGIN END NAME
WHO" in microseconds, LOG the lines of soak's --log. Exit 1 if one is not explained. A request is hit by a fault if it was
under way at any moment of it, or up to the grace behind it."""
import collections
import sys

# Microseconds behind a fault: a lost request may still be waiting for what it lost, and resets are seen a little later.
GRACE = 500_000
# A canary that is not to be had: its requests go to base. A killed agent's fault ends when the next one steers, connections of before too:
# it is of the same build. The second is for its first upstream sockets.
FALLS_BACK = {"agent-kill": 1_000_000, "agent-stop": GRACE, "canary-kill": GRACE, "cable-canary": GRACE, "cable-base": GRACE,
              "canary-reset": GRACE, "lane-closed": GRACE, "steps": GRACE, "address-reuse": GRACE, "canary-hang": GRACE}

faults = []
for line in open(sys.argv[1]):
    begin, end, name, who = line.split()
    faults.append((int(begin), int(end), name, who))


def why(kind, what, how, began, ended, target):
    for begin, end, name, who in faults:
        grace = FALLS_BACK.get(name, -1) if what == "fell_back" else GRACE
        if grace < 0 or began > end + grace or ended < begin:
            continue
        if what == "fell_back":
            return name
        if who == "lane" and kind == "lane":
            return name
        if who == "b1" and target in (0, 1):
            return name
        # two connections in a row that could not be made in time
        if who == "cable" and kind == "lane" and how == "unavailable":
            return name
    return None


explained, unexplained = collections.Counter(), []
for path in sys.argv[2:]:
    for line in open(path):
        kind, what, how, began, ended, target = line.split()
        name = why(kind, what, how, int(began), int(ended), int(target)) if what != "wrong" else None
        if name:
            explained[name, kind, what] += 1
        else:
            unexplained.append(line.strip())
print(f"{'FAULT':16}{'TIMES':>6}{'BASE LOST':>11}{'LANE LOST':>11}{'BY BASE':>9}")
times = collections.Counter(name for _, _, name, _ in faults)
for name in sorted(times):
    print(f"{name:16}{times[name]:6}{explained[name, 'base', 'lost']:11}{explained[name, 'lane', 'lost']:11}"
          f"{explained[name, 'lane', 'fell_back']:9}")
print(f"not explained: {len(unexplained)}")
for line in unexplained[:20]:
    at = int(line.split()[3])
    near = [f"{name} {(at - begin) / 1e6:+.2f} s" for begin, end, name, _ in faults if abs(at - begin) < 20_000_000]
    print(f"    {line}; began after {', '.join(near)}")
sys.exit(bool(unexplained))
