# SPDX-License-Identifier: Apache-2.0
"""load.py STOPFILE WEIGHTS PORT IP...: requests over kept and fresh connections until STOPFILE exists; every answer must
be whole and the asker's own, and a request with neither tag nor rule must not be answered by the canary (the last IP), but by
a weight, which gives it the tag. WEIGHTS is a file that gets a byte before a weight can be in force, and one once none is any more.
Each request has an X-Id of its own. In a slow guest (LW_SLOW) each thread rests between requests: six that never do leave
nothing for the test beside them."""
import os
import random
import sys
import threading
import time

from wire import Wire, pattern

stop, weights, port, ips = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
errors, total, lock = [], [0], threading.Lock()
REST = (int(os.environ.get("LW_SLOW", 1)) - 1) / 50  # seconds


def changes():
    """Odd: a weight may be in force."""
    return os.path.getsize(weights) if os.path.exists(weights) else 0


def work(n):
    rng, wires, count = random.Random(n), {}, 0
    while not os.path.exists(stop) and not errors:
        # The canary's own address is for tagged requests only: with no lane open it is just a pod.
        tag = rng.choice((None, "gray"))
        ip = rng.choice(ips if tag else ips[:-1])
        size, ident = rng.choice((0, 10, 3000, 70000)), f"{n}-{count}"
        try:
            wire = wires.get(ip)
            if wire is None or rng.random() < 0.1:
                wire = wires[ip] = Wire(ip, port)
            body, before = pattern(size, count), changes()
            if rng.random() < 0.5:
                r = wire.request("GET", f"/size/{size}?seed={count}", [f"X-Id: {ident}"], tag)
            else:
                r = wire.request("POST", "/echo", [f"X-Id: {ident}"], tag, body)
            if (r.status, r.headers.get("x-id"), r.body) != (200, ident, body):
                raise ValueError(f"wrong answer: {r.status} {r.headers} {len(r.body)} of {size}")
            weighted = r.headers.get("x-lane-seen") == "gray" and (before % 2 or changes() != before)
            if not tag and r.lane == "gray" and not weighted:
                raise ValueError(f"an untagged request was answered by {r.pod}")
        except Exception as error:  # noqa: BLE001 any failure is the finding
            errors.append(f"{ident} to {ip}, tag {tag}, size {size}: {type(error).__name__} {error}")
            return
        count += 1
        if count == 1:
            print("running", flush=True)
        time.sleep(REST)
    with lock:
        total[0] += count


threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for error in errors:
    print("FAIL:", error)
print(f"{total[0]} requests, {len(errors)} errors")
sys.exit(1 if errors or not total[0] else 0)
